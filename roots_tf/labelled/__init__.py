"""Labelled files in, rows of tokens out: tables, CoNLL, SQuAD and others."""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "Predictions": "prediction_files",
        "RowBatcher": "token_rows",
        "TokenRows": "token_rows",
        "batches_by_length": "token_rows",
        "batches_from": "token_rows",
        "column_names": "tables",
        "count_of": "sampling",
        "cut": "token_rows",
        "files_of": "label_files",
        "first": "sampling",
        "parts": "sampling",
        "read_examples": "tables",
        "read_in_parts": "tables",
        "sample": "sampling",
    },
)
