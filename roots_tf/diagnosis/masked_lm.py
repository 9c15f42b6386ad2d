"""What can be wrong with a run of masked words and sentence pairs."""

import math
import statistics

from roots_tf.diagnosis import learning_symptoms, word_symptoms
from roots_tf.diagnosis.findings import Finding, RunRecord, Symptoms


def unigram_plateau(run: RunRecord) -> Finding | None:
    """The loss of masked words is no lower than that of guessing each token by its frequency."""
    return learning_symptoms.on_plateau(run, "masked_lm_loss")


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
    most = learning_symptoms.times_seen(run)
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
