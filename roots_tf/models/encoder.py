"""The encoder: token ids in, one vector a token out (Devlin et al. 2019, arXiv:1810.04805)."""

from collections.abc import Iterator

import keras
import tensorflow as tf

from roots_tf.models.attention import Context
from roots_tf.models.cache import Cache, EmptyCache
from roots_tf.models.config import EncoderConfig
from roots_tf.models.embeddings import Embeddings
from roots_tf.models.layers import (
    Dense,
    Norm,
    Weights,
    add_bias,
    bias_activation,
)
from roots_tf.models.soft_prompt import SoftPrompt
from roots_tf.models.stack import Stack, State
from roots_tf.seeds import Place
from roots_tf.storage.files import InputError


class Encoder(keras.Model):
    """Embeddings and a stack of blocks: an encoder, or, where tokens see no later ones, a decoder.

    Args:
        config: its sizes.
        seed: of the initial weights.
        precision: a Keras dtype policy name: "float32", "mixed_bfloat16" or "mixed_float16".
        recompute: in training, keep of each block only its input and compute the rest again in
            the backward pass: a third more work for a fraction of the memory (Chen et al. 2016,
            arXiv:1604.06174).
        name: that the paths of its weights begin with; two encoders of a model need two names.
        causal: whether tokens see no later ones, whatever the config says.
        cross_attention: whether blocks attend to another stack too.
        token: as for `Embeddings`.
    """

    def __init__(
        self,
        config: EncoderConfig,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
        name: str = "encoder",
        causal: bool = False,
        cross_attention: bool = False,
        token: keras.Variable | None = None,
    ):
        super().__init__(name=name, dtype=precision)
        self.config = config
        place = Place(seed, name)
        with keras.name_scope(name):
            self.embeddings = Embeddings(config, token, place=place / "embeddings", dtype=precision)
            self.prompt = None
            if config.prompt_length:
                self.prompt = SoftPrompt(config, place=place / "soft_prompt", dtype=precision)
        self.stack = Stack(
            config,
            causal=causal or config.causal,
            cross_attention=cross_attention,
            recompute=recompute,
            place=place,
            dtype=precision,
        )
        self.built = True

    def call(self, features, seed=None, causal: bool | None = None, context: Context | None = None):
        """Encodes a batch.

        Args:
            features: `token_ids`, `segment_ids` and `padding_mask` [B, L]; packed rows also have
                `position_ids` and `document_ids` [B, L]. `token_embeddings` [B, L, H], if given,
                stand for the rows of the token table.
            seed: int32 [2] turns dropout on and decides its masks; None is inference.
            causal: as for `Stack.views`.
            context: as for `Stack.walk`.

        Returns:
            [B, L, H] in the compute type.
        """
        for state in self.walk(features, seed, causal=causal, context=context):
            hidden_states = state.hidden_states  # of one layer at a time; a list would keep all
        return hidden_states

    def walk(
        self,
        features,
        seed=None,
        watched: bool = False,
        causal: bool | None = None,
        context: Context | None = None,
    ) -> Iterator[State]:
        """Encodes a batch layer by layer.

        Args:
            features: as for `Encoder.call`.
            seed: likewise.
            watched: whether each block's attention scores and weights are asked for.
            causal: as for `Stack.views`.
            context: as for `Stack.walk`.

        Yields:
            The `State` of the embedding layer and of each block; that of the last one normalised,
            if blocks are pre-norm. Hidden states are [B, L, H].
        """
        if self.prompt is not None:
            features = self.prompt.before(features, self.embeddings.token)
        own = self.prompt.without if self.prompt is not None else lambda state: state
        shape = tf.concat([tf.shape(features["token_ids"]), [-1]], 0)
        rows = self.embeddings(features, seed=seed)
        yield own(State(tf.reshape(rows, shape)))
        views = self.stack.views(features, causal=causal, watched=watched)
        for state in self.stack.walk(rows, views, seed, watched, context=context):
            yield own(state._replace(hidden_states=tf.reshape(state.hidden_states, shape)))

    def step(
        self,
        queries,
        keys,
        caches: list[Cache | EmptyCache],
        context: Context | None = None,
    ) -> tuple[tf.Tensor, list[Cache]]:
        """The states of some new tokens, given the caches of those before them.

        Args:
            queries: features of the new tokens, as for `call`: [B, Lq] each, with `position_ids`
                where rows have begun at different places.
            keys: `padding_mask` [B, Lmax] of all places of the caches, the new ones among them,
                and `token_ids` of that shape, whose values do not count.
            caches: from `Stack.caches`, or of the step before.
            context: as for `Stack.walk`.

        Returns:
            Hidden states [B, Lq, H] in the compute type, and the caches with the new tokens.
        """
        if self.config.num_segments > 1:
            queries = {"segment_ids": tf.zeros_like(queries["token_ids"])} | queries
        rows, length = tf.unstack(tf.shape(queries["token_ids"]))
        shape = [rows, -1, self.config.hidden_dim]
        if self.prompt is not None:
            table = self.embeddings.token
            queries, keys = self.prompt.step(queries, keys, caches, table)
        rows = self.embeddings(queries)
        views = self.stack.views(keys, queries, start=caches[0].start)
        written = []
        for state in self.stack.walk(rows, views, caches=caches, context=context):
            rows = state.hidden_states
            written.append(state.cache)
        return tf.reshape(rows, shape)[:, -length:], written


