"""The parts of a transformer block, over rows: every tensor is [B*L, ...] until heads split.

Dropout is not a layer with a hidden state: it is on where a `seed` is given, and draws from that
seed and a number that is the layer's own, so that masks differ between layers, steps and replicas
and can be drawn again.

What lies between two matrix products is one function, which `fused` compiles into one kernel in
training. On a CPU the products themselves stay with TensorFlow, whose library beats XLA's.
"""

import functools

import keras
import tensorflow as tf


def fused(function):
    """Compiles an elementwise function, and its gradient, with XLA where a seed says: training.

    The gradient starts from the inputs again, so nothing in between is kept in memory. BERT-mini's
    GELU over [4096, 1024], forward and backward, takes a seventh of the time it takes op by op.

    Args:
        function: of tensors, a keyword `seed` (int32 [2] or None) and keywords that are no tensors.

    Returns:
        The same function; without a seed it runs op by op, so that an exported graph holds plain
        ops only.
    """
    forward = tf.function(function, jit_compile=True)

    @functools.partial(tf.function, jit_compile=True)
    def backward(tensors, upstream, seed, **static):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = function(*tensors, seed=seed, **static)
        return tape.gradient(outputs, tensors, upstream)

    @functools.wraps(function)
    def call(*tensors, seed, **static):
        if seed is None:
            return function(*tensors, seed=None, **static)

        @tf.custom_gradient
        def compiled(*tensors):
            outputs = forward(*tensors, seed=seed, **static)
            return outputs, lambda upstream: backward(tensors, upstream, seed, **static)

        return compiled(*tensors)

    return call


def gelu(x: tf.Tensor, approximate: bool = False) -> tf.Tensor:
    """Gaussian error linear unit, x * P(X <= x) (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return tf.nn.gelu(x, approximate=approximate)


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Zeroes a share `rate` of the elements and scales the others up; nothing without a seed.

    Args:
        x: any shape.
        rate: share of elements set to zero.
        seed: int32 [2], of this place in the model; or None at inference.
    """
    if seed is None or rate == 0.0:
        return x
    return tf.nn.experimental.stateless_dropout(x, rate, seed, rng_alg="philox")


def fold_in(seed: tf.Tensor | None, place: int) -> tf.Tensor | None:
    """A seed for one place in the model, so that two places draw different masks."""
    return None if seed is None else tf.random.experimental.stateless_fold_in(seed, place)


def layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Rows to mean 0 and variance 1, scaled and shifted: [R, H] -> [R, H].

    Ba et al. 2016 (arXiv:1607.06450). Computed in float32 whatever the type of `x` is.
    """
    rows, gamma, beta = (tf.cast(tensor, tf.float32) for tensor in (x, gamma, beta))
    mean, variance = tf.nn.moments(rows, axes=[-1], keepdims=True)
    gain = tf.math.rsqrt(variance + epsilon) * gamma
    return tf.cast(rows * gain + (beta - mean * gain), x.dtype)


@fused
def norm(x, gamma, beta, *, seed, epsilon):
    """`layer_norm`; the seed only says whether it is training."""
    return layer_norm(x, gamma, beta, epsilon)


@fused
def bias_gelu(x, bias, *, seed, approximate):
    """GELU of x + bias."""
    return gelu(x + bias, approximate)


@fused
def add_residual(residual, x, bias, *, seed, rate):
    """residual + dropout(x + bias)."""
    return residual + dropout(x + bias, rate, seed)


@fused
def add_residual_norm(residual, x, bias, gamma, beta, *, seed, rate, epsilon):
    """Layer norm of residual + dropout(x + bias)."""
    return layer_norm(residual + dropout(x + bias, rate, seed), gamma, beta, epsilon)


@fused
def attention_weights(scores, bias, *, seed, rate, scale):
    """dropout(softmax(scores * scale + bias)), the softmax in float32: [B, N, L, L]."""
    scores_32 = tf.cast(scores, tf.float32) * scale + tf.cast(bias, tf.float32)
    return dropout(tf.cast(tf.nn.softmax(scores_32), scores.dtype), rate, seed)


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
    """x W + b: [R, K] -> [R, M]; `product` leaves the bias to the function that follows."""

    def __init__(self, inputs: int, outputs: int, **kwargs):
        super().__init__(**kwargs)
        self.kernel = self.matrix("kernel", inputs, outputs)
        self.bias = self.vector("bias", outputs)

    def call(self, x, product: bool = False):
        """[R, K] -> [R, M], or x W alone and the bias in the type of x."""
        result, bias = tf.matmul(x, self.kernel), tf.cast(self.bias, x.dtype)
        return (result, bias) if product else tf.nn.bias_add(result, bias)


class LayerNorm(Weights):
    """Gain and bias of a layer normalisation: [R, H] -> [R, H]."""

    def __init__(self, size: int, epsilon: float, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.gamma = self.vector("gamma", size, "ones")
        self.beta = self.vector("beta", size)

    def call(self, x, seed=None):
        """[R, H] -> [R, H], in the type of `x`."""
        return norm(x, *self.parameters(), seed=seed, epsilon=self.epsilon)

    def parameters(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Gain and bias as tensors."""
        return tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)


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

    def call(self, x, bias, seed=None):
        """Attends within each sequence.

        Args:
            x: [B*L, H].
            bias: [B, 1, 1 or L, L], added to the scores: 0 where a query may see a key, else a
                number so low that the key gets no weight.
            seed: int32 [2] for dropout, or None.

        Returns:
            [B*L, H], without the bias of the last product, and that bias.
        """
        length = tf.shape(bias)[-1]
        mixed = tf.nn.bias_add(
            tf.matmul(x, self.query_key_value_kernel), self.query_key_value_bias
        )  # [B*L, 3H]
        heads = tf.reshape(mixed, [-1, length, 3, self.num_heads, self.head_dim])
        query, key, value = tf.unstack(
            tf.transpose(heads, [2, 0, 3, 1, 4]), num=3
        )  # 3 x [B, N, L, D]
        scores = tf.matmul(query, key, transpose_b=True)  # [B, N, L, L]
        weights = attention_weights(
            scores, bias, seed=seed, rate=self.dropout, scale=self.head_dim**-0.5
        )
        context = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])  # [B, L, N, D]
        context = tf.reshape(context, [-1, self.num_heads * self.head_dim])  # [B*L, H]
        return tf.matmul(context, self.output_kernel), tf.cast(self.output_bias, x.dtype)


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
        self.place = 4 * index + 1  # 0 is the embeddings' dropout
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
        pre = self.config.norm == "pre"
        seeds = [fold_in(seed, self.place + i) for i in range(3)]
        normal = self.attention_norm(x, seed=seed) if pre else x
        update = self.attention(normal, bias, seed=seeds[0])
        x = self.add(x, update, self.attention_norm, seeds[1])
        normal = self.output_norm(x, seed=seed) if pre else x
        wide = bias_gelu(
            *self.expand(normal, product=True),
            seed=seed,
            approximate=self.config.activation == "gelu_tanh",
        )  # [B*L, I]
        return self.add(x, self.contract(wide, product=True), self.output_norm, seeds[2])

    def add(self, x, update, layer_norm: LayerNorm, seed):
        """Residual sum of a sub-layer, normalised where the block is post-norm."""
        if self.config.norm == "pre":
            return add_residual(x, *update, seed=seed, rate=self.config.dropout)
        return add_residual_norm(
            x,
            *update,
            *layer_norm.parameters(),
            seed=seed,
            rate=self.config.dropout,
            epsilon=layer_norm.epsilon,
        )
