"""What can be wrong with a run of replaced-token detection."""

import math

from roots_tf.diagnosis import learning_symptoms, masked_lm
from roots_tf.diagnosis.findings import Finding, RunRecord, Symptoms

NEVER = 0.02  # of the replaced tokens are found
NO_LESS = 0.98  # of the entropy of replaced and not: a loss from which nothing is learned yet


def unigram_plateau(run: RunRecord) -> Finding | None:
    """The generator's loss is no lower than that of guessing each token by its frequency."""
    return learning_symptoms.on_plateau(run, "generator_loss")


def says_real(run: RunRecord) -> Finding | None:
    """The discriminator takes every token for the original, which most of them are."""
    names = ("discriminator_recall", "discriminator_loss", "replaced_share")
    values = [run.values("held_out", name) for name in names]
    if not all(values) or run.step - run.phase.first_step < learning_symptoms.ENOUGH_STEPS:
        return None
    recall, loss, share = (each[-1] for each in values)
    if recall >= NEVER or not 0 < share < 1:
        return None
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    if loss < NO_LESS * entropy:
        return None
    return Finding(
        "says_real",
        "serious",
        f"held-out discriminator_recall {recall:.3f}, discriminator_loss {loss:.3f}; knowing the "
        f"share of replaced tokens alone gives {entropy:.3f}",
        f"{100 * (1 - share):.1f} % of the tokens are real, so that saying so of all of them is "
        "right as often: the encoder has learned nothing yet beside that",
        "train longer; with --discriminator_weight=50 (Clark et al. 2020, arXiv:2003.10555, 3.1), "
        "another --learning_rate, and no generator that is as good as the text: --generator_width "
        "of a quarter to a half",
        {"discriminator_recall": recall, "discriminator_loss": loss, "entropy": entropy},
    )


def overfitting(run: RunRecord) -> Finding | None:
    """The discriminator's held-out loss rises while that in training falls."""
    return learning_symptoms.overfits(run, "discriminator_loss")


SYMPTOMS = Symptoms(
    checks=(unigram_plateau, says_real, overfitting, masked_lm.epochs),
    scores=(
        *("generator_loss", "generator_accuracy", "discriminator_loss", "discriminator_accuracy"),
        *("discriminator_precision", "discriminator_recall", "discriminator_base_rate"),
    ),
)
