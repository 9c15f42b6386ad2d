"""Labelled files in, rows of tokens out: tables, CoNLL, SQuAD."""
