"""The model for ONNX Runtime: it answers as the model does, and what is wrong is named."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines import export
from roots_tf import models, tokenizers
from roots_tf.models.config import ADDED
from roots_tf.storage.files import InputError
from tests.export import row_models
from tests.export.conftest import VOCABULARY, random_features

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from roots_tf.export import onnx_folder  # noqa: E402  which needs both


@pytest.fixture
def save(tmp_path):
    """Saves a model of random weights, large ones; gives its folder."""
    return lambda name="classification", parts="bert": row_models.save(
        tmp_path / f"{name}_{parts}", name, parts
    )


def ask(folder: Path, features: dict, file: str = "model.onnx") -> dict[str, np.ndarray]:
    """What the file says, asked as its readers do."""
    session = onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
    inputs = {
        "input_ids": features["token_ids"],
        "attention_mask": features["padding_mask"],
        "token_type_ids": features["segment_ids"],
    }
    names = [node.name for node in session.get_inputs()]
    feeds = {name: tf.cast(inputs[name], tf.int64).numpy() for name in names}
    outputs = [node.name for node in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, feeds), strict=True))


def assert_same(found: np.ndarray, wanted: np.ndarray) -> None:
    assert wanted.std() > 0.05
    np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1, abs(wanted).max()))


@pytest.mark.parametrize("name", ["encoder", "classification", "regression", "tagging"])
def test_batches_of_any_length_give_what_the_model_gives(save, tmp_path, name):
    source = save(name)
    onnx_folder.write(tmp_path / "out", source)
    for rows, length in ((5, 20), (2, 7)):
        features = random_features(len(VOCABULARY), rows=rows, length=length)
        wanted, found = row_models.expected(source, features), ask(tmp_path / "out", features)
        for key, value in wanted.items():
            inside = features["padding_mask"].numpy() if value.ndim == 3 else slice(None)
            assert_same(found[key][inside], value[inside])


@pytest.mark.parametrize("parts", [name for name in row_models.PARTS if name != "bert"])
@pytest.mark.parametrize("name", ["encoder", "classification"])
def test_all_parts_of_encoders(save, tmp_path, name, parts):
    source = save(name, parts)
    onnx_folder.write(tmp_path / "out", source)
    features = random_features(len(VOCABULARY), rows=6, length=20)
    ((key, wanted),) = row_models.expected(source, features).items()
    found = ask(tmp_path / "out", features)
    assert_same(found[key], wanted)
    if name == "encoder":
        states = models.load(source).encoder(features).numpy()
        inside = features["padding_mask"].numpy()
        assert_same(found["last_hidden_state"][inside], states[inside])


@pytest.mark.parametrize(("pooling", "l2_normalize"), [("cls", True), ("pooler", False)])
def test_vectors_are_made_as_flags_say(save, tmp_path, pooling, l2_normalize):
    source = save("encoder")
    flags = {"pooling": pooling, "l2_normalize": l2_normalize, "max_seq_length": 9}
    export.main(
        export.Config(model=str(source), output=str(tmp_path / "out"), format="onnx", **flags)
    )
    said = json.loads((tmp_path / "out" / "onnx.json").read_text("utf-8"))
    assert said["max_seq_length"] == 9 and said["embedding"]["pooling"] == pooling
    features = random_features(len(VOCABULARY))
    wanted = models.pooling.embed(models.load(source), features, pooling, l2_normalize)
    assert_same(ask(tmp_path / "out", features)["embedding"], wanted.numpy())
    assert "--format=onnx" in (tmp_path / "out" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("parts", ["modern", "own"])
def test_the_head_over_the_vocabulary_reads_the_states(save, tmp_path, parts):
    source = save("pretrainer", parts)
    onnx_folder.write(tmp_path / "out", source)
    features = random_features(len(VOCABULARY))
    states = ask(tmp_path / "out", features)["last_hidden_state"]
    places = features["masked_lm_positions"].numpy()
    rows = np.take_along_axis(states, places[..., None], 1).reshape(-1, states.shape[-1])
    head = onnxruntime.InferenceSession(tmp_path / "out" / onnx_folder.MASKED_LM)
    [logits] = head.run(["logits"], {"hidden_states": rows})
    assert_same(logits, models.load(source)(features)["masked_lm_logits"].numpy())


def test_the_file_is_of_standard_operators(save, tmp_path):
    said = onnx_folder.write(tmp_path / "out", save("pairs"))
    assert json.loads((tmp_path / "out" / "onnx.json").read_text("utf-8")) == said
    model = onnx.load(tmp_path / "out" / "model.onnx")
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    shapes = {
        node.name: [dim.dim_param or dim.dim_value for dim in node.type.tensor_type.shape.dim]
        for node in (*model.graph.input, *model.graph.output)
    }
    names = ("input_ids", "attention_mask", "token_type_ids")
    assert shapes == dict.fromkeys(names, ["batch", "length"]) | {"logits": ["batch", 3]}
    tokenizer = tokenizers.load(tmp_path / "out")
    assert tokenizer.encode(["the ship."])[0].tolist() == [34, 35, 36]


def test_the_same_model_gives_the_same_bytes(save, tmp_path):
    source = save("regression", "modern")
    for name in ("a", "b"):
        onnx_folder.write(tmp_path / name, source)
    first, second = (sorted((tmp_path / name).iterdir()) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_int8_is_smaller_and_says_how_it_differs(save, tmp_path):
    source = save("classification")
    whole = onnx_folder.write(tmp_path / "whole", source)
    said = onnx_folder.write(tmp_path / "out", source, "int8")
    assert whole["largest_difference"] < 1e-5 < said["largest_difference"]
    assert said["least_cosine"] > 0.9 and said["bytes"] < whole["bytes"]
    features = random_features(len(VOCABULARY))
    ask(tmp_path / "out", features)


@pytest.mark.parametrize("part", ADDED)
def test_parts_that_tuning_adds_are_refused(tmp_path, part):
    config = models.EncoderConfig(
        vocabulary_size=len(VOCABULARY), num_layers=1, hidden_dim=16, num_heads=2,
        intermediate_dim=24, max_sequence_length=20, **{part: 3},
    )  # fmt: skip
    models.save(tmp_path / "model", models.PooledEncoder(config))
    with pytest.raises(InputError, match=f"{part}=3 .*a file of ONNX has {part}=0 only"):
        onnx_folder.write(tmp_path / "out", tmp_path / "model")
    assert not (tmp_path / "out").exists()


def test_a_file_that_answers_otherwise_is_refused(save, tmp_path, monkeypatch):
    config = models.describe(source := save())["encoder"]
    other = models.Classifier(config, 3, seed=2)
    graph_of = onnx_folder.graph_of
    monkeypatch.setattr(onnx_folder, "graph_of", lambda model, *rest: graph_of(other, *rest))
    with pytest.raises(InputError, match="the file's logits differs from the model's"):
        onnx_folder.write(tmp_path / "out", source)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"quantize": "float16"}, "found --quantize=float16 and --format=onnx"),
        ({"pooling": "cls"}, "found --pooling and a model of the task classification"),
    ],
)
def test_wrong_flags_are_named(save, tmp_path, flags, message):
    with pytest.raises(InputError, match=message):
        export.main(
            export.Config(model=str(save()), output=str(tmp_path / "out"), format="onnx", **flags)
        )
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    config = export.Config(model="nowhere", output=str(tmp_path / "out"), format="onnx")
    with pytest.raises(InputError, match="found no package onnxruntime.*roots-tf.onnx."):
        export.main(config)
