"""What leaves for keras-hub, or comes, is whole or refused: special tokens, case, vectors."""

import importlib
import json
import logging

import numpy as np
import pytest
from tokenizers import normalizers

from pipelines import embed, export
from roots_tf import models, tokenizers
from roots_tf.export import keras_hub, keras_hub_tokenizer
from roots_tf.models import EmbeddingSettings
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.tokenizer import wordpiece
from tests.export.conftest import VOCABULARY

import_checkpoint = importlib.import_module("pipelines.import")

TOKENS = [*VOCABULARY, "[unused1]", "[MASK]s", "é", "THE", "漢", "字", "漢字", "@MASK@"]
CONFIG = models.EncoderConfig(
    vocabulary_size=len(TOKENS), num_layers=1, hidden_dim=16, num_heads=2, intermediate_dim=24,
    max_sequence_length=20, initializer_range=0.3, activation="gelu_tanh",
)  # fmt: skip
SAID = EmbeddingSettings("cls", True, 9)


def save_ours(folder, tokenizer=None, config=CONFIG, model=None, **described):
    models.save(folder, model or models.PooledEncoder(config, seed=3), **described)
    (tokenizer or wordpiece(TOKENS, lowercase=True)).save(folder)
    return folder


def with_special(*tokens, **rules):
    tokenizer = wordpiece(TOKENS, **{"lowercase": True} | rules)
    tokenizer.backend.add_special_tokens(list(tokens))
    return tokenizers.Tokenizer(tokenizer.backend)


def take_in(folder, output):
    import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))
    return models.embedding_settings(models.describe(output), str(output))


@pytest.fixture
def package():
    return pytest.importorskip("keras_hub")


@pytest.mark.parametrize(
    "rules",
    [{}, {"strip_accents": False}, {"lowercase": False}, {"lowercase": False, "strip_accents": 1}],
)
def test_texts_give_the_same_ids_there_and_when_they_come_back(package, tmp_path, rules):
    rules = {name: bool(value) for name, value in rules.items()}
    ours = with_special("[unused1]", **rules)
    out = keras_hub.write(tmp_path / "out", save_ours(tmp_path / "ours", ours))
    theirs = package.tokenizers.BertTokenizer.from_preset(str(out))
    texts = ["the [MASK] ship[UNK]", "[unused1]a [PAD][SEP]", "THE ship é É", "漢字ship", "[mask]"]
    ids, splits = ours.encode(texts)
    wanted = [ids[a:b].tolist() for a, b in zip(splits, splits[1:], strict=False)]
    assert [np.array(theirs(text)).tolist() for text in texts] == wanted
    assert wanted[0][1] == ours.mask_id
    take_in(out, tmp_path / "back")
    assert tokenizers.load(tmp_path / "back").fingerprint == ours.fingerprint


def without_chinese():
    tokenizer = wordpiece(TOKENS, lowercase=True)
    tokenizer.backend.normalizer = normalizers.BertNormalizer(handle_chinese_chars=False)
    return tokenizers.Tokenizer(tokenizer.backend)


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (without_chinese, "found handle_chinese_chars=False in the tokenizer of"),
        (lambda: with_special("[MASK]s"), r"the token '\[MASK\]s' with \[MASK\] in front"),
        (lambda: with_special("漢字"), "the token '漢字' with letters beyond ASCII"),
    ],
)
def test_rules_that_presets_do_not_keep_are_refused(tmp_path, tokenizer, message):
    with pytest.raises(InputError, match=f"{message}.*choose another --format"):
        keras_hub.write(tmp_path / "out", save_ours(tmp_path / "ours", tokenizer()))
    assert not (tmp_path / "out").exists()


def test_a_mask_of_another_name_is_refused(tmp_path):
    tokenizer = with_special("@MASK@")
    tokenizer.mask_id = TOKENS.index("@MASK@")
    with pytest.raises(InputError, match=r"found mask_token='@MASK@' .* has '\[MASK\]' only"):
        keras_hub_tokenizer.rules(tokenizer, "ours")


