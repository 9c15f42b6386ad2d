"""Folders of encoder-decoders that are odd, damaged or lie: whole, or one line; and those out."""

import dataclasses
import importlib
import json
import shutil

import numpy as np
import pytest
import safetensors.numpy
from tokenizers import processors

from pipelines import export
from roots_tf import models, tokenizers
from roots_tf.export import encoder_decoder_config
from roots_tf.models import DecoderConfig, EncoderConfig, preset_fields
from roots_tf.storage.files import InputError
from tests.export import theirs_encoder_decoders as theirs
from tests.export.test_keras_hub_encoder_decoder import pieces

import_checkpoint = importlib.import_module("pipelines.import")
MADE = json.loads(theirs.PATH.read_text())


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("originals")
    for kind in theirs.KINDS:
        theirs.save(root / kind, kind, MADE[kind]["shapes"])
    return root


def copied(originals, kind, tmp_path):
    return shutil.copytree(originals / kind, tmp_path / "theirs")


def take_in(folder):
    output = folder.with_name("taken")
    import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))
    return output


def change(folder, change_weights=None, name="config.json", **config):
    """Changes the weights by a function, and keys of a JSON file; `...` takes a key out."""
    path = folder / name
    said = (json.loads(path.read_text()) if path.is_file() else {}) | config
    path.write_text(json.dumps({key: value for key, value in said.items() if value is not ...}))
    if change_weights:
        path = folder / "model.safetensors"
        weights = safetensors.numpy.load_file(path)
        change_weights(weights)
        safetensors.numpy.save_file(weights, path)


def refused(folder, message):
    with pytest.raises(InputError, match=message) as raised:
        take_in(folder)
    assert "\n" not in str(raised.value)
    assert not folder.with_name("taken").exists()


CONFIGS = [
    ("t5", {"feed_forward_proj": "gated-relu2"}, "feed_forward_proj='gated-relu2'.*'gelu_new'"),
    ("t5", {"feed_forward_proj": "gated-gelu"}, "no weight .*wi_0"),
    ("t5", {"feed_forward_proj": "dense-relu"}, "feed_forward_proj='dense-relu'"),
    ("t5", {"d_kv": 8}, "SelfAttention.q.weight of shape"),
    ("t5", {"num_layers": 3}, "no weight encoder.block.2"),
    ("t5", {"num_decoder_layers": 2}, "the weight decoder.block.2.*2 and 2 layers"),
    ("t5", {"num_layers": 10**8}, "num_layers=100000000"),
    ("t5", {"num_heads": "3"}, "num_heads='3'"),
    ("t5", {"relative_attention_num_buckets": 32}, "relative_attention_bias.weight of shape"),
    ("t5", {"relative_attention_max_distance": 4}, "relative_distance=4.*in .*config.json"),
    ("t5", {"vocab_size": 20}, "34 tokens and an embedding of 20"),
    ("t5", {"tie_word_embeddings": False}, "no weight lm_head.weight"),
    ("t5", {"eos_token_id": 2}, "eos_token_id=2 .*'</s>' of id 1"),
    ("t5", {"pad_token_id": 3}, "pad_token_id=3 .*'<pad>' of id 0"),
    ("t5", {"decoder_start_token_id": 99}, r"of \[99\] .*34 tokens"),
    ("t5", {"architectures": ["T5EncoderModel"]}, "architecture T5EncoderModel"),
    ("t5", {"quantization_config": {"load_in_8bit": True}}, "quantization_config"),
    ("t5", {"is_encoder_decoder": False}, "is_encoder_decoder=False"),
    ("t5", {"is_decoder": True}, "is_decoder=True"),
    ("t5", {"alibi": True}, "alibi=True.*take the line out"),
    ("t5", {"model_type": "umt5"}, "umt5.*relative positions of its own in each layer"),
    ("t5", {"model_type": "longt5"}, "longt5.*window"),
    ("t5 1.1", {"tie_word_embeddings": True}, "lm_head.weight other than shared.weight"),
    ("bart", {"activation_function": "selu"}, "activation_function='selu'"),
    ("bart", {"normalize_before": True}, "normalize_before=True.*wanted"),
    ("bart", {"add_final_layer_norm": True}, "add_final_layer_norm=True"),
    ("bart", {"normalize_embedding": False}, "normalize_embedding=False.*True"),
    ("bart", {"static_position_embeddings": True}, "static_position_embeddings=True"),
    ("bart", {"add_bias_logits": True}, "add_bias_logits=True"),
    ("bart", {"tie_word_embeddings": False}, "tie_word_embeddings=False"),
    ("bart", {"max_position_embeddings": 46}, "embed_positions.weight of shape"),
    ("bart", {"decoder_attention_heads": 5}, "num_heads=5"),
    ("bart", {"decoder_ffn_dim": 40}, "decoder.layers.0.fc1.weight of shape"),
    ("bart", {"forced_eos_token_id": 3}, "forced_eos_token_id=3 and eos_token_id=2"),
    ("bart", {"model_type": "mbart"}, "mbart.*pre-norm"),
    ("marian", {"share_encoder_decoder_embeddings": False}, "share_encoder_decoder_emb"),
    ("marian", {"decoder_vocab_size": 99}, "decoder_vocab_size=99"),
    ("marian", {"normalize_embedding": True}, "normalize_embedding=True.*False"),
]


