"""What can be wrong with a run of the causal language model."""

from roots_tf.diagnosis import learning_symptoms
from roots_tf.diagnosis.findings import Finding, RunRecord, Symptoms

LOSS = "causal_lm_loss"
# Nats a token. The best models know English prose to about 2 nats a subword and 0.6 a character.
TOO_GOOD, TOO_GOOD_SHARE = 0.5, 0.15
MOST_EPOCHS = 16  # Muennighoff et al. 2023, arXiv:2305.16264, section 6: more gain nearly nothing


def unigram_plateau(run: RunRecord) -> Finding | None:
    """The loss is no lower than that of guessing each token by its frequency."""
    return learning_symptoms.on_plateau(run, LOSS)


def too_good(run: RunRecord) -> Finding | None:
    """The loss is lower than text allows."""
    losses, entropy = run.values("held_out", LOSS), run.unigram_entropy
    if not losses or not entropy or losses[-1] > min(TOO_GOOD, TOO_GOOD_SHARE * entropy):
        return None
    return Finding(
        "too_good",
        "serious",
        f"held-out {LOSS} {losses[-1]:.3f} after {run.step:,} updates; guessing by frequency alone "
        f"gives {entropy:.3f}",
        "no model knows prose that well: the held-out text stands in the training text too, or it "
        "repeats itself, or tokens see what they are to predict",
        "curate with deduplication and build-examples again; look at the rows with "
        "inspect-examples --objective=causal_lm",
        {LOSS: losses[-1], "unigram_entropy": entropy},
    )


def short_records(run: RunRecord) -> Finding | None:
    """Rows have room for more of a text than their records hold."""
    manifest = run.phase.manifest
    length = run.phase.settings.get("max_seq_length") or 0
    if not manifest or length <= manifest["max_seq_length"]:
        return None
    records = manifest["max_seq_length"]
    return Finding(
        "short_records",
        "notice",
        f"rows of {length:,} tokens, made of records of {records:,} at most",
        f"pieces in a row do not see one another: no token has more than {records:,} before it",
        f"build-examples with --max_seq_length={length}",
        {"max_seq_length": length, "record": records},
    )


def epochs(run: RunRecord) -> Finding | None:
    """The same text comes again and again."""
    most = learning_symptoms.times_seen(run)
    if most <= MOST_EPOCHS:
        return None
    return Finding(
        "many_epochs",
        "notice",
        f"the run sees every text {most:,.0f} times",
        "nothing is drawn anew in a causal model: up to 4 times are nearly as good as new text, "
        f"after {MOST_EPOCHS} there is little to gain (Muennighoff et al. 2023, arXiv:2305.16264)",
        "add text, or shorten --duration; watch the held-out loss",
        {"epochs": most},
    )


def overfitting(run: RunRecord) -> Finding | None:
    """The held-out loss rises while the training loss falls."""
    return learning_symptoms.overfits(run, LOSS)


SYMPTOMS = Symptoms(
    checks=(unigram_plateau, too_good, overfitting, short_records, epochs),
    scores=(LOSS, "causal_lm_perplexity", "causal_lm_accuracy"),
)
