"""Parts of the page of a run that need no chart: findings, samples, data, flags."""

import html
import json
import re
from pathlib import Path

from roots_tf import commands, program
from roots_tf.diagnosis import diagnosis
from roots_tf.pages.page import Cell, table, text
from roots_tf.reports import run_record, samples
from roots_tf.reports.run_folder import RunFolder, differing_flags
from roots_tf.storage import files

MOST_CHARACTERS = 2000  # of a value of a flag
_FLAG, _UNBROKEN = re.compile(r"--\w+"), r'<span class="unbroken">\g<0></span>'


def findings(run: RunFolder) -> str:
    """What doctor finds in a run of pretraining, the serious first; "" of other programs."""
    if run.program != "pretrain":
        return ""
    try:
        found = diagnosis.diagnose(run_record.read(run.path, run.histories[""]))
    except files.InputError as error:
        return f"<p class=notice>doctor cannot look at this run: {text(str(error))}</p>"
    parts = []
    for finding in found:
        titles = (("found", finding.found), ("why", finding.why), ("do", finding.action))
        listed = "".join(
            f"<dt>{title}</dt><dd>{_FLAG.sub(_UNBROKEN, text(value))}</dd>"
            for title, value in titles
        )
        name = finding.name.replace("_", " ")
        heading = name if finding.severity == "healthy" else f"{finding.severity}: {name}"
        severity = html.escape(finding.severity)
        parts.append(
            f'<div class="finding {severity}"><h3>{text(heading)}</h3><dl>{listed}</dl></div>'
        )
    return "".join(parts)


def samples_of(run: RunFolder) -> str:
    """What the model said of held-out rows at the last evaluation; "" where it was not asked."""
    found = samples.read(run.path / "logs") if run.program == "pretrain" else []
    if not found:
        return ""
    parts = [
        f"<p class=soft>Held-out rows at step {found[0].step:,}. ✓ stands where the likeliest "
        "piece is the right one.</p>"
    ]
    for sample in found:
        title = f"<h3>{text(sample.name.replace('_', ' '))}</h3>" * (len(found) > 1)
        parts.append(title + samples.shown(sample))
    return "".join(parts)


def data(run: RunFolder) -> str:
    """What the run read."""
    if run.program != "pretrain":
        names = ("train", "dev", "test", "input", "teacher", "init_from")
        rows = [(name, flag_cell(run.flags[name])) for name in names if run.flags.get(name)]
        return table(("", "from"), rows) if rows else ""
    parts = []
    try:
        record = run_record.read(run.path, run.histories[""])
    except files.InputError:
        return ""
    for place, phase in enumerate(record.phases):
        steps = f"steps {phase.first_step:,} to {phase.last_step:,}"
        if len(record.phases) > 1:
            parts.append(f"<h3>Phase {place + 1}: {steps}</h3>")
        where = phase.settings["examples"]
        parts.append(f"<p>Examples: <bdi>{text(str(where))}</bdi></p>")
        if phase.manifest is None:
            parts.append("<p class=notice>They are not there any more, or cannot be read.</p>")
        else:
            parts.append(_manifests(phase.sources))
        if phase.mixture:
            names = ("rows", "tokens", "epochs", "token_share")
            head = ("source", "rows", "tokens", "epochs", "share of tokens")
            rows = [(source, *(of[n] for n in names)) for source, of in phase.mixture.items()]
            parts.append(f"<h3>Mixture of the phase</h3>{table(head, rows)}")
    return "".join(parts)


def _manifests(sources: dict[str, dict]) -> str:
    rows = []
    for source, manifest in sources.items():
        for split, about in (manifest.get("splits") or {}).items():
            counts = [about.get(name) for name in ("documents", "examples", "tokens")]
            megabytes = about["bytes"] / 1e6 if about.get("bytes") else None
            rows.append((source, split.replace("_", " "), *counts, megabytes))
    head = ("source", "split", "documents", "examples", "tokens", "MB")
    if not any(source for source, *_ in rows):
        head, rows = head[1:], [row[1:] for row in rows]
    manifest = next(iter(sources.values()))
    names = {
        "layout": "layout",
        "max_seq_length": "tokens in an example, at most",
        "padding_percent": "% of the positions are padding",
        "unknown_percent": "% of the tokens are unknown",
        "unigram_entropy": "nats a token by frequency alone",
    }
    about = [(title, manifest[name]) for name, title in names.items() if name in manifest]
    if size := (manifest.get("tokenizer") or {}).get("size"):
        about.append(("entries of the vocabulary", size))
    about = [
        (title, value if isinstance(value, int | float) else str(value)) for title, value in about
    ]
    cells = [(title, _aligned(value)) for title, value in about]
    of_one = table(("of the build", "value"), cells) if len(sources) == 1 else ""
    return table(head, rows) + of_one


def _aligned(value) -> Cell:
    shown = (
        f"{value:,.4g}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else value
    )
    return Cell(f'<td class="n">{text(shown)}</td>')


def flag_cell(value) -> Cell:
    """A value of a flag, as JSON where it is no text."""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(shown) > MOST_CHARACTERS:
        shown = f"{shown[:MOST_CHARACTERS]} […]"
    return Cell(f'<td class="flag value" dir="auto">{text(shown)}</td>')


def defaults_of(name: str) -> dict:
    """The defaults of a program's flags as JSON has them.

    Args:
        name: of the program.
    """
    known = program.flags_of(commands.load(name).Config)
    return files.as_read_back(
        {flag: about.default for flag, about in known.items() if not about.is_required}
    )


def flags(run: RunFolder) -> str:
    """The flags of a run, those that are not as by default first."""
    defaults = defaults_of(run.program)
    differing, usual = differing_flags(run, defaults)
    rows = [
        (Cell(f'<td class="flag unbroken">--{text(name)}</td>'), flag_cell(value),
         flag_cell(default) if name in defaults else "")
        for name, value, default in differing
    ]  # fmt: skip
    shown = table(("flag", "value", "default"), rows)
    others = [
        (Cell(f'<td class="flag unbroken">--{text(name)}</td>'), flag_cell(value))
        for name, value, _ in usual
    ]
    if others:
        shown += (
            f"<details><summary>{len(others)} flags as by default</summary>"
            f"{table(('flag', 'value'), others)}</details>"
        )
    return shown + _changes(run)


def _changes(run: RunFolder) -> str:
    """Flags that were others when the run went on after a stop."""
    try:
        changes = files.read_json(Path(run.path, "config.json")).get("changes") or []
        rows = [
            (
                str(change["time"]),
                Cell(f'<td class="flag unbroken">--{text(name)}</td>'),
                *map(flag_cell, both),
            )
            for change in changes
            for name, both in change["flags"].items()
            if len(both) == 2
        ]
    except (AttributeError, KeyError, TypeError):
        return ""
    if not rows:
        return ""
    return f"<h3>Changed on the way</h3>{table(('time', 'flag', 'before', 'then'), rows)}"
