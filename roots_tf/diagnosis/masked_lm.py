"""What can be wrong with a run of masked words and sentence pairs."""

import math
import statistics

from roots_tf.diagnosis import learning_symptoms, word_symptoms
from roots_tf.diagnosis.findings import Finding, RunRecord, Symptoms


def unigram_plateau(run: RunRecord) -> Finding | None:
    """The loss is no lower than that of guessing each token by its frequency."""
    entropy, losses = run.unigram_entropy, run.values("held_out", "masked_lm_loss")
    done = run.step - run.phase.first_step
    if (
        not entropy
        or not losses
        or done < max(learning_symptoms.ENOUGH_STEPS, run.phase.warmup_steps)
    ):
        return None
    if losses[-1] < 0.95 * entropy:
        return None
    late = done > run.phase.steps / 2
    deviation = run.phase.settings.get("initializer_range", 0.02)
    wider = " and for narrow models --initializer_range=0.06," * (deviation < 0.04)
    return Finding(
        "unigram_plateau",
        "serious" if late else "notice",
        f"held-out masked_lm_loss {losses[-1]:.3f} after {done:,} updates; guessing by frequency "
        f"alone gives {entropy:.3f}",
        "the model makes no use of the context; every run passes through this plateau, some never "
        "leave it",
        f"if it lasts: a larger --batch_size or --learning_rate,{wider} a longer --duration; "
        "well above the plateau: a lower --learning_rate",
        {"masked_lm_loss": losses[-1], "unigram_entropy": entropy, "steps": done},
    )


def next_sentence_at_base_rate(run: RunRecord) -> Finding | None:
    """The sentence objective is not learnt."""
    accuracies = run.values("held_out", "next_sentence_accuracy")
    if not accuracies or run.step - run.phase.first_step < learning_symptoms.ENOUGH_STEPS:
        return None
    base = run.values("held_out", "next_sentence_base_rate")
    base = max(base[-1], 1 - base[-1]) if base else 0.5
    if accuracies[-1] > base + 0.02:
        return None
    return Finding(
        "next_sentence_at_base_rate",
        "notice",
        f"held-out next_sentence_accuracy {accuracies[-1]:.3f}; always giving the more frequent "
        f"label gives {base:.3f}",
        "the pooled vector carries nothing of the pair yet",
        "train longer; or leave the objective out (--sentence_objective=none), which costs nothing "
        "on most tasks (Liu et al. 2019, arXiv:1907.11692, table 2)",
        {"next_sentence_accuracy": accuracies[-1], "base_rate": base},
    )


def label_imbalance(run: RunRecord) -> Finding | None:
    """True and false second sentences are not half and half."""
    shares = run.values("train", "next_sentence_label_1")
    if not shares:
        return None
    share = statistics.fmean(shares)
    pairs = (run.step - run.phase.first_step) * run.phase.settings.get("batch_size", 1)
    deviation = 0.5 / math.sqrt(max(pairs, 1))  # of a fair coin
    if abs(share - 0.5) < max(0.05, 4 * deviation):
        return None
    return Finding(
        "label_imbalance",
        "notice",
        f"{100 * share:.1f} % of the pairs are false; wanted about 50 %",
        "a model lowers the sentence loss by always answering with the more frequent label",
        "look at the pairs with inspect-examples: documents of one sentence have no true second "
        "one; curate --documents, or --sentence_objective=none",
        {"next_sentence_label_1": share, "pairs": pairs},
    )


def epochs(run: RunRecord) -> Finding | None:
    """The same examples come again and again."""
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
    most = max(seen.values(), default=0.0)
    if most <= 40:  # of BERT: arXiv:1810.04805, A.2
        return None
    return Finding(
        "many_epochs",
        "notice",
        f"the run sees every example {most:,.0f} times",
        "BERT saw its text about 40 times (arXiv:1810.04805, A.2); masks and pairs are drawn "
        "anew each time, but after that many a text has little more to teach",
        "add text, or shorten --duration; watch the held-out loss",
        {"epochs": most},
    )


def overfitting(run: RunRecord) -> Finding | None:
    """The held-out loss of masked words rises while the training loss falls."""
    return learning_symptoms.overfits(run, "masked_lm_loss")


SYMPTOMS = Symptoms(
    checks=(
        *(unigram_plateau, overfitting, next_sentence_at_base_rate, label_imbalance, epochs),
        *word_symptoms.CHECKS,
    ),
    scores=("masked_lm_loss", "masked_lm_accuracy", "next_sentence_accuracy"),
)
