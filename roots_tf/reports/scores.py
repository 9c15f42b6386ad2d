"""Scores of a run: last held-out ones, those over seeds, a student beside its teacher."""

from collections.abc import Iterator
from pathlib import Path

from roots_tf.pages.axes import drawable
from roots_tf.pages.charts import Curve, Rule, chart
from roots_tf.pages.page import table, text
from roots_tf.reports import answers
from roots_tf.reports.run_folder import RunFolder

MOST_OF_CLASSES = 50
_NOT_SCORES = ("step", "group", "unigram_entropy")


def last_scores(run: RunFolder) -> dict[str, float]:
    """The numbers that a run ended with, or has come to, by name.

    Args:
        run: of pretraining: held-out scalars; of fine-tuning: medians over the seeds; of
            distillation: the student's.
    """
    report = run.report or {}
    if run.program == "pretrain":
        rows = [row for row in run.histories[""] if row["group"] == "held_out"]
        found = report or (rows[-1] if rows else {})
        return _numbers(found, lambda name: name not in _NOT_SCORES)
    if run.program == "finetune":
        return _numbers(report, lambda name: not name.endswith("_range") and name != "best_seed")
    of_student = _numbers((report.get("dev") or {}).get("student") or {}, lambda name: True)
    found = {f"dev_{name}": value for name, value in of_student.items()}
    return found | _numbers(report, lambda name: name == "agreement")


def _numbers(values: dict, is_wanted) -> dict[str, float]:
    found = {name: drawable(value) for name, value in values.items() if is_wanted(name)}
    return {name: value for name, value in found.items() if value is not None}


def key_numbers(run: RunFolder) -> Iterator[tuple[str, float, str]]:
    """Name, value and unit of the scores that sum a run up.

    Args:
        run: whose scores.
    """
    scores, report = last_scores(run), run.report or {}
    if run.program == "pretrain":
        for name, value in scores.items():
            if "/" not in name and name.endswith(("_lm_loss", "_lm_perplexity", "_lm_accuracy")):
                yield f"held out: {name.replace('_', ' ')}", float(f"{value:.4g}"), ""
        entropy = drawable(report.get("unigram_entropy"))
        if entropy is not None:
            yield "loss of guessing by frequency", float(f"{entropy:.4g}"), ""
    elif run.program == "finetune" and report:
        name = score_of(report)
        for split in ("test", "dev"):
            if f"{split}_{name}" in scores:
                yield f"{split} {name}, median", float(f"{scores[f'{split}_{name}']:.4g}"), ""
        if f"dev_baseline_{name}" in scores:
            yield f"dev {name} of a trivial answer", scores[f"dev_baseline_{name}"], ""
    elif run.program == "distill":
        for name, value in list(scores.items())[:2]:
            yield f"the student's {name.replace('_', ' ')}", float(f"{value:.4g}"), ""


def score_of(report: dict) -> str:
    """The score that decides between seeds; of older reports the first one."""
    first = next((seed["dev"] for seed in report["seeds"]), {})
    return report.get("score") or next(iter(first), "")


def section(run: RunFolder) -> str:
    """Scores as HTML; "" where there are none yet."""
    if run.program == "finetune":
        return _over_seeds(run.report) if run.report else ""
    if run.program == "distill":
        return _of_student(run.report) if run.report else ""
    rows = [(name.replace("_", " "), value) for name, value in last_scores(run).items()]
    return table(("held out, last", "value"), rows) if rows else ""


def _over_seeds(report: dict) -> str:
    """Medians and ranges, each seed, and the classes of the best one."""
    numbers, rows = _numbers(report, lambda name: True), []
    for name, value in numbers.items():
        if isinstance(span := report.get(f"{name}_range"), list) and len(span) == 2:
            split, _, score = name.partition("_")
            trivial = numbers.get(f"{split}_baseline_{score}")
            rows.append((f"{split} {score}", value, *map(drawable, span), trivial))
    parts = [table(("", "median", "lowest", "highest", "trivial"), rows)] if rows else []
    for split, about in (report.get("conditions") or {}).items():
        for name, value in about.items():
            parts.append(f"<p class=soft>{text(f'{split}: {name} {value}'.replace('_', ' '))}</p>")
    seeds = report["seeds"]
    if failed := ", ".join(str(seed.get("seed")) for seed in seeds if seed.get("degenerate")):
        parts.append(
            f"<p class=notice>No better on dev than a trivial answer: seed {text(failed)}. Train "
            "longer, with another learning rate or with more seeds.</p>"
        )
    if len(seeds) > 1:
        parts.append(_each_seed(report, seeds))
    best = best_seed(report)
    for name, classes in (best or {"dev": {}})["dev"].items():
        if isinstance(classes, dict) and all(isinstance(c, dict) for c in classes.values()):
            parts.append(f"<h3>dev {text(name.replace('_', ' '))}, seed {best.get('seed')}</h3>")
            parts.append(_classes(classes))
    return "".join(parts)


