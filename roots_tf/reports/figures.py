"""The charts of a run, and the numbers that its rows add up to."""

import statistics
from collections.abc import Mapping

from roots_tf.pages.axes import drawable
from roots_tf.pages.charts import Curve, Rule, chart
from roots_tf.pages.page import text
from roots_tf.reports.curves import TRAIN, History
from roots_tf.reports.run_folder import RunFolder

HELD_OUT = "held_out"
UNIGRAM = ("masked_lm_loss", "causal_lm_loss")  # those that guessing by frequency is a line for
SPEED = (
    ("learning_rate", "Learning rate", "", 1.0),
    ("gradient_norm", "Gradient norm, before clipping", "", 1.0),
    ("tokens_per_second", "Speed", "tokens/s", 1.0),
    ("input_wait", "Waiting for input", "% of the time", 100.0),
    ("flop_utilization", "FLOP/s", "% of the peak", 100.0),
    ("memory_bytes", "Memory of the process", "GB", 1e-9),
    ("gpu_memory_bytes", "Memory of the fullest GPU", "GB", 1e-9),
)


def section(run: RunFolder, found: Mapping[str, History]) -> str:
    """All charts of a run as HTML.

    Args:
        run: whose charts.
        found: its histories, by the name of what was trained.
    """
    if not any(history.rows for history in found.values()):
        return "<p>No row was logged.</p>"
    charts = [_loss(run, found, name) for name in names_of(found, "_loss")]
    charts += [_score(run, found, name) for name in score_names(run, found)]
    charts += [_speed(found, *about) for about in SPEED]
    own = [name for name, history in found.items() if not history.rows]
    note = f"<p class=soft>No rows of {text(', '.join(own))}.</p>" if own else ""
    return f'{note}<div class="charts">{"".join(charts)}</div>'


def names_of(found: Mapping[str, History], suffix: str = "") -> list[str]:
    """Names of scalars of any of the histories that end in the `suffix`; see `History.names`.

    Args:
        found: histories by name.
        suffix: of the names.
    """
    return list(dict.fromkeys(n for history in found.values() for n in history.names(suffix)))


def score_names(run: RunFolder, found: Mapping[str, History]) -> list[str]:
    """Held-out scores that are drawn: accuracies, or those of the dev file.

    Args:
        run: whose scores.
        found: its histories.
    """
    if run.program == "pretrain":
        names = names_of(found, "_accuracy")
        return [name for name in names if name.removesuffix("_accuracy") != "clipped"]
    rows = [row for history in found.values() for row in history.rows]
    of_dev = dict.fromkeys(n for row in rows if row["group"] != TRAIN for n in row)
    scores = [n for n in of_dev if n not in ("group", "step") and not n.endswith("_loss")]
    decides = (run.report or {}).get("score")
    scores.sort(key=lambda name: name != decides)
    return list(dict.fromkeys([*scores, *names_of(found, "_accuracy")]))


def _curves(
    found: Mapping[str, History], name: str, held_out: str, factor: float = 1.0
) -> list[Curve]:
    """The curves of a scalar: of training and held out, of every seed and of every source."""
    curves, several = [], len(found) > 1
    for place, (of, history) in enumerate(found.items()):
        groups = history.groups()
        for group in sorted(groups, key=lambda group: group != TRAIN):
            points = history.points(group, name)
            if points:
                label = "training" if group == TRAIN else held_out
                colour = place if several else min(group != TRAIN, 1)
                is_dashed = several and group != TRAIN and name.endswith("_loss")
                label = f"{of} {label}".strip()
                curves.append(Curve(label, points, colour, is_dashed=is_dashed))
        for number, source in enumerate(history.sources(name)):
            points = history.points(HELD_OUT, f"held_out/{source}/{name}")
            curves.append(Curve(f"{held_out}, {source}", points, 2 + number))
    return [
        curve._replace(points=[(x, _times(y, factor)) for x, y in curve.points])
        if factor != 1
        else curve
        for curve in curves
    ]


def _times(value, factor: float) -> float | None:
    value = drawable(value)
    return None if value is None else value * factor


def _held_out(run: RunFolder) -> str:
    """What the examples are called that the model is judged on and does not learn."""
    return "held out" if run.program == "pretrain" else "dev"


def _loss(run: RunFolder, found, name: str) -> str:
    entropy = drawable((run.report or {}).get("unigram_entropy")) if name in UNIGRAM else None
    rules = [Rule("guessing by frequency", entropy)] if entropy is not None else []
    title = f"Loss: {name.removesuffix('_loss')}"
    is_likelihood = run.program != "distill" and run.subject not in ("regression", "similarity")
    unit = "nats" if is_likelihood else ""
    return chart(title, _curves(found, name, _held_out(run)), "step", unit, rules)


def _score(run: RunFolder, found, name: str) -> str:
    trivial = drawable((run.report or {}).get(f"dev_baseline_{name}"))
    rules = [Rule("trivial answer", trivial)] if trivial is not None else []
    return chart(name.replace("_", " "), _curves(found, name, _held_out(run)), "step", "", rules)


def _speed(found, name: str, title: str, unit: str, factor: float) -> str:
    curves = _curves(found, name, "held out", factor)
    from_zero = name != "gradient_norm"
    return chart(title, curves, "step", unit, from_zero=from_zero) if curves else ""


def key_numbers(run: RunFolder, found: Mapping[str, History]) -> list[tuple[str, float, str]]:
    """Name, value and unit of what the rows add up to.

    Args:
        run: whose numbers.
        found: its histories.
    """
    tokens = sum(history.total("tokens") for history in found.values())
    hours = sum(history.total("time") for history in found.values())
    rates = [
        rate
        for history in found.values()
        for _, value in history.points(TRAIN, "tokens_per_second")
        if (rate := drawable(value)) is not None
    ]
    late = rates[len(rates) // 2 :]
    step = drawable(run.step)
    numbers = [("updates", step, "")] if step and run.program != "finetune" else []
    numbers += [("tokens seen, padding among them", *_scaled(tokens))] if tokens else []
    numbers += [("of training", *_duration(hours))] if hours else []
    numbers += [("late speed", round(statistics.median(late)), "tokens/s")] if late else []
    return numbers


def _scaled(value: float) -> tuple[float, str]:
    """A count with a word for its thousands.

    >>> _scaled(9_216_000.0)
    (9.216, 'million')
    """
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return float(f"{value / size:.4g}"), word
    return round(value), ""


def _duration(hours: float) -> tuple[float, str]:
    """Hours in a unit that people read."""
    for size, word in ((48.0, "days"), (1.0, "hours"), (1 / 60, "minutes")):
        if hours >= size:
            return float(f"{hours * {'days': 1 / 24, 'hours': 1, 'minutes': 60}[word]:.3g}"), word
    return float(f"{hours * 3600:.3g}"), "seconds"
