"""Attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2): who may see whom, and how much.

Queries and keys have lengths of their own, Lq and Lk. They are the same where the tokens of a row
attend to one another; with a cache the keys are all tokens so far and the queries the new ones; in
cross-attention the keys are the tokens of another row.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from roots_tf.models.cache import Cache
from roots_tf.models.config import EncoderConfig
from roots_tf.models.layers import Weights, add_bias, dropout, fused, in_type_of, keep_mask

Features = dict[str, tf.Tensor]


def seen_keys(
    keys: Features, queries: Features | None = None, *, start=0, window: int = 0, causal=False
) -> tf.Tensor:
    """Whether a query may see a key: bool [B, 1, 1 or Lq, Lk].

    Every term can forbid it: padding or, in packed rows, another document; a window; the future.

    >>> features = {"token_ids": tf.constant([[7, 8, 9, 0]]),
    ...             "padding_mask": tf.constant([[True, True, True, False]])}
    >>> seen_keys(features, window=2)[0, 0].numpy()
    array([[ True,  True, False, False],
           [ True,  True,  True, False],
           [False,  True,  True, False],
           [False, False,  True, False]])
    >>> seen_keys(features, causal=True)[0, 0].numpy()
    array([[ True, False, False, False],
           [ True,  True, False, False],
           [ True,  True,  True, False],
           [ True,  True,  True, False]])

    Args:
        keys: features of the tokens that are attended to: `document_ids` [B, Lk], where a token
            sees its own document only; without them `padding_mask` [B, Lk].
        queries: features of the tokens that attend: `token_ids` [B, Lq] and, if the keys have them,
            `document_ids`. None: the keys attend to one another.
        start: index among the keys of the first query, int or int32 scalar; of the queries that
            follow, the next ones.
        window: 0, or twice the largest distance between the indices of a query and a key it sees.
        causal: whether keys after the query are hidden.
    """
    queries = keys if queries is None else queries
    if "document_ids" in keys:
        seen = (
            queries["document_ids"][:, :, None] == keys["document_ids"][:, None, :]
        )  # [B, Lq, Lk]
    else:
        seen = keys["padding_mask"][:, None]  # [B, 1, Lk]
    if window or causal:
        index = start + tf.range(tf.shape(queries["token_ids"])[1])
        ahead = tf.range(tf.shape(seen)[-1]) - index[:, None]  # [Lq, Lk], below 0: a key before
    if window:
        seen &= tf.abs(ahead) <= window // 2
    if causal:
        seen &= ahead <= 0
    return seen[:, None]


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
    """Turns the pairs (x[i], x[i + D/2]) of each head, in float32.

    Args:
        x: [B, N, L, D].
        cosines: from `rotation`.
        sines: likewise.

    Returns:
        [B, N, L, D] in the type of x.
    """
    first, second = tf.split(tf.cast(x, tf.float32), 2, axis=-1)  # 2 x [B, N, L, D/2]
    turned = [first * cosines - second * sines, second * cosines + first * sines]
    return tf.cast(tf.concat(turned, -1), x.dtype)


@dataclasses.dataclass(frozen=True)
class View:
    """Which tokens attend, what they see and where they stand; layers of one kind share it.

    Keras casts the tensors among a layer's arguments to its compute type, but leaves these.

    Attributes:
        token_ids: int32 [B, Lq] of the queries. Only the shape counts: it parts rows [B*Lq, H].
        seen: from `seen_keys`.
        rotation: from the function of that name, for the queries; None without rotary positions.
    """

    token_ids: tf.Tensor
    seen: tf.Tensor
    rotation: tuple[tf.Tensor, tf.Tensor] | None = None


def make_view(
    config: EncoderConfig,
    keys: Features,
    queries: Features | None = None,
    *,
    start=0,
    local: bool = False,
    causal: bool = False,
) -> View:
    """What the tokens of a layer see of their own row.

    Args:
        config: of the layer.
        keys: as for `seen_keys`.
        queries: likewise; their `position_ids` [B, Lq], if given, stand for start, start + 1, ...
        start: as for `seen_keys`.
        local: whether the layer is one with a window; see `EncoderConfig.is_local`.
        causal: as for `seen_keys`.
    """
    queries = keys if queries is None else queries
    token_ids, turned = queries["token_ids"], None
    if config.positions == "rotary":
        position_ids = queries.get("position_ids")
        if position_ids is None:
            position_ids = start + tf.range(tf.shape(token_ids)[1])[None]  # [1, Lq]
        base = config.local_rotary_base if local else config.rotary_base
        turned = rotation(position_ids, config.head_dim, base)
    window = config.window if local else 0
    seen = seen_keys(keys, queries, start=start, window=window, causal=causal)
    return View(token_ids, seen, turned)


@dataclasses.dataclass(frozen=True)
class Context:
    """What cross-attention attends to.

    Attributes:
        states: [B, Lk, H] of another stack; None where a cache has their keys and values.
        view: what the queries see of them: `View(token_ids, seen_keys(theirs, queries))`.
    """

    states: tf.Tensor | None
    view: View


@fused
def split_heads(mixed, *bias, like, num_heads, parts, rotation=None):
    """Parts the rows of a product by sequence, use and head, and turns queries and keys.

    Args:
        mixed: [B*L, parts*H].
        *bias: [parts*H], or none.
        like: [B, L] or [B, L, ...], of any type, for its shape.
        num_heads: N.
        parts: 3: queries, keys, values; 2: keys, values; 1: queries.
        rotation: from the function of that name, with 3 parts only; None turns nothing.

    Returns:
        A list of as many [B, N, L, D].
    """
    length, size = tf.shape(like)[1], mixed.shape[-1] // (parts * num_heads)
    heads = tf.reshape(add_bias(mixed, *bias), [-1, length, parts, num_heads, size])
    heads = tf.unstack(tf.transpose(heads, [2, 0, 3, 1, 4]), num=parts)
    if rotation is not None:
        query, key, value = heads
        heads = [rotate(query, *rotation), rotate(key, *rotation), value]
    return heads


@fused
def attention_weights(products, *, seen, scale, rate, keep):
    """dropout(softmax(products * scale)) over the keys seen, computed in float32.

    Args:
        products: of queries and keys, [B, N, Lq, Lk].
        seen: from `seen_keys`.
        scale: D^-0.5.
        rate: as for `dropout`.
        keep: likewise.

    Returns:
        [B, N, Lq, Lk] in the type of the products.
    """
    # A number and not infinity: a row of padding that sees nothing must stay finite.
    scores = tf.where(seen, tf.cast(products, tf.float32) * scale, -1e9)
    return dropout(tf.cast(tf.nn.softmax(scores), products.dtype), rate, keep)


class Attended(NamedTuple):
    """What an attention layer gives.

    Attributes:
        update: rows [B*Lq, H] without the bias of the last product, and that bias if there is one.
        scores: where asked for, float32 [B, N, Lq, Lk]: scaled, before the softmax and the mask.
        weights: where asked for, [B, N, Lq, Lk] in the compute type, as the values are weighted.
        cache: the new one, if there was one.
    """

    update: tuple[tf.Tensor, ...]
    scores: tf.Tensor | None = None
    weights: tf.Tensor | None = None
    cache: Cache | None = None


class Attention(Weights):
    """What self-attention and cross-attention share.

    Args:
        config: of the model.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(scale=config.initializer_range, **kwargs)
        self.config = config

    def add_product(self, name: str, parts: int):
        """The weights of a product: kernel [H, parts*H], and bias [parts*H] or None.

        Args:
            name: of the product, with which the names of the two weights begin.
            parts: what it makes of a row: 3 for query, key and value.
        """
        hidden = self.config.hidden_dim
        kernel = self.matrix(f"{name}_kernel", hidden, parts * hidden)
        bias = self.vector(f"{name}_bias", parts * hidden) if self.config.bias else None
        return kernel, bias

    def heads(self, x, product, like, training: bool, rotation=None) -> list[tf.Tensor]:
        """Rows times the kernel of a product, by head.

        Args:
            x: rows [B*L, H].
            product: from `add_product`.
            like: as for `split_heads`.
            training: whether that function is compiled.
            rotation: as for `split_heads`.
        """
        kernel, bias = product
        return split_heads(
            tf.matmul(x, kernel),
            *in_type_of(x, bias),
            training=training,
            like=like,
            num_heads=self.config.num_heads,
            parts=kernel.shape[1] // self.config.hidden_dim,
            rotation=rotation,
        )

    def attend(self, query, key, value, seen, seed, watched: bool) -> Attended:
        """Weighs values by the products of queries and keys.

        Args:
            query: [B, N, Lq, D].
            key: [B, N, Lk, D].
            value: likewise.
            seen: from `seen_keys`.
            seed: int32 [2] for dropout, or None.
            watched: whether scores and weights are asked for.
        """
        config = self.config
        products = tf.matmul(query, key, transpose_b=True)  # [B, N, Lq, Lk]
        scale = config.head_dim**-0.5
        weights = attention_weights(
            products,
            training=seed is not None,
            seen=seen,
            scale=scale,
            rate=config.dropout,
            keep=keep_mask(products, config.dropout, self.place.dropout(seed)),
        )
        mixed = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])  # [B, Lq, N, D]
        mixed = tf.reshape(mixed, [-1, config.hidden_dim])  # [B*Lq, H]
        kernel, bias = self.output_product
        update = tf.matmul(mixed, kernel), *in_type_of(mixed, bias)
        if not watched:
            return Attended(update)
        return Attended(update, tf.cast(products, tf.float32) * scale, weights)


