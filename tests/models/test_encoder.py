"""The model against a slow oracle, and its invariants."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.files import InputError
from roots_tf.tasks.pretraining import Pretraining
from tests.batches import pretraining_batch
from tests.models import oracle

CONFIG = models.EncoderConfig(
    vocabulary_size=50, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20,
    max_sequence_length=16, dropout=0.1, initializer_range=0.3,
)  # fmt: skip


def model_and_weights(config, seed=1):
    """A model whose vectors are not at their zeros and ones, and its weights as float64."""
    model = models.Pretrainer(config, seed=seed)
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if len(variable.shape) == 1:
            variable.assign(variable.numpy() + rng.normal(0, 0.2, variable.shape))
    weights = {v.path: v.numpy().astype("float64") for v in model.variables}
    return model, weights


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_losses_equal_the_oracle(norm):
    config = dataclasses.replace(CONFIG, norm=norm)
    model, weights = model_and_weights(config)
    batch = pretraining_batch(0, 4, 16, 50, 3)
    sums = Pretraining(model).sums(batch)
    arrays = {name: value.numpy() for name, value in batch.items()}
    masked, sentence = oracle.pretraining_loss(weights, config, arrays)
    assert float(sums["masked_lm_loss"][0]) == pytest.approx(masked, rel=1e-5)
    assert float(sums["masked_lm_loss"][1]) == arrays["masked_lm_weights"].sum()
    assert float(sums["next_sentence_loss"][0]) == pytest.approx(sentence, rel=1e-5)
    assert float(sums["next_sentence_loss"][1]) == 4


def test_gradients_equal_finite_differences():
    model, weights = model_and_weights(CONFIG)
    batch = pretraining_batch(0, 2, 16, 50, 3)
    arrays = {name: value.numpy() for name, value in batch.items()}
    task = Pretraining(model)
    with tf.GradientTape() as tape:
        sums = task.sums(batch)
        loss = sums["masked_lm_loss"][0] + sums["next_sentence_loss"][0]
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    rng = np.random.default_rng(0)
    for variable, gradient in zip(variables, gradients, strict=True):
        gradient = tf.convert_to_tensor(gradient).numpy()
        direction = rng.normal(size=variable.shape)
        direction /= np.linalg.norm(direction)
        ends = [
            sum(
                oracle.pretraining_loss(
                    weights | {variable.path: weights[variable.path] + step * direction},
                    CONFIG,
                    arrays,
                )
            )
            for step in (1e-4, -1e-4)
        ]
        slope = (ends[0] - ends[1]) / 2e-4
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=2e-3, abs=2e-4), (
            variable.path
        )


def test_padding_changes_nothing():
    model, _ = model_and_weights(CONFIG)
    batch = pretraining_batch(3, 4, 16, 50, 3)
    inside = batch["padding_mask"]
    changed = dict(batch, token_ids=tf.where(inside, batch["token_ids"], 7))
    one, other = model.encoder(batch), model.encoder(changed)
    np.testing.assert_allclose(one[inside], other[inside], atol=1e-6)
    assert not np.allclose(one, other, atol=1e-3)  # padding's own states do change


def test_packed_documents_do_not_see_each_other():
    model, weights = model_and_weights(CONFIG)
    rng = np.random.default_rng(0)
    token_ids = rng.integers(5, 50, [1, 16]).astype("int32")
    documents = np.array([[1] * 5 + [2] * 8 + [0] * 3], "int32")
    positions = np.array([[*range(5), *range(8), 0, 0, 0]], "int32")

    def encode(ids):
        return model.encoder(
            {
                "token_ids": tf.constant(ids),
                "segment_ids": tf.zeros([1, 16], tf.int32),
                "padding_mask": tf.constant(documents > 0),
                "position_ids": tf.constant(positions),
                "document_ids": tf.constant(documents),
            }
        ).numpy()

    changed = token_ids.copy()
    changed[0, 2] = (changed[0, 2] + 1 - 5) % 45 + 5
    before, after = encode(token_ids), encode(changed)
    assert np.abs(before[0, :5] - after[0, :5]).max() > 1e-3
    np.testing.assert_array_equal(before[0, 5:13], after[0, 5:13])
    alone = oracle.encode(
        weights, CONFIG, token_ids[0, 5:13], np.zeros(8, int), np.ones([8, 8], bool), np.arange(8)
    )
    np.testing.assert_allclose(before[0, 5:13], alone, atol=1e-4)


def test_dropout_follows_its_seed():
    model, _ = model_and_weights(CONFIG)
    batch = pretraining_batch(3, 4, 16, 50, 3)
    seeds = [tf.constant([1, 2]), tf.constant([1, 2]), tf.constant([1, 3])]
    one, same, other = (model.encoder(batch, seed=seed).numpy() for seed in seeds)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-2
    assert np.abs(one - model.encoder(batch).numpy()).max() > 1e-2


def test_places_of_dropout_have_masks_of_their_own(monkeypatch):
    seeds = []

    def spy(x, rate, seed, rng_alg):
        seeds.append(tuple(seed.numpy()))
        return x

    tf.config.run_functions_eagerly(True)  # or a compiled part hides its seed
    monkeypatch.setattr(tf.nn.experimental, "stateless_dropout", spy)
    try:
        model = models.Classifier(CONFIG, 3)
        model(pretraining_batch(3, 4, 16, 50, 3), seed=tf.constant([1, 2]))
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(seeds) == len(set(seeds)) == 2 + 3 * CONFIG.num_layers


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_compiled_parts_compute_what_plain_ones_do(norm):
    config = dataclasses.replace(CONFIG, norm=norm, dropout=0.0)
    model, _ = model_and_weights(config)
    batch, task = pretraining_batch(0, 4, 16, 50, 3), Pretraining(model)
    results = []
    for seed in (None, tf.constant([1, 2])):
        with tf.GradientTape() as tape:
            sums = task.sums(batch, seed)
            loss = sums["masked_lm_loss"][0] + sums["next_sentence_loss"][0]
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        results.append([loss, *map(tf.convert_to_tensor, gradients)])
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-5)


def test_initial_weights_follow_the_seed_and_the_published_range():
    first, same, other = (models.Pretrainer(CONFIG, seed=seed) for seed in (1, 1, 2))
    matrices = [v.path for v in first.variables if len(v.shape) == 2]
    values = [
        {v.path: v.numpy() for v in model.variables if v.path in matrices}
        for model in (first, same, other)
    ]
    flat = [array.tobytes() for array in values[0].values()]
    assert len(set(flat)) == len(flat)
    for path in matrices:
        np.testing.assert_array_equal(values[0][path], values[1][path])
        assert np.abs(values[0][path] - values[2][path]).max() > 0.1
        assert np.abs(values[0][path]).max() <= 0.6  # two standard deviations of 0.3


@pytest.mark.parametrize(
    ("size", "millions"), [("tiny", 4.4), ("mini", 11.2), ("small", 28.8), ("base", 109.5)]
)
def test_published_sizes_have_the_published_number_of_weights(size, millions):
    """Turc et al. 2019, table 1, and Devlin et al. 2019: encoder with pooler, 30,522 entries."""
    config = models.EncoderConfig.of_size(size, vocabulary_size=30_522)
    hidden, wide = config.hidden_dim, config.intermediate_dim
    block = 4 * hidden * hidden + 4 * hidden + 2 * hidden * wide + wide + hidden + 4 * hidden
    count = (30_522 + 512 + 2) * hidden + 2 * hidden + config.num_layers * block
    count += hidden * hidden + hidden  # pooler
    assert count / 1e6 == pytest.approx(millions, abs=0.1)
    if size == "tiny":
        model = models.Classifier(config, 1)
        assert model.count_params() == count + hidden + 1


def test_mixed_precision_stays_close_and_leaves_in_float32():
    model, _ = model_and_weights(CONFIG)
    half = models.Pretrainer(CONFIG, precision="mixed_bfloat16")
    for variable, source in zip(half.variables, model.variables, strict=True):
        assert variable.dtype == "float32"
        variable.assign(source)
    batch = pretraining_batch(3, 4, 16, 50, 3)
    outputs, expected = half(batch), model(batch)
    for name, value in outputs.items():
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, expected[name], atol=0.2)


def test_heads_must_divide_the_hidden_size():
    with pytest.raises(InputError, match="hidden_dim=12 and num_heads=5"):
        dataclasses.replace(CONFIG, num_heads=5)
    with pytest.raises(InputError, match="found size 'huge'"):
        models.EncoderConfig.of_size("huge", vocabulary_size=10)
