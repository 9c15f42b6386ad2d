"""OPUS-MT's two SentencePiece models: ids as MarianTokenizer of transformers gives them."""

import importlib
import json
import shutil

import pytest
import tokenizers as backends
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import build_examples, export
from roots_tf import tokenizers
from roots_tf.labelled import pair_rows
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import extending, sentencepiece
from roots_tf.tokenizers.sentencepiece import Model, Piece
from tests.export import theirs_encoder_decoders as theirs

import_checkpoint = importlib.import_module("pipelines.import")
MADE = json.loads(theirs.PATH.read_text())["marian"]
SPECIAL = [Piece("<unk>", 0.0, 2), Piece("<s>", 0.0, 3), Piece("</s>", 0.0, 3)]
SOURCE = ["▁the", "▁a", "▁", "s", "t", "r", "e", "a", "ss", "h", "th"]
TARGET = ["▁die", "▁", "ß", "s", "t", "r", "e", "a", "ße", "Str", "d", "i", "S"]
TOKENS = ["</s>", "<unk>", ">>deu<<", *dict.fromkeys([*SOURCE, *TARGET]), "<pad>"]


# How rows are made for these models: `<pad>` starts a target, nothing a source.
PLACES = {"lengths": (20, 20), "start_ids": (len(TOKENS) - 1,), "source_begins": False}


def model(pieces):
    return Model([*SPECIAL, *(Piece(p, -2.0 - 0.25 * i) for i, p in enumerate(pieces))], 0, b"")


@pytest.fixture(scope="module")
def opus(tmp_path_factory):
    """A folder as OPUS-MT's, of random weights."""
    folder = tmp_path_factory.mktemp("opus") / "theirs"
    size = len(TOKENS)
    shapes = {name: list(shape) for name, shape in MADE["shapes"].items()}
    for name in ("model.shared.weight", "final_logits_bias"):
        rows = shapes[name].index(theirs.config("marian")["vocab_size"])
        shapes[name][rows] = size
    ids = {"pad_token_id": size - 1, "decoder_start_token_id": size - 1}
    theirs.save(folder, "marian", shapes, vocab_size=size, **ids)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "MarianTokenizer"}')
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(TOKENS)}))
    for name, pieces in (("source.spm", SOURCE), ("target.spm", TARGET)):
        (folder / name).write_bytes(sentencepiece.written(model(pieces)))
    return folder


def take_in(folder, output):
    import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))
    return output


@pytest.fixture(scope="module")
def ours(opus):
    return take_in(opus, opus.with_name("ours"))


# Tokens as MarianTokenizer of transformers 5.24 gives them for this folder.
TEXTS = [
    ("the Straße", "▁the ▁ S t r a ß e", "▁ t h e ▁ Str a ße"),
    ("a streß", "▁a ▁ s t r e ß", "▁ a ▁ s t r e ß"),
    (">>deu<< the", ">>deu<< ▁the", ">>deu<< ▁ t h e"),
    ("", "", ""),
    ("漢字x the", "▁ <unk> ▁the", "▁ <unk> ▁ t h e"),
]


def test_a_run_of_the_others_characters_is_those_characters(ours):
    # In transformers such a run is one unknown token, unless the other side has it as a piece.
    assert [TOKENS[i] for i in tokenizers.load(ours).encode(["di"])[0]] == ["▁", "d", "i"]


@pytest.mark.parametrize(("text", "source", "target"), TEXTS)
def test_each_side_is_cut_by_its_own_model(ours, text, source, target):
    found = tokenizers.load(ours)
    for side, wanted in ((found, source), (found.targets, target)):
        assert [TOKENS[i] for i in side.encode([text])[0]] == wanted.split()


def test_rows_for_training_have_targets_of_the_targets_model(ours):
    found = tokenizers.load(ours)
    texts = ["the Straße"]
    rows = pair_rows.make(texts, texts, found, **PLACES)
    assert [TOKENS[i] for i in rows.sources.row(0)] == [*TEXTS[0][1].split(), "</s>"]
    assert [TOKENS[i] for i in rows.targets.row(0)] == [*TEXTS[0][2].split(), "</s>"]


