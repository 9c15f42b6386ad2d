"""The encoder: token ids in, one vector a token out (Devlin et al. 2019, arXiv:1810.04805)."""

import keras
import tensorflow as tf

from roots_tf.models.config import EncoderConfig
from roots_tf.models.layers import (
    Block,
    Dense,
    LayerNorm,
    Weights,
    bias_gelu,
    dropout,
    fold_in,
)

SEEDS_A_MODEL = 1_000_000  # initial weights of model seed s draw from seeds s * this and up
HEAD_SEEDS = 900_000  # where those of the heads start
POOLED = 1_000_003  # place of the dropout before a classifier; blocks have 0 to 4 * layers


class Embeddings(Weights):
    """Sum of token, position and segment embeddings, normalised: [B, L] ids -> [B*L, H]."""

    def __init__(self, config: EncoderConfig, seed: int, **kwargs):
        super().__init__(name="embeddings", seed=seed, scale=config.initializer_range, **kwargs)
        hidden = config.hidden_dim
        self.config = config
        self.token = self.matrix("token", config.vocabulary_size, hidden)
        self.position = self.matrix("position", config.max_sequence_length, hidden)
        self.segment = self.matrix("segment", config.num_segments, hidden)
        with keras.name_scope(self.name):
            self.norm = LayerNorm(
                hidden, config.layer_norm_epsilon, name="norm", dtype=self.dtype_policy
            )

    def call(self, features, seed=None):
        """Ids to rows; arguments as for `Encoder.call`."""
        token_ids, segment_ids = features["token_ids"], features["segment_ids"]
        length = tf.shape(token_ids)[1]
        x = tf.gather(self.token, token_ids)  # [B, L, H]
        if "position_ids" in features:
            x += tf.gather(self.position, features["position_ids"])
        else:
            x += self.position[:length]
        # A product with one-hot rows: the gradient of a gather over two rows is a slow scatter.
        segments = tf.one_hot(segment_ids, self.config.num_segments, dtype=x.dtype)
        x += tf.tensordot(segments, tf.cast(self.segment, x.dtype), 1)
        x = self.norm(tf.reshape(x, [-1, self.config.hidden_dim]), seed=seed)  # [B*L, H]
        return dropout(x, self.config.dropout, fold_in(seed, 0))


def attention_bias(features: dict[str, tf.Tensor]) -> tf.Tensor:
    """0 where a query may see a key, -1e9 where not: float32 [B, 1, 1 or L, L].

    With `document_ids` a token sees its own document only, otherwise every token that is not
    padding.
    """
    if "document_ids" in features:
        documents = features["document_ids"]
        seen = documents[:, :, None] == documents[:, None, :]  # [B, L, L]
        return tf.where(seen, 0.0, -1e9)[:, None]
    return tf.where(features["padding_mask"], 0.0, -1e9)[:, None, None]


class Encoder(keras.Model):
    """A BERT encoder.

    Args:
        config: its sizes.
        seed: of the initial weights.
        precision: a Keras dtype policy name, such as "float32" or "mixed_bfloat16".
    """

    def __init__(self, config: EncoderConfig, seed: int = 0, precision: str = "float32"):
        super().__init__(name="encoder", dtype=precision)
        self.config = config
        first = seed * SEEDS_A_MODEL
        with keras.name_scope(self.name):
            self.embeddings = Embeddings(config, seed=first, dtype=precision)
            self.blocks = [
                Block(config, index, seed=first + 100 * (index + 1), dtype=precision)
                for index in range(config.num_layers)
            ]
            self.final_norm = None
            if config.norm == "pre":
                self.final_norm = LayerNorm(
                    config.hidden_dim, config.layer_norm_epsilon, name="final_norm", dtype=precision
                )
        self.built = True

    def call(self, features, seed=None):
        """Encodes a batch.

        Args:
            features: `token_ids`, `segment_ids` and `padding_mask` [B, L]; packed rows also have
                `position_ids` and `document_ids` [B, L].
            seed: int32 [2] turns dropout on and decides its masks; None is inference.

        Returns:
            [B, L, H] in the compute type.
        """
        bias = attention_bias(features)
        x = self.embeddings(features, seed=seed)
        for block in self.blocks:
            x = block(x, bias, seed=seed)
        if self.final_norm is not None:
            x = self.final_norm(x, seed=seed)
        return tf.reshape(x, tf.concat([tf.shape(features["token_ids"]), [-1]], 0))


