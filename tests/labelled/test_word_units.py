"""Words of raw text are made as those of the training file were, with their places in it."""

import re

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.labelled import word_units
from roots_tf.labelled.word_units import Told

SAID = "国家主席江泽民今天在北京会见了克林顿。"


def cut(text, unit, language=""):
    return [text[a:b] for a, b in word_units.places(text, unit, language)]


@pytest.mark.parametrize(
    ("sentences", "told"),
    [
        ([SAID], Told("characters_and_words")),
        ([SAID, "1998年BBC"], Told("characters")),
        ([[*SAID, "BERT", "1998"]], Told("characters_and_words")),
        ([["江泽民", "会见", "了", "克林顿", "。"]], Told("segmented", "zh")),
        ([["東京", "で", "会い", "まし", "た", "。"]], Told("segmented", "ja")),
        ([["ประเทศ", "ไทย"]], Told("segmented", "th")),
        ([["น้ำ", "ใ", "ส"]], Told("characters_and_words")),  # a letter with its marks is one
        ([["ປະເທດ", "ລາວ"]], Told("segmented", "lo")),
        ([["U.N.", "official"]], Told("spaces")),
        ([["하늘", "아래"]], Told("spaces")),
        ([["U.N.", "official"]] * 200 + [["企鹅爸爸"]], Told("spaces")),  # a stray name
        ([["U.N.", "official"]] * 2 + [SAID], Told("characters_and_words")),  # of two languages
        ([[*SAID] * 20, ["二〇"]], Told("characters_and_words")),  # a stray word
    ],
)
def test_a_file_says_how_its_words_were_made(sentences, told):
    assert word_units.told_from(sentences) == told


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("在BBC看\u3000１９９８年 ，😀\n好", "characters", [*"在BBC看１９９８年，😀好"]),
        ("在BBC看 1998年，", "characters_and_words", ["在", "BBC", "看", "1998", "年", "，"]),
        ("在BBC看", "spaces", ["在BBC看"]),
        ("น้ำใส", "characters", ["น้ำ", "ใ", "ส"]),
        ("हिन्दी e\u0301te\u0301", "spaces", ["हिन्दी", "e\u0301te\u0301"]),  # marks part no word
        ("\u0301 \u0301\u0301", "spaces", ["\u0301", "\u0301\u0301"]),
        ("", "characters", []),
        (" \n", "characters_and_words", []),
    ],
)
def test_raw_text_is_cut_by_the_unit(text, unit, words):
    assert cut(text, unit) == words


def test_segmented_words_are_those_of_the_language():
    words = cut(SAID, "segmented", "zh")
    assert "".join(words) == SAID
    assert {"江泽民", "北京"} <= {*words}


@settings(max_examples=200, deadline=None)
@given(st.text(st.one_of(st.sampled_from("ab_1-. \t\u00a0é²国家、"), st.characters(codec="utf-8"))))
def test_units_against_rules_written_out(text):
    if not regex.search(r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]", text):
        assert cut(text, "spaces") == re.findall(r"\w+|[^\w\s]", text)
        assert cut(text, "characters") == re.findall(r"\S", text)
    for unit in ("spaces", "characters", "characters_and_words"):
        places = word_units.places(text, unit)
        assert (places[:, 0] < places[:, 1]).all()
        assert (places[1:, 0] >= places[:-1, 1]).all()
        assert "".join(cut(text, unit)) == "".join(re.findall(r"\S", text))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(min_size=1), min_size=1),
    st.sampled_from(["spaces", "characters", "characters_and_words"]),
)
def test_words_stand_where_join_says(words, unit):
    text, starts, ends = word_units.join(words, unit)
    assert [text[a:b] for a, b in zip(starts, ends, strict=True)] == words
    if unit != "characters_and_words":
        assert text == (" " if unit == "spaces" else "").join(words)


def test_what_is_joined_is_cut_again():
    for sentence, unit in (
        ([*SAID, "1", "9"], "characters"),
        (["用", "BERT", "base", "，", "1998", "年"], "characters_and_words"),
        (["Sioux", "Falls", "(", "1998", ")"], "spaces"),
    ):
        joined = word_units.join(sentence, unit)
        assert word_units.agreement(*zip(joined, strict=True), Told(unit)) == 1.0


def test_the_share_of_words_that_agree():
    joined = word_units.join(["U.N.", "official", "said"], "spaces")
    assert word_units.agreement(*zip(joined, strict=True), Told("spaces")) == pytest.approx(2 / 3)
    empty = np.zeros(0, np.int64)
    assert word_units.agreement([""], [empty], [empty], Told("spaces")) == 1.0
