"""What can be wrong with what a run learns from: each a function of a `Run`, or None.

Thresholds are rules of thumb; a number that the run did not write is unknown, and what rests on it
is not checked.
"""

import math
import statistics

from roots_tf.training.findings import Finding, Run


def no_held_out(run: Run) -> Finding | None:
    """Nothing tells whether the model generalises."""
    manifest = run.phase.manifest
    examples = manifest["splits"]["held_out"]["examples"] if manifest else None
    evaluated = any(row["group"] == "held_out" for row in run.rows)
    due = run.report is not None or run.step > (run.phase.settings.get("evaluate_every") or 1e9)
    if evaluated or not (due or examples == 0):
        return None
    return Finding(
        "no_held_out",
        "serious",
        "no held-out scores" + (", and no held-out examples" if examples == 0 else ""),
        "the training loss alone does not tell learning from memorising",
        "build-examples with --held_out above 0, then evaluate: --evaluate_every",
        {},
    )


def label_imbalance(run: Run) -> Finding | None:
    """True and false second sentences are not half and half."""
    shares = run.values("train", "next_sentence_label_1")
    if not shares:
        return None
    share = statistics.fmean(shares)
    pairs = (run.step - run.phase.first_step) * run.phase.settings.get("batch_size", 1)
    if abs(share - 0.5) < max(
        0.05, 4 * 0.5 / math.sqrt(max(pairs, 1))
    ):  # four deviations of chance
        return None
    return Finding(
        "label_imbalance",
        "notice",
        f"{100 * share:.1f} % of the pairs are false; wanted about 50 %",
        "the sentence objective can be won by always giving the more frequent label",
        "look at the pairs with inspect-examples: documents of one sentence have no true second "
        "one; curate --documents, or --sentence_objective=none",
        {"next_sentence_label_1": share, "pairs": pairs},
    )


def unknown_tokens(run: Run) -> Finding | None:
    """The vocabulary does not cover the text."""
    percent = (run.phase.manifest or {}).get("unknown_percent", 0.0)
    if percent < 1.0:
        return None
    return Finding(
        "unknown_tokens",
        "serious" if percent > 5.0 else "notice",
        f"{percent:.1f} % of the tokens are unknown",
        "what they stood for is lost, and the model learns to predict the unknown token",
        "train-tokenizer on this text, or extend-vocab, then build-examples again",
        {"unknown_percent": percent},
    )


def padding(run: Run) -> Finding | None:
    """Positions without a token."""
    percent = (run.phase.manifest or {}).get("padding_percent", 0.0)
    if percent < 30.0 or run.phase.settings.get("sentence_objective") == "none":  # packed rows
        return None
    return Finding(
        "padding",
        "serious" if percent > 60.0 else "notice",
        f"{percent:.0f} % of the positions are padding",
        "padding costs as much time as text",
        "build-examples with a smaller --max_seq_length, curate --documents into longer ones, or "
        "pack rows full: --sentence_objective=none",
        {"padding_percent": percent},
    )


def input_bound(run: Run) -> Finding | None:
    """The step waits for its batches."""
    wait = run.late("input_wait")
    if wait is None or wait < 0.1:
        return None
    return Finding(
        "input_bound",
        "serious" if wait > 0.3 else "notice",
        f"steps wait for their batch during {100 * wait:.0f} % of the time",
        "the device idles while examples are read and masked",
        "put the examples on a faster disk, give the machine more processors, or raise the work a "
        "batch brings (--batch_size, --size)",
        {"input_wait": wait},
    )


def epochs(run: Run) -> Finding | None:
    """The same examples come again and again."""
    seen = {}
    for phase in run.phases:
        if phase.manifest is None:
            continue
        train, settings = phase.manifest["splits"]["train"], phase.settings
        rows = phase.steps * settings["batch_size"]
        share = rows / max(train["examples"], 1)
        if settings.get("sentence_objective") == "none":  # rows packed full
            length = settings.get("max_seq_length") or phase.manifest["max_seq_length"]
            share = rows * length / max(train["tokens"], 1)
        build = phase.manifest["build"]
        seen[build] = seen.get(build, 0.0) + share
    most = max(seen.values(), default=0.0)
    if most <= 40:  # of BERT: arXiv:1810.04805, A.2
        return None
    return Finding(
        "many_epochs",
        "notice",
        f"the run sees every example {most:,.0f} times",
        "BERT saw its text about 40 times (arXiv:1810.04805, A.2); masks and pairs are new each "
        "time, but past that a text has little more to teach",
        "add text, or shorten --duration; watch the held-out loss",
        {"epochs": most},
    )


CHECKS = (input_bound, no_held_out, label_imbalance, unknown_tokens, padding, epochs)
