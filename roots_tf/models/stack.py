"""Transformer blocks, one after the other: the one forward pass that every model is made of."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple

import keras
import tensorflow as tf

from roots_tf.models.attention import (
    Context,
    CrossAttention,
    Features,
    SelfAttention,
    View,
    make_view,
)
from roots_tf.models.bottleneck import Bottleneck
from roots_tf.models.cache import Cache, EmptyCache, EmptyXlaCache
from roots_tf.models.config import EncoderConfig
from roots_tf.models.layers import (
    Dense,
    Norm,
    Weights,
    add_bias,
    add_residual,
    add_residual_norm,
    bias_activation,
    bias_gated,
    dropped,
)
from roots_tf.models.relative import bias as relative_bias


class State(NamedTuple):
    """What a layer gives.

    Attributes:
        hidden_states: rows [B*L, H] of a block or a `Stack`, [B, L, H] of an `Encoder`.
        scores: of self-attention, where asked for: float32 [B, N, L, Lk], scaled, before the
            softmax and the mask. None of an embedding layer.
        weights: likewise, [B, N, L, Lk] in the compute type: how much each query takes of each key.
        seen: bool [B, 1, 1 or L, Lk], whether a query may see a key; given with the scores.
        cache: of a block that was given one, the new one.
    """

    hidden_states: tf.Tensor
    scores: tf.Tensor | None = None
    weights: tf.Tensor | None = None
    seen: tf.Tensor | None = None
    cache: Cache | None = None


class Block(Weights):
    """One transformer block: attention and a feed-forward layer, each with its residual sum.

    Args:
        config: sizes and parts.
        cross_attention: whether a second attention, to another stack, stands between the two
            (Vaswani et al. 2017, section 3.1).
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, cross_attention: bool = False, **kwargs):
        super().__init__(**kwargs)
        hidden, wide = config.hidden_dim, config.intermediate_dim
        gated = config.feed_forward == "glu"
        self.config = config
        self.activate = functools.partial(
            bias_gated if gated else bias_activation, kind=config.activation
        )

        def common(name):
            return {"place": self.place / name, "dtype": self.dtype_policy}

        def norm(name):
            return Norm(config, **common(name))

        def bottleneck(name):
            return Bottleneck(config, **common(name)) if config.adapter_dim else None

        def dense(name, inputs, *outputs, scale=config.initializer_range):
            how = {"bias": config.bias, "parts": outputs, "scale": scale}
            return Dense(inputs, sum(outputs), **how, **common(name))

        with keras.name_scope(self.name):
            self.attention = SelfAttention(config, **common("attention"))
            self.attention_norm = norm("attention_norm")
            self.attention_bottleneck = bottleneck("attention_bottleneck")
            self.cross_attention = self.cross_attention_norm = None
            if cross_attention:
                self.cross_attention = CrossAttention(config, **common("cross_attention"))
                self.cross_attention_norm = norm("cross_attention_norm")
                self.cross_attention_bottleneck = bottleneck("cross_attention_bottleneck")
            # The two matrices of a gated layer are one, W then V.
            self.expand = dense("expand", hidden, *((wide, wide) if gated else (wide,)))
            self.contract = dense("contract", wide, hidden, scale=config.residual_range)
            self.output_norm = norm("output_norm")
            self.output_bottleneck = bottleneck("output_bottleneck")

    def call(
        self,
        x,
        view: View,
        seed=None,
        watched: bool = False,
        cache: Cache | None = None,
        context: Context | None = None,
    ) -> State:
        """One step of the stack.

        Args:
            x: rows [B*L, H].
            view: as for `SelfAttention.call`.
            seed: int32 [2] for dropout, or None.
            watched: whether scores and weights of self-attention are asked for.
            cache: of the tokens before these.
            context: of a block with cross-attention, what that attends to.

        Returns:
            `State` of rows [B*L, H].
        """
        training = seed is not None
        normal = self.before(x, self.attention_norm, training)
        attended = self.attention(normal, view=view, seed=seed, watched=watched, cache=cache)
        x = self.add(x, attended.update, self.attention_norm, self.attention_bottleneck, seed)
        cache = attended.cache
        if self.cross_attention is not None:
            normal = self.before(x, self.cross_attention_norm, training)
            crossed = self.cross_attention(normal, context=context, seed=seed, cache=cache)
            norm, narrow = self.cross_attention_norm, self.cross_attention_bottleneck
            x = self.add(x, crossed.update, norm, narrow, seed)
            cache = crossed.cache
        normal = self.before(x, self.output_norm, training)
        drop = {
            "rate": self.config.activation_dropout,
            "seed": self.expand.place.dropout(seed),
            "training": training,
        }
        wide = self.activate(*self.expand(normal, product=True), **drop)  # [B*L, I]
        update = self.contract(wide, product=True)
        x = self.add(x, update, self.output_norm, self.output_bottleneck, seed)
        return State(x, attended.scores, attended.weights, view.seen if watched else None, cache)

    def before(self, x, layer_norm: Norm, training: bool):
        """The input of a sub-layer: `x`, normalised by `layer_norm` where the block is pre-norm.

        With `training`, the norm is compiled.
        """
        return layer_norm(x, training=training) if self.config.norm == "pre" else x

    def add(self, x, update, layer_norm: Norm, bottleneck: Bottleneck | None, seed):
        """Residual sum of a sub-layer, normalised where the block is post-norm.

        Args:
            x: rows [B*L, H] that went into the sub-layer.
            update: what it gave: rows [B*L, H] and, if there is one, the bias still to be added.
            layer_norm: of the sub-layer; the dropout mask is drawn from its place.
            bottleneck: of the sub-layer, which what it gives goes through after dropout; or None.
            seed: int32 [2] for dropout, or None.
        """
        product, *bias = update
        drop = {"rate": self.config.dropout, "seed": layer_norm.place.dropout(seed)}
        if bottleneck is not None:
            product, *bias = bottleneck(dropped(add_bias(product, *bias), **drop))
            drop["rate"] = 0.0
        drop["training"] = seed is not None
        if self.config.norm == "pre":
            return add_residual(x, product, *bias, **drop)
        gamma, *beta = layer_norm.parameters()
        how = {"epsilon": layer_norm.epsilon, "rms": layer_norm.rms}
        return add_residual_norm(x, product, gamma, *bias, *beta, **drop, **how)


