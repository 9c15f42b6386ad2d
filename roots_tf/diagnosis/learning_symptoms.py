"""What can be wrong with how any run learns: functions of a `RunRecord`, a finding or None out.

Thresholds are rules of thumb; where one has a source, it stands beside it. A check that needs a
number which the run did not write returns None.
"""

import math
import statistics

from roots_tf.diagnosis.findings import Finding, RunRecord

ENOUGH_STEPS = 1_000  # before this, how low a loss is says little


def warmup(run: RunRecord) -> Finding | None:
    """The learning rate rises for most of the phase."""
    phase = next((p for p in run.phases if p.steps and p.warmup_steps > p.steps / 2), None)
    if phase is None:
        return None
    return Finding(
        "long_warmup",
        "serious" if phase.warmup_steps >= phase.steps else "notice",
        f"the warm-up takes {phase.warmup_steps:,} of {phase.steps:,} updates",
        "the learning rate hardly reaches its height, and does not come down",
        "leave --warmup_steps at -1, a tenth of the duration (BERT: a hundredth, "
        "arXiv:1810.04805, A.2)",
        {"warmup_steps": phase.warmup_steps, "steps": phase.steps},
    )


def learning_rate(run: RunRecord) -> Finding | None:
    """Far from the rates that are usual for the batch size."""
    for phase in run.phases:
        rate, batch = phase.settings.get("learning_rate"), phase.settings.get("batch_size")
        if not rate or not batch or phase.settings.get("optimizer", "adamw") != "adamw":
            continue
        # BERT: 1e-4 at 256 sequences (arXiv:1810.04805, A.2). With Adam the rate goes with the root
        # of the batch (Malladi et al. 2022, arXiv:2205.10330), which also gives RoBERTa's 6e-4 at
        # 8,192 (arXiv:1907.11692, table 9). Smaller models bear more: ELECTRA-small's 5e-4 at 128
        # (arXiv:2003.10555, table 6) is seven times that.
        usual = 1e-4 * math.sqrt(batch / 256)
        if usual / 4 <= rate <= usual * 10:
            continue
        high = rate > usual
        return Finding(
            "learning_rate_high" if high else "learning_rate_low",
            "notice",
            f"--learning_rate={rate:g} with batches of {batch}; usual is {usual / 4:.1g} to "
            f"{usual * 10:.1g}, around {usual:.1g}",
            "too high a rate ends in spikes or on the unigram plateau"
            if high
            else "too low a rate spends the steps without getting far",
            f"start again with --learning_rate near {usual:.1g}, up to seven times that for small "
            "models",
            {"learning_rate": rate, "batch_size": batch, "usual": usual},
        )
    return None


def gradient_spikes(run: RunRecord) -> Finding | None:
    """Gradient norms far above those before them."""
    counted = run.values("train", "spikes")
    norms = run.points("train", "gradient_norm")
    above = [  # a row is a mean over many steps: three times the median is far outside the usual
        step
        for index, (step, norm) in enumerate(norms)
        if index >= 10
        and norm > 3 * statistics.median(value for _, value in norms[max(0, index - 20) : index])
    ]
    count = int(sum(counted)) if counted else len(above)
    if not count:
        return None
    where = f", at steps {', '.join(f'{step:,}' for step in above[-5:])}" if above else ""
    share = count / max(run.step - run.phase.first_step if counted else len(norms), 1)
    return Finding(
        "gradient_spikes",
        "serious" if share > 0.02 else "notice",
        f"{count:,} gradient spikes{where}",
        "clipping bounds the update but not its direction; a spike can undo many updates, and "
        "spikes tend to come more often before a run diverges",
        "if the loss did not recover: go on from an earlier checkpoint with another --seed, which "
        "brings other batches (Chowdhery et al. 2022, arXiv:2204.02311, section 5.1); if they come "
        "again: a lower --learning_rate or a longer warm-up",
        {"spikes": count, "share": share},
    )


def always_clipped(run: RunRecord) -> Finding | None:
    """Late in training nearly every gradient is still cut."""
    clipped = run.values("train", "clipped")
    late = clipped[3 * len(clipped) // 4 :]
    if run.step - run.phase.first_step < ENOUGH_STEPS or not late:
        return None
    if (share := statistics.fmean(late)) < 0.9:
        return None
    norm = run.late("gradient_norm")
    usual = "" if norm is None else f"; the norm is about {norm:.2g}"
    return Finding(
        "always_clipped",
        "notice",
        f"{100 * share:.0f} % of the late steps are clipped{usual}",
        "only the direction of the gradient counts then, and Adam, which divides by the "
        "gradient's size, hides it; batches that differ much get the same weight",
        "a larger --batch_size, or a --max_grad_norm above the usual norm",
        {"clipped": share} | ({} if norm is None else {"gradient_norm": norm}),
    )


def skipped_steps(run: RunRecord) -> Finding | None:
    """Steps without finite gradients, which change nothing."""
    skipped = sum(row.get("skipped", 0) for row in run.rows if row["group"] == "train")
    if not skipped:
        return None
    share = skipped / max(run.step, 1)
    # A float16 loss scale grows until it overflows, so that one step in 2,000 is skipped by design.
    expected = any("loss_scale" in row for row in run.rows) and share < 0.005
    if expected:
        return None
    return Finding(
        "skipped_steps",
        "serious" if share > 0.01 else "notice",
        f"{skipped:,.0f} steps, {100 * share:.2g} %, had no finite gradient and were skipped",
        "something overflows or divides by zero; the weights stay good, the batches are lost",
        "--precision=mixed_bfloat16 or float32 in place of mixed_float16; else a lower "
        "--learning_rate",
        {"skipped": skipped, "share": share},
    )


def overfitting(run: RunRecord) -> Finding | None:
    """One of the losses overfits, whatever the losses are."""
    held_out = [row for row in run.rows if row["group"] == "held_out"]
    losses = sorted({name for row in held_out for name in row if name.endswith("_loss")})
    return next((finding for name in losses if (finding := overfits(run, name))), None)


def overfits(run: RunRecord, loss: str) -> Finding | None:
    """The held-out loss rises while the training loss falls.

    Args:
        run: what is known of the run.
        loss: name of the scalar.
    """
    held_out, train = run.points("held_out", loss), run.points("train", loss)
    if len(held_out) < 3 or len(train) < 4:
        return None
    best_step, best = min(held_out, key=lambda point: point[1])
    last = held_out[-1][1]
    after = [value for step, value in train if step > best_step]
    near = [value for step, value in train if step <= best_step][-max(len(after) // 2, 1) :]
    if last < 1.02 * best or not near or not after:
        return None
    before, now = statistics.fmean(near), statistics.fmean(after[len(after) // 2 :])
    if now >= before:
        return None
    return Finding(
        "overfitting",
        "serious",
        f"held-out {loss} rose from {best:.3f} at step {best_step:,} to {last:.3f}, while "
        f"the training loss fell from {before:.3f} to {now:.3f}",
        "the model learns the training text by heart",
        f"add text, or stop near step {best_step:,}: a --duration of that many steps",
        {"best": best, "best_step": best_step, "last": last, "before": before, "now": now},
    )


CHECKS = (skipped_steps, gradient_spikes, always_clipped, learning_rate, warmup)
