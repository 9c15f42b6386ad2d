"""Attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2): who may see whom, and how much.

Queries and keys have lengths of their own, Lq and Lk. They are the same where the tokens of a row
attend to one another; with a cache the keys are all tokens so far and the queries the new ones; in
cross-attention the keys are the tokens of another row.
"""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from roots_tf.models import local as local_attention
from roots_tf.models.attention_weights import attention_weights
from roots_tf.models.blocks import Blocks, blocks_of
from roots_tf.models.cache import Cache
from roots_tf.models.config import EncoderConfig
from roots_tf.models.layers import (
    Weights,
    in_type_of,
    share,
    times,
)
from roots_tf.models.prefix import Prefix
from roots_tf.models.rotary import rotation
from roots_tf.models.split_heads import split_heads

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


@dataclasses.dataclass(frozen=True)
class View:
    """Which tokens attend, what they see and where they stand; layers of one kind share it.

    Keras casts the tensors among a layer's arguments to its compute type, but leaves these.

    Attributes:
        token_ids: int32 [B, Lq] of the queries. Only the shape counts: it parts rows [B*Lq, H].
        seen: from `seen_keys`, or with blocks from `local.seen_in_blocks`.
        rotation: from the function of that name, for the queries; None without rotary positions.
        bias: that of relative positions, as `relative.bias` gives it; None without them.
        blocks: in which tokens attend to one another within a window; None: all pairs at once.
    """

    token_ids: tf.Tensor
    seen: tf.Tensor
    rotation: tuple[tf.Tensor, tf.Tensor] | None = None
    bias: tf.Tensor | None = None
    blocks: Blocks | None = None


def make_view(
    config: EncoderConfig,
    keys: Features,
    queries: Features | None = None,
    *,
    start=0,
    local: bool = False,
    causal: bool = False,
    bias: tf.Tensor | None = None,
    all_pairs: bool = False,
) -> View:
    """What the tokens of a layer see of their own row.

    Rows whose length is known and beyond what a window spans are taken in blocks, unless a prefix
    is seen from all of them.

    Args:
        config: of the layer.
        keys: as for `seen_keys`.
        queries: likewise; their `position_ids` [B, Lq], if given, stand for start, start + 1, ...
        start: as for `seen_keys`.
        local: whether the layer is one with a window; see `EncoderConfig.is_local`.
        causal: as for `seen_keys`.
        bias: as `View` has it.
        all_pairs: whether the scores of all pairs are asked for, so that there are no blocks.
    """
    window, blocks = config.window if local else 0, None
    if queries is None and bias is None and not (all_pairs or config.prefix_length):
        blocks = blocks_of(keys["token_ids"].shape[1], window, causal)
    queries = keys if queries is None else queries
    token_ids, turned = queries["token_ids"], None
    if config.positions == "rotary":
        position_ids = queries.get("position_ids")
        if position_ids is None:
            position_ids = start + tf.range(tf.shape(token_ids)[1])[None]  # [1, Lq]
        base = config.local_rotary_base if local else config.rotary_base
        turned = rotation(position_ids, config.head_dim, base)
    if blocks is not None:
        seen = local_attention.seen_in_blocks(keys, blocks, window, causal)
    else:
        seen = seen_keys(keys, queries, start=start, window=window, causal=causal)
    return View(token_ids, seen, turned, bias, blocks)


