"""Recipes: the steps of a curation and their parameters, in one TOML file.

    [[steps]]
    name = "repair"
    mojibake = true

    [[steps]]
    name = "stop_words"
    languages = ["en", "de"]    # the step passes over documents in other languages

Document steps come first, in any order and as often as wanted. The corpus steps, which need the
other documents, come after them, each at most once and in the order of `CORPUS_STEPS`.
"""

import dataclasses
import functools
import importlib
import json
import os
import re
import tomllib
from pathlib import Path
from typing import NamedTuple, get_args

from roots_tf import spelling
from roots_tf.corpus import language
from roots_tf.storage import files, neighbours, places
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import Bounds

FOLDER = Path(__file__).with_name("recipes")  # of those that come with the package

# Module and class; imported when a recipe names the step, so that extras stay optional.
DOCUMENT_STEPS = {
    "extract": ("extraction", "Extract"),
    "repair": ("cleaning", "Repair"),
    "markup": ("markup", "Markup"),
    "chinese_variant": ("chinese_variant", "ChineseVariant"),
    "join_lines": ("cleaning", "JoinLines"),
    "basic_quality": ("cleaning", "BasicQuality"),
    "language": ("language", "Language"),
    "length": ("quality", "Length"),
    "symbols": ("quality", "Symbols"),
    "stop_words": ("quality", "StopWords"),
    "flagged_words": ("quality", "FlaggedWords"),
    "lines": ("lines", "Lines"),
    "sentence_lines": ("lines", "SentenceLines"),
    "repetition": ("repetition", "Repetition"),
    "personal_data": ("personal_data", "PersonalData"),
    "decontaminate": ("decontamination", "Decontaminate"),
    "classifier": ("linear_classifier", "Classifier"),
}
CORPUS_STEPS = {
    "exact_duplicates": ("deduplication", "ExactDuplicates"),
    "near_duplicates": ("near_duplicates", "NearDuplicates"),
    "repeated_paragraphs": ("repeated_paragraphs", "RepeatedParagraphs"),
    "sample": ("sampling", "Sample"),
    "mixture": ("mixing", "Mixture"),
}
_STEPS = DOCUMENT_STEPS | CORPUS_STEPS
_AMOUNT = Bounds(minimum=0, maximum=1e15)
_SEED = Bounds(minimum=-1e18, maximum=1e18)
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    tuple: "an array",
    dict: "a table",
}


class Step(NamedTuple):
    """One entry of a recipe, as JSON values; workers make the step itself of it, by `build`."""

    name: str
    parameters: dict
    languages: list[str] = []  # that the step applies to; none: all


def load(name: str) -> list[Step]:
    """Reads a recipe and checks it.

    Args:
        name: of a recipe that comes with the package, or the path of a file.

    Raises:
        InputError: there is no such file, it is no TOML, or has a key that no step has.
    """
    shipped = FOLDER / f"{name}.toml"
    path = shipped if shipped.exists() else Path(name)
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        names = sorted(path.stem for path in FOLDER.glob("*.toml"))
        raise InputError(
            "wrong-recipe",
            f"could not read the recipe {name} ({error.strerror}); wanted one of "
            f"{', '.join(names)} or the path of a TOML file: copy one of {FOLDER} to begin"
            f"{spelling.suggestion(name, names) or neighbours.suggestion(name)}",
        ) from error
    except ValueError as error:
        raise InputError(
            "wrong-recipe", f"found no TOML in the recipe {path}: {error}; correct it"
        ) from error
    entries = content.get("steps")
    if list(content) != ["steps"] or not isinstance(entries, list):
        raise InputError(
            "wrong-recipe",
            f"found {', '.join(sorted(content)) or 'nothing'} in the recipe {path}; wanted "
            "[[steps]] tables",
        )
    try:
        steps = [_step(entry) for entry in entries]
        _check_order([step.name for step in steps])
    except InputError as error:
        raise InputError(error.id, f"{error} (in the recipe {path})") from error
    return steps


def build(step: Step):
    """Makes the step that an entry of a recipe names.

    Raises:
        InputError: there is no such step or parameter, or a value of another type is wanted.
    """
    step = Step(*step)
    return _build(step.name, json.dumps(step.parameters, sort_keys=True))


