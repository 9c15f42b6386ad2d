"""The parts of a transformer block, over rows: every tensor is [B*L, ...] until heads split.

Dropout is not a layer with a hidden state: it is on where a `seed` is given, and draws from that
seed and a number that is the layer's own, so that masks differ between layers, steps and replicas
and can be drawn again. Masks are drawn outside of compiled kernels: XLA on a CPU would take twice
the time for it, and do it again in the backward pass.

What lies between two matrix products is one function, which `fused` compiles into one kernel in
training. On a CPU the products themselves stay with TensorFlow, whose library beats XLA's.
"""

import dataclasses
import functools

import keras
import tensorflow as tf


def fused(function):
    """Compiles an elementwise function, and its gradient, with XLA where it is in training.

    The gradient starts from the inputs again, so nothing in between is kept in memory. BERT-mini's
    GELU over [4096, 1024], forward and backward, takes a seventh of the time it takes op by op.

    Args:
        function: of tensors and keywords. Gradients reach the tensors given by position, not those
            given by keyword.

    Returns:
        The same function with a keyword `training`; without it, all runs op by op, so that an
        exported graph holds plain ops only.
    """
    forward = tf.function(function, jit_compile=True)

    @functools.partial(tf.function, jit_compile=True)
    def backward(tensors, upstream, keywords):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = tf.nest.flatten(function(*tensors, **keywords))
        return tape.gradient(outputs, tensors, upstream)

    @functools.wraps(function)
    def call(*tensors, training, **keywords):
        if not training:
            return function(*tensors, **keywords)

        @tf.custom_gradient
        def compiled(*tensors):
            outputs = forward(*tensors, **keywords)
            return outputs, lambda *upstream: backward(tensors, list(upstream), keywords)

        return compiled(*tensors)

    return call


def add_bias(x: tf.Tensor, *bias: tf.Tensor) -> tf.Tensor:
    """x + bias, or x of a layer without one: [..., M] -> [..., M]."""
    return tf.nn.bias_add(x, *bias) if bias else x


