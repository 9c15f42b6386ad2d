"""Preset folders of keras-hub's `T5Backbone` and `BartBackbone`, in.

`bart_backbone.py` there has the exact GELU and an epsilon of 1e-5; `t5_multi_head_attention.py` 32
numbers for distances up to 128. Weights are taken by the names that transformers gives them.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np

from roots_tf.export import (
    encoder_decoder_folders,
    encoder_decoder_names,
    encoder_decoder_tokenizer,
    keras_hub_causal,
)
from roots_tf.export.encoder_decoder_names import HEAD, STACKS, TOKENS
from roots_tf.export.incoming import Incoming
from roots_tf.models import DecoderConfig, EncoderConfig, preset_fields
from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number

T5, BART = "keras_hub>T5Backbone", "keras_hub>BartBackbone"
_ACTIVATIONS = {
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
    "keras_hub>gelu_approximate": "gelu_tanh",
}
_POSITIONS = 512  # that T5 was trained with; a preset does not say


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Sizes:
    """What `config` of `config.json` says of both backbones."""

    vocabulary_size: int = number(minimum=1)
    num_layers: int = number(minimum=1)
    num_heads: int = number(minimum=1)
    hidden_dim: int = number(minimum=1)
    intermediate_dim: int = number(minimum=1)
    dropout: float = number(0.1, minimum=0, maximum=0.99)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _T5(_Sizes):
    """What it says of a `T5Backbone` besides."""

    key_value_dim: int | None = number(None, minimum=1)
    activation: str = "relu"
    use_gated_activation: bool = True
    layer_norm_epsilon: float = number(1e-6, above=0, maximum=1)
    tie_embedding_weights: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Bart(_Sizes):
    """What it says of a `BartBackbone` besides."""

    max_sequence_length: int = number(1024, minimum=1)


@dataclasses.dataclass(frozen=True)
class _Rules:
    add_prefix_space: bool = False


@dataclasses.dataclass(frozen=True)
class _SavedTokenizer:
    config: _Rules = _Rules()


def is_encoder_decoder(described: dict) -> bool:
    """Whether a `config.json` of keras-hub, as it is parsed, is of one of these."""
    return described.get("registered_name") in (T5, BART)


def read(folder: str | Path) -> Incoming:
    """The model of a preset folder.

    Raises:
        InputError: it is damaged, its files are of different models, or it has an activation that
            ours lacks.
    """
    folder = Path(folder)
    path = folder / "config.json"
    found = schema.read_object(path)
    is_t5 = found["registered_name"] == T5
    shape = _T5 if is_t5 else _Bart
    sizes = schema.check(found.get("config"), shape, str(path), others_may_stand=True)
    pair = _t5(sizes, path) if is_t5 else _bart(sizes)
    assets = folder / "assets" / "tokenizer"
    if is_t5:
        tokenizer = _t5_tokenizer(assets / "vocabulary.spm", sizes.vocabulary_size)
        starts = (tokenizer.pad_id,)
    else:
        saved = schema.read(folder / "tokenizer.json", _SavedTokenizer, others_may_stand=True)
        tokenizer = encoder_decoder_tokenizer.of_bart(
            assets / "vocabulary.json", saved.config.add_prefix_space
        )
        starts = (tokenizer.eos_id, tokenizer.bos_id)  # `bart_seq_2_seq_lm_preprocessor.py`
    pair = pair[0], dataclasses.replace(pair[1], start_ids=starts)
    places = encoder_decoder_names.places("t5" if is_t5 else "bart", *pair)
    numbers = sum(math.prod(weight.shape) for weight in places.values())
    keras_hub_causal.check_size(numbers, folder)
    import keras_hub

    backbone_class = keras_hub.models.T5Backbone if is_t5 else keras_hub.models.BartBackbone
    try:
        backbone = backbone_class.from_preset(str(folder), dtype="float32")
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "file-damaged", f"could not read the preset {folder}: {reason}; save or copy it again"
        ) from error
    stored = _weights_of_t5(backbone) if is_t5 else _weights_of_bart(backbone)
    family = "t5" if is_t5 else "bart"
    return encoder_decoder_folders.build(family, pair, stored, tokenizer, str(folder))


def _t5(sizes: _T5, path: Path) -> tuple[EncoderConfig, DecoderConfig]:
    if sizes.activation not in _ACTIVATIONS:
        raise InputError(
            "unsupported-model",
            f"found activation={sizes.activation!r} in {path}; wanted one of "
            f"{', '.join(map(repr, _ACTIVATIONS))}",
        )
    encoder = EncoderConfig(
        **preset_fields("t5")
        | {name: getattr(sizes, name) for name in (f.name for f in dataclasses.fields(_Sizes))}
        | {
            "head_size": sizes.key_value_dim or sizes.hidden_dim // sizes.num_heads,
            "max_sequence_length": _POSITIONS,
            "activation": _ACTIVATIONS[sizes.activation],
            "feed_forward": "glu" if sizes.use_gated_activation else "mlp",
            "layer_norm_epsilon": sizes.layer_norm_epsilon,
            "tied": sizes.tie_embedding_weights,
        }
    )
    scale = sizes.tie_embedding_weights  # `t5_seq_2_seq_lm.py`, `_logits`
    return encoder, DecoderConfig.like(encoder, output_scale=scale, source_begins=False)


def _bart(sizes: _Bart) -> tuple[EncoderConfig, DecoderConfig]:
    encoder = EncoderConfig(**preset_fields("bart") | dataclasses.asdict(sizes))
    return encoder, DecoderConfig.like(encoder)


def _t5_tokenizer(path: Path, rows: int):
    """The pieces, and T5's sentinels where there are rows for them: keras-hub has no names then."""
    found = encoder_decoder_tokenizer.of_sentencepiece(path, 0)
    sentinels = encoder_decoder_tokenizer.SENTINELS
    if rows - found.size < sentinels:
        return found
    return encoder_decoder_tokenizer.of_sentencepiece(path, sentinels)


