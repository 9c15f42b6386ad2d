"""Where words start: aligned with tokens, stored with them, and never a change of ids."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers as hf_tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import words
from roots_tf.examples import manifest, records, word_lengths, word_starts
from roots_tf.storage import files
from roots_tf.tokenizers import Encoded
from roots_tf.tokenizers.tokenizer import Tokenizer
from tests.examples.conftest import build
from tests.examples.split_records import taken_apart
from tests.examples.test_reading import assert_same, batches

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHINESE = "国家主席江泽民今天在北京会见了克林顿。双方就BERT模型 don't 3.5倍交换了意见！"
JAPANESE = "東京タワーは高いです。私は学生です。"
ENGLISH = "The sea was calm, and nobody spoke. The 北京 train left."
TEXTS = [CHINESE * 3, JAPANESE * 3, ENGLISH * 2, "ที่นี่อากาศดี วันนี้ฝนตก\nສະບາຍດີ\nབཀྲ་ཤིས།", "½ ﬁ 𠮷野家"]


@pytest.fixture(scope="module", params=["wordpiece", "bpe", "unigram"])
def tokenizer(request) -> Tokenizer:
    """Of each model, trained on the texts, with pieces over the bounds of words."""
    pieces, trainers = hf_tokenizers.pre_tokenizers, hf_tokenizers.trainers
    flags = {"special_tokens": SPECIAL, "show_progress": False}
    if request.param == "wordpiece":
        backend = hf_tokenizers.Tokenizer(hf_tokenizers.models.WordPiece(unk_token="[UNK]"))
        backend.normalizer = hf_tokenizers.normalizers.BertNormalizer(strip_accents=False)
        backend.pre_tokenizer = pieces.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=120, **flags)
    elif request.param == "bpe":
        backend = hf_tokenizers.Tokenizer(hf_tokenizers.models.BPE())
        backend.pre_tokenizer = pieces.ByteLevel(add_prefix_space=False)
        alphabet = pieces.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, **flags)
    else:
        backend = hf_tokenizers.Tokenizer(hf_tokenizers.models.Unigram())
        backend.pre_tokenizer = pieces.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=130, unk_token="[UNK]", **flags)
    backend.train_from_iterator(TEXTS, trainer)
    return Tokenizer(backend)


def slowly(text, spans, places):
    """The words of `aligned`, character by character."""
    of_character = [None] * len(text)
    for word, (begin, end) in enumerate(spans):
        of_character[begin:end] = [word] * (end - begin)
    found = []
    for i, (begin, _) in enumerate(places):
        before = places[i - 1] if i else None
        if before is None:
            found.append(True)
        elif before[1] > begin or not any(w is not None for w in of_character[slice(*before)]):
            found.append(False)  # shares a character with the token before it, or that is a space
        else:
            here = of_character[begin] if begin < len(text) else None
            found.append(here is None or begin == 0 or of_character[begin - 1] != here)
    return found


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text("北京学 a", max_size=9), st.integers(0, 1 << 30)), max_size=4),
)
def test_words_are_aligned_as_the_oracle_aligns_them(texts):
    spans, places, splits, wanted = [], [], [0], []
    for text, seed in texts:
        rng = np.random.default_rng(seed)
        cuts = np.unique(np.append(rng.integers(0, len(text) + 1, 4), [0, len(text)]))
        parts = zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
        spans.append([(a, b) for a, b in parts if not set(text[a:b]) & {" "}])
        begins = np.sort(rng.integers(0, len(text) + 1, rng.integers(0, 6)))
        tokens = [(b, min(b + rng.integers(0, 4), len(text))) for b in begins.tolist()]
        places += tokens
        splits.append(len(places))
        wanted += slowly(text, spans[-1], tokens)
    starts, ends = np.array(places, np.int32).reshape(-1, 2).T
    encoded = Encoded(np.zeros(len(places), np.int32), np.array(splits), starts, ends)
    if texts:
        found = word_starts.aligned([len(text) for text, _ in texts], spans, encoded)
        assert found.tolist() == wanted


def test_words_of_a_chinese_sentence():
    """Pieces 北, 京大, 学 of the words 北京 and 大学 make one word, since no piece is cut."""
    spans = [(0, 2), (2, 4), (5, 6)]
    encoded = Encoded(*map(np.array, ([7, 8, 9, 5], [0, 4], [0, 1, 3, 4], [1, 3, 4, 6])))
    assert word_starts.aligned([6], [spans], encoded).tolist() == [True, False, False, True]


@pytest.mark.parametrize("code", [None, "", "zh", "ja"])
def test_ids_are_the_same_whatever_cuts_the_words(tokenizer, code):
    texts = [*TEXTS, "", "\ud800北京", "plain English"]
    wanted_ids, wanted_splits = tokenizer.encode(texts)
    languages = [code] * (len(texts) - 1) + [None]
    ids, splits, starts = word_starts.encode(tokenizer, texts, languages)
    np.testing.assert_array_equal(ids, wanted_ids)
    np.testing.assert_array_equal(splits, wanted_splits)
    last = slice(splits[-2], splits[-1])
    np.testing.assert_array_equal(starts[last], word_starts.of_vocabulary(tokenizer)[ids[last]])


def test_words_start_where_they_are_cut(tokenizer):
    """Of a text that each model spells, the words by the bits are words of the text, or several."""
    ids, _, starts = word_starts.encode(tokenizer, [CHINESE], ["zh"])
    places = tokenizer.encode_with_offsets([CHINESE])
    begins = {begin for begin, _ in words.spans(CHINESE, "zh")}
    for token, start in enumerate(starts):
        if start and token:
            text = CHINESE[places.starts[token] : places.ends[token]]
            assert places.starts[token] + len(text) - len(text.lstrip()) in begins
    by_table = word_starts.of_vocabulary(tokenizer)[ids]
    assert starts.tolist() != by_table.tolist()
    in_words = word_lengths.of_words(tokenizer, ids, starts)
    assert 1.2 < word_lengths.figures(in_words["characters"])["mean"] < 4


@pytest.mark.parametrize(
    "text, own, default, segmentation, wanted",
    [
        (ENGLISH[:30], "", "en", "auto", ("en", False, None)),
        (ENGLISH[:30], "de", "en", "auto", ("de", True, None)),
        (ENGLISH, "", "en", "auto", ("en", False, "")),
        (CHINESE, "", "en", "auto", ("zh", False, "zh")),
        (CHINESE, "zh-Hant", "en", "auto", ("zh", True, "zh")),
        (CHINESE, "en", "en", "auto", ("zh", True, "zh")),  # what letters say is certain
        (CHINESE, "", "ja", "auto", ("ja", False, "ja")),
        (JAPANESE, "", "en", "auto", ("ja", False, "ja")),
        (JAPANESE, "", "en", "zh", ("ja", False, "zh")),
        (CHINESE, "", "en", "none", ("zh", False, None)),
        ("ᬅᬓ᭄ᬱᬭᬩᬮᬶ", "", "en", "auto", ("und", False, "und")),
    ],
)
def test_the_language_of_a_document(text, own, default, segmentation, wanted):
    found = word_starts.language(text, text.encode(), own, default, segmentation)
    assert found == wanted


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Some that say their language and some that do not."""
    folder = tmp_path_factory.mktemp("mixed")
    texts = [f"{text}\n{i}. {text}" for i in range(10) for text in TEXTS[:3]]
    languages = ["zh", None, "en"] * 10
    ids = [str(i) for i in range(30)]
    table = pa.table({"id": ids, "text": texts, "language": languages})
    pq.write_table(table, folder / "documents.parquet")
    return folder


