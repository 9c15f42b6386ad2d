"""What can be wrong with a run of replaced-token detection."""

from roots_tf.diagnosis import learning_symptoms, masked_lm
from roots_tf.diagnosis.findings import Finding, RunRecord, Symptoms

NEVER = 0.02  # of the replaced tokens are found


def unigram_plateau(run: RunRecord) -> Finding | None:
    """The generator's loss is no lower than that of guessing each token by its frequency."""
    return learning_symptoms.on_plateau(run, "generator_loss")


def says_real(run: RunRecord) -> Finding | None:
    """The discriminator takes every token for the original, which most of them are."""
    recalls = run.values("held_out", "discriminator_recall")
    if not recalls or run.step - run.phase.first_step < learning_symptoms.ENOUGH_STEPS:
        return None
    if recalls[-1] >= NEVER:
        return None
    shares = run.values("held_out", "replaced_share")
    real = f"{100 * (1 - shares[-1]):.1f} % of the tokens are real" if shares else "most are real"
    return Finding(
        "says_real",
        "serious",
        f"held-out discriminator_recall {recalls[-1]:.3f}: of the replaced tokens next to none is "
        "found",
        f"{real}, so that saying so of all of them is right as often: the encoder has learned "
        "nothing yet beside that",
        "train longer; with --discriminator_weight=50 (Clark et al. 2020, arXiv:2003.10555, 3.1), "
        "another --learning_rate, and no generator that is as good as the text: --generator_width "
        "of a quarter to a half",
        {"discriminator_recall": recalls[-1]},
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
