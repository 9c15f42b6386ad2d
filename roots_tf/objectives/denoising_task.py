"""Loss and samples of denoising."""

import textwrap

import keras
import numpy as np
import tensorflow as tf

from roots_tf import tokenizers
from roots_tf.losses import Scalar, perplexity, projected_cross_entropy
from roots_tf.tokenizers.shown import shown

TOP, PLACES, WIDTH = 3, 12, 100  # of samples: tokens and places shown; characters in a line of text


class DenoisingTask:
    """The loss over the tokens of targets, each told from its source and the tokens before it.

    Args:
        model: a `roots_tf.models.EncoderDecoder`.
    """

    additive = True  # sums over slices of a batch add up to those of the batch
    scalars = (
        Scalar("denoising_loss", "loss", is_loss=True),
        Scalar("denoising_perplexity", "loss", of="denoising_loss", by=perplexity),
        Scalar("denoising_accuracy", "accuracy"),
    )

    def __init__(self, model: keras.Model):
        self.model = model

    def weights(self, batch):
        """Number of tokens that are told in a batch, float32 []."""
        return {"denoising_loss": tf.reduce_sum(batch["target_weights"])}

    def sums(self, batch, seed=None):
        """The loss in nats and the number of right answers.

        Args:
            batch: features [B, ...].
            seed: int32 [2] for dropout, or None.

        Returns:
            (sum, weight) of `denoising_loss` and `denoising_accuracy`.
        """
        rows = self.model.output_rows(self.model(batch, seed=seed))  # [B, T, H]
        weights = tf.reshape(batch["target_weights"], [-1])  # [B*T]
        loss, right = projected_cross_entropy(
            tf.reshape(rows, [-1, rows.shape[-1]]),
            self.model.output_table,
            tf.reshape(batch["target_ids"], [-1]),
            weights,
            bias=self.model.output_bias,
        )
        weight = tf.reduce_sum(weights)
        return {"denoising_loss": (loss, weight), "denoising_accuracy": (right, weight)}


def denoised(
    model: keras.Model, batch: dict[str, tf.Tensor], tokenizer: tokenizers.Tokenizer, count: int
) -> str:
    """Sources and targets of a few rows, and what the model believes of a target, as Markdown.

    Args:
        model: a `roots_tf.models.EncoderDecoder`, asked without dropout.
        batch: features [B, ...].
        tokenizer: with sentinels.
        count: rows to show, the first of the batch.
    """
    batch = {name: feature[:count] for name, feature in batch.items()}
    logits = model.logits(model(batch))[..., : tokenizer.size]  # [count, T, V]
    found = tf.math.top_k(tf.nn.softmax(logits), TOP)
    lines = []
    for row in range(len(found.values)):
        for ids, mask in (("token_ids", "padding_mask"), ("target_ids", "decoder_padding_mask")):
            kept = batch[ids][row].numpy()[batch[mask][row].numpy()]
            lines += textwrap.wrap(tokenizer.decode(kept, skip_special_tokens=False), WIDTH)
        lines.append("")
        places = np.flatnonzero(batch["target_weights"][row].numpy() > 0)
        for place in places[:: max(1, len(places) // PLACES)]:
            label = int(batch["target_ids"][row, place])
            best = found.indices[row, place].numpy()
            chances = found.values[row, place].numpy()
            texts = [*zip(shown(tokenizer, best), chances, strict=True)]
            likeliest = "  ".join(f"{piece} {chance:.3f}" for piece, chance in texts)
            mark = "+" if best[0] == label else " "
            lines.append(f"  {mark} {shown(tokenizer, [label])[0]:<17} {likeliest}")
        lines.append("")
    return "\n".join(f"    {line}".rstrip() for line in lines)
