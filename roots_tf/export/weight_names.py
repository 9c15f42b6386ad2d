"""Names of weights here, in Hugging Face's BERT, in google-research/bert and in keras-hub.

One table serves every direction. Layouts differ by rules that the names themselves tell:

- Query, key and value are one matrix [H, 3H] here and three elsewhere: `{qkv}` in a name.
- `torch.nn.Linear` keeps a kernel as [out, in]; so does google-research/bert where a weight is
  named `output_weights`.
- keras-hub keeps attention by head, [H, N, D] and [N, D, H]: the same numbers in the same order.

The output embedding of the vocabulary is the input's, so nothing here stands for it.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from roots_tf.models import EncoderConfig
from roots_tf.storage.files import InputError

_DTYPES = ("float32", "float16", "bfloat16", "float64")

Format = Literal["hugging_face", "tensorflow1", "keras_hub"]


class Row(NamedTuple):
    """Names of one weight, `{i}` for the number of a layer; "" where a format has none such.

    Those of Hugging Face stand without the `bert.` or `electra.` that models with a head put before
    the encoder. Sources: `modeling_bert.py` and `modeling_electra.py` of transformers,
    `modeling.py`, `run_pretraining.py` and `run_classifier.py` of google-research/bert,
    `bert_backbone.py`, `masked_lm_head.py` and `bert_text_classifier.py` of keras-hub.
    """

    ours: str
    hugging_face: str
    tensorflow1: str
    keras_hub: str


# fmt: off
WEIGHTS = (
    Row("encoder/embeddings/token", "embeddings.word_embeddings.weight",
        "bert/embeddings/word_embeddings", "token_embedding/embeddings"),
    Row("encoder/embeddings/position", "embeddings.position_embeddings.weight",
        "bert/embeddings/position_embeddings", "position_embedding/embeddings"),
    Row("encoder/embeddings/segment", "embeddings.token_type_embeddings.weight",
        "bert/embeddings/token_type_embeddings", "segment_embedding/embeddings"),
    Row("encoder/embeddings/norm/gamma", "embeddings.LayerNorm.weight",
        "bert/embeddings/LayerNorm/gamma", "embeddings_layer_norm/gamma"),
    Row("encoder/embeddings/norm/beta", "embeddings.LayerNorm.bias",
        "bert/embeddings/LayerNorm/beta", "embeddings_layer_norm/beta"),
    Row("encoder/layer_{i}/attention/query_key_value_kernel",
        "encoder.layer.{i}.attention.self.{qkv}.weight",
        "bert/encoder/layer_{i}/attention/self/{qkv}/kernel",
        "transformer_layer_{i}/self_attention_layer/{qkv}/kernel"),
    Row("encoder/layer_{i}/attention/query_key_value_bias",
        "encoder.layer.{i}.attention.self.{qkv}.bias",
        "bert/encoder/layer_{i}/attention/self/{qkv}/bias",
        "transformer_layer_{i}/self_attention_layer/{qkv}/bias"),
    Row("encoder/layer_{i}/attention/output_kernel",
        "encoder.layer.{i}.attention.output.dense.weight",
        "bert/encoder/layer_{i}/attention/output/dense/kernel",
        "transformer_layer_{i}/self_attention_layer/attention_output/kernel"),
    Row("encoder/layer_{i}/attention/output_bias",
        "encoder.layer.{i}.attention.output.dense.bias",
        "bert/encoder/layer_{i}/attention/output/dense/bias",
        "transformer_layer_{i}/self_attention_layer/attention_output/bias"),
    Row("encoder/layer_{i}/attention_norm/gamma",
        "encoder.layer.{i}.attention.output.LayerNorm.weight",
        "bert/encoder/layer_{i}/attention/output/LayerNorm/gamma",
        "transformer_layer_{i}/self_attention_layer_norm/gamma"),
    Row("encoder/layer_{i}/attention_norm/beta",
        "encoder.layer.{i}.attention.output.LayerNorm.bias",
        "bert/encoder/layer_{i}/attention/output/LayerNorm/beta",
        "transformer_layer_{i}/self_attention_layer_norm/beta"),
    Row("encoder/layer_{i}/expand/kernel", "encoder.layer.{i}.intermediate.dense.weight",
        "bert/encoder/layer_{i}/intermediate/dense/kernel",
        "transformer_layer_{i}/feedforward_intermediate_dense/kernel"),
    Row("encoder/layer_{i}/expand/bias", "encoder.layer.{i}.intermediate.dense.bias",
        "bert/encoder/layer_{i}/intermediate/dense/bias",
        "transformer_layer_{i}/feedforward_intermediate_dense/bias"),
    Row("encoder/layer_{i}/contract/kernel", "encoder.layer.{i}.output.dense.weight",
        "bert/encoder/layer_{i}/output/dense/kernel",
        "transformer_layer_{i}/feedforward_output_dense/kernel"),
    Row("encoder/layer_{i}/contract/bias", "encoder.layer.{i}.output.dense.bias",
        "bert/encoder/layer_{i}/output/dense/bias",
        "transformer_layer_{i}/feedforward_output_dense/bias"),
    Row("encoder/layer_{i}/output_norm/gamma", "encoder.layer.{i}.output.LayerNorm.weight",
        "bert/encoder/layer_{i}/output/LayerNorm/gamma",
        "transformer_layer_{i}/feedforward_layer_norm/gamma"),
    Row("encoder/layer_{i}/output_norm/beta", "encoder.layer.{i}.output.LayerNorm.bias",
        "bert/encoder/layer_{i}/output/LayerNorm/beta",
        "transformer_layer_{i}/feedforward_layer_norm/beta"),
    Row("pooler/kernel", "pooler.dense.weight", "bert/pooler/dense/kernel", "pooled_dense/kernel"),
    Row("pooler/bias", "pooler.dense.bias", "bert/pooler/dense/bias", "pooled_dense/bias"),
    Row("masked_lm/transform/kernel", "cls.predictions.transform.dense.weight",
        "cls/predictions/transform/dense/kernel", "mlm_head/intermediate_dense/kernel"),
    Row("masked_lm/transform/bias", "cls.predictions.transform.dense.bias",
        "cls/predictions/transform/dense/bias", "mlm_head/intermediate_dense/bias"),
    Row("masked_lm/norm/gamma", "cls.predictions.transform.LayerNorm.weight",
        "cls/predictions/transform/LayerNorm/gamma", "mlm_head/intermediate_layer_norm/gamma"),
    Row("masked_lm/norm/beta", "cls.predictions.transform.LayerNorm.bias",
        "cls/predictions/transform/LayerNorm/beta", "mlm_head/intermediate_layer_norm/beta"),
    Row("masked_lm/bias", "cls.predictions.bias", "cls/predictions/output_bias",
        "mlm_head/output_bias"),
    Row("next_sentence/kernel", "cls.seq_relationship.weight",
        "cls/seq_relationship/output_weights", ""),
    Row("next_sentence/bias", "cls.seq_relationship.bias", "cls/seq_relationship/output_bias", ""),
    Row("detection/transform/kernel", "discriminator_predictions.dense.weight", "", ""),
    Row("detection/transform/bias", "discriminator_predictions.dense.bias", "", ""),
    Row("detection/output/kernel", "discriminator_predictions.dense_prediction.weight", "", ""),
    Row("detection/output/bias", "discriminator_predictions.dense_prediction.bias", "", ""),
    Row("classes/kernel", "classifier.weight", "output_weights", "logits/kernel"),
    Row("classes/bias", "classifier.bias", "output_bias", "logits/bias"),
)
# fmt: on


class Weight(NamedTuple):
    """Where one weight of ours stands in another format."""

    names: tuple[str, ...]  # one, or those of query, key and value
    is_transposed: bool


def weights_of(layout: Format, num_layers: int) -> dict[str, Weight]:
    """Where each weight of a model stands in another format, by our name.

    Args:
        layout: the other format; weights that it lacks are left out.
        num_layers: of the encoder.
    """
    weights = {}
    for weight in WEIGHTS:
        theirs = getattr(weight, layout)
        is_transposed = theirs.endswith("output_weights")
        if layout == "hugging_face":
            is_transposed = weight.ours.endswith("kernel")
        parts = ("query", "key", "value") if "{qkv}" in theirs else ("",)
        for i in range(num_layers if "{i}" in weight.ours else 1):
            names = tuple(theirs.format(i=i, qkv=part) for part in parts)
            if theirs:
                weights[weight.ours.format(i=i)] = Weight(names, is_transposed)
    return weights


def parts_in(layout: Format, stored: Iterable[str]) -> set[str]:
    """Which of `pooler`, `masked_lm`, `next_sentence`, `detection`, `classes` have a weight there.

    Args:
        layout: the other format.
        stored: names of the weights there.
    """
    stored = set(stored)
    heads = [weight for weight in WEIGHTS if not weight.ours.startswith("encoder/")]
    return {weight.ours.split("/")[0] for weight in heads if getattr(weight, layout) in stored}


def encoder_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Shape of each weight of an encoder with the parts of BERT, by our name.

    Args:
        config: its sizes.
    """
    hidden, wide = config.hidden_dim, config.intermediate_dim
    rows = {
        "token": config.vocabulary_size,
        "position": config.max_sequence_length,
        "segment": config.num_segments,
    }
    shapes = {f"encoder/embeddings/{name}": (count, hidden) for name, count in rows.items()}
    shapes |= {f"encoder/embeddings/norm/{name}": (hidden,) for name in ("gamma", "beta")}
    block = {
        "attention/query_key_value_kernel": (hidden, 3 * hidden),
        "attention/query_key_value_bias": (3 * hidden,),
        "attention/output_kernel": (hidden, hidden),
        "attention/output_bias": (hidden,),
        "expand/kernel": (hidden, wide),
        "expand/bias": (wide,),
        "contract/kernel": (wide, hidden),
        "contract/bias": (hidden,),
        **{f"{norm}_norm/gamma": (hidden,) for norm in ("attention", "output")},
        **{f"{norm}_norm/beta": (hidden,) for norm in ("attention", "output")},
    }
    for i in range(config.num_layers):
        shapes |= {f"encoder/layer_{i}/{name}": shape for name, shape in block.items()}
    return shapes


