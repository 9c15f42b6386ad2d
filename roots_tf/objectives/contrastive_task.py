"""Loss, scores and samples of contrastive views."""

import math
import textwrap

import keras
import numpy as np
import tensorflow as tf

from roots_tf import losses, models, tokenizers
from roots_tf.losses import Scalar

WIDTH = 100  # characters in a line of a sample


def _logarithm(mean: float) -> float | None:
    """The natural logarithm; None where there is none."""
    return math.log(mean) if mean > 0 else None


class ContrastiveTask:
    """InfoNCE over batches of two views; a `training.step.TwoPassTask`.

    Args:
        model: a `roots_tf.models.PooledEncoder`.
        temperature: of the softmax over cosines.
    """

    additive = False  # texts are compared with those of the whole batch
    scalars = (
        Scalar("contrastive_loss", "loss", is_loss=True),
        Scalar("contrastive_accuracy", "accuracy"),
        Scalar("alignment", "vectors"),
        Scalar("potential", "vectors"),
        Scalar("uniformity", "vectors", of="potential", by=_logarithm),
    )

    def __init__(self, model: keras.Model, temperature: float):
        self.model, self._temperature = model, temperature

    def weights(self, batch):
        """Number of texts in a batch, float32 []."""
        return {"contrastive_loss": tf.reduce_sum(batch["example_weights"])}

    def vectors(self, batch, seed=None):
        """Means of the tokens' vectors, float32 [B, 2, H].

        Args:
            batch: features [B, ...].
            seed: int32 [2] for dropout, or None; each view has a mask of its own.
        """
        names = ("token_ids", "padding_mask")
        rows = {name: tf.concat([batch[name], batch[f"second_{name}"]], 0) for name in names}
        rows["segment_ids"] = tf.zeros_like(rows["token_ids"])
        states = self.model(rows, seed=seed)["hidden_states"]  # [2 * B, L, H]
        return tf.stack(tf.split(models.mean_pool(states, rows["padding_mask"]), 2), 1)

    def sums_of_vectors(self, vectors, batch):
        """(sum, weight) of the loss in nats, of what is found, and of how vectors lie.

        `alignment` is the mean squared distance of two views, and `uniformity` the logarithm of the
        mean `potential` exp(-2 d^2) of two texts of the batch (Wang & Isola 2020, arXiv:2005.10242,
        section 4).

        Args:
            vectors: of the batch, [B, 2, H].
            batch: features [B, ...]; rows with `example_weights` 0 count for nothing.
        """
        weights = batch["example_weights"]
        numbers = tf.tile(batch["text_numbers"][:, None], [1, 2])
        total, right = losses.info_nce(vectors, numbers, self._temperature, weights=weights)
        weight = tf.reduce_sum(weights)
        unit = tf.stop_gradient(tf.math.l2_normalize(vectors, -1))
        everyone, _ = losses.of_all_replicas(unit)  # [N, 2, H]
        all_numbers, _ = losses.of_all_replicas(numbers[:, 0])  # [N]
        distances = 2 - 2 * tf.matmul(unit[:, 0], everyone[:, 0], transpose_b=True)  # [B, N]
        is_other = (numbers[:, :1] != all_numbers) & (all_numbers >= 0)
        is_other = tf.cast(is_other, tf.float32) * weights[:, None]
        apart = tf.reduce_sum(unit[:, 0] * unit[:, 1], -1)
        return {
            "contrastive_loss": (total, weight),
            "contrastive_accuracy": (right, weight),
            "alignment": losses.weighted(2 - 2 * apart, weights),
            "potential": losses.weighted(tf.exp(-2 * distances), is_other),
        }

    def sums(self, batch, seed=None):
        """As `sums_of_vectors`, of the vectors that the model makes; arguments as for `vectors`."""
        return self.sums_of_vectors(self.vectors(batch, seed), batch)


def nearest(
    task: ContrastiveTask,
    batch: dict[str, tf.Tensor],
    tokenizer: tokenizers.Tokenizer,
    count: int,
) -> str:
    """The first view of a few rows and which second view of the batch is nearest, as Markdown.

    Args:
        task: that is asked without dropout.
        batch: features [B, ...].
        tokenizer: of the examples.
        count: rows to show, the first of the batch.
    """
    vectors = tf.math.l2_normalize(task.vectors(batch), -1).numpy()
    cosines = vectors[:count, 0] @ vectors[:, 1].T  # [count, B]

    def text(name: str, row: int) -> str:
        ids = batch[f"{name}token_ids"][row].numpy()[batch[f"{name}padding_mask"][row].numpy()]
        return textwrap.shorten(tokenizer.decode(ids), WIDTH)

    lines = []
    for row, of_row in enumerate(cosines):
        best = int(np.argmax(of_row))
        mark = "+" if best == row else " "
        lines += [f"{text('', row)}", f"  {mark} {of_row[best]:.3f} {text('second_', best)}"]
        lines += [f"    {of_row[row]:.3f} {text('second_', row)}"] * (best != row) + [""]
    return "\n".join(f"    {line}".rstrip() for line in lines)
