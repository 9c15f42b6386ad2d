"""The one table of feature names: what a batch is made of, from the record files to the model.

Shape letters, used in every shape comment of the package:

    B  batch        L  sequence length   P  predictions a sequence
    H  hidden size  N  attention heads   D  size of a head
    I  feed-forward (intermediate) size  V  vocabulary size
"""

from typing import NamedTuple


class Feature(NamedTuple):
    """Type, shape (in shape letters) and meaning of one feature."""

    dtype: str
    shape: str
    meaning: str


FEATURES = {
    "token_ids": Feature("int32", "B L", "vocabulary ids; [PAD] on padding"),
    "segment_ids": Feature("int32", "B L", "1 on the second segment, else 0"),
    "padding_mask": Feature("bool", "B L", "True on tokens, False on padding"),
    "token_embeddings": Feature("float32", "B L H", "in place of the token table's rows, if given"),
    "position_ids": Feature("int32", "B L", "packed rows: positions, from 0 in each document"),
    "document_ids": Feature("int32", "B L", "packed rows: 1, 2, ... by document, 0 on padding"),
    "masked_lm_positions": Feature("int32", "B P", "positions to predict, ascending; 0 if unused"),
    "masked_lm_ids": Feature("int32", "B P", "ids that stood there before masking; 0 if unused"),
    "masked_lm_weights": Feature("float32", "B P", "1 on predictions, 0 if unused"),
    "next_sentence_labels": Feature("int32", "B", "0: B follows A; 1: it does not, or is swapped"),
    "label_ids": Feature("int32", "B", "class of the example, an index into the task's labels"),
    "example_weights": Feature("float32", "B", "1 on examples, 0 on rows that fill a last batch"),
}
