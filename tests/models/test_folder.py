"""Model folders: what is written comes back, and what does not fit is named."""

import dataclasses
import json
import os

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from roots_tf import models
from roots_tf.models import weight_shapes
from roots_tf.storage import checksums
from roots_tf.storage.files import InputError

CONFIG = models.EncoderConfig(
    vocabulary_size=50, num_layers=1, hidden_dim=8, num_heads=2, intermediate_dim=16,
    max_sequence_length=16,
)  # fmt: skip


MODERN = dataclasses.replace(CONFIG, **models.preset_fields("modern"), num_layers=2)


@pytest.mark.parametrize("config", [CONFIG, MODERN], ids=["bert", "modern"])
def test_a_model_comes_back(tmp_path, config):
    model = models.Classifier(config, 3, seed=5)
    models.save(tmp_path, model, labels=("a", "b", "c"))
    again = models.load(tmp_path)
    assert models.describe(tmp_path)["labels"] == ["a", "b", "c"]
    assert again.config == config
    for one, other in zip(model.variables, again.variables, strict=True):
        assert one.path == other.path
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_weights_are_written_without_a_copy_of_them():
    model = models.Classifier(CONFIG, 3, seed=1)
    first, again = models.arrays(model), models.arrays(model)
    for variable in model.variables:
        one, other = first[variable.path], again[variable.path]
        np.testing.assert_array_equal(one, variable.numpy())
        assert one.shape == variable.shape and np.shares_memory(one, other)
        variable.assign(variable + 1)
        assert np.any(one != variable.numpy())  # what was read stays


def test_a_folder_from_before_the_parts_were_a_choice_is_bert(tmp_path):
    models.save(tmp_path, models.Pretrainer(CONFIG))
    path = tmp_path / "model.json"
    description = json.loads(path.read_text())
    sizes = ("vocabulary_size", "num_layers", "hidden_dim", "num_heads", "intermediate_dim")
    kept = {name: description["encoder"][name] for name in (*sizes, "max_sequence_length", "norm")}
    old = {key: value for key, value in description.items() if key != checksums.KEY}
    path.write_text(json.dumps(old | {"encoder": kept}))
    assert models.load(tmp_path).config == CONFIG


def test_names_of_weights_are_unique_and_tell_where_they_are():
    names = list(models.named_weights(models.Pretrainer(CONFIG)))
    assert len(names) == len(set(names)) == len(models.Pretrainer(CONFIG).variables)
    assert "encoder/layer_0/attention/query_key_value_kernel" in names


@pytest.mark.parametrize("config", [CONFIG, MODERN], ids=["bert", "modern"])
def test_an_encoder_moves_from_a_pretrained_model_to_a_classifier(tmp_path, config):
    pretrained = models.Pretrainer(config, seed=1)
    models.save(tmp_path, pretrained)
    model = models.Classifier(config, 2, seed=2)
    models.load_weights(
        tmp_path, models.named_weights(model.encoder) | models.named_weights(model.pooler)
    )
    moved = model.encoder.variables + model.pooler.variables
    source = pretrained.encoder.variables + pretrained.pooler.variables
    for one, other in zip(source, moved, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_other_sizes_a_missing_weight_and_damage_are_named(tmp_path):
    models.save(tmp_path, models.Pretrainer(CONFIG))
    wider = models.EncoderConfig(**{**vars(CONFIG), "vocabulary_size": 60})
    with pytest.raises(InputError, match=r"embeddings/token of shape \(50, 8\).*wanted \(60, 8\)"):
        models.load_weights(tmp_path, models.named_weights(models.Pretrainer(wider)))
    with pytest.raises(InputError, match="found no weight classes/kernel"):
        models.load_weights(tmp_path, models.named_weights(models.Classifier(CONFIG, 2)))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(InputError, match="could not read"):
        models.load(tmp_path)


def test_a_folder_without_a_model_or_of_another_format_is_named(tmp_path):
    with pytest.raises(InputError, match="found no model.json"):
        models.load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({"kind": "encoder", "encoder": {"layers": 3}}))
    with pytest.raises(InputError, match="found no encoder.vocabulary_size in .*model.json"):
        models.load(tmp_path)


@pytest.mark.parametrize("config", [CONFIG, MODERN], ids=["bert", "modern"])
def test_shapes_from_sizes_are_those_of_the_models(config):
    def shapes(model):
        return {name: tuple(v.shape) for name, v in models.named_weights(model).items()}

    assert shapes(models.Pretrainer(config)) == weight_shapes.pretrainer(config)
    wanted = weight_shapes.encoder(config) | weight_shapes.classes(config, 3)
    assert shapes(models.TokenClassifier(config, 3)) == wanted


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The files of a classifier's folder, `model.json` as a dict."""
    folder = tmp_path_factory.mktemp("saved")
    models.save(folder, models.Classifier(CONFIG, 3, seed=5), labels=("a", "b", "c"))
    described = json.loads((folder / "model.json").read_text())
    return described, safetensors.numpy.load_file(folder / "model.safetensors")


def write(folder, described, weights):
    """A model folder as version 0.2 wrote it, without checksums."""
    described = {key: value for key, value in described.items() if key != checksums.KEY}
    (folder / "model.json").write_text(json.dumps(described))
    safetensors.numpy.save_file(weights, folder / "model.safetensors")


def of_encoder(**fields):
    return lambda described: described | {"encoder": described["encoder"] | fields}


