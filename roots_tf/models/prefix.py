"""A prefix: trained keys and values that every token attends to, in every layer.

Li and Liang 2021, arXiv:2101.00190, section 4; without the network of section 4.3 that makes them
in training, as P-tuning v2 has it (Liu et al. 2021, arXiv:2110.07602, section 3.2).

A prefix has no places: the positions of a text, and how long it may be, stay as they were. Keys are
not turned where positions are rotary, have no bias where they are relative, and are seen from
everywhere, in a layer with a window too.
"""

import dataclasses

import tensorflow as tf

from roots_tf.models.config import EncoderConfig
from roots_tf.models.layers import Weights
from roots_tf.models.soft_prompt import drawn


class Prefix(Weights):
    """Keys and values of a layer, [P, K*D] each.

    Args:
        config: of the model.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(scale=config.initializer_range, **kwargs)
        self.length, self.heads = config.prefix_length, config.key_value_heads
        size = self.length, config.key_value_heads * config.head_dim
        self.keys = self.matrix("keys", *size, table=True)
        self.values = self.matrix("values", *size, table=True)

    def before(self, key, value, view):
        """Keys, values and what is seen of them, with the prefix.

        Args:
            key: [B, K, Lk, D].
            value: likewise.
            view: of these keys.

        Returns:
            2 x [B, K, P+Lk, D], and a `View` of as many keys.
        """
        own, rows = (
            (self._by_head(x, key.dtype) for x in (self.keys, self.values)),
            tf.shape(key)[0],
        )
        key, value = (
            tf.concat([tf.repeat(prefix[None], rows, 0), x], 2)
            for prefix, x in zip(own, (key, value), strict=True)
        )
        room = [[0, 0], [0, 0], [0, 0], [self.length, 0]]
        bias = None if view.bias is None else tf.pad(view.bias, room)
        seen = tf.pad(view.seen, room, constant_values=True)
        return key, value, dataclasses.replace(view, seen=seen, bias=bias)

    def without(self, attended):
        """`Attended` of the text's keys alone; weights then miss what the prefix takes."""
        maps = {name: getattr(attended, name) for name in ("scores", "weights")}
        maps = {name: x[..., self.length :] for name, x in maps.items() if x is not None}
        return attended._replace(**maps)

    def _by_head(self, weight, dtype) -> tf.Tensor:
        """[P, K*D] -> [K, P, D] of type `dtype`."""
        rows = tf.reshape(
            tf.cast(tf.convert_to_tensor(weight), dtype), [self.length, self.heads, -1]
        )
        return tf.transpose(rows, [1, 0, 2])


def begin(encoder) -> None:
    """Gives the prefixes of an `Encoder` the keys and values of a text of drawn tokens.

    That is the start from "activations of real words" (section 7.4), by the model without prefixes.
    Blocks that attend to another stack begin as if they did not.

    Args:
        encoder: has prefixes, and the other weights that training starts from.
    """
    sizes = encoder.config
    longest = sizes.max_sequence_length + sizes.prompt_length
    none = {"prefix_length": 0, "prompt_length": 0, "max_sequence_length": longest}
    config = dataclasses.replace(sizes, **none)
    token, causal = encoder.embeddings.token, encoder.stack.causal
    plain = type(encoder)(config, name=encoder.name, causal=causal, token=token)
    weights = {weight.path: weight for weight in encoder.variables}
    for weight in plain.variables:
        if weight is not token:
            weight.assign(weights[weight.path])
    prefixes = [block.attention.prefix for block in encoder.stack.blocks]
    length = prefixes[0].length
    ids = drawn(prefixes[0].place.initial(), length, token.shape[0])[None]
    features = {"token_ids": ids, "padding_mask": tf.ones_like(ids, tf.bool)}
    _, caches = plain.step(features, features, plain.stack.caches(length))
    for prefix, cache in zip(prefixes, caches, strict=True):
        for weight, heads in ((prefix.keys, cache.keys), (prefix.values, cache.values)):
            weight.assign(tf.reshape(tf.transpose(heads[0], [1, 0, 2]), weight.shape))
