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
    share = phase.settings.get("warmup_share", 0.1)
    by_share = phase.warmup_steps == int(share * phase.steps)
    return Finding(
        "long_warmup",
        "serious" if phase.warmup_steps >= phase.steps else "notice",
        f"the warm-up takes {phase.warmup_steps:,} of {phase.steps:,} updates",
        "the learning rate hardly reaches its height, and does not come down",
        (
            f"lower --warmup_share, {share:g} here, to 0.1"
            if by_share
            else "leave --warmup_steps out"
        )
        + ": a tenth of the duration is usual (BERT: a hundredth, arXiv:1810.04805, A.2)",
        {"warmup_steps": phase.warmup_steps, "steps": phase.steps},
    )


def usual_rate(batch: int, width: int, pre_norm: bool = False) -> float:
    """The learning rate of AdamW that runs of such a batch and model have been made with.

    With the root of the batch (Malladi et al. 2022, arXiv:2205.10330) and the inverse square of the
    width, it meets what was used and measured to a factor of two:

        BERT-base            768 wide,   256 rows   1e-4     1e-4    arXiv:1810.04805, A.2
        RoBERTa-base         768       8,192        6e-4     5.7e-4  arXiv:1907.11692, table 9
        RoBERTa-large      1,024       8,192        4e-4     3.2e-4  likewise
        ELECTRA-small        256         128        5e-4     6.4e-4  arXiv:2003.10555, table 6
        tiny                 128          32        1.5e-3   1.3e-3  docs/pretrain.md
        tiny, modern         128          32        3e-3     3.2e-3  README.md
        mini, modern         256          32        1e-3     8e-4    docs/pretrain.md

    Below a width of 128 nothing was measured, and the rate of 128 holds.

    Args:
        batch: rows of a global batch.
        width: hidden size.
        pre_norm: whether its blocks are pre-norm, which bear more; measured of "modern".
    """
    of_width = (768 / max(width, 128)) ** 2
    return 1e-4 * math.sqrt(batch / 256) * of_width * (2.5 if pre_norm else 1.0)


def learning_rate(run: RunRecord) -> Finding | None:
    """Far from the rates that are usual for the size of the model and the batch."""
    for number, phase in enumerate(run.phases):
        rate, batch = phase.settings.get("learning_rate"), phase.settings.get("batch_size")
        if not rate or not batch or phase.settings.get("optimizer", "adamw") != "adamw":
            continue
        # Of an unknown width the narrowest model bears the highest rate, the widest the lowest.
        lowest = usual_rate(batch, phase.width or 1024, phase.pre_norm) / 10
        highest = usual_rate(batch, phase.width or 128, phase.pre_norm) * 5
        # To go on with a trained model, a lower rate than to begin with is right.
        goes_on = number > 0 or phase.settings.get("init_from")
        if rate <= highest and (rate >= lowest or goes_on):
            continue
        high, usual = rate > highest, usual_rate(batch, phase.width or 768, phase.pre_norm)
        model = f" and a model {phase.width} wide" if phase.width else ""
        model += " with pre-norm blocks" if phase.pre_norm else ""
        return Finding(
            "learning_rate_high" if high else "learning_rate_low",
            "notice",
            f"--learning_rate={rate:g} with batches of {batch}{model}; usual is {lowest:.1g} to "
            f"{highest:.1g}, around {usual:.1g}",
            "too high a rate ends in spikes or on the unigram plateau"
            if high
            else "too low a rate spends the steps without getting far",
            f"if the loss does not fall as it should: start again with --learning_rate near "
            f"{usual:.1g}",
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
    is_float16 = any("loss_scale" in row for row in run.rows)
    if is_float16 and share < 0.005:
        return None
    return Finding(
        "skipped_steps",
        "serious" if share > 0.01 else "notice",
        f"{skipped:,.0f} steps, {100 * share:.2g} %, had no finite gradient and were skipped",
        "something overflows or divides by zero; the weights stay good, the batches are lost",
        ("--precision=mixed_bfloat16 or float32 in place of mixed_float16; else " * is_float16)
        + "a lower --learning_rate",
        {"skipped": skipped, "share": share},
    )


def overfitting(run: RunRecord) -> Finding | None:
    """One of the losses overfits, whatever the losses are."""
    held_out = [row for row in run.rows if row["group"] == "held_out"]
    losses = sorted({name for row in held_out for name in row if _is_loss(name)})
    return next((finding for name in losses if (finding := overfits(run, name))), None)


def _is_loss(name: str) -> bool:
    """Whether a held-out scalar is a loss; that of one source of a mixture has no training loss."""
    return name.endswith("_loss") and "/" not in name


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


def on_plateau(run: RunRecord, name: str) -> Finding | None:
    """The held-out loss `name` of a `run` is no lower than guessing each token by its frequency."""
    entropy, losses = run.unigram_entropy, run.values("held_out", name)
    done = run.step - run.phase.first_step
    if not entropy or not losses or done < max(ENOUGH_STEPS, run.phase.warmup_steps):
        return None
    if losses[-1] < 0.95 * entropy:
        return None
    late = done > run.phase.steps / 2
    deviation = run.phase.settings.get("initializer_range", 0.02)
    wider = " and for narrow models --initializer_range=0.06," * (deviation < 0.04)
    return Finding(
        "unigram_plateau",
        "serious" if late else "notice",
        f"held-out {name} {losses[-1]:.3f} after {done:,} updates; guessing by frequency "
        f"alone gives {entropy:.3f}",
        "the model makes no use of the context; every run passes through this plateau, some never "
        "leave it",
        f"if it lasts: a larger --batch_size or --learning_rate,{wider} a longer --duration; "
        "well above the plateau: a lower --learning_rate",
        {name: losses[-1], "unigram_entropy": entropy, "steps": done},
    )


def times_seen(run: RunRecord) -> float:
    """How often a `run` sees the examples that it sees most often; 0 where nothing is known."""
    seen = {}
    for phase in run.phases:
        for name, part in phase.mixture.items():
            if name in phase.sources:
                build = phase.sources[name]["build"]
                seen[build] = seen.get(build, 0.0) + part["epochs"]
        if phase.manifest is None or phase.mixture:
            continue
        train, settings = phase.manifest["splits"]["train"], phase.settings
        rows = phase.steps * settings["batch_size"]
        share = rows / max(train["examples"], 1)
        if phase.packed:
            length = settings.get("max_seq_length") or phase.manifest["max_seq_length"]
            share = rows * length / max(train["tokens"], 1)
        build = phase.manifest["build"]
        seen[build] = seen.get(build, 0.0) + share
    return max(seen.values(), default=0.0)


CHECKS = (skipped_steps, gradient_spikes, always_clipped, learning_rate, warmup)
