"""Which files of a repository the import reads, told from the list of all: no others are fetched.

Settings and vocabularies come first, since they say what else there is; weights last. Weights are
safetensors, or the HDF5 files of keras-hub: neither can run code as it is read, as a pickle can.
"""

import dataclasses
import fnmatch
from collections.abc import Collection, Sequence
from pathlib import Path

from roots_tf.storage import files, schema
from roots_tf.storage.files import InputError

CONFIG, ADAPTER, MODULES = "config.json", "adapter_config.json", "modules.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_ADAPTER_WEIGHTS = "adapter_model.safetensors"
_OF_TOKENIZERS = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "target_vocab.json", "source.spm", "target.spm"),
    *("sentencepiece.bpe.model", "spiece.model", "tokenizer.model"),
)
_SETTINGS = (CONFIG, "generation_config.json", INDEX, *_OF_TOKENIZERS)
_OF_SENTENCES = (MODULES, "config_sentence_transformers.json", "sentence_*_config.json")
_OF_KERAS_HUB = ("metadata.json", "task.json", "preprocessor.json", "model.weights.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_OTHERS = (".h5", ".msgpack", ".gguf", ".onnx", ".safetensors")


@dataclasses.dataclass(frozen=True)
class _Module:
    """A step of `modules.json`; its reader checks the rest."""

    path: str


@dataclasses.dataclass(frozen=True)
class _Index:
    """The file of each weight."""

    weight_map: dict[str, str]


@dataclasses.dataclass(frozen=True)
class _Config:
    """Of `config.json`, what tells a preset of keras-hub."""

    registered_name: str | None = None


def first(listed: Collection[str], repository: str) -> list[str]:
    """Settings and vocabularies that stand at the top.

    >>> first(["README.md", "config.json", "vocab.txt", "onnx/config.json", "model.bin"], "a/b")
    ['config.json', 'vocab.txt']

    Args:
        listed: names of all files.
        repository: for messages.

    Raises:
        InputError: there is neither a model's config nor an adapter's.
    """
    if ADAPTER in listed:
        return [ADAPTER]
    if CONFIG not in listed and MODULES not in listed:
        shown = ", ".join(sorted(listed)[:5]) or "none"
        raise InputError(
            "wrong-folder",
            f"found neither {CONFIG} nor {ADAPTER} among the files of {repository} ({shown}); "
            "wanted a repository of transformers, sentence-transformers, peft or keras-hub",
        )
    return _matching(listed, "", (*_SETTINGS, *_OF_SENTENCES, *_OF_KERAS_HUB))


def second(folder: str | Path, listed: Collection[str]) -> list[str]:
    """What the settings name: the folders of sentence-transformers' steps, a preset's vocabulary.

    Args:
        folder: with the files of `first`.
        listed: names of all files.

    Raises:
        InputError: `modules.json` is damaged.
    """
    if _is_preset(folder, listed):
        return [name for name in listed if name.startswith("assets/tokenizer/")]
    patterns = (*_SETTINGS, *_OF_SENTENCES[1:])
    return [n for step in _steps(folder, listed) if step for n in _matching(listed, step, patterns)]


def weights(folder: str | Path, listed: Collection[str], repository: str) -> list[str]:
    """Files of weights: one, or the shards of an index, and those of sentence-transformers' steps.

    Args:
        folder: with the files of `first` and `second`.
        listed: names of all files.
        repository: for messages.

    Raises:
        InputError: there are none but pickles or such; or a file that an index names is not there.
    """
    if ADAPTER in listed:
        found = [_ADAPTER_WEIGHTS] if _ADAPTER_WEIGHTS in listed else []
    elif _is_preset(folder, listed):
        found = [name for name in listed if name.endswith(".weights.h5") and "/" not in name]
    else:
        found = []
        for step in _steps(folder, listed):
            if step + WEIGHTS in listed:
                found.append(step + WEIGHTS)
            elif step + INDEX in listed:
                found += _shards(Path(folder, step, INDEX), step, listed)
    if not found:
        raise _without(repository, listed, _ADAPTER_WEIGHTS if ADAPTER in listed else WEIGHTS)
    return found


def _matching(listed: Collection[str], start: str, patterns: Sequence[str]) -> list[str]:
    """The files that lie in a folder itself and match a pattern."""
    inside = [n for n in listed if n.startswith(start) and "/" not in n[len(start) :]]
    return [n for n in inside if any(fnmatch.fnmatchcase(n[len(start) :], p) for p in patterns)]


def _steps(folder: str | Path, listed: Collection[str]) -> list[str]:
    """Where models lie: "" at the top, `"2_Dense/"` in the folder of a step."""
    path = Path(folder, MODULES)
    if MODULES not in listed:
        return ["", "1_Pooling/"]  # which without modules.json is refused by its reader
    steps = schema.check(files.read_json(path), list[_Module], str(path), others_may_stand=True)
    return list(dict.fromkeys(["", *(f"{step.path.strip('/')}/".lstrip("/") for step in steps)]))


def _is_preset(folder: str | Path, listed: Collection[str]) -> bool:
    """Whether it is one of keras-hub."""
    path = Path(folder, CONFIG)
    if CONFIG not in listed:
        return False
    return bool(schema.read(path, _Config, others_may_stand=True).registered_name)


def _shards(index: Path, step: str, listed: Collection[str]) -> list[str]:
    """Names of the shards that an index lists; the reader of weights judges what they hold."""
    places = schema.read(index, _Index, others_may_stand=True).weight_map
    shards = sorted({step + name for name in places.values()})
    if missing := [name for name in shards if name not in listed]:
        raise InputError(
            "wrong-json",
            f"found the shard {missing[0]!r:.100} in {index}, which is no file of the repository; "
            "wanted names of its files: take another --revision",
        )
    return [name for name in shards if name.endswith(".safetensors")]


def _without(repository: str, listed: Collection[str], wanted: str) -> InputError:
    """What to say of a repository without safetensors."""
    others = [n for n in sorted(listed) if "/" not in n and n.endswith((*_PICKLES, *_OTHERS))]
    found = f"no {wanted}"
    if others:
        pickle = ", a pickle, which can run code as it is read," * others[0].endswith(_PICKLES)
        found = f"only {others[0]}{pickle}"
    return InputError(
        "wrong-format",
        f"found {found} in {repository}; wanted {wanted}: look for a branch with it "
        "(--revision=refs/pr/1 often is one); or, where the model comes from trusted hands, load "
        "it in its own library, save_pretrained(..., safe_serialization=True), and import that "
        "folder",
    )
