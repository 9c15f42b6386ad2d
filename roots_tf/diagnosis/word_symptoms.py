"""What can be wrong with words as masking takes them, whole or in spans; by the manifest alone."""

from roots_tf.diagnosis.findings import Finding, RunRecord

LEAST_PERCENT = 5.0  # of the tokens, below which it changes little


def unsegmented(run: RunRecord) -> Finding | None:
    """Text without spaces, whose words were taken from the vocabulary."""
    manifest, words = _of(run)
    segmented = words and words["segmentation"] != "none"
    percent = (words or manifest or {}).get("unspaced_percent", 0.0)
    if segmented or percent < LEAST_PERCENT:
        return None
    what = "--word_segmentation=none" if words else "an older format, which has no starts of words"
    return Finding(
        "words_not_segmented",
        "serious",
        f"--masking={run.phase.settings['masking']} on examples of {what}; {percent:.0f} % of "
        "their tokens are of scripts without spaces",
        "a vocabulary does not know the words of such text: a single letter (WordPiece) or a "
        "whole clause (BPE, Unigram) counts as a word",
        "build-examples again with --word_segmentation=auto, into another folder, and start with "
        "these",
        {"unspaced_percent": percent},
    )


def segmenter_missing(run: RunRecord) -> Finding | None:
    """Words that were cut at single letters."""
    _, words = _of(run)
    if not words or not words["remarks"] or words["unspaced_percent"] < LEAST_PERCENT:
        return None
    return Finding(
        "segmenter_missing",
        "notice",
        "; ".join(words["remarks"]),
        f"--masking={run.phase.settings['masking']} takes single letters for words there, which "
        "is nearly as easy to guess as single tokens",
        "where an extra is named, install it and build-examples again",
        {"unspaced_percent": words["unspaced_percent"]},
    )


def long_words(run: RunRecord) -> Finding | None:
    """Words longer than what a row may have predicted."""
    manifest, words = _of(run)
    if not words or not words["measured_tokens"]:
        return None
    settings = run.phase.settings
    length = settings.get("max_seq_length") or manifest["max_seq_length"]
    rate = settings.get("final_mask_rate") or settings.get("mask_rate", 0.15)
    budget = max(1, round(rate * length))
    budget = min(budget, settings.get("max_predictions_per_seq") or budget)
    inside = sum(size * count for size, count in enumerate(words["tokens"][:budget], 1))
    percent = 100 * (1 - inside / words["measured_tokens"])
    if percent < LEAST_PERCENT:
        return None
    return Finding(
        "words_longer_than_the_budget",
        "serious" if percent > 20 else "notice",
        f"{percent:.0f} % of the tokens stand in words of more than {budget} tokens, which is what "
        f"a row of {length} has predicted",
        "of such a word each token is masked by itself, so that its neighbours give it away",
        "look at the words with inspect-examples; a vocabulary trained on this text has fewer "
        "tokens a word, and build-examples --word_segmentation finds words without spaces",
        {"percent": percent, "budget": budget},
    )


def _of(run: RunRecord) -> tuple[dict | None, dict | None]:
    """The manifest and what it says of words, where these are masked as a whole."""
    manifest = run.phase.manifest
    if run.phase.settings.get("masking", "token") == "token" or manifest is None:
        return None, None
    return manifest, manifest.get("words")


CHECKS = (unsegmented, segmenter_missing, long_words)