def best_seed(report: dict) -> dict | None:
    """Scores of the seed whose model was kept; None where no seed has any."""
    seeds, score = report["seeds"], score_of(report)
    named = [seed for seed in seeds if seed.get("seed") == report.get("best_seed", -1)]
    values = [drawable(seed["dev"].get(score)) for seed in seeds]
    known = [(value, -place) for place, value in enumerate(values) if value is not None]
    return named[0] if named else seeds[-max(known)[1]] if known else None


def _each_seed(report: dict, seeds: list[dict]) -> str:
    names = list(_numbers(seeds[0]["dev"], lambda name: True))
    rows = [(str(s.get("seed")), *(drawable(s["dev"].get(name)) for name in names)) for s in seeds]
    score = score_of(report)
    dots = [(place, drawable(seed["dev"].get(score))) for place, seed in enumerate(seeds)]
    trivial = drawable(report.get(f"dev_baseline_{score}"))
    rules = [Rule("trivial answer", trivial)] if trivial is not None else []
    drawn = chart(
        f"dev {score} of each seed", [Curve(score, dots, is_dots=True)], "seed", "", rules
    )
    return f"<h3>Each seed on dev</h3>{table(('seed', *names), rows)}{drawn}"


def _classes(classes: dict[str, dict]) -> str:
    """Precision, recall and F1 by class, the lowest F1 first where there are many."""
    names = list(next(iter(classes.values()), {}))
    ordered = list(classes.items())
    if len(ordered) > MOST_OF_CLASSES:
        ordered.sort(key=lambda item: drawable(item[1].get("f1")) or 0.0)
    rows = [
        (name, *(drawable(about.get(column)) for column in names))
        for name, about in ordered[:MOST_OF_CLASSES]
    ]
    left = len(ordered) - len(rows)
    note = f"<p class=soft>Those of the lowest F1; {left:,} more are left out.</p>" if left else ""
    return note + table(("", *names), rows)


def _of_student(report: dict) -> str:
    """Sizes and scores of the student beside the teacher's."""
    teacher, student = (report.get(name) or {} for name in ("teacher", "student"))
    rows = [
        (name.replace("_", " "), drawable(value), drawable(student.get(name)), None)
        for name, value in teacher.items()
    ]
    dev = report.get("dev") or {}
    of_student = dev.get("student") or {}
    for name, value in of_student.items():
        if not isinstance(value, dict):
            values = [dev.get(whose, {}).get(name) for whose in ("teacher", "student", "baseline")]
            rows.append((f"dev {name}", *map(drawable, values)))
    if (agreement := drawable(report.get("agreement"))) is not None:
        rows.append(("dev answers alike", None, agreement, None))
    parts = [table(("", "teacher", "student", "trivial"), rows)] if rows else []
    for name, classes in of_student.items():
        if isinstance(classes, dict) and all(isinstance(c, dict) for c in classes.values()):
            parts.append(f"<h3>The student's dev {text(name.replace('_', ' '))}</h3>")
            parts.append(_classes(classes))
    return "".join(parts)


def answers_of(run: RunFolder) -> str:
    """What a fine-tuned model answers wrong; "" where it has not answered."""
    path = Path(run.path, "dev_predictions.jsonl")
    if run.program != "finetune" or not path.is_file():
        return ""
    about = ((run.report or {}).get("conditions") or {}).get("dev") or {}
    languages = str(about.get("metric_language") or "en").split(", ")
    best = best_seed(run.report) if run.report else None
    of = (
        f"<p class=soft>By the model that was kept, of seed {best.get('seed')}.</p>" if best else ""
    )
    return of + answers.shown(answers.read(path, languages[0]))