def gelu(x: tf.Tensor, approximate: bool = False) -> tf.Tensor:
    """Gaussian error linear unit, x * P(X <= x) (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return tf.nn.gelu(x, approximate=approximate)


def keep_mask(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor | None:
    """Draws the elements of x that dropout keeps.

    Args:
        x: any shape.
        rate: share of elements to drop, to the nearest 1/65,536: 16 random bits decide on each.
        seed: int32 [2], of this place in the model; or None at inference.

    Returns:
        bool of the shape of x; None where nothing is dropped.
    """
    if seed is None or rate == 0.0:
        return None
    count = tf.size(x)
    words = tf.random.stateless_uniform([(count + 1) // 2], seed, None, None, tf.uint32, "philox")
    bits = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:count]
    return tf.reshape(bits >= tf.constant(round(rate * 2**16), tf.uint16), tf.shape(x))


def dropout(x: tf.Tensor, rate: float, keep: tf.Tensor | None) -> tf.Tensor:
    """x with zeros where the mask says so and the rest scaled up; x itself without a mask.

    Srivastava et al. 2014, "Dropout", section 10 on scaling up in training.
    """
    return x if keep is None else tf.where(keep, x / (1.0 - rate), tf.zeros([], x.dtype))


def fold_in(seed: tf.Tensor | None, place: int) -> tf.Tensor | None:
    """A seed for one place in the model, so that two places draw different masks."""
    if seed is None:
        return None
    folded = tf.random.experimental.stateless_fold_in(seed, place)
    return tf.bitwise.bitwise_and(folded, tf.int32.max)  # XLA reads negative seeds another way


def layer_norm(x, gamma, beta=None, *, epsilon: float) -> tf.Tensor:
    """Rows to mean 0 and variance 1, scaled by gamma and shifted by beta: [R, H] -> [R, H].

    Ba et al. 2016 (arXiv:1607.06450). Computed in float32 whatever the type of `x` is.
    """
    rows = tf.cast(x, tf.float32)
    mean, variance = tf.nn.moments(rows, axes=[-1], keepdims=True)
    gain = tf.math.rsqrt(variance + epsilon) * gamma
    shift = -mean * gain if beta is None else beta - mean * gain
    return tf.cast(rows * gain + shift, x.dtype)


def rotation(position_ids: tf.Tensor, head_dim: int, base: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosines and sines of the angles by which rotary positions turn a head's pairs.

    Position p turns pair i of D/2 by p * base^(-2i/D) (Su et al. 2021, arXiv:2104.09864,
    section 3.2.2).

    Args:
        position_ids: int32 [B or 1, L].
        head_dim: D.
        base: see `EncoderConfig.rotary_base`.

    Returns:
        Two float32 [B or 1, 1, L, D/2].
    """
    frequencies = tf.constant([base ** (-2 * i / head_dim) for i in range(head_dim // 2)])
    angles = tf.cast(position_ids, tf.float32)[:, None, :, None] * frequencies
    return tf.cos(angles), tf.sin(angles)


def rotate(x: tf.Tensor, cosines: tf.Tensor, sines: tf.Tensor) -> tf.Tensor:
    """Turns the pairs (x[i], x[i + D/2]) of each head, in float32: [B, N, L, D] -> the same."""
    first, second = tf.split(tf.cast(x, tf.float32), 2, axis=-1)  # 2 x [B, N, L, D/2]
    turned = [first * cosines - second * sines, second * cosines + first * sines]
    return tf.cast(tf.concat(turned, -1), x.dtype)


@dataclasses.dataclass(frozen=True)
class View:
    """What the tokens of a layer see and where they stand; layers of one kind share it.

    Keras casts the tensors among a layer's arguments to its compute type, but leaves these.

    Attributes:
        seen: bool [B, 1, 1 or L, L], whether a query may see a key.
        rotation: from the function of that name, or None without rotary positions.
    """

    seen: tf.Tensor
    rotation: tuple[tf.Tensor, tf.Tensor] | None = None


# What follows lies between two matrix products. Tensors that a model may lack, biases, come last.


@fused
def norm(x, gamma, *beta, epsilon):
    """`layer_norm`."""
    return layer_norm(x, gamma, *beta, epsilon=epsilon)


@fused
def bias_gelu(x, *bias, approximate):
    """GELU of x + bias."""
    return gelu(add_bias(x, *bias), approximate)


@fused
def bias_geglu(x, *bias, approximate):
    """GELU of the first half of x + bias, times its second half: [R, 2I] -> [R, I]."""
    activated, gate = tf.split(add_bias(x, *bias), 2, axis=-1)
    return gelu(activated, approximate) * gate


@fused
def add_residual(residual, x, *bias, rate, keep):
    """residual + dropout(x + bias)."""
    return residual + dropout(add_bias(x, *bias), rate, keep)


@fused
def add_residual_norm(residual, x, gamma, *biases, rate, keep, epsilon):
    """Layer norm of residual + dropout(x + bias); `biases` are this one and the norm's, or none."""
    bias, beta = biases[:1], biases[1:]
    total = residual + dropout(add_bias(x, *bias), rate, keep)
    return layer_norm(total, gamma, *beta, epsilon=epsilon)


@fused
def split_heads(mixed, *bias, seen, rotation, num_heads):
    """Queries, keys and values by head, the first two turned: [B*L, 3H] -> 3 x [B, N, L, D]."""
    length, size = tf.shape(seen)[-1], mixed.shape[-1] // (3 * num_heads)
    heads = tf.reshape(add_bias(mixed, *bias), [-1, length, 3, num_heads, size])
    query, key, value = tf.unstack(tf.transpose(heads, [2, 0, 3, 1, 4]), num=3)
    if rotation is not None:
        query, key = rotate(query, *rotation), rotate(key, *rotation)
    return query, key, value


@fused
def attention_weights(scores, *, seen, scale, rate, keep):
    """dropout(softmax(scores * scale)) over the keys seen, in float32: [B, N, L, L]."""
    # A number and not infinity: a row of padding that sees nothing must stay finite.
    scores_32 = tf.where(seen, tf.cast(scores, tf.float32) * scale, -1e9)
    return dropout(tf.cast(tf.nn.softmax(scores_32), scores.dtype), rate, keep)


class Weights(keras.layers.Layer):
    """A layer whose weights exist as soon as it does, each initialised from a seed of its own.

    Matrices take part in products in the compute type; vectors and tables stay float32 where they
    are used, or a small update to a gain near 1 would be lost in bfloat16.

    Args:
        seed: the seed of this layer's first weight.
        scale: standard deviation of the truncated normal for matrices.
    """

    def __init__(self, name: str, seed: int = 0, scale: float = 0.02, **kwargs):
        super().__init__(name=name, **kwargs)
        self._seed, self._scale = seed, scale
        self.built = True  # nothing is left to Keras' lazy building

    def matrix(self, name: str, *shape: int, table: bool = False):
        """A weight drawn from a normal truncated at two standard deviations."""
        self._seed += 1
        initializer = keras.initializers.TruncatedNormal(stddev=self._scale, seed=self._seed)
        return self.add_weight(name=name, shape=shape, initializer=initializer, autocast=not table)

    def vector(self, name: str, size: int, start: str = "zeros"):
        """A bias ("zeros") or a gain ("ones")."""
        return self.add_weight(name=name, shape=(size,), initializer=start, autocast=False)


def in_type_of(x: tf.Tensor, bias) -> tuple[tf.Tensor, ...]:
    """A tuple of the bias, in the type of x; an empty one if it is None."""
    return () if bias is None else (tf.cast(bias, x.dtype),)


class Dense(Weights):
    """x W + b: [R, K] -> [R, M]; `product` leaves the bias to the function that follows."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.kernel = self.matrix("kernel", inputs, outputs)
        self.bias = self.vector("bias", outputs) if bias else None

    def call(self, x, product: bool = False):
        """[R, K] -> [R, M]; or (x W, bias), or (x W,) of a layer without a bias."""
        parts = tf.matmul(x, self.kernel), *in_type_of(x, self.bias)
        return parts if product else add_bias(*parts)


class LayerNorm(Weights):
    """Gain and, if it has one, bias of a layer normalisation: [R, H] -> [R, H]."""

    def __init__(self, size: int, epsilon: float, bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.gamma = self.vector("gamma", size, "ones")
        self.beta = self.vector("beta", size) if bias else None

    def call(self, x, training=False):
        """[R, H] -> [R, H], in the type of `x`."""
        return norm(x, *self.parameters(), training=training, epsilon=self.epsilon)

    def parameters(self) -> tuple[tf.Tensor, ...]:
        """Gain and bias, or the gain alone, as tensors."""
        weights = [self.gamma] if self.beta is None else [self.gamma, self.beta]
        return tuple(map(tf.convert_to_tensor, weights))


class SelfAttention(Weights):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2), one product for q, k and v."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        hidden = config.hidden_dim
        self.query_key_value_kernel = self.matrix("query_key_value_kernel", hidden, 3 * hidden)
        self.query_key_value_bias = None
        if config.bias:
            self.query_key_value_bias = self.vector("query_key_value_bias", 3 * hidden)
        self.output_kernel = self.matrix("output_kernel", hidden, hidden)
        self.output_bias = self.vector("output_bias", hidden) if config.bias else None

    def call(self, x, view, seed=None, weights_only: bool = False):
        """Attends within each sequence.

        Args:
            x: [B*L, H].
            view: what is seen from where.
            seed: int32 [2] for dropout, or None.
            weights_only: stop at the weights that each query gives to the keys.

        Returns:
            [B*L, H], without the bias of the last product, and that bias if there is one; or the
            weights alone, [B, N, L, L].
        """
        config, training = self.config, seed is not None
        query, key, value = split_heads(
            tf.matmul(x, self.query_key_value_kernel),
            *in_type_of(x, self.query_key_value_bias),
            training=training,
            seen=view.seen,
            rotation=view.rotation,
            num_heads=config.num_heads,
        )  # 3 x [B, N, L, D]
        scores = tf.matmul(query, key, transpose_b=True)  # [B, N, L, L]
        weights = attention_weights(
            scores,
            training=training,
            seen=view.seen,
            scale=config.head_dim**-0.5,
            rate=config.dropout,
            keep=keep_mask(scores, config.dropout, seed),
        )
        if weights_only:
            return weights
        context = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])  # [B, L, N, D]
        context = tf.reshape(context, [-1, config.hidden_dim])  # [B*L, H]
        return tf.matmul(context, self.output_kernel), *in_type_of(x, self.output_bias)


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
        gated = config.feed_forward == "glu"
        self.config = config
        self.place = 4 * index + 1  # 0 is the embeddings' dropout
        self.activate = functools.partial(
            bias_geglu if gated else bias_gelu, approximate=config.activation == "gelu_tanh"
        )
        common = {"bias": config.bias, "scale": scale, "dtype": self.dtype_policy}
        with keras.name_scope(self.name):
            self.attention = SelfAttention(
                config, name="attention", seed=seed, scale=scale, dtype=self.dtype_policy
            )
            self.attention_norm = LayerNorm(hidden, epsilon, name="attention_norm", **common)
            # The two matrices of a gated layer are one, W then V.
            expanded = 2 * wide if gated else wide
            self.expand = Dense(hidden, expanded, name="expand", seed=seed + 2, **common)
            self.contract = Dense(wide, hidden, name="contract", seed=seed + 3, **common)
            self.output_norm = LayerNorm(hidden, epsilon, name="output_norm", **common)

    def call(self, x, view, seed=None):
        """[B*L, H] -> [B*L, H]; arguments as in `SelfAttention.call`."""
        pre, training = self.config.norm == "pre", seed is not None
        seeds = [fold_in(seed, self.place + i) for i in range(3)]
        normal = self.attention_norm(x, training=training) if pre else x
        update = self.attention(normal, view=view, seed=seeds[0])
        x = self.add(x, update, self.attention_norm, seeds[1])
        normal = self.output_norm(x, training=training) if pre else x
        wide = self.activate(*self.expand(normal, product=True), training=training)  # [B*L, I]
        return self.add(x, self.contract(wide, product=True), self.output_norm, seeds[2])

    def add(self, x, update, layer_norm: LayerNorm, seed):
        """Residual sum of a sub-layer, normalised where the block is post-norm."""
        product, *bias = update
        rate = self.config.dropout
        drop = {"rate": rate, "keep": keep_mask(product, rate, seed), "training": seed is not None}
        if self.config.norm == "pre":
            return add_residual(x, product, *bias, **drop)
        gamma, *beta = layer_norm.parameters()
        epsilon = layer_norm.epsilon
        return add_residual_norm(x, product, gamma, *bias, *beta, **drop, epsilon=epsilon)
