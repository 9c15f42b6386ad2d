"""The one table of feature names: what a batch of examples is made of, from its rows to the model.

`examples.pipeline` holds every batch to the table. A feature that only one objective knows is not
here: the objective declares it beside its rows (`examples.RowMaker.new_features`).

Shape letters, used in every shape comment of the package:

    B  batch        L  sequence length   P  predictions a sequence
    H  hidden size  N  attention heads   D  size of a head
    I  feed-forward (intermediate) size  V  vocabulary size
    T  target length
"""

from collections.abc import Mapping
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
    "position_ids": Feature("int32", "B L", "packed rows: positions, from 0 in each document"),
    "document_ids": Feature("int32", "B L", "packed rows: 1, 2, ... by document, 0 on padding"),
    "masked_lm_positions": Feature("int32", "B P", "positions to predict, ascending; 0 if unused"),
    "masked_lm_ids": Feature("int32", "B P", "ids that stood there before masking; 0 if unused"),
    "masked_lm_weights": Feature("float32", "B P", "1 on predictions, 0 if unused"),
    "next_sentence_labels": Feature("int32", "B", "0: B follows A; 1: it does not, or is swapped"),
    "example_weights": Feature("float32", "B", "1 on examples, 0 on rows that fill a last batch"),
}


def check(
    specs: Mapping, sizes: Mapping[str, int], new_features: Mapping[str, Feature] | None = None
) -> None:
    """Refuses batches whose features are not those of the table; a mistake of the objective.

    >>> check({"token_ids": tf.TensorSpec([32, 128], tf.int64)}, {"B": 32, "L": 128})
    ValueError: found token_ids of int64 [32, 128]; wanted int32 [B, L] with B = 32, L = 128 ...

    Args:
        specs: dtype and static shape of each feature: `tf.data.Dataset.element_spec`.
        sizes: what shape letters stand for. A letter that is not given stands for whatever size it
            meets first, and must meet the same size everywhere.
        new_features: features of one objective, beside those of the table.

    Raises:
        ValueError: a name is in neither table, is in both, or a dtype or a shape is another.
    """
    new_features, sizes = dict(new_features or {}), dict(sizes)
    if twice := sorted(FEATURES.keys() & new_features):
        raise ValueError(f"found new features {twice}; wanted names that the table does not have")
    table = FEATURES | new_features
    for name, spec in specs.items():
        if name not in table:
            raise ValueError(
                f"found a feature {name!r}; wanted one of {sorted(table)}: declare it in "
                "`new_features` of the rows that give it"
            )
        letters, shape = table[name].shape.split(), list(spec.shape)
        for letter, size in zip(letters, shape, strict=False):
            sizes.setdefault(letter, size)
        wanted = [sizes.get(letter) for letter in letters]
        if spec.dtype.name != table[name].dtype or shape != wanted or None in shape:
            known = ", ".join(f"{letter} = {sizes.get(letter)}" for letter in letters)
            raise ValueError(
                f"found {name} of {spec.dtype.name} {shape}; wanted {table[name].dtype} "
                f"[{', '.join(letters)}] with {known}, a size that never changes"
            )
