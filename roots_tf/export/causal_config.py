"""`config.json` of causal models in transformers: GPT-2's, Llama's and Mistral's.

Every key is done, is one that cannot change a result, or is refused: a key that is passed over
could turn or scale what the weights were trained with, and nothing would show it.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import models
from roots_tf.export import bert_config
from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number

Family = Literal["gpt2", "llama"]
FAMILIES: dict[str, Family] = {"gpt2": "gpt2", "llama": "llama", "mistral": "llama"}
ACTIVATIONS = {"silu": ("silu", "swish")} | bert_config.ACTIVATIONS
ARCHITECTURES = {
    "gpt2": ("GPT2LMHeadModel", "GPT2Model"),
    "llama": ("LlamaForCausalLM", "LlamaModel"),
    "mistral": ("MistralForCausalLM", "MistralModel"),
}
# Keys that change no logits: of other heads, of how a model is run or was saved, of names.
_IRRELEVANT = {
    *("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels"),
    *("summary_first_dropout", "use_cache", "transformers_version", "torch_dtype", "dtype"),
    *("_name_or_path", "name_or_path", "pretraining_tp", "task_specific_params", "id2label"),
    *("label2id", "problem_type", "return_dict", "output_hidden_states", "output_attentions"),
    *("chunk_size_feed_forward", "gradient_checkpointing", "_attn_implementation"),
    *("attn_implementation", "reorder_and_upcast_attn", "n_ctx", "finetuning_task", "torchscript"),
    *("tokenizer_class", "prefix", "unsloth_version", "unsloth_fixed", "max_length", "do_sample"),
    *("_num_labels", "num_labels", "_attn_implementation_autoset", "sep_token_id"),
}
_LARGEST = 10**8  # of a size; what the weights have is compared before anything is made of it
_Ids = int | tuple[int, ...] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Common:
    """What both families have; the defaults are those of transformers."""

    model_type: str
    vocab_size: int = number(minimum=1, maximum=_LARGEST)
    initializer_range: float = number(0.02, minimum=0, maximum=100)
    bos_token_id: _Ids = None
    eos_token_id: _Ids = None
    pad_token_id: _Ids = None
    architectures: tuple[str, ...] | None = None
    is_decoder: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpt2Config(_Common):
    """What is read of a GPT-2's."""

    n_positions: int = number(1024, minimum=1, maximum=_LARGEST)
    n_embd: int = number(minimum=1, maximum=_LARGEST)
    n_layer: int = number(minimum=1, maximum=_LARGEST)
    n_head: int = number(minimum=1, maximum=_LARGEST)
    n_inner: int | None = number(None, minimum=1, maximum=_LARGEST)
    activation_function: str = "gelu_new"
    resid_pdrop: float = number(0.1, minimum=0, maximum=0.99)
    embd_pdrop: float = number(0.1, minimum=0, maximum=0.99)
    attn_pdrop: float = number(0.1, minimum=0, maximum=0.99)
    layer_norm_epsilon: float = number(1e-5, above=0, maximum=1)
    scale_attn_weights: Literal[True] = True
    tie_word_embeddings: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rope:
    """How positions turn: `rope_parameters`, and `rope_scaling` of releases before 5."""

    rope_theta: float | None = number(None, above=1, maximum=1e12)
    rope_type: Literal["default"] = "default"
    type_: Literal["default"] = "default"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LlamaConfig(_Common):
    """What is read of a Llama's or a Mistral's."""

    hidden_size: int = number(minimum=1, maximum=_LARGEST)
    intermediate_size: int = number(minimum=1, maximum=_LARGEST)
    num_hidden_layers: int = number(minimum=1, maximum=_LARGEST)
    num_attention_heads: int = number(minimum=1, maximum=_LARGEST)
    num_key_value_heads: int | None = number(None, minimum=1, maximum=_LARGEST)
    max_position_embeddings: int = number(minimum=1, maximum=_LARGEST)
    hidden_act: str = "silu"
    rms_norm_eps: float = number(1e-6, above=0, maximum=1)
    rope_theta: float | None = number(None, above=1, maximum=1e12)
    rope_parameters: _Rope | None = None
    rope_scaling: _Rope | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    attention_dropout: float = number(0.0, minimum=0, maximum=0.99)
    head_dim: int | None = None
    sliding_window: int | None = None
    tie_word_embeddings: bool = False


