"""Runs side by side: curves over one another, last numbers with differences, flags that differ."""

import glob
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from roots_tf.pages import page
from roots_tf.pages.axes import drawable
from roots_tf.pages.charts import Curve, chart
from roots_tf.pages.page import Cell, table, text
from roots_tf.reports import figures, parts, scores
from roots_tf.reports.curves import AXES, TRAIN, histories
from roots_tf.reports.run_folder import RunFolder
from roots_tf.storage import files, places

_SPEED = ("learning_rate", "gradient_norm", "tokens_per_second", "input_wait")
_TIMES = ("updates", "tokens", "hours of training")
_PLACES = ("output",)  # flags that say where to write


def compare(runs: Sequence[RunFolder]) -> dict:
    """What the runs have come to, as JSON values.

    Args:
        runs: one or more.

    Returns:
        `runs`: of each its name, folder, program, whether it is finished, and `numbers` by name;
        `differences`: of each number that all runs have, that of each run less that of the first;
        `flags`: those that differ, a value a run (None where a run has no such flag); `shared`:
        what can be compared, in words, where runs are not of one kind.
    """
    found = [_numbers(run) for run in runs]
    common = [name for name in found[0] if all(name in numbers for numbers in found)]
    named = zip(names_of(runs), runs, found, strict=True)
    return {
        "runs": [
            {
                "name": name,
                "folder": places.as_given(str(run.path)),
                "program": run.program,
                "subject": run.subject,
                "finished": run.is_finished,
                "numbers": numbers,
            }
            for name, run, numbers in named
        ],
        "differences": {
            name: [numbers[name] - found[0][name] for numbers in found] for name in common
        },
        "flags": _differing(runs),
        "shared": _shared(runs),
    }


def _numbers(run: RunFolder) -> dict[str, float]:
    """Scores of a run, then what it took."""
    every = histories(run).values()
    took = (
        drawable(run.step) or 0.0,
        sum(history.total("tokens") for history in every),
        sum(history.total("time") for history in every),
    )
    found = scores.last_scores(run)
    found = {name: value for name, value in found.items() if "_baseline_" not in name}
    return found | dict(zip(_TIMES, took, strict=True))


def names_of(runs: Sequence[RunFolder]) -> list[str]:
    """Short names of runs, none of them twice: those of the folders, or what paths do not share.

    Args:
        runs: whose names.
    """
    paths = [os.path.abspath(run.path) for run in runs]
    names = [os.path.basename(path) for path in paths]
    if len(set(names)) < len(names):
        parents = os.path.commonpath([os.path.dirname(path) for path in paths])
        given = places.as_given(paths)
        names = [os.path.relpath(path, parents) for path in paths] if given == paths else given
    return [
        name if names.count(name) == 1 else f"{name} ({place + 1})"
        for place, name in enumerate(names)
    ]


def _differing(runs: Sequence[RunFolder]) -> dict[str, list]:
    """Flags, and contents of inputs, that are not the same in all runs."""
    of_all = [
        run.flags | {f"content of {name}": digits for name, digits in run.inputs.items()}
        for run in runs
    ]
    named = _of_several(of_all) if _shared(runs) else _of_all(of_all)
    found = {name: [flags.get(name) for flags in of_all] for name in named if name not in _PLACES}
    return {
        name: values
        for name, values in found.items()
        if any(value != values[0] for value in values)
        and not (name.startswith("content of ") and None in values)
    }


def _shared(runs: Sequence[RunFolder]) -> str:
    """Why only some of the numbers can be compared; "" where all can."""
    kinds = list(dict.fromkeys(f"{run.program} of {run.subject}" for run in runs))
    if len(kinds) < 2:
        return ""
    return (
        f"These runs are of different kinds ({'; '.join(kinds)}): their losses and scores do not "
        "measure the same; only numbers and flags that two of them have are shown"
    )


def render(runs: Sequence[RunFolder]) -> str:
    """The page of several runs.

    Args:
        runs: two or more.
    """
    compared, names = compare(runs), names_of(runs)
    sections = [
        page.Section("numbers", "Last numbers", _number_table(compared, names)),
        page.Section("curves", "Curves", _curves(runs, names)),
        page.Section("flags", "Flags that differ", _flag_table(compared["flags"], names)),
    ]
    header = f"<h1>{text(' · '.join(names[:6]))}</h1>"
    if compared["shared"]:
        header += f"<p class=notice>{text(compared['shared'])}.</p>"
    rows = [
        (name, f"{run.program}: {run.subject}", run.step, _state(run), folder["folder"])
        for name, run, folder in zip(names, runs, compared["runs"], strict=True)
    ]
    header += table(("run", "what", "step", "state", "folder"), rows)
    return page.render(f"{len(runs)} runs", header, sections, is_wide=True)


def _state(run: RunFolder) -> str:
    return "finished" if run.is_finished else "not finished"


def rows_of(compared: dict) -> list[tuple]:
    """Rows of the table of numbers: name, value of each run, difference of each but the first.

    Args:
        compared: of `compare`.
    """
    found = [run["numbers"] for run in compared["runs"]]
    rows = []
    for name in _of_several(found) if compared["shared"] else _of_all(found):
        differences = compared["differences"].get(name, [None] * len(found))[1:]
        rows.append((name, *(numbers.get(name) for numbers in found), *differences))
    return rows


def _of_all(found: Sequence[dict]) -> list[str]:
    """Names that any of the runs has, in order."""
    return list(dict.fromkeys(itertools.chain.from_iterable(found)))


