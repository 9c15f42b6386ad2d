import collections
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.corpus.documents import Document
from roots_tf.corpus.repetition import DUPLICATE_SIZES, TOP_SIZES, Repetition, ngram_chars


def joined(words, n):
    return [" ".join(words[place : place + n]) for place in range(len(words) - n + 1)]


def chars_of_the_top(words, n):
    if len(words) < n:
        return 0
    ngram, times = collections.Counter(joined(words, n)).most_common(1)[0]
    return len(ngram) * times


def chars_met_again(words, n):
    seen, place, chars = set(), 0, 0
    while place <= len(words) - n:
        ngram = tuple(words[place : place + n])
        if ngram in seen:
            chars += len("".join(ngram))
            place += n
        else:
            seen.add(ngram)
            place += 1
    return chars


def oracle(words):
    """The n-grams spelled out and looked up one by one, as table A1 of Gopher describes them."""
    return {n: chars_of_the_top(words, n) for n in TOP_SIZES} | {
        n: chars_met_again(words, n) for n in DUPLICATE_SIZES
    }


def measures(text):
    measured = {}
    Repetition()(Document(text, "here"), measured)
    return measured


def verdict(text, **parameters):
    result = Repetition(**parameters)(Document(text, "here"), {})
    return result if isinstance(result, str) else "kept"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["a", "bb", "ccc", "é"]), max_size=60))
def test_ngrams_are_those_of_a_slow_count(words):
    assert ngram_chars(words) == oracle(words)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["to be or not to be that is the question", "a b", "c"]), max_size=9)
)
def test_ngrams_of_repeated_phrases(phrases):
    words = " ".join(phrases).split()
    assert ngram_chars(words) == oracle(words)


def test_ngrams_of_a_novel(novels):
    books = sorted(novels.glob("*.txt"))[:3]
    words = " ".join(path.read_text("utf-8-sig") for path in books).split()[:80_000]
    assert len(words) > 50_000
    assert ngram_chars(words) == oracle(words)


def test_ngrams_of_much_that_is_repeated():
    words = [f"w{n * n % 31}" for n in range(3000)] + [f"x{n}" for n in range(500)] * 3
    assert ngram_chars(words) == oracle(words)


def test_shares_by_hand():
    text = "one two\none two\nthree\n\none two\none two\nthree"
    found = measures(text)
    assert found["duplicate_lines"] == 4 / 6
    assert found["duplicate_line_chars"] == (7 + 7 + 7 + 5) / len(text)
    assert found["duplicate_paragraphs"] == 1 / 2
    assert found["duplicate_paragraph_chars"] == 21 / len(text)
    assert found["top_2_gram_chars"] == 4 * 7 / len(text)
    assert found["duplicate_5_gram_chars"] == len("onetwoonetwothree") / len(text)
    assert verdict(text) == "duplicate_paragraphs"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("\n".join(f"l{n} of w{n}, {n}." for n in range(50)), "kept"),
        ("Buy now.\n" * 20, "duplicate_lines"),
        (
            "Home, About Us, Contact\n" * 3 + "\n".join(f"line {n}" for n in range(8)),
            "duplicate_line_chars",
        ),
        ("spam spam " * 30, "top_2_gram_chars"),
        (" ".join(f"x{n} {n * 7}" for n in range(99)), "kept"),
        (
            " all of the six words are here ".join(f"w{n} x{n} y{n}" for n in range(9)),
            "top_3_gram_chars",
        ),
        (" six words ".join(f"w{n} x{n} y{n} and z{n}" for n in range(20)), "top_2_gram_chars"),
        (" ".join(f"w{n % 100}" for n in range(125)), "duplicate_8_gram_chars"),
        (" ".join(f"w{n % 100}" for n in range(105)), "kept"),
    ],
)
def test_verdicts(text, reason):
    assert verdict(text) == reason


def test_limits_name_every_measure_and_decide():
    text = " ".join(["the cat sat on the mat and so on"] * 2 + [f"word{n}" for n in range(40)])
    found, limits = measures(text), Repetition().limits("en")
    assert set(found) == set(limits)
    assert verdict(text) == "kept"
    loosest = Repetition(
        max_top_ngram_chars=(1, 1, 1), max_duplicate_ngram_chars=(0.01,) + (1,) * 5
    )
    assert loosest(Document(text, "here"), {}) == "duplicate_5_gram_chars"


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab \n\t.é字ก"), max_size=80))
def test_shares_are_shares(text):
    for name, value in measures(f"{text}.").items():
        assert 0 <= value <= 1 or re.fullmatch(r"top_\d_gram_chars", name)
