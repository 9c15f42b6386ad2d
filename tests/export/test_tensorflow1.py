"""Checkpoints of google-research/bert: the outputs of its own graph, and clear refusals."""

import importlib
import json

import numpy as np
import pytest

from roots_tf import models, tokenizers
from roots_tf.export import tensorflow1
from roots_tf.storage.files import InputError
from tests.export import bert_tensorflow1
from tests.export.conftest import VOCABULARY, random_features

import_checkpoint = importlib.import_module("pipelines.import")

CONFIG = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 12,
    "initializer_range": 0.02,
    "intermediate_size": 20,
    "max_position_embeddings": 20,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": len(VOCABULARY),
}


def take_in(folder, output):
    described = import_checkpoint.main(
        import_checkpoint.Config(from_=str(folder), output=str(output))
    )
    return described, models.load(output)


def write(folder, heads=""):
    folder.mkdir()
    features = random_features(len(VOCABULARY))
    arrays = {name: feature.numpy() for name, feature in features.items()}
    return features, bert_tensorflow1.write(folder, CONFIG, VOCABULARY, arrays, heads)


def test_a_pretraining_checkpoint_gives_the_logits_of_its_graph(tmp_path):
    features, wanted = write(tmp_path / "theirs", "pretraining")
    described, ours = take_in(tmp_path / "theirs", tmp_path / "ours")
    assert (described["kind"], described["untrained"]) == ("pretrainer", [])
    assert described["encoder"]["activation"] == "gelu_tanh"
    found = ours(features)
    np.testing.assert_allclose(
        found["masked_lm_logits"],
        wanted["masked_lm_logits"].reshape(-1, len(VOCABULARY)),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        found["next_sentence_logits"], wanted["next_sentence_logits"], atol=1e-5
    )
    assert tokenizers.load(tmp_path / "ours").vocabulary == VOCABULARY


def test_a_checkpoint_without_heads_is_an_encoder(tmp_path):
    features, wanted = write(tmp_path / "theirs")
    described, ours = take_in(tmp_path / "theirs", tmp_path / "ours")
    assert (described["kind"], described["pooler"]) == ("encoder", True)
    found, inside = ours(features), features["padding_mask"].numpy()
    np.testing.assert_allclose(
        found["hidden_states"].numpy()[inside], wanted["hidden_states"][inside], atol=1e-5
    )
    np.testing.assert_allclose(found["pooled"], wanted["pooled"], atol=1e-5)
    # The optimizer's slots and the step are no weights.
    assert tensorflow1.read(tmp_path / "theirs").unused == ()


@pytest.mark.parametrize(
    ("heads", "kind", "task", "labels"),
    [
        ("classes", "classifier", "classification", ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ("squad", "token_classifier", "question_answering", []),
    ],
)
def test_heads_of_fine_tuning_come_along(tmp_path, caplog, heads, kind, task, labels):
    features, wanted = write(tmp_path / "theirs", heads)
    described, ours = take_in(tmp_path / "theirs", tmp_path / "ours")
    assert (described["kind"], described["task"]["name"]) == (kind, task)
    assert described["labels"] == labels
    found, logits = ours(features).numpy(), wanted["logits"]
    if heads == "squad":
        inside = features["padding_mask"].numpy()
        found, logits = found[inside], logits[inside]
    np.testing.assert_allclose(found, logits, atol=1e-5)
    assert "adam" not in caplog.text and "beta1" not in caplog.text


def test_what_does_not_fit_is_named(tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    write(theirs)

    def refused(message):
        with pytest.raises(InputError, match=message):
            take_in(theirs, ours)
        assert not ours.exists()

    def write_config(**changes):
        (theirs / "bert_config.json").write_text(json.dumps(CONFIG | changes))

    write_config(num_hidden_layers=3)
    refused("found no weight bert/encoder/layer_2/attention/self/query/kernel in .*bert_model.ckpt")
    write_config(intermediate_size=21)
    refused(r"bert/encoder/layer_0/intermediate/dense/kernel of shape \(12, 20\).*\(12, 21\)")
    write_config(hidden_act="relu")
    refused("hidden_act='relu' in .*bert_config.json")
    write_config()
    data = theirs / "bert_model.ckpt.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    refused("could not read .*bert_model.ckpt")
    flipped = bytearray(whole)
    flipped[10] ^= 1
    data.write_bytes(flipped)
    refused("could not read .*bert_model.ckpt")
    data.unlink()
    refused("could not read .*bert_model.ckpt")
    data.write_bytes(whole)
    index = theirs / "bert_model.ckpt.index"
    index.with_name("other.ckpt.index").write_bytes(index.read_bytes())
    refused("found 2 checkpoints")
    for path in theirs.glob("*.index"):
        path.unlink()
    refused("found 0 checkpoints")
