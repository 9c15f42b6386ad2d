"""One stack that fills in masked tokens and tells the next one (GPT-BERT, arXiv:2410.24159)."""

import tensorflow as tf

from roots_tf.models.causal_lm import CausalLM
from roots_tf.models.encoder import MaskedLMHead
from roots_tf.seeds import Place


class MaskedAndCausalLM(CausalLM):
    """A causal model with a head for masked tokens, for which all tokens of a text are seen.

    Unlike GPT-BERT's, the masked head tells a token at its own place, as BERT's does, and not from
    the place before it: each head has the weights and names that it has in a model of its own.

    Args:
        config: its sizes.
        seed: as for `Encoder`.
        precision: likewise.
        recompute: likewise.
    """

    def __init__(self, config, seed=0, precision="float32", recompute=False):
        super().__init__(config, seed, precision, recompute, name="masked_and_causal_lm")
        self.masked_lm = MaskedLMHead(config, Place(seed, "masked_lm"), dtype=precision)

    def masked_lm_logits(self, features, seed=None) -> tf.Tensor:
        """Logits of the masked tokens, float32 [B*P, V].

        Args:
            features: as for `Encoder.call`, and `masked_lm_positions` [B, P].
            seed: likewise.
        """
        hidden_states = self.encoder(features, seed=seed, causal=False)
        return self.masked_lm(
            hidden_states,
            features["masked_lm_positions"],
            self.encoder.embeddings.token,
            training=seed is not None,
        )

    def likeliest(self, features, top: int, num_tokens: int) -> tuple[tf.Tensor, tf.Tensor]:
        """As `Pretrainer.likeliest`; `features`, `top` and `num_tokens` as there."""
        logits = self.masked_lm_logits(features)[:, :num_tokens]
        probabilities, ids = tf.math.top_k(tf.nn.softmax(logits), min(top, num_tokens))
        return ids, probabilities
