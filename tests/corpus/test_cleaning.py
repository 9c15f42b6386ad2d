import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.corpus import cleaning, reading
from roots_tf.corpus.cleaning import Rules, clean, reason_to_drop, repair

RULES = Rules(min_chars=20)
JOINERS = "\u0928\u094d\u200d \u0645\u06cc\u200c\u062e"  # they spell words in Hindi and Persian
PROSE = "It is a truth universally acknowledged, that a man of fortune wants a wife."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeffcafe\u0301\r\nnai\u00adve\x00", "café\nnaive"),
        ("a\u00a0b\u2003c\u3000d", "a b c d"),
        ("\x93yes\x94, \x91no\x92 \x85\x80\x81", "“yes”, ‘no’ …€"),
        ("a\rb\r\nc\u2028d\u2029e", "a\nb\nc\nd\n\ne"),
        ("page\x0cbreak\x0b\x1b[1m", "page break [1m"),
        ("zero\u200bwidth\u2060\u200e\u202emarks\u202c", "zerowidthmarks"),
        (
            "\u0928\u094d\u200d \u0645\u06cc\u200c\u062e",
            "\u0928\u094d\u200d \u0645\u06cc\u200c\u062e",
        ),
        ("\ud800 lone", "\ufffd lone"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_repair(text, expected):
    assert repair(text) == expected


@given(st.text())
def test_repaired_text_is_repaired(text):
    once = repair(text)
    assert repair(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode()
    assert not [c for c in once if unicodedata.category(c) == "Cc" and c not in "\n\t"]


@given(st.text(st.sampled_from("ab .\t\n\r\u00a0\ufeff\x0c\u0301"), max_size=60))
def test_a_clean_document_has_no_blank_lines_and_single_spaces(text):
    once = clean(text, RULES)
    assert all(line and line == " ".join(line.split()) for line in once.split("\n")) or not once
    assert clean(once, Rules(join_lines=False)) == once


def test_lines_are_joined_unless_told_not_to():
    text = (
        "The sea was calm that day,\tand nobody  on\r\nthe ship said a word about it.\r\n\r\nNight."
    )
    joined = "The sea was calm that day, and nobody on the ship said a word about it.\nNight."
    assert clean(text, Rules()) == joined
    assert clean(text, Rules(join_lines=False)).count("\n") == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        ("Yes . . . And that he . . . that your uncle - is it? - meditates . . .", None),
        ("well 1 2 3 . . . . . . . . . . .", "mostly_not_words"),
        ("", "too_short"),
        ("Yes, sir.", "too_short"),
        ("12 45.7 -3.2e5 | 88 99 | 100 200 12 45.7 total 8", "mostly_not_words"),
        ("= = = = = = = = = = = = = = =", "mostly_not_words"),
        ("Click here\n" * 4 + "Click there", "repeated_paragraphs"),
        ("caf\ufffd au lait, s'il vous pla\ufffdt", "unreadable"),
        ("人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。", None),
    ],
)
def test_reasons(text, reason):
    assert reason_to_drop(text, RULES) == reason


def test_real_prose_in_36_languages_and_two_centuries_is_kept(data):
    patterns = ["udhr/*.txt", "novels_de/*.txt", "novels_en/[A-C]*.txt", "bbc_news/*.jsonl"]
    paths = [path for pattern in patterns for path in data.glob(pattern)]
    documents = 0
    for document in reading.read_documents(sorted(paths), "file"):
        documents += 1
        text = clean(document.text, Rules())
        assert reason_to_drop(text, Rules()) is None, document.source
        composed = unicodedata.normalize("NFC", " ".join(document.text.split()))
        assert 0.99 * len(composed) < len(text) <= len(composed)
    assert documents == 36 + 10 + len([*data.glob(patterns[2])]) + 2225


def test_rules_are_what_the_program_sends_to_workers():
    assert Rules(*list(Rules())) == cleaning.Rules()