@dataclasses.dataclass(frozen=True)
class Context:
    """What cross-attention attends to.

    Attributes:
        states: [B, Lk, H] of another stack; None where a cache has their keys and values.
        view: what the queries see of them: `View(token_ids, seen_keys(theirs, queries))`.
    """

    states: tf.Tensor | None
    view: View


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

    def add_product(self, name: str, *counts: int):
        """The weights of a product: kernel [H, sum(counts)*D], and bias [sum(counts)*D] or None.

        Args:
            name: of the product, with which the names of the two weights begin.
            *counts: heads that it makes of a row for each use, as for `split_heads`.
        """
        parts = tuple(count * self.config.head_dim for count in counts)
        width = sum(parts)
        kernel = self.matrix(f"{name}_kernel", self.config.hidden_dim, width, parts=parts)
        bias = self.vector(f"{name}_bias", width) if self.config.bias else None
        return kernel, bias

    def add_output(self):
        """The weights of the last product: kernel [N*D, H], and bias [H] or None."""
        config = self.config
        shape = config.num_heads * config.head_dim, config.hidden_dim
        scale, parts = config.residual_range, (config.hidden_dim,)
        kernel = self.matrix("output_kernel", *shape, scale=scale, parts=parts)
        return kernel, self.vector("output_bias", config.hidden_dim) if config.bias else None

    def heads(self, x, product, counts, like, training: bool, rotation=None) -> list[tf.Tensor]:
        """Rows times the kernel of a product, by head.

        Args:
            x: rows [B*L, H].
            product: from `add_product`.
            counts: as for `split_heads`.
            like: as for `split_heads`.
            training: whether that function is compiled.
            rotation: as for `split_heads`.
        """
        kernel, bias = product
        epsilon = self.config.layer_norm_epsilon if self.config.query_key_norm else None
        return split_heads(
            times(x, kernel),
            *in_type_of(x, bias),
            training=training,
            like=like,
            counts=counts,
            rotation=rotation,
            epsilon=epsilon,
        )

    def attend(self, query, key, value, view: View, seed, watched: bool = False) -> Attended:
        """Weighs values by the products of queries and keys.

        Args:
            query: [B, N, Lq, D].
            key: [B, K, Lk, D]; N / K query heads, one after the other, share each.
            value: likewise.
            view: what is seen, and the bias of scores.
            seed: int32 [2] for dropout, or None.
            watched: whether scores and weights are asked for.
        """
        config, scale, rate = self.config, self.config.score_scale, self.config.attention_rate
        of_places, blocks = () if view.bias is None else (view.bias,), view.blocks
        if blocks is not None:
            query, key, value = local_attention.cut(query, key, value, blocks)
            config = dataclasses.replace(config, num_key_value_heads=0)  # now none is shared
        products = share(lambda x: tf.matmul(x, key, transpose_b=True), query, config)
        weights = attention_weights(
            products,
            *of_places,
            seen=view.seen,
            scale=scale,
            rate=rate,
            seed=self.place.dropout(seed),
        )
        mixed = share(lambda x: tf.matmul(x, value), weights, config)  # [B, N, Lq, D]
        mixed = mixed if blocks is None else local_attention.joined(mixed, blocks)
        mixed = tf.transpose(mixed, [0, 2, 1, 3])  # [B, Lq, N, D]
        mixed = tf.reshape(mixed, [-1, config.num_heads * config.head_dim])  # [B*Lq, N*D]
        kernel, bias = self.output_product
        update = times(mixed, kernel), *in_type_of(mixed, bias)
        if not watched:
            return Attended(update)
        scores = sum(of_places, tf.cast(products, tf.float32) * scale)
        return Attended(update, scores, weights)


class SelfAttention(Attention):
    """The tokens of a row attend to one another; one product makes queries, keys and values."""

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(config, **kwargs)
        self.counts = (config.num_heads, config.key_value_heads, config.key_value_heads)
        self.query_key_value = self.add_product("query_key_value", *self.counts)
        self.output_product = self.add_output()
        self.prefix = None
        if config.prefix_length:
            with keras.name_scope(self.name):
                place = self.place / "prefix"
                self.prefix = Prefix(config, place=place, dtype=self.dtype_policy)

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
            x, self.query_key_value, self.counts, view.token_ids, seed is not None, view.rotation
        )  # [B, N, Lq, D], 2 x [B, K, Lq, D]
        if cache is not None:
            cache = cache.append(key, value)
            key, value = cache.keys, cache.values  # 2 x [B, K, Lmax, D]
        if self.prefix is not None:
            key, value, view = self.prefix.before(key, value, view)
        attended = self.attend(query, key, value, view, seed, watched)._replace(cache=cache)
        return attended if self.prefix is None else self.prefix.without(attended)


class CrossAttention(Attention):
    """The tokens of a row attend to the states of another stack."""

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(config, **kwargs)
        self.query = self.add_product("query", config.num_heads)
        self.key_value = self.add_product("key_value", *(config.key_value_heads,) * 2)
        self.output_product = self.add_output()

    def call(self, x, context: Context, seed=None, cache: Cache | None = None):
        """Attends to a context, whose keys and values a cache keeps from its first call on.

        Several rows, one after the other, may attend to the same row of a context, such as the
        beams of a text: they are taken as more queries of one row, and nothing is repeated.

        Args:
            x: rows [B*M*Lq, H], M rows for each of the B of the context.
            context: states, or what the cache has of them, and a view of them.
            seed: int32 [2] for dropout, or None.
            cache: of the block.

        Returns:
            `Attended`, without scores and weights.
        """
        training, states, config = seed is not None, context.states, self.config
        like, counts = context.view.token_ids, (config.num_heads,)
        (query,) = self.heads(x, self.query, counts, like, training)  # [B*M, N, Lq, D]
        if cache is not None and cache.context:
            key, value = cache.context
        else:
            rows = tf.reshape(states, [-1, config.hidden_dim])  # [B*Lk, H]
            counts = (config.key_value_heads,) * 2
            key, value = self.heads(
                tf.cast(rows, x.dtype), self.key_value, counts, states, training
            )
        if cache is None:
            return self.attend(query, key, value, context.view, seed)
        cache = cache._replace(context=(key, value))
        shape = [tf.shape(key)[0], -1, *query.shape[1:2], tf.shape(query)[2], config.head_dim]
        query = tf.reshape(
            tf.transpose(tf.reshape(query, shape), [0, 2, 1, 3, 4]),
            [*(shape[0], config.num_heads, -1, config.head_dim)],
        )  # [B, N, M*Lq, D]
        attended = self.attend(query, key, value, context.view, seed)  # [B*M*Lq, H]
        return attended._replace(cache=cache)