def _kernel(dense) -> np.ndarray:
    """As transformers keeps it, [out, in]."""
    return dense.kernel.numpy().T


def _weights_of_t5(backbone) -> dict[str, np.ndarray]:
    """Weights of a `T5Backbone` by the names of transformers."""
    embedding = backbone.token_embedding
    found = {TOKENS: embedding.embeddings.numpy()}
    if not backbone.tie_embedding_weights:
        found[HEAD] = embedding.reverse_embeddings.numpy().T
    for stack in STACKS:
        layers = getattr(backbone, f"{stack}_transformer_layers")
        norm = getattr(backbone, f"{stack}_layer_norm")
        found[f"{stack}.final_layer_norm.weight"] = norm.weight.numpy()
        found[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = layers[
            0
        ].self_attention.relative_attention_bias.numpy()
        for i, layer in enumerate(layers):
            name = f"{stack}.block.{i}.layer."
            attentions = {"0.": ("SelfAttention", layer.self_attention)}
            norms = {"0.": layer.self_attention_layer_norm}
            if stack == "decoder":
                attentions["1."] = ("EncDecAttention", layer.cross_attention)
                norms["1."] = layer.cross_attention_layer_norm
            last = f"{len(norms)}."
            norms[last] = layer.layer_norm
            for place, (kind, attention) in attentions.items():
                for part in ("query", "key", "value", "output"):
                    dense = getattr(attention, f"{part}_projector")
                    short = "o" if part == "output" else part[0]
                    found[f"{name}{place}{kind}.{short}.weight"] = _kernel(dense)
            for place, norm in norms.items():
                found[f"{name}{place}layer_norm.weight"] = norm.weight.numpy()
            wide = {"wi": layer.input_projector, "wo": layer.output_projector}
            if backbone.use_gated_activation:
                wide["wi_0"], wide["wi_1"] = wide.pop("wi"), layer.gate_projector
            for short, dense in wide.items():
                found[f"{name}{last}DenseReluDense.{short}.weight"] = _kernel(dense)
    return found


def _weights_of_bart(backbone) -> dict[str, np.ndarray]:
    """Weights of a `BartBackbone` by the names of transformers."""
    hidden = backbone.hidden_dim
    found = {TOKENS: backbone.token_embedding.embeddings.numpy()}

    def add_norm(name, norm):
        found.update({f"{name}.weight": norm.gamma.numpy(), f"{name}.bias": norm.beta.numpy()})

    def add_dense(name, kernel, bias):
        found.update({f"{name}.weight": kernel.T, f"{name}.bias": bias.numpy().reshape(-1)})

    def add_attention(name, attention):
        for part in ("query", "key", "value"):  # [H, N, D] by head
            dense = getattr(attention, f"{part}_dense")
            kernel = dense.kernel.numpy().reshape(hidden, -1)
            add_dense(f"{name}.{part[0]}_proj", kernel, dense.bias)
        dense = attention.output_dense  # [N, D, H]
        add_dense(f"{name}.out_proj", dense.kernel.numpy().reshape(-1, hidden), dense.bias)

    for stack in STACKS:
        positions = getattr(backbone, f"{stack}_position_embedding").position_embeddings
        found[f"{stack}.embed_positions.weight"] = positions.numpy()
        norm = getattr(backbone, f"{stack}_embeddings_layer_norm")
        add_norm(f"{stack}.layernorm_embedding", norm)
        for i, layer in enumerate(getattr(backbone, f"{stack}_transformer_layers")):
            name = f"{stack}.layers.{i}"
            add_attention(f"{name}.self_attn", layer._self_attention_layer)
            add_norm(f"{name}.self_attn_layer_norm", layer._self_attention_layer_norm)
            if stack == "decoder":
                add_attention(f"{name}.encoder_attn", layer._cross_attention_layer)
                add_norm(f"{name}.encoder_attn_layer_norm", layer._cross_attention_layer_norm)
            wide = layer._feedforward_intermediate_dense, layer._feedforward_output_dense
            for short, dense in zip(("fc1", "fc2"), wide, strict=True):
                add_dense(f"{name}.{short}", dense.kernel.numpy(), dense.bias)
            add_norm(f"{name}.final_layer_norm", layer._feedforward_layer_norm)
    return found
