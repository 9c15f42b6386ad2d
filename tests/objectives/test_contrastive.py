"""Contrastive pretraining: its views, its update however a batch is cut, and a whole run of it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines import embed, pretrain
from roots_tf import examples, models, objectives, program
from roots_tf.objectives.contrastive import Contrastive
from roots_tf.objectives.contrastive_rows import framed
from roots_tf.objectives.contrastive_task import ContrastiveTask
from roots_tf.storage.files import InputError
from roots_tf.training import optimizers, strategies
from roots_tf.training.checkpoints import Checkpoints
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.step import TrainStep

L = 32


def batches(built, objective, **fields):
    flags = {"batch_size": 8, "seed": 0, "max_seq_length": L} | fields
    return examples.pipeline(built.folder, objective.make_rows, **flags)


def first(built, objective, **fields) -> dict[str, np.ndarray]:
    return {n: x.numpy() for n, x in next(iter(batches(built, objective, **fields))).items()}


def views(batch, row: int) -> list[list[int]]:
    """Tokens of both views, without [CLS] and [SEP]."""
    names = (("token_ids", "padding_mask"), ("second_token_ids", "second_padding_mask"))
    return [batch[ids][row][batch[mask][row]][1:-1].tolist() for ids, mask in names]


def test_a_span_is_framed(contiguous):
    tokenizer = contiguous.tokenizer
    cls, sep, pad = tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id
    ids = tf.constant([[7, 8, 9], [7, 8, 9]])
    found, mask = framed(ids, tf.constant([1, 0]), tf.constant([2, 3]), 5, tokenizer)
    assert found.numpy().tolist() == [[cls, 8, 9, sep, pad], [cls, 7, 8, 9, sep]]
    assert mask.numpy().tolist() == [[True] * 4 + [False], [True] * 5]
    cut, _ = framed(ids, tf.constant([0, 1]), tf.constant([3, 1]), 4, tokenizer)
    assert cut.numpy().tolist() == [[cls, 7, 8, sep], [cls, 8, sep, pad]]


def test_views_are_parts_of_one_record(contiguous):
    whole = first(contiguous, Contrastive(views="dropout"), max_seq_length=66)
    parts = first(contiguous, Contrastive(views="consecutive"), max_seq_length=66)
    crops = first(contiguous, Contrastive(), max_seq_length=66)
    for row in range(8):
        text, same = views(whole, row)
        assert text == same and len(text) > 0
        beginning, rest = views(parts, row)
        assert beginning + rest == text
        assert len(text) < 4 or 0.2 < len(beginning) / len(text) < 0.8
        for crop in views(crops, row):
            begins = [i for i in range(len(text)) if text[i : i + len(crop)] == crop]
            assert begins and 1 <= len(crop) <= np.ceil(0.5 * len(text))
    assert (whole["text_numbers"] == crops["text_numbers"]).all()
    lengths = [len(crop) for row in range(8) for crop in views(crops, row)]
    assert len(set(lengths)) > 4


def test_a_batch_is_a_function_of_seed_and_step(contiguous):
    objective = Contrastive()
    four = [*batches(contiguous, objective).take(4)]
    third = first(contiguous, objective, start_step=2)
    other = first(contiguous, objective, start_step=2, seed=1)
    assert (third["second_token_ids"] != other["second_token_ids"]).any()
    for name, value in third.items():
        np.testing.assert_array_equal(value, four[2][name], err_msg=name)
    for worker in range(2):
        half = first(contiguous, objective, start_step=2, num_workers=2, worker_index=worker)
        for name, value in half.items():
            np.testing.assert_array_equal(value, third[name][4 * worker : 4 * worker + 4], name)


def test_a_row_that_fills_the_last_batch_counts_for_nothing(contiguous):
    objective = Contrastive()
    *_, last = batches(contiguous, objective, split="held_out", num_epochs=1, batch_size=7)
    count = objective.rows_an_epoch(contiguous.manifest, L, "held_out")
    real = int(last["example_weights"].numpy().sum())
    assert real == (count - 1) % 7 + 1
    assert (last["text_numbers"].numpy()[real:] == -1).all()
    task = objective.make_task(objective.make_model(config(contiguous)), contiguous.tokenizer)
    alone = {name: feature[:real] for name, feature in last.items()}
    for (name, pair), wanted in zip(
        task.sums(last).items(), task.sums(alone).values(), strict=True
    ):
        np.testing.assert_allclose(pair, wanted, rtol=1e-4, err_msg=name)


def config(built, **fields) -> models.EncoderConfig:
    sizes = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    sizes |= {"vocabulary_size": built.tokenizer.size, "max_sequence_length": L}
    return models.EncoderConfig(**sizes | {"initializer_range": 0.1} | fields)


def trained(built, devices=1, accumulate_steps=1, **fields):
    objective = Contrastive(views="dropout" if fields.get("dropout", 0.1) else "crops")
    strategy = strategies.make_strategy("mirrored" if devices > 1 else "one_device", devices)
    with strategy.scope():
        model = objective.make_model(config(built, **fields), seed=1)
        task = objective.make_task(model, built.tokenizer)
        step = TrainStep(
            task, optimizers.AdamW([v.value for v in model.trainable_variables]), lambda _: 0.01,
            seed=3, max_grad_norm=1.0, accumulate_steps=accumulate_steps,
        )  # fmt: skip
        call = tf.function(step)
        sums = [
            call(batch, tf.constant(i, tf.int64))
            for i, batch in enumerate(batches(built, objective).take(2))
        ]
        weights = [v.numpy().ravel() for v in model.trainable_variables]
    return np.concatenate(weights), tf.nest.map_structure(float, sums)


@pytest.mark.slow
def test_the_update_does_not_depend_on_how_the_batch_is_cut(contiguous):
    one, sums = trained(contiguous, dropout=0.0)
    micro, replicas = trained(contiguous, 1, 2), trained(contiguous, 2)  # with dropout
    np.testing.assert_allclose(replicas[0], micro[0], atol=1e-4)
    for cuts in ((1, 4), (2, 2)):
        weights, found = trained(contiguous, *cuts, dropout=0.0)
        np.testing.assert_allclose(weights, one, atol=1e-4, err_msg=str(cuts))
        for wanted, step in zip(sums, found, strict=True):
            for name, pair in wanted.items():
                assert step[name] == pytest.approx(pair, rel=1e-3), (name, cuts)


def pretrained(folder, built, **flags) -> dict:
    sizes = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    cadence = {"log_every": 4, "checkpoint_every": 4, "steps_per_call": 4, "evaluate_batches": 2}
    usual = {"examples": str(built.folder), "output": str(folder), "objective": "contrastive"}
    usual |= {"size": "custom", "batch_size": 8, "duration": "12", "precision": "float32"}
    usual |= {"max_seq_length": L, "learning_rate": 1e-2, "warmup_steps": 1}
    return pretrain.main(program.make(pretrain.Config, **usual | sizes | cadence | flags))


def test_a_run_goes_on_to_the_same_bits_and_its_model_embeds(contiguous, tmp_path, monkeypatch):
    report = pretrained(tmp_path / "whole", contiguous, accumulate_steps=2)
    rows = [row for row in read_metrics(tmp_path / "whole") if row["group"] == "train"]
    assert rows[-1]["contrastive_loss"] < rows[0]["contrastive_loss"]
    assert {"contrastive_accuracy", "alignment", "uniformity"} <= report.keys()
    save = Checkpoints.save

    def stop(checkpoints, step, *arguments, **options):
        save(checkpoints, step, *arguments, **options)
        if step == 8:
            raise RuntimeError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            pretrained(tmp_path / "stopped", contiguous, accumulate_steps=2)
    assert pretrained(tmp_path / "stopped", contiguous, accumulate_steps=2) == report
    one, other = (tmp_path / run / "model/model.safetensors" for run in ("whole", "stopped"))
    assert one.read_bytes() == other.read_bytes()

    Path(tmp_path, "texts.txt").write_text("A door.\nThe garden was green.\n")
    model = tmp_path / "whole/model"
    flags = {"model": str(model), "input": (str(tmp_path / "texts.txt"),)}
    embed.main(embed.Config(**flags, output=str(tmp_path / "vectors.npy")))
    vectors = np.load(tmp_path / "vectors.npy")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    still = {"learning_rate": 0.0, "duration": "1", "init_from": str(model), "size": "mini"}
    zeros = dict.fromkeys(("num_layers", "hidden_dim", "num_heads", "intermediate_dim"), 0)
    pretrained(tmp_path / "on", contiguous, **still | zeros)
    for a, b in zip(
        models.load(model).variables, models.load(tmp_path / "on/model").variables, strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_samples_and_shares(contiguous):
    objective = Contrastive()
    batch = next(iter(batches(contiguous, objective)))
    task = ContrastiveTask(objective.make_model(config(contiguous)), 0.05)
    assert {scalar.name for scalar in task.scalars if not scalar.of} == task.sums(batch).keys()
    shown = objective.samples(task, batch, contiguous.tokenizer, 2)["nearest"]
    assert shown.count("\n") >= 5 and shown.startswith("    ")
    features = {name: feature.numpy() for name, feature in batch.items()}
    assert objective.render(features, 0, contiguous.tokenizer, False).count(" | ") == 1
    given = [features], contiguous.manifest, "train", contiguous.tokenizer, L
    padding, tokens = objective.proportions(*given)
    masks = np.stack([features["padding_mask"], features["second_padding_mask"]])
    assert padding.measured == pytest.approx(1 - masks.mean())
    assert tokens.measured == pytest.approx(masks.sum(-1).mean())
    assert objective.step_flops(config(contiguous), 4, L) > 0
    described = objective.make_model(config(contiguous)).description
    assert described["embedding"]["l2_normalize"] and json.dumps(described)


def test_mistakes_are_named(built, contiguous):
    manifest = contiguous.manifest
    Contrastive().check(manifest, 2, L)
    for objective, given, message in (
        (Contrastive(), (manifest, 1, L), "found batch_size 1; wanted 2 at least"),
        (Contrastive(), (manifest, 2, 7), "found rows of 7 tokens; wanted 8"),
        (Contrastive(), (built.manifest, 2, 64), "found examples of layout pairs; wanted contig"),
        (Contrastive(shortest_crop=0.6), (manifest, 2, L), "found shortest_crop 0.6 and longest"),
    ):
        with pytest.raises(InputError, match=message):
            objective.check(*given)
    still = dataclasses.replace(config(contiguous), dropout=0.0)
    objectives.OBJECTIVES["contrastive"]().make_model(still)
    with pytest.raises(InputError, match="found --views=dropout and a model without dropout"):
        Contrastive(views="dropout").make_model(still)
