"""Folders of others that are large, odd, padded, in shards or damaged: whole, or one line."""

import dataclasses
import importlib
import json
import shutil

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import fill_mask, pretrain
from roots_tf import models, tokenizers
from roots_tf.export import bert_config, embedding, hugging_face, keras_hub, keras_hub_tokenizer
from roots_tf.storage.files import InputError
from tests.export.conftest import VOCABULARY, random_features

import_checkpoint = importlib.import_module("pipelines.import")
SIZE = len(VOCABULARY)
CONFIG = models.EncoderConfig(
    vocabulary_size=SIZE, num_layers=2, hidden_dim=8, num_heads=2, intermediate_dim=12,
    max_sequence_length=20, initializer_range=0.3,
)  # fmt: skip
TOKENS, SEGMENTS, BIAS = (
    "bert.embeddings.word_embeddings.weight",
    "bert.embeddings.token_type_embeddings.weight",
    "cls.predictions.bias",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A model of ours and the folder that transformers would have of it."""
    root = tmp_path_factory.mktemp("original")
    models.save(root / "ours", models.Pretrainer(CONFIG, seed=3))
    tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=True).save(root / "ours")
    hugging_face.write(root / "theirs", root / "ours")
    return root


@pytest.fixture
def theirs(original, tmp_path):
    return shutil.copytree(original / "theirs", tmp_path / "theirs")


def take_in(folder):
    """Imports a folder beside it; gives the model folder."""
    output = folder.with_name("taken")
    import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))
    return output


def change(folder, change_weights=None, **config):
    """Changes the weights by a function, and keys of config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    if change_weights:
        path = folder / "model.safetensors"
        weights = safetensors.numpy.load_file(path)
        change_weights(weights)
        safetensors.numpy.save_file(weights, path)


def same_weights(one, other):
    one, other = (safetensors.numpy.load_file(f / "model.safetensors") for f in (one, other))
    assert set(one) == set(other)
    return all(np.array_equal(one[name], other[name]) for name in one)


# Shards.


def split(folder, count=3):
    """Weights in several files, as save_pretrained(max_shard_size=...) writes them; the index."""
    weights = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {}
    for i in range(count):
        names = sorted(weights)[i::count]
        name = f"model-{i + 1:05d}-of-{count:05d}.safetensors"
        safetensors.numpy.save_file({n: weights[n] for n in names}, folder / name)
        places |= dict.fromkeys(names, name)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return index


def test_shards_are_read_as_one_file(original, theirs):
    split(theirs)
    for shard in theirs.glob("model-*"):  # as the cache of huggingface_hub has them
        shard.rename(theirs.parent / shard.name)
        shard.symlink_to(theirs.parent / shard.name)
    assert same_weights(take_in(theirs), original / "ours")


@pytest.mark.parametrize(
    ("shard", "message"),
    [
        ("../model-00001-of-00003.safetensors", "the shard '../model.*wanted names"),
        ("/etc/passwd", "the shard '/etc/passwd'"),
        ("model-00009-of-00003.safetensors", "found no .*model-00009.*copy it too"),
        ("config.json", "the shard 'config.json'"),
        ("model-00002-of-00003.safetensors", "found no weight .* in .*model-00002"),
        (7, "weight_map.*wanted a text"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(theirs, shard, message):
    index = split(theirs)
    index["weight_map"][min(index["weight_map"])] = shard
    (theirs / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=message):
        take_in(theirs)


def test_shards_that_do_not_belong_to_the_index_are_refused(theirs):
    index = split(theirs)
    path, name = theirs / "model.safetensors.index.json", min(index["weight_map"])
    path.write_text(json.dumps({"weight_map": [1]}))
    with pytest.raises(InputError, match="weight_map.*JSON object"):
        take_in(theirs)
    del index["weight_map"][name]
    path.write_text(json.dumps(index))
    with pytest.raises(InputError, match=f"the weight {name} in .*does not list"):
        take_in(theirs)
    path.unlink()
    with pytest.raises(InputError, match="found model-00001.* without model.safetensors"):
        take_in(theirs)
    assert not (theirs.parent / "taken").exists()


# Rows that no token has.


def padded(weights):
    random = np.random.default_rng(0)
    rows = random.normal(size=(27, CONFIG.hidden_dim)).astype("float32")
    weights[TOKENS] = np.concatenate([weights[TOKENS], rows])
    weights[BIAS] = np.concatenate([weights[BIAS], np.full(27, 9, "float32")])


def test_rows_that_are_no_tokens_are_left_out(original, theirs):
    change(theirs, padded, vocab_size=SIZE + 27)
    taken = take_in(theirs)
    assert models.describe(taken)["encoder"].vocabulary_size == SIZE
    assert same_weights(taken, original / "ours")
    hugging_face.write(theirs.parent / "back", taken)
    assert same_weights(theirs.parent / "back", original / "theirs")


def test_in_a_model_folder_they_are_no_candidates(original, tmp_path):
    """Version 0.2 imported them."""
    model = models.Pretrainer(dataclasses.replace(CONFIG, vocabulary_size=SIZE + 27), seed=1)
    model.masked_lm.bias.assign(tf.concat([tf.zeros([SIZE]), tf.fill([27], 9.0)], 0))
    tokenizer = tokenizers.load(original / "ours")
    models.save(tmp_path, model)
    tokenizer.save(tmp_path)
    answers = fill_mask.main(fill_mask.Config(str(tmp_path), "the [MASK] .", top=99))
    pieces = answers[0]["masks"][0]
    assert sorted(piece["piece"] for piece in pieces) == sorted(VOCABULARY)
    assert sum(piece["probability"] for piece in pieces) == pytest.approx(1)
    served = embedding.Embedding(model, tokenizer, max_seq_length=20)
    found = served._fill_mask({"text": tf.constant(["the [MASK] ."])})
    assert [piece.decode() for piece in found["pieces"].numpy()[0, 0]] == [
        piece["piece"] for piece in pieces[:5]
    ]
    chosen = pretrain.ModelFlags(init_from=str(tmp_path))
    assert chosen.encoder_config(SIZE, 20).vocabulary_size == SIZE + 27
    for wrong in (SIZE - 1, SIZE + 30):
        with pytest.raises(InputError, match=f"wanted {wrong} ids"):
            chosen.encoder_config(wrong, 20)


# One segment.


def test_a_second_text_is_of_the_only_segment(theirs):
    def one_segment(weights):
        weights[SEGMENTS] = weights[SEGMENTS][:1]

    change(theirs, one_segment, type_vocab_size=1)
    taken = take_in(theirs)
    model, features = models.load(taken).encoder, random_features(SIZE)
    first = model(features | {"segment_ids": tf.zeros_like(features["segment_ids"])})
    np.testing.assert_array_equal(model(features), first)
    hugging_face.write(theirs.parent / "back", taken)
    config = json.loads((theirs.parent / "back" / "tokenizer_config.json").read_text())
    assert config["model_input_names"] == ["input_ids", "attention_mask"]
    assert same_weights(theirs.parent / "back", theirs)


def test_a_tokenizer_that_gives_no_segments(original, theirs):
    path = theirs / "tokenizer_config.json"
    names = {"model_input_names": ["input_ids", "attention_mask"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | names))
    features = random_features(SIZE)
    found = models.load(take_in(theirs)).encoder(features)
    segments = {"segment_ids": tf.zeros_like(features["segment_ids"])}
    wanted = models.load(original / "ours").encoder(features | segments)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


# What a config says, and what weights are.


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_hidden_layers": 900}, "no weight encoder.layer.2.*wanted 900 layers"),
        ({"num_hidden_layers": 10**6}, "num_layers=1000000; wanted a number from 1 to"),
        ({"num_hidden_layers": 1}, "found 2 layers in .*wanted 1,"),
        ({"num_hidden_layers": -1}, "num_hidden_layers=-1.*from 1"),
        ({"hidden_size": 60_000}, r"word_embeddings.weight of shape \(37, 8\)"),
        ({"vocab_size": 10**12}, "vocab_size=1000000000000"),
        ({"max_position_embeddings": 10**6}, "position_embeddings.weight of shape"),
        ({"intermediate_size": True}, "intermediate_size=True.*whole number"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps='1e-12'.*wanted a number"),
        ({"layer_norm_eps": 0}, "layer_norm_eps=0.0.*above 0"),
        ({"architectures": {"a": 1}}, "architectures=an object"),
        ({"id2label": ["a"]}, "id2label=a list"),
        ({"tokenizer_class": 3}, "tokenizer_class=3"),
    ],
)
def test_a_config_is_checked_before_a_model_is_made(theirs, monkeypatch, config, message):
    change(theirs, **config)
    monkeypatch.setattr(models, "Pretrainer", None)
    with pytest.raises(InputError, match=message):
        take_in(theirs)


def test_a_vocabulary_of_other_rules_is_refused(theirs):
    change(theirs, tokenizer_class="BertJapaneseTokenizer")
    assert take_in(theirs)  # tokenizer.json tells all
    (theirs / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="'BertJapaneseTokenizer' in .*config.json, which has"):
        take_in(theirs)


def test_rows_of_another_form_are_refused(theirs):
    path, config = theirs / "tokenizer.json", theirs / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    twice = settings["post_processor"]["pair"][2]
    settings["post_processor"]["pair"].insert(3, twice)  # as RoBERTa has it
    path.write_text(json.dumps(settings))
    given = json.loads(config.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    config.write_text(json.dumps(given))
    with pytest.raises(InputError, match=r"\[CLS\] a \[SEP\] \[SEP\] a \[SEP\] of segments"):
        take_in(theirs)
    config.write_text(json.dumps(given | {"tokenizer_class": "BertTokenizer"}))
    assert take_in(theirs)


def test_weights_that_are_no_numbers_of_a_model_are_refused(theirs):
    whole = (theirs / "model.safetensors").read_bytes()

    def not_finite(weights):
        weights[TOKENS][3, 2] = np.nan

    def integers(weights):
        weights[SEGMENTS] = weights[SEGMENTS].astype("int8")

    def twice(weights):
        weights[TOKENS.removeprefix("bert.")] = weights[TOKENS]

    for damage, message in [
        (not_finite, "word_embeddings.weight of .* not finite"),
        (integers, "token_type_embeddings.weight as int8"),
        (twice, "word_embeddings.weight twice"),
    ]:
        (theirs / "model.safetensors").write_bytes(whole)
        change(theirs, damage)
        with pytest.raises(InputError, match=message):
            take_in(theirs)


def test_weights_without_axes_are_refused(theirs):
    def scalars(weights):
        padded(weights)
        weights[BIAS] = weights["classifier.weight"] = np.array(1, "float32")

    change(theirs, scalars, vocab_size=SIZE + 27)
    with pytest.raises(InputError, match=r"cls.predictions.bias of shape \(\)"):
        take_in(theirs)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (None, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({"2": "c", "0": "a", "1": "b"}, ("a", "b", "c")),
        ({"0": 1, "1": 2, "2": 3}, ("1", "2", "3")),
        ({"0": "a", "1": "b"}, "2 names in id2label of here, and 3 outputs"),
        ({"0": "a", "1": "b", "x": "c"}, "wanted one for each number from 0 to 2"),
        ({"0": "a", "1": "b", "2": "a"}, "'a' twice"),
    ],
)
def test_names_of_labels(names, labels):
    config = bert_config.BertConfig(9, 1, 4, 2, 8, 16, 2, id2label=names)
    ask = (config, "BertForSequenceClassification", 3, "here")
    if isinstance(labels, tuple):
        assert bert_config.kind_of_head(*ask).labels == labels
    else:
        with pytest.raises(InputError, match=labels):
            bert_config.kind_of_head(*ask)


KEYS = [field.name for field in dataclasses.fields(bert_config.BertConfig)]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
def test_any_config_is_read_or_refused_in_a_line(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("config", numbered=True)
    sizes = {theirs: getattr(CONFIG, ours) for ours, theirs in bert_config.SIZES.items()}
    (folder / "config.json").write_text(json.dumps(sizes | changes))
    try:
        config = bert_config.read(folder / "config.json")
        bert_config.encoder_config(config, "here")
        bert_config.kind_of_head(config, config.architecture, 2, "here")
    except InputError as error:
        assert "\n" not in str(error)


def test_tokens_that_keras_hub_does_not_find_stay_here(original, tmp_path):
    models.save(
        tmp_path / "ours", models.Pretrainer(dataclasses.replace(CONFIG, vocabulary_size=SIZE + 1))
    )
    tokenizer = tokenizers.load(original / "ours")
    tokenizer.backend.add_tokens(["[DRUG]"])
    tokenizers.Tokenizer(tokenizer.backend).save(tmp_path / "ours")
    with pytest.raises(InputError, match=r"the token '\[DRUG\]' with normalized"):
        keras_hub.write(tmp_path / "out", tmp_path / "ours", approximate_gelu=True)


def test_settings_of_a_keras_hub_tokenizer(tmp_path):
    assets = tmp_path / "assets" / "tokenizer"
    assets.mkdir(parents=True)
    (assets / "vocabulary.txt").write_text("".join(f"{token}\n" for token in VOCABULARY))

    def read(**settings):
        (tmp_path / "tokenizer.json").write_text(json.dumps({"config": settings}))
        return keras_hub_tokenizer.read(tmp_path)

    plain = {"lowercase": True, "strip_accents": False, "split": True, "suffix_indicator": "##"}
    assert read(**plain).settings["normalizer"]["strip_accents"] is False
    assert read(**plain, split_on_cjk=False).settings["normalizer"]["handle_chinese_chars"] is False
    for wrong in ({"split": False}, {"oov_token": "<unk>"}, {"suffix_indicator": "@@"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            read(**plain | wrong)
    with pytest.raises(InputError, match="lowercase='yes'"):
        read(lowercase="yes")
