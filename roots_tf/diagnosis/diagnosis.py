"""What looks wrong in a training run, from what it wrote down; a pure function."""

import statistics

from roots_tf.diagnosis import (
    causal_lm,
    data_symptoms,
    learning_symptoms,
    masked_lm,
    replaced_tokens,
)
from roots_tf.diagnosis.findings import Finding, RunRecord, Symptoms

BY_OBJECTIVE = {
    "causal_lm": causal_lm.SYMPTOMS,
    "masked_and_causal": Symptoms(
        checks=(*causal_lm.SYMPTOMS.checks, masked_lm.unigram_plateau, masked_lm.overfitting),
        scores=("masked_lm_loss", "masked_lm_accuracy", *causal_lm.SYMPTOMS.scores),
    ),
    "masked_lm": masked_lm.SYMPTOMS,
    "replaced_tokens": replaced_tokens.SYMPTOMS,
}
OF_ANY_OBJECTIVE = Symptoms(checks=(learning_symptoms.overfitting,), scores=())


def diagnose(run: RunRecord) -> list[Finding]:
    """What looks wrong, the serious first; where nothing does, the one finding that says so.

    A run of an objective without a row in `BY_OBJECTIVE` is checked for what can go wrong in every
    training.
    """
    checks = CHECKS + BY_OBJECTIVE.get(run.objective, OF_ANY_OBJECTIVE).checks
    findings = [finding for check in checks if (finding := check(run))]
    findings.sort(key=lambda finding: finding.severity != "serious")
    return findings or [healthy(run)]


def healthy(run: RunRecord) -> Finding:
    """The main numbers of a run in which nothing was found."""
    numbers = {"step": run.step} | main_numbers(run)
    found = ", ".join(spell(numbers))
    return Finding(
        "healthy", "healthy", found, "no check found anything", "nothing: go on", numbers
    )


def spell(numbers: dict[str, float]) -> list[str]:
    """Names and values as text; three digits, or more where a number has more before its point.

    >>> spell({"masked_lm_loss": 3.14159, "tokens_per_second": 23263.3})
    ['masked_lm_loss 3.14', 'tokens_per_second 23,263']
    """
    return [
        f"{name} {value:,.0f}" if abs(value) >= 1000 else f"{name} {value:.3g}"
        for name, value in numbers.items()
    ]


def main_numbers(run: RunRecord) -> dict[str, float]:
    """Last held-out scores and late speed, as far as the run wrote them."""
    held_out = [row for row in run.rows if row["group"] == "held_out"]
    last = held_out[-1] if held_out else {}
    losses = tuple(name for name in last if name.endswith("_loss") and "/" not in name)
    scores = BY_OBJECTIVE.get(run.objective, OF_ANY_OBJECTIVE).scores or losses
    numbers = {f"held_out_{name}": last[name] for name in scores if name in last}
    extra = {"unigram_entropy": run.unigram_entropy}
    extra["tokens_per_second"] = run.late("tokens_per_second")
    utilization = run.late("flop_utilization")
    extra["flop_utilization"] = None if (utilization or 0) > 1 else utilization  # `low_peak` tells
    return numbers | {name: value for name, value in extra.items() if value is not None}


def no_rows(run: RunRecord) -> Finding | None:
    """No row was written."""
    if run.rows:
        return None
    return Finding(
        "no_metrics",
        "serious",
        "metrics.jsonl has no rows",
        "the run was killed before its first log line, or has not come to it",
        "run the same command again; lower --log_every for very slow steps",
        {},
    )


def unfinished(run: RunRecord) -> Finding | None:
    """There is no report, or it is older than the newest checkpoint or row."""
    last = run.phases[-1].last_step
    numbers = {"step": run.step, "last_step": last}
    if run.report is None and run.rows:
        saved = run.checkpoint_step
        at = "no checkpoint" if saved is None else f"the last checkpoint is of step {saved:,}"
        return Finding(
            "unfinished",
            "notice",
            f"no report.json; rows up to step {run.step:,} of {last:,}, {at}",
            "the run is under way, or was stopped or killed; the model is written at the end",
            "if no process is at it, run the same command again: it goes on from the checkpoint",
            numbers,
        )
    reported = (run.report or {}).get("step", last)
    if max(run.checkpoint_step or 0, run.step) > reported:
        newest = max(run.checkpoint_step or 0, run.step)
        return Finding(
            "stale_report",
            "serious",
            f"report.json is of step {reported:,}, checkpoints or metrics go on to {newest:,}",
            "the folder holds files of two runs, and the model may be of either",
            "remove report.json and run the same command again, or start in an empty folder",
            numbers | {"reported_step": reported, "newest_step": newest},
        )
    return None


def few_steps(run: RunRecord) -> Finding | None:
    """A run too short to judge."""
    planned = run.phases[-1].last_step
    if planned >= learning_symptoms.ENOUGH_STEPS:
        return None
    return Finding(
        "few_steps",
        "notice",
        f"the whole run is {planned:,} updates",
        f"before {learning_symptoms.ENOUGH_STEPS:,} a loss says little; BERT made 1,000,000 "
        "(arXiv:1810.04805, A.2)",
        "take this for a trial; raise --duration",
        {"last_step": planned},
    )


def slowing(run: RunRecord) -> Finding | None:
    """Tokens a second fall over time."""
    speeds = run.values("train", "tokens_per_second")[1:]  # the first holds the compilation
    if len(speeds) < 6:
        return None
    third = len(speeds) // 3
    early, late = statistics.median(speeds[:third]), statistics.median(speeds[-third:])
    if late > 0.8 * early:
        return None
    return Finding(
        "slowing",
        "notice",
        f"{early:,.0f} tokens/s early, {late:,.0f} late",
        "the run takes longer than it showed at first",
        "look for another process on the machine, heat, a full memory (memory_bytes) or a disk "
        "that is busy; the batches cost the same throughout",
        {"early": early, "late": late},
    )


def low_peak(run: RunRecord) -> Finding | None:
    """The steps did more than the devices can, as they were measured."""
    utilization = run.late("flop_utilization")
    if utilization is None or utilization <= 1:
        return None
    return Finding(
        "low_peak",
        "notice",
        f"the steps reached {100 * utilization:.0f} % of the peak that their share is told of",
        "the peak was measured while the machine was busy, or --peak_flops is too low; speeds in "
        "tokens/s are right, shares of the peak are not",
        "nothing for the model; for the share, measure again with benchmark-step, or give "
        "--peak_flops",
        {"flop_utilization": utilization},
    )


CHECKS = (no_rows, unfinished, few_steps, slowing, low_peak)
CHECKS += learning_symptoms.CHECKS + data_symptoms.CHECKS