Config = Gpt2Config | LlamaConfig


def is_causal(described) -> bool:
    """Whether a `config.json`, as it is parsed, says that it is of one of these families."""
    return isinstance(described, dict) and described.get("model_type") in list(FAMILIES)


def read(path: str | Path) -> Config:
    """Reads and checks a config.

    Raises:
        InputError: it is damaged, or wants what ours lacks, or has a key that is not known here.
    """
    found = schema.read_object(path)
    kind = found.get("model_type")
    if kind not in list(FAMILIES):
        raise InputError(
            "unsupported-model",
            f"found model_type={kind!r} in {path}; wanted one of {_names(FAMILIES)}",
        )
    if found.get("quantization_config") is not None:
        raise InputError(
            "unsupported-model",
            f"found quantization_config in {path}; wanted weights of floats: save the model without"
            " quantisation",
        )
    found = {k: v for k, v in found.items() if k not in _IRRELEVANT}
    shape = Gpt2Config if kind == "gpt2" else LlamaConfig
    fields = {field.name for field in dataclasses.fields(shape)}
    for key in sorted(found.keys() - fields):
        if found[key] not in (None, False, [], {}):
            raise InputError(
                "unsupported-model",
                f"found {key}={str(found[key])[:60]} in {path}, which is not known here to leave "
                f"a {kind}'s logits as they are; wanted none such: take the line out if it does",
            )
        del found[key]
    _check_rope(found, path)
    defaults = {field.name: field.default for field in dataclasses.fields(shape)}
    found = {k: v for k, v in found.items() if v is not None or defaults[k] is None}
    if kind == "mistral":  # of a key left out, transformers takes these
        found = {"num_key_value_heads": 8, "sliding_window": 4096} | found
        found.setdefault("max_position_embeddings", 4096 * 32)
    elif kind == "llama":
        found.setdefault("max_position_embeddings", 2048)
    config = schema.check(found, shape, str(path))
    _check_architecture(config, path)
    return config


def _check_rope(found: dict, path: str | Path) -> None:
    """Refuses positions that are stretched.

    Raises:
        InputError: they are.
    """
    for key in ("rope_parameters", "rope_scaling"):
        said = found.get(key)
        kind = (said.get("rope_type") or said.get("type")) if isinstance(said, dict) else None
        if kind not in (None, "default"):
            raise InputError(
                "unsupported-model",
                f"found {key} of the type {str(kind)[:40]!r} in {path}; wanted 'default': a model "
                "whose positions are stretched would be asked with others than it was trained with",
            )


def _check_architecture(config: Config, path: str | Path) -> None:
    names = ARCHITECTURES[config.model_type]
    if config.architectures and config.architectures[0] not in names:
        raise InputError(
            "unsupported-model",
            f"found the architecture {config.architectures[0]} in {path}; wanted {names[0]}: other "
            "heads have no place here",
        )


def encoder_config(config: Config, source: str | Path) -> models.EncoderConfig:
    """The sizes and parts that a config gives.

    Args:
        config: what the file holds.
        source: path of the file, for messages.

    Raises:
        InputError: it has parts that ours lacks, or numbers that do not fit one another.
    """
    is_gpt2 = isinstance(config, Gpt2Config)
    name = "activation_function" if is_gpt2 else "hidden_act"
    found = getattr(config, name)
    activations = {theirs: ours for ours, names in ACTIVATIONS.items() for theirs in names}
    if found not in activations:
        raise InputError(
            "unsupported-model",
            f"found {name}={found!r} in {source}; wanted one of {_names(activations)}",
        )
    fields = _gpt2(config, source) if is_gpt2 else _llama(config, source)
    try:
        return models.EncoderConfig(
            vocabulary_size=config.vocab_size,
            initializer_range=config.initializer_range,
            tied=config.tie_word_embeddings,
            activation=activations[found],
            norm="pre",
            embedding_norm=False,
            num_segments=0,
            **fields,
        )
    except InputError as error:
        raise InputError(error.id, f"{error} (in {source})") from error


