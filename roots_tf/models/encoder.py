"""The encoder: token ids in, one vector a token out (Devlin et al. 2019, arXiv:1810.04805)."""

import functools

import keras
import tensorflow as tf

from roots_tf.models.config import EncoderConfig
from roots_tf.models.layers import (
    Block,
    Dense,
    LayerNorm,
    View,
    Weights,
    add_bias,
    bias_gelu,
    dropout,
    fold_in,
    keep_mask,
    rotation,
)

SEEDS_A_MODEL = 1_000_000  # initial weights of model seed s draw from seeds s * this and up
HEAD_SEEDS = 900_000  # where those of the heads start


class Embeddings(Weights):
    """Sum of token, segment and learned position embeddings, normalised: [B, L] -> [B*L, H]."""

    def __init__(self, config: EncoderConfig, seed: int, **kwargs):
        super().__init__(name="embeddings", seed=seed, scale=config.initializer_range, **kwargs)
        hidden = config.hidden_dim
        self.config = config
        self.token = self.matrix("token", config.vocabulary_size, hidden, table=True)
        self.position = None
        if config.positions == "learned":
            self.position = self.matrix("position", config.max_sequence_length, hidden, table=True)
        self.segment = self.matrix("segment", config.num_segments, hidden, table=True)
        with keras.name_scope(self.name):
            self.norm = LayerNorm(
                hidden,
                config.layer_norm_epsilon,
                config.bias,
                name="norm",
                dtype=self.dtype_policy,
            )

    def call(self, features, seed=None):
        """Ids to rows; arguments as for `Encoder.call`."""
        token_ids, segment_ids = features["token_ids"], features["segment_ids"]
        length = tf.shape(token_ids)[1]
        if "token_embeddings" in features:
            x = tf.cast(features["token_embeddings"], tf.float32)  # [B, L, H]
        else:
            x = tf.gather(self.token, token_ids)  # [B, L, H]
        if self.position is not None and "position_ids" in features:
            x += tf.gather(self.position, features["position_ids"])
        elif self.position is not None:
            x += self.position[:length]
        # A product with one-hot rows: the gradient of a gather over two rows is a slow scatter.
        segments = tf.one_hot(segment_ids, self.config.num_segments)
        x += tf.tensordot(segments, tf.convert_to_tensor(self.segment), 1)
        rows = tf.reshape(x, [-1, self.config.hidden_dim])  # [B*L, H]
        x, rate = self.norm(rows, training=seed is not None), self.config.dropout
        return dropout(x, rate, keep_mask(x, rate, fold_in(seed, 0)))


def seen_keys(features: dict[str, tf.Tensor], window: int = 0) -> tf.Tensor:
    """Whether a query may see a key: bool [B, 1, 1 or L, L].

    With `document_ids` a token sees its own document only, otherwise every token that is not
    padding; with a window, of these the nearest window / 2 to each side.

    >>> seen_keys({"padding_mask": tf.constant([[True, True, True, False]])}, 2)[0, 0].numpy()
    array([[ True,  True, False, False],
           [ True,  True,  True, False],
           [False,  True,  True, False],
           [False, False,  True, False]])
    """
    if "document_ids" in features:
        documents = features["document_ids"]
        seen = documents[:, :, None] == documents[:, None, :]  # [B, L, L]
    else:
        seen = features["padding_mask"][:, None]  # [B, 1, L]
    if window:
        index = tf.range(tf.shape(seen)[-1])
        seen &= tf.abs(index[:, None] - index) <= window // 2  # [B, L, L]
    return seen[:, None]


def make_view(config: EncoderConfig, features: dict[str, tf.Tensor], local: bool) -> View:
    """What the tokens of local layers, or of the others, see; arguments as for `Encoder.call`."""
    turned = None
    if config.positions == "rotary":
        length = tf.shape(features["token_ids"])[1]
        position_ids = features.get("position_ids", tf.range(length)[None])  # [B or 1, L]
        base = config.local_rotary_base if local else config.rotary_base
        turned = rotation(position_ids, config.head_dim, base)
    return View(seen_keys(features, config.window if local else 0), turned)


class Encoder(keras.Model):
    """A BERT encoder.

    Args:
        config: its sizes.
        seed: of the initial weights.
        precision: a Keras dtype policy name: "float32", "mixed_bfloat16" or "mixed_float16".
        recompute: in training, keep of each block only its input and compute the rest again in
            the backward pass: a third more work for a fraction of the memory (Chen et al. 2016,
            arXiv:1604.06174).
    """

    def __init__(
        self,
        config: EncoderConfig,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ):
        super().__init__(name="encoder", dtype=precision)
        self.config, self.recompute = config, recompute
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
                    config.hidden_dim,
                    config.layer_norm_epsilon,
                    config.bias,
                    name="final_norm",
                    dtype=precision,
                )
        self.built = True

    def call(self, features, seed=None):
        """Encodes a batch.

        Args:
            features: `token_ids`, `segment_ids` and `padding_mask` [B, L]; packed rows also have
                `position_ids` and `document_ids` [B, L]. With `token_embeddings` [B, L, H] these
                stand for the rows of the token table.
            seed: int32 [2] turns dropout on and decides its masks; None is inference.

        Returns:
            [B, L, H] in the compute type.
        """
        x = self.embeddings(features, seed=seed)
        for block, view in zip(self.blocks, self.views(features), strict=True):
            run = functools.partial(block, view=view, seed=seed)
            x = tf.recompute_grad(run)(x) if self.recompute and seed is not None else run(x)
        if self.final_norm is not None:
            x = self.final_norm(x, training=seed is not None)
        return tf.reshape(x, tf.concat([tf.shape(features["token_ids"]), [-1]], 0))

    def views(self, features) -> list[View]:
        """What the tokens see in each layer; layers of one kind share it."""
        local_layers = [self.config.is_local(layer) for layer in range(self.config.num_layers)]
        views = {local: make_view(self.config, features, local) for local in set(local_layers)}
        return [views[local] for local in local_layers]


