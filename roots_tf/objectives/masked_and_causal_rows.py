"""Rows of the masked and causal language model: those of the causal one, masked beside."""

import dataclasses

import tensorflow as tf

from roots_tf.examples import packing
from roots_tf.features import Feature
from roots_tf.objectives import causal_lm_rows, masked_lm_rows

PARTS = 1 << 20  # of a share


def is_causal(step: tf.Tensor, share: float) -> tf.Tensor:
    """Whether the batch of a step is causal, bool []: `share` of any steps, spread evenly.

    >>> [bool(is_causal(tf.constant(step, tf.int64), 0.25)) for step in range(8)]
    [False, False, False, True, False, False, False, True]

    Args:
        step: int64 [].
        share: from 0 to 1, to a millionth.
    """
    parts = round(share * PARTS)
    return (step % PARTS + 1) * parts // PARTS > step % PARTS * parts // PARTS


@dataclasses.dataclass(frozen=True)
class MaskedAndCausalRows(causal_lm_rows.CausalRows):
    """Rows with the token that follows each and with masked tokens, the one or the other.

    Attributes:
        objective: the flags, a `masked_and_causal.MaskedAndCausal`.
        shows_rate: whether features tell the mask rate, for people to look at.
    """

    objective: object
    shows_rate: bool = False
    new_features = causal_lm_rows.NEXT_TOKENS | {
        "masked_token_ids": Feature("int32", "B L", "`token_ids` with masks"),
        masked_lm_rows.RATE: masked_lm_rows.SHOWN[masked_lm_rows.RATE],
    }

    def __post_init__(self):
        """Refuses a tokenizer that lacks a special token of either objective.

        Raises:
            InputError: it lacks one.
        """
        super().__post_init__()
        self._masked()

    def _masked(self) -> masked_lm_rows.PackedRows:
        how = (self.objective.masked, self.manifest, self.split, self.tokenizer, self.length)
        return masked_lm_rows.PackedRows(*how, shows_words=self.shows_rate)

    def features(self, rows, chance):
        """Features of the worker's rows; a training batch has predictions of one kind only."""
        features = super().features(rows, chance)
        rows = chance.of_worker(rows)
        marked = packing.features(rows["tokens"], rows["starts"], self.tokenizer.pad_id)
        masked = self._masked().masked(marked, chance, rows["starts"])
        if self.split == "train":
            causal = tf.cast(is_causal(chance.step, self.objective.causal_share), tf.float32)
            features["next_token_weights"] *= causal
            masked["masked_lm_weights"] *= 1 - causal
        names = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
        names += (masked_lm_rows.RATE,) if self.shows_rate else ()
        features |= {name: masked[name] for name in names}
        return features | {"masked_token_ids": masked["token_ids"]}
