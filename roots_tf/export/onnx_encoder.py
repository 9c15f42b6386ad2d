"""An encoder as operators of ONNX, from its sizes, parts and weights.

It computes what `roots_tf.models.encoder` computes at inference, in float32. Queries, keys and
values are three products here and one there: ONNX Runtime takes 3 % less time for them than for one
product that is parted again, and no more than its own fused operator for attention does.
"""

import math

import numpy as np
from onnx import TensorProto

from roots_tf.export.onnx_graph import OnnxGraph
from roots_tf.models.config import EncoderConfig

UNSEEN = -1e9  # score of a key that a query must not see, as in `models.attention`


class OnnxEncoder:
    """Writes an encoder into a graph.

    Args:
        graph: that gets the nodes.
        config: sizes and parts.
        weights: float32, by name, such as "encoder/layer_0/attention/output_kernel".
        tables: of positions, which `position_tables` gives.
    """

    def __init__(self, graph: OnnxGraph, config: EncoderConfig, weights: dict, tables: dict):
        self.graph, self.config = graph, config
        self._weights, self._tables = weights, tables

    def write(self, token_ids: str, padding_mask: str, segment_ids: str, axes: tuple) -> str:
        """Adds the nodes from ids [B, L] to hidden states.

        Args:
            token_ids: name of a value, int64 [B, L].
            padding_mask: likewise; 0 on padding.
            segment_ids: likewise; "" of a model without a table of them, or with one row.
            axes: names of B and L.

        Returns:
            Name of the hidden states, float32 [B, L, H].
        """
        add, config, self._axes = self.graph.add, self.config, axes
        # As a list of one number, which Slice takes, and as a number, which Range takes.
        self._length = add("Shape", token_ids, start=1, end=2)  # [1]
        x = self._embeddings(token_ids, segment_ids)  # [B, L, H]
        seen = {local: self._bias(padding_mask, local) for local in self._kinds_of_layers()}
        turned = {local: self._rotation(local) for local in seen}
        for layer in range(config.num_layers):
            place, local = f"encoder/layer_{layer}", config.is_local(layer)
            normal = self._before(x, f"{place}/attention_norm")
            update = self._attention(normal, f"{place}/attention", seen[local], turned[local])
            x = self._after(x, update, f"{place}/attention_norm")
            normal = self._before(x, f"{place}/output_norm")
            x = self._after(x, self._feed_forward(normal, place), f"{place}/output_norm")
        return self.norm(x, "encoder/final_norm") if config.norm == "pre" else x

    def dense(self, x: str, place: str, **part) -> str:
        """`x` W + b, [..., K] -> [..., M].

        Args:
            x: name of a value.
            place: of the weights, which are `<place>/kernel` and, where there is one, `/bias`.
            **part: arguments for `_product`.
        """
        return self._product(x, f"{place}/kernel", f"{place}/bias", **part)

    def norm(self, x: str, place: str) -> str:
        """The norm of `x` [..., H] with the weights of a `place`."""
        add, epsilon = self.graph.add, self.config.layer_norm_epsilon
        gamma = self._weight(f"{place}/gamma")
        if self.config.normalization == "layer":
            has_bias = f"{place}/beta" in self._weights
            beta = [self._weight(f"{place}/beta")] if has_bias else []
            return add("LayerNormalization", x, gamma, *beta, axis=-1, epsilon=epsilon)
        return add("Mul", self._over_root(x), gamma)

    def _over_root(self, x: str) -> str:
        """`x` [..., M] by the root of its mean square."""
        add, epsilon = self.graph.add, self.graph.number(self.config.layer_norm_epsilon)
        square = add("Pow", x, self.graph.number(2.0))
        square = add("ReduceMean", square, self.graph.numbers(-1), keepdims=1)
        return add("Div", x, add("Sqrt", add("Add", square, epsilon)))

    def activation(self, x: str) -> str:
        """`x` of any shape through the activation of the model."""
        kind = self.config.activation
        if kind == "silu":
            return self.graph.add("Mul", x, self.graph.add("Sigmoid", x))
        if kind in ("relu", "relu_squared"):
            x = self.graph.add("Relu", x)
            return x if kind == "relu" else self.graph.add("Mul", x, x)
        how = "tanh" if kind == "gelu_tanh" else "none"
        return self.graph.add("Gelu", x, approximate=how)

    def output_table(self) -> str:
        """The token embedding as the matrix of a product, [H, V]."""
        table = self._weights["encoder/embeddings/token"]
        return self.graph.weight("encoder/embeddings/token/transposed", table.T)

    def bias_of(self, place: str) -> str:
        """The weight `<place>/bias`."""
        return self._weight(f"{place}/bias")

    def _weight(self, name: str) -> str:
        return self.graph.weight(name, self._weights[name])

    def _product(self, x: str, kernel: str, bias: str, start: int = 0, end=None) -> str:
        """`x` times the columns from `start` to `end` of a kernel, plus those of its bias."""
        end = self._weights[kernel].shape[1] if end is None else end
        whole = end - start == self._weights[kernel].shape[1]
        part = "" if whole else f"/{start}_{end}"
        x = self.graph.add(
            "MatMul", x, self.graph.weight(kernel + part, self._weights[kernel][:, start:end])
        )
        if bias not in self._weights:
            return x
        return self.graph.add(
            "Add", x, self.graph.weight(bias + part, self._weights[bias][start:end])
        )

    def _kinds_of_layers(self) -> list[bool]:
        """Whether layers are local: both answers where the model has both."""
        return sorted({self.config.is_local(layer) for layer in range(self.config.num_layers)})

    def _embeddings(self, token_ids: str, segment_ids: str) -> str:
        add, config, place = self.graph.add, self.config, "encoder/embeddings"
        x = add("Gather", self._weight(f"{place}/token"), token_ids)  # [B, L, H]
        if config.embedding_scale:
            x = add("Mul", x, self.graph.number(math.sqrt(config.hidden_dim)))
        if "added" in self._tables:
            x = add("Add", x, self._first("added"))
        if config.num_segments == 1:
            x = add("Add", x, self._weight(f"{place}/segment"))
        elif config.num_segments:
            x = add("Add", x, add("Gather", self._weight(f"{place}/segment"), segment_ids))
        x = self._states(x)
        return self.norm(x, f"{place}/norm") if config.embedding_norm else x

    def _states(self, x: str) -> str:
        """`x`, of which the file says that it is [B, L, H].

        Of a sum with the first rows of a table nothing else tells it, and ONNX Runtime fuses sums
        and norms of known shapes only.
        """
        return self.graph.value(x, *self._axes, self.config.hidden_dim)

    def _first(self, table: str) -> str:
        """The rows of a table of positions that a batch has places for, [L, ...]."""
        numbers = self.graph.numbers
        whole = self.graph.weight(f"positions/{table}", self._tables[table])
        return self.graph.add("Slice", whole, numbers(0), self._length, numbers(0))

    def _rotation(self, local: bool) -> tuple[str, str] | None:
        """Cosines and sines, [L, D/2] each, of rotary positions."""
        kind = "local" if local else "global"
        if f"{kind}_cosines" not in self._tables:
            return None
        return self._first(f"{kind}_cosines"), self._first(f"{kind}_sines")

    def _bias(self, padding_mask: str, local: bool) -> str:
        """What is added to scores: [B, 1, 1, L], or [B, 1 or N, L, L] where it tells queries."""
        add, config, numbers = self.graph.add, self.config, self.graph.numbers
        inside = add("Cast", padding_mask, to=TensorProto.FLOAT)
        inside = add("Unsqueeze", inside, numbers(1, 2))  # [B, 1, 1, L]
        bias = add("Mul", add("Sub", self.graph.number(1.0), inside), self.graph.number(UNSEEN))
        window = config.window if local else 0
        if not (window or config.causal or "of_distance" in self._tables):
            return bias
        length = add("Squeeze", self._length)
        place = add("Range", *(self.graph.weight("zero", np.int64(0)), length), self._one())
        ahead = add(
            "Sub",
            add("Unsqueeze", place, numbers(0)),
            add("Unsqueeze", place, numbers(1)),
        )  # [L, L], below 0: a key before the query
        for hidden in self._hidden(ahead, window):
            far = add("Where", hidden, self.graph.number(UNSEEN), self.graph.number(0.0))
            bias = add("Min", bias, far)  # [B, 1, L, L]; not the sum, which would be another score
        if "of_distance" in self._tables:
            table = self.graph.weight("positions/of_distance", self._tables["of_distance"])
            middle = numbers(config.max_sequence_length - 1)
            added = add("Gather", table, add("Add", ahead, middle))  # [L, L, N]
            bias = add("Add", bias, add("Transpose", added, perm=[2, 0, 1]))  # [B, N, L, L]
        return bias

    def _one(self) -> str:
        return self.graph.weight("one", np.int64(1))

    def _hidden(self, ahead: str, window: int) -> list[str]:
        """Which keys a query must not see, wherever padding is: bool [L, L] each."""
        add, hidden = self.graph.add, []
        if window:
            limit = self.graph.numbers(window // 2)
            hidden.append(add("Greater", add("Abs", ahead), limit))
        if self.config.causal:
            hidden.append(add("Greater", ahead, self.graph.numbers(0)))
        return hidden

    def _attention(self, x: str, place: str, bias: str, rotation) -> str:
        add, config, name = self.graph.add, self.config, f"{place}/query_key_value"
        size, heads, shared = config.head_dim, config.num_heads, config.key_value_heads
        parts, start = [], 0
        for count in (heads, shared, shared):
            end = start + count * size
            part = self._product(x, f"{name}_kernel", f"{name}_bias", start, end)
            parts.append(add("Reshape", part, self.graph.numbers(0, 0, count, size)))
            start = end
        query, key, value = parts  # [B, L, N or K, D]
        if config.query_key_norm:
            query, key = self._over_root(query), self._over_root(key)
        query, value = (add("Transpose", part, perm=[0, 2, 1, 3]) for part in (query, value))
        if rotation or shared != heads:
            key = add("Transpose", key, perm=[0, 2, 1, 3])  # [B, K, L, D]
            if rotation:
                query, key = self._rotate(query, rotation), self._rotate(key, rotation)
            if shared != heads:
                key, value = self._repeat(key), self._repeat(value)  # [B, N, L, D]
            key = add("Transpose", key, perm=[0, 1, 3, 2])
        else:
            key = add("Transpose", key, perm=[0, 2, 3, 1])  # [B, N, D, L]
        scores = add("MatMul", query, key)  # [B, N, L, L]
        if config.attention_scale:
            scores = add("Div", scores, self.graph.number(math.sqrt(size)))
        weights = add("Softmax", add("Add", scores, bias), axis=3)
        mixed = add("Transpose", add("MatMul", weights, value), perm=[0, 2, 1, 3])
        mixed = add("Reshape", mixed, self.graph.numbers(0, 0, heads * size))  # [B, L, N*D]
        return self._product(mixed, f"{place}/output_kernel", f"{place}/output_bias")

    def _rotate(self, x: str, rotation: tuple[str, str]) -> str:
        """Turns the pairs (x[i], x[i + D/2]) of each head, [B, N, L, D]."""
        add, (cosines, sines) = self.graph.add, rotation
        first, second = add("Split", x, count=2, axis=-1, num_outputs=2)
        turned = (
            add("Sub", add("Mul", first, cosines), add("Mul", second, sines)),
            add("Add", add("Mul", second, cosines), add("Mul", first, sines)),
        )
        return add("Concat", *turned, axis=-1)

    def _repeat(self, x: str) -> str:
        """Keys or values of each head from those that heads share: [B, K, L, D] -> [B, N, L, D]."""
        add, config, numbers = self.graph.add, self.config, self.graph.numbers
        times = config.num_heads // config.key_value_heads
        x = add("Expand", add("Unsqueeze", x, numbers(2)), numbers(1, 1, times, 1, 1))
        return add("Reshape", x, numbers(0, config.num_heads, -1, config.head_dim))

    def _feed_forward(self, x: str, place: str) -> str:
        wide = self.dense(x, f"{place}/expand")
        if self.config.feed_forward == "glu":
            activated, gate = self.graph.add("Split", wide, count=2, axis=-1, num_outputs=2)
            wide = self.graph.add("Mul", self.activation(activated), gate)
        else:
            wide = self.activation(wide)
        return self.dense(wide, f"{place}/contract")

    def _before(self, x: str, place: str) -> str:
        return self.norm(x, place) if self.config.norm == "pre" else x

    def _after(self, x: str, update: str, place: str) -> str:
        total = self._states(self.graph.add("Add", update, x))
        return total if self.config.norm == "pre" else self.norm(total, place)