def test_a_special_token_that_overlaps_itself_leaves(package, tmp_path):
    out = keras_hub.write(tmp_path / "out", save_ours(tmp_path / "ours", with_special("@MASK@")))
    theirs = package.tokenizers.BertTokenizer.from_preset(str(out))
    assert np.array(theirs("@MASK@MASK@")).tolist()[0] == TOKENS.index("@MASK@")


def test_ids_that_differ_are_no_export(package, tmp_path, monkeypatch):
    ours = save_ours(tmp_path / "ours")
    rules = keras_hub_tokenizer.rules
    monkeypatch.setattr(
        keras_hub_tokenizer, "rules", lambda *given: rules(*given) | {"lowercase": False}
    )
    with pytest.raises(InputError, match=r"makes \[.* of 'The ship.', and the model's \["):
        keras_hub.write(tmp_path / "out", ours)
    assert not (tmp_path / "out").exists()


def test_a_modern_model_is_told_the_true_reason(tmp_path):
    fields = {name: getattr(CONFIG, name) for name in ("vocabulary_size", "hidden_dim")}
    config = models.EncoderConfig(
        num_layers=1, num_heads=2, intermediate_dim=24, **fields | models.preset_fields("modern")
    )
    ours = save_ours(tmp_path / "ours", config=config)
    with pytest.raises(InputError, match="found norm='pre'.*keras-hub's BertBackbone") as told:
        keras_hub.write(tmp_path / "out", ours)
    assert "approximate_gelu" not in str(told.value)


def vectors(model, tmp_path, texts):
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    output = str(tmp_path / "vectors.npy")
    embed.main(embed.Config(model=str(model), input=(str(tmp_path / "texts.txt"),), output=output))
    return np.load(output)


@pytest.mark.parametrize("settings", [SAID, EmbeddingSettings()])
def test_vectors_are_the_same_there_and_when_they_come_back(package, tmp_path, settings):
    said = {} if settings == EmbeddingSettings() else {"embedding": vars(settings)}
    ours = save_ours(tmp_path / "ours", **said)
    out = str(tmp_path / "out")
    export.main(export.Config(model=str(ours), output=out, format="keras_hub"))
    texts = ["The ship.", "a", "the ship sails " * 20]
    theirs = package.models.BertTextEmbedder.from_preset(out)
    found = vectors(ours, tmp_path, texts)
    np.testing.assert_allclose(theirs(theirs.preprocessor(texts)), found, atol=1e-5)
    assert take_in(out, tmp_path / "back") == settings
    np.testing.assert_array_equal(vectors(tmp_path / "back", tmp_path, texts), found)


def test_vectors_that_no_preset_makes_are_refused(tmp_path):
    ours, out = save_ours(tmp_path / "ours"), tmp_path / "out"
    with pytest.raises(InputError, match="found pooling='pooler'.*give --pooling"):
        keras_hub.write(out, ours, settings=EmbeddingSettings("pooler"))
    prompted = EmbeddingSettings(prompts={"query": "q: "}, default_prompt_name="query")
    with pytest.raises(InputError, match="found the prompt 'q: ' .*give --prompt_name= to leave"):
        keras_hub.write(out, ours, settings=prompted)
    assert not out.exists()


def test_what_is_left_out_is_told(package, tmp_path, caplog):
    ours = save_ours(tmp_path / "ours", model=models.Classifier(CONFIG, 2), labels=("no", "yes"))
    with caplog.at_level(logging.WARNING):
        out = keras_hub.write(tmp_path / "out", ours)
        assert "left out classes: the preset holds the backbone alone" in caplog.text
        assert not (out / "task.json").exists()


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer", {"split": False}, "found config.split=False in .*tokenizer.json"),
        ("tokenizer", {"oov_token": "?"}, "found config.oov_token='\\?'"),
        ("tokenizer", {"special_tokens": ["[new]"]}, r"the special token '\[new\]' in"),
        ("task", {"pooling_mode": "max"}, "found pooling_mode='max' in .*task.json; wanted one of"),
    ],
)
def test_a_preset_that_is_made_otherwise_is_refused(package, tmp_path, file, change, message):
    out = keras_hub.write(tmp_path / "out", save_ours(tmp_path / "ours"))
    path = out / f"{file}.json"
    content = json.loads(path.read_text())
    content["config"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        take_in(out, tmp_path / "back")
