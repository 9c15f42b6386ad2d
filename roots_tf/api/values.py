"""What somebody gives to the API: checked as flags are, and a model for a path."""

from __future__ import annotations

import contextlib
import logging as python_logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging

from roots_tf import commands, inference, program, tokenizers
from roots_tf.storage.files import InputError

if TYPE_CHECKING:
    from roots_tf.inference.loaded import LoadedModel

PathLike = str | os.PathLike[str]
Part = str | int | float | os.PathLike[str]
Value = Part | bool | Sequence[Part] | Mapping[str, Part] | None  # of a flag
Message = Mapping[str, str]


def loaded_model(model: LoadedModel | PathLike) -> LoadedModel:
    """The model of a path, or the model itself."""
    if isinstance(model, str | os.PathLike):
        return inference.load(model)
    if not hasattr(model, "tokenizer"):
        raise InputError("wrong-value", f"found {model!r:.80}; wanted what `load` gives, or a path")
    return model


def tokenizer_of(model: LoadedModel | PathLike) -> tokenizers.Tokenizer:
    """The tokenizer of a model, or of a path that may also be that of a tokenizer alone."""
    if not isinstance(model, str | os.PathLike):
        return loaded_model(model).tokenizer
    path = Path(model).expanduser()
    run = path / "model"
    return tokenizers.load(run if (run / "model.json").exists() else path)


def items(values: Iterable[Any]) -> list[Any]:
    """What is iterable, as a list."""
    try:
        return list(values)
    except TypeError as error:
        raise InputError(
            "wrong-value", f"found {values!r:.80}; wanted a text, or several"
        ) from error


def listed_texts(texts: str | Iterable[str]) -> tuple[list[str], bool]:
    """Texts as a list, and whether it was one."""
    if isinstance(texts, str):
        return [texts], True
    listed = items(texts)
    for number, text in enumerate(listed, 1):
        if not isinstance(text, str):
            raise InputError("wrong-value", f"found {text!r:.80} as text {number}; wanted a string")
    return listed, False


def check(name: str, **values: Any) -> None:
    """Refuses values that the flags of a program cannot have."""
    known = program.flags_of(commands.load(name).Config)
    with flags_named():
        for flag, value in values.items():
            if value is not None or known[flag].default is not None:
                value = commands.as_flag(flag, known[flag].hint, value)
                program.check_value(flag, known[flag], value)


@contextlib.contextmanager
def flags_named() -> Iterator[None]:
    """A flag that is wrong is a mistake as any other, so that one `except` takes both."""
    try:
        yield
    except program.FlagError as error:
        raise InputError(error.id, str(error)) from error


@contextlib.contextmanager
def shown(quiet: bool) -> Iterator[None]:
    """Lines of a program as a notebook shows them, where nobody has said how lines are shown."""
    before, root = logging.get_verbosity(), python_logging.getLogger()
    logging.set_verbosity(logging.WARNING if quiet else logging.INFO)
    handler = None
    if not root.handlers:
        handler = python_logging.StreamHandler()
        handler.addFilter(_is_for_users)
        root.addHandler(handler)
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if handler:
            root.removeHandler(handler)


def _is_for_users(record: python_logging.LogRecord) -> bool:
    """Whether a line is a program's own, or a warning; TensorFlow's notices are neither."""
    own = record.name == "absl" and "/tensorflow/" not in record.pathname
    return own or record.levelno >= python_logging.WARNING