def check(
    layout: Format, stored: Mapping[str, np.ndarray], config: EncoderConfig, source: str
) -> None:
    """Compares the weights of an encoder with the sizes of its config, before a model is made.

    A config may say a million layers; the weights are as large as their file.

    Args:
        layout: names of the weights.
        stored: weights by name; others may be among them.
        config: sizes of the encoder.
        source: file or folder that the weights are from, for messages.

    Raises:
        InputError: a weight is missing or of another shape, or there are more layers.
    """
    first = next(getattr(row, layout) for row in WEIGHTS if "{i}" in row.ours)
    first = first.replace("{qkv}", "query")
    num_layers = 0
    while first.format(i=num_layers) in stored:
        num_layers += 1
    if num_layers < config.num_layers:
        raise InputError(
            "wrong-weights",
            f"found no weight {first.format(i=num_layers)} in {source}; wanted "
            f"{config.num_layers} layers, as its config says",
        )
    if num_layers > config.num_layers:
        raise InputError(
            "wrong-weights",
            f"found {num_layers} layers in {source}; wanted {config.num_layers}, as its "
            "config says",
        )
    where = weights_of(layout, num_layers)
    for ours, shape in encoder_shapes(config).items():
        _parts(layout, stored, where[ours], shape, source)


def with_rows(
    layout: Format, stored: Mapping[str, np.ndarray], count: int
) -> dict[str, np.ndarray]:
    """Weights with the first rows only of those that have one for each id.

    Args:
        layout: names of the weights.
        stored: weights by name.
        count: rows to keep.
    """
    by_id = ("encoder/embeddings/token", "masked_lm/bias")
    names = {getattr(row, layout) for row in WEIGHTS if row.ours in by_id}
    return {
        name: array[:count] if name in names and array.ndim else array
        for name, array in stored.items()
    }


