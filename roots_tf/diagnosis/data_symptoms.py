"""What can be wrong with the data of any run: functions of a `RunRecord`, a finding or None out.

Thresholds are rules of thumb. A check that needs a number which the run did not write returns None.
"""

from roots_tf.diagnosis.findings import Finding, RunRecord


def no_held_out(run: RunRecord) -> Finding | None:
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
        "build-examples with --held_out above 0"
        if examples == 0
        else "evaluate them during training: --evaluate_every",
        {},
    )


def unknown_tokens(run: RunRecord) -> Finding | None:
    """The vocabulary does not cover the text."""
    shares = {name: m.get("unknown_percent", 0.0) for name, m in run.phase.sources.items()}
    source = max(shares, key=shares.get, default="")
    percent = shares.get(source, 0.0)
    if percent < 1.0:
        return None
    return Finding(
        "unknown_tokens",
        "serious" if percent > 5.0 else "notice",
        f"{percent:.1f} % of the tokens{f' of {source}' * bool(source)} are unknown",
        "the text behind them is lost, and the model learns to predict the unknown token",
        "train-tokenizer on this text, or extend-vocab, then build-examples again",
        {"unknown_percent": percent},
    )


def padding(run: RunRecord) -> Finding | None:
    """Positions without a token."""
    percent = (run.phase.manifest or {}).get("padding_percent", 0.0)
    if percent < 30.0 or run.phase.packed:
        return None
    return Finding(
        "padding",
        "serious" if percent > 60.0 else "notice",
        f"{percent:.0f} % of the positions are padding",
        "padding costs as much time as text",
        "build-examples with a smaller --max_seq_length, curate --documents into longer ones, or "
        "pack rows full, as masked_lm does with --sentence_objective=none",
        {"padding_percent": percent},
    )


def input_bound(run: RunRecord) -> Finding | None:
    """The step waits for its batches."""
    wait = run.late("input_wait")
    if wait is None or wait < 0.1:
        return None
    return Finding(
        "input_bound",
        "serious" if wait > 0.3 else "notice",
        f"steps wait for their batch during {100 * wait:.0f} % of the time",
        "the device idles while examples are read and made into batches",
        "put the examples on a faster disk, give the machine more processors, or raise the work of "
        "a step (--batch_size, --size)",
        {"input_wait": wait},
    )


CHECKS = (input_bound, no_held_out, unknown_tokens, padding)
