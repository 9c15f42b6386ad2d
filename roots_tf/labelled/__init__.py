"""Labelled files in, rows of tokens out: tables, CoNLL, SQuAD."""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__, {"batches_from": "token_rows", "column_names": "tables", "first": "tables"}
)
