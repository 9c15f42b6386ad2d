"""Losses of replaced-token detection (Clark et al. 2020, arXiv:2003.10555, section 2)."""

import functools
import textwrap

import keras
import numpy as np
import tensorflow as tf

from roots_tf import tokenizers
from roots_tf.losses import Scalar, base_rate, cross_entropy, weighted
from roots_tf.objectives.masked_lm_task import WIDTH
from roots_tf.tokenizers.shown import shown

BLOCK = 128  # ids that are summed before the block is looked into that holds what is drawn


@functools.partial(tf.function, jit_compile=True, autograph=False)
def drawn(logits: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """An id of each row, drawn from the softmax of its logits.

    It is the first whose share, added to those of all smaller ids, is above the row's number. One
    number a row decides, where Gumbel noise would take V.

    Args:
        logits: float32 [R, V].
        draws: float32 [R] in [0, 1).

    Returns:
        int32 [R].
    """
    size = logits.shape[1]
    blocks = -(-size // BLOCK)
    chances = tf.exp(logits - tf.reduce_max(logits, 1, keepdims=True))
    chances = tf.pad(chances, [[0, 0], [0, blocks * BLOCK - size]])
    chances = tf.reshape(chances, [-1, blocks, BLOCK])
    ends = tf.cumsum(tf.reduce_sum(chances, 2), 1)  # [R, blocks]
    wanted = draws[:, None] * ends[:, -1:]  # [R, 1]
    block = tf.minimum(_passed(ends, wanted), blocks - 1)  # [R]
    begins = tf.gather(tf.pad(ends, [[0, 0], [1, 0]]), block, batch_dims=1)  # [R]
    inside = tf.cumsum(tf.gather(chances, block, batch_dims=1), 1)  # [R, BLOCK]
    place = tf.minimum(_passed(inside, wanted - begins[:, None]), BLOCK - 1)
    return tf.minimum(block * BLOCK + place, size - 1)


def _passed(ends, wanted):
    """How many `ends` of a row [R, M] are no higher than what is wanted [R, 1]: int32 [R]."""
    return tf.reduce_sum(tf.cast(ends <= wanted, tf.int32), 1)


def with_tokens(batch: dict[str, tf.Tensor], ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The texts of a batch with the generator's tokens, and which of them are not the original.

    With ids [[8, 6]] for the masked 8 and 9 of [[2, 4, 7, 4, 3]], where 4 is [MASK], it gives
    [[2, 8, 7, 6, 3]] and [[0.0, 0.0, 0.0, 1.0, 0.0]].

    Args:
        batch: features [B, ...] of `replaced_tokens_rows`.
        ids: what stands at the masked positions now, int32 [B, P].

    Returns:
        Ids, int32 [B, L], and 1 where a token was replaced, float32 [B, L].
    """
    token_ids = batch["token_ids"]
    length, used = token_ids.shape[1], batch["masked_lm_weights"] > 0
    rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, None], tf.shape(ids))
    # Unused predictions point past the end, at a column that is cut off again.
    places = tf.stack([rows, tf.where(used, batch["masked_lm_positions"], length)], axis=-1)
    padded = tf.pad(token_ids, [[0, 0], [0, 1]])
    other = tf.cast(ids != batch["masked_lm_ids"], tf.float32)
    replaced = tf.scatter_nd(places, other, tf.shape(padded))
    return tf.tensor_scatter_nd_update(padded, places, ids)[:, :length], replaced[:, :length]


class ReplacedTokensTask:
    """Both losses: the generator's, and the discriminator's times its weight.

    Args:
        model: a `roots_tf.models.ReplacedTokens`.
        weight: of the discriminator's loss; 50 in section 3.1 of the paper.
    """

    additive = True  # sums over slices of a batch add up to those of the batch
    scores = ("accuracy", "precision", "recall")

    def __init__(self, model: keras.Model, weight: float = 50.0):
        self.model, self._weight = model, weight
        self.scalars = (
            Scalar("generator_loss", "loss", is_loss=True),
            Scalar("generator_accuracy", "accuracy"),
            Scalar("discriminator_loss", "loss"),
            Scalar("weighted_discriminator_loss", "loss", is_loss=True),
            *(Scalar(f"discriminator_{name}", "accuracy") for name in self.scores),
            Scalar("replaced_share", "accuracy"),
            Scalar("discriminator_base_rate", "accuracy", of="replaced_share", by=base_rate),
        )

    def weights(self, batch):
        """Numbers of predictions and of judged tokens in a batch, float32 []."""
        return {
            "generator_loss": tf.reduce_sum(batch["masked_lm_weights"]),
            "weighted_discriminator_loss": tf.reduce_sum(batch["judged_weights"]),
        }

    def sums(self, batch, seed=None):
        """Losses in nats and numbers of right answers.

        Args:
            batch: features [B, ...].
            seed: int32 [2] for dropout, or None.

        Returns:
            (sum, weight) of `generator_loss` and `generator_accuracy` over masked tokens; over all
            tokens but special ones of `discriminator_loss`, the same times the weight,
            `discriminator_accuracy`, and `replaced_share`, what a generator put there that is not
            the original; `discriminator_precision` over what the discriminator says was replaced,
            and `discriminator_recall` over what was.
        """
        logits = self.model.generator(batch, seed=seed)  # [B*P, V]
        weights = tf.reshape(batch["masked_lm_weights"], [-1])
        loss, right = cross_entropy(logits, tf.reshape(batch["masked_lm_ids"], [-1]))
        token_ids, replaced = put_in(batch, logits)
        verdicts = self.model(batch | {"token_ids": token_ids}, seed=seed)  # [B, L]
        says = tf.cast(verdicts > 0, tf.float32)
        judged = batch["judged_weights"]
        of_discriminator, count = weighted(
            tf.nn.sigmoid_cross_entropy_with_logits(replaced, verdicts), judged
        )
        return {
            "generator_loss": weighted(loss, weights),
            "generator_accuracy": weighted(right, weights),
            "discriminator_loss": (of_discriminator, count),
            "weighted_discriminator_loss": (self._weight * of_discriminator, count),
            "discriminator_accuracy": weighted(tf.cast(says == replaced, tf.float32), judged),
            "discriminator_precision": weighted(replaced, judged * says),
            "discriminator_recall": weighted(says, judged * replaced),
            "replaced_share": weighted(replaced, judged),
        }


def put_in(batch: dict[str, tf.Tensor], logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """As `with_tokens`, with tokens that are drawn; no gradient flows through what is drawn.

    Args:
        batch: as there.
        logits: of the generator, float32 [B*P, V].
    """
    draws = tf.reshape(batch["generator_draws"], [-1])
    ids = drawn(tf.stop_gradient(logits), draws)
    return with_tokens(batch, tf.reshape(ids, tf.shape(batch["masked_lm_ids"])))


def judgements(
    model: keras.Model, batch: dict[str, tf.Tensor], tokenizer: tokenizers.Tokenizer, count: int
) -> str:
    """What the discriminator believes of a few rows, as Markdown.

    A row is its text with the generator's tokens, and a line for each token that the generator put
    there or that the discriminator takes for one: the token, the original where that was another,
    and the probability that it was replaced; a `+` marks those that the discriminator gets right:

        [CLS] the captain looked at the garden . [SEP]

          + garden            sea               0.912

    Args:
        model: a `roots_tf.models.ReplacedTokens`, asked without dropout.
        batch: features [B, ...] of `replaced_tokens_rows`.
        tokenizer: of the examples.
        count: rows to show, the first of the batch.
    """
    batch = {name: feature[:count] for name, feature in batch.items()}
    token_ids, replaced = put_in(batch, model.generator(batch))
    verdicts = tf.sigmoid(model(batch | {"token_ids": token_ids})).numpy()
    originals, _ = with_tokens(batch, batch["masked_lm_ids"])
    was_masked = with_tokens(batch, tf.fill(tf.shape(batch["masked_lm_ids"]), -1))[0].numpy() < 0
    told = was_masked | ((verdicts > 0.5) & (batch["judged_weights"].numpy() > 0))
    lines = []
    for row, ids in enumerate(token_ids.numpy()):
        text = tokenizer.decode(ids[batch["padding_mask"][row].numpy()], skip_special_tokens=False)
        lines += textwrap.wrap(text, WIDTH) + [""]
        for place in np.flatnonzero(told[row]):
            pieces = shown(tokenizer, [ids[place], originals[row, place].numpy()])
            is_other, verdict = bool(replaced[row, place] > 0), verdicts[row, place]
            mark = "+" if (verdict > 0.5) == is_other else " "
            lines.append(f"  {mark} {pieces[0]:<17} {pieces[1] * is_other:<17} {verdict:.3f}")
        lines.append("")
    return "\n".join(f"    {line}".rstrip() for line in lines)
