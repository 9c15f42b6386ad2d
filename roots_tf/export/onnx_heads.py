"""What stands on an encoder, as operators of ONNX: vectors of texts, logits, the vocabulary."""

from onnx import TensorProto

from roots_tf.export.onnx_encoder import OnnxEncoder


def embedding(encoder: OnnxEncoder, states: str, mask: str, settings) -> str:
    """A vector a text, as `models.pooling.embed` makes it.

    Args:
        encoder: that has written the states.
        states: name of them, [B, L, H].
        mask: name of the padding mask, int64 [B, L].
        settings: `models.EmbeddingSettings`.

    Returns:
        Name of the vectors, [B, H].
    """
    add, numbers = encoder.graph.add, encoder.graph.numbers
    if settings.pooling == "mean":
        inside = add("Reshape", add("Cast", mask, to=TensorProto.FLOAT), numbers(0, 1, -1))
        total = add("Squeeze", add("MatMul", inside, states), numbers(1))  # [B, H]
        count = add("ReduceSum", inside, numbers(2), keepdims=0)  # [B, 1]
        vectors = add("Div", total, add("Max", count, encoder.graph.number(1.0)))
    elif settings.pooling == "cls":
        vectors = first_token(encoder, states)
    else:
        vectors = pooler(encoder, states)
    return unit(encoder, vectors) if settings.l2_normalize else vectors


def unit(encoder: OnnxEncoder, vectors: str) -> str:
    """`vectors` [B, H] of length 1, as `tf.math.l2_normalize` makes them; a name, as all here."""
    add, least = encoder.graph.add, encoder.graph.number(1e-12)
    square = add("ReduceSumSquare", vectors, encoder.graph.numbers(-1), keepdims=1)
    return add("Div", vectors, add("Sqrt", add("Max", square, least)))


def first_token(encoder: OnnxEncoder, states: str) -> str:
    """The state of the first token, [B, L, H] -> [B, H]; `encoder` and `states` are as there."""
    zero = encoder.graph.numbers(0)
    return encoder.graph.add(
        "Squeeze", encoder.graph.add("Gather", states, zero, axis=1), encoder.graph.numbers(1)
    )


def last_token(encoder: OnnxEncoder, states: str, mask: str) -> str:
    """The state of the last token that is no padding; arguments as for `embedding`."""
    add, numbers = encoder.graph.add, encoder.graph.numbers
    # Padding stands behind a text, so its tokens count to the place of the last.
    place = add("Sub", add("ReduceSum", mask, numbers(1), keepdims=1), numbers(1))  # [B, 1]
    return add("GatherND", states, add("Max", place, numbers(0)), batch_dims=1)  # [B, H]


def pooler(encoder: OnnxEncoder, states: str) -> str:
    """tanh of a dense layer over the first token; arguments as for `first_token`."""
    return encoder.graph.add("Tanh", encoder.dense(first_token(encoder, states), "pooler"))


def logits(encoder: OnnxEncoder, states: str, mask: str, by_token: bool) -> str:
    """Logits [B, labels], or with `by_token` [B, L, labels]; arguments as for `embedding`."""
    if by_token:
        rows = states
    elif encoder.config.causal:
        rows = last_token(encoder, states, mask)
    else:
        rows = pooler(encoder, states)
    return encoder.dense(rows, "classes")


def vocabulary(encoder: OnnxEncoder, states: str) -> str:
    """Logits of the vocabulary, [R, V], by the head of masked tokens.

    Args:
        encoder: whose graph, and whose token embedding, it is.
        states: name of them, [R, H].
    """
    add, cap = encoder.graph.add, encoder.config.masked_logit_cap
    x = encoder.activation(encoder.dense(states, "masked_lm/transform"))
    x = encoder.norm(x, "masked_lm/norm")
    x = add("Add", add("MatMul", x, encoder.output_table()), encoder.bias_of("masked_lm"))
    if not cap:
        return x
    return add(
        "Mul", add("Tanh", add("Div", x, encoder.graph.number(cap))), encoder.graph.number(cap)
    )