def to_ours(
    layout: Format,
    stored: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    num_layers: int,
    source: str,
) -> dict[str, np.ndarray]:
    """Weights of ours from those of another format.

    Args:
        layout: the other format.
        stored: its weights by name; others may be among them.
        shapes: shape of each of our weights that is wanted, by name.
        num_layers: of the encoder.
        source: file or folder that the weights are from, for messages.

    Returns:
        float32 arrays by our names.

    Raises:
        InputError: a weight is missing, of another shape or type, or not finite.
    """
    where, weights = weights_of(layout, num_layers), {}
    for ours, shape in shapes.items():
        arrays = []
        for name, array in _parts(layout, stored, where[ours], shape, source).items():
            array = finite(array, name, source)
            arrays.append(array.T if where[ours].is_transposed else array)
        weights[ours] = np.concatenate(arrays, -1)
    return weights


def _parts(
    layout: Format, stored: Mapping[str, np.ndarray], weight: Weight, shape: tuple, source: str
) -> dict[str, np.ndarray]:
    """The arrays of one weight of ours, of the given shape, by their names there."""
    part = (*shape[:-1], shape[-1] // len(weight.names))
    wanted = part[::-1] if weight.is_transposed else part
    arrays = {}
    for name in weight.names:
        arrays[name] = checked(stored, name, wanted, source, by_head=layout == "keras_hub")
    return arrays


def checked(
    stored: Mapping[str, np.ndarray], name: str, wanted: tuple, source: str, by_head: bool = False
) -> np.ndarray:
    """One array of another format.

    Args:
        stored: arrays by name.
        name: of the one.
        wanted: its shape.
        source: file or folder, for messages.
        by_head: whether it may have other axes, of as many numbers in the same order.

    Raises:
        InputError: it is missing, or of another shape or type.
    """
    if name not in stored:
        raise InputError(
            "wrong-weights", f"found no weight {name} in {source}; wanted one {wanted}"
        )
    array = stored[name]
    if array.dtype.name not in _DTYPES:
        raise InputError(
            "unsupported-model",
            f"found the weight {name} as {array.dtype.name} in {source}; wanted one of "
            f"{', '.join(_DTYPES)}: save the model without quantisation",
        )
    if by_head and array.size == np.prod(wanted):
        array = array.reshape(wanted)
    if array.shape != wanted:
        raise InputError(
            "wrong-weights",
            f"found weight {name} of shape {array.shape} in {source}; wanted {wanted}, "
            "as the sizes of its config say",
        )
    return array


def finite(array: np.ndarray, name: str, source: str) -> np.ndarray:
    """An array as float32.

    Args:
        array: from `checked`.
        name: of it, for messages.
        source: likewise.

    Raises:
        InputError: a number of it is not finite.
    """
    array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
        raise InputError(
            "diverged",
            f"found numbers in the weight {name} of {source} that are not finite; wanted a "
            "model whose training went well: give an earlier checkpoint",
        )
    return array


def from_ours(
    layout: Format, weights: Mapping[str, np.ndarray], num_layers: int
) -> dict[str, np.ndarray]:
    """The inverse of `to_ours`: their weights by their names; ours that they lack are left out.

    Args:
        layout: the other format.
        weights: ours, by name.
        num_layers: of the encoder.
    """
    where, found = weights_of(layout, num_layers), {}
    for ours, array in weights.items():
        if ours not in where:
            continue
        names, is_transposed = where[ours]
        for name, part in zip(names, np.split(array, len(names), -1), strict=True):
            found[name] = np.ascontiguousarray(part.T if is_transposed else part)
    return found
