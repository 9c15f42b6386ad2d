"""A causal language model: ids in, logits of the token that follows each out (GPT).

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3: a stack in
which no token sees a later one, whose output embedding is that of the input, or, as in Llama, one
of its own. The stack's weights have the names that they have in an encoder, so that either can
start from the other.
"""

import keras
import tensorflow as tf

from roots_tf.models.cache import Cache, EmptyCache
from roots_tf.models.config import EncoderConfig
from roots_tf.models.encoder import Encoder
from roots_tf.models.layers import Weights
from roots_tf.seeds import Place


def projected(hidden_states, table: keras.Variable) -> tf.Tensor:
    """Products of `hidden_states` [..., H] and the rows of a `table` [V, H]: float32 [..., V]."""
    rows = tf.reshape(hidden_states, [-1, table.shape[1]])
    compute = tf.cast(tf.convert_to_tensor(table), rows.dtype)
    logits = tf.cast(tf.matmul(rows, compute, transpose_b=True), tf.float32)
    shape = tf.concat([tf.shape(hidden_states)[:-1], [table.shape[0]]], 0)
    return tf.reshape(logits, shape)


class OutputTable(Weights):
    """An output embedding [V, H] of its own.

    Args:
        config: of the model.
        seed: of its initial weights.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, seed: int, **kwargs):
        super().__init__(place=Place(seed, "head"), scale=config.initializer_range, **kwargs)
        size = config.vocabulary_size, config.hidden_dim
        self.table = self.matrix("table", *size, table=True)


class CausalLM(keras.Model):
    """A decoder, whose output embedding is the input's where `config.tied`.

    Args:
        config: its sizes.
        seed: of the initial weights.
        precision: as for `Encoder`.
        recompute: likewise.
        name: of the model, a row of `folder.MODELS`.
    """

    def __init__(
        self,
        config: EncoderConfig,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
        name: str = "causal_lm",
    ):
        super().__init__(name=name, dtype=precision)
        self.config = config
        self.encoder = Encoder(config, seed, precision, recompute, causal=True)
        self.head = None if config.tied else OutputTable(config, seed, dtype=precision)
        self.built = True

    @property
    def output_table(self) -> keras.Variable:
        """The output embedding [V, H]."""
        return self.encoder.embeddings.token if self.head is None else self.head.table

    def call(self, features, seed=None):
        """Hidden states, [B, L, H] in the compute type; `features`, `seed` as `Encoder.call`."""
        return self.encoder(features, seed=seed)

    def logits(self, hidden_states) -> tf.Tensor:
        """Of the token that follows: [..., H] -> float32 [..., V]."""
        return projected(hidden_states, self.output_table)

    def caches(self, length: int, xla: bool = False) -> list[EmptyCache]:
        """Empty caches, one a block; arguments as for `Stack.caches`."""
        return self.encoder.stack.caches(length, xla)

    def step(
        self, queries, keys, caches: list[Cache | EmptyCache]
    ) -> tuple[tf.Tensor, list[Cache]]:
        """The states of some new tokens; `queries`, `keys`, `caches` as for `Encoder.step`."""
        return self.encoder.step(queries, keys, caches)
