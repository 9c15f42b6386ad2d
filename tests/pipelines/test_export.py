"""`export`: what is saved takes text, answers as the Python model does, and refuses to differ."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines import export
from roots_tf import models, tokenizers
from roots_tf.export import answering
from roots_tf.serving.model import Model
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import packing

LABELS = ("no", "perhaps", "yes")


@pytest.fixture(scope="module")
def classifier(work, tmp_path_factory):
    """A classifier whose weights are large enough that texts get different answers."""
    folder = tmp_path_factory.mktemp("classifier")
    tokenizer = tokenizers.load(work.model)
    config = models.EncoderConfig(
        vocabulary_size=tokenizer.size, num_layers=2, hidden_dim=16, num_heads=2,
        intermediate_dim=32, max_sequence_length=24, initializer_range=0.5,
    )  # fmt: skip
    models.save(folder, models.Classifier(config, 3, seed=1), LABELS)
    tokenizer.save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def served(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    path = export.main(export.Config(model=classifier, output=str(folder)))
    assert path == str(folder / "1")
    assert "serving_default" in Model(str(folder)).signatures  # `serve` takes it without --trust
    return path


def test_text_and_ids_give_what_the_model_gives(classifier, served):
    texts = ["Return the first item.", "", "x" * 3000, "a b " * 200, "\0 \ufffd ﬁ ½ 漢字"]
    tokenizer, model = tokenizers.load(classifier), models.load(classifier)
    ids, row_splits = tokenizer.encode(texts)
    features = packing.pack(tf.RaggedTensor.from_row_splits(ids, row_splits), None, 24, tokenizer)
    expected = tf.nn.softmax(model(features)).numpy()
    assert len(set(expected.argmax(-1))) > 1
    loaded = tf.saved_model.load(served)
    by_text = loaded.signatures["serving_default"](text=tf.constant(texts))
    inside = features["padding_mask"]
    by_ids = loaded.signatures["ids"](
        token_ids=tf.where(inside, features["token_ids"], 999_999),
        padding_mask=tf.cast(inside, tf.int32),
    )
    for outputs in (by_text, by_ids):
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
        np.testing.assert_allclose(outputs["score"], expected.max(-1), atol=1e-5)
        wanted = [LABELS[i].encode() for i in expected.argmax(-1)]
        assert outputs["label"].numpy().tolist() == wanted


def test_an_answer_does_not_depend_on_its_neighbours(served):
    signature = tf.saved_model.load(served).signatures["serving_default"]
    texts = ["Return the first item.", "", "a much longer text " * 30, b"\xff\xfe bytes", "short"]
    together = signature(text=tf.constant(texts))["probabilities"].numpy()
    alone = [signature(text=tf.constant([text]))["probabilities"].numpy()[0] for text in texts]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)
    assert signature(text=tf.constant([], tf.string))["probabilities"].shape == (0, 3)


def test_only_the_ops_that_a_server_links_are_needed(served):
    operations = json.loads(Path(served, "ops.json").read_text("utf-8"))
    assert operations["not_core_tensorflow"] == ["FastWordpieceTokenizeWithOffsets"]


def test_saved_model_cli_shows_the_signatures(served):
    code = "from tensorflow.python.tools import saved_model_cli as c; c.main()"
    shown = subprocess.run(
        [sys.executable, "-c", code, "show", "--dir", served, "--all"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "signature_def['serving_default']" in shown
    assert "inputs['text'] tensor_info:\n        dtype: DT_STRING\n        shape: (-1)" in shown


def test_a_pretrained_encoder_gives_the_mean_of_its_tokens(work, tmp_path):
    path = export.main(export.Config(model=work.model, output=str(tmp_path)))
    text = "Return the first item."
    found = tf.saved_model.load(path).signatures["serving_default"](text=tf.constant([text]))
    tokenizer, model = tokenizers.load(work.model), models.load(work.model)
    ids = [tokenizer.cls_id, *tokenizer.encode([text])[0], tokenizer.sep_id]
    features = {
        "token_ids": tf.constant([ids]),
        "segment_ids": tf.zeros([1, len(ids)], tf.int32),
        "padding_mask": tf.ones([1, len(ids)], tf.bool),
    }
    expected = tf.reduce_mean(model.encoder(features), 1)
    np.testing.assert_allclose(found["embedding"], expected, atol=1e-5)


def test_a_difference_is_refused_and_leaves_nothing(classifier, tmp_path, monkeypatch):
    def wrong(*args):
        rows = predictions(*args)
        rows[3]["probabilities"]["yes"] += 1e-4
        return rows

    predictions = answering.predictions
    monkeypatch.setattr(answering, "predictions", wrong)
    with pytest.raises(InputError, match="text 3 another way than Python .probabilities: yes"):
        export.main(export.Config(model=classifier, output=str(tmp_path / "out")))
    assert list((tmp_path / "out").iterdir()) == []


def test_an_existing_version_is_not_overwritten(classifier, served):
    with pytest.raises(InputError, match="wanted a new version"):
        export.main(export.Config(model=classifier, output=served.removesuffix("/1")))


def test_what_cannot_be_served_is_named(classifier, work, tmp_path):
    config = models.describe(classifier)["encoder"]
    models.save(tmp_path / "model", models.TokenClassifier(config, 3))
    tokenizers.load(classifier).save(tmp_path / "model")
    with pytest.raises(InputError, match="found a token_classifier without a task or names"):
        export.main(export.Config(model=str(tmp_path / "model"), output=str(tmp_path / "out")))
    models.save(tmp_path / "bare", models.PooledEncoder(config, pooler=False))
    tokenizers.load(classifier).save(tmp_path / "bare")
    with pytest.raises(InputError, match="found no trained pooler"):
        export.main(
            export.Config(
                model=str(tmp_path / "bare"), output=str(tmp_path / "out"), pooling="pooler"
            )
        )
    assert not (tmp_path / "out").exists()


def test_weights_are_saved_once(classifier, served):
    stored = tf.train.load_checkpoint(f"{served}/variables/variables").get_variable_to_shape_map()
    shapes = sorted(tuple(shape) for shape in stored.values() if shape)
    wanted = sorted(tuple(variable.shape) for variable in models.load(classifier).variables)
    assert shapes == wanted


def test_what_stands_beside_the_graph(classifier, served):
    card = Path(served, "README.md").read_text("utf-8")
    assert "`serving_default`" in card and "`perhaps`" in card
    assert f"roots export --model={Path(classifier).name} --output=" in card
    body = json.loads(Path(served, "requests", "serving_default.json").read_text("utf-8"))
    signature = tf.saved_model.load(served).signatures[body["signature_name"]]
    sent = {name: tf.constant(value) for name, value in body["inputs"].items()}
    assert signature(**sent)["label"].shape == (2,)


def test_each_format_is_written_by_its_flag(classifier, tmp_path):
    bert, preset = str(tmp_path / "bert"), str(tmp_path / "preset")
    path = export.main(export.Config(model=classifier, output=bert, format="huggingface"))
    config = json.loads(Path(path, "config.json").read_text("utf-8"))
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "no", "1": "perhaps", "2": "yes"}
    with pytest.raises(InputError, match="activation='gelu'"):
        export.main(export.Config(model=classifier, output=preset, format="keras_hub"))
    assert sorted(tmp_path.iterdir()) == [Path(bert)]


@pytest.mark.parametrize("format_", ["saved_model", "litert", "huggingface", "keras_hub"])
def test_flags_of_vectors_are_refused_of_a_model_with_a_task(classifier, tmp_path, format_):
    with pytest.raises(InputError, match="found --l2_normalize and a model of the task classif"):
        export.main(
            export.Config(
                model=classifier, output=str(tmp_path / "out"), format=format_, l2_normalize=False
            )
        )
    assert not (tmp_path / "out").exists()


def test_a_name_that_no_url_takes_is_refused_first(classifier, tmp_path):
    with pytest.raises(InputError, match="found 'my model' as a model's name"):
        export.main(export.Config(model=classifier, output=str(tmp_path / "my model")))
