import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roots_tf.corpus import shingles
from roots_tf.corpus.shingles import ngram_hashes, word_hashes, word_places


def words_of(text: str) -> list[str]:
    """The slow, obvious way to the words of a text."""
    folded = text.casefold()
    kinds = [kind_of(char) for char in folded]
    words, word = [], ""
    for place, (char, kind) in enumerate(zip(folded, kinds, strict=True)):
        if kind == "part":
            word += char
            continue
        words += [word] * bool(word)
        word = ""
        if isinstance(kind, int):  # the width of a word
            others = [other == kind for other in kinds[place : place + kind]] + [False]
            words.append(folded[place : place + others.index(False)])
    return words + [word] * bool(word)


def kind_of(char: str) -> str | int:
    if unicodedata.category(char)[0] not in "LMN":
        return "separator"
    for kind, blocks in shingles._UNSPACED.items():
        if any(first <= ord(char) <= last for first, last in blocks):
            return int(shingles._WIDTHS[kind])
    return "part"


def ngrams_of(words: list[str], n: int) -> list[tuple[str, ...]]:
    if 0 < len(words) < n:
        return [tuple(words)]
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def same_partition(hashes: np.ndarray, values: list) -> bool:
    """Whether hashes are equal exactly where values are."""
    pairs = set(zip(hashes.tolist(), values, strict=True))
    return len(pairs) == len(set(hashes.tolist())) == len(set(values))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop!", ["don", "t", "stop"]),
        ("DON’T: stop", ["don", "t", "stop"]),
        ("Straße, STRASSE", ["strasse", "strasse"]),
        ("(1,234.50)", ["1", "234", "50"]),
        ("漢字とkana", ["漢字", "字と", "と", "kana"]),
        ("漢、字", ["漢", "字"]),
        ("ไทยแลนด์", ["ไทยแ", "ทยแล", "ยแลน", "แลนด", "ลนด์", "นด์", "ด์", "์"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("", []),
        ("... --- !?", []),
    ],
)
def test_words(text, words):
    assert words_of(text) == words
    hashes, offsets = word_hashes([text])
    assert offsets.tolist() == [0, len(words)]
    assert same_partition(hashes, words)


texts = st.text(
    st.characters(codec="utf-8") | st.sampled_from("aAbBß .,'\n漢字ไทย٠é") | st.just(" "),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=6), st.integers(1, 4), st.integers(8, 64))
@example(["a\U000e0100"], 1, 8)  # a variation selector is a mark
def test_against_the_slow_way(batch, n, batch_chars):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "BATCH_CHARS", batch_chars)
        hashes, offsets = word_hashes([" ".join(text.split()) for text in batch])
    whole, borders = word_hashes(batch)
    expected = [words_of(text) for text in batch]
    assert borders.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    assert same_partition(whole, [word for words in expected for word in words])
    # Where spaces are near one another, a text that is hashed in pieces has the same hashes.
    if max((len(word) for text in batch for word in text.split()), default=0) <= batch_chars // 4:
        assert (hashes.tolist(), offsets.tolist()) == (whole.tolist(), borders.tolist())
    grams, borders = ngram_hashes(whole, borders, n)
    expected = [ngrams_of(words, n) for words in expected]
    assert borders.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    assert same_partition(grams, [gram for ngrams in expected for gram in ngrams])


@settings(max_examples=100, deadline=None)
@given(texts)
def test_places(text):
    hashes, starts, ends = word_places(text)
    assert hashes.tolist() == word_hashes([text])[0].tolist()
    found = [text[start:end].casefold() for start, end in zip(starts, ends, strict=True)]
    # A character that folds to several may hold the end of one word and the start of the next.
    assert all(word in piece for word, piece in zip(words_of(text), found, strict=True))


def test_places_behind_a_letter_that_folds_to_two():
    _, starts, ends = word_places("ßß ß, a")
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(0, 2), (3, 4), (6, 7)]


def test_hashes_are_the_same_everywhere():
    hashes, offsets = word_hashes(["The sea was calm."])
    assert hashes.tolist() == [
        *(17388858934541633763, 3256966848566900926, 7943860679729560091, 814382961404161654)
    ]
    assert ngram_hashes(hashes, offsets, 2)[0].tolist() == [
        *(1554119066224473890, 3341668736619071035, 8888809214197885685)
    ]


def test_words_of_real_text_do_not_collide(data):
    names = ["novels_en/Kipling_Kim_1901.txt", "udhr/rus.txt", "udhr/hin.txt", "udhr/jpn.txt"]
    paths = [data / name for name in names if (data / name).exists()]
    assert len(paths) >= 3
    batch = [path.read_text("utf-8-sig") for path in paths]
    hashes, _ = word_hashes(batch)
    assert same_partition(hashes, [word for text in batch for word in words_of(text)])
