"""Names of the weights of causal models: here, in transformers (GPT-2, Llama), in keras-hub.

GPT-2 of transformers keeps kernels as [in, out] (`Conv1D`), with query, key and value as one, as
here; Llama keeps them as [out, in], each by itself, and so the two halves of a gated layer.
keras-hub keeps attention by head, [H, N, D] and [N, D, H]: the same numbers in the same order.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from roots_tf.export import weight_places
from roots_tf.export.weight_places import Weight
from roots_tf.models import EncoderConfig, weight_shapes
from roots_tf.storage.files import InputError

Layout = Literal["gpt2", "llama", "keras_hub"]
_BLOCK = "encoder/layer_{i}/"
# What transformers writes before the names of a stack that has an output embedding.
PREFIXES = {"gpt2": "transformer.", "llama": "model."}
_HEAD = "lm_head.weight"
_TOKENS = ("encoder/embeddings/token", "head/table")  # tables with a row for each id
# Masks and wavelengths that old releases kept among the weights.
_CONSTANTS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")

# Sources: `modeling_gpt2.py` and `modeling_llama.py` of transformers; `gpt2_backbone.py` of
# keras-hub. "kernel" stands for both a kernel and its bias, "norm" for gain and bias of a norm.
_ROWS: dict[Layout, dict[str, tuple[str, ...]]] = {
    "gpt2": {
        "encoder/embeddings/token": ("wte.weight",),
        "encoder/embeddings/position": ("wpe.weight",),
        _BLOCK + "attention/query_key_value_": ("h.{i}.attn.c_attn.",),
        _BLOCK + "attention/output_": ("h.{i}.attn.c_proj.",),
        _BLOCK + "attention_norm/": ("h.{i}.ln_1.",),
        _BLOCK + "expand/": ("h.{i}.mlp.c_fc.",),
        _BLOCK + "contract/": ("h.{i}.mlp.c_proj.",),
        _BLOCK + "output_norm/": ("h.{i}.ln_2.",),
        "encoder/final_norm/": ("ln_f.",),
        "head/table": (_HEAD,),
    },
    "llama": {
        "encoder/embeddings/token": ("embed_tokens.weight",),
        _BLOCK + "attention/query_key_value_": tuple(
            f"layers.{{i}}.self_attn.{part}_proj." for part in "qkv"
        ),
        _BLOCK + "attention/output_": ("layers.{i}.self_attn.o_proj.",),
        _BLOCK + "attention_norm/": ("layers.{i}.input_layernorm.",),
        _BLOCK + "expand/": ("layers.{i}.mlp.gate_proj.", "layers.{i}.mlp.up_proj."),
        _BLOCK + "contract/": ("layers.{i}.mlp.down_proj.",),
        _BLOCK + "output_norm/": ("layers.{i}.post_attention_layernorm.",),
        "encoder/final_norm/": ("norm.",),
        "head/table": (_HEAD,),
    },
    "keras_hub": {
        "encoder/embeddings/token": ("token_embedding/embeddings",),
        "encoder/embeddings/position": ("position_embedding/embeddings",),
        _BLOCK + "attention/query_key_value_": tuple(
            f"transformer_layer_{{i}}/self_attention/{part}/" for part in ("query", "key", "value")
        ),
        _BLOCK + "attention/output_": ("transformer_layer_{i}/self_attention/attention_output/",),
        _BLOCK + "attention_norm/": ("transformer_layer_{i}/self_attention_layer_norm/",),
        _BLOCK + "expand/": ("transformer_layer_{i}/feedforward_intermediate_dense/",),
        _BLOCK + "contract/": ("transformer_layer_{i}/feedforward_output_dense/",),
        _BLOCK + "output_norm/": ("transformer_layer_{i}/feedforward_layer_norm/",),
        "encoder/final_norm/": ("layer_norm/",),
    },
}
_ENDS = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}


def weights_of(layout: Layout, config: EncoderConfig) -> dict[str, Weight]:
    """Where each weight of a `CausalLM` stands in another format, by our name.

    Args:
        layout: the other format.
        config: sizes and parts, such as the format has them.
    """
    found = {}
    shapes = weight_shapes.encoder(config) | weight_shapes.output_table(config)
    for ours, shape in shapes.items():
        parts = ours.split("/")
        number = parts[1].removeprefix("layer_") if parts[1].startswith("layer_") else ""
        general = ours.replace(f"layer_{number}/", "layer_{i}/", 1) if number else ours
        row = next(row for row in _ROWS[layout] if general.startswith(row))
        end = general.removeprefix(row)
        end = end if layout == "keras_hub" else _ENDS.get(end, "")
        names = tuple(f"{theirs.format(i=number)}{end}" for theirs in _ROWS[layout][row])
        widths = (shape[-1] // len(names),) * len(names)
        if "query_key_value" in ours and len(names) == 3:
            heads = (config.num_heads, *(config.key_value_heads,) * 2)
            widths = tuple(count * config.head_dim for count in heads)
        is_transposed = layout == "llama" and ours.endswith("kernel")
        found[ours] = Weight(names, widths, shape, is_transposed)
    return found


def check(
    layout: Layout, stored: Mapping[str, np.ndarray], config: EncoderConfig, source: str
) -> None:
    """Compares weights with the sizes of their config, before a model is made of them.

    Args:
        layout: names of the weights.
        stored: weights by name.
        config: sizes and parts.
        source: file or folder that the weights are from, for messages.

    Raises:
        InputError: a weight is missing, of another shape or type, or no part of the model takes it.
    """
    sizes = f"{config.num_layers} layers"
    weight_places.check(weights_of(layout, config), stored, sizes, source, layout == "keras_hub")


def to_ours(
    layout: Layout, stored: Mapping[str, np.ndarray], config: EncoderConfig, source: str
) -> dict[str, np.ndarray]:
    """float32 weights of ours from those of another format; arguments and errors as for `check`.

    Raises:
        InputError: as `check`; or numbers are not finite.
    """
    places = weights_of(layout, config)
    return weight_places.to_ours(places, stored, source, layout == "keras_hub")


def from_ours(
    layout: Layout, weights: Mapping[str, np.ndarray], config: EncoderConfig
) -> dict[str, np.ndarray]:
    """The inverse of `to_ours`: their weights by their names, from ours.

    Args:
        layout: the other format.
        weights: ours, by name.
        config: sizes and parts.
    """
    return weight_places.from_ours(weights_of(layout, config), weights)


def named_as_in_the_table(
    layout: Layout, stored: Mapping[str, np.ndarray], tied: bool, source: str
) -> dict[str, np.ndarray]:
    """Weights of transformers without what it writes before their names, and without constants.

    Args:
        layout: of them.
        stored: weights by name, as in the file.
        tied: whether the output embedding is the input's, of which some files hold a copy.
        source: file or folder, for messages.

    Raises:
        InputError: a name is there twice, or the copy differs.
    """
    renamed = {}
    for name, array in stored.items():
        name = name.removeprefix(PREFIXES[layout])
        if name.endswith(_CONSTANTS):
            continue
        if name in renamed:
            raise InputError(
                "named-twice", f"found the weight {name} twice in {source}; wanted one model there"
            )
        renamed[name] = array
    table = _ROWS[layout][_TOKENS[0]][0]
    if tied and _HEAD in renamed and not np.array_equal(renamed.pop(_HEAD), renamed.get(table)):
        raise InputError(
            "wrong-weights",
            f"found {_HEAD} other than {table} in {source}, whose config has tie_word_embeddings; "
            "wanted the two to be one, or tie_word_embeddings false",
        )
    return renamed


def with_prefix(layout: Layout, names: Iterable[str]) -> dict[str, str]:
    """Names as transformers writes them, by those of the table.

    Args:
        layout: of the names.
        names: of the table.
    """
    return {name: name if name == _HEAD else f"{PREFIXES[layout]}{name}" for name in names}


def with_rows(
    layout: Layout, stored: Mapping[str, np.ndarray], count: int
) -> dict[str, np.ndarray]:
    """Weights with the first rows only of those that have one for each id.

    Args:
        layout: names of the weights.
        stored: weights by name.
        count: rows to keep.
    """
    names = {_ROWS[layout][ours][0] for ours in _TOKENS if ours in _ROWS[layout]}
    return {name: array[:count] if name in names else array for name, array in stored.items()}
