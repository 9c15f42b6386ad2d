"""The model against a slow oracle, and its invariants."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.models.flops import parameters
from roots_tf.models.layers import dropout
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from roots_tf.storage.files import InputError
from tests.batches import pretraining_batch
from tests.models import oracle

CONFIG = models.EncoderConfig(
    vocabulary_size=50, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20,
    max_sequence_length=16, dropout=0.1, initializer_range=0.3,
)  # fmt: skip
MODERN = dataclasses.replace(
    CONFIG, **models.preset_fields("modern") | {"num_layers": 3, "window": 4, "global_every": 2}
)
OWN = {"query_key_norm": True, "masked_logit_cap": 2.0, "activation": "relu_squared"}
VARIANTS = {
    "bert": CONFIG,
    "modern": MODERN,
    "pre-norm": dataclasses.replace(CONFIG, norm="pre"),
    "gated": dataclasses.replace(CONFIG, feed_forward="glu", activation="gelu_tanh"),
    "rotary": dataclasses.replace(CONFIG, positions="rotary", rotary_base=100.0),
    "windowed": dataclasses.replace(CONFIG, window=6, global_every=2),
    "no biases": dataclasses.replace(CONFIG, bias=False),
    "shared keys": dataclasses.replace(CONFIG, num_heads=6, num_key_value_heads=2),
    "own": dataclasses.replace(MODERN, num_heads=6, num_key_value_heads=2, **OWN),
}


def of_variants(*names):
    """Runs a test with the configs of these variants, or of all."""
    return pytest.mark.parametrize(
        "config", [pytest.param(VARIANTS[name], id=name) for name in names or VARIANTS]
    )


def model_and_weights(config, seed=1):
    """A model whose vectors are not at their zeros and ones, and its weights as float64."""
    model = models.Pretrainer(config, seed=seed)
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if len(variable.shape) == 1:
            variable.assign(variable.numpy() + rng.normal(0, 0.2, variable.shape))
    weights = {v.path: v.numpy().astype("float64") for v in model.variables}
    return model, weights


@of_variants()
def test_losses_equal_the_oracle(config):
    model, weights = model_and_weights(config)
    batch = pretraining_batch(0, 4, 16, 50, 3)
    sums = MaskedLMTask(model).sums(batch)
    arrays = {name: value.numpy() for name, value in batch.items()}
    masked, sentence = oracle.pretraining_loss(weights, config, arrays)
    assert float(sums["masked_lm_loss"][0]) == pytest.approx(masked, rel=1e-5)
    assert float(sums["masked_lm_loss"][1]) == arrays["masked_lm_weights"].sum()
    assert float(sums["next_sentence_loss"][0]) == pytest.approx(sentence, rel=1e-5)
    assert float(sums["next_sentence_loss"][1]) == 4


@of_variants("bert", "modern", "own")
def test_gradients_equal_finite_differences(config):
    model, weights = model_and_weights(config)
    batch = pretraining_batch(0, 2, 16, 50, 3)
    arrays = {name: value.numpy() for name, value in batch.items()}
    task = MaskedLMTask(model)
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
                    config,
                    arrays,
                )
            )
            for step in (1e-4, -1e-4)
        ]
        slope = (ends[0] - ends[1]) / 2e-4
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=2e-3, abs=2e-4), (
            variable.path
        )


@of_variants("bert", "modern")
def test_a_block_that_ends_in_zeros_begins_as_its_residual_sum(config):
    config = dataclasses.replace(config, zero_residuals=True, scaled_residuals=True, dropout=0.0)
    model = models.Pretrainer(config, seed=1)
    zeros = [v.path for v in model.variables if len(v.shape) > 1 and not v.numpy().any()]
    ends = ("attention/output_kernel", "contract/kernel")
    assert zeros == [
        f"encoder/layer_{layer}/{end}" for layer in range(config.num_layers) for end in ends
    ]
    batch = pretraining_batch(0, 4, 16, 50, 3)
    first, *_, last = (state.hidden_states for state in model.encoder.walk(batch))
    normal = tf.nn.l2_normalize(first - tf.reduce_mean(first, -1, keepdims=True), -1)
    np.testing.assert_allclose(last, normal * np.sqrt(config.hidden_dim), atol=1e-3)
    with tf.GradientTape() as tape:
        loss, _ = MaskedLMTask(model).sums(batch)["masked_lm_loss"]
    moved = tape.gradient(loss, [v.value for v in model.variables if v.path in zeros])
    assert min(np.abs(gradient).max() for gradient in moved) > 0


def test_capped_logits_stay_below_the_cap_in_their_order():
    plain, _ = model_and_weights(dataclasses.replace(CONFIG, dropout=0.0))
    capped, _ = model_and_weights(dataclasses.replace(CONFIG, dropout=0.0, masked_logit_cap=1.5))
    batch = pretraining_batch(0, 4, 16, 50, 3)
    logits, found = (model(batch)["masked_lm_logits"].numpy() for model in (plain, capped))
    assert np.abs(logits).max() > 1.5 > np.abs(found).max()
    np.testing.assert_allclose(found, 1.5 * np.tanh(logits / 1.5), atol=1e-6)
    np.testing.assert_array_equal(plain.likeliest(batch, 5)[0], capped.likeliest(batch, 5)[0])


def test_the_likeliest_pieces_are_those_of_the_logits():
    model, _ = model_and_weights(CONFIG)
    batch = pretraining_batch(0, 4, 16, 50, 3)
    logits = model(batch)["masked_lm_logits"]
    ids, probabilities = model.likeliest(batch, 5)
    assert ids.dtype == tf.int32
    order = np.argsort(-logits.numpy(), 1)[:, :5]
    np.testing.assert_array_equal(ids, order)
    expected = np.take_along_axis(tf.nn.softmax(logits).numpy(), order, 1)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    assert model.likeliest(batch, 99)[0].shape == (4 * 3, 50)


@of_variants("bert", "modern")
def test_padding_changes_nothing(config):
    model, _ = model_and_weights(config)
    batch = pretraining_batch(3, 4, 16, 50, 3)
    inside = batch["padding_mask"]
    changed = dict(batch, token_ids=tf.where(inside, batch["token_ids"], 7))
    one, other = model.encoder(batch), model.encoder(changed)
    np.testing.assert_allclose(one[inside], other[inside], atol=1e-6)
    assert not np.allclose(one, other, atol=1e-3)  # padding's own states do change


def packed_rows(token_ids, documents, positions):
    """Features of packed rows, all of one segment."""
    arrays = {
        "token_ids": token_ids,
        "segment_ids": np.zeros_like(token_ids),
        "position_ids": positions,
        "document_ids": documents,
    }
    features = {name: tf.constant(array, tf.int32) for name, array in arrays.items()}
    return features | {"padding_mask": tf.constant(np.asarray(documents) > 0)}


@of_variants("bert", "modern", "windowed")
def test_packed_documents_do_not_see_each_other(config):
    model, weights = model_and_weights(config)
    token_ids = np.random.default_rng(0).integers(5, 50, [1, 16])
    documents = [[1] * 5 + [2] * 8 + [0] * 3]
    positions = [[*range(5), *range(8), 0, 0, 0]]
    changed = token_ids.copy()
    changed[0, 2] = (changed[0, 2] + 1 - 5) % 45 + 5
    before, after = (
        model.encoder(packed_rows(ids, documents, positions)).numpy()
        for ids in (token_ids, changed)
    )
    assert np.abs(before[0, :5] - after[0, :5]).max() > 1e-3
    np.testing.assert_array_equal(before[0, 5:13], after[0, 5:13])
    alone = oracle.encode(
        weights, config, token_ids[0, 5:13], np.zeros(8, int), np.ones([8, 8], bool), np.arange(8)
    )
    np.testing.assert_allclose(before[0, 5:13], alone, atol=1e-4)


def test_rotary_positions_matter_relative_to_one_another_only():
    token_ids = np.random.default_rng(0).integers(5, 50, [1, 16])
    documents, positions = np.ones([1, 16]), np.arange(16)[None]
    moved = np.where(positions < 8, positions, positions + 3)
    for config, relative in ((VARIANTS["rotary"], True), (CONFIG, False)):
        config = dataclasses.replace(config, max_sequence_length=32)
        model, _ = model_and_weights(config)
        here, shifted, stretched = (
            model.encoder(packed_rows(token_ids, documents, at)).numpy()
            for at in (positions, positions + 5, moved)
        )
        assert np.allclose(here, shifted, atol=1e-4) == relative
        assert not np.allclose(here, stretched, atol=1e-2)


def test_dropout_follows_its_seed():
    model, _ = model_and_weights(CONFIG)
    batch = pretraining_batch(3, 4, 16, 50, 3)
    seeds = [tf.constant([1, 2]), tf.constant([1, 2]), tf.constant([1, 3])]
    one, same, other = (model.encoder(batch, seed=seed).numpy() for seed in seeds)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-2
    assert np.abs(one - model.encoder(batch).numpy()).max() > 1e-2


def test_dropout_keeps_its_share_and_the_mean():
    x, seed = tf.ones([999, 333]), tf.constant([1, 2])
    dropped = dropout(x, 0.3, seed).numpy()
    compiled = tf.function(lambda: dropout(x, 0.3, seed), jit_compile=True)
    np.testing.assert_array_equal(compiled(), dropped)
    keep = dropped > 0
    np.testing.assert_allclose(dropped, np.where(keep, 1 / 0.7, 0.0), rtol=1e-6)
    deviation = np.sqrt(0.3 * 0.7 / keep.size)
    assert keep.mean() == pytest.approx(0.7, abs=4 * deviation)
    others = [dropout(x, 0.3, tf.constant(s)).numpy() > 0 for s in ([1, 3], [2, 2], [2, 1])]
    flat = keep.ravel() - 0.7
    products = [flat[distance:] * flat[:-distance] for distance in (1, 2, 4, 333, 1024)]
    products += [flat * (other.ravel() - 0.7) for other in others]  # of other seeds
    products += [flat[1:] * (others[1].ravel() - 0.7)[:-1]]  # the seed is added to the index
    for product in products:
        assert abs(product.mean()) < 4 * 0.21 / np.sqrt(product.size)


@of_variants("bert", "modern", "gated", "no biases")
def test_compiled_parts_compute_what_plain_ones_do(config):
    model, _ = model_and_weights(dataclasses.replace(config, dropout=0.0))
    batch, task = pretraining_batch(0, 4, 16, 50, 3), MaskedLMTask(model)
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


@pytest.mark.parametrize("preset", models.PRESETS)
def test_presets_have_about_the_same_number_of_weights(preset):
    for size in models.SIZES:
        bert, config = (
            models.EncoderConfig.of_size(size, name, vocabulary_size=30_522)
            for name in ("bert", preset)
        )
        assert parameters(config) == pytest.approx(parameters(bert), rel=0.02)
    config = models.EncoderConfig.of_size("tiny", preset, vocabulary_size=50, dropout=0.0)
    assert config.dropout == 0.0
    model = models.Pretrainer(config)
    assert model.count_params() == parameters(config)
    with_bias = {v.path for v in model.variables if v.path.endswith(("bias", "beta"))}
    if not config.bias:
        assert with_bias == {"next_sentence/bias", "masked_lm/bias"}


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("mixed_bfloat16", 0.2), ("mixed_float16", 0.03)]
)
@of_variants()
def test_mixed_precision_stays_close_and_leaves_in_float32(config, precision, tolerance):
    model, _ = model_and_weights(config)
    half = models.Pretrainer(config, precision=precision)
    for variable, source in zip(half.variables, model.variables, strict=True):
        assert variable.dtype == "float32"
        variable.assign(source)
    batch = pretraining_batch(3, 4, 16, 50, 3)
    outputs, expected = half(batch), model(batch)
    for name, value in outputs.items():
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, expected[name], atol=tolerance)


@pytest.mark.parametrize(
    ("variant", "precision"), [("bert", "mixed_bfloat16"), ("modern", "mixed_float16")]
)
def test_gradients_of_mixed_precision_point_the_same_way(variant, precision):
    config = dataclasses.replace(VARIANTS[variant], dropout=0.0)
    batch, gradients = pretraining_batch(3, 4, 16, 50, 3), []
    for policy, seed in (("float32", None), (precision, tf.constant([1, 2]))):
        model = models.Pretrainer(config, seed=1, precision=policy)
        with tf.GradientTape() as tape:
            loss = MaskedLMTask(model).sums(batch, seed)["masked_lm_loss"][0]
        found = tape.gradient(loss, [v.value for v in model.encoder.variables])
        gradients.append(np.concatenate([np.ravel(tf.convert_to_tensor(g)) for g in found]))
    exact, half = gradients
    assert np.dot(exact, half) > 0.99 * np.linalg.norm(exact) * np.linalg.norm(half)


@of_variants("bert", "modern")
def test_the_graph_of_inference_holds_plain_ops_only(config):
    model, batch = models.Pretrainer(config), pretraining_batch(3, 4, 16, 50, 3)
    graph = tf.function(lambda: model(batch)).get_concrete_function().graph
    operations = {operation.type for operation in graph.get_operations()}
    assert "Softmax" in operations
    assert not [name for name in operations if "Call" in name or "Xla" in name]


def test_a_step_compiles_whole():
    """Packed rows and windows in one XLA computation give the gradients of plain ops."""
    model, _ = model_and_weights(dataclasses.replace(MODERN, dropout=0.0))
    batch, task = pretraining_batch(0, 4, 16, 50, 3), MaskedLMTask(model)
    documents = tf.where(batch["padding_mask"], 1 + tf.range(16) // 6, 0)
    batch |= {"document_ids": documents, "position_ids": tf.range(16) % 6 + 0 * documents}

    def gradients(batch, seed=None):
        with tf.GradientTape() as tape:
            loss = task.sums(batch, seed)["masked_lm_loss"][0]
        found = tape.gradient(loss, [v.value for v in model.encoder.trainable_variables])
        return list(map(tf.convert_to_tensor, found))

    whole = tf.function(gradients, jit_compile=True)(batch, tf.constant([1, 2]))
    for expected, found in zip(gradients(batch), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_heads": 5}, "hidden_dim=12 and num_heads=5"),
        ({"num_heads": 4, "positions": "rotary"}, "heads of size 3 and rotary"),
        ({"window": 3}, "found window=3; wanted an even one"),
        ({"global_every": 0}, "global_every=0; wanted a number from 1 to 1000"),
        ({"num_layers": -1}, "found num_layers=-1; wanted a number from 1 to 1000"),
        ({"num_layers": 10**6}, "found num_layers=1000000; wanted a number from 1"),
        ({"num_heads": 0}, "found num_heads=0; wanted a number from 1"),
        ({"vocabulary_size": "9"}, "found vocabulary_size='9'; wanted a whole number"),
        ({"bias": 1}, "found bias=1; wanted true or false"),
        ({"layer_norm_epsilon": float("nan")}, "found layer_norm_epsilon=nan; wanted a number"),
        ({"feed_forward": "gelu"}, "feed_forward='gelu'; wanted one of mlp, glu"),
    ],
)
def test_sizes_and_parts_that_do_not_fit_are_named(fields, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(CONFIG, **fields)


def test_unknown_sizes_and_presets_are_named():
    with pytest.raises(InputError, match="found size 'huge'"):
        models.EncoderConfig.of_size("huge", vocabulary_size=10)
    with pytest.raises(
        InputError, match="found preset 'old'; wanted one of bert, modern, gpt2, llama"
    ):
        models.EncoderConfig.of_size("tiny", "old", vocabulary_size=10)
