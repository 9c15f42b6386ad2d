"""Names of the weights of encoder-decoders in transformers: T5's, and BART's and Marian's.

All keep kernels as [out, in]. BART's tables of positions begin with two rows that no position has;
Marian's positions are computed, and some files hold them all the same.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from roots_tf.export import weight_places
from roots_tf.export.weight_places import Weight
from roots_tf.models import DecoderConfig, EncoderConfig, weight_shapes
from roots_tf.storage.files import InputError

Family = Literal["t5", "bart", "marian"]
STACKS = ("encoder", "decoder")
POSITION_OFFSET = 2  # `BartLearnedPositionalEmbedding.offset`
TOKENS, HEAD, BIAS = "shared.weight", "lm_head.weight", "final_logits_bias"
_PREFIX = "model."  # of BART and Marian, before all names but those of the output embedding
_POSITIONS = ".embed_positions.weight"
# Tables that old releases of T5 kept without using them.
_CONSTANTS = (
    "EncDecAttention.relative_attention_bias.weight",
    "encoder.version",
    "decoder.version",
)
_ENDS = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}


def _t5(stack: str) -> dict[str, tuple[str, ...]]:
    """Rows of a stack of T5: `modeling_t5.py`. Sub-layers are numbered."""
    ours, theirs = f"{stack}/layer_{{i}}/", f"{stack}.block.{{i}}.layer."
    cross, last = f"{theirs}1.EncDecAttention.", f"{theirs}{STACKS.index(stack) + 1}."
    return {
        f"{stack}/relative_positions": (
            f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        ),
        f"{ours}attention/query_key_value_": tuple(
            f"{theirs}0.SelfAttention.{part}." for part in "qkv"
        ),
        f"{ours}attention/output_": (f"{theirs}0.SelfAttention.o.",),
        f"{ours}attention_norm/": (f"{theirs}0.layer_norm.",),
        f"{ours}cross_attention/query_": (f"{cross}q.",),
        f"{ours}cross_attention/key_value_": (f"{cross}k.", f"{cross}v."),
        f"{ours}cross_attention/output_": (f"{cross}o.",),
        f"{ours}cross_attention_norm/": (f"{theirs}1.layer_norm.",),
        f"{ours}expand/": (f"{last}DenseReluDense.wi.",),
        f"{ours}contract/": (f"{last}DenseReluDense.wo.",),
        f"{ours}output_norm/": (f"{last}layer_norm.",),
        f"{stack}/final_norm/": (f"{stack}.final_layer_norm.",),
    }


def _bart(stack: str) -> dict[str, tuple[str, ...]]:
    """Rows of a stack of BART and of Marian: `modeling_bart.py`, `modeling_marian.py`."""
    ours, theirs = f"{stack}/layer_{{i}}/", f"{stack}.layers.{{i}}."
    return {
        f"{stack}/embeddings/position": (stack + _POSITIONS,),
        f"{stack}/embeddings/norm/": (f"{stack}.layernorm_embedding.",),
        f"{ours}attention/query_key_value_": tuple(
            f"{theirs}self_attn.{part}_proj." for part in "qkv"
        ),
        f"{ours}attention/output_": (f"{theirs}self_attn.out_proj.",),
        f"{ours}attention_norm/": (f"{theirs}self_attn_layer_norm.",),
        f"{ours}cross_attention/query_": (f"{theirs}encoder_attn.q_proj.",),
        f"{ours}cross_attention/key_value_": tuple(
            f"{theirs}encoder_attn.{part}_proj." for part in "kv"
        ),
        f"{ours}cross_attention/output_": (f"{theirs}encoder_attn.out_proj.",),
        f"{ours}cross_attention_norm/": (f"{theirs}encoder_attn_layer_norm.",),
        f"{ours}expand/": (f"{theirs}fc1.",),
        f"{ours}contract/": (f"{theirs}fc2.",),
        f"{ours}output_norm/": (f"{theirs}final_layer_norm.",),
    }


_COMMON = {"encoder/embeddings/token": (TOKENS,), "head/table": (HEAD,), "output/bias": (BIAS,)}
_OF_BART = _COMMON | _bart("encoder") | _bart("decoder")
_ROWS: dict[Family, dict[str, tuple[str, ...]]] = {
    "t5": _COMMON | _t5("encoder") | _t5("decoder"),
    "bart": _OF_BART,
    "marian": _OF_BART,
}


def places(family: Family, config: EncoderConfig, decoder: DecoderConfig) -> dict[str, Weight]:
    """Where each weight of an `EncoderDecoder` stands in a folder of transformers, by our name.

    Args:
        family: whose folder it is.
        config: sizes and parts of the encoder, such as the family has them.
        decoder: of the decoder, likewise.
    """
    found, rows = {}, _ROWS[family]
    for ours, shape in weight_shapes.encoder_decoder(config, decoder).items():
        stack = decoder if ours.startswith("decoder/") else config
        layer = ours.split("/")[1]
        number = layer.removeprefix("layer_") if layer.startswith("layer_") else ""
        general = ours.replace(f"layer_{number}/", "layer_{i}/", 1) if number else ours
        row = next(row for row in rows if general.startswith(row))
        names = tuple(name.format(i=number) for name in rows[row])
        if row.endswith("expand/") and stack.feed_forward == "glu":  # the gated half first, as here
            names = tuple(f"{name.removesuffix('.')}_{half}." for name in names for half in (0, 1))
        names = tuple(name + _ENDS.get(general.removeprefix(row), "") for name in names)
        widths = (shape[-1] // len(names),) * len(names)
        found[ours] = Weight(names, widths, shape, ours.endswith("kernel"))
    return found


def named_as_in_the_table(
    family: Family, stored: Mapping[str, np.ndarray], source: str
) -> dict[str, np.ndarray]:
    """Weights of a file by the names and in the shapes of the table, each once.

    Args:
        family: of them.
        stored: weights by name, as in the file.
        source: file or folder, for messages.

    Raises:
        InputError: a name is there twice; a copy of the token embedding differs from it; or
            Marian's positions are others than those that are computed.
    """
    found = {}
    for name, array in stored.items():
        name = name if family == "t5" else name.removeprefix(_PREFIX)
        if name in found:
            raise InputError(
                "named-twice", f"found the weight {name} twice in {source}; wanted one model there"
            )
        if not name.endswith(_CONSTANTS):
            found[name] = array
    copies = [f"{stack}.embed_tokens.weight" for stack in STACKS]
    for copy in copies:
        array = found.pop(copy, None)
        if array is not None and not np.array_equal(array, found.setdefault(TOKENS, array)):
            raise InputError(
                "unsupported-model",
                f"found {copy} other than {TOKENS} in {source}; wanted the two to be one: here "
                "encoder and decoder of such a model share their token embedding",
            )
    for name in [name for name in found if name.endswith(_POSITIONS)]:
        if family == "marian":
            _check_sinusoids(found.pop(name), name, source)
        elif found[name].ndim == 2:
            found[name] = found[name][POSITION_OFFSET:]
    if BIAS in found and found[BIAS].ndim == 2:  # [1, V]
        found[BIAS] = found[BIAS].reshape(-1)
    return found


def _check_sinusoids(table: np.ndarray, name: str, source: str) -> None:
    """Refuses a stored table of positions [P, H] that is not what is computed here.

    Raises:
        InputError: it is another.
    """
    half = table.shape[-1] // 2 if table.ndim == 2 else 0
    if half:
        angles = np.arange(len(table))[:, None] * 10_000.0 ** (-np.arange(half) / half)
        wanted = np.concatenate([np.sin(angles), np.cos(angles)], -1)
        if wanted.shape == table.shape and np.abs(wanted - table).max() < 1e-3:
            return
    raise InputError(
        "unsupported-model",
        f"found {name} other than sines, then cosines, of positions in {source}; wanted those, "
        "which are computed here",
    )


def as_stored(
    family: Family, config: EncoderConfig, decoder: DecoderConfig, weights: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The inverse of `named_as_in_the_table` and `weight_places.to_ours`: what a file holds.

    Args:
        family: whose folder it is.
        config: sizes and parts of the encoder.
        decoder: of the decoder.
        weights: ours, by name.
    """
    theirs = weight_places.from_ours(places(family, config, decoder), weights)
    if family == "t5":
        # A copy of the tied table is what tells a decoder whose states are not divided.
        if decoder.tied and not decoder.output_scale:
            theirs[HEAD] = theirs[TOKENS].copy()
        return theirs
    for name in [name for name in theirs if name.endswith(_POSITIONS)]:
        rows = np.zeros([POSITION_OFFSET, config.hidden_dim], np.float32)
        theirs[name] = np.concatenate([rows, theirs[name]])
    size = decoder.vocabulary_size
    bias = theirs.pop(BIAS, np.zeros(size, np.float32)).reshape(1, size)
    return {f"{_PREFIX}{name}": array for name, array in theirs.items()} | {BIAS: bias}


def with_rows(stored: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """Weights with the first rows only of those that have one for each id.

    Args:
        stored: weights by name, as in the table.
        count: rows to keep.
    """
    return {
        name: array[:count] if name in (TOKENS, HEAD, BIAS) else array
        for name, array in stored.items()
    }