class Pooler(Dense):
    """tanh of a dense layer over the first token: [B, L, H] -> [B, H]."""

    def __init__(self, config: EncoderConfig, **kwargs):
        hidden, scale = config.hidden_dim, config.initializer_range
        super().__init__(hidden, hidden, config.bias, name="pooler", scale=scale, **kwargs)

    def call(self, hidden_states):
        """[B, L, H] -> [B, H]."""
        return tf.tanh(super().call(hidden_states[:, 0]))


class PooledEncoder(keras.Model):
    """An encoder by itself, with its pooler where it has one.

    Args:
        config: its sizes.
        pooler: whether there is a pooler.
        seed, precision, recompute: as for `Encoder`.
    """

    def __init__(
        self,
        config: EncoderConfig,
        pooler: bool = True,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ):
        super().__init__(name="encoder", dtype=precision)
        self.config = config
        self.encoder = Encoder(config, seed, precision, recompute)
        first = seed * SEEDS_A_MODEL + HEAD_SEEDS
        self.pooler = Pooler(config, seed=first + 1, dtype=precision) if pooler else None
        self.description = {"pooler": pooler}  # what `model.json` says besides its sizes
        self.built = True

    def call(self, features, seed=None):
        """`hidden_states` [B, L, H] and, with a pooler, `pooled` [B, H], in the compute type.

        Arguments as for `Encoder.call`.
        """
        return self.head(self.encoder(features, seed=seed))

    def head(self, hidden_states, seed=None):
        """The encoder's output, [B, L, H], and what the pooler makes of it; nothing is drawn."""
        pooled = {"pooled": self.pooler(hidden_states)} if self.pooler else {}
        return {"hidden_states": hidden_states} | pooled


class MaskedLMHead(Weights):
    """Vocabulary logits at the masked positions, output embedding tied to the input's."""

    def __init__(self, config: EncoderConfig, seed: int, **kwargs):
        super().__init__(name="masked_lm", seed=seed, scale=config.initializer_range, **kwargs)
        hidden, epsilon = config.hidden_dim, config.layer_norm_epsilon
        common = {
            "bias": config.bias,
            "scale": config.initializer_range,
            "dtype": self.dtype_policy,
        }
        self.approximate = config.activation == "gelu_tanh"
        with keras.name_scope(self.name):
            self.transform = Dense(hidden, hidden, name="transform", seed=seed, **common)
            self.norm = LayerNorm(hidden, epsilon, name="norm", **common)
        self.bias = self.vector("bias", config.vocabulary_size)

    def call(self, hidden_states, positions, token_embedding, training=False):
        """Gathers before it projects, so that only predictions cost a row of V.

        Args:
            hidden_states: [B, L, H].
            positions: int32 [B, P].
            token_embedding: [V, H].
            training: whether the parts between products are compiled; nothing is drawn here.

        Returns:
            float32 [B*P, V].
        """
        x = tf.gather(hidden_states, positions, batch_dims=1)  # [B, P, H]
        x = tf.reshape(x, [-1, hidden_states.shape[-1]])  # [B*P, H]
        x = bias_gelu(
            *self.transform(x, product=True), training=training, approximate=self.approximate
        )
        x = self.norm(x, training=training)
        logits = tf.matmul(x, tf.cast(token_embedding, x.dtype), transpose_b=True)
        return add_bias(tf.cast(logits, tf.float32), tf.convert_to_tensor(self.bias))


class Pretrainer(keras.Model):
    """An encoder with BERT's two pretraining heads; arguments as for `Encoder`."""

    def __init__(
        self,
        config: EncoderConfig,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ):
        super().__init__(name="pretrainer", dtype=precision)
        self.config = config
        common = {"scale": config.initializer_range, "dtype": precision}
        first = seed * SEEDS_A_MODEL + HEAD_SEEDS
        self.encoder = Encoder(config, seed, precision, recompute)
        self.masked_lm = MaskedLMHead(config, seed=first, dtype=precision)
        self.pooler = Pooler(config, seed=first + 1, dtype=precision)
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
                training=seed is not None,
            ),
            "next_sentence_logits": tf.cast(
                self.next_sentence(self.pooler(hidden_states)), tf.float32
            ),
        }
