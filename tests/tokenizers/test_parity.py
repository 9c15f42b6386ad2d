"""One answer everywhere: bulk, graph and Hugging Face give the same ids and offsets."""

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers as hugging_face
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roots_tf import tokenizers
from roots_tf.tokenizers import training
from tests.tokenizers.parity import Parity, as_bytes

HOSTILE = [
    "",
    " ",
    "a",
    "Hello, World!  it's  [MASK]",
    "foo[MASK]bar[SEP][SEP",
    "[[MASK]] [mask] [MA\0SK] \xff[CLS]",
    *("x" * n for n in (99, 100, 101, 199, 200, 201)),
    "b " + "a" * 150 + " c, é" * 3,
    "e\u0301\u0323 \u00e9\u0323 \u1e9b\u0323",
    "ﬁ ½ ′″ \u2033 \u2011 \u00a0x\u202f\u2028y\u2029z\u3000",
    "\x00a\ufffdb\x0bc\x0cd\x1ce\x85f\x7f",
    "日本語 text 中文。\uf900\U0002f800\u2329",
    "\u226e<\u0338 \u037e \u1fef",
    "\u0130stanbul ΣΑΣ ǅ ẞ",
    # Combining marks that stay when accents go, out of canonical order.
    "a\U0001d16d\U0001d165b \U0001d15e\u0334\u302e x\U0001d16d\u0301\U0001d165\0\u302ey",
    "\U0001d160\u1dce \u302e\u0334 \U0001d16d[MASK]\U0001d165",
    "\ud800x\udc00 \ud83d\ude00",
    b"\xff\xfeabc\xed\xa0\x80\xf0\x9f\x98 \xc0\x80",
    "👩‍👩‍👧 👍🏽 🇩🇪 \u200fאב\u200e",
    "가각힣 \u1100\u1161\u11a8",
    "''s's 'S 're 'rex 'l 'll l'll 5's !'s  's \u00a0's '",
    "a  b   c \n\n d\t\te \n",
    "▁a ▁▁b c▁d ▁",
    "Ġa Ċ",
    "\U0010ffff\ue000\ufdd0\u0378",
]
MODELS = [
    ("wordpiece", {"strip_accents": True}),
    ("wordpiece", {"lowercase": False}),
    ("wordpiece", {}),  # the text of the vocabulary has marks that are letters: they stay
    ("wordpiece", {"lowercase": False, "strip_accents": True}),
    ("bpe", {"strip_accents": True}),
    ("bpe", {"lowercase": False}),
    ("bpe", {}),
    ("unigram", {"strip_accents": True}),
    ("unigram", {}),
    ("unigram", {"lowercase": False}),
    ("character", {"strip_accents": True}),
    ("character", {"lowercase": False}),
    ("character", {}),
]
MODEL_IDS = [f"{model}{list(kwargs.items())}" for model, kwargs in MODELS]
ALL_CHARACTERS = st.characters(exclude_categories=())  # surrogates, too
TEXTS = st.lists(
    st.one_of(
        st.text(ALL_CHARACTERS),
        st.text(
            st.one_of(
                st.sampled_from(" \n\t'.,[]ABCabcéßİΣ0½▁日\u0301\u0323\u200d\u00a0\0"),
                st.sampled_from("\U0001d165\U0001d16d\u302e\u1dce\u0334\u094d\U0001d15e\U0001d160"),
                ALL_CHARACTERS,
            )
        ),
        st.lists(st.sampled_from(HOSTILE[:-1:2] + ["[MASK]", " ", "the", "don't"])).map(
            lambda parts: b"".join(map(as_bytes, parts))
        ),
        st.binary(),
    ),
    max_size=20,
)
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.mark.parametrize(("model", "kwargs"), MODELS, ids=MODEL_IDS)
def test_hostile_strings(parities, model, kwargs):
    parity = parities(model, **kwargs)
    assert parity.check(HOSTILE) > 0
    for text in HOSTILE:
        parity.check([text])
    parity.check([])
    parity.check(["", "", ""])


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "character"])
@given(texts=TEXTS)
@QUICK
def test_drawn_strings(parities, model, texts):
    parities(model).check(texts)


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "character"])
@given(texts=TEXTS)
@QUICK
def test_drawn_strings_cased(parities, model, texts):
    parities(model, lowercase=False).check(texts)


@given(texts=TEXTS)
@QUICK
def test_drawn_strings_with_the_published_vocabulary(minilm_parity, texts):
    minilm_parity.check(texts)


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "character"])
@pytest.mark.parametrize("planes", [range(1), pytest.param(range(1, 17), marks=pytest.mark.slow)])
def test_every_code_point(parities, model, planes):
    """Also those planes of which `characters` asks the normaliser about one character only."""
    for plane in planes:
        codes = range(plane << 16, (plane + 1) << 16)
        texts = [f"a{chr(code)}b {chr(code)}" for code in codes]
        parities(model).check(joined(texts) if plane else texts)


