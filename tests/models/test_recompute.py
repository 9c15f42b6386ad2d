"""Blocks computed again in the backward pass: the same gradients from less memory."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from tests.batches import pretraining_batch

BERT = models.EncoderConfig(
    vocabulary_size=50, num_layers=1, hidden_dim=16, num_heads=2, intermediate_dim=32,
    max_sequence_length=16, dropout=0.0, initializer_range=0.1,
)  # fmt: skip
DROPPING = dataclasses.replace(BERT, dropout=0.3)
MODERN = dataclasses.replace(BERT, **models.preset_fields("modern") | {"window": 8})


def gradients(config, recompute, precision="float32", jit_compile=False, replicas=1):
    """Gradients of both losses, dropout on, over two micro-batches on each replica."""
    devices = [device.name for device in tf.config.list_logical_devices("CPU")[:replicas]]
    strategy = tf.distribute.MirroredStrategy(
        devices, cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        model = models.Pretrainer(config, seed=1, precision=precision, recompute=recompute)
    task = MaskedLMTask(model)
    variables = [v.value for v in model.trainable_variables]

    def forward_backward(batch, seed):
        with tf.GradientTape() as tape:
            sums = task.sums(batch, seed)
            loss = sums["masked_lm_loss"][0] + sums["next_sentence_loss"][0]
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]

    if jit_compile:
        forward_backward = tf.function(forward_backward, jit_compile=True)

    def on_replica():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        parts = [
            forward_backward(pretraining_batch(micro, 4, 16, 50, 3), tf.stack([replica, micro]))
            for micro in range(2)
        ]
        return [tf.add_n(gradient) for gradient in zip(*parts, strict=True)]

    found = tf.function(lambda: strategy.run(on_replica))()
    return [
        value.numpy()
        for gradient in found
        for value in strategy.experimental_local_results(gradient)
    ]


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (DROPPING, {}),
        pytest.param(BERT, {"replicas": 2, "precision": "mixed_bfloat16"}, marks=pytest.mark.slow),
        (MODERN, {"jit_compile": True}),
    ],
)
def test_gradients_are_the_same(config, options):
    kept, again = (gradients(config, recompute, **options) for recompute in (False, True))
    tolerance = 1e-6 if options.get("precision", "float32") == "float32" else 1e-2
    for one, other in zip(kept, again, strict=True):
        assert np.linalg.norm(one - other) <= tolerance * np.linalg.norm(one)
    one = np.concatenate([value.ravel() for value in kept])
    assert np.isfinite(one).all()
    assert np.linalg.norm(one) > 1.0


# Prints by how much a step lifts the peak of the process's memory, first with recomputation. A peak
# never falls, so the second number is that of the step which keeps everything.
_PEAKS = """
import json, re
import tensorflow as tf
from roots_tf import models
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from tests.batches import pretraining_batch

# One thread: with more, how many blocks are in memory at once is left to chance.
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
config = models.EncoderConfig(vocabulary_size=200, num_layers=12, hidden_dim=64, num_heads=2,
                              intermediate_dim=256, max_sequence_length=128, dropout=0.0)

def make_step(recompute):
    task = MaskedLMTask(models.Pretrainer(config, recompute=recompute))
    variables = [v.value for v in task.model.encoder.trainable_variables]

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            loss = task.sums(batch, tf.constant([1, 2]))["masked_lm_loss"][0]
        return tape.gradient(loss, variables)

    return step

# Not ru_maxrss: a process inherits that of the one that started it.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
steps = [make_step(recompute) for recompute in (True, False)]
for step in steps:
    step(pretraining_batch(0, 1, 128, 200, 4))
before, batch = peak(), pretraining_batch(0, 64, 128, 200, 4)
print(json.dumps([(step(batch), peak() - before)[1] for step in steps]))
"""


@pytest.mark.slow
def test_less_memory_is_taken():
    run = subprocess.run([sys.executable, "-c", _PEAKS], capture_output=True, text=True, check=True)
    recomputed, kept = json.loads(run.stdout)
    assert 0 < recomputed < 0.6 * kept
