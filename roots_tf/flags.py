"""Flags as the fields of frozen dataclasses: declared once, with their help and their bounds.

A field of a program's `Config` is made by one of

    flag      one flag
    group     a frozen dataclass of further fields, such as what several programs have in common
    choice    one of several frozen dataclasses, chosen by a flag: `--objective=masked_lm`

All flags of a program stand side by side, whatever dataclass holds them: `make`, `replace` and
`flat` go from names of flags to a config and back.
"""

import dataclasses
import json
import math
import typing
from collections.abc import Mapping

from roots_tf import spelling
from roots_tf.mistakes import Identified

_COMMON = "flags"  # title of the flags of no group

# Bounds that flags of several programs share: `flag(0, help="of what", **SEED)`.
SEED = {"minimum": -1e18, "maximum": 1e18}
STEPS = {"minimum": 0, "maximum": 2**31 - 1}  # they are counted as int32 where seeds are made
ROWS = {"minimum": 1, "maximum": 1 << 20}  # of a batch; the largest of a BERT had 65,536
TOKENS = {"minimum": 3, "maximum": 1 << 20}  # of a row: [CLS], one, [SEP]
WORKERS = {"minimum": 0, "maximum": 1024}  # processes of this machine
LAYERS = {"minimum": 1, "maximum": 1000}
WIDTH = {"minimum": 1, "maximum": 1 << 18}  # of hidden states, of heads, between two products
DROPOUT = {"minimum": 0, "maximum": 0.99}
WEIGHT = {"minimum": 0, "maximum": 1e6}  # of a part of a sum


class FlagError(Identified, ValueError):
    """A flag that there is not, or of a value that it cannot have."""

    exit_status = 2


class Bounds(typing.NamedTuple):
    """What a number may be: from `minimum` to `maximum`, and above `above`; None is no bound."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None

    def __str__(self) -> str:
        words = {"from": self.minimum, "above": self.above, "to": self.maximum}
        return " ".join(
            f"{word} {_spell(bound)}" for word, bound in words.items() if bound is not None
        )

    def hold(self, value: float) -> bool:
        """Whether they hold of a number; they hold of no NaN and of nothing infinite."""
        return (
            (isinstance(value, int) or math.isfinite(value))  # `isfinite` fails of a long integer
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
        )


def _spell(bound: float) -> str:
    """A bound as text: whole numbers with all their digits."""
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


Role = typing.Literal["decides", "free", "input", "output_file", "output_folder", "output_new"]


def flag(
    default=dataclasses.MISSING,
    *,
    help: str,
    group: str = "",
    role: Role | None = None,
    streams: bool = False,
    **bounds: float,
):
    """A field of a `Config`: without a default the flag is required.

    Args:
        default: value of the flag when it is not given; its type is the field's annotation, one of
            `str`, `int`, `float`, `bool`, `tuple[str, ...]` (comma-separated) or `Literal[...]`; or
            of such a type `| None`, where None is the default and stands for "not given".
        help: what `--help` prints.
        group: the title under which `--help` shows it; "": that of the dataclass it is in.
        role: what it is to a run (`claims`). "decides": another value is another run. "free": it
            changes nothing that is learned or written, such as `--log_every`, so a run may go on
            with another value. "input": paths, of which the content counts and not the spelling.
            "output_file", "output_folder": where to write; "output_new": where new folders are
            made. None: what the dataclass says in its class attribute `role`, else "decides".
        streams: of an input: whether the program itself reads what URLs name, piece by piece;
            other inputs are fetched whole before it begins.
        **bounds: of a number: `minimum`, `maximum` and `above`, see `Bounds`. Every number of a
            program has them on both sides. They do not hold of the default, which may stand for
            "not given", such as -1.

    A field that ends in "_", such as `from_`, makes the flag without it, `--from`.
    """
    about = {"help": help, "group": group, "role": role, "bounds": Bounds(**bounds)}
    about |= {"streams": streams}
    return dataclasses.field(default=default, metadata=about)


def group(default, title: str):
    """A field that holds a frozen dataclass; the fields of that are flags of the program.

    Args:
        default: an instance; the values of its fields are the defaults of the flags.
        title: under which `--help` shows them.
    """
    return dataclasses.field(default=default, metadata={"group": title})


def choice(classes: Mapping[str, type], default: str, *, help: str, title: str):
    """A field that holds an instance of one of several frozen dataclasses.

    The field's own name is the flag that chooses; the fields of all the classes are flags too, and
    one that the chosen class does not have is refused. Two classes may share a flag, of one type
    and with the same bounds; `--help` shows it once, as the first of them has it.

    Args:
        classes: by the name that the flag takes; each has that name as its attribute `name`.
        default: the name that is chosen where the flag is not given.
        help: what `--help` prints of the flag that chooses.
        title: under which `--help` shows all of them.
    """
    metadata = {"help": help, "group": title, "classes": classes}
    return dataclasses.field(default=classes[default](), metadata=metadata)


class Flag(typing.NamedTuple):
    """One flag of a program.

    Attributes:
        hint: its type, as for `flag`.
        default: its value where it is not given; `dataclasses.MISSING` of one that is required.
        help: what it is for.
        group: title under which `--help` shows it.
        bounds: of a number.
        chooses: whether it chooses the dataclass that a `choice` holds.
        role: as for `flag`.
        streams: as for `flag`.
    """

    hint: object
    default: object
    help: str
    group: str
    bounds: Bounds = Bounds()
    chooses: bool = False
    role: Role = "decides"
    streams: bool = False

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is dataclasses.MISSING

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a flag that has only some; empty of any other."""
        is_literal = typing.get_origin(self.hint) is typing.Literal
        return typing.get_args(self.hint) if is_literal else ()


