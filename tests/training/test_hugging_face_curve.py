"""Training here and by Hugging Face's `BertForPreTraining` is the same training."""

import importlib.util
import sys

import pytest

from benchmarks import loss_curve
from roots_tf import models
from tests.batches import pretraining_batch

STEPS = 10
SIZES = models.EncoderConfig(
    vocabulary_size=200, num_layers=2, hidden_dim=32, num_heads=2, intermediate_dim=64,
    max_sequence_length=24, dropout=0.0, initializer_range=0.1,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("torch", "transformers"))),
    reason="needs torch and transformers",
)
def test_losses_are_those_of_hugging_face():
    def batches(first, count):
        made = (pretraining_batch(first + i, 16, 24, 200, 5) for i in range(count))
        return [{name: value.numpy() for name, value in batch.items()} for batch in made]

    rates = [1e-3 * min(1.0, (at + 1) / 3) for at in range(STEPS)]
    ours, theirs = loss_curve.curves(
        SIZES, batches(0, STEPS), batches(100, 2), rates, evaluate_every=2, python=sys.executable
    )
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert len(ours) == 1 + STEPS // 2
    assert abs(ours[-1] / ours[0] - 1) > 1e-3  # ten times what is allowed, so training was compared