class Pooler(Dense):
    """tanh of a dense layer over the first token: [B, L, H] -> [B, H]."""

    def call(self, hidden_states):
        """[B, L, H] -> [B, H]."""
        return tf.tanh(super().call(hidden_states[:, 0]))


class MaskedLMHead(Weights):
    """Vocabulary logits at the masked positions, output embedding tied to the input's."""

    def __init__(self, config: EncoderConfig, seed: int, **kwargs):
        super().__init__(name="masked_lm", seed=seed, scale=config.initializer_range, **kwargs)
        hidden, epsilon = config.hidden_dim, config.layer_norm_epsilon
        common = {"scale": config.initializer_range, "dtype": self.dtype_policy}
        self.approximate = config.activation == "gelu_tanh"
        with keras.name_scope(self.name):
            self.transform = Dense(hidden, hidden, name="transform", seed=seed, **common)
            self.norm = LayerNorm(hidden, epsilon, name="norm", **common)
        self.bias = self.vector("bias", config.vocabulary_size)

    def call(self, hidden_states, positions, token_embedding, seed=None):
        """Gathers before it projects, so that only predictions cost a row of V.

        Args:
            hidden_states: [B, L, H].
            positions: int32 [B, P].
            token_embedding: [V, H].
            seed: whether it is training, as for `Encoder.call`; nothing is drawn here.

        Returns:
            float32 [B*P, V].
        """
        x = tf.gather(hidden_states, positions, batch_dims=1)  # [B, P, H]
        x = tf.reshape(x, [-1, hidden_states.shape[-1]])  # [B*P, H]
        x = bias_gelu(*self.transform(x, product=True), seed=seed, approximate=self.approximate)
        x = self.norm(x, seed=seed)
        logits = tf.matmul(x, tf.cast(token_embedding, x.dtype), transpose_b=True)
        return tf.cast(logits, tf.float32) + tf.cast(self.bias, tf.float32)


class Pretrainer(keras.Model):
    """An encoder with BERT's two pretraining heads."""

    def __init__(self, config: EncoderConfig, seed: int = 0, precision: str = "float32"):
        super().__init__(name="pretrainer", dtype=precision)
        self.config = config
        common = {"scale": config.initializer_range, "dtype": precision}
        first = seed * SEEDS_A_MODEL + HEAD_SEEDS
        self.encoder = Encoder(config, seed, precision)
        self.masked_lm = MaskedLMHead(config, seed=first, dtype=precision)
        self.pooler = Pooler(
            config.hidden_dim, config.hidden_dim, name="pooler", seed=first + 1, **common
        )
        self.next_sentence = Dense(
            config.hidden_dim, 2, name="next_sentence", seed=first + 2, **common
        )
        self.built = True

    def call(self, features, seed=None):
        """Logits of both objectives.

        Args:
            features: as for `Encoder.call`, and `masked_lm_positions` [B, P].
            seed: int32 [2] or None, as for `Encoder.call`.

        Returns:
            `masked_lm_logits` float32 [B*P, V] and `next_sentence_logits` float32 [B, 2].
        """
        hidden_states = self.encoder(features, seed=seed)
        return {
            "masked_lm_logits": self.masked_lm(
                hidden_states,
                features["masked_lm_positions"],
                self.encoder.embeddings.token,
                seed=seed,
            ),
            "next_sentence_logits": tf.cast(
                self.next_sentence(self.pooler(hidden_states)), tf.float32
            ),
        }


class Classifier(keras.Model):
    """An encoder, its pooler and one linear layer over classes (arXiv:1810.04805, section 4.1)."""

    def __init__(
        self, config: EncoderConfig, num_labels: int, seed: int = 0, precision: str = "float32"
    ):
        super().__init__(name="classifier", dtype=precision)
        self.config, self.num_labels = config, num_labels
        common = {"scale": config.initializer_range, "dtype": precision}
        first = seed * SEEDS_A_MODEL + HEAD_SEEDS
        self.encoder = Encoder(config, seed, precision)
        self.pooler = Pooler(
            config.hidden_dim, config.hidden_dim, name="pooler", seed=first + 1, **common
        )
        self.output_layer = Dense(
            config.hidden_dim, num_labels, name="classes", seed=first + 3, **common
        )
        self.built = True

    def call(self, features, seed=None):
        """Class logits, float32 [B, labels]; arguments as for `Encoder.call`."""
        pooled = dropout(
            self.pooler(self.encoder(features, seed=seed)),
            self.config.dropout,
            fold_in(seed, POOLED),
        )
        return tf.cast(self.output_layer(pooled), tf.float32)