def flags_of(config_class: type) -> dict[str, Flag]:
    """The flags of a program by name, in the order of the fields.

    Raises:
        ValueError: two fields make one flag, and are not of classes that a `choice` is between.
    """
    known: dict[str, Flag] = {}

    def visit(owner: type, defaults, title: str, shared: frozenset[str] = frozenset()) -> None:
        hints = typing.get_type_hints(owner)
        for field in dataclasses.fields(owner):
            default = getattr(defaults, field.name, field.default)
            name, own_title = _flag_name(field), field.metadata.get("group") or title
            is_flag = "help" in field.metadata
            if is_flag and name in known and name not in shared:
                raise ValueError(f"found two fields for the flag --{name}; rename one of them")
            if classes := field.metadata.get("classes"):
                hint = typing.Literal[tuple(classes)]
                text, before = field.metadata["help"], {name, *known}
                known[name] = Flag(hint, default.name, text, own_title, chooses=True)
                for cls in dict.fromkeys((type(default), *classes.values())):
                    of_others = frozenset(known.keys() - before)
                    visit(cls, default if cls is type(default) else None, own_title, of_others)
            elif not is_flag:
                visit(type(default), default, own_title)
            elif name not in known:
                about, title_of_flag = field.metadata, own_title or _COMMON
                known[name] = Flag(
                    hint=_without_none(hints[field.name]),
                    default=default,
                    help=about["help"],
                    group=title_of_flag,
                    bounds=about["bounds"],
                    role=about["role"] or getattr(owner, "role", "decides"),
                    streams=about["streams"],
                )

    visit(config_class, None, "")
    return known


def make(config_class: type, **values):
    """A config from values by the names of its flags, as `Config(...)` is from those of its fields.

    >>> make(Config, output="run", learning_rate=1e-3, objective="masked_lm", mask_rate=0.3)

    Args:
        config_class: of the program.
        **values: by flag; a value of a `choice` is a name or an instance.

    Raises:
        FlagError: the program has no such flag, or what was chosen has none such.
    """
    return _filled(config_class, None, values)


def replace(config, **values):
    """The config with other values of some flags; arguments and errors as for `make`."""
    return _filled(type(config), config, values)


def _filled(config_class: type, before, values: dict):
    known, rest = flags_of(config_class), dict(values)
    config = _fill(config_class, before, rest)
    if rest:
        name = sorted(rest)[0]
        if name not in known:
            meant = spelling.suggestion(f"--{name}", [f"--{other}" for other in known])
            meant = meant.removeprefix("; ") or f"wanted one of {', '.join(sorted(known))}"
            raise FlagError("no-such-flag", f"found a flag --{name}; {meant}")
        chosen = ", ".join(
            f"--{field.name}={getattr(config, field.name).name}"
            for field in dataclasses.fields(config)
            if "classes" in field.metadata
        )
        owners = " or ".join(_owners(config_class, name))
        raise FlagError(
            "flags-conflict",
            f"found --{name} with {chosen}, which has no such flag; leave it out, or give {owners}",
        )
    return config