def _gpt2(config: Gpt2Config, source: str | Path) -> dict:
    for name in ("embd_pdrop", "attn_pdrop"):
        if (found := getattr(config, name)) != config.resid_pdrop:
            logging.warning(
                "%s has %s=%g; a model here has one rate of dropout, resid_pdrop=%g, which counts "
                "only if it is trained further",
                *(source, name, found, config.resid_pdrop),
            )
    return {
        "num_layers": config.n_layer,
        "hidden_dim": config.n_embd,
        "num_heads": config.n_head,
        "intermediate_dim": config.n_inner or 4 * config.n_embd,
        "max_sequence_length": config.n_positions,
        "dropout": config.resid_pdrop,
        "layer_norm_epsilon": config.layer_norm_epsilon,
    }


def _llama(config: LlamaConfig, source: str | Path) -> dict:
    heads, longest = config.num_attention_heads, config.max_position_embeddings
    shared = config.num_key_value_heads or heads
    if config.head_dim is not None and config.head_dim * heads != config.hidden_size:
        raise InputError(
            "unsupported-model",
            f"found head_dim={config.head_dim}, {heads} heads and hidden_size={config.hidden_size} "
            f"in {source}; wanted heads of hidden_size / num_attention_heads, as models here have",
        )
    if config.attention_bias != config.mlp_bias:
        raise InputError(
            "unsupported-model",
            f"found attention_bias={config.attention_bias} and mlp_bias={config.mlp_bias} in "
            f"{source}; wanted the two to be the same: here all layers have biases, or none has",
        )
    if config.sliding_window is not None and config.sliding_window < longest:
        raise InputError(
            "unsupported-model",
            f"found sliding_window={config.sliding_window} and max_position_embeddings={longest} in"
            f" {source}; wanted a window of all positions, or null: here the first layer always "
            "sees everything. Lower max_position_embeddings to the window for shorter texts",
        )
    if config.attention_dropout:
        logging.warning(
            "%s has attention_dropout=%g, which is here the one rate of dropout; it counts only if "
            "the model is trained further",
            *(source, config.attention_dropout),
        )
    return {
        "num_layers": config.num_hidden_layers,
        "hidden_dim": config.hidden_size,
        "num_heads": heads,
        "num_key_value_heads": 0 if shared == heads else shared,
        "intermediate_dim": config.intermediate_size,
        "max_sequence_length": longest,
        "dropout": config.attention_dropout,
        "layer_norm_epsilon": config.rms_norm_eps,
        "normalization": "rms",
        "feed_forward": "glu",
        "positions": "rotary",
        "rotary_base": _rotary_base(config, source),
        "bias": config.attention_bias,
    }


def _rotary_base(config: LlamaConfig, source: str | Path) -> float:
    said = (config, config.rope_parameters, config.rope_scaling)
    bases = sorted({part.rope_theta for part in said if part and part.rope_theta is not None})
    if len(bases) > 1:
        raise InputError(
            "unsupported-model",
            f"found rope_theta={bases[0]:g} and {bases[1]:g} in {source}; wanted one: correct the "
            "wrong one",
        )
    return bases[0] if bases else 10_000.0


def written(config: models.EncoderConfig, family: Family) -> dict:
    """What `config.json` of the family says of a model of ours; the inverse of `encoder_config`.

    Args:
        config: of the model.
        family: whose parts it has.
    """
    common = {
        "architectures": [ARCHITECTURES[family][0]],
        "model_type": family,
        "vocab_size": config.vocabulary_size,
        "initializer_range": config.initializer_range,
        "tie_word_embeddings": config.tied,
        "dtype": "float32",
    }
    activation = ACTIVATIONS[config.activation][0]
    if family == "gpt2":
        rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), config.dropout)
        return common | rates | {
            "n_positions": config.max_sequence_length,
            "n_embd": config.hidden_dim,
            "n_layer": config.num_layers,
            "n_head": config.num_heads,
            "n_inner": config.intermediate_dim,
            "activation_function": activation,
            "layer_norm_epsilon": config.layer_norm_epsilon,
        }  # fmt: skip
    return common | {
        "hidden_size": config.hidden_dim,
        "intermediate_size": config.intermediate_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.key_value_heads,
        "max_position_embeddings": config.max_sequence_length,
        "hidden_act": activation,
        "rms_norm_eps": config.layer_norm_epsilon,
        "rope_theta": config.rotary_base,
        "attention_bias": config.bias,
        "mlp_bias": config.bias,
        "attention_dropout": config.dropout,
    }


def _names(names) -> str:
    return ", ".join(map(repr, names))
