"""`config.json` of encoder-decoders in transformers: T5's, BART's and Marian's.

Every key is done, is one that cannot change a result, or is refused, as for causal models.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf.export import bert_config
from roots_tf.export.encoder_decoder_names import Family
from roots_tf.models import DecoderConfig, EncoderConfig, preset_fields
from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number

FAMILIES: dict[str, Family] = {"t5": "t5", "mt5": "t5", "bart": "bart", "marian": "marian"}
ARCHITECTURES = {
    "t5": ("T5ForConditionalGeneration", "T5WithLMHeadModel", "T5Model"),
    "mt5": ("MT5ForConditionalGeneration", "MT5Model"),
    "bart": ("BartForConditionalGeneration", "BartModel"),
    "marian": ("MarianMTModel", "MarianModel"),
}
# Why another model is none, where its folder looks like one of these.
_OF_OTHERS = {
    "umt5": "a UMT5 has relative positions of its own in each layer",
    "longt5": "a LongT5 sees a window of its source, or summaries of it",
    "mbart": "an mBART has pre-norm blocks, and languages behind its sources",
    "m2m_100": "an M2M-100 has pre-norm blocks, and languages before its sources",
    "pegasus": "a Pegasus has pre-norm blocks and positions of its own",
    "led": "an LED sees a window of its source",
}
ACTIVATIONS = bert_config.ACTIVATIONS | {"silu": ("swish", "silu"), "relu": ("relu",)}
# Keys that change no logits: of other heads, of how a model is run, trained or was saved, of names.
_IRRELEVANT = {
    *("use_cache", "transformers_version", "torch_dtype", "dtype", "_name_or_path", "name_or_path"),
    *("task_specific_params", "id2label", "label2id", "problem_type", "return_dict", "prefix"),
    *("output_hidden_states", "output_attentions", "output_past", "gradient_checkpointing"),
    *("chunk_size_feed_forward", "_attn_implementation", "attn_implementation", "torchscript"),
    *("_attn_implementation_autoset", "tokenizer_class", "finetuning_task", "num_labels"),
    *("_num_labels", "classifier_dropout", "classif_dropout", "encoder_layerdrop", "save_step"),
    *(
        "decoder_layerdrop",
        "layerdrop",
        "num_hidden_layers",
        "extra_pos_embeddings",
        "bos_token_id",
    ),
    *("sep_token_id", "initializer_factor", "init_std", "is_gated_act", "dense_act_fn"),
    *("hidden_size", "num_attention_heads", "max_length", "min_length"),
}
# Keys of how transformers writes texts by itself. They are told, for here flags say it.
_GENERATION = (
    *("num_beams", "length_penalty", "early_stopping", "no_repeat_ngram_size", "do_sample"),
    *("encoder_no_repeat_ngram_size", "repetition_penalty", "temperature", "top_k", "top_p"),
    *("bad_words_ids", "num_return_sequences", "num_beam_groups", "diversity_penalty"),
    *("suppress_tokens", "begin_suppress_tokens", "max_new_tokens", "renormalize_logits"),
)
_IDS = ("decoder_start_token_id", "forced_bos_token_id", "eos_token_id", "pad_token_id")
_IDS += ("forced_eos_token_id",)
_LARGEST = 10**8  # of a size; what the weights have is compared before anything is made of it
_POSITIONS = 512  # tokens of a T5 whose config does not say how many it was trained with


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Common:
    """What all have; the defaults are those of transformers."""

    model_type: str
    vocab_size: int = number(minimum=1, maximum=_LARGEST)
    d_model: int = number(minimum=1, maximum=_LARGEST)
    decoder_start_token_id: int | None = number(None, minimum=0, maximum=_LARGEST)
    forced_bos_token_id: int | None = number(None, minimum=0, maximum=_LARGEST)
    forced_eos_token_id: int | tuple[int, ...] | None = None
    eos_token_id: int | tuple[int, ...] | None = None
    pad_token_id: int | None = number(None, minimum=0, maximum=_LARGEST)
    architectures: tuple[str, ...] | None = None
    is_encoder_decoder: Literal[True] = True
    tie_word_embeddings: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config(_Common):
    """What is read of a T5's or an mT5's."""

    d_kv: int = number(64, minimum=1, maximum=_LARGEST)
    d_ff: int = number(2048, minimum=1, maximum=_LARGEST)
    num_layers: int = number(6, minimum=1, maximum=_LARGEST)
    num_decoder_layers: int | None = number(None, minimum=1, maximum=_LARGEST)
    num_heads: int = number(8, minimum=1, maximum=_LARGEST)
    relative_attention_num_buckets: int = number(32, minimum=1, maximum=_LARGEST)
    relative_attention_max_distance: int = number(128, minimum=1, maximum=_LARGEST)
    dropout_rate: float = number(0.1, minimum=0, maximum=0.99)
    layer_norm_epsilon: float = number(1e-6, above=0, maximum=1)
    feed_forward_proj: str = "relu"
    n_positions: int = number(_POSITIONS, minimum=1, maximum=_LARGEST)
    scale_decoder_outputs: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BartConfig(_Common):
    """What is read of a BART's or a Marian's."""

    encoder_layers: int = number(12, minimum=1, maximum=_LARGEST)
    decoder_layers: int = number(12, minimum=1, maximum=_LARGEST)
    encoder_attention_heads: int = number(16, minimum=1, maximum=_LARGEST)
    decoder_attention_heads: int = number(16, minimum=1, maximum=_LARGEST)
    encoder_ffn_dim: int = number(4096, minimum=1, maximum=_LARGEST)
    decoder_ffn_dim: int = number(4096, minimum=1, maximum=_LARGEST)
    max_position_embeddings: int = number(1024, minimum=1, maximum=_LARGEST)
    activation_function: str = "gelu"
    dropout: float = number(0.1, minimum=0, maximum=0.99)
    attention_dropout: float = number(0.0, minimum=0, maximum=0.99)
    activation_dropout: float = number(0.0, minimum=0, maximum=0.99)
    scale_embedding: bool = False
    tie_word_embeddings: Literal[True] = True
    normalize_before: Literal[False] = False
    add_final_layer_norm: Literal[False] = False
    normalize_embedding: bool | None = None
    static_position_embeddings: bool | None = None
    add_bias_logits: bool = False  # of a release without `final_logits_bias`
    decoder_vocab_size: int | None = number(None, minimum=1, maximum=_LARGEST)
    share_encoder_decoder_embeddings: Literal[True] = True


Config = T5Config | BartConfig


def is_encoder_decoder(described) -> bool:
    """Whether a `config.json`, as it is parsed, is of one of these families or like one."""
    kinds = [*FAMILIES, *_OF_OTHERS]
    return isinstance(described, dict) and described.get("model_type") in kinds


def read(path: str | Path) -> Config:
    """Reads and checks a config; ids that `generation_config.json` beside it gives stand above it.

    Raises:
        InputError: it is damaged, or wants what ours lacks, or has a key that is not known here.
    """
    found = schema.read_object(path)
    beside = Path(path).with_name("generation_config.json")
    said = schema.read_object(beside) if beside.is_file() else {}
    found |= {key: said[key] for key in (*_IDS, *_GENERATION) if said.get(key) is not None}
    kind = found.get("model_type")
    if kind not in list(FAMILIES):
        raise InputError(
            "unsupported-model",
            f"found model_type={kind!r} in {path}; wanted one of {_names(FAMILIES)}: "
            f"{_OF_OTHERS.get(kind, 'others have other parts')}",
        )
    if found.pop("force_bos_token_to_be_generated", None):  # of releases before 4.3
        found.setdefault("forced_bos_token_id", found.get("bos_token_id"))
    if told := {key: found[key] for key in _GENERATION if found.get(key) not in (None, False)}:
        said = ", ".join(f"{key}={value}" for key, value in told.items())
        logging.info("%s asks for %s; here flags of what writes texts do", path, said[:200])
    found = {k: v for k, v in found.items() if k not in _IRRELEVANT and k not in _GENERATION}
    shape = T5Config if FAMILIES[kind] == "t5" else BartConfig
    defaults = {field.name: field.default for field in dataclasses.fields(shape)}
    for key in sorted(found.keys() - defaults.keys()):
        if found[key] not in (None, False, [], {}):
            raise InputError(
                "unsupported-model",
                f"found {key}={str(found[key])[:60]} in {path}, which is not known here to leave "
                f"a {kind}'s logits as they are; wanted none such: take the line out if it does",
            )
        del found[key]
    found = {k: v for k, v in found.items() if v is not None or defaults[k] is None}
    if kind == "mt5":
        found = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} | found
        found["scale_decoder_outputs"] = False  # `modeling_mt5.py` never divides
    config = schema.check(found, shape, str(path))
    _check_family(config, path)
    return config


def _check_family(config: Config, path: str | Path) -> None:
    """Refuses what no other key of the config tells.

    Raises:
        InputError: another head; or of BART and Marian, parts of the other.
    """
    names = ARCHITECTURES[config.model_type]
    if config.architectures and config.architectures[0] not in names:
        raise InputError(
            "unsupported-model",
            f"found the architecture {config.architectures[0]} in {path}; wanted {names[0]}: other "
            "heads have no place here",
        )
    if isinstance(config, T5Config):
        return
    is_marian = config.model_type == "marian"
    wanted = {"normalize_embedding": not is_marian, "static_position_embeddings": is_marian}
    wanted |= {"decoder_vocab_size": config.vocab_size, "add_bias_logits": False}
    for name, only in wanted.items():
        if (found := getattr(config, name)) not in (None, only):
            raise InputError(
                "unsupported-model",
                f"found {name}={found} in {path}; wanted {only}, as a {config.model_type} here has",
            )


def pair(config: Config, source: str | Path) -> tuple[EncoderConfig, DecoderConfig]:
    """The sizes and parts that a config gives; a source begins as its tokenizer says.

    Args:
        config: what the file holds.
        source: path of the file, for messages.

    Raises:
        InputError: it has parts that ours lacks, or numbers that do not fit one another.
    """
    start, ends = config.decoder_start_token_id, end_ids(config)
    if start is None:  # T5's and Marian's is the padding, BART's the end of a text
        start = ends[0] if config.model_type == "bart" and ends else config.pad_token_id
    starts = [i for i in (start, config.forced_bos_token_id) if i is not None]
    fields, of_decoder = (_t5 if isinstance(config, T5Config) else _bart)(config, source)
    try:
        encoder = EncoderConfig(
            vocabulary_size=config.vocab_size, hidden_dim=config.d_model, **fields
        )
        of_decoder |= {"start_ids": tuple(starts), "forces_end": _forces_end(config, source)}
        return encoder, DecoderConfig.like(encoder, **of_decoder)
    except InputError as error:
        raise InputError(error.id, f"{error} (in {source})") from error


def end_ids(config: Config) -> tuple[int, ...]:
    """Ids that end a text; `config` is what the file holds."""
    return _some(config.eos_token_id)


def _some(ids: int | tuple[int, ...] | None) -> tuple[int, ...]:
    return () if ids is None else (ids,) if isinstance(ids, int) else ids


def _forces_end(config: Config, source: str | Path) -> bool:
    """Whether the last token that a target has room for is its end.

    Raises:
        InputError: another token is asked for there.
    """
    forced = _some(config.forced_eos_token_id)
    if other := set(forced) - set(end_ids(config)):
        raise InputError(
            "unsupported-model",
            f"found forced_eos_token_id={min(other)} and eos_token_id={config.eos_token_id} in "
            f"{source}; wanted the first to be an end of a text too: correct one of the two",
        )
    return bool(forced)


def _activation(name: str, found: str, source: str | Path, theirs: str | None = None) -> str:
    """Ours of the activation `found`, or of `theirs`, which it stands for."""
    activations = {name: ours for ours, names in ACTIVATIONS.items() for name in names}
    if (theirs or found) not in activations:
        raise InputError(
            "unsupported-model",
            f"found {name}={found!r} in {source}; wanted one of {_names(activations)}",
        )
    return activations[theirs or found]


def _t5(config: T5Config, source: str | Path) -> tuple[dict, dict]:
    gate, _, rest = config.feed_forward_proj.rpartition("-")
    if gate not in ("", "gated"):
        rest = config.feed_forward_proj  # which is none
    name = "gelu_new" if (gate, rest) == ("gated", "gelu") else rest  # as `T5Config` there has it
    activation = _activation("feed_forward_proj", config.feed_forward_proj, source, name)
    fields = preset_fields("t5") | {
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "head_size": config.d_kv,
        "intermediate_dim": config.d_ff,
        "max_sequence_length": config.n_positions,
        "dropout": config.dropout_rate,
        "activation_dropout": config.dropout_rate,
        "feed_forward": "glu" if gate else "mlp",
        "activation": activation,
        "relative_buckets": config.relative_attention_num_buckets,
        "relative_distance": config.relative_attention_max_distance,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "tied": config.tie_word_embeddings,
    }
    scale = config.scale_decoder_outputs
    return fields, {
        "num_layers": config.num_decoder_layers or config.num_layers,
        "source_begins": False,
        "output_scale": config.tie_word_embeddings if scale is None else scale,
    }


def _bart(config: BartConfig, source: str | Path) -> tuple[dict, dict]:
    marian = {"positions": "sinusoidal", "embedding_norm": False}
    activation = _activation("activation_function", config.activation_function, source)
    fields = preset_fields("bart") | {
        "num_layers": config.encoder_layers,
        "num_heads": config.encoder_attention_heads,
        "intermediate_dim": config.encoder_ffn_dim,
        "max_sequence_length": config.max_position_embeddings,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "activation": activation,
        "embedding_scale": config.scale_embedding,
        **(marian if config.model_type == "marian" else {}),
    }
    return fields, {
        "num_layers": config.decoder_layers,
        "num_heads": config.decoder_attention_heads,
        "intermediate_dim": config.decoder_ffn_dim,
        "source_begins": config.model_type == "bart",
        "output_bias": True,
    }


def written(family: Family, config: EncoderConfig, decoder: DecoderConfig) -> dict:
    """What `config.json` of the family says of a model of ours; the inverse of `pair`.

    Args:
        family: whose parts it has.
        config: of the encoder.
        decoder: of the decoder.
    """
    common = {
        "architectures": [ARCHITECTURES[family][0]],
        "model_type": family,
        "is_encoder_decoder": True,
        "vocab_size": config.vocabulary_size,
        "d_model": config.hidden_dim,
        "dtype": "float32",
    }
    activation = ACTIVATIONS[config.activation][0]
    if family == "t5":
        gated = config.feed_forward == "glu"
        activation = "gelu" if gated and config.activation == "gelu_tanh" else activation
        return common | {
            "d_kv": config.head_dim,
            "d_ff": config.intermediate_dim,
            "num_layers": config.num_layers,
            "num_decoder_layers": decoder.num_layers,
            "num_heads": config.num_heads,
            "relative_attention_num_buckets": config.relative_buckets,
            "relative_attention_max_distance": config.relative_distance,
            "dropout_rate": config.dropout,
            "layer_norm_epsilon": config.layer_norm_epsilon,
            "feed_forward_proj": f"gated-{activation}" if gated else activation,
            "n_positions": config.max_sequence_length,
            "tie_word_embeddings": decoder.tied and decoder.output_scale,
        }
    stacks = {"encoder": config, "decoder": decoder}
    sizes = {f"{name}_layers": stack.num_layers for name, stack in stacks.items()}
    sizes |= {f"{name}_attention_heads": stack.num_heads for name, stack in stacks.items()}
    sizes |= {f"{name}_ffn_dim": stack.intermediate_dim for name, stack in stacks.items()}
    return common | sizes | {
        "max_position_embeddings": config.max_sequence_length,
        "activation_function": activation,
        "dropout": config.dropout,
        "attention_dropout": config.attention_rate,
        "activation_dropout": config.activation_dropout,
        "scale_embedding": config.embedding_scale,
        "tie_word_embeddings": True,
    }  # fmt: skip


def _names(names) -> str:
    return ", ".join(map(repr, names))
