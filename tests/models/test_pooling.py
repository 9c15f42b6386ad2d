"""One vector of a text, and what a pooler that was not trained is told apart by."""

import numpy as np
import pytest

from roots_tf import models
from roots_tf.models import pooling
from roots_tf.storage.files import InputError
from tests.batches import pretraining_batch

CONFIG = models.EncoderConfig(
    vocabulary_size=50, num_layers=1, hidden_dim=8, num_heads=2, intermediate_dim=16,
    max_sequence_length=16,
)  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_each_pooling_is_what_it_says(precision):
    model = models.PooledEncoder(CONFIG, seed=1, precision=precision)
    features = pretraining_batch(0, 4, 16, 50, 3)
    outputs = {name: np.float32(value) for name, value in model(features).items()}
    states = zip(outputs["hidden_states"], features["padding_mask"].numpy(), strict=True)
    expected = {
        "mean": np.stack([rows[inside].mean(0) for rows, inside in states]),
        "cls": outputs["hidden_states"][:, 0],
        "pooler": outputs["pooled"],
    }
    for name, vectors in expected.items():
        found = pooling.embed(model, features, name).numpy()
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, vectors, atol=1e-5)
        unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        np.testing.assert_allclose(pooling.embed(model, features, name, True), unit, atol=1e-5)


def test_a_pooler_that_was_not_trained_is_refused():
    bare, pretrainer = models.PooledEncoder(CONFIG, pooler=False), models.Pretrainer(CONFIG)
    pooling.check("pooler", pretrainer, {}, "a/b")
    pooling.check("mean", bare, {}, "a/b")
    for model, described in ((bare, {}), (pretrainer, {"untrained": ["next_sentence", "pooler"]})):
        with pytest.raises(InputError, match="found no trained pooler in a/b; wanted --pooling=m"):
            pooling.check("pooler", model, described, "a/b")
