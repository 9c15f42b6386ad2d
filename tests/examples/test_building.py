"""Sentences of a document: languages, paragraphs, and paragraphs that no person wrote."""

import time

import pytest

from roots_tf.examples import building


@pytest.mark.parametrize(
    "language, text, wanted",
    [
        ("en", "Mr. Smith came.\nHe left. Yes.", ["Mr. Smith came.", "He left.", "Yes."]),
        ("de", "Das gilt z. B. hier. Dort nicht.", ["Das gilt z. B. hier.", "Dort nicht."]),
        ("ja", "今日は。明日は。", ["今日は。", "明日は。"]),
        ("en", "\n \n", []),
    ],
)  # fmt: skip
def test_sentences_of_real_languages(language, text, wanted):
    assert [s.strip() for s in building.sentences(text, language)] == wanted


@pytest.mark.parametrize("text", ["文。" * 60_000, "word " * 60_000, "x" * 300_000, "a. " * 90_000])
def test_a_paragraph_without_end_takes_linear_time_and_loses_nothing(text):
    began = time.monotonic()
    found = building.sentences(text, "en")
    assert time.monotonic() - began < 20
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
