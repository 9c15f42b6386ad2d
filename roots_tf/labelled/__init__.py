"""Labelled files in, rows of tokens out: tables, CoNLL, SQuAD."""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "RowBatcher": "token_rows",
        "TokenRows": "token_rows",
        "batches_by_length": "token_rows",
        "cut": "token_rows",
        "padded_lengths": "token_rows",
        "train_batches": "token_rows",
        "ungrouped": "token_rows",
    },
)
__all__ = [
    "RowBatcher",
    "TokenRows",
    "batches_by_length",
    "cut",
    "padded_lengths",
    "train_batches",
    "ungrouped",
]
