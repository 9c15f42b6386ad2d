"""Words, sentences and leads of texts, and the nearest of other texts."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.metrics import nearest, pieces


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("Dr. Fox met Mrs. Owl. They ate.", "en", ["Dr. Fox met Mrs. Owl.", "They ate."]),
        ("Es kostet ca. 5.000 Euro. Gut!", "de", ["Es kostet ca. 5.000 Euro.", "Gut!"]),
        ("天下大乱。他来了！真的？", "zh", ["天下大乱。", "他来了！", "真的？"]),
        ("今日は。いい天気です。", "ja", ["今日は。", "いい天気です。"]),
        ("A title\n\n  And a line. Or two", "en", ["A title", "And a line.", "Or two"]),
        (" \n\n", "en", []),
        ("Ola! Que tal?", "other", ["Ola!", "Que tal?"]),
    ],
)
def test_sentences(text, language, found):
    assert pieces.sentences(text, language) == found


def test_a_long_line_without_an_end_is_cut_and_none_is_lost():
    text = "啊" * 25_000
    assert "".join(pieces.sentences(text, "zh")) == text
    assert pieces.lead(text, 1, "zh") == text[:10_000]


def test_leads():
    text = "Title\nOne. Two.\nThree."
    assert [pieces.lead(text, count) for count in (1, 3, 9)] == [
        "Title", "Title One. Two.", "Title One. Two. Three.",
    ]  # fmt: skip
    assert pieces.lead("", 3) == ""
    assert pieces.lead("天下大乱。他来了！真的？", 2, "zh") == "天下大乱。他来了！"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("State-of-the-art, don't 3.5", ["state", "of", "the", "art", "don", "t", "3", "5"]),
        ("《iPhone 7》的价格", ["iphone", "7", "的", "价", "格"]),
        ("!? …", []),
    ],
)
def test_tokens(text, found):
    assert pieces.tokens(text) == found


WORDS = st.lists(st.sampled_from(["red", "blue", "car", "boat", "the"]), max_size=5).map(" ".join)


def slow_nearest(text, others):
    """Cosines of TF-IDF, one by one."""
    counts = [Counter(other.split()) for other in others]
    frequency = Counter(word for count in counts for word in count)

    def vector(count):
        weights = {
            word: times * (1 + math.log((1 + len(others)) / (1 + frequency[word])))
            for word, times in count.items()
            if frequency[word]
        }
        length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1
        return {word: weight / length for word, weight in weights.items()}

    asked, known = vector(Counter(text.split())), [vector(count) for count in counts]
    return [sum(asked[word] * other.get(word, 0) for word in asked) for other in known]


@settings(max_examples=50)
@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=6))
def test_the_nearest_is_that_of_the_largest_cosine(texts, others):
    for text, place in zip(texts, nearest.nearest(texts, others), strict=True):
        cosines = slow_nearest(text, others)
        assert cosines[place] == pytest.approx(max(cosines))


def test_blocks_of_the_nearest_are_put_together(monkeypatch):
    texts = [f"word{i} and" for i in range(7)]
    monkeypatch.setattr(nearest, "_CELLS", 2 * len(texts))
    assert nearest.nearest(texts, texts).tolist() == list(range(7))
    assert nearest.nearest(["nothing", ""], texts).tolist() == [0, 0]
    assert nearest.nearest(["a"], ["!", "?"]).tolist() == [0]
    assert nearest.nearest([], texts).dtype == np.int64
    with pytest.raises(ValueError, match="found no texts"):
        nearest.nearest(["a"], [])
