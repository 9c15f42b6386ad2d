"""The page of one run, `report.html`: curves, findings, samples, answers, data and flags.

with reports.written(output, is_chief):
    ...                                  # the run, which leaves its files in the folder
"""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from roots_tf.pages import page
from roots_tf.pages.page import number, text
from roots_tf.reports import figures, parts, scores
from roots_tf.reports.curves import histories
from roots_tf.reports.run_folder import RunFolder
from roots_tf.storage import files, places

NAME = "report.html"


@contextlib.contextmanager
def written(folder: str | Path, is_writer: bool = True) -> Iterator[None]:
    """Context of a run, which leaves its report also where it is stopped or diverges.

    A report that cannot be made is a line of the log, never the end of a run.

    Args:
        folder: of the run.
        is_writer: whether this process writes files.
    """
    ended, begun = "", False
    try:
        yield
        begun = True
    except BaseException as error:
        status = getattr(error, "exit_status", None)
        begun = status is not None and status != files.InputError.exit_status
        ended = str(error)
        raise
    finally:
        if begun and is_writer:
            try:
                write(folder, ended)
            except Exception as error:  # of whatever kind: the run itself is whole
                logging.warning("could not make %s: %s", Path(folder, NAME), error)


def write(folder: str | Path, ended: str = "", path: str | Path = "") -> Path:
    """Makes the page of the run in a folder and returns its place.

    Args:
        folder: of the run.
        ended: how, where the files of the folder do not tell.
        path: of the page; "": `report.html` in the folder.

    Raises:
        InputError: the folder is not that of a run, or one of its files is damaged.
    """
    path = Path(path or Path(folder, NAME))
    files.write_text(path, render(RunFolder.read(folder), ended))
    return path


def render(run: RunFolder, ended: str = "") -> str:
    """The page of a run.

    Args:
        run: of `RunFolder.read`.
        ended: how it ended, where its files do not tell.
    """
    found = histories(run)
    makers = [
        ("findings", "What doctor found", lambda: parts.findings(run)),
        ("scores", "Scores", lambda: scores.section(run)),
        ("curves", "Curves", lambda: figures.section(run, found)),
        ("samples", "What the model says", lambda: parts.samples_of(run)),
        ("answers", "Answers on the dev file", lambda: scores.answers_of(run)),
        ("data", "Data", lambda: parts.data(run)),
        ("flags", "Flags", lambda: parts.flags(run)),
    ]
    sections = [
        page.Section(name, title, content)
        for name, title, content in ((name, title, make()) for name, title, make in makers)
        if content
    ]
    return page.render(f"{title_of(run)} – {run.path.name}", _header(run, found, ended), sections)


def title_of(run: RunFolder) -> str:
    """What was trained, such as "pretrain: masked_lm, tiny"."""
    size = run.flags.get("size") if run.program == "pretrain" else ""
    return f"{run.program}: {', '.join(str(part) for part in (run.subject, size) if part)}"


def _header(run: RunFolder, found: dict, ended: str) -> str:
    """Heading, how the run ended, and the numbers that sum it up."""
    if run.is_finished:
        state = "finished"
    elif ended:
        state = f"not finished: {ended}"
    else:
        state = "not finished: it is under way, or was stopped or killed"
    of = f" of {run.last_step:,}" if run.last_step is not None else ""
    state = f"{state[0].upper()}{state[1:]}. Step {run.step:,}{of}."
    kind = "soft" if run.is_finished else "notice"
    version = f", roots-tf {run.version}" if run.version else ""
    numbers = itertools.chain(scores.key_numbers(run), figures.key_numbers(run, found))
    items = "".join(
        f"<li><b>{number(value)}{f' {unit}' if unit else ''}</b><span>{text(name)}</span></li>"
        for name, value, unit in numbers
    )
    return (
        f"<h1>{text(title_of(run))}</h1><p class={kind}>{text(state)}</p>"
        f'<p class="soft"><bdi>{text(places.as_given(str(run.path)))}</bdi>{text(version)}</p>'
        + (f'<ul class="figures">{items}</ul>' if items else "")
    )