def _of_several(found: Sequence[dict]) -> list[str]:
    """Names that two of the runs have at least."""
    return [name for name in _of_all(found) if sum(name in one for one in found) > 1]


def head_of(names: Sequence[str]) -> tuple[str, ...]:
    """Titles of the columns of `rows_of`.

    Args:
        names: of the runs.
    """
    several = len(names) > 2
    return (
        "",
        *names,
        *(f"{name} − {names[0]}" if several else "difference" for name in names[1:]),
    )


def _number_table(compared: dict, names: list[str]) -> str:
    rows = [
        (name.replace("_", " "), *(Cell(f'<td class="n">{_spell(value)}</td>') for value in values))
        for name, *values in rows_of(compared)
    ]
    note = "Of fine-tuning medians over the seeds, of distillation the student's scores."
    return table(head_of(names), rows) + f"<p class=soft>{note}</p>"


def _spell(value: float | None) -> str:
    return "–" if value is None else page.number(float(f"{value:.4g}"))


def _curves(runs: Sequence[RunFolder], names: list[str]) -> str:
    """Each loss and score by step, by tokens and by time; speeds by step."""
    every = [histories(run) for run in runs]
    hours = [h.total("time") for found in every for h in found.values()]
    groups, longest = [], max(hours, default=0.0)
    wanted = dict.fromkeys(name for found in every for name in figures.names_of(found, "_loss"))
    for run, found in zip(runs, every, strict=True):
        wanted |= dict.fromkeys(figures.score_names(run, found))
    for name in wanted:
        for is_train, what in ((True, "training"), (False, "held out")):
            charts = []
            for axis, x_name in AXES.items():
                curves = _over(every, names, name, is_train, axis)
                if axis == "time" and longest < 2:
                    x_name = "minutes of training"
                    curves = [c._replace(points=[(60 * x, y) for x, y in c.points]) for c in curves]
                title = f"{name.replace('_', ' ')}, {what}, by {axis}"
                charts += [chart(title, curves, x_name)] if curves else []
            groups += [f'<div class="charts">{"".join(charts)}</div>'] if charts else []
    speeds = []
    for name in _SPEED:
        curves = _over(every, names, name, True, "step")
        is_norm = name == "gradient_norm"
        title = name.replace("_", " ")
        speeds += [chart(title, curves, "step", from_zero=not is_norm)] if curves else []
    groups += [f'<div class="charts">{"".join(speeds)}</div>'] if speeds else []
    return "".join(groups) or "<p>No row was logged.</p>"


def _over(every, names: list[str], name: str, is_train: bool, axis: str) -> list[Curve]:
    """One scalar of all runs; the seeds of a run have one colour."""
    curves = []
    for place, (label, found) in enumerate(zip(names, every, strict=True)):
        for history in found.values():
            for group in history.groups():
                if (group == TRAIN) == is_train and (points := history.points(group, name, axis)):
                    curves.append(Curve(label, points, place))
    return curves


def _flag_table(differing: dict[str, list], names: list[str]) -> str:
    if not differing:
        return "<p>None: the runs have the same flags.</p>"
    rows = [
        (Cell(f'<td class="flag unbroken">{text(flag)}</td>'), *map(parts.flag_cell, values))
        for flag, values in differing.items()
    ]
    return table(("flag", *names), rows)


def printed(compared: dict) -> str:
    """The comparison as lines of a terminal: numbers, then flags that differ.

    Args:
        compared: of `compare`.
    """
    names = [run["name"] for run in compared["runs"]]
    rows = [head_of(names)]
    rows += [(name, *map(_spell, values)) for name, *values in rows_of(compared)]
    lines = [f"{compared['shared']}.", ""] if compared["shared"] else []
    lines += _aligned(rows)
    if flags := compared["flags"]:
        shown = [(name, *(_plain(value) for value in values)) for name, values in flags.items()]
        lines += ["", *_aligned([("flags that differ", *names), *shown])]
    return "\n".join(lines)


def _plain(value) -> str:
    shown = "–" if value is None else value if isinstance(value, str) else repr(value)
    shown = "".join(c if c.isprintable() else " " for c in shown)
    return shown if len(shown) <= 40 else f"{shown[:18]}…{shown[-21:]}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells in columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def read(folders: Sequence[str]) -> list[RunFolder]:
    """The runs of folders.

    Args:
        folders: one or more, none of them twice; patterns stand for the folders that they match.

    Raises:
        InputError: a folder is none of a run, or stands there twice.
    """
    folders = [folder for given in folders for folder in _matched(given)]
    real = [os.path.realpath(folder) for folder in folders]
    for place, folder in enumerate(folders):
        if real.index(real[place]) < place:
            raise files.InputError(
                "named-twice", f"found {folder} twice in --runs; wanted folders of different runs"
            )
    runs = [RunFolder.read(Path(folder)) for folder in folders]
    for run in runs:
        _ = run.histories  # read before anything is written
    return runs


def _matched(given: str) -> list[str]:
    """Folders that a pattern matches; the text itself where it is a path, or matches none."""
    if os.path.exists(given) or not glob.has_magic(given):
        return [given]
    return [path for path in sorted(glob.glob(given)) if os.path.isdir(path)] or [given]


def finite(compared: dict) -> dict:
    """The comparison for a printer of JSON that has no NaN.

    Args:
        compared: of `compare`; its numbers are `drawable` and its differences may be too large.
    """
    differences = {
        name: [drawable(value) for value in values]
        for name, values in compared["differences"].items()
    }
    return compared | {"differences": differences}
