"""Hugging Face folders in and out: the numbers of transformers, bit for bit and to 1e-5."""

import importlib
import json
import shutil

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import tensorflow as tf

from pipelines import export
from roots_tf import models, tokenizers
from roots_tf.export import hugging_face
from roots_tf.storage.files import InputError
from tests.export.conftest import VOCABULARY, features_of, random_features, torch_inputs
from tests.export.numpy_bert import NumpyBert

import_checkpoint = importlib.import_module("pipelines.import")


def take_in(folder, output):
    """Imports a folder, and gives the model as it is read back."""
    described = import_checkpoint.main(
        import_checkpoint.Config(from_=str(folder), output=str(output))
    )
    return described, models.load(output)


def give_out(model, output):
    """Exports a model folder, and gives its weights."""
    export.main(export.Config(model=str(model), output=str(output), format="huggingface"))
    with safetensors.safe_open(output / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
    return safetensors.numpy.load_file(output / "model.safetensors")


def assert_same_weights(found, wanted):
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# Real weights, real text.


@pytest.fixture(scope="module")
def imported(minilm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "minilm"
    described, _ = take_in(minilm, folder)
    assert (described["kind"], described["pooler"]) == ("encoder", True)
    return folder


@pytest.mark.slow
def test_hidden_states_of_a_real_checkpoint_are_those_of_pytorch(minilm, imported, sentences):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    theirs = transformers.AutoModel.from_pretrained(minilm).eval()
    ours, tokenizer = models.load(imported), tokenizers.load(imported)
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(minilm)
    run = tf.function(ours, reduce_retracing=True)
    padded = [sentences[start : start + 25] for start in range(0, 200, 25)]
    for texts in padded + [[text] for text in sentences[::10]]:
        features = features_of(texts, tokenizer, 128)
        batch = their_tokenizer(
            texts, truncation=True, max_length=128, padding=True, return_tensors="np"
        )
        np.testing.assert_array_equal(features["token_ids"], batch["input_ids"])
        with torch.no_grad():
            found, wanted = run(features), theirs(**torch_inputs(features))
        inside = features["padding_mask"].numpy()
        np.testing.assert_allclose(
            found["hidden_states"].numpy()[inside],
            wanted.last_hidden_state.numpy()[inside],
            atol=1e-5,
        )
        np.testing.assert_allclose(found["pooled"], wanted.pooler_output, atol=1e-5)


@pytest.mark.slow
def test_a_real_checkpoint_comes_back_bit_equal_and_loads(minilm, imported, tmp_path):
    found = give_out(imported, tmp_path / "out")
    wanted = safetensors.numpy.load_file(minilm / "model.safetensors")
    del wanted["embeddings.position_ids"]  # 0, 1, 2, ...
    assert_same_weights(found, wanted)
    before = json.loads((minilm / "config.json").read_text())
    after = json.loads((tmp_path / "out" / "config.json").read_text())
    for name in set(before) & set(after):
        assert after[name] == before[name], name
    assert NumpyBert.load(tmp_path / "out").architecture == "BertModel"
    again, _ = take_in(tmp_path / "out", tmp_path / "again")
    assert again == json.loads((imported / "model.json").read_text())
    one, other = (
        safetensors.numpy.load_file(folder / "model.safetensors")
        for folder in (imported, tmp_path / "again")
    )
    assert_same_weights(other, one)


# Every kind of head, small and of random weights.


def assert_same_logits(ours, theirs):
    """Both pretraining heads give the same."""
    features = random_features(len(VOCABULARY))
    found, wanted = ours(features), theirs(features)
    logits = tf.gather(wanted.prediction_logits, features["masked_lm_positions"], batch_dims=1)
    np.testing.assert_allclose(
        found["masked_lm_logits"], tf.reshape(logits, [-1, len(VOCABULARY)]), atol=1e-5
    )
    np.testing.assert_allclose(
        found["next_sentence_logits"], wanted.seq_relationship_logits, atol=1e-5
    )


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_a_model_with_both_heads_comes_in_and_goes_out(save_hugging_face, tmp_path, activation):
    theirs, folder = save_hugging_face("BertForPreTraining", hidden_act=activation)
    described, ours = take_in(folder, tmp_path / "ours")
    assert (described["kind"], described["untrained"]) == ("pretrainer", [])
    assert_same_logits(ours, theirs)
    out = give_out(tmp_path / "ours", tmp_path / "out")
    assert_same_weights(out, safetensors.numpy.load_file(folder / "model.safetensors"))
    assert NumpyBert.load(tmp_path / "out").architecture == "BertForPreTraining"


def test_a_model_of_ours_gives_the_same_logits_in_transformers(tmp_path):
    config = models.EncoderConfig(
        vocabulary_size=len(VOCABULARY), num_layers=2, hidden_dim=16, num_heads=2,
        intermediate_dim=24, max_sequence_length=20, num_segments=3, initializer_range=0.3,
        layer_norm_epsilon=1e-3, activation="gelu_tanh",
    )  # fmt: skip
    ours = models.Pretrainer(config, seed=5)
    models.save(tmp_path / "ours", ours)
    tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=True).save(tmp_path / "ours")
    give_out(tmp_path / "ours", tmp_path / "out")
    theirs = NumpyBert.load(tmp_path / "out")
    assert_same_logits(ours, theirs)


def test_a_vocabulary_head_alone_leaves_the_other_untrained(save_hugging_face, tmp_path):
    theirs, folder = save_hugging_face("BertForMaskedLM")
    described, ours = take_in(folder, tmp_path / "ours")
    assert described["untrained"] == ["next_sentence", "pooler"]
    features = random_features(len(VOCABULARY))
    logits = tf.gather(theirs(features).logits, features["masked_lm_positions"], batch_dims=1)
    np.testing.assert_allclose(
        ours(features)["masked_lm_logits"],
        tf.reshape(logits, [-1, len(VOCABULARY)]),
        atol=1e-5,
    )
    out = give_out(tmp_path / "ours", tmp_path / "out")
    assert_same_weights(out, safetensors.numpy.load_file(folder / "model.safetensors"))
    assert NumpyBert.load(tmp_path / "out").architecture == "BertForMaskedLM"


@pytest.mark.parametrize(
    ("architecture", "fields", "kind", "task", "labels"),
    [
        (
            "BertForSequenceClassification",
            {"id2label": {0: "bad", 1: "good", 2: "so"}},
            *("classifier", "classification", ["bad", "good", "so"]),
        ),
        ("BertForSequenceClassification", {"num_labels": 1}, "classifier", "regression", []),
        (
            "BertForTokenClassification",
            {"id2label": {0: "O", 1: "B-PER", 2: "I-PER"}},
            *("token_classifier", "tagging", ["O", "B-PER", "I-PER"]),
        ),
        ("BertForQuestionAnswering", {}, "token_classifier", "question_answering", []),
        ("BertForMultipleChoice", {}, "classifier", "multiple_choice", []),
    ],
)
def test_heads_of_tasks_come_in_and_go_out(
    save_hugging_face, tmp_path, architecture, fields, kind, task, labels
):
    theirs, folder = save_hugging_face(architecture, **fields)
    described, ours = take_in(folder, tmp_path / "ours")
    assert (described["kind"], described["task"]["name"]) == (kind, task)
    assert described["labels"] == labels
    features = random_features(len(VOCABULARY))
    wanted = theirs(features)
    if task == "question_answering":
        logits = np.stack([wanted.start_logits, wanted.end_logits], -1)
    else:
        logits = wanted.logits
    found = ours(features).numpy()
    if kind == "token_classifier":
        inside = features["padding_mask"].numpy()
        found, logits = found[inside], logits[inside]
    np.testing.assert_allclose(found, logits, atol=1e-5)
    out = give_out(tmp_path / "ours", tmp_path / "out")
    assert_same_weights(out, safetensors.numpy.load_file(folder / "model.safetensors"))
    again = NumpyBert.load(tmp_path / "out")
    assert [again.config["id2label"][str(i)] for i in range(len(labels))] == labels


def test_values_of_a_regression_leave_in_their_own_unit(tmp_path):
    config = models.EncoderConfig(
        vocabulary_size=len(VOCABULARY), num_layers=1, hidden_dim=16, num_heads=2,
        intermediate_dim=24, max_sequence_length=20, initializer_range=0.3,
    )  # fmt: skip
    ours = models.Classifier(config, 1, seed=5)
    task = {"name": "regression", "mean": 7.5, "deviation": 3.0}
    models.save(tmp_path / "ours", ours, num_labels=1, task=task)
    tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=True).save(tmp_path / "ours")
    give_out(tmp_path / "ours", tmp_path / "out")
    theirs = NumpyBert.load(tmp_path / "out")
    features = random_features(len(VOCABULARY))
    np.testing.assert_allclose(theirs(features).logits, ours(features).numpy() * 3 + 7.5, atol=2e-5)


