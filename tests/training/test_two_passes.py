"""A loss that compares all rows of a batch: the same update over micro-batches and replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from roots_tf.losses import Scalar
from roots_tf.storage.files import InputError
from roots_tf.training import optimizers, strategies
from roots_tf.training.step import TrainStep

ROWS, WIDTH, STEPS = 8, 5, 3


class Contrast:
    """Each row is to be nearest to its own pair among those of the whole global batch (InfoNCE)."""

    scalars = (Scalar("contrast_loss", "loss", is_loss=True), Scalar("found", "accuracy"))
    additive = False

    def __init__(self):
        start = keras.initializers.RandomNormal(seed=0)
        self.model = keras.Sequential(
            [keras.Input([WIDTH]), keras.layers.Dense(4, "tanh", kernel_initializer=start)]
        )

    def weights(self, batch):
        return {"contrast_loss": tf.cast(tf.shape(batch["pairs"])[0], tf.float32)}

    def vectors(self, batch, seed=None):
        pairs = batch["pairs"]  # [B, 2, WIDTH]
        noise = 0.0 if seed is None else tf.random.stateless_uniform([2, WIDTH], seed)
        return tf.math.l2_normalize(self.model(tf.reshape(pairs + noise, [-1, WIDTH])), -1)

    def sums_of_vectors(self, vectors, batch):
        context = tf.distribute.get_replica_context()
        all_vectors = vectors
        if context.num_replicas_in_sync > 1:
            all_vectors = context.all_gather(vectors, axis=0)
        own, others = vectors[0::2], all_vectors[1::2]  # [b, 4], [B, 4]
        first = context.replica_id_in_sync_group * tf.shape(own)[0]
        labels = first + tf.range(tf.shape(own)[0])
        logits = tf.matmul(own, others, transpose_b=True) / 0.3
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)
        weight = self.weights(batch)["contrast_loss"]
        return {
            "contrast_loss": (tf.reduce_sum(loss), weight),
            "found": (tf.reduce_sum(right), weight),
        }

    def sums(self, batch, seed=None):
        return self.sums_of_vectors(self.vectors(batch, seed), batch)


class Plain(Contrast):
    """The same without vectors."""

    vectors = property()

    def __getattribute__(self, name):
        if name == "vectors":
            raise AttributeError(name)
        return super().__getattribute__(name)


def batch_of(step):
    rng = np.random.default_rng(step)
    first = rng.normal(size=[ROWS, 1, WIDTH])
    pairs = np.concatenate([first, first + 0.3 * rng.normal(size=first.shape)], 1)
    return {"pairs": tf.constant(pairs, tf.float32)}


def train(devices, accumulate_steps=1, jit_compile=False, noise=False):
    strategy = strategies.make_strategy("mirrored" if devices > 1 else "one_device", devices)
    with strategy.scope():
        task = Contrast()
        if not noise:
            task.vectors = lambda batch, seed=None: Contrast.vectors(task, batch)
        optimizer = optimizers.AdamW([v.value for v in task.model.trainable_variables])
        step = TrainStep(
            task, optimizer, lambda _: 0.05, seed=3, max_grad_norm=0.1,
            accumulate_steps=accumulate_steps, jit_compile=jit_compile,
        )  # fmt: skip
        call = tf.function(step)
        sums = [call(batch_of(i), tf.constant(i, tf.int64)) for i in range(STEPS)]
    weights = [v.numpy() for v in task.model.trainable_variables]
    return np.concatenate([w.ravel() for w in weights]), tf.nest.map_structure(float, sums)


@pytest.mark.parametrize(("devices", "accumulate_steps"), [(2, 1), (1, 4), (2, 2)])
def test_the_update_does_not_depend_on_how_the_batch_is_cut(devices, accumulate_steps):
    one, sums = train(1)
    weights, found = train(devices, accumulate_steps)
    np.testing.assert_allclose(weights, one, atol=2e-6)
    for expected, step in zip(sums, found, strict=True):
        for name, pair in expected.items():
            assert step[name] == pytest.approx(pair, rel=1e-4), name
    assert np.abs(one - train(1, noise=True)[0]).max() > 1e-4


def test_both_passes_draw_the_same_dropout():
    two_replicas, two_micro_batches = train(2, noise=True), train(1, 2, noise=True)
    np.testing.assert_allclose(two_replicas[0], two_micro_batches[0], atol=2e-6)


def test_without_vectors_micro_batches_are_refused():
    with strategies.make_strategy("one_device").scope():
        task = Plain()
        with pytest.raises(InputError, match="found accumulate_steps=2 and a loss that compares"):
            TrainStep(task, None, None, seed=0, max_grad_norm=1.0, accumulate_steps=2)
