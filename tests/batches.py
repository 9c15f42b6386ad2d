"""Random pretraining batches for tests of models and steps."""

import numpy as np
import tensorflow as tf


def pretraining_batch(seed: int, rows: int, length: int, vocabulary: int, predictions: int) -> dict:
    """A batch with padding, segments and an uneven number of predictions a row."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(length // 2, length + 1, rows)
    inside = np.arange(length) < tokens[:, None]  # [B, L]
    used = rng.integers(1, predictions + 1, rows)
    weights = np.arange(predictions) < used[:, None]  # [B, P]
    positions = np.sort(
        np.stack([rng.permutation(length // 2)[:predictions] for _ in range(rows)]), axis=1
    )
    features = {
        "token_ids": np.where(inside, rng.integers(5, vocabulary, inside.shape), 0),
        "segment_ids": np.where(inside & (np.arange(length) > length // 3), 1, 0),
        "padding_mask": inside,
        "masked_lm_positions": np.where(weights, positions, 0),
        "masked_lm_ids": np.where(weights, rng.integers(5, vocabulary, weights.shape), 0),
        "masked_lm_weights": weights.astype("float32"),
        "next_sentence_labels": rng.integers(0, 2, rows),
    }
    return {
        name: tf.constant(value if value.dtype in (bool, np.float32) else value.astype("int32"))
        for name, value in features.items()
    }


def causal_batch(seed: int, rows: int, length: int, vocabulary: int) -> dict:
    """Packed rows of a causal model: two texts and padding in each, some of it not predicted."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(length // 2, length + 1, (rows, 1))
    begins = rng.integers(1, length // 2, (rows, 1))  # of the second text
    column = np.arange(length)
    inside = column < ends  # [B, L]
    second = column >= begins
    features = {
        "token_ids": np.where(inside, rng.integers(5, vocabulary, inside.shape), 0),
        "segment_ids": np.zeros(inside.shape),
        "position_ids": np.where(inside, column - second * begins, 0),
        "document_ids": np.where(inside, 1 + second, 0),
        "padding_mask": inside,
        "next_token_ids": np.where(inside, rng.integers(5, vocabulary, inside.shape), 0),
        "next_token_weights": (inside & (rng.uniform(size=inside.shape) < 0.9)).astype("float32"),
    }
    return {
        name: tf.constant(value if value.dtype in (bool, np.float32) else value.astype("int32"))
        for name, value in features.items()
    }