@pytest.mark.parametrize("layout", ["pairs", "contiguous"])
def test_a_build_stores_where_words_start(mixed, tokenizer, tmp_path, layout):
    tokenizer.save(tmp_path / "tokenizer")
    found = {
        segmentation: build(
            mixed, tmp_path / "tokenizer", tmp_path / segmentation, num_shards=1,
            layout=layout, word_segmentation=segmentation, sentence_objective="none",
        )
        for segmentation in ("auto", "none", "ja")
    }  # fmt: skip
    ids, starts = {}, {}
    for segmentation, built in found.items():
        header = records.header_words("uint16", layout)
        path = built.folder / built.manifest["splits"]["train"]["shards"][0]["name"]
        rows = [np.frombuffer(r, "<u2") for r in records.read(path)[1:]]
        parts = [taken_apart(row[header:], "words") for row in rows]
        ids[segmentation] = [part.tolist() for part, _ in parts]
        starts[segmentation] = [bits for _, bits in parts]
        described = built.manifest["words"]
        assert described["segmentation"] == segmentation
        assert described["languages"] == {"en": 10, "ja": 10, "zh": 10}
        assert described["undeclared"] == {"ja": 10}
        assert 0 < described["unspaced_percent"] <= 100
        manifest.load(built.folder)
    assert ids["auto"] == ids["none"] == ids["ja"]
    assert starts["auto"] != starts["none"] and starts["ja"] != starts["none"]
    assert len({built.manifest["build"] for built in found.values()}) == 3
    words_of = {name: built.manifest["words"] for name, built in found.items()}
    assert words_of["none"]["segmenters"] == {}
    assert words_of["auto"]["segmenters"]["zh"] == words.segmenter("zh")
    config = files.read_json(found["auto"].folder / "config.json")
    assert config["inputs"]["word_segmentation"] == ["auto", words_of["auto"]["segmenters"]]


