"""The model part for LiteRT: it answers as the model does, and its interpreter is asked here."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models, tasks, tokenizers
from roots_tf.export import hugging_face, litert, row_model
from roots_tf.storage.files import InputError
from tests.export import row_models
from tests.export.conftest import VOCABULARY, random_features
from tests.export.row_models import expected


@pytest.fixture
def save(tmp_path):
    """Saves a model of random weights, large ones; gives its folder."""
    return lambda name="classification", parts="bert": row_models.save(
        tmp_path / f"{name}_{parts}", name, parts
    )


def run(folder: Path, features: dict) -> dict[str, np.ndarray]:
    """What the file says, whatever stands on the padding."""
    inside = features["padding_mask"]
    inputs = {
        "token_ids": tf.where(inside, features["token_ids"], 999_999),
        "segment_ids": tf.where(inside, features["segment_ids"], 7),
        "padding_mask": tf.cast(inside, tf.int32),
    }
    ask = litert.runner((folder / "model.tflite").read_bytes())
    return ask(**{name: value.numpy() for name, value in inputs.items()})


@pytest.mark.parametrize("name", ["encoder", "classification", "regression", "tagging"])
def test_batches_of_any_length_give_what_the_model_gives(save, tmp_path, name):
    source = save(name)
    litert.write(tmp_path / "out", source)
    for length in (20, 7):
        features = random_features(len(VOCABULARY), rows=5, length=length)
        wanted, found = expected(source, features), run(tmp_path / "out", features)
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert value.std() > 0.05
            np.testing.assert_allclose(found[key], value, atol=1e-4 * max(1, abs(value).max()))


@pytest.mark.parametrize(("parts", "length"), [("modern", 0), ("modern", 16), ("tanh", 16)])
def test_all_parts_of_encoders_convert(save, tmp_path, parts, length):
    source = save("tagging", parts)
    said = litert.write(tmp_path / "out", source, length=length)
    assert said["label_agreement"] == 1.0
    assert said["largest_difference"] < 1e-4
    features = random_features(len(VOCABULARY), rows=1, length=16)
    np.testing.assert_allclose(
        run(tmp_path / "out", features)["logits"], expected(source, features)["logits"], atol=1e-4
    )


def test_the_signature_and_the_folder(save, tmp_path):
    source = save()
    said = litert.write(tmp_path / "out", source, length=16)
    assert json.loads((tmp_path / "out" / "litert.json").read_text("utf-8")) == said
    content = (tmp_path / "out" / "model.tflite").read_bytes()
    assert said["bytes"] == len(content)
    interpreter = tf.lite.Interpreter(model_content=content)
    details = interpreter.get_signature_runner(litert.SIGNATURE).get_input_details()
    assert {
        name: (d["shape"].tolist(), d["dtype"]) for name, d in details.items()
    } == dict.fromkeys(("token_ids", "segment_ids", "padding_mask"), ([1, 16], np.int32))
    ops = {op["op_name"] for op in tf.lite.Interpreter(model_content=content)._get_ops_details()}
    assert not [name for name in ops if name.startswith("Flex")]  # a phone has no TensorFlow
    assert tokenizers.load(tmp_path / "out").fingerprint == tokenizers.load(source).fingerprint


def test_vectors_are_made_as_the_folder_says(save, tmp_path):
    source = save("encoder")
    settings = models.EmbeddingSettings("cls", True, 9, {"query": "the "}, "query")
    model = models.load(source)
    models.save(source, model, embedding=vars(settings))
    said = litert.write(tmp_path / "out", source)
    assert said["embedding"] == vars(settings)
    features = random_features(len(VOCABULARY))
    wanted = model.encoder(features).numpy()[:, 0]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = run(tmp_path / "out", features)["embedding"]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("quantize", "share"), [pytest.param("float16", 0.55, marks=pytest.mark.slow), ("int8", 0.40)]
)
def test_quantised_files_are_smaller_and_say_how_they_differ(
    minilm, tmp_path_factory, quantize, share
):
    """On all-MiniLM-L6-v2, 91 MB in float32."""
    folder = tmp_path_factory.mktemp(quantize)
    found = hugging_face.read(minilm)
    models.save(folder / "model", found.model, **found.description)
    found.tokenizer.save(folder / "model")
    said = litert.write(folder / "out", folder / "model", quantize)
    size = 4 * sum(variable.shape.num_elements() for variable in found.model.encoder.variables)
    assert said["bytes"] < share * size
    assert said["least_cosine"] > (0.9999 if quantize == "float16" else 0.98)
    assert 0 < said["largest_difference"] < 1


def test_a_file_that_answers_otherwise_is_refused(save, tmp_path, monkeypatch):
    source = save()
    config = models.describe(source)["encoder"]
    kind = tasks.kind_of(models.describe(source))
    other = row_model.RowModel(models.Classifier(config, 3, seed=2), kind, 0, 0)
    content = litert.convert(other, "none")
    monkeypatch.setattr(litert, "convert", lambda rows, quantize: content)
    with pytest.raises(InputError, match="the file's logits differs from the model's"):
        litert.write(tmp_path / "out", source)
    assert not (tmp_path / "out").exists()


def test_wrong_settings_are_named(save, tmp_path):
    source = save()
    for settings, message in (
        ({"quantize": "int4"}, "found quantize='int4'; wanted none, float16, int8"),
        ({"length": 2}, "found a length of 2; wanted 3 to 24"),
        ({"length": 25}, "found a length of 25; wanted 3 to 24"),
    ):
        with pytest.raises(InputError, match=message):
            litert.write(tmp_path / "out", source, **settings)
    with pytest.raises(InputError, match="wanted a new folder"):
        litert.write(source, source)