def _owners(config_class: type, name: str) -> list[str]:
    """What has to be chosen for a flag: `["--objective=masked_lm"]` of `mask_rate`."""
    return [
        f"--{field.name}={chosen}"
        for field in dataclasses.fields(config_class)
        for chosen, cls in field.metadata.get("classes", {}).items()
        if name in flags_of(cls)
    ]


def _fill(owner: type, before, values: dict):
    """An instance of the class; takes what it needs out of `values`, and the rest from `before`."""
    given = {}
    for field in dataclasses.fields(owner):
        default, name = getattr(before, field.name, field.default), _flag_name(field)
        if classes := field.metadata.get("classes"):
            chosen = values.pop(name, default)
            if isinstance(chosen, str):
                if chosen not in classes:
                    wanted = ", ".join(classes)
                    meant = spelling.suggestion(chosen, classes)
                    raise FlagError(
                        "no-such-choice", f"found --{name}={chosen}; wanted one of {wanted}{meant}"
                    )
                same = default is not dataclasses.MISSING and default.name == chosen
                chosen = default if same else classes[chosen]()
            given[field.name] = _fill(type(chosen), chosen, values)
        elif name in values:
            given[field.name] = values.pop(name)
        elif "help" not in field.metadata:
            given[field.name] = _fill(type(default), default, values)
        elif default is not dataclasses.MISSING:
            given[field.name] = default
    return owner(**given)


def check(config) -> None:
    """Refuses values that no flag can have; `main` calls it before anything is read or written.

    Args:
        config: of a program.

    Raises:
        FlagError: a number is beyond its bounds or not finite, a value is none of its choices, or a
            required flag is empty.
    """
    values = flat(config)
    for name, about in flags_of(type(config)).items():
        check_value(name, about, values.get(name, about.default))


def check_value(name: str, about: Flag, value) -> None:
    """Refuses a value that one flag cannot have.

    Args:
        name: of the flag.
        about: the flag.
        value: of its type.

    Raises:
        FlagError: see `check`.
    """
    if about.is_required and value in ("", ()):
        raise FlagError("missing-flag", f"found --{name}= without a value; wanted one")
    # An instance that Python gave to a `choice` may be of a class that no flag can name.
    if value == about.default or about.chooses:
        return
    if about.choices:
        if value not in about.choices:
            wanted = ", ".join(about.choices)
            meant = spelling.suggestion(str(value), about.choices)
            raise FlagError(
                "no-such-choice", f"found --{name}={value}; wanted one of {wanted}{meant}"
            )
    elif about.hint in (int, float) and not about.bounds.hold(value):
        raise FlagError(
            "number-out-of-range",
            f"found --{name}={value}; wanted a number {about.bounds}".rstrip(),
        )


def from_text(config, texts: Mapping[str, str]):
    """The config with some flags as somebody wrote them: `{"learning_rate": "1e-3"}`.

    Args:
        config: of a program.
        texts: values by the names of flags.

    Raises:
        FlagError: the program has no such flag, or the text is no value of its type.
    """
    known, values = flags_of(type(config)), {}
    for name, text in texts.items():
        hint = known[name].hint if name in known else str
        try:
            if hint is bool:
                values[name] = {"true": True, "false": False}[text.lower()]
            elif hint == tuple[str, ...]:
                values[name] = tuple(text.split(","))
            else:
                values[name] = hint(text) if hint in (int, float) else text
        except (ValueError, KeyError) as error:
            raise FlagError(
                "wrong-value", f"found {name}={text!r}; wanted {_type_name(hint)}"
            ) from error
    return replace(config, **values)


def flat(config) -> dict:
    """Values by the names of flags, as JSON has them; what a program saves as its `config.json`."""
    values = {}
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), _flag_name(field)
        if "classes" in field.metadata:
            values |= {name: value.name} | flat(value)
        elif "help" not in field.metadata:
            values |= flat(value)
        else:
            values[name] = value
    return values


def to_json(config) -> str:
    """The config as JSON, as it is saved beside a program's output."""
    return json.dumps(flat(config), indent=2, ensure_ascii=False) + "\n"


def _flag_name(field: dataclasses.Field) -> str:
    """The field's name; without the underscore of one that else were a keyword, such as `from_`."""
    return field.name.removesuffix("_")


def _without_none(hint):
    """The type itself of a type that may be None."""
    inner = [part for part in typing.get_args(hint) if part is not type(None)]
    return inner[0] if type(None) in typing.get_args(hint) else hint


def _type_name(hint) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(hint, "a text")
