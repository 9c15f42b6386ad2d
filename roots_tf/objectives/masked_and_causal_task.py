"""Losses of the masked and causal language model."""

import functools

import keras
import tensorflow as tf

from roots_tf.losses import cross_entropy, weighted
from roots_tf.objectives.causal_lm_task import CausalLMTask
from roots_tf.objectives.masked_lm_task import MaskedLMTask


class MaskedAndCausalTask:
    """Both losses; a training batch is of one kind, see `training.step.AlternatingTask`.

    Args:
        model: a `roots_tf.models.MaskedAndCausalLM`.
    """

    additive = True  # sums over slices of a batch add up to those of the batch

    def __init__(self, model: keras.Model):
        self.model, self._causal = model, CausalLMTask(model)
        self._kinds = {"masked_lm": self._masked_sums, "causal_lm": self._causal.sums}
        self.kinds = tuple(functools.partial(self._sums_of, kind) for kind in self._kinds)
        self.scalars = (*MaskedLMTask(model, pairs=False).scalars, *CausalLMTask.scalars)

    def weights(self, batch):
        """Number of predictions of each kind in a batch, float32 []."""
        masked = {"masked_lm_loss": tf.reduce_sum(batch["masked_lm_weights"])}
        return masked | self._causal.weights(batch)

    def kind(self, batch):
        """0 where tokens of a training batch are masked, 1 where it is causal, int32 []."""
        return tf.cast(tf.reduce_any(batch["next_token_weights"] > 0), tf.int32)

    def sums(self, batch, seed=None):
        """Losses in nats and numbers of right answers of both kinds.

        Args:
            batch: features [B, ...].
            seed: int32 [2] for dropout, or None.

        Returns:
            (sum, weight) of `masked_lm_loss`, `masked_lm_accuracy`, `causal_lm_loss` and
            `causal_lm_accuracy`; 0 and 0 of a kind that the batch has no predictions of.
        """
        return self._masked_sums(batch, seed) | self._causal.sums(batch, seed)

    def _sums_of(self, kind: str, batch, seed=None):
        """Sums of one kind, and 0 of the other."""
        nothing = tf.constant(0.0), tf.constant(0.0)
        names = [f"{other}_{name}" for other in self._kinds for name in ("loss", "accuracy")]
        return dict.fromkeys(names, nothing) | self._kinds[kind](batch, seed)

    def _masked_sums(self, batch, seed):
        batch = batch | {"token_ids": batch["masked_token_ids"]}
        labels = tf.reshape(batch["masked_lm_ids"], [-1])  # [B*P]
        loss, right = cross_entropy(self.model.masked_lm_logits(batch, seed), labels)
        weights = tf.reshape(batch["masked_lm_weights"], [-1])
        return {
            "masked_lm_loss": weighted(loss, weights),
            "masked_lm_accuracy": weighted(right, weights),
        }
