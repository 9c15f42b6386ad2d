"""What layers are made of, over rows: products, norms, activations and dropout of [B*L, ...].

Dropout is not a layer with a hidden state. It is on where a `seed` is given, and draws from that
seed and the layer's place (`roots_tf.seeds`): masks differ between layers, steps and replicas, and
the same mask can be drawn again, as the backward pass does: no mask is kept in memory.

What lies between two matrix products is one function, which `fused` compiles into one kernel in
training. On a CPU the products themselves stay with TensorFlow, whose library beats XLA's.
"""

import functools
import math

import keras
import tensorflow as tf

from roots_tf.models.config import EncoderConfig
from roots_tf.seeds import Place, random_words


def fused(function):
    """Compiles an elementwise function, and its gradient, with XLA where it is in training.

    The gradient starts from the inputs again, so nothing in between is kept in memory. BERT-mini's
    GELU over [4096, 1024], forward and backward, takes a seventh of the time it takes op by op.

    Inside a kernel 16-bit tensors are float32: rounding what no one stores takes longer than
    computing it. The same in bfloat16, bias included, takes 19 ms backward and in float32 inside 6.

    Args:
        function: of tensors and keywords. Gradients reach the tensors given by position, not those
            given by keyword.

    Returns:
        The same function with a keyword `training`; without it, all runs op by op, so that an
        exported graph holds plain ops only.
    """

    def in_float32(*tensors, **keywords):
        outputs = function(*map(at_least_float32, tensors), **keywords)
        return tf.nest.map_structure(lambda x: tf.cast(x, tensors[0].dtype), outputs)

    forward = tf.function(in_float32, jit_compile=True, autograph=False)

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def backward(tensors, upstream, keywords):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = tf.nest.flatten(in_float32(*tensors, **keywords))
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


def at_least_float32(x: tf.Tensor) -> tf.Tensor:
    """`x` in float32 where it is of 16 bits."""
    return tf.cast(x, tf.float32) if x.dtype.size < 4 else x


def add_bias(x: tf.Tensor, *bias: tf.Tensor) -> tf.Tensor:
    """`x` + `bias`, or `x` alone where a layer has none: [..., M], [M] -> [..., M]."""
    return tf.nn.bias_add(x, *bias) if bias else x


def gelu(x: tf.Tensor, approximate: bool = False) -> tf.Tensor:
    """Gaussian error linear unit, x * P(X <= x) (Hendrycks & Gimpel 2016, arXiv:1606.08415).

    P is computed from the error function, which takes half the time of its complement, by which
    `tf.nn.gelu` has it.

    Args:
        x: any shape.
        approximate: compute P with a hyperbolic tangent (section 2), not with the error function.
    """
    if approximate:
        return tf.nn.gelu(x, approximate=True)
    wide = at_least_float32(x)  # in 16 bits 1 + erf would be 0 from -3 on
    return tf.cast(0.5 * wide * (1.0 + tf.math.erf(wide * math.sqrt(0.5))), x.dtype)


