"""Replaced tokens: what is drawn, both losses beside a slow oracle, the step, and whole runs."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import examples, inference, models, objectives, tasks
from roots_tf.models import weight_shapes
from roots_tf.objectives.replaced_tokens_task import ReplacedTokensTask, drawn, with_tokens
from roots_tf.planning.random_batches import random_batch
from roots_tf.storage.files import InputError
from roots_tf.training import strategies
from roots_tf.training.checkpoints import Checkpoints
from tests.objectives.test_causal_lm import L, V, pretrained, train

SIZES = {
    "vocabulary_size": V, "num_layers": 1, "hidden_dim": 16, "num_heads": 4,
    "intermediate_dim": 32, "max_sequence_length": L, "dropout": 0.0, "initializer_range": 0.3,
}  # fmt: skip
BERT = models.EncoderConfig(**SIZES)
SHARINGS = ("tied", "gradient_disentangled", "separate")
TIED, DISENTANGLED, SEPARATE = (objectives.ReplacedTokens(embedding_sharing=s) for s in SHARINGS)


def batch_of(step, rows, length, vocabulary_size):
    """Random texts with masks of id 4; the first row has a masked place less."""
    batch = random_batch(TIED, rows, length, vocabulary_size, seed=step)
    batch["masked_lm_weights"][0, -1] = batch["masked_lm_positions"][0, -1] = 0
    for row in range(rows):
        used = batch["masked_lm_weights"][row] > 0
        batch["token_ids"][row, batch["masked_lm_positions"][row][used]] = 4
    return {name: tf.constant(feature) for name, feature in batch.items()}


def model_of(objective, config=BERT, seed=1):
    """A model whose difference, if it has one, is not 0."""
    model = objective.make_model(config, seed=seed)
    if model.difference is not None:
        shape = model.difference.token.shape
        model.difference.token.assign(np.random.default_rng(0).normal(size=shape) / 4)
    return model


def flat(model):
    return np.concatenate([weight.numpy().ravel() for weight in model.trainable_variables])


@pytest.mark.parametrize("size", [7, 128, 300])
def test_ids_are_drawn_as_often_as_their_chances_say(size):
    rng = np.random.default_rng(size)
    logits = rng.normal(scale=2, size=size).astype("float32")
    chances = np.exp(logits.astype("float64"))
    ends = np.cumsum(chances / chances.sum())
    draws = np.linspace(0, 1, 4000, endpoint=False).astype("float32")
    found = drawn(tf.tile(logits[None], [4000, 1]), tf.constant(draws)).numpy()
    wanted = (ends <= draws[:, None]).sum(1)  # the first id that the draw does not pass
    assert (found == wanted).mean() > 0.995  # float32 falls on the other side of an edge at times
    assert np.abs(found - wanted).max() <= 1
    counts = np.bincount(found, minlength=size) / 4000
    np.testing.assert_allclose(counts, chances / chances.sum(), atol=2 / 4000)
    assert len(np.unique(found)) > 1  # no argmax


def test_a_draw_at_either_end_is_an_id():
    logits = tf.constant([[-1e9, 0.0, -1e9], [0.0, -1e9, -1e9], [0.0, 0.0, 0.0]])
    assert drawn(logits, tf.zeros([3])).numpy().tolist() == [1, 0, 0]
    last = np.nextafter(np.float32(1), np.float32(0))
    assert drawn(logits, tf.fill([3], last)).numpy().tolist() == [1, 0, 2]


def test_tokens_are_put_where_the_masks_stand():
    batch = {
        "token_ids": tf.constant([[2, 4, 7, 4, 3], [2, 9, 4, 3, 0]]),
        "masked_lm_positions": tf.constant([[1, 3], [2, 0]]),
        "masked_lm_ids": tf.constant([[8, 9], [5, 0]]),
        "masked_lm_weights": tf.constant([[1.0, 1.0], [1.0, 0.0]]),
    }
    ids, replaced = with_tokens(batch, tf.constant([[8, 6], [7, 6]]))
    assert ids.numpy().tolist() == [[2, 8, 7, 6, 3], [2, 9, 7, 3, 0]]
    assert replaced.numpy().tolist() == [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]]  # 8 was drawn right


@pytest.mark.parametrize("objective", [TIED, DISENTANGLED, SEPARATE], ids=SHARINGS)
def test_both_losses_are_those_of_a_slow_oracle(objective, tmp_path):
    """Prediction by prediction and token by token; the discriminator is the one that is saved."""
    model, batch = model_of(objective), batch_of(0, 3, L, V)
    judged = batch["judged_weights"].numpy()
    judged[:, 0] = 0  # as a special token
    sums = ReplacedTokensTask(model, 7.0).sums(batch | {"judged_weights": tf.constant(judged)})
    sums = tf.nest.map_structure(float, sums)
    arrays = {name: feature.numpy() for name, feature in batch.items()}
    logits = model.generator(batch).numpy().astype("float64").reshape(3, -1, V)
    shown, replaced = arrays["token_ids"].copy(), np.zeros((3, L))
    loss = right = 0.0
    for row, prediction in np.argwhere(arrays["masked_lm_weights"] > 0):
        chances = np.exp(logits[row, prediction]) / np.exp(logits[row, prediction]).sum()
        label = arrays["masked_lm_ids"][row, prediction]
        loss, right = loss - np.log(chances[label]), right + (chances.argmax() == label)
        draw = (np.cumsum(chances) <= arrays["generator_draws"][row, prediction]).sum()
        place = arrays["masked_lm_positions"][row, prediction]
        shown[row, place], replaced[row, place] = draw, draw != label
    count = arrays["masked_lm_weights"].sum()
    assert sums["generator_loss"] == pytest.approx((loss, count), rel=1e-5)
    assert sums["generator_accuracy"] == (right, count)
    models.save(tmp_path, objective.finished(model))
    discriminator = models.load(tmp_path)
    verdicts = discriminator(batch | {"token_ids": tf.constant(shown)}).numpy().astype("float64")
    chance = 1 / (1 + np.exp(-verdicts))
    losses = -np.log(np.where(replaced, chance, 1 - chance))
    wanted = ((losses * judged).sum(), judged.sum())
    assert sums["discriminator_loss"] == pytest.approx(wanted, rel=1e-5)
    assert sums["weighted_discriminator_loss"][0] == pytest.approx(7 * wanted[0], rel=1e-5)
    says, inside = verdicts > 0, judged > 0
    assert sums["discriminator_accuracy"][0] == ((says == replaced) & inside).sum()
    hits = (says & (replaced > 0) & inside).sum()
    assert sums["discriminator_precision"] == (hits, (says & inside).sum())
    assert sums["discriminator_recall"] == (hits, (replaced * judged).sum())
    assert sums["replaced_share"] == ((replaced * judged).sum(), judged.sum())


@pytest.mark.parametrize("objective", [TIED, DISENTANGLED, SEPARATE], ids=SHARINGS)
def test_what_each_loss_trains(objective):
    model, batch = model_of(objective), batch_of(0, 3, L, V)
    task, reached = ReplacedTokensTask(model), {}
    for name in ("generator_loss", "weighted_discriminator_loss"):
        with tf.GradientTape() as tape:
            total = task.sums(batch)[name][0]
        weights = {weight.path: weight.value for weight in model.trainable_variables}
        found = tape.gradient(total, list(weights.values()), unconnected_gradients="zero")
        pairs = zip(weights, found, strict=True)
        reached[name] = {path for path, x in pairs if np.any(tf.convert_to_tensor(x).numpy())}
    of_generator, of_discriminator = reached.values()
    table = {"encoder/embeddings/token"}
    assert not any(path.startswith("generator/") for path in of_discriminator)  # nothing is sampled
    shared = of_generator & of_discriminator
    assert table <= shared if objective is TIED else not shared
    assert (of_discriminator >= table) == (objective is not DISENTANGLED)
    assert ("difference/token" in of_discriminator) == (objective is DISENTANGLED)
    assert of_generator | of_discriminator >= {weight.path for weight in model.trainable_variables}
    shapes = weight_shapes.replaced_tokens(BERT, objective.generator_config(BERT))
    assert {weight.path: tuple(weight.shape) for weight in model.variables} == shapes


def test_a_generator_that_is_always_right_replaces_nothing():
    model, batch = model_of(TIED), batch_of(0, 3, L, V)
    batch |= {"masked_lm_ids": tf.fill(batch["masked_lm_ids"].shape, 7)}
    model.generator.masked_lm.bias.assign(1000.0 * tf.one_hot(7, V))
    sums = tf.nest.map_structure(float, ReplacedTokensTask(model).sums(batch))
    assert sums["replaced_share"][0] == sums["discriminator_recall"][1] == 0
    assert sums["generator_accuracy"][0] == sums["generator_accuracy"][1] > 0


def test_a_generator_has_a_share_of_the_width_and_heads_of_the_same_size():
    config = models.EncoderConfig.of_size("base", vocabulary_size=V)
    quarter = TIED.generator_config(config)
    sizes = (quarter.hidden_dim, quarter.num_heads, quarter.intermediate_dim, quarter.num_layers)
    assert sizes == (192, 3, 768, 12) and quarter.head_dim == config.head_dim == 64
    tiny = models.EncoderConfig.of_size("tiny", vocabulary_size=V, num_key_value_heads=2)
    narrow = TIED.generator_config(tiny)
    assert (narrow.hidden_dim, narrow.num_heads, narrow.key_value_heads) == (32, 1, 1)
    same = dataclasses.replace(TIED, generator_width=1.0)
    assert same.generator_config(config).hidden_dim == 768
    assert same.make_model(BERT).generator.projection is None
    assert TIED.step_flops(config, 8, 64) < same.step_flops(config, 8, 64)


HOW = {
    "config": dataclasses.replace(BERT, dropout=0.0),
    "model_of": DISENTANGLED.make_model,
    "task_of": ReplacedTokensTask,
    "batch_of": batch_of,
}


@pytest.fixture(scope="module")
def one_device():
    return train(**HOW)


@pytest.mark.parametrize("devices, how", [(2, {"accumulate_steps": 2}), (1, {"whole": True})])
def test_the_update_does_not_depend_on_how_the_batch_is_cut(one_device, devices, how):
    name = "mirrored" if devices > 1 else "one_device"
    weights, sums = train(strategies.make_strategy(name, devices), **how, **HOW)
    assert np.linalg.norm(weights - one_device[0]) < 1e-5 * np.linalg.norm(weights)
    for expected, found in zip(one_device[1], sums, strict=True):
        for name in ("generator_loss", "discriminator_loss", "replaced_share", "gradient_norm"):
            assert found[name] == pytest.approx(expected[name], rel=1e-4), name


def test_embeddings_that_are_shared_drop_other_numbers_in_either_model():
    config = dataclasses.replace(BERT, dropout=0.5)
    model, batch, seed = model_of(TIED, config), batch_of(0, 3, L, V), tf.constant([0, 1])
    one = model.encoder.embeddings(batch, seed=seed)
    other = model.encoder.embeddings(batch, seed=model.generator.place.dropout(seed))
    assert ((one.numpy() == 0) != (other.numpy() == 0)).mean() > 0.3
    once, again = (ReplacedTokensTask(model).sums(batch, seed) for _ in range(2))
    assert tf.nest.map_structure(float, once) == tf.nest.map_structure(float, again)


@pytest.fixture(scope="module")
def first_batches(contiguous):
    """The first batch, whole and as each of two workers gives it."""
    make = functools.partial(
        examples.pipeline, contiguous.folder, TIED.make_rows, batch_size=4, seed=0,
        max_seq_length=32,
    )  # fmt: skip
    parts = [{}, {"num_workers": 2}, {"num_workers": 2, "worker_index": 1}]
    return [next(make(**part).as_numpy_iterator()) for part in parts]


def test_rows_judge_all_tokens_but_special_ones(contiguous, first_batches):
    batch, *halves = first_batches
    tokenizer = contiguous.tokenizer
    special = np.isin(batch["token_ids"], [tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id])
    np.testing.assert_array_equal(batch["judged_weights"], batch["padding_mask"] & ~special)
    assert special.any() and batch["judged_weights"].sum() > 80
    places = batch["masked_lm_positions"][batch["masked_lm_weights"] > 0]
    rows = np.nonzero(batch["masked_lm_weights"])[0]
    assert (batch["judged_weights"][rows, places] == 1).all()
    shown = batch["token_ids"][rows, places]
    labels = batch["masked_lm_ids"][batch["masked_lm_weights"] > 0]
    assert ((shown == tokenizer.mask_id) | (shown == labels)).all()  # none is a random token
    draws = batch["generator_draws"]
    assert draws.shape == batch["masked_lm_ids"].shape and len(np.unique(draws)) == draws.size
    for name, whole in batch.items():
        np.testing.assert_array_equal(np.concatenate([half[name] for half in halves]), whole)


def test_samples_show_what_was_put_in_and_what_is_believed(contiguous, first_batches):
    tokenizer = contiguous.tokenizer
    config = dataclasses.replace(BERT, vocabulary_size=tokenizer.size, max_sequence_length=32)
    model = model_of(DISENTANGLED, config)
    batch = {name: tf.constant(feature) for name, feature in first_batches[0].items()}
    found = DISENTANGLED.samples(DISENTANGLED.make_task(model, tokenizer), batch, tokenizer, 1)
    assert list(found) == ["fill_mask", "replaced_tokens"]
    text, *told = [line for line in found["replaced_tokens"].split("\n") if line]
    assert text.startswith("    [CLS] ") and "[MASK]" not in text
    assert len(told) >= first_batches[0]["masked_lm_weights"][0].sum()
    for line in told[1:]:  # the text may take two lines
        is_right, chance = line.startswith("      +"), float(line.split()[-1])
        replaced = len(line.split()) - is_right == 3
        assert is_right == ((chance > 0.5) == replaced) or chance == 0.5
    assert "[" in TIED.render(first_batches[0], 0, tokenizer, False)
    rows = TIED.make_shown_rows(contiguous.manifest, "train", tokenizer, 32)
    assert rows.shows_words


@pytest.mark.parametrize("flags, length, message", [
    ({"max_predictions_per_seq": 2}, 32, "found max_predictions_per_seq 2, where mask_rate 0.15"),
    ({}, 4, "found rows of 4 tokens; wanted 8 or more"),
])  # fmt: skip
def test_flags_that_do_not_go_together(contiguous, flags, length, message):
    objective = dataclasses.replace(TIED, **flags)
    with pytest.raises(InputError, match=message):
        objective.check(contiguous.manifest, 4, length)


def test_any_layout_is_read(built, contiguous):
    for folder in (built, contiguous):
        TIED.check(folder.manifest, 4, 64)
        assert TIED.rows_an_epoch(folder.manifest, 64) > 0


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_bits_and_leaves_an_encoder(contiguous, tmp_path, monkeypatch):
    flags = {
        "objective": "replaced_tokens", "embedding_sharing": "gradient_disentangled",
        "dropout": 0.1, "max_seq_length": 32,
    }  # fmt: skip
    report = pretrained(tmp_path / "whole", contiguous.folder, **flags)
    assert {"generator_accuracy", "discriminator_loss", "discriminator_recall"} <= report.keys()
    save = Checkpoints.save

    def stop(checkpoints, step, *arguments, **options):
        save(checkpoints, step, *arguments, **options)
        if step == 8:
            raise RuntimeError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            pretrained(tmp_path / "stopped", contiguous.folder, **flags)
    pretrained(tmp_path / "stopped", contiguous.folder, **flags)
    one, other = (tmp_path / run / "model/model.safetensors" for run in ("whole", "stopped"))
    assert one.read_bytes() == other.read_bytes()
    folder = str(tmp_path / "whole/model")
    described = models.describe(folder)
    assert described["kind"] == "discriminator"
    with pytest.raises(InputError, match="found a replaced-token model in"):
        inference.check_fills(described, folder)
    vectors = inference.load(folder).embedder()(["the garden", "a dog"])
    assert vectors.shape == (2, 16) and np.isfinite(vectors).all()
    classifier = tasks.KINDS["classification"](labels=("a", "b")).make_model(described["encoder"])
    assert not models.load_encoder(folder, classifier)  # it has no pooler
    for model in (classifier, models.load(folder)):
        np.testing.assert_array_equal(
            model.encoder.embeddings.token, models.load(folder).encoder.embeddings.token
        )
    on = {"init_from": folder, "duration": "1", "learning_rate": 0.0, "dropout": 0.0}
    sizes = dict.fromkeys(("num_layers", "hidden_dim", "num_heads", "intermediate_dim"), 0)
    pretrained(tmp_path / "on", contiguous.folder, **flags | on | sizes)
    again = models.named_weights(models.load(tmp_path / "on/model"))
    for name, weight in models.named_weights(models.load(folder)).items():
        np.testing.assert_array_equal(again[name].numpy(), weight.numpy(), err_msg=name)
