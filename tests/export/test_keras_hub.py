"""keras-hub presets in and out: the outputs of its own classes, and what it cannot hold."""

import importlib
import json

import numpy as np
import pytest
import tensorflow as tf

from pipelines import export
from roots_tf import models, tokenizers
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.tokenizer import wordpiece
from tests.export.conftest import VOCABULARY, random_features

import_checkpoint = importlib.import_module("pipelines.import")

SIZES = {
    "vocabulary_size": len(VOCABULARY),
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 16,
    "intermediate_dim": 24,
    "max_sequence_length": 20,
}


def save_ours(folder, **fields) -> models.Pretrainer:
    fields = SIZES | {"activation": "gelu_tanh", "initializer_range": 0.3} | fields
    model = models.Pretrainer(models.EncoderConfig(**fields), seed=5)
    models.save(folder, model)
    wordpiece(VOCABULARY, lowercase=True).save(folder)
    return model


def give_out(tmp_path, **flags):
    return export.main(
        export.Config(
            model=str(tmp_path / "ours"), output=str(tmp_path / "out"), format="keras_hub", **flags
        )
    )


def take_in(folder, output):
    described = import_checkpoint.main(
        import_checkpoint.Config(from_=str(folder), output=str(output))
    )
    return described, models.load(output)


def assert_same_outputs(ours, backbone, features, atol=1e-5):
    names = ("token_ids", "segment_ids", "padding_mask")
    wanted = backbone({name: tf.cast(features[name], tf.int32) for name in names})
    hidden_states, inside = ours.encoder(features), features["padding_mask"].numpy()
    np.testing.assert_allclose(
        hidden_states.numpy()[inside], wanted["sequence_output"].numpy()[inside], atol=atol
    )
    np.testing.assert_allclose(ours.pooler(hidden_states), wanted["pooled_output"], atol=atol)


def test_a_model_of_ours_goes_out_and_comes_back(tmp_path):
    keras_hub = pytest.importorskip("keras_hub")
    ours = save_ours(tmp_path / "ours")
    out = give_out(tmp_path)
    backbone = keras_hub.models.BertBackbone.from_preset(out)
    assert_same_outputs(ours, backbone, random_features(len(VOCABULARY)))
    their_tokenizer = keras_hub.tokenizers.BertTokenizer.from_preset(out)
    assert np.array(their_tokenizer("The ship.")).tolist() == [34, 35, 36]
    described, back = take_in(out, tmp_path / "back")
    assert (described["kind"], described["pooler"]) == ("encoder", True)
    wanted = models.named_weights(ours)
    for name, variable in models.named_weights(back).items():
        np.testing.assert_array_equal(variable.numpy(), wanted[name].numpy(), err_msg=name)
    one, other = (tokenizers.load(tmp_path / name) for name in ("ours", "back"))
    assert one.vocabulary == other.vocabulary
    assert other.encode(["Thé ship."])[0].tolist() == one.encode(["Thé ship."])[0].tolist()


def test_a_preset_of_theirs_comes_in(tmp_path):
    keras_hub = pytest.importorskip("keras_hub")
    backbone = keras_hub.models.BertBackbone(**SIZES)
    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary=VOCABULARY, lowercase=True)
    preprocessor = keras_hub.models.BertMaskedLMPreprocessor(tokenizer, sequence_length=20)
    theirs = keras_hub.models.BertMaskedLM(backbone=backbone, preprocessor=preprocessor)
    random = np.random.default_rng(2)
    for variable in theirs.variables:
        if "seed_generator" not in variable.path:
            variable.assign(random.normal(scale=0.3, size=variable.shape))
    backbone.save_to_preset(tmp_path / "backbone")
    tokenizer.save_to_preset(tmp_path / "backbone")
    theirs.save_to_preset(tmp_path / "masked_lm")
    features = random_features(len(VOCABULARY))
    described, ours = take_in(tmp_path / "backbone", tmp_path / "encoder")
    assert (described["kind"], described["pooler"]) == ("encoder", True)
    assert_same_outputs(ours, backbone, features)
    described, ours = take_in(tmp_path / "masked_lm", tmp_path / "pretrainer")
    assert (described["kind"], described["untrained"]) == ("pretrainer", ["next_sentence"])
    assert_same_outputs(ours, backbone, features)
    inputs = {name: tf.cast(feature, tf.int32) for name, feature in features.items()}
    inputs["mask_positions"] = inputs.pop("masked_lm_positions")
    logits = theirs(inputs)
    # That head has another GELU and another epsilon; of a wrong weight it would be off by 1.
    np.testing.assert_allclose(
        ours(features)["masked_lm_logits"], tf.reshape(logits, [-1, len(VOCABULARY)]), atol=0.02
    )