class Pooler(Dense):
    """tanh of a dense layer over the first token: [B, L, H] -> [B, H].

    Args:
        config: of the model.
        seed: of its initial weights.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, seed: int, **kwargs):
        hidden, place = config.hidden_dim, Place(seed, "pooler")
        scale = config.initializer_range
        super().__init__(hidden, hidden, config.bias, place=place, scale=scale, **kwargs)

    def call(self, hidden_states):
        """[B, L, H] -> [B, H]."""
        return tf.tanh(super().call(hidden_states[:, 0]))


class PooledEncoder(keras.Model):
    """An encoder by itself, with its pooler where it has one.

    Args:
        config: its sizes.
        pooler: whether there is a pooler.
        seed: as for `Encoder`.
        precision: likewise.
        recompute: likewise.
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
        self.pooler = Pooler(config, seed, dtype=precision) if pooler else None
        self.description = {"pooler": pooler}  # what `model.json` says besides its sizes
        self.built = True

    def call(self, features, seed=None):
        """`hidden_states` [B, L, H] and, with a pooler, `pooled` [B, H], in the compute type.

        `features` and `seed` as for `Encoder.call`.
        """
        return self.head(self.encoder(features, seed=seed))

    def head(self, hidden_states, seed=None):
        """`hidden_states` [B, L, H] and what the pooler makes of them; `seed` is not used."""
        pooled = {"pooled": self.pooler(hidden_states)} if self.pooler else {}
        return {"hidden_states": hidden_states} | pooled


class MaskedLMHead(Weights):
    """Vocabulary logits at the masked positions; the output embedding is the input's.

    Args:
        config: of the model, with the width of its embedding.
        place: of the head.
        inputs: width of the hidden states; 0: that of the embedding.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, place: Place, inputs: int = 0, **kwargs):
        super().__init__(place=place, **kwargs)
        hidden, dtype = config.hidden_dim, self.dtype_policy
        self.activation, self.cap = config.activation, config.masked_logit_cap
        with keras.name_scope(self.name):
            self.transform = Dense(
                inputs or hidden,
                hidden,
                config.bias,
                place=self.place / "transform",
                scale=config.initializer_range,
                dtype=dtype,
            )
            self.norm = Norm(config, place=self.place / "norm", dtype=dtype)
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
        x = tf.reshape(x, [-1, self.transform.kernel.shape[0]])  # [B*P, H]
        x = bias_activation(
            *self.transform(x, product=True), training=training, kind=self.activation
        )
        x = self.norm(x, training=training)
        logits = tf.matmul(x, tf.cast(token_embedding, x.dtype), transpose_b=True)
        logits = add_bias(tf.cast(logits, tf.float32), tf.convert_to_tensor(self.bias))
        return self.cap * tf.tanh(logits / self.cap) if self.cap else logits


class Pretrainer(keras.Model):
    """An encoder with BERT's two pretraining heads.

    Args:
        config: its sizes.
        seed: as for `Encoder`.
        precision: likewise.
        recompute: likewise.
    """

    def __init__(
        self,
        config: EncoderConfig,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ):
        super().__init__(name="pretrainer", dtype=precision)
        if not config.tied:
            raise InputError(
                "wrong-value",
                "found tied=False for a masked language model; wanted True: its output embedding "
                "is the input's",
            )
        self.config = config
        self.encoder = Encoder(config, seed, precision, recompute)
        self.masked_lm = MaskedLMHead(config, Place(seed, "masked_lm"), dtype=precision)
        self.pooler = Pooler(config, seed, dtype=precision)
        self.next_sentence = Dense(
            config.hidden_dim,
            2,
            place=Place(seed, "next_sentence"),
            scale=config.initializer_range,
            dtype=precision,
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
            "masked_lm_logits": self._masked_lm_logits(hidden_states, features, seed),
            "next_sentence_logits": tf.cast(
                self.next_sentence(self.pooler(hidden_states)), tf.float32
            ),
        }

    def likeliest(
        self, features, top: int, num_tokens: int | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The pieces that most likely stand at each masked position, likeliest first.

        Args:
            features: as for `Pretrainer.call`.
            top: how many at each position; as many as there are tokens at most.
            num_tokens: ids of the tokenizer; rows of the embedding behind them are no candidates.
                None: V.

        Returns:
            Ids, int32 [B*P, top], and their probabilities, float32 [B*P, top].
        """
        logits = self._masked_lm_logits(self.encoder(features), features)[:, :num_tokens]
        top = min(top, num_tokens or self.config.vocabulary_size)
        probabilities, ids = tf.math.top_k(tf.nn.softmax(logits), top)
        return ids, probabilities

    def _masked_lm_logits(self, hidden_states, features, seed=None) -> tf.Tensor:
        """Float32 [B*P, V], from the encoder's output [B, L, H]."""
        positions, table = features["masked_lm_positions"], self.encoder.embeddings.token
        return self.masked_lm(hidden_states, positions, table, training=seed is not None)
