"""`average`: of checkpoints and of model folders, and what it refuses."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from pipelines import average, pretrain
from roots_tf import models, tokenizers
from roots_tf.storage.files import InputError
from roots_tf.training.checkpoints import Checkpoints
from tests.pipelines.test_pretrain import config


@pytest.fixture(scope="module")
def run(work, tmp_path_factory) -> Path:
    """A run whose model is the mean of its last three checkpoints, which are there."""
    folder = tmp_path_factory.mktemp("run") / "pretrained"
    pretrain.main(config(work, folder, duration="30", average_checkpoints=3))
    return folder


def mean_of(sources, output, **more) -> dict:
    return average.main(average.Config(tuple(map(str, sources)), str(output), **more))


def weights(folder) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(Path(folder, "model.safetensors"))


def scaled(folder, place, factor, **sizes) -> Path:
    """A copy of a model whose weights are so many times as large, or whose sizes are others."""
    description = json.loads((folder / "model.json").read_text())
    description.pop("sha256")
    description["encoder"] |= sizes
    tokenizers.load(folder).save(place)
    models.write(place, description, {n: factor * w for n, w in weights(folder).items()})
    return place


@pytest.mark.parametrize("named", ["ckpt-*", "ckpt-*.index", None])
def test_of_checkpoints_it_is_what_pretrain_gives(run, tmp_path, named):
    steps = ("10", "20", "30")
    names = [named] if named else [f"ckpt-{step}" for step in steps]
    report = mean_of([run / "checkpoints" / name for name in names], tmp_path / "mean")
    assert report["checkpoints"] == [f"{run}/checkpoints/ckpt-{step}" for step in steps]
    assert (tmp_path / "mean" / "model.json").read_text() == (
        run / "model" / "model.json"
    ).read_text()
    expected = weights(run / "model")
    assert report["weights"] == len(expected)
    for name, value in weights(tmp_path / "mean").items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    one = Checkpoints(run / "checkpoints", {}).paths()[30]
    assert mean_of([one, run / "checkpoints/ckpt-20"], tmp_path / "other")["weights"]
    last = weights(tmp_path / "other")["encoder/embeddings/token"]
    assert np.any(last != expected["encoder/embeddings/token"])


def test_of_models_it_is_their_mean_and_a_model(run, tmp_path, caplog):
    model = run / "model"
    folders = [model, scaled(model, tmp_path / "a", 4.0), scaled(model, tmp_path / "b", -2.0)]
    report = mean_of(folders, tmp_path / "mean")
    found = models.named_weights(models.load(tmp_path / "mean"))
    for name, value in weights(model).items():
        np.testing.assert_array_equal(found[name].numpy(), value, err_msg=name)  # (1 + 4 - 2) / 3
    assert tokenizers.load(tmp_path / "mean").fingerprint == tokenizers.load(model).fingerprint
    before = (tmp_path / "mean" / "model.safetensors").stat().st_mtime_ns
    assert mean_of(folders, tmp_path / "mean") == report
    assert (tmp_path / "mean" / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="another content of --checkpoints"):
        mean_of(folders[1:], tmp_path / "mean")


def test_checkpoints_of_a_run_without_a_model_need_one(run, tmp_path):
    checkpoints = tmp_path / "stopped" / "checkpoints"
    shutil.copytree(run / "checkpoints", checkpoints)
    with pytest.raises(InputError, match="found no model in .*stopped/model.*: give --model"):
        mean_of([checkpoints / "ckpt-*"], tmp_path / "mean")
    mean_of([checkpoints / "ckpt-*"], tmp_path / "mean", model=str(run / "model"))
    for name, value in weights(tmp_path / "mean").items():
        np.testing.assert_array_equal(value, weights(run / "model")[name], err_msg=name)


def test_what_has_no_mean_is_refused_and_nothing_is_written(work, run, tmp_path):
    model, checkpoints = run / "model", tmp_path / "damaged" / "checkpoints"
    other = shutil.copytree(model, tmp_path / "other")
    tokenizers.load(Path(work.tokenizer, "vocab.txt"), lowercase=False).save(other)
    shutil.copytree(run / "checkpoints", checkpoints)
    shutil.copytree(model, tmp_path / "damaged" / "model")
    (checkpoints / "ckpt-20.data-00000-of-00001").write_bytes(b"half")
    wide = scaled(model, tmp_path / "wide", 1.0, layer_norm_epsilon=1e-3)
    nan = scaled(model, tmp_path / "nan", np.nan)
    (tmp_path / "ckpt-1").mkdir()
    for sources, message in (
        ([model], "found 1 in --checkpoints; wanted two or more"),
        ([model, f"{model}/"], "found 1 in --checkpoints"),
        ([model, tmp_path / "absent"], "found no .*absent; wanted a checkpoint or a model folder"),
        ([model, wide], r"found encoder\.layer_norm_epsilon of .*wide other than of .*model;"),
        ([model, other], "found another tokenizer in .*other"),
        ([checkpoints / "ckpt-*"], "ckpt-20, which is not whole .*: leave it out"),
        ([model, nan], "found NaN or infinite numbers in weight"),
        ([model, work.tokenizer], "found no model.json in"),
        ([model, tmp_path / "ckpt-1"], "found no model.json in"),
        ([model, Path(work.examples, "manifest.json")], "found no model.json in"),
    ):
        with pytest.raises(InputError, match=message):
            mean_of(sources, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_weights_of_another_model_are_named(run, tmp_path):
    config = models.describe(run / "model")["encoder"]
    wide = models.Pretrainer(dataclasses.replace(config, hidden_dim=64))
    tokenizers.load(run / "model").save(tmp_path / "wide")
    models.save(tmp_path / "wide", wide)
    sources = [run / "checkpoints" / "ckpt-*"]
    with pytest.raises(InputError, match="found weight .* of shape .*32.*; wanted .*64.*: the siz"):
        mean_of(sources, tmp_path / "mean", model=str(tmp_path / "wide"))