def test_another_segmenter_makes_another_build(mixed, tmp_path, monkeypatch, vocabulary):
    def again():
        flags = {"layout": "contiguous", "num_shards": 1}
        return build(mixed, vocabulary, tmp_path / "out", **flags).manifest["build"]

    first = again()
    assert again() == first
    monkeypatch.setattr(words, "segmenter", lambda language: f"{language} 9")
    assert again() != first


def as_format_1(built, folder):
    """The examples as versions 0.1 and 0.2 wrote them, without bits."""
    shutil.copytree(built.folder, folder)
    described = json.loads((folder / "manifest.json").read_text())
    for name in ("word_starts", "words"):
        del described[name]
    described["format"] = 1
    for part in described["splits"].values():
        for shard in part["shards"]:
            path = folder / shard["name"]
            rows = [np.frombuffer(row, "<u2").copy() for row in records.read(path)[1:]]
            header = records.header_words("uint16", described["layout"])
            for row in rows:
                row[header:] &= 0x7FFF
            lead = f"roots-tf examples 1 {described['build']} {shard['name']}".encode()
            data = [lead, *(row.tobytes() for row in rows)]
            path.write_bytes(records.frame(b"".join(data), np.array([*map(len, data)])))
    (folder / "manifest.json").write_text(json.dumps(described))
    return built._replace(folder=folder, manifest=manifest.load(folder))


@pytest.mark.parametrize("objective, masking", [("nsp", "whole_word"), ("none", "span")])
def test_examples_without_the_bits_are_masked_by_the_vocabulary(
    built, tmp_path, objective, masking
):
    """Of text with spaces that is the same."""
    flags = {"sentence_objective": objective, "masking": masking}
    old = as_format_1(built, tmp_path / "old")
    assert_same(batches(old, 3, **flags), batches(built, 3, **flags))


def test_numbers_that_do_not_go_together_are_refused(built, tmp_path):
    shutil.copytree(built.folder, tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    described = json.loads(path.read_text()) | {"format": 1}
    path.write_text(json.dumps(described))
    with pytest.raises(files.InputError, match="found word_starts words with format 1 and"):
        manifest.load(tmp_path / "out")
