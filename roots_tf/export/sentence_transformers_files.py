"""The JSON files of sentence-transformers, of releases 2 to 6: what each may say that ours does."""

import dataclasses
from typing import Literal

from roots_tf.storage import schema

TANH = "torch.nn.modules.activation.Tanh"
LEGACY = {  # flags of 1_Pooling/config.json, in the order in which vectors were joined
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclasses.dataclass(frozen=True)
class Module:
    """A step of `modules.json`."""

    type_: str
    path: str
    idx: int = 0
    name: str = ""
    kwargs: list[str] = dataclasses.field(default_factory=list)

    @property
    def step(self) -> str:
        """The class, without the package's folders, which change from release to release."""
        return self.type_.rpartition(".")[2]


@dataclasses.dataclass(frozen=True)
class _Text:
    method: Literal["forward"]
    method_output_name: Literal["last_hidden_state"]


@dataclasses.dataclass(frozen=True)
class _Modalities:
    text: _Text


@dataclasses.dataclass(frozen=True)
class _Nothing:
    """An object without keys, of what is passed on to transformers."""


@dataclasses.dataclass(frozen=True)
class Transformer:
    """`sentence_bert_config.json`, of the first step; other values than these are refused."""

    max_seq_length: int | None = schema.number(None, minimum=3)
    do_lower_case: bool = False
    transformer_task: Literal["feature-extraction"] = "feature-extraction"
    modality_config: _Modalities | None = None
    module_output_name: Literal["token_embeddings"] = "token_embeddings"
    unpad_inputs: bool | None = None  # how it is computed, not what
    mask_prompt: Literal[False] = False
    tokenizer_name_or_path: None = None
    query_length: None = None
    document_length: None = None
    query_expansion: None = None
    processing_kwargs: _Nothing | None = None
    model_args: _Nothing | None = None
    model_kwargs: _Nothing | None = None
    tokenizer_args: _Nothing | None = None
    processor_kwargs: _Nothing | None = None
    config_args: _Nothing | None = None
    config_kwargs: _Nothing | None = None


@dataclasses.dataclass(frozen=True)
class Pooling:
    """`1_Pooling/config.json`, of any release."""

    embedding_dimension: int | None = None
    word_embedding_dimension: int | None = None
    pooling_mode: str | list[str] | None = None
    include_prompt: bool = True
    pooling_mode_cls_token: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False

    @property
    def modes(self) -> list[str]:
        """Ways of pooling; the vectors of several are joined."""
        if self.pooling_mode is not None:
            return [self.pooling_mode] if isinstance(self.pooling_mode, str) else self.pooling_mode
        return [mode for flag, mode in LEGACY.items() if getattr(self, flag)] or ["mean"]


@dataclasses.dataclass(frozen=True)
class Dense:
    """`2_Dense/config.json` of a layer that is BERT's pooler."""

    in_features: int
    out_features: int
    bias: Literal[True] = True
    activation_function: Literal["torch.nn.modules.activation.Tanh"] = TANH
    module_input_name: Literal["sentence_embedding"] = "sentence_embedding"
    module_output_name: Literal["sentence_embedding"] | None = None
    use_residual: Literal[False] = False


@dataclasses.dataclass(frozen=True)
class Normalize:
    """`2_Normalize/config.json`, which releases from 6 on write."""

    module_input_name: Literal["sentence_embedding"] = "sentence_embedding"
    module_output_name: Literal["sentence_embedding"] | None = None


@dataclasses.dataclass(frozen=True)
class CrossEncoder:
    """What `config.json` says of a classifier that sentence-transformers trained."""

    sentence_transformers: dict[str, object] | None = None
    sbert_ce_default_activation_function: str | None = None

    @property
    def activation(self) -> str:
        """What is put on the answers; "" where it does not say."""
        given = self.sentence_transformers or {}
        return str(given.get("activation_fn") or self.sbert_ce_default_activation_function or "")


@dataclasses.dataclass(frozen=True)
class Saved:
    """`config_sentence_transformers.json`."""

    model_type: Literal["SentenceTransformer"] = "SentenceTransformer"
    prompts: dict[str, str | None] | None = None
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    truncate_dim: None = None
