"""Loss and samples of the causal language model."""

import textwrap

import keras
import numpy as np
import tensorflow as tf

from roots_tf import tokenizers
from roots_tf.losses import Scalar, perplexity, projected_cross_entropy
from roots_tf.tokenizers.shown import shown

TOP, PLACES, WIDTH = 3, 8, 100  # of samples: tokens and places shown; characters in a line of text


class CausalLMTask:
    """The loss over batches of the causal language model.

    Args:
        model: a `roots_tf.models.CausalLM`.
    """

    additive = True  # sums over slices of a batch add up to those of the batch
    scalars = (
        Scalar("causal_lm_loss", "loss", is_loss=True),
        Scalar("causal_lm_perplexity", "loss", of="causal_lm_loss", by=perplexity),
        Scalar("causal_lm_accuracy", "accuracy"),
    )

    def __init__(self, model: keras.Model):
        self.model = model

    def weights(self, batch):
        """Number of predictions in a batch, float32 []."""
        return {"causal_lm_loss": tf.reduce_sum(batch["next_token_weights"])}

    def sums(self, batch, seed=None):
        """The loss in nats and the number of right answers.

        Args:
            batch: features [B, ...].
            seed: int32 [2] for dropout, or None.

        Returns:
            (sum, weight) of `causal_lm_loss` and `causal_lm_accuracy`.
        """
        hidden_states = self.model(batch, seed=seed)  # [B, L, H]
        weights = tf.reshape(batch["next_token_weights"], [-1])  # [B*L]
        loss, right = projected_cross_entropy(
            tf.reshape(hidden_states, [-1, hidden_states.shape[-1]]),
            self.model.output_table,
            tf.reshape(batch["next_token_ids"], [-1]),
            weights,
        )
        weight = tf.reduce_sum(weights)
        return {"causal_lm_loss": (loss, weight), "causal_lm_accuracy": (right, weight)}


def next_tokens(
    model: keras.Model, batch: dict[str, tf.Tensor], tokenizer: tokenizers.Tokenizer, count: int
) -> str:
    """What the model believes follows at some places of a few rows, as Markdown.

    Args:
        model: a `roots_tf.models.CausalLM`, asked without dropout.
        batch: features [B, ...].
        tokenizer: of the examples.
        count: rows to show, the first of the batch.
    """
    batch = {name: feature[:count] for name, feature in batch.items()}
    logits = model.logits(model(batch))[..., : tokenizer.size]  # [count, L, V]
    found = tf.math.top_k(tf.nn.softmax(logits), TOP)
    lines = []
    for row in range(len(found.values)):
        ids = batch["token_ids"][row].numpy()[batch["padding_mask"][row].numpy()]
        lines += textwrap.wrap(tokenizer.decode(ids, skip_special_tokens=False), WIDTH) + [""]
        places = np.flatnonzero(batch["next_token_weights"][row].numpy() > 0)
        for place in places[:: max(1, len(places) // PLACES)]:
            label = int(batch["next_token_ids"][row, place])
            best = found.indices[row, place].numpy()
            chances = found.values[row, place].numpy()
            texts = [*zip(shown(tokenizer, best), chances, strict=True)]
            likeliest = "  ".join(f"{piece} {chance:.3f}" for piece, chance in texts)
            mark = "+" if best[0] == label else " "
            lines.append(f"  {mark} {shown(tokenizer, [label])[0]:<17} {likeliest}")
        lines.append("")
    return "\n".join(f"    {line}".rstrip() for line in lines)
