"""Masked language model and next sentence: BERT's two losses (arXiv:1810.04805, section 3.1)."""

import keras
import tensorflow as tf


class Pretraining:
    """Both losses over batches of `roots_tf.examples.pipeline`.

    Args:
        model: a `roots_tf.models.encoder.Pretrainer`.
        sentence_objective: whether batches have `next_sentence_labels`.
    """

    def __init__(self, model: keras.Model, sentence_objective: bool = True):
        self.model = model
        self.losses = ("masked_lm_loss",) + ("next_sentence_loss",) * sentence_objective

    def weights(self, batch):
        """Number of predictions, and of sentence pairs."""
        pairs = tf.cast(tf.shape(batch["token_ids"])[0], tf.float32)
        predictions = tf.reduce_sum(batch["masked_lm_weights"])
        return dict(zip(self.losses, (predictions, pairs), strict=False))

    def sums(self, batch, seed=None):
        """Losses in nats and numbers of right answers.

        Args:
            batch: features [B, ...]; rows with `example_weights` 0, if given, count for nothing.
            seed: int32 [2] for dropout, or None.

        Returns:
            (sum, weight) of `masked_lm_loss`, `masked_lm_accuracy` and, with sentence pairs,
            `next_sentence_loss`, `next_sentence_accuracy` and `next_sentence_base_rate`, the share
            of label 1.
        """
        outputs = self.model(batch, seed=seed)
        labels = tf.reshape(batch["masked_lm_ids"], [-1])  # [B*P]
        weights = tf.reshape(batch["masked_lm_weights"], [-1])
        logits = outputs["masked_lm_logits"]  # [B*P, V]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)
        predictions = tf.reduce_sum(weights)
        sums = {
            "masked_lm_loss": (tf.reduce_sum(loss * weights), predictions),
            "masked_lm_accuracy": (tf.reduce_sum(right * weights), predictions),
        }
        if "next_sentence_loss" in self.losses:
            labels, logits = batch["next_sentence_labels"], outputs["next_sentence_logits"]
            rows = batch.get("example_weights", tf.ones_like(labels, tf.float32))  # [B]
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            right = tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)
            pairs = tf.reduce_sum(rows)
            sums |= {
                "next_sentence_loss": (tf.reduce_sum(loss * rows), pairs),
                "next_sentence_accuracy": (tf.reduce_sum(right * rows), pairs),
                "next_sentence_base_rate": (
                    tf.reduce_sum(tf.cast(labels, tf.float32) * rows),
                    pairs,
                ),
            }
        return sums