def joined(texts: list[str]) -> list[str]:
    """The texts, 64 to a line, which takes a third of the time."""
    return [" ".join(texts[i : i + 64]) for i in range(0, len(texts), 64)]


def real_lines(data: Path, everything: bool) -> list[bytes]:
    """Lines of all files, as they are; but for `udhr`, a sample of them unless all are wanted."""
    lines = []
    for path in sorted(data.rglob("*.*")):
        found = path.read_bytes().split(b"\n")
        lines += found if everything or path.parent.name == "udhr" else found[::250]
    return lines


EVERYTHING = pytest.mark.parametrize(
    "everything", [False, pytest.param(True, marks=pytest.mark.exhaustive)]
)


@pytest.mark.parametrize(
    ("model", "kwargs"),
    [("wordpiece", {}), ("bpe", {"lowercase": False}), ("unigram", {}), ("character", {})],
)
@EVERYTHING
def test_real_text(languages, tmp_path, model, kwargs, everything):
    texts = (path.read_text("utf-8-sig") for path in sorted(languages.glob("udhr/*")))
    tokenizer = training.train(texts, tmp_path, model=model, vocab_size=4000, **kwargs)
    parity = Parity(tokenizer)
    lines = real_lines(languages, everything)
    for start in range(0, len(lines), 20_000):
        parity.check(lines[start : start + 20_000])


@EVERYTHING
def test_real_text_with_the_published_vocabulary(languages, minilm, minilm_parity, everything):
    """Against a tokenizer built here as `transformers.BertTokenizerFast` builds its own."""
    tokens = (minilm / "vocab.txt").read_text("utf-8").split("\n")[:-1]
    reference = hugging_face.Tokenizer(
        hugging_face.models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]")
    )
    reference.normalizer = hugging_face.normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True
    )
    reference.pre_tokenizer = hugging_face.pre_tokenizers.BertPreTokenizer()
    reference.add_special_tokens(["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"])
    lines = real_lines(languages, everything)
    for start in range(0, len(lines), 20_000):
        batch = lines[start : start + 20_000]
        minilm_parity.check(batch)
        expected = reference.encode_batch_fast(
            [line.decode("utf-8", "replace") for line in batch], add_special_tokens=False
        )
        ids, _ = minilm_parity.tokenizer.encode(batch)
        np.testing.assert_array_equal(ids, np.concatenate([e.ids for e in expected]))


def test_transformers_gives_the_same(minilm, minilm_parity):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizerFast(str(minilm / "vocab.txt"))
    texts = [as_bytes(text).decode("utf-8", "replace") for text in HOSTILE]
    expected = theirs(texts, add_special_tokens=False)["input_ids"]
    ids, splits = minilm_parity.tokenizer.encode(texts)
    assert [row.tolist() for row in np.split(ids, splits[1:-1])] == expected


def test_the_json_of_a_published_model_gives_the_same(minilm):
    one, other = tokenizers.load(minilm / "tokenizer.json"), tokenizers.load(minilm / "vocab.txt")
    assert one.encode(HOSTILE)[0].tolist() == other.encode(HOSTILE)[0].tolist()
    assert one.special_ids == other.special_ids
    assert tokenizers.load(minilm).cls_id == 101


def test_merges_in_an_order_that_training_does_not_give(vocabulary, tmp_path):
    """ "ab" is made by the last merge, but pairs that hold it rank before it."""
    path = tmp_path / "tokenizer.json"
    settings_ = json.loads((vocabulary("bpe") / "tokenizer.json").read_text("utf-8"))
    vocab = {t: i for t, i in settings_["model"]["vocab"].items() if len(t) == 1 or i < 6}
    merges = [["ab", "a"], ["ab", "ab"], ["aba", "b"], ["a", "a"], ["b", "ab"], ["a", "b"]]
    for pair in merges:
        vocab.setdefault("".join(pair), len(vocab))
    vocab = {token: i for i, token in enumerate(sorted(vocab, key=vocab.get))}
    for added in settings_["added_tokens"]:
        added["id"] = vocab[added["content"]]
    settings_["model"] |= {"vocab": vocab, "merges": merges}
    path.write_text(json.dumps(settings_), "utf-8")
    texts = ["ab" * n for n in range(12)] + ["aab" * n for n in range(9)] + ["abba" * 5, "a" * 9]
    Parity(tokenizers.load(path)).check(texts)