@pytest.mark.parametrize(("kind", "config", "message"), CONFIGS)
def test_a_config_of_another_model_or_that_lies_is_refused(
    originals, tmp_path, kind, config, message
):
    folder = copied(originals, kind, tmp_path)
    change(folder, **config)
    refused(folder, message)


POSITIONS = "model.encoder.embed_positions.weight"


@pytest.mark.parametrize(
    ("kind", "change_weights", "message"),
    [
        ("t5", lambda w: w.pop("decoder.final_layer_norm.weight"), "no weight decoder.final"),
        ("t5", lambda w: w.update(score=np.ones(3, "f")), "the weight score"),
        ("t5", lambda w: w["shared.weight"].fill(np.nan), "shared.weight.*not finite"),
        (
            "t5",
            lambda w: w.update({"decoder.embed_tokens.weight": w["shared.weight"] + 1}),
            "decoder.embed_tokens.weight other than shared.weight",
        ),
        ("bart", lambda w: w.update({"shared.weight": w["model.shared.weight"]}), "twice"),
        (
            "bart",
            lambda w: w.update({"lm_head.weight": w["model.shared.weight"] + 1}),
            "lm_head.weight other than",
        ),
        ("marian", lambda w: w.update({POSITIONS: np.ones([48, 24], "f")}), "sines, then cosines"),
        (
            "marian",
            lambda w: w.update({"model.shared.weight": w["model.shared.weight"].astype(np.int8)}),
            "shared.weight as int8",
        ),
    ],
)
def test_weights_that_are_not_those_of_the_config_are_refused(
    originals, tmp_path, kind, change_weights, message
):
    folder = copied(originals, kind, tmp_path)
    change(folder, change_weights)
    refused(folder, message)


def test_copies_and_tables_of_old_releases_are_left_out(originals, tmp_path):
    def old(weights):
        table = weights["model.shared.weight"]
        weights["model.decoder.embed_tokens.weight"] = table.copy()
        weights["lm_head.weight"] = table.copy()
        angles = np.arange(48)[:, None] * 10_000.0 ** (-np.arange(12) / 12)
        sines = np.concatenate([np.sin(angles), np.cos(angles)], -1).astype(np.float32)
        weights[POSITIONS] = sines

    folder = copied(originals, "marian", tmp_path)
    before = models.load(take_in(folder))
    shutil.rmtree(folder.with_name("taken"))
    change(
        folder, old, static_position_embeddings=True, normalize_embedding=False, num_beams=6,
        bad_words_ids=[[29]], add_bias_logits=False, normalize_before=False, new_key=None,
    )  # fmt: skip
    after = models.load(take_in(folder))
    for one, other in zip(before.variables, after.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_version_1_1_that_a_new_release_has_saved_is_one(originals, tmp_path):
    folder = copied(originals, "t5 1.1", tmp_path)
    change(folder, tie_word_embeddings=True, scale_decoder_outputs=False)
    decoder = models.describe(take_in(folder))["decoder"]
    assert (decoder.tied, decoder.output_scale) == (False, False)


def test_an_mt5_is_a_version_1_1(originals, tmp_path):
    folder = copied(originals, "t5 1.1", tmp_path)
    change(
        folder, model_type="mt5", architectures=["MT5ForConditionalGeneration"],
        feed_forward_proj=..., tie_word_embeddings=...,
    )  # fmt: skip
    decoder = models.describe(take_in(folder))["decoder"]
    assert (decoder.feed_forward, decoder.activation) == ("glu", "gelu_tanh")
    assert (decoder.tied, decoder.output_scale) == (False, False)


def test_rows_of_no_token_are_left_out_of_all_tables(originals, tmp_path):
    folder = copied(originals, "bart", tmp_path)

    def wider(weights):
        for name, axis in (("model.shared.weight", 0), ("final_logits_bias", 1)):
            extra = [(0, 7 * (axis == i)) for i in range(2)]
            weights[name] = np.pad(weights[name], extra)

    size = theirs.config("bart")["vocab_size"]
    change(folder, wider, vocab_size=size + 7)
    model = models.load(take_in(folder))
    assert model.config.vocabulary_size == model.decoder_config.vocabulary_size == size
    assert model.output_bias.shape == [size]


def test_ids_of_generation_config_stand_above_those_of_config(originals, tmp_path):
    folder = copied(originals, "bart", tmp_path)
    assert not models.describe(take_in(folder))["decoder"].forces_end
    shutil.rmtree(folder.with_name("taken"))
    ids = {"eos_token_id": [2, 9], "forced_bos_token_id": 0, "num_beams": 4}
    ids["forced_eos_token_id"] = [2]
    change(folder, name="generation_config.json", **ids)
    decoder = models.describe(take_in(folder))["decoder"]
    assert (decoder.start_ids, decoder.forces_end) == ((2, 0), True)


def test_rows_of_a_tokenizer_say_how_sources_begin(originals, tmp_path):
    folder = copied(originals, "bart", tmp_path)
    backend = theirs.tokenizer("bart")
    backend.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 2)])
    backend.save(str(folder / "tokenizer.json"))
    assert not models.describe(take_in(folder))["decoder"].source_begins
    shutil.rmtree(folder.with_name("taken"))
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    backend.save(str(folder / "tokenizer.json"))
    refused(folder, "rows such as <s> a by .*wanted a text with its end behind it")