def test_an_encoder_without_a_pooler_and_old_names_of_norms(save_hugging_face, tmp_path):
    theirs, folder = save_hugging_face("BertModel")
    path = folder / "model.safetensors"
    stored = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): array
        for name, array in safetensors.numpy.load_file(path).items()
        if "pooler" not in name
    }
    safetensors.numpy.save_file(stored, path)
    described, ours = take_in(folder, tmp_path / "ours")
    assert (described["kind"], described["pooler"]) == ("encoder", False)
    features = random_features(len(VOCABULARY))
    inside = features["padding_mask"].numpy()
    np.testing.assert_allclose(
        ours(features)["hidden_states"].numpy()[inside],
        theirs(features).last_hidden_state[inside],
        atol=1e-5,
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_widened(save_hugging_face, tmp_path, dtype):
    theirs, folder = save_hugging_face("BertModel")
    halves = {name: tf.cast(array, dtype) for name, array in theirs.weights.items()}
    of_numpy = {name: half.numpy() for name, half in halves.items()}
    safetensors.numpy.save_file(of_numpy, folder / "model.safetensors")
    _, ours = take_in(folder, tmp_path / "ours")
    wanted = tf.cast(halves["pooler.dense.weight"], tf.float32)
    np.testing.assert_array_equal(ours.pooler.kernel, tf.transpose(wanted))


# What cannot be taken in.


@pytest.fixture
def folder(save_hugging_face):
    return save_hugging_face("BertForPreTraining")[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, r"model_type='roberta' in .*config.json; wanted 'bert'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ({"hidden_act": "relu"}, "hidden_act='relu' in .*config.json; wanted one of gelu, "),
        ({"is_decoder": True}, "is_decoder=True"),
        ({"hidden_size": None}, "hidden_size=None in .*config.json; wanted a whole number"),
        (
            {"intermediate_size": 32},
            r"0.intermediate.dense.weight of shape \(24, 16\).*\(32, 16\)",
        ),
        ({"num_hidden_layers": 3}, "found no weight encoder.layer.2.attention.self.query.weight"),
        ({"num_attention_heads": 3}, "hidden_dim=16 and num_heads=3"),
        ({"vocab_size": 30}, "found 37 tokens and an embedding of 30"),
    ],
)
def test_a_config_that_does_not_fit(folder, tmp_path, changes, message):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=message):
        take_in(folder, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_several_labels_a_text_are_refused(save_hugging_face, tmp_path):
    _, folder = save_hugging_face(
        "BertForSequenceClassification", num_labels=3, problem_type="multi_label_classification"
    )
    with pytest.raises(InputError, match="problem_type='multi_label_classification'"):
        take_in(folder, tmp_path / "ours")


def test_pickles_are_refused_unread(folder, tmp_path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"only pytorch_model.bin, a pickle.*save_pretrained"):
        take_in(folder, tmp_path / "ours")


def test_damaged_missing_and_untied_weights(folder, tmp_path):
    path = folder / "model.safetensors"
    whole, stored = path.read_bytes(), safetensors.numpy.load_file(path)
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"could not read .*model.safetensors"):
        take_in(folder, tmp_path / "ours")
    stored["cls.predictions.decoder.weight"] = stored["bert.embeddings.word_embeddings.weight"]
    safetensors.numpy.save_file(stored, path)
    take_in(folder, tmp_path / "tied")
    stored["cls.predictions.decoder.weight"] = stored["cls.predictions.decoder.weight"] + 1
    safetensors.numpy.save_file(stored, path)
    with pytest.raises(InputError, match="decoder.weight other than embeddings.word_embeddings"):
        take_in(folder, tmp_path / "ours")
    del stored["cls.predictions.decoder.weight"], stored["cls.predictions.bias"]
    safetensors.numpy.save_file(stored, path)
    with pytest.raises(InputError, match=r"no weight cls.predictions.bias in .*model.safetensors"):
        take_in(folder, tmp_path / "ours")
    path.unlink()
    with pytest.raises(InputError, match="found no model.safetensors"):
        take_in(folder, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"norm": "pre"}, "norm='pre'"),
        ({"positions": "rotary"}, "positions='rotary'"),
        ({"feed_forward": "glu", "bias": False}, "feed_forward='glu', bias=False"),
        ({"window": 4}, "window=4"),
        ({"normalization": "rms", "embedding_norm": False}, "normalization='rms', embedding_norm"),
        ({"num_key_value_heads": 1, "head_size": 2}, "num_key_value_heads=1, head_size=2"),
        ({"query_key_norm": True, "masked_logit_cap": 9.0}, "query_key_norm=True, masked_logit_c"),
        ({"num_segments": 0}, "num_segments=0"),
        ({"activation": "relu_squared"}, "activation='relu_squared'"),
        ({"activation": "silu", "num_key_value_heads": 2}, "activation='silu'"),
    ],
)
def test_parts_that_bert_lacks_are_named(tmp_path, fields, part):
    config = models.EncoderConfig(
        vocabulary_size=len(VOCABULARY), num_layers=1, hidden_dim=8, num_heads=2,
        intermediate_dim=8, **fields,
    )  # fmt: skip
    models.save(tmp_path / "ours", models.Pretrainer(config))
    tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=True).save(tmp_path / "ours")
    with pytest.raises(InputError, match=f"found {part}.* in the model of .*Hugging Face's BERT "):
        hugging_face.write(tmp_path / "out", tmp_path / "ours")
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_left_alone(folder, tmp_path):
    take_in(folder, tmp_path / "ours")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="wanted a new folder"):
        hugging_face.write(tmp_path / "ours", tmp_path / "ours")
    with pytest.raises(InputError, match="wanted a new folder"):
        take_in(folder, tmp_path / "ours")
    assert sorted(tmp_path.iterdir()) == before
    shutil.rmtree(tmp_path / "ours")
