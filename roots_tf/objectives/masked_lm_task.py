"""Losses and scores of the masked language model and of sentence pairs (arXiv:1810.04805, 3.1)."""

import textwrap

import keras
import numpy as np
import tensorflow as tf

from roots_tf import tokenizers
from roots_tf.losses import Scalar, base_rate, cross_entropy, perplexity, weighted
from roots_tf.tokenizers.shown import shown

TOP, WIDTH = 3, 100  # of samples: pieces shown for a [MASK]; characters in a line of text
SHOWN = ("masked", "random", "kept")  # what the input shows where something is predicted


class MaskedLMTask:
    """Both losses over batches of the masked language model.

    Args:
        model: a `roots_tf.models.Pretrainer`.
        pairs: whether batches have `next_sentence_labels`.
        mask_id: id of [MASK], to tell predictions apart by what the input shows; None does not.
    """

    additive = True  # sums over slices of a batch add up to those of the batch

    def __init__(self, model: keras.Model, pairs: bool = True, mask_id: int | None = None):
        self.model = model
        self._pairs, self._mask_id = pairs, mask_id
        accuracies = ("",) + tuple(f"_{state}" for state in SHOWN) * (mask_id is not None)
        self.scalars = (
            Scalar("masked_lm_loss", "loss", is_loss=True),
            Scalar("masked_lm_perplexity", "loss", of="masked_lm_loss", by=perplexity),
            *(Scalar(f"masked_lm_accuracy{state}", "accuracy") for state in accuracies),
        )
        if pairs:
            self.scalars += (
                Scalar("next_sentence_loss", "loss", is_loss=True),
                Scalar("next_sentence_accuracy", "accuracy"),
                Scalar("next_sentence_label_1", "accuracy"),
                Scalar(
                    "next_sentence_base_rate", "accuracy", of="next_sentence_label_1", by=base_rate
                ),
            )

    def weights(self, batch):
        """Number of predictions in a batch, float32 [], and with pairs of its rows."""
        weights = {"masked_lm_loss": tf.reduce_sum(batch["masked_lm_weights"])}
        if self._pairs:
            rows = tf.shape(batch["token_ids"])[0]
            weights["next_sentence_loss"] = tf.cast(rows, tf.float32)
        return weights

    def sums(self, batch, seed=None):
        """Losses in nats and numbers of right answers.

        Args:
            batch: features [B, ...]; rows with `example_weights` 0, if given, count for nothing.
            seed: int32 [2] for dropout, or None.

        Returns:
            (sum, weight) of `masked_lm_loss`, `masked_lm_accuracy` and, where the mask's id is
            known, `masked_lm_accuracy_masked`, `_random` and `_kept`: over predictions at which
            the input shows [MASK], another token, or the label itself. With sentence pairs also
            `next_sentence_loss`, `next_sentence_accuracy` and `next_sentence_label_1`, the share
            of label 1.
        """
        outputs = self.model(batch, seed=seed)
        labels = tf.reshape(batch["masked_lm_ids"], [-1])  # [B*P]
        weights = tf.reshape(batch["masked_lm_weights"], [-1])
        loss, right = cross_entropy(outputs["masked_lm_logits"], labels)  # [B*P], [B*P]
        sums = {
            "masked_lm_loss": weighted(loss, weights),
            "masked_lm_accuracy": weighted(right, weights),
        }
        if self._mask_id is not None:
            token_ids = tf.gather(batch["token_ids"], batch["masked_lm_positions"], batch_dims=1)
            token_ids = tf.reshape(token_ids, [-1])  # [B*P]
            masked, kept = token_ids == self._mask_id, token_ids == labels
            for state, where in zip(SHOWN, (masked, ~(masked | kept), kept), strict=True):
                sums[f"masked_lm_accuracy_{state}"] = weighted(
                    right, weights * tf.cast(where, tf.float32)
                )
        if self._pairs:
            labels, logits = batch["next_sentence_labels"], outputs["next_sentence_logits"]
            rows = batch.get("example_weights", tf.ones_like(labels, tf.float32))  # [B]
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            right = tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)
            sums |= {
                "next_sentence_loss": weighted(loss, rows),
                "next_sentence_accuracy": weighted(right, rows),
                "next_sentence_label_1": weighted(tf.cast(labels, tf.float32), rows),
            }
        return sums


def fill_masks(
    model: keras.Model, batch: dict[str, tf.Tensor], tokenizer: tokenizers.Tokenizer, count: int
) -> str:
    """What the model believes stands at each [MASK] of a few rows, as Markdown.

    A row is its text and a line for each [MASK], in the order in which they stand there: the right
    piece, then the likeliest pieces with their probabilities; a `+` marks those that the model
    gets right. All of it is a block of code, in which no piece can mean Markdown:

        [CLS] the captain looked at the [MASK] . [SEP]

          + sea               sea 0.412  ship 0.103  sky 0.054

    Args:
        model: a `roots_tf.models.Pretrainer`, asked without dropout.
        batch: features [B, ...] of the masked language model.
        tokenizer: of the examples.
        count: rows to show, the first of the batch.
    """
    batch = {name: feature[:count] for name, feature in batch.items()}
    rows, predictions = batch["masked_lm_ids"].shape
    pieces, probabilities = (
        part.numpy().reshape(rows, predictions, -1)
        for part in model.likeliest(batch, TOP, tokenizer.size)
    )
    arrays = {name: feature.numpy() for name, feature in batch.items()}
    lines = []
    for row in range(rows):
        ids = arrays["token_ids"][row][arrays["padding_mask"][row]]
        lines += textwrap.wrap(tokenizer.decode(ids, skip_special_tokens=False), WIDTH) + [""]
        at_mask = arrays["token_ids"][row][arrays["masked_lm_positions"][row]] == tokenizer.mask_id
        for place in np.flatnonzero(at_mask & (arrays["masked_lm_weights"][row] > 0)):
            label = arrays["masked_lm_ids"][row, place]
            mark = "+" if pieces[row, place, 0] == label else " "
            likeliest = "  ".join(
                f"{piece} {probability:.3f}"
                for piece, probability in zip(
                    shown(tokenizer, pieces[row, place]), probabilities[row, place], strict=True
                )
            )
            lines.append(f"  {mark} {shown(tokenizer, [label])[0]:<17} {likeliest}")
        lines.append("")
    return "\n".join(f"    {line}".rstrip() for line in lines)
