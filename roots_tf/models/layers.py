"""The parts of a transformer block, over rows: every tensor is [B*L, ...] until heads split.

Dropout is not a layer with a hidden state: it is on where a `seed` is given, and draws from that
seed and a number that is the layer's own, so that masks differ between layers, steps and replicas
and can be drawn again.
"""

import keras
import tensorflow as tf


def gelu(x: tf.Tensor, approximate: bool = False) -> tf.Tensor:
    """Gaussian error linear unit, x * P(X <= x) (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return tf.nn.gelu(x, approximate=approximate)


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None, salt: int) -> tf.Tensor:
    """Zeroes a share `rate` of the elements and scales the others up; nothing without a seed.

    Args:
        x: any shape.
        rate: share of elements set to zero.
        seed: int32 [2], or None at inference.
        salt: number of the place in the model, so that two places draw different masks.
    """
    if seed is None or rate == 0.0:
        return x
    place_seed = tf.random.experimental.stateless_fold_in(seed, salt)
    return tf.nn.experimental.stateless_dropout(x, rate, place_seed, rng_alg="philox")


class Weights(keras.layers.Layer):
    """A layer whose weights exist as soon as it does, each initialised from a seed of its own.

    Args:
        seed: the seed of this layer's first weight.
        scale: standard deviation of the truncated normal for matrices.
    """

    def __init__(self, name: str, seed: int = 0, scale: float = 0.02, **kwargs):
        super().__init__(name=name, **kwargs)
        self._seed, self._scale = seed, scale
        self.built = True  # nothing is left to Keras' lazy building

    def matrix(self, name: str, *shape: int):
        """A weight drawn from a normal truncated at two standard deviations."""
        self._seed += 1
        initializer = keras.initializers.TruncatedNormal(stddev=self._scale, seed=self._seed)
        return self.add_weight(name=name, shape=shape, initializer=initializer)

    def vector(self, name: str, size: int, start: str = "zeros"):
        """A bias ("zeros") or a gain ("ones")."""
        return self.add_weight(name=name, shape=(size,), initializer=start)


class Dense(Weights):
    """x W + b: [R, K] -> [R, M]."""

    def __init__(self, inputs: int, outputs: int, **kwargs):
        super().__init__(**kwargs)
        self.kernel = self.matrix("kernel", inputs, outputs)
        self.bias = self.vector("bias", outputs)

    def call(self, x):
        """[R, K] -> [R, M]."""
        return tf.nn.bias_add(tf.matmul(x, self.kernel), self.bias)


class LayerNorm(Weights):
    """Normalises each row to mean 0 and variance 1, then scales and shifts: [R, H] -> [R, H].

    Ba et al. 2016 (arXiv:1607.06450). Computed in float32 whatever the compute type is.
    """

    def __init__(self, size: int, epsilon: float, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.gamma = self.vector("gamma", size, "ones")
        self.beta = self.vector("beta", size)

    def call(self, x):
        """[R, H] -> [R, H], in the type of `x`."""
        rows = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(rows, axes=[-1], keepdims=True)
        gain = tf.math.rsqrt(variance + self.epsilon) * tf.cast(self.gamma, tf.float32)
        return tf.cast(rows * gain + (tf.cast(self.beta, tf.float32) - mean * gain), x.dtype)


class SelfAttention(Weights):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2), one product for q, k and v."""

    def __init__(self, hidden_dim: int, num_heads: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.num_heads, self.head_dim = num_heads, hidden_dim // num_heads
        self.dropout = dropout
        self.query_key_value_kernel = self.matrix(
            "query_key_value_kernel", hidden_dim, 3 * hidden_dim
        )
        self.query_key_value_bias = self.vector("query_key_value_bias", 3 * hidden_dim)
        self.output_kernel = self.matrix("output_kernel", hidden_dim, hidden_dim)
        self.output_bias = self.vector("output_bias", hidden_dim)

    def call(self, x, bias, seed=None, salt=0):
        """Attends within each sequence.

        Args:
            x: [B*L, H].
            bias: [B, 1, 1 or L, L], added to the scores: 0 where a query may see a key, else a
                number so low that the key gets no weight.
            seed: int32 [2] for dropout, or None.
            salt: number of this layer's dropout.

        Returns:
            [B*L, H].
        """
        length = tf.shape(bias)[-1]
        mixed = tf.nn.bias_add(
            tf.matmul(x, self.query_key_value_kernel), self.query_key_value_bias
        )  # [B*L, 3H]
        heads = tf.reshape(mixed, [-1, length, 3, self.num_heads, self.head_dim])
        query, key, value = tf.unstack(
            tf.transpose(heads, [2, 0, 3, 1, 4]), num=3
        )  # 3 x [B, N, L, D]
        query *= tf.cast(self.head_dim**-0.5, query.dtype)
        scores = tf.matmul(query, key, transpose_b=True)  # [B, N, L, L]
        scores = tf.nn.softmax(tf.cast(scores, tf.float32) + tf.cast(bias, tf.float32))
        scores = dropout(tf.cast(scores, x.dtype), self.dropout, seed, salt)
        context = tf.transpose(tf.matmul(scores, value), [0, 2, 1, 3])  # [B, L, N, D]
        context = tf.reshape(context, [-1, self.num_heads * self.head_dim])  # [B*L, H]
        return tf.nn.bias_add(tf.matmul(context, self.output_kernel), self.output_bias)


class Block(Weights):
    """One transformer block: attention, then a feed-forward layer, each with its residual sum."""

    def __init__(self, config, index: int, seed: int, **kwargs):
        scale = config.initializer_range
        super().__init__(name=f"layer_{index}", seed=seed, scale=scale, **kwargs)
        hidden, wide, epsilon = (
            config.hidden_dim,
            config.intermediate_dim,
            config.layer_norm_epsilon,
        )
        common = {"scale": scale, "dtype": self.dtype_policy}
        self.config = config
        self.salt = 4 * index + 1  # 0 is the embeddings' dropout
        with keras.name_scope(self.name):
            self.attention = SelfAttention(
                hidden, config.num_heads, config.dropout, name="attention", seed=seed, **common
            )
            self.attention_norm = LayerNorm(hidden, epsilon, name="attention_norm", **common)
            self.expand = Dense(hidden, wide, name="expand", seed=seed + 2, **common)
            self.contract = Dense(wide, hidden, name="contract", seed=seed + 3, **common)
            self.output_norm = LayerNorm(hidden, epsilon, name="output_norm", **common)

    def call(self, x, bias, seed=None):
        """[B*L, H] -> [B*L, H]; arguments as in `SelfAttention.call`."""
        rate, salt, pre = self.config.dropout, self.salt, self.config.norm == "pre"
        attended = self.attention(self.attention_norm(x) if pre else x, bias, seed=seed, salt=salt)
        x = x + dropout(attended, rate, seed, salt + 1)
        x = x if pre else self.attention_norm(x)
        wide = self.expand(self.output_norm(x) if pre else x)  # [B*L, I]
        wide = gelu(wide, approximate=self.config.activation == "gelu_tanh")
        x = x + dropout(self.contract(wide), rate, seed, salt + 2)
        return x if pre else self.output_norm(x)