class Stack(Weights):
    """Blocks one after the other; where they are pre-norm, a last norm follows.

    Args:
        config: sizes and parts.
        causal: whether tokens see no later ones.
        cross_attention: whether blocks attend to another stack too.
        recompute: as for `Encoder`.
        **kwargs: as for `Weights`; block i has the place "layer_i" inside the stack's.
    """

    def __init__(
        self,
        config: EncoderConfig,
        *,
        causal: bool = False,
        cross_attention: bool = False,
        recompute: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.config, self.causal, self.recompute = config, causal, recompute
        dtype = self.dtype_policy
        with keras.name_scope(self.name):
            self.blocks = [
                Block(config, cross_attention, place=self.place / f"layer_{index}", dtype=dtype)
                for index in range(config.num_layers)
            ]
            self.final_norm = None
            if config.norm == "pre":
                place = self.place / "final_norm"
                self.final_norm = Norm(config, place=place, dtype=dtype)
        self.relative = None
        if config.positions == "relative":
            shape, scale = (config.relative_buckets, config.num_heads), config.initializer_range
            self.relative = self.matrix("relative_positions", *shape, table=True, scale=scale)

    def views(
        self,
        keys: Features,
        queries: Features | None = None,
        start=0,
        causal: bool | None = None,
        watched: bool = False,
    ) -> list[View]:
        """What the tokens see in each layer; layers of one kind share it.

        Args:
            keys: as for `make_view`; with caches, features of their Lmax places.
            queries: likewise; None: the keys.
            start: as for `make_view`; with caches, their `start`.
            causal: whether tokens see no later ones; None: as the stack was made.
            watched: as for `walk`.
        """
        causal = self.causal if causal is None else causal
        local_layers = [self.config.is_local(layer) for layer in range(self.config.num_layers)]
        bias = None
        if self.relative is not None:
            lengths = (tf.shape(f["token_ids"])[1] for f in (queries or keys, keys))
            table = tf.convert_to_tensor(self.relative)
            bias = relative_bias(table, self.config, *lengths, start=start, causal=causal)
        views = {
            local: make_view(
                *(self.config, keys, queries),
                start=start,
                local=local,
                causal=causal,
                bias=bias,
                all_pairs=watched,
            )
            for local in set(local_layers)
        }
        return [views[local] for local in local_layers]

    def caches(self, length: int, xla: bool = False) -> list[EmptyCache]:
        """Empty caches, one a block, for rows of `length` (Lmax) tokens and a soft prompt.

        With `xla` they are for a graph that XLA compiles.
        """
        kind = EmptyXlaCache if xla else EmptyCache
        places = tf.convert_to_tensor(self.config.prompt_length + length)
        return [kind(places, tf.constant(0)) for _ in self.blocks]

    def walk(
        self,
        x,
        views: list[View],
        seed=None,
        watched: bool = False,
        caches: list[Cache | EmptyCache] | None = None,
        context: Context | None = None,
    ) -> Iterator[State]:
        """Goes through the blocks.

        Args:
            x: rows [B*L, H] of an embedding layer.
            views: from `views`.
            seed: int32 [2] for dropout, or None.
            watched: whether scores and weights of self-attention are asked for. They stay in
                memory: nothing is recomputed then, nor with caches.
            caches: of the tokens before these, one a block: from `caches`, or of earlier states.
            context: of a stack with cross-attention, what its blocks attend to.

        Yields:
            The `State` of each block; that of the last one normalised, if blocks are pre-norm.
        """
        again = self.recompute and seed is not None and not watched and caches is None
        caches = caches or [None] * len(self.blocks)
        for block, view, cache in zip(self.blocks, views, caches, strict=True):
            if again:
                state = recomputed(block, x, view, seed, context)
            else:
                state = block(
                    x, view=view, seed=seed, watched=watched, cache=cache, context=context
                )
            x = state.hidden_states
            if block is self.blocks[-1] and self.final_norm is not None:
                normal = self.final_norm(x, training=seed is not None)
                state = state._replace(hidden_states=normal)
            yield state


def recomputed(block: Block, x, view: View, seed, context: Context | None) -> State:
    """The state of a block that is computed again in the backward pass.

    Args:
        block: is given no cache.
        x: as for `Block.call`.
        view: likewise.
        seed: likewise.
        context: likewise.
    """

    # Gradients reach these arguments, but no tensor that is only captured.
    states = () if context is None else (context.states,)
    bias = () if view.bias is None else (view.bias,)

    def run(x, *tensors):
        other = Context(tensors[0], context.view) if states else None
        seen = dataclasses.replace(view, bias=tensors[-1]) if bias else view
        return block(x, view=seen, seed=seed, context=other).hidden_states

    return State(tf.recompute_grad(run)(x, *states, *bias))
