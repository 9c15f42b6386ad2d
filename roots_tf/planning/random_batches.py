"""Random batches in memory, to measure steps with."""

import numpy as np

from roots_tf.storage import files


def random_batch(
    objective, rows: int, length: int, vocabulary_size: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Pairs of random ids, or texts for a model with a decoder; rows end in up to a tenth of
    padding.

    Args:
        objective: a `MaskedLM`, a `CausalLM`, a `ReplacedTokens` or a `Denoising`.
        rows: B.
        length: L.
        vocabulary_size: V.
        seed: of the ids.

    Raises:
        InputError: there are more predictions than tokens, or the vocabulary is empty.
    """
    rng, shape = np.random.default_rng(seed), (rows, length)
    token_ids, inside = _texts(rng, rows, length, vocabulary_size)
    if objective.name == "causal_lm":
        return {
            "token_ids": token_ids,
            "segment_ids": np.zeros(shape, "int32"),
            "padding_mask": inside,
            "next_token_ids": np.roll(token_ids, -1, axis=1),
            "next_token_weights": inside.astype("float32"),
        }
    if objective.name == "denoising":
        target_ids, told = _texts(rng, rows, objective.target_length(length), vocabulary_size)
        return {
            "token_ids": token_ids,
            "segment_ids": np.zeros(shape, "int32"),
            "padding_mask": inside,
            "decoder_token_ids": np.roll(target_ids, 1, axis=1),
            "decoder_padding_mask": told,
            "target_ids": target_ids,
            "target_weights": told.astype("float32"),
        }
    predictions = (rows, getattr(objective, "masked", objective).predictions(length))
    if predictions[1] > length or vocabulary_size < 1:
        raise files.InputError(
            "number-out-of-range",
            f"found {predictions[1]} predictions, {length} tokens and a vocabulary of "
            f"{vocabulary_size}; wanted fewer predictions than tokens, and a vocabulary",
        )
    chosen = [rng.permutation(length)[: predictions[1]] for _ in range(rows)]
    of_generator = {
        "generator_draws": rng.random(predictions, "float32"),
        "judged_weights": inside.astype("float32"),
    }
    return (of_generator if objective.name == "replaced_tokens" else {}) | {
        "token_ids": token_ids,
        "segment_ids": (inside & (np.arange(length) > length // 2)).astype("int32"),
        "padding_mask": inside,
        "masked_lm_positions": np.sort(chosen).astype("int32").reshape(predictions),
        "masked_lm_ids": rng.integers(0, vocabulary_size, predictions).astype("int32"),
        "masked_lm_weights": np.ones(predictions, "float32"),
        "next_sentence_labels": rng.integers(0, 2, rows).astype("int32"),
    }


def _texts(rng, rows: int, length: int, vocabulary_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random ids, int32 [rows, length], and which of them are no padding."""
    inside = np.arange(length) < rng.integers(length - length // 10, length + 1, (rows, 1))
    return (inside * rng.integers(0, vocabulary_size, inside.shape)).astype("int32"), inside