DESCRIPTIONS = {
    "layers below none": (of_encoder(num_layers=-1), "encoder.num_layers=-1 .*wanted a number fro"),
    "more layers": (of_encoder(num_layers=2), "found no weight encoder/layer_1/.*wanted one"),
    "many layers": (of_encoder(num_layers=10**6), "encoder.num_layers=1000000 .*wanted a number"),
    "a huge vocabulary": (of_encoder(vocabulary_size=1 << 24), r"\(50, 8\).*wanted \(16777216,"),
    "a huge width": (of_encoder(hidden_dim=1 << 16), r"\(50, 8\) .*wanted \(50, 65536\)"),
    "heads that do not divide": (of_encoder(num_heads=3), "hidden_dim=8 and num_heads=3; wanted"),
    "another part": (of_encoder(norm="pre"), "found no weight encoder/final_norm/gamma"),
    "a surplus weight": (of_encoder(positions="rotary"), "such as encoder/embeddings/position"),
    "an unknown key": (lambda d: d | {"lables": []}, "found 'lables' in .*wanted no keys but"),
    "no kind": (lambda d: d | {"kind": "poem"}, "found a model of kind 'poem'; wanted one of"),
    "fewer labels": (lambda d: d | {"labels": ["a"]}, "found 1 labels and num_labels=3"),
    "labels that are no texts": (lambda d: d | {"labels": ["a", 1, "c"]}, r"labels\[1\]=1 in"),
    "fewer outputs": (
        lambda d: d | {"labels": ["a"], "num_labels": 1},
        r"weight classes/kernel of shape \(8, 3\) .*wanted \(8, 1\)",
    ),
    "outputs without a number": (lambda d: d | {"num_labels": None}, "found no num_labels of a"),
    "an encoder of a classifier": (
        lambda d: d | {"kind": "encoder", "labels": [], "num_labels": None, "pooler": True},
        "found 2 weights in .* such as classes/bias; wanted none",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_a_description_that_does_not_fit_the_weights_is_refused(case, saved, tmp_path):
    change, message = DESCRIPTIONS[case]
    write(tmp_path, change(saved[0]), saved[1])
    # `describe` makes no model: what it refuses takes no memory.
    read = models.load if case == "an encoder of a classifier" else models.describe
    with pytest.raises(InputError, match=message):
        read(tmp_path)


WEIGHTS = {
    "none": (lambda w: {}, "found no weight encoder/embeddings/token in"),
    "one more": (lambda w: w | {"encoder/x": np.zeros(2, np.float32)}, "such as encoder/x"),
    "one more head": (lambda w: w | {"x/y": np.zeros(2, np.float32)}, "1 weights .* such as x/y"),
    "whole numbers": (
        lambda w: {name: value.astype(np.int64) for name, value in w.items()},
        "found weight encoder/embeddings/token of type I64 in .*wanted F32",
    ),
    "no numbers": (
        lambda w: w | {"classes/bias": np.array([1, np.nan, 2], np.float32)},
        "found NaN or infinite numbers in weight classes/bias of",
    ),
    "beyond float32": (lambda w: w | {"classes/bias": np.full(3, 1e300)}, "found NaN or infinite"),
}  # fmt: skip


@pytest.mark.parametrize("case", WEIGHTS)
@pytest.mark.filterwarnings("ignore:overflow")
def test_weights_that_do_not_fit_are_refused(case, saved, tmp_path):
    change, message = WEIGHTS[case]
    write(tmp_path, saved[0], change(saved[1]))
    with pytest.raises(InputError, match=message):
        models.load(tmp_path)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_weights_of_other_floats_are_read_as_float32(dtype, saved, tmp_path):
    stored = {name: value.astype(dtype) for name, value in saved[1].items()}
    write(tmp_path, saved[0], stored)
    for name, variable in models.named_weights(models.load(tmp_path)).items():
        assert variable.dtype == "float32"
        np.testing.assert_array_equal(variable.numpy(), stored[name].astype(np.float32))


def test_one_flipped_byte_of_the_weights_and_a_changed_size_are_seen(tmp_path):
    models.save(tmp_path, models.Pretrainer(CONFIG))
    weights, described = tmp_path / "model.safetensors", tmp_path / "model.json"
    content = bytearray(weights.read_bytes())
    content[-9] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=f"found another model.safetensors in {tmp_path} than was"):
        models.load(tmp_path)
    # Heads have no shape of their own: nothing but the checksum tells that there were two.
    described.write_text(described.read_text().replace('"num_heads": 2', '"num_heads": 4'))
    with pytest.raises(InputError, match='found another model.json .* take model.json out of "sha'):
        models.describe(tmp_path)
    on_purpose = json.loads(described.read_text())
    del on_purpose["sha256"]["model.json"], on_purpose["sha256"]["model.safetensors"]
    described.write_text(json.dumps(on_purpose))
    assert models.load(tmp_path).config.num_heads == 4


def test_what_is_no_file_is_refused(saved, tmp_path):
    write(tmp_path, *saved)
    for name, message in (
        ("model.safetensors", "could not read .*model.safetensors"),
        ("model.json", "found no file .*model.json"),
    ):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match=message):
            models.load(tmp_path)
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        with pytest.raises(InputError, match=message):
            models.load(tmp_path)


def test_a_description_that_could_not_be_read_again_is_not_written(tmp_path):
    with pytest.raises(InputError, match="found 2 labels and num_labels=3"):
        models.save(tmp_path, models.Classifier(CONFIG, 3), labels=("a", "b"))
    with pytest.raises(InputError, match="found 'colour' in the description for"):
        models.save(tmp_path, models.Pretrainer(CONFIG), colour="red")
    assert not list(tmp_path.iterdir())