def test_a_classifier_of_theirs_comes_in_and_a_segment_alone_goes_out(tmp_path):
    keras_hub = pytest.importorskip("keras_hub")
    backbone = keras_hub.models.BertBackbone(**SIZES, num_segments=1)
    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary=VOCABULARY, lowercase=True)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=20)
    theirs = keras_hub.models.BertTextClassifier(backbone, 3, preprocessor=preprocessor)
    theirs.save_to_preset(tmp_path / "theirs")
    described, ours = take_in(tmp_path / "theirs", tmp_path / "ours")
    assert described["labels"] == ["LABEL_0", "LABEL_1", "LABEL_2"]
    features = random_features(len(VOCABULARY))
    inputs = {n: tf.cast(features[n], tf.int32) for n in ("token_ids", "padding_mask")}
    inputs["segment_ids"] = tf.zeros_like(inputs["token_ids"])
    np.testing.assert_allclose(ours(features), theirs(inputs), atol=1e-5)
    out = keras_hub.models.BertBackbone.from_preset(give_out(tmp_path))
    assert_same_outputs(ours, out, features)
    path = tmp_path / "theirs" / "config.json"
    config = json.loads(path.read_text())
    for changes, message in [
        ({"num_layers": 900}, "and .* bytes of"),
        ({"num_layers": 10**6}, "num_layers=1000000; wanted a number from 1 to 1000"),
        ({"num_layers": "2"}, "num_layers='2'"),
    ]:
        path.write_text(json.dumps(config | {"config": config["config"] | changes}))
        with pytest.raises(InputError, match=message):
            take_in(tmp_path / "theirs", tmp_path / "back")


def test_the_exact_gelu_is_refused_or_accepted_knowingly(tmp_path):
    keras_hub = pytest.importorskip("keras_hub")
    ours = save_ours(tmp_path / "ours", activation="gelu")
    with pytest.raises(InputError, match=r"activation='gelu'.*give --approximate_gelu"):
        give_out(tmp_path)
    backbone = keras_hub.models.BertBackbone.from_preset(give_out(tmp_path, approximate_gelu=True))
    features = random_features(len(VOCABULARY))
    assert_same_outputs(ours, backbone, features, atol=1e-2)
    with pytest.raises(AssertionError):
        assert_same_outputs(ours, backbone, features)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"layer_norm_epsilon": 1e-5}, "layer_norm_epsilon=1e-05"), ({"norm": "pre"}, "norm='pre'")],
)
def test_parts_that_the_class_lacks_are_named(tmp_path, fields, message):
    save_ours(tmp_path / "ours", **fields)
    with pytest.raises(InputError, match=f"found {message} .*keras-hub's BertBackbone has"):
        give_out(tmp_path)
    assert not (tmp_path / "out").exists()


def test_another_class_and_damage_are_named(tmp_path):
    pytest.importorskip("keras_hub")
    save_ours(tmp_path / "ours")
    out = tmp_path / give_out(tmp_path)
    weights = out / "model.weights.h5"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"could not read the preset .*out"):
        take_in(out, tmp_path / "back")
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(
        json.dumps(config | {"registered_name": "keras_hub>GemmaBackbone"})
    )
    with pytest.raises(InputError, match="found keras_hub>GemmaBackbone in .*config.json"):
        take_in(out, tmp_path / "back")
    assert not (tmp_path / "back").exists()
