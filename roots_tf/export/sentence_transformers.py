"""What sentence-transformers keeps beside a Hugging Face model: how a text becomes a vector.

    modules.json                        the steps in order, each with its class and its folder
    sentence_bert_config.json           the longest text and its case; before 5.4 of that package,
                                        now `model_max_length` of tokenizer_config.json
    1_Pooling/config.json               which vector of the tokens'; one flag a way before 5.4
    2_Dense/config.json, .safetensors   a layer on it; here one that BERT calls its pooler
    3_Normalize/                        vectors of length 1
    config_sentence_transformers.json   prompts, and how vectors are compared

A step or a setting that ours lacks is refused: without it each vector would be another one.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors
import safetensors.numpy

from roots_tf import files, models, schema
from roots_tf.files import InputError

MODULES = "modules.json"
_PACKAGE = "sentence_transformers"
_TRANSFORMER = tuple(  # one name a family, all of which a BERT was saved with
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_SETTINGS = "config_sentence_transformers.json"
_TANH = "torch.nn.modules.activation.Tanh"
_LEGACY = {  # flags of 1_Pooling/config.json, in the order in which vectors were joined
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclasses.dataclass(frozen=True)
class _Module:
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
class _Transformer:
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
class _Pooling:
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
        return [mode for flag, mode in _LEGACY.items() if getattr(self, flag)] or ["mean"]


@dataclasses.dataclass(frozen=True)
class _Dense:
    in_features: int
    out_features: int
    bias: Literal[True] = True
    activation_function: Literal["torch.nn.modules.activation.Tanh"] = _TANH
    module_input_name: Literal["sentence_embedding"] = "sentence_embedding"
    module_output_name: Literal["sentence_embedding"] | None = None
    use_residual: Literal[False] = False


@dataclasses.dataclass(frozen=True)
class _Normalize:
    module_input_name: Literal["sentence_embedding"] = "sentence_embedding"
    module_output_name: Literal["sentence_embedding"] | None = None


@dataclasses.dataclass(frozen=True)
class _Saved:
    model_type: Literal["SentenceTransformer"] = "SentenceTransformer"
    prompts: dict[str, str | None] | None = None
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    truncate_dim: None = None


@dataclasses.dataclass(frozen=True)
class Found:
    """What a folder says of itself.

    Attributes:
        settings: how a text becomes a vector.
        folder: of the Hugging Face model, the folder itself or one in it.
        lowercase: whether text is lower-cased, whatever the tokenizer does.
        pooler: weights of the pooler by the names of Hugging Face's BERT, where a step holds them.
    """

    settings: models.EmbeddingSettings
    folder: Path
    lowercase: bool
    pooler: dict[str, np.ndarray]


def read(folder: str | Path) -> Found | None:
    """What the files of sentence-transformers in a folder say; None where there are none.

    Args:
        folder: of a checkpoint.

    Raises:
        InputError: there is a step or a setting that ours lacks; or a file is missing or damaged.
    """
    folder = Path(folder)
    if not (folder / MODULES).exists():
        alone = [name for name in (_SETTINGS, "1_Pooling") if (folder / name).exists()]
        if alone:
            raise InputError(
                f"found {alone[0]} and no {MODULES} in {folder}; wanted both, or neither for the "
                "encoder alone: copy the folder again"
            )
        return None
    saved = _Saved()
    if (folder / _SETTINGS).exists():
        saved = schema.read(folder / _SETTINGS, _Saved, others_may_stand=True)
    path = folder / MODULES
    steps = schema.check(files.read_json(path), list[_Module], str(path), others_may_stand=True)
    _check_steps(steps, path)
    where = {module.step: _inside(folder, module.path, path) for module in steps}
    transformer = _transformer(where["Transformer"])
    pooling, pooler = _pooling(where["Pooling"], saved), {}
    if "Dense" in where:
        if pooling != "cls":
            raise InputError(f"found Dense after pooling of {pooling!r} in {path}; wanted 'cls'")
        pooling, pooler = "pooler", _read_dense(where["Dense"])
    if "Normalize" in where and (where["Normalize"] / "config.json").exists():
        schema.read(where["Normalize"] / "config.json", _Normalize)
    try:
        settings = models.EmbeddingSettings(
            pooling=pooling,
            l2_normalize="Normalize" in where,
            max_seq_length=transformer.max_seq_length,
            prompts={name: text or "" for name, text in (saved.prompts or {}).items()},
            default_prompt_name=saved.default_prompt_name,
            similarity_fn_name=saved.similarity_fn_name,
        )
    except InputError as error:
        raise InputError(f"{error} (in {folder / _SETTINGS})") from error
    return Found(settings, where["Transformer"], transformer.do_lower_case, pooler)


def _check_steps(steps: list[_Module], path: Path) -> None:
    """Checks that vectors are made by the steps that ours has, in that order.

    Raises:
        InputError: they are not.
    """
    # Dropout does something in training alone.
    names = [module.step for module in steps if module.step != "Dropout"]
    strange = [m.type_ for m in steps if not m.type_.startswith(f"{_PACKAGE}.") or m.kwargs]
    once = [name for i, name in enumerate(names) if name != "Normalize" or i == len(names) - 1]
    dense = ["Dense"] * ("Dense" in names)
    usual = ["Transformer", "Pooling", *dense, *["Normalize"] * ("Normalize" in names)]
    if strange or once != usual:
        found = f"a module {strange[0]}" if strange else f"the modules {', '.join(names) or 'none'}"
        raise InputError(
            f"found {found} in {path}; wanted Transformer, Pooling and perhaps Dense and Normalize "
            f"of {_PACKAGE}: vectors would be others. Remove {MODULES}, {_SETTINGS} and the "
            "folders of the modules to take in the encoder alone"
        )


def _inside(folder: Path, name: str, source: Path) -> Path:
    """The folder of a module, which is in `folder` or is it.

    Raises:
        InputError: it is elsewhere.
    """
    if name != Path(name).name and name != "":
        raise InputError(f"found path={name!r} in {source}; wanted the name of a folder beside it")
    return folder / name


def _transformer(folder: Path) -> _Transformer:
    """Settings of the first step."""
    for name in _TRANSFORMER:
        if (folder / name).exists():
            return schema.read(folder / name, _Transformer)
    return _Transformer()


def _pooling(folder: Path, saved: _Saved) -> str:
    """The one way of pooling.

    Raises:
        InputError: there are several, or ours lacks it.
    """
    path = folder / "config.json"
    config = schema.read(path, _Pooling)
    if len(config.modes) != 1 or config.modes[0] not in ("mean", "cls"):
        raise InputError(
            f"found pooling by {' and '.join(config.modes)} in {path}; wanted mean or cls alone: "
            "vectors would be others"
        )
    if not config.include_prompt and any((saved.prompts or {}).values()):
        raise InputError(
            f"found include_prompt=false in {path} and prompts in {_SETTINGS}; wanted true: here "
            "the tokens of a prompt are pooled with the others"
        )
    return config.modes[0]


def _read_dense(folder: Path) -> dict[str, np.ndarray]:
    """A layer with tanh on the first token's vector, which is what BERT's pooler is.

    Raises:
        InputError: it is another layer, or its weights are a pickle or damaged.
    """
    config, path = schema.read(folder / "config.json", _Dense), folder / "model.safetensors"
    if config.in_features != config.out_features:
        raise InputError(
            f"found a layer from {config.in_features} to {config.out_features} numbers in "
            f"{folder}; wanted one that keeps the size, as BERT's pooler does"
        )
    if not path.exists():
        raise InputError(f"found no {path}; wanted the weights of the layer as safetensors")
    try:
        stored = safetensors.numpy.load_file(path)
        return {f"pooler.dense.{name}": stored[f"linear.{name}"] for name in ("weight", "bias")}
    except (OSError, safetensors.SafetensorError, KeyError) as error:
        raise InputError(f"could not read {path}: {error}; copy it again") from error


def write(
    folder: Path,
    settings: models.EmbeddingSettings,
    length: int,
    hidden_dim: int,
    pooler: dict[str, np.ndarray],
) -> None:
    """Writes the files beside a Hugging Face model, as all releases of the package read them.

    Args:
        folder: of the model.
        settings: how a text becomes a vector.
        length: tokens of a text at most.
        hidden_dim: H, size of a vector.
        pooler: `weight` [H, H] and `bias` [H] of the pooler, for vectors that it makes.
    """
    steps = ["Transformer", "Pooling"]
    steps += ["Dense"] * (settings.pooling == "pooler") + ["Normalize"] * settings.l2_normalize
    paths = ["", *(f"{place}_{step}" for place, step in enumerate(steps) if place)]
    for path in filter(None, paths):
        (folder / path).mkdir()
    modules = [  # 2.0 has the classes there, and later releases know them by these names too
        {"idx": i, "name": str(i), "path": path, "type": f"{_PACKAGE}.models.{step}"}
        for i, (path, step) in enumerate(zip(paths, steps, strict=True))
    ]
    files.write_json(folder / MODULES, modules)
    files.write_json(folder / _TRANSFORMER[0], {"max_seq_length": length, "do_lower_case": False})
    mode = "mean" if settings.pooling == "mean" else "cls"
    pooling = {"word_embedding_dimension": hidden_dim}
    # Release 2.0 knows the first four alone, and of the others all take "no" for granted.
    pooling |= {flag: name == mode for flag, name in tuple(_LEGACY.items())[:4]}
    files.write_json(folder / "1_Pooling" / "config.json", pooling)
    if settings.pooling == "pooler":
        dense = {"in_features": hidden_dim, "out_features": hidden_dim, "bias": True}
        dense["activation_function"] = _TANH
        files.write_json(folder / "2_Dense" / "config.json", dense)
        weights = {f"linear.{name}": array for name, array in pooler.items()}
        safetensors.numpy.save_file(weights, folder / "2_Dense" / "model.safetensors")
    saved = {
        "__version__": {},
        "prompts": settings.prompts,
        "default_prompt_name": settings.default_prompt_name,
        "similarity_fn_name": settings.similarity_fn_name,
    }
    files.write_json(folder / _SETTINGS, saved)