def test_a_sentencepiece_model_has_its_sentinels_behind_it(originals, tmp_path):
    """As `T5Converter` of transformers adds them: the first has the last id."""
    folder = copied(originals, "t5", tmp_path)
    (folder / "tokenizer.json").unlink()
    (folder / "spiece.model").write_bytes(pieces())
    named = [f"<extra_id_{i}>" for i in range(5)]
    change(
        folder, name="tokenizer_config.json", extra_ids=5, additional_special_tokens=named,
        tokenizer_class="T5Tokenizer",
    )  # fmt: skip
    change(folder, lambda w: w.update({"shared.weight": np.ones([64, 24], "f")}), vocab_size=64)
    found = tokenizers.load(take_in(folder))
    assert found.vocabulary[-5:] == named[::-1]
    assert found.vocabulary[:3] == ["<pad>", "</s>", "<unk>"]
    assert (found.pad_id, found.eos_id, found.unk_id, found.bos_id) == (0, 1, 2, None)
    assert found.encode(["<extra_id_0>"])[0].tolist() == [found.size - 1]


def test_a_vocab_json_of_bart_gives_the_ids_of_its_tokenizer_json(originals, tmp_path):
    folder = copied(originals, "bart", tmp_path)
    whole = tokenizers.load(take_in(folder))
    shutil.rmtree(folder.with_name("taken"))
    (folder / "tokenizer.json").unlink()
    ids = {token: i for i, token in enumerate(whole.vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\nth e\nĠ the\n")
    change(folder, name="tokenizer_config.json", tokenizer_class="BartTokenizer")
    pair = tokenizers.load(take_in(folder))
    texts = ["the cab, the <mask> É\n", "", "</s>a"]
    assert pair.encode(texts)[0].tolist() == whole.encode(texts)[0].tolist()
    assert (pair.bos_id, pair.pad_id, pair.eos_id, pair.mask_id) == (0, 1, 2, whole.size - 1)


SIZES = {
    "vocabulary_size": 40, "num_layers": 1, "hidden_dim": 16, "num_heads": 2,
    "intermediate_dim": 24, "max_sequence_length": 12,
}  # fmt: skip
FIVE = {"layer_norm_epsilon": 1e-5}
SIX = {"layer_norm_epsilon": 1e-6}


def save_ours(folder, preset, fields, joined):
    config = EncoderConfig(**preset_fields(preset) | SIZES | fields)
    decoder = DecoderConfig.like(config, **{"start_ids": (0,)} | joined)
    models.save(folder, models.EncoderDecoder(config, decoder, seed=2))
    special = ["<pad>", "</s>", "<unk>"]
    letters = [*"abcdefghijklmnopqrstuvwxyz▁"]
    backend = theirs.unigram(
        [*special, *letters, *(f"{a}e" for a in "bcdfghklmn")], special, "$A </s>"
    )
    tokenizers.tokenizer.Tokenizer(backend).save(folder)
    return folder


def give_out(folder, **flags):
    out = folder.with_name("out")
    flags = {"format": "huggingface"} | flags
    export.main(export.Config(model=str(folder), output=str(out), **flags))
    return out


@pytest.mark.parametrize(
    ("preset", "fields", "joined", "flags", "message"),
    [
        (
            "transformer",
            SIX,
            {},
            {},
            "layer_norm_epsilon=1e-06 .*marian has layer_norm_epsilon=1e-",
        ),
        ("transformer", {"norm": "pre"}, {}, {}, "norm='pre'"),
        ("transformer", {"head_size": 4}, {}, {}, "head_size=4"),
        ("transformer", {}, {"shares_tokens": False}, {}, "shares_tokens=False"),
        ("transformer", {}, {"tied": False}, {}, "tied=False"),
        ("bert", FIVE, {}, {}, "num_segments=2 .*bart has num_segments=0"),
        ("bart", {}, {"activation": "relu"}, {}, "activation='gelu' of the encoder and 'relu'"),
        ("bart", {}, {"output_scale": True}, {}, "output_scale=True"),
        ("bart", {}, {"start_ids": (0, 1, 2)}, {}, r"start_ids=\[0, 1, 2\]"),
        ("t5", {"activation": "gelu"}, {}, {}, "feed_forward='glu' with activation='gelu'"),
        ("t5", {}, {"tied": False, "output_scale": True}, {}, "output_scale, not tied"),
        ("t5", {}, {"output_bias": True}, {}, "output_bias=True"),
        ("t5", {}, {"num_heads": 4, "head_size": 8}, {}, "num_heads=2 of the encoder and 4"),
        ("t5", {}, {"start_ids": ()}, {}, r"start_ids=\[None\]"),
        ("t5", {}, {}, {"pooling": "mean"}, "--pooling and an encoder_decoder"),
        ("t5", {}, {}, {"format": "keras_hub"}, "--format=keras_hub and an encoder_decoder"),
        ("t5", {}, {}, {"format": "litert"}, "--format=litert and an encoder_decoder"),
    ],
)
def test_what_cannot_leave_is_named(tmp_path, preset, fields, joined, flags, message):
    ours = save_ours(tmp_path / "ours", preset, fields, joined)
    with pytest.raises(InputError, match=message):
        give_out(ours, **flags)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("preset", "fields", "joined"),
    [
        ("t5", {}, {}),
        ("t5", {"activation": "relu", "feed_forward": "mlp"}, {"output_scale": True}),
        ("t5", {"activation": "silu", "head_size": 6}, {"tied": False, "num_layers": 2}),
        ("t5", {"activation": "gelu", "feed_forward": "mlp"}, {"start_ids": (0, 5)}),
        ("bart", {"embedding_scale": True}, {"output_bias": True, "forces_end": True}),
        ("transformer", {}, {"num_heads": 4}),
    ],
)
def test_what_leaves_comes_back(tmp_path, preset, fields, joined):
    ours = save_ours(tmp_path / "ours", preset, fields, joined)
    out = give_out(ours, max_seq_length=7)
    before, after = models.load(ours), models.load(take_in(out))
    for name, variable in models.named_weights(before).items():
        if name == "output/bias":  # of zeros, which is none
            continue
        np.testing.assert_array_equal(models.named_weights(after)[name].numpy(), variable.numpy())
    # What decides outputs; the rest is how weights begin, and that a T5 has one rate of dropout.
    kept = [*encoder_decoder_fields(), "num_layers", "num_heads", "intermediate_dim", "activation"]
    for name in kept:
        one, other = (getattr(m.decoder_config, name) for m in (before, after))
        assert one == other, name
    said = json.loads((out / "tokenizer_config.json").read_text())
    assert (said["model_max_length"], said["eos_token"]) == (7, "</s>")
    ids = json.loads((out / "generation_config.json").read_text())
    assert (ids["decoder_start_token_id"], ids["eos_token_id"], ids["pad_token_id"]) == (0, 1, 0)
    assert ids.get("forced_bos_token_id") == (5 if joined.get("start_ids") else None)
    assert ids.get("forced_eos_token_id") == (1 if joined.get("forces_end") else None)


def encoder_decoder_fields():
    own = {field.name for field in dataclasses.fields(DecoderConfig)}
    own -= {field.name for field in dataclasses.fields(EncoderConfig)}
    # A source of a tokenizer without a begin has none either way.
    return own - {"output_bias", "source_begins"} | {"tied", "feed_forward", "head_dim", "norm"}


def test_all_kinds_have_an_architecture():
    assert encoder_decoder_config.ARCHITECTURES.keys() == encoder_decoder_config.FAMILIES.keys()