def activation(x: tf.Tensor, kind: str) -> tf.Tensor:
    """`x` of any shape through the activation of that `kind`; see `EncoderConfig.activation`."""
    if kind == "silu":
        return tf.nn.silu(x)
    if kind in ("relu", "relu_squared"):
        return tf.nn.relu(x) if kind == "relu" else tf.square(tf.nn.relu(x))
    return gelu(x, approximate=kind == "gelu_tanh")


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Sets a share of the elements to 0 and divides the rest by 1 - rate.

    Srivastava et al. 2014, "Dropout", section 10 on scaling up in training.

    Args:
        x: any shape.
        rate: share of elements to drop.
        seed: int32 [2], of this place in the model; or None at inference, which gives x itself.
    """
    if seed is None or rate == 0.0:
        return x
    words = tf.reshape(random_words(tf.size(x, tf.int64), seed), tf.shape(x))
    kept = words >= tf.constant(round(rate * 2**32), tf.uint32)
    return tf.where(kept, x / (1.0 - rate), tf.zeros([], x.dtype))


def layer_norm(x, gamma, beta=None, *, epsilon: float) -> tf.Tensor:
    """Rows to mean 0 and variance 1, then times gamma plus beta (Ba et al. 2016, arXiv:1607.06450).

    Args:
        x: [R, H] of any type; the computation is in float32.
        gamma: gain, float32 [H].
        beta: bias, float32 [H], or None.
        epsilon: added to the variance.

    Returns:
        [R, H] in the type of x.
    """
    rows = tf.cast(x, tf.float32)
    mean, variance = tf.nn.moments(rows, axes=[-1], keepdims=True)
    gain = tf.math.rsqrt(variance + epsilon) * gamma
    shift = -mean * gain if beta is None else beta - mean * gain
    return tf.cast(rows * gain + shift, x.dtype)


def rms_norm(x, gamma, *, epsilon: float) -> tf.Tensor:
    """Rows to mean square 1, then times gamma (Zhang and Sennrich 2019, arXiv:1910.07467).

    Args:
        x: [R, H] of any type; the computation is in float32.
        gamma: gain, float32 [H].
        epsilon: added to the mean square.

    Returns:
        [R, H] in the type of x.
    """
    rows = tf.cast(x, tf.float32)
    square = tf.reduce_mean(tf.square(rows), axis=-1, keepdims=True)
    return tf.cast(rows * (tf.math.rsqrt(square + epsilon) * gamma), x.dtype)


# Each of these lies between two matrix products. Biases, which a model may lack, come last.


@fused
def norm(x, gamma, *beta, epsilon, rms=False):
    """`normalised`, compiled in training: `x`, `gamma`, `*beta`, `epsilon`, `rms` as there."""
    return normalised(x, gamma, *beta, epsilon=epsilon, rms=rms)


def normalised(x, gamma, *beta, epsilon, rms):
    """`rms_norm`, or else `layer_norm`, of `x`; `gamma`, `*beta` and `epsilon` as there.

    `rms` chooses.
    """
    if rms:
        return rms_norm(x, gamma, epsilon=epsilon)
    return layer_norm(x, gamma, *beta, epsilon=epsilon)


def dropped(x, rate, seed):
    """`dropout` of `x`, of any shape, in a kernel of its own; `rate` and `seed` as there.

    Its gradient is the same of what comes from above, so that x is not kept for it.
    """
    if seed is None or rate == 0.0:
        return x
    drop = functools.partial(_compiled_dropout, rate=rate, seed=seed)
    return tf.custom_gradient(lambda x: (drop(x), drop))(x)


@functools.partial(tf.function, jit_compile=True, autograph=False)
def _compiled_dropout(x, rate, seed):
    return tf.cast(dropout(at_least_float32(x), rate, seed), x.dtype)


@fused
def bias_activation(x, *bias, kind, rate=0.0, seed=None):
    """dropout(the activation of `x` + `bias`), [R, I].

    `kind` as for `activation`, `rate` and `seed` as for `dropout`.
    """
    return dropout(activation(add_bias(x, *bias), kind), rate, seed)


@fused
def bias_gated(x, *bias, kind, rate=0.0, seed=None):
    """dropout(that of the first half of `x` + `bias`, times the second half): [R, 2I] -> [R, I].

    That is the activation; `kind` as for `activation`, `rate` and `seed` as for `dropout`.
    """
    activated, gate = tf.split(add_bias(x, *bias), 2, axis=-1)
    return dropout(activation(activated, kind) * gate, rate, seed)


@fused
def add_residual(residual, x, *bias, rate, seed):
    """`residual` + dropout(`x` + `bias`), [R, H]; `rate` and `seed` as for `dropout`."""
    return residual + dropout(add_bias(x, *bias), rate, seed)


@fused
def add_residual_norm(residual, x, gamma, *biases, rate, seed, epsilon, rms=False):
    """The norm of `add_residual`; `biases` are that of x and that of the norm, or none.

    `residual`, `x`, `rate` and `seed` as for `add_residual`; `gamma`, `epsilon` and `rms` as for
    `normalised`.
    """
    bias, beta = (biases, ()) if rms else (biases[:1], biases[1:])
    total = residual + dropout(add_bias(x, *bias), rate, seed)
    return normalised(total, gamma, *beta, epsilon=epsilon, rms=rms)


def share(product, x, config: EncoderConfig):
    """A product of every head's rows with what N / K heads share.

    Args:
        product: of [B, K, N/K * Lq, M] and keys or values [B, K, ...].
        x: [B, N, Lq, M].
        config: says N and K.
    """
    if config.key_value_heads == config.num_heads:
        return product(x)
    length, width = tf.shape(x)[2], x.shape[3] or tf.shape(x)[3]
    rows = length * (config.num_heads // config.key_value_heads)
    found = product(tf.reshape(x, [-1, config.key_value_heads, rows, width]))
    return tf.reshape(found, [-1, config.num_heads, length, found.shape[3] or tf.shape(found)[3]])


class Weights(keras.layers.Layer):
    """A layer whose weights exist as soon as it does, each initialised from the seed of its path.

    Matrices take part in products in the compute type. Vectors and tables stay float32 where they
    are used: in bfloat16 a small update to a gain near 1 would be lost.

    Args:
        place: of the layer in its model; its name is the last of the path.
        scale: standard deviation of the truncated normal that matrices start from.
        **kwargs: as for `keras.layers.Layer`, such as `dtype`.
    """

    def __init__(self, place: Place, scale: float = 0.02, **kwargs):
        super().__init__(name=place.name, **kwargs)
        self.place, self._scale = place, scale
        self.built = True  # nothing is left to Keras' lazy building

    def matrix(
        self,
        name: str,
        *shape: int,
        table: bool = False,
        scale: float | None = None,
        parts: tuple[int, ...] = (),
    ) -> keras.Variable:
        """A weight drawn from a normal truncated at two standard deviations.

        Args:
            name: of the weight, which its path ends with.
            *shape: its sizes.
            table: rows are looked up and not multiplied: the weight stays float32.
            scale: another deviation than the layer's.
            parts: of a block's matrix [K, M], the widths of the linear maps that stand side by side
                in it, M together: an attribute of the weight, by which an optimizer tells them.
        """
        initializer = keras.initializers.TruncatedNormal(
            stddev=self._scale if scale is None else scale, seed=(self.place / name).initial()
        )
        weight = self.add_weight(
            name=name, shape=shape, initializer=initializer, autocast=not table
        )
        weight.parts, weight.place, weight.low_rank = parts, self.place / name, None
        return weight

    def vector(self, name: str, size: int, start: str = "zeros") -> keras.Variable:
        """A weight of that `name` and `size`; `start`: "zeros" for a bias, "ones" for a gain."""
        return self.add_weight(name=name, shape=(size,), initializer=start, autocast=False)


def times(x: tf.Tensor, kernel: keras.Variable) -> tf.Tensor:
    """x W, and the update of x W that is trained in place of W: [R, K] -> [R, M].

    Args:
        x: [R, K].
        kernel: W [K, M], from `Weights.matrix`; most have no update (`low_rank.add`).
    """
    product = tf.matmul(x, kernel)
    return product if kernel.low_rank is None else product + kernel.low_rank(x)


def in_type_of(x: tf.Tensor, bias) -> tuple[tf.Tensor, ...]:
    """A tuple of the `bias`, cast to the type of `x`; an empty tuple where the bias is None."""
    return () if bias is None else (tf.cast(bias, x.dtype),)


class Dense(Weights):
    """x W + b: [R, K] -> [R, M].

    Args:
        inputs: K.
        outputs: M.
        bias: whether there is one.
        parts: of the kernel, as for `Weights.matrix`.
        **kwargs: as for `Weights`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        parts: tuple[int, ...] = (),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.kernel = self.matrix("kernel", inputs, outputs, parts=parts)
        self.bias = self.vector("bias", outputs) if bias else None

    def call(self, x, product: bool = False):
        """x W + b: [R, K] -> [R, M].

        Args:
            x: [R, K].
            product: give (x W, b), or (x W,) without a bias, to a function that adds the bias.
        """
        parts = times(x, self.kernel), *in_type_of(x, self.bias)
        return parts if product else add_bias(*parts)


class Norm(Weights):
    """Layer normalisation, or that by the root of the mean square: [R, H] -> [R, H].

    Args:
        config: says which, and what is added to the variance.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(**kwargs)
        self.epsilon, self.rms = config.layer_norm_epsilon, config.normalization == "rms"
        self.gamma = self.vector("gamma", config.hidden_dim, "ones")
        has_bias = config.bias and not self.rms
        self.beta = self.vector("beta", config.hidden_dim) if has_bias else None

    def call(self, x, training=False):
        """[R, H] -> [R, H] in the type of `x`; compiled in `training`."""
        parts = self.parameters()
        return norm(x, *parts, training=training, epsilon=self.epsilon, rms=self.rms)

    def parameters(self) -> tuple[tf.Tensor, ...]:
        """Gain and bias, or the gain alone, as tensors."""
        weights = [self.gamma] if self.beta is None else [self.gamma, self.beta]
        return tuple(map(tf.convert_to_tensor, weights))
