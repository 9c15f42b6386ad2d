"""JSON files as frozen dataclasses: what a program reads is checked where it is read.

A file that somebody else wrote, or that a crash or a disk has damaged, may hold anything. Its shape
is a dataclass, and `read` gives an instance of it or one line that names the place:

    @dataclasses.dataclass(frozen=True)
    class Plan:
        builds: tuple[str, ...]
        num_layers: int = schema.number(minimum=1, maximum=1000)
        pooling: typing.Literal["mean", "cls"] = "mean"

    plan = schema.read("plan.json", Plan)

    found num_layers=-1 in plan.json; wanted a number from 1 to 1000
"""

import dataclasses
import math
import re
import types
import typing
from pathlib import Path

from roots_tf import spelling
from roots_tf.flags import Bounds
from roots_tf.storage import files

_SURROGATES = re.compile("[\ud800-\udfff]")  # JSON can spell them, but UTF-8 has none
_NAMES = {
    **{bool: "true or false", int: "a whole number", float: "a number", str: "a text"},
    **{type(None): "null", object: "any JSON value"},
}


def number(default=dataclasses.MISSING, **bounds: float):
    """A field that holds a number, or numbers.

    Args:
        default: its value where the file has none; without one the file must have it.
        **bounds: `minimum`, `maximum` and `above`, as for `flags.flag`.
    """
    return dataclasses.field(default=default, metadata={"bounds": Bounds(**bounds)})


def read(path: str | Path, shape: type, *, others_may_stand: bool = False):
    """An instance of the dataclass from a JSON file.

    Args:
        path: of the file, which holds one JSON object.
        shape: a dataclass. A field without a default must be in the file; a field that ends in "_",
            such as `class_`, has the key without it. Fields are of type `bool`, `int`, `float`,
            `str`, `object` (any JSON value), a `Literal`, a dataclass, or `tuple[T, ...]`,
            `list[T]`, `dict[str, T]` and `A | B` of these; a float is finite, and may be written
            as a whole number, and a text holds no half of a surrogate pair.
        others_may_stand: whether keys that are no fields are passed over, as in files that other
            packages write.

    Raises:
        InputError: the file is missing, is no JSON, or is not of that shape.
    """
    return check(files.read_json(path), shape, str(path), others_may_stand=others_may_stand)


def read_object(path: str | Path) -> dict:
    """The JSON object in a file, whatever its keys.

    Raises:
        InputError: the file is missing or holds no JSON object.
    """
    return check(files.read_json(path), dict[str, object], str(path))


def check(value, hint, source: str, *, others_may_stand: bool = False):
    """A JSON value as the type says it.

    Args:
        value: as `json.loads` gives it.
        hint: a type, as for the fields of `read`.
        source: of the value, for messages: a path.
        others_may_stand: as for `read`.

    Raises:
        InputError: the value is not of the type.
    """
    return _Check(source, others_may_stand).value(value, hint, "", Bounds())


def check_fields(instance) -> None:
    """Checks the fields of a dataclass that code has made; for its `__post_init__`.

    Args:
        instance: of a dataclass, with types and bounds as for `read`.

    Raises:
        InputError: a field is of another type, or beyond its bounds.
    """
    check, hints = _Check("", False), typing.get_type_hints(type(instance))
    for field in dataclasses.fields(instance):
        value, bounds = getattr(instance, field.name), field.metadata.get("bounds", Bounds())
        check.value(value, hints[field.name], field.name, bounds)