@functools.cache  # the tasks of a worker share what a step has loaded
def _build(name: str, parameters: str):
    module, attribute = _STEPS[name]
    step_class = getattr(importlib.import_module(f"roots_tf.corpus.{module}"), attribute)
    fields = {field.name: field for field in dataclasses.fields(step_class)}
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in json.loads(parameters).items()
    }
    for parameter, field in fields.items():  # one text is a list of one
        if isinstance(field.default, tuple) and isinstance(values.get(parameter), str):
            values[parameter] = (values[parameter],)
    for parameter, value in values.items():
        if parameter not in fields:
            raise InputError(
                "wrong-recipe",
                f"found the parameter {parameter!r} of the step {name}; wanted one of "
                f"{', '.join(sorted(fields)) or 'none'}{spelling.suggestion(parameter, fields)}",
            )
        field = fields[parameter]
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        same = _same_type(value, float(default) if field.type in (float, "float") else default)
        if isinstance(default, tuple) and same:
            of = get_args(field.type)[0]
            same = all(_same_type(each, of()) for each in value)
        if not same:
            raise InputError(
                "wrong-recipe",
                f"found {parameter} = {value!r} in the step {name}; wanted "
                f"{_KINDS[type(default)]} such as {default!r}",
            )
        if value != default:
            _check_numbers(name, field, value)
    return step_class(**values)


def _check_numbers(step: str, field: dataclasses.Field, value) -> None:
    """Refuses a number that is no amount: not finite, below 0, or beyond the parameter's bounds.

    A default may be infinite, where there is no limit.
    """
    bounds = field.metadata.get("bounds", _SEED if field.name == "seed" else _AMOUNT)
    inside = value.values() if isinstance(value, dict) else [value]
    inside = value if isinstance(value, tuple) else inside
    for number in inside:
        if type(number) in (int, float) and not bounds.hold(number):
            raise InputError(
                "number-out-of-range",
                f"found {field.name} = {value!r} in the step {step}; wanted a number {bounds}",
            )


def _step(entry) -> Step:
    entry = dict(entry) if isinstance(entry, dict) else {}
    name, languages = entry.pop("name", None), entry.pop("languages", [])
    if name not in _STEPS:
        raise InputError(
            "no-such-step",
            f"found a step of name {name!r}; wanted one of {', '.join(sorted(_STEPS))}"
            f"{spelling.suggestion(str(name), _STEPS)}",
        )
    strings = isinstance(languages, list) and all(isinstance(code, str) for code in languages)
    if not strings or (languages and name in CORPUS_STEPS):
        raise InputError(
            "wrong-recipe",
            f"found languages = {languages!r} in the step {name}; wanted a list of codes, in "
            "document steps only",
        )
    for code in languages:
        if not re.fullmatch("[a-z]{2,3}", code):
            raise InputError(
                "no-such-choice",
                f"found {code!r} in languages of the step {name}; wanted codes such as en, de or zh"
                f"{language.meant(code)}",
            )
    if isinstance(entry.get("model"), str) and entry["model"]:
        local = places.local_input(entry["model"])
        entry["model"] = os.path.abspath(os.path.expanduser(local))
    step = Step(name, entry, languages)
    build(step)
    if patterns := entry.get("evaluation_files"):  # workers of a cluster stand in another folder
        entry["evaluation_files"] = files.expand_from_root(patterns)
    return step


def files_read(steps: list[Step]) -> list[str]:
    """Paths of the files, beside the input, that the output of a recipe depends on."""
    models = [step.parameters["model"] for step in steps if step.parameters.get("model")]
    read = [path for step in steps for path in step.parameters.get("evaluation_files", [])]
    return [*read, *models]


def _check_order(names: list[str]) -> None:
    """Document steps first, then corpus steps in their order."""
    ranks = [list(CORPUS_STEPS).index(name) if name in CORPUS_STEPS else -1 for name in names]
    corpus = [rank for rank in ranks if rank >= 0]
    if ranks != sorted(ranks) or len(corpus) != len(set(corpus)):
        raise InputError(
            "wrong-recipe",
            f"found the steps in the order {', '.join(names)}; wanted document steps before "
            f"{', '.join(CORPUS_STEPS)}, each of these at most once and in this order",
        )


def _same_type(value, default) -> bool:
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)