def test_what_spells_a_special_token_in_a_target_is_text(ours):
    found = tokenizers.load(ours)
    rows = pair_rows.make(["a"], ["</s> a"], found, **PLACES)
    ids = rows.targets.row(0).tolist()
    assert ids.count(found.eos_id) == 1 and ids[-1] == found.eos_id


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(alphabet="the aStrß漢\t>d<ui", max_size=12), min_size=1, max_size=4))
def test_the_graph_cuts_both_sides_alike(ours, texts):
    found = tokenizers.load(ours)
    for side in (found, found.targets):
        ids, splits = side.encode(texts)
        rows = _graph(side).tokenize(texts)
        assert rows.values.numpy().tolist() == ids.tolist()
        assert rows.row_splits.numpy().tolist() == splits.tolist()


_GRAPHS = {}


def _graph(side):
    return _GRAPHS.setdefault(side.fingerprint, side.graph())


def test_out_again_and_in_again_gives_the_same_files(ours, tmp_path):
    out = tmp_path / "out"
    export.main(export.Config(model=str(ours), format="huggingface", output=str(out)))
    config = json.loads((out / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "MarianTokenizer"
    again = take_in(out, tmp_path / "again")
    for name in ("tokenizer.json", "target_tokenizer.json", "model.safetensors"):
        assert (again / name).read_bytes() == (ours / name).read_bytes()
    assert sentencepiece.parse(out / "target.spm").pieces[3:] == [
        piece for piece in sorted(model(TARGET).pieces[3:], key=lambda p: TOKENS.index(p.text))
    ]


def test_the_file_of_targets_is_one_of_the_model(ours, tmp_path):
    folder = shutil.copytree(ours, tmp_path / "changed")
    found = tokenizers.load(folder)
    assert found.fingerprint != tokenizers.Tokenizer(found.backend, found.roles).fingerprint
    text = (folder / "target_tokenizer.json").read_text()
    (folder / "target_tokenizer.json").write_text(text.replace("▁die", "▁der"))
    with pytest.raises(InputError, match="target_tokenizer.json"):
        tokenizers.load(folder)


def test_a_tokenizer_that_is_saved_over_another_leaves_no_targets_of_it(ours, tmp_path):
    found = tokenizers.load(ours)
    found.save(tmp_path)
    alone = tokenizers.Tokenizer(found.backend, found.roles)
    alone.save(tmp_path)
    assert tokenizers.load(tmp_path).fingerprint == alone.fingerprint


def test_other_ids_of_targets_are_refused(ours):
    found = tokenizers.load(ours)
    other = backends.Tokenizer.from_str(found.targets.backend.to_str())
    other.add_tokens(["new"])
    with pytest.raises(InputError, match=f"found {len(TOKENS)} tokens of sources and"):
        tokenizers.Tokenizer(found.backend, found.roles, tokenizers.Tokenizer(other, found.roles))


def test_words_cannot_be_added(ours):
    with pytest.raises(InputError, match="sources and targets in two ways"):
        extending.extend(tokenizers.load(ours), ["word"])


def test_examples_of_running_text_are_refused(ours, tmp_path):
    flags = {"input": (str(tmp_path),), "tokenizer": str(ours), "output": str(tmp_path / "out")}
    with pytest.raises(InputError, match="two ways, as OPUS-MT's do; wanted one that cuts all"):
        build_examples.main(build_examples.Config(**flags))
    assert not (tmp_path / "out").exists()


def test_sentinels_are_added_on_both_sides(ours):
    found = extending.with_special_tokens(tokenizers.load(ours), ["<extra_id_0>"])
    for side in (found, found.targets):
        assert side.encode(["a<extra_id_0>"])[0][-1] == len(TOKENS)


BYTES = Model([*SPECIAL, Piece("<0xE6>", -9.0, 6), Piece("▁a", -2.0)], 0, b"")
BROKEN = [
    ("target_vocab.json", b"{}", "target_vocab.json.*one vocab.json"),
    ("target.spm", b"\xff\xff", "no SentencePiece model in .*target.spm"),
    ("target.spm", None, "target.spm"),
    ("source.spm", sentencepiece.written(BYTES), "pieces of bytes in .*source.spm"),
    ("vocab.json", b'{"</s>": 0, "<unk>": 2}', "leave one out"),
    ("vocab.json", b"[]", "0 tokens"),
    ("vocab.json", b'{"</s>": 0, "<unk>": 1, "a": 2}', "no token '<pad>'"),
    ("vocab.json", b'{"</s>": 0, "<unk>": "1", "<pad>": 2}', "leave one out"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_a_folder_that_lacks_something_gets_one_line(opus, tmp_path, name, content, message):
    folder = shutil.copytree(opus, tmp_path / "theirs")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        take_in(folder, tmp_path / "taken")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "taken").exists()