@dataclasses.dataclass(frozen=True)
class _Check:
    source: str
    others_may_stand: bool

    def value(self, value, hint, place: str, bounds: Bounds):
        """The value as the type says it; `place` is its path of keys, such as `heads[2].name`."""
        origin, inner = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            return self._one_of(value, inner, place, bounds)
        if origin is typing.Literal:
            # JSON's true equals 1 in Python.
            if any(value == choice and type(value) is type(choice) for choice in inner):
                return value
            meant = spelling.suggestion(value, map(str, inner)) if type(value) is str else ""
            raise self._error(value, "one of " + ", ".join(map(str, inner)) + meant, place)
        if dataclasses.is_dataclass(hint):
            return self._object(value, hint, place)
        if origin in (list, tuple) and isinstance(value, list):
            items = enumerate(value)
            return origin(self.value(x, inner[0], f"{place}[{i}]", bounds) for i, x in items)
        if origin is dict and isinstance(value, dict):
            at = f"{place}." if place else ""
            names = (self.value(key, str, f"a key of {place or 'it'}", Bounds()) for key in value)
            return {k: self.value(value[k], inner[1], f"{at}{k}", bounds) for k in names}
        if hint is float and type(value) is int:
            value = float(value) if abs(value) < 2**1000 else math.inf
        if hint is not object and type(value) is not (origin or hint):
            raise self._error(value, _name(hint), place)
        if hint is str and not value.isascii() and _SURROGATES.search(value):
            raise self._error(value, "a text without half a surrogate pair", place)
        if type(value) in (int, float) and hint is not object and not bounds.hold(value):
            raise self._error(value, f"a number {bounds}".rstrip(), place)
        return value

    def _one_of(self, value, hints: tuple, place: str, bounds: Bounds):
        errors = []
        for hint in hints:
            try:
                return self.value(value, hint, place, bounds)
            except files.InputError as error:
                errors.append((hint, error))
        # The one whose kind of JSON value it is says best what is wrong inside.
        for hint, error in errors:
            if _is_of_kind(value, hint):
                raise error
        raise self._error(value, " or ".join(map(_name, hints)), place)

    def _object(self, value, shape: type, place: str):
        if not isinstance(value, dict):
            raise self._error(value, "a JSON object", place)
        at, hints = f"{place}." if place else "", typing.get_type_hints(shape)
        given, rest = {}, dict(value)
        for field in dataclasses.fields(shape):
            key = field.name.removesuffix("_")
            if key in rest:
                bounds = field.metadata.get("bounds", Bounds())
                given[field.name] = self.value(rest.pop(key), hints[field.name], at + key, bounds)
            elif (field.default, field.default_factory) == (dataclasses.MISSING,) * 2:
                meant = [
                    n for n in spelling.nearest(key, list(map(str, value))[:99]) if n not in hints
                ]
                raise files.InputError(
                    "wrong-json",
                    f"found no {at}{key} in {self.source}; wanted {_name(hints[field.name])}"
                    + (f"; is {meant[0]} misspelt?" if meant else ""),
                )
        if rest and not self.others_may_stand:
            known = [field.name.removesuffix("_") for field in dataclasses.fields(shape)]
            meant = spelling.suggestion(sorted(rest)[0], known)
            raise files.InputError(
                "wrong-json",
                f"found {at}{_short(sorted(rest)[0])} in {self.source}; wanted no keys but "
                f"{', '.join(known)}{meant}",
            )
        try:
            return shape(**given)
        except files.InputError as error:  # of __post_init__, which does not know the file
            raise files.InputError(error.id, f"{error} (in {self.source})") from error

    def _error(self, value, wanted: str, place: str) -> files.InputError:
        at = f"{place}=" if place else ""
        where = f" in {self.source}" if self.source else ""
        return files.InputError("wrong-json", f"found {at}{_short(value)}{where}; wanted {wanted}")


def _is_of_kind(value, hint) -> bool:
    """Whether a JSON value is at least an object, a list or a plain value, as the type is."""
    if dataclasses.is_dataclass(hint):
        return isinstance(value, dict)
    origin = typing.get_origin(hint) or hint
    if origin in (list, tuple):
        return isinstance(value, list)
    return type(value) is origin or (origin is float and type(value) is int)


def _name(hint) -> str:
    """What a type is called in a message."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_name, inner))
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin in (list, tuple):
        return f"a list, each {_name(inner[0])}"
    if origin is dict or dataclasses.is_dataclass(hint):
        return "a JSON object"
    return _NAMES.get(hint, str(hint))


def _short(value) -> str:
    """A value for a message: at most 60 characters of it."""
    text = repr(value) if not isinstance(value, list | dict) else f"a {type(value).__name__}"
    text = {"a list": "a list", "a dict": "an object"}.get(text, text)
    return text if len(text) <= 60 else text[:57] + "..."
