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

import numpy as np
import safetensors
import safetensors.numpy
from absl import logging
from tokenizers import normalizers

from roots_tf import models, tokenizers
from roots_tf.export import sentence_transformers_files as files_of
from roots_tf.storage import files, schema
from roots_tf.storage.files import InputError

MODULES = "modules.json"
_PACKAGE = "sentence_transformers"
_TRANSFORMER = tuple(  # one name a family, all of which a BERT was saved with
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_SETTINGS = "config_sentence_transformers.json"


@dataclasses.dataclass(frozen=True)
class _TokenizerConfig:
    # transformers writes 1e30 where there is no bound.
    model_max_length: int | float | None = schema.number(None, minimum=3)


@dataclasses.dataclass(frozen=True)
class Found:
    """What a folder says of itself.

    Attributes:
        settings: how a text becomes a vector; its length may be more than the model takes.
        folder: of the Hugging Face model, the folder itself or one in it.
        has_modules: whether it is one of sentence-transformers.
        lowercase: whether text is lower-cased, whatever the tokenizer does.
        pooler: weights of the pooler by the names of Hugging Face's BERT, where a step holds them.
    """

    settings: models.EmbeddingSettings
    folder: Path
    has_modules: bool = False
    lowercase: bool = False
    pooler: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def kind(self, kind):
        """The kind of task of a head, with the folder's length; sentence-transformers passes heads
        over, so that none is left beside its modules.

        Args:
            kind: of the model by itself, a `FineTuning` or None.
        """
        if kind is None or self.has_modules:
            return None
        return dataclasses.replace(kind, max_seq_length=self.settings.length(kind.max_seq_length))

    def description(self, kind, encoder: models.EncoderConfig) -> dict:
        """What `model.json` says of vectors; nothing of a model with a task, or of the usual ones.

        Args:
            kind: of task, or None.
            encoder: sizes of the model.
        """
        length = self.settings.length(encoder.max_sequence_length)
        length = length if length < encoder.max_sequence_length else None
        settings = dataclasses.replace(self.settings, max_seq_length=length)
        if kind or settings == models.EmbeddingSettings():
            return {}
        return {"embedding": dataclasses.asdict(settings)}

    def lowercased(self, tokenizer: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
        """The tokenizer, after lower-casing where the folder says so: that comes before its rules.

        Args:
            tokenizer: of the model by itself.

        Raises:
            InputError: it has not BERT's rules.
        """
        rules = tokenizer.settings["normalizer"] or {}
        if not self.lowercase or rules.get("lowercase"):
            return tokenizer
        if rules.get("type") != "BertNormalizer":
            raise InputError(
                "settings-disagree",
                f"found do_lower_case=true beside the normaliser {rules.get('type')} in "
                f"{self.folder}; wanted BertNormalizer",
            )
        tokenizer.backend.normalizer = normalizers.BertNormalizer(
            clean_text=rules["clean_text"],
            handle_chinese_chars=rules["handle_chinese_chars"],
            strip_accents=bool(rules["strip_accents"]),  # null: as lower-casing was before
            lowercase=True,
        )
        return tokenizers.Tokenizer(tokenizer.backend, tokenizer.roles)


def read(folder: str | Path) -> Found:
    """What the files of sentence-transformers in a folder say; without them, how long texts are.

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
                "no-such-file",
                f"found {alone[0]} and no {MODULES} in {folder}; wanted both, or neither for the "
                "encoder alone: copy the folder again",
            )
        _warn_of_activation(folder / "config.json")
        settings = models.EmbeddingSettings(max_seq_length=_model_max_length(folder))
        return Found(settings, folder)
    saved = files_of.Saved()
    if (folder / _SETTINGS).exists():
        saved = schema.read(folder / _SETTINGS, files_of.Saved, others_may_stand=True)
    path = folder / MODULES
    steps = schema.check(
        files.read_json(path), list[files_of.Module], str(path), others_may_stand=True
    )
    _check_steps(steps, path)
    where = {module.step: _inside(folder, module.path, path) for module in steps}
    transformer = _transformer(where["Transformer"])
    pooling, pooler = _pooling(where["Pooling"], saved), {}
    if "Dense" in where:
        if pooling != "cls":
            raise InputError(
                "unsupported-model",
                f"found Dense after pooling of {pooling!r} in {path}; wanted 'cls'",
            )
        pooling, pooler = "pooler", _read_dense(where["Dense"])
    if "Normalize" in where and (where["Normalize"] / "config.json").exists():
        schema.read(where["Normalize"] / "config.json", files_of.Normalize)
    try:
        settings = models.EmbeddingSettings(
            pooling=pooling,
            l2_normalize="Normalize" in where,
            max_seq_length=transformer.max_seq_length or _model_max_length(where["Transformer"]),
            prompts={name: text or "" for name, text in (saved.prompts or {}).items()},
            default_prompt_name=saved.default_prompt_name,
            similarity_fn_name=saved.similarity_fn_name,
        )
    except InputError as error:
        raise InputError(error.id, f"{error} (in {folder / _SETTINGS})") from error
    return Found(settings, where["Transformer"], True, transformer.do_lower_case, pooler)


def _warn_of_activation(path: Path) -> None:
    """Tells of a function on a classifier's answers, which transformers does not compute either."""
    config = files.read_json(path)
    if isinstance(config, dict):  # else its reader says so
        found = schema.check(config, files_of.CrossEncoder, str(path), others_may_stand=True)
        if found.activation and not found.activation.endswith("Identity"):
            logging.warning("left out %s: answers are those before it", found.activation)


def _model_max_length(folder: Path) -> int | None:
    """Tokens that the tokenizer of a folder cuts texts off at; None: it does not say."""
    path = folder / "tokenizer_config.json"
    if not path.exists():
        return None
    found = schema.read(path, _TokenizerConfig, others_may_stand=True).model_max_length
    return None if found is None else int(found)


def _check_steps(steps: list[files_of.Module], path: Path) -> None:
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
            "unsupported-model",
            f"found {found} in {path}; wanted Transformer, Pooling and perhaps Dense and Normalize "
            f"of {_PACKAGE}: vectors would be others. Remove {MODULES}, {_SETTINGS} and the "
            "folders of the modules to take in the encoder alone",
        )


def _inside(folder: Path, name: str, source: Path) -> Path:
    """The folder of a module, which is in `folder` or is it.

    Raises:
        InputError: it is elsewhere.
    """
    if name == ".." or name not in ("", Path(name).name):
        raise InputError(
            "wrong-json", f"found path={name!r} in {source}; wanted the name of a folder beside it"
        )
    return folder / name


def _transformer(folder: Path) -> files_of.Transformer:
    """Settings of the first step."""
    for name in _TRANSFORMER:
        if (folder / name).exists():
            return schema.read(folder / name, files_of.Transformer)
    return files_of.Transformer()


def _pooling(folder: Path, saved: files_of.Saved) -> str:
    """The one way of pooling.

    Raises:
        InputError: there are several, or ours lacks it.
    """
    path = folder / "config.json"
    config = schema.read(path, files_of.Pooling)
    if len(config.modes) != 1 or config.modes[0] not in ("mean", "cls"):
        raise InputError(
            "unsupported-model",
            f"found pooling by {' and '.join(config.modes)} in {path}; wanted mean or cls alone: "
            "vectors would be others",
        )
    if not config.include_prompt and any((saved.prompts or {}).values()):
        raise InputError(
            "unsupported-model",
            f"found include_prompt=false in {path} and prompts in {_SETTINGS}; wanted true: here "
            "the tokens of a prompt are pooled with the others",
        )
    return config.modes[0]


def _read_dense(folder: Path) -> dict[str, np.ndarray]:
    """A layer with tanh on the first token's vector, which is what BERT's pooler is.

    Raises:
        InputError: it is another layer, or its weights are a pickle or damaged.
    """
    config, path = schema.read(folder / "config.json", files_of.Dense), folder / "model.safetensors"
    if config.in_features != config.out_features:
        raise InputError(
            "unsupported-model",
            f"found a layer from {config.in_features} to {config.out_features} numbers in "
            f"{folder}; wanted one that keeps the size, as BERT's pooler does",
        )
    if not path.exists():
        raise InputError(
            "no-such-file", f"found no {path}; wanted the weights of the layer as safetensors"
        )
    try:
        stored = safetensors.numpy.load_file(path)
        return {f"pooler.dense.{name}": stored[f"linear.{name}"] for name in ("weight", "bias")}
    except (OSError, safetensors.SafetensorError, KeyError) as error:
        raise InputError(
            "file-damaged", f"could not read {path}: {error}; copy it again"
        ) from error


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
    pooling |= {flag: name == mode for flag, name in tuple(files_of.LEGACY.items())[:4]}
    files.write_json(folder / "1_Pooling" / "config.json", pooling)
    if settings.pooling == "pooler":
        dense = {"in_features": hidden_dim, "out_features": hidden_dim, "bias": True}
        dense["activation_function"] = files_of.TANH
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