class SelfAttention(Attention):
    """The tokens of a row attend to one another; one product makes queries, keys and values."""

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(config, **kwargs)
        self.query_key_value = self.add_product("query_key_value", 3)
        self.output_product = self.add_product("output", 1)

    def call(self, x, view: View, seed=None, watched: bool = False, cache: Cache | None = None):
        """Attends within each row; to the tokens of the cache too, if there is one.

        Args:
            x: rows [B*Lq, H].
            view: what is seen from where; with a cache, the keys are its Lmax places.
            seed: int32 [2] for dropout, or None.
            watched: whether scores and weights are asked for.
            cache: of the tokens before these.

        Returns:
            `Attended`.
        """
        query, key, value = self.heads(
            x, self.query_key_value, view.token_ids, seed is not None, view.rotation
        )  # 3 x [B, N, Lq, D]
        if cache is not None:
            cache = cache.append(key, value)
            key, value = cache.keys, cache.values  # 2 x [B, N, Lmax, D]
        attended = self.attend(query, key, value, view.seen, seed, watched)
        return attended._replace(cache=cache)


class CrossAttention(Attention):
    """The tokens of a row attend to the states of another stack."""

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(config, **kwargs)
        self.query = self.add_product("query", 1)
        self.key_value = self.add_product("key_value", 2)
        self.output_product = self.add_product("output", 1)

    def call(self, x, context: Context, seed=None, cache: Cache | None = None):
        """Attends to a context, whose keys and values a cache keeps from its first call on.

        Args:
            x: rows [B*Lq, H].
            context: states, or what the cache has of them, and a view of them.
            seed: int32 [2] for dropout, or None.
            cache: of the block.

        Returns:
            `Attended`, without scores and weights.
        """
        training, states = seed is not None, context.states
        (query,) = self.heads(x, self.query, context.view.token_ids, training)  # [B, N, Lq, D]
        if cache is not None and cache.context:
            key, value = cache.context
        else:
            rows = tf.cast(tf.reshape(states, [-1, self.config.hidden_dim]), x.dtype)  # [B*Lk, H]
            key, value = self.heads(rows, self.key_value, states, training)  # 2 x [B, N, Lk, D]
        if cache is not None:
            cache = cache._replace(context=(key, value))
        attended = self.attend(query, key, value, context.view.seen, seed, False)
        return attended._replace(cache=cache)
