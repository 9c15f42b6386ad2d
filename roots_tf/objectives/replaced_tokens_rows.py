"""Rows of replaced-token detection: masked ones, and by which number the generator draws."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import tensorflow as tf

from roots_tf.features import Feature
from roots_tf.objectives import masked_lm_rows, masking

GENERATOR = "generator"  # a use of chance


@dataclasses.dataclass(frozen=True)
class ReplacedTokensRows(masked_lm_rows.PackedRows):
    """Packed rows, masked.

    What the generator puts in follows from numbers of the batch, and not from a seed of the step:
    it is the same on one device, on several and over micro-batches.
    """

    new_features: ClassVar[Mapping[str, Feature]] = masked_lm_rows.SHOWN | {
        "generator_draws": Feature("float32", "B P", "in [0, 1): which token the generator draws"),
        "judged_weights": Feature("float32", "B L", "1 on tokens but special ones, else 0"),
    }

    def features(self, rows, chance):
        """Features of the worker's rows; no masked token is a special one."""
        features = super().features(rows, chance)
        never = tf.constant(masking.vocabulary_of(self.tokenizer).never_ids)
        special = tf.reduce_any(features["token_ids"][..., None] == never, axis=-1)
        judged = tf.cast(features["padding_mask"] & ~special, tf.float32)
        predictions = features["masked_lm_positions"].shape[1]
        return features | {
            "generator_draws": chance.uniform_of_rows(GENERATOR, [predictions]),
            "judged_weights": judged * chance.example_weights[:, None],
        }
