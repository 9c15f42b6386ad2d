"""keras-hub's GPT-2 presets out and in: ids, logits and weights; what it cannot hold."""

import importlib
import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from pipelines import export
from roots_tf import models, tokenizers
from roots_tf.storage.files import InputError
from tests.export import causal_tokenizers
from tests.export.conftest import VOCABULARY

import_checkpoint = importlib.import_module("pipelines.import")
GPT2 = {
    "norm": "pre",
    "embedding_norm": False,
    "num_segments": 0,
    "activation": "gelu_tanh",
    "layer_norm_epsilon": 1e-5,
}


def save_ours(folder, **fields) -> models.CausalLM:
    size = causal_tokenizers.save_gpt2(folder)
    tokenizers.load(folder).save(folder)
    config = models.EncoderConfig(
        vocabulary_size=size, num_layers=2, num_heads=4, hidden_dim=16, intermediate_dim=24,
        max_sequence_length=20, initializer_range=0.3, **GPT2 | fields,
    )  # fmt: skip
    model = models.CausalLM(config, seed=5)
    models.save(folder, model)
    return model


def give_out(folder, **flags):
    out = folder.with_name("out")
    export.main(export.Config(model=str(folder), output=str(out), format="keras_hub", **flags))
    return out


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A model of ours and the preset of it."""
    folder = tmp_path_factory.mktemp("preset") / "ours"
    return save_ours(folder), folder, give_out(folder)


def test_gpt2_causal_lm_loads_it_and_gives_the_same_logits(preset):
    import keras_hub

    ours, folder, out = preset
    theirs = keras_hub.models.GPT2CausalLM.from_preset(str(out), dtype="float32")
    ids = np.random.default_rng(3).integers(0, ours.config.vocabulary_size, [2, 9])
    inside = np.ones_like(ids)
    found = np.asarray(theirs({"token_ids": ids, "padding_mask": inside}))
    features = {"token_ids": tf.constant(ids), "padding_mask": tf.constant(inside, tf.bool)}
    wanted = ours.logits(ours(features)).numpy()
    assert np.abs(found - wanted).max() < 1e-5 * np.ptp(wanted)
    text = "the ship É\n"
    wanted, _ = tokenizers.load(folder).encode([text])
    assert np.asarray(theirs.preprocessor.tokenizer(text)).tolist() == wanted.tolist()


def test_a_preset_comes_back_bit_for_bit(preset, tmp_path):
    _, folder, out = preset
    taken = tmp_path / "taken"
    import_checkpoint.main(import_checkpoint.Config(from_=str(out), output=str(taken)))
    one, other = (safetensors.numpy.load_file(f / "model.safetensors") for f in (folder, taken))
    assert set(one) == set(other)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    one, other = map(tokenizers.load, (folder, taken))
    assert one.vocabulary == other.vocabulary
    assert (one.bos_id, one.eos_id) == (other.bos_id, other.eos_id)


@pytest.mark.parametrize(
    ("fields", "flags", "message"),
    [
        ({"activation": "gelu"}, {}, "activation='gelu'.*GPT2Backbone has activation='gelu_tanh'"),
        ({"layer_norm_epsilon": 1e-6}, {}, "layer_norm_epsilon=1e-06"),
        ({"tied": False}, {}, "tied=False"),
        ({"num_key_value_heads": 2}, {}, "num_key_value_heads=2"),
        ({"normalization": "rms", "bias": False}, {}, "normalization='rms', bias=False"),
        ({}, {"pooling": "mean"}, "--pooling and a causal_lm"),
    ],
)
def test_what_it_cannot_hold_is_refused(tmp_path, fields, flags, message):
    save_ours(tmp_path / "ours", **fields)
    with pytest.raises(InputError, match=message):
        give_out(tmp_path / "ours", **flags)
    assert not (tmp_path / "out").exists()


def test_an_exact_gelu_leaves_where_that_is_asked_for(tmp_path):
    save_ours(tmp_path / "ours", activation="gelu")
    assert (give_out(tmp_path / "ours", approximate_gelu=True) / "task.json").is_file()


def test_words_of_another_kind_are_refused(tmp_path):
    save_ours(tmp_path / "ours")
    path = tmp_path / "ours" / "model.json"
    (tmp_path / "ours" / "tokenizer.json").unlink()
    said = json.loads(path.read_text())
    del said["sha256"]
    path.write_text(json.dumps(said))
    tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=True).save(tmp_path / "ours")
    with pytest.raises(InputError, match="found model='wordpiece'.*GPT2Tokenizer has 'bpe' only"):
        give_out(tmp_path / "ours")


def test_other_ids_or_logits_leave_nothing_behind(tmp_path, monkeypatch):
    from roots_tf.export import keras_hub_causal

    save_ours(tmp_path / "ours")
    monkeypatch.setattr(
        keras_hub_causal, "_rules", lambda *_: {
            "vocabulary": causal_tokenizers.byte_level_vocabulary(), "merges": ["t h"],
        },
    )  # fmt: skip
    with pytest.raises(InputError, match="GPT2Tokenizer makes .* of .*nothing was exported"):
        give_out(tmp_path / "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 10**9}, "num_layers"),
        ({"hidden_dim": 48}, "sizes of"),
        ({"vocabulary_size": 0}, "vocabulary_size=0"),
        ({"num_layers": 3}, "sizes of"),
        ({"num_layers": 1}, "sizes of"),
        ({"max_sequence_length": 30}, "sizes of"),
        ({"num_heads": 2}, "could not read"),
    ],
)
def test_a_preset_whose_config_lies_is_refused(preset, tmp_path, change, message):
    import shutil

    folder = shutil.copytree(preset[2], tmp_path / "preset")
    path = folder / "config.json"
    said = json.loads(path.read_text())
    said["config"] |= change
    path.write_text(json.dumps(said))
    with pytest.raises(InputError, match=message):
        import_checkpoint.main(
            import_checkpoint.Config(from_=str(folder), output=str(tmp_path / "taken"))
        )
