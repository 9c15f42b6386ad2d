"""The denoising objective: its loss beside a slow oracle, its step, and whole runs of it."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from roots_tf import models, objectives, tokenizers
from roots_tf.examples.row_maker import Chance
from roots_tf.objectives.denoising_task import DenoisingTask
from roots_tf.planning.random_batches import random_batch
from roots_tf.storage.files import InputError
from roots_tf.training.checkpoints import Checkpoints
from tests.objectives.test_causal_lm import L, V, pretrained, train

SIZES = {
    "vocabulary_size": V, "num_layers": 1, "hidden_dim": 16, "num_heads": 2,
    "intermediate_dim": 32, "max_sequence_length": L, "dropout": 0.0, "initializer_range": 0.3,
}  # fmt: skip
T5 = models.EncoderConfig(**models.preset_fields("t5") | SIZES)
OBJECTIVE = objectives.Denoising()


def model_of(config, seed=0):
    return OBJECTIVE.make_model(config, seed=seed, decoder={"output_bias": True})


def batch_of(step, rows, length, vocabulary_size):
    batch = random_batch(OBJECTIVE, rows, length, vocabulary_size, seed=step)
    return {name: tf.constant(feature) for name, feature in batch.items()}


def test_the_loss_is_that_of_all_logits():
    model, batch = model_of(T5, seed=1), batch_of(0, 3, L, V)
    model.bias.bias.assign(np.random.default_rng(0).normal(size=V))
    logits = model.logits(model(batch)).numpy().astype(np.float64)  # [B, T, V]
    weights, labels = batch["target_weights"].numpy(), batch["target_ids"].numpy()
    chances = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    loss = -(weights * np.take_along_axis(chances, labels[..., None], -1)[..., 0]).sum()
    right = (weights * (logits.argmax(-1) == labels)).sum()
    sums = DenoisingTask(model).sums(batch)
    assert [float(x) for x in sums["denoising_loss"]] == pytest.approx([loss, weights.sum()])
    assert [float(x) for x in sums["denoising_accuracy"]] == [right, weights.sum()]
    assert float(DenoisingTask(model).weights(batch)["denoising_loss"]) == weights.sum()


def test_the_update_does_not_depend_on_how_the_batch_is_cut_or_compiled():
    how = {"config": T5, "model_of": model_of, "task_of": DenoisingTask, "batch_of": batch_of}
    wanted, sums = train(**how)
    for other in ({"accumulate_steps": 2}, {"whole": True}):  # the step compiled by XLA as a whole
        weights, found = train(**how, **other)
        assert np.linalg.norm(weights - wanted) < 1e-5 * np.linalg.norm(weights)
        for one, two in zip(sums, found, strict=True):
            assert two["denoising_loss"] == pytest.approx(one["denoising_loss"], rel=1e-5)


def test_samples_show_source_target_and_belief(contiguous):
    objective = OBJECTIVE
    tokenizer = objective.tokenizer_of(contiguous.tokenizer)
    rows = objective.make_rows(contiguous.manifest, "train", contiguous.tokenizer, L)
    chance = Chance(
        *(0, tf.constant(0, tf.int64), 2, slice(None), tf.ones([2]), tf.zeros([2], tf.int32))
    )
    text = tf.random.stateless_uniform([2, objective.tokens(L)[0]], [0, 1], 5, 900, tf.int32)
    batch = rows.features(text, chance)
    sizes = dataclasses.replace(T5, vocabulary_size=tokenizer.size)
    task = objective.make_task(objective.make_model(sizes), tokenizer)
    lines = objective.samples(task, batch, tokenizer, 1)["denoised"].split("\n")
    assert lines[0].startswith("    [CLS] ") and "<extra_id_0>" in lines[0]
    assert lines[1].startswith("    <extra_id_0> ")
    told = [line for line in lines if line.startswith(("      ", "    +"))]
    assert len(told) == int(batch["target_weights"][0].numpy().sum())
    features = {name: feature.numpy() for name, feature in batch.items()}
    source, target = objective.render(features, 0, tokenizer, False).split("\n")
    assert source.startswith("[CLS] ") and target.startswith("<extra_id_0> ")
    assert len(source.split(" ")) == features["padding_mask"][0].sum()


def test_new_decoders_reach_over_their_targets():
    infilling = objectives.Denoising(denoising="text_infilling", decoder_layers=3)
    decoder = infilling.decoder_config(T5)
    assert decoder.num_layers == 3
    assert decoder.max_sequence_length == infilling.target_length(L) == infilling.tokens(L)[0] + 1
    assert OBJECTIVE.decoder_config(T5) == models.DecoderConfig.like(T5)
    more = infilling.step_flops(T5, 2, L) - OBJECTIVE.step_flops(T5, 2, L)
    assert more > 0


@pytest.fixture(scope="module")
def folders(contiguous, tmp_path_factory):
    """Model folders of an encoder, and of encoder-decoders that go together with the examples."""
    root = tmp_path_factory.mktemp("folders")
    tokenizer = OBJECTIVE.tokenizer_of(contiguous.tokenizer)
    config = dataclasses.replace(T5, vocabulary_size=tokenizer.size)
    learned = models.EncoderConfig(
        **models.preset_fields("bart") | {**SIZES, "vocabulary_size": tokenizer.size}
    )
    made = {
        "encoder": models.Pretrainer(config),
        "fits": OBJECTIVE.make_model(config),
        "deep": objectives.Denoising(decoder_layers=2).make_model(config),
        "begins": OBJECTIVE.make_model(config, decoder={"start_ids": (3,)}),
        "learned": OBJECTIVE.make_model(learned),
    }
    for name, model in made.items():
        models.save(root / name, model)
        tokenizer.save(root / name)
    return root


@pytest.mark.parametrize("name, flags, message", [
    ("encoder", {}, "kind pretrainer .* wanted an encoder_decoder for --objective=denoising"),
    ("deep", {}, "found 2 layers of the decoder in .* wanted --decoder_layers=2"),
    ("begins", {}, r"begin with the ids \[3\] and source_begins=True; wanted \[2\] and True"),
    ("learned", {"denoising": "text_infilling"}, "found 16 positions of the decoder"),
])  # fmt: skip
def test_what_it_cannot_go_on_with(contiguous, folders, name, flags, message):
    objective = dataclasses.replace(OBJECTIVE, **flags)
    tokenizer = objective.tokenizer_of(tokenizers.load(folders / name))
    with pytest.raises(InputError, match=message):
        objective.model_parts(tokenizer, L, str(folders / name))


def test_it_goes_on_with_a_decoder(contiguous, folders):
    tokenizer = OBJECTIVE.tokenizer_of(contiguous.tokenizer)
    for name, objective in (("fits", OBJECTIVE), ("deep", objectives.Denoising(decoder_layers=2))):
        parts = objective.model_parts(tokenizer, L, str(folders / name))
        config = dataclasses.replace(models.describe(folders / name)["encoder"], dropout=0.3)
        model = objective.make_model(config, **parts)
        assert models.load_common(folders / name, model) == []
        assert model.decoder_config.dropout == 0.3
        np.testing.assert_array_equal(model.output_table, models.load(folders / name).output_table)


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_bits(contiguous, tmp_path, monkeypatch):
    flags = {"objective": "denoising", "dropout": 0.1, "max_seq_length": 32}
    report = pretrained(tmp_path / "whole", contiguous.folder, **flags)
    assert report["denoising_loss"] < 9 and "denoising_accuracy" in report
    saved = json.loads((tmp_path / "whole/config.json").read_text())
    assert saved["preset"] == "t5" and saved["denoising"] == "span_corruption"
    described = models.describe(tmp_path / "whole/model")
    tokenizer = tokenizers.load(tmp_path / "whole/model")
    assert tokenizer.size == described["encoder"].vocabulary_size == 3100
    assert described["kind"] == "encoder_decoder" and "<extra_id_99>" in tokenizer.vocabulary
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
    on = {"init_from": str(tmp_path / "whole/model"), "duration": "1", "learning_rate": 0.0}
    sizes = dict.fromkeys(("num_layers", "hidden_dim", "num_heads", "intermediate_dim"), 0)
    pretrained(tmp_path / "on", contiguous.folder, **flags | on | sizes)
    found = safetensors.numpy.load_file(tmp_path / "on/model/model.safetensors")
    for name, value in safetensors.numpy.load(one.read_bytes()).items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
