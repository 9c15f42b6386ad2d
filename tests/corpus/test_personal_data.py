import collections
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.corpus.documents import Document
from roots_tf.corpus.personal_data import KINDS, PersonalData, find, luhn, mod_97
from roots_tf.storage import files
from tests.corpus import labelled_personal_data as labelled

MARK = re.compile("«([a-z_]+):([^»]*)»")


def read_marks(sentence):
    """A sentence without its marks, and what they mark, as `find` gives it."""
    truth, removed = set(), 0
    for mark in MARK.finditer(sentence):
        start = mark.start() - removed
        truth.add((start, start + len(mark[2]), mark[1]))
        removed += len(mark[0]) - len(mark[2])
    return MARK.sub(lambda mark: mark[2], sentence), truth


def counts(sentences):
    right, wrong, missed = (collections.Counter() for _ in range(3))
    for sentence in sentences:
        text, truth = read_marks(sentence)
        found = {tuple(finding) for finding in find(text)}
        right.update(kind for *_, kind in truth & found)
        wrong.update(kind for *_, kind in found - truth)
        missed.update(kind for *_, kind in truth - found)
    return right, wrong, missed


def test_the_labelled_sentences():
    assert len(labelled.LABELLED) >= 230
    right, wrong, missed = counts(labelled.LABELLED)
    for kind in KINDS:
        assert right[kind] >= 12
        assert right[kind] >= 0.93 * (right[kind] + wrong[kind])
        assert right[kind] >= 0.97 * (right[kind] + missed[kind])
    assert right.total() >= 0.98 * (right.total() + wrong.total())


@pytest.mark.parametrize(
    "sentence",
    [
        *(*labelled.NO_CARDS, *labelled.NO_IBANS, *labelled.NO_SECRETS),
        *(*labelled.NO_IDENTITY_NUMBERS, *labelled.NO_CHINESE_PHONES, *labelled.NO_LICENCE_PLATES),
    ],
)
def test_traps(sentence):
    assert find(sentence) == []


@pytest.mark.parametrize(
    "sentence",
    [
        *(*labelled.IDENTITY_NUMBERS, *labelled.CHINESE_PHONES, *labelled.LICENCE_PLATES),
        *labelled.UNSPACED,
    ],
)
def test_chinese_and_what_stands_beside_it(sentence):
    text, truth = read_marks(sentence)
    assert {tuple(finding) for finding in find(text)} == truth


def test_every_wrong_sign_of_an_identity_number_is_noticed():
    number = "11010519491231002X"
    assert PersonalData()(Document(f"证{number}。", ""), {}).text == "证<ID>。"
    for place in range(18):
        for digit in set("0123456789") - {number[place]}:
            assert find(number[:place] + digit + number[place + 1 :], ("identity_numbers",)) == []


def test_placeholders_and_counts():
    document = Document("Ann, ann@example.com, +1 212-555-0147, bob@example.com.", "here", "en")
    measured = {}
    cleaned = PersonalData()(document, measured)
    assert cleaned == document._replace(text="Ann, <EMAIL>, <PHONE>, <EMAIL>.")
    assert measured == {
        "secrets": 0,
        "emails": 2,
        "ibans": 0,
        "identity_numbers": 0,
        "cards": 0,
        "ip_addresses": 0,
        "phones": 1,
        "licence_plates": 0,
    }


def test_only_the_kinds_asked_for():
    measured = {}
    document = Document("ann@example.com at 81.2.69.142", "here")
    assert (
        PersonalData(kinds=("ip_addresses",))(document, measured).text == "ann@example.com at <IP>"
    )
    assert measured == {"ip_addresses": 1}
    with pytest.raises(files.InputError, match="found .*'names'.* wanted some of"):
        PersonalData(kinds=("names",))


def test_every_wrong_digit_is_noticed():
    card, iban = "4111111111111111", "DE89370400440532013000"
    for place in range(len(card)):
        for digit in "0123456789":
            changed = card[:place] + digit + card[place + 1 :]
            assert luhn(changed) == (changed == card)
    for place in range(4, len(iban)):
        for digit in "0123456789":
            changed = iban[:place] + digit + iban[place + 1 :]
            assert mod_97(changed) == (changed == iban)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*"+0123456789 .-/()@:a", "tel ", "DE89", "eyJ", "sk-", "é"])))
def test_findings_are_apart_and_in_order(pieces):
    text = "".join(pieces)
    end = 0
    for finding in find(text):
        assert end <= finding.start < finding.end <= len(text)
        end = finding.end
    again = PersonalData()(Document(text, "here"), {})
    assert again == PersonalData()(again, {})  # a placeholder is no personal data


UNITS = [
    *("a@", "a.", "1", "1 ", "+1", "(2", "2001:", ":", "DE89 ", "A1", "eyJ-", "sk-", "xoxb-", "@"),
    *("tel ", "0-", "00", "1.2.3.4.", "no. ", "secret_access_key", "01 23 45 67 89 ", "a%", "12-"),
    *("-----BEGIN PRIVATE KEY-----", "eyJabcdefghijk.", "ABCDEFGHIJKLMNOP\n", "\\n", "=", "(+"),
]


@pytest.mark.parametrize("unit", UNITS)
def test_time_is_linear_on_hostile_text(unit):
    """Sixteen times the text must not take 256 times as long."""

    def seconds(size):
        opened = "-----BEGIN PRIVATE KEY-----\n a@" + unit * (size // len(unit))
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            find(opened + "@b.c 1234567 ghp_ 1.1.1.1")
            best = min(best, time.process_time() - start)
        return best

    assert seconds(80_000) < 80 * seconds(5_000) + 0.05


def test_novels_hold_none(data):
    found = collections.Counter()
    for path in sorted((data / "novels_en").glob("*.txt"))[::6]:
        found.update(finding.kind for finding in find(path.read_text("utf-8-sig")))
    assert not found
