"""keras-hub's T5 and BART presets in: states, logits and greedy text."""

import importlib
import io
import json
import shutil

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
from tokenizers import pre_tokenizers

from roots_tf import generation, models, tokenizers
from roots_tf.generation.settings import Settings
from roots_tf.storage.files import InputError

import_checkpoint = importlib.import_module("pipelines.import")
SIZES = {
    "num_layers": 2, "num_heads": 3, "hidden_dim": 24, "intermediate_dim": 40, "dropout": 0.1
}  # fmt: skip
KINDS = {
    "t5": {"activation": "relu", "use_gated_activation": False, "key_value_dim": 10},
    "t5 1.1": {"activation": "gelu", "key_value_dim": 8, "tie_embedding_weights": False},
    "bart": {"max_sequence_length": 48},
}
L, T = 30, 8


def pieces() -> bytes:
    """A SentencePiece model with the special tokens of T5."""
    written = io.BytesIO()
    texts = ["the ship in the bay", "a bad cab", "the sea and the ship", "big ships bend"] * 4
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=written, vocab_size=30, model_type="unigram",
        bos_id=-1, pad_id=0, eos_id=1, unk_id=2, pad_piece="<pad>", eos_piece="</s>",
        unk_piece="<unk>", hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return written.getvalue()


def randomise(backbone) -> None:
    draw = np.random.default_rng(0)
    for variable in backbone.weights:
        if "seed_generator" not in variable.path:
            mean = 1.0 if variable.path.endswith(("gamma", "weight")) else 0.0
            variable.assign(draw.normal(mean, 0.3, variable.shape))


def saved(folder, kind, spare=0):
    """A preset on disk, and the model it is of; `spare` rows of the embedding are no piece's."""
    import keras_hub

    if kind == "bart":
        merges = ["t h", "th e"]
        tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
        vocabulary = {token: i for i, token in enumerate([*tokens, "th", "the", "<mask>"])}
        words = keras_hub.tokenizers.BartTokenizer(vocabulary=vocabulary, merges=merges)
        make = keras_hub.models.BartBackbone
        model_class = keras_hub.models.BartSeq2SeqLM
        preprocessor = keras_hub.models.BartSeq2SeqLMPreprocessor(words, 40, T)
    else:
        words = keras_hub.tokenizers.T5Tokenizer(proto=pieces())
        make = keras_hub.models.T5Backbone
        model_class = keras_hub.models.T5Seq2SeqLM
        preprocessor = keras_hub.models.T5Seq2SeqLMPreprocessor(words, 40, T)
    size = words.vocabulary_size() + spare
    backbone = make(vocabulary_size=size, dtype="float32", **SIZES | KINDS[kind])
    randomise(backbone)
    model = model_class(backbone, preprocessor)
    model.save_to_preset(str(folder))
    return model


def take_in(folder, output):
    import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))
    return models.load(output), tokenizers.load(output)


@pytest.fixture(scope="module", params=KINDS)
def preset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    model = saved(folder / "theirs", request.param)
    return request.param, model, folder / "theirs", *take_in(folder / "theirs", folder / "ours")


def batch(size):
    draw = np.random.default_rng(1)
    inside = np.arange(L) < np.array([L, 17])[:, None]
    return {
        "encoder_token_ids": np.where(inside, draw.integers(3, size, [2, L]), 0).astype(np.int32),
        "encoder_padding_mask": inside.astype(np.int32),
        "decoder_token_ids": draw.integers(3, size, [2, T]).astype(np.int32),
        "decoder_padding_mask": np.ones([2, T], np.int32),
    }


def ours_of(given):
    names = {
        "encoder_token_ids": "token_ids",
        "encoder_padding_mask": "padding_mask",
        "decoder_token_ids": "decoder_token_ids",
        "decoder_padding_mask": "decoder_padding_mask",
    }
    return {
        ours: tf.cast(given[theirs], tf.bool if "mask" in ours else tf.int32)
        for theirs, ours in names.items()
    }


def test_states_and_logits_are_theirs(preset):
    _, theirs, _, model, tokenizer = preset
    given = batch(tokenizer.size)
    wanted = {name: np.asarray(array) for name, array in theirs.backbone(given).items()}
    features = ours_of(given)
    encoded = model.encoder(features)
    states = model.decode(features, encoded)
    inside = given["encoder_padding_mask"].astype(bool)
    for found, name, kept in (
        (encoded, "encoder_sequence_output", inside),
        (states, "decoder_sequence_output", ...),
    ):
        difference = np.abs(np.asarray(found)[kept] - wanted[name][kept]).max()
        assert difference < 1e-5 * np.ptp(wanted[name][kept])
    logits = np.asarray(theirs(given))
    assert np.abs(model.logits(states) - logits).max() < 2e-5 * np.ptp(logits)


def test_greedy_text_is_theirs(preset):
    kind, theirs, _, model, tokenizer = preset
    theirs.compile(sampler="greedy")
    text = "the bad ship"
    wanted = theirs.generate({"encoder_text": [text], "decoder_text": [""]})[0]
    ids, _ = tokenizer.encode([text])
    config = model.decoder_config
    begin = [tokenizer.bos_id] if config.source_begins else []
    source = tf.constant([[*begin, *ids, tokenizer.eos_id]], tf.int32)
    settings = Settings(decoding="greedy", max_new_tokens=T - len(config.start_ids))
    found = generation.generate(
        model.conditioned({"token_ids": source, "padding_mask": tf.ones_like(source, tf.bool)}),
        tf.constant([config.start_ids]),
        tf.constant([len(config.start_ids)]),
        tf.zeros([1, 2], tf.int32),
        settings,
        eos_id=tokenizer.eos_id,
        pad_id=tokenizer.pad_id,
    )
    found = found.ids[0, : found.lengths[0]].numpy()
    # keras-hub joins pieces without the rules of our decoder for special tokens.
    assert tokenizer.decode(found).strip() == wanted.strip()
    assert config.start_ids == ((2, 0) if kind == "bart" else (0,))


def test_sentinels_are_named_where_there_are_rows(tmp_path):
    saved(tmp_path / "theirs", "t5", spare=128)
    model, tokenizer = take_in(tmp_path / "theirs", tmp_path / "ours")
    assert tokenizer.vocabulary[-1] == "<extra_id_0>"
    assert tokenizer.vocabulary[-100] == "<extra_id_99>"
    assert model.config.vocabulary_size == tokenizer.size
    text = "<extra_id_0> ship"
    assert tokenizer.encode([text])[0][0] == tokenizer.size - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 3}, "sizes of"),
        ({"num_layers": 1}, "sizes of"),
        ({"num_layers": 10**9}, "num_layers"),
        ({"activation": "selu"}, "activation='selu'.*'relu'"),
        ({"use_gated_activation": True}, "sizes of"),
        ({"num_heads": 0}, "num_heads=0"),
    ],
)
def test_a_preset_whose_config_lies_is_refused(preset, tmp_path, change, message):
    if preset[0] != "t5":
        pytest.skip("of one kind")
    folder = shutil.copytree(preset[2], tmp_path / "preset")
    path = folder / "config.json"
    said = json.loads(path.read_text())
    said["config"] |= change
    path.write_text(json.dumps(said))
    with pytest.raises(InputError, match=message) as raised:
        take_in(folder, tmp_path / "taken")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "taken").exists()
