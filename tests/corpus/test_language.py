import collections
import random
import sys

import pytest

pytest.importorskip("pycld2")

from roots_tf.corpus import language
from roots_tf.corpus.documents import Document
from roots_tf.corpus.language import Language, identify
from roots_tf.storage import files
from tests.corpus.declarations import CODES

ENGLISH = "All human beings are born free and equal in dignity and rights."
GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren."


def run(text, **parameters):
    measured = {}
    return Language(**parameters)(Document(text, "here"), measured), measured


def test_declarations_in_36_languages(data):
    right, pieces = collections.Counter(), collections.Counter()
    for name, code in CODES.items():
        text = (data / "udhr" / f"{name}.txt").read_text("utf-8-sig")
        assert identify(text)[0] == code
        text = " ".join(text.split())
        for start in range(0, len(text) - 100, 200):
            pieces[code] += 1
            right[code] += identify(text[start : start + 200])[0] == code
    assert len(pieces) == 36
    assert right.total() >= 0.985 * pieces.total()
    shares = {code: right[code] / pieces[code] for code in pieces}
    assert {code for code, share in shares.items() if share < 0.95} <= {"id"}  # taken for Malay


def test_novels(data):
    for folder, code in (("novels_en", "en"), ("novels_de", "de")):
        for path in sorted((data / folder).glob("*.txt"))[:10]:
            text = path.read_text("utf-8-sig")
            assert identify(text)[0] == code
            ends = range(2000, min(len(text), 100_000), 2000)
            assert {identify(text[end - 2000 : end])[0] for end in ends} == {code}


def test_the_step_sets_the_language():
    document, measured = run(ENGLISH)
    assert document == Document(ENGLISH, "here", "en")
    assert 0.9 < measured["language_score"] <= 1


def test_the_step_drops():
    assert run(GERMAN, keep=("en",))[0] == "other_language"
    assert run(GERMAN, keep=("en", "de"))[0].language == "de"
    assert run("1 2 3 4 5 6 7 8 9")[0] == "uncertain_language"
    assert run("")[0] == "uncertain_language"
    assert run("1 2 3 4 5 6 7 8 9", unidentified=True)[0].language == ""


def test_half_of_a_text_in_another_language():
    text = ENGLISH * 10 + GERMAN * 8
    (document, measured), share = run(text, min_score=0.4), run(text, min_score=0.9)[0]
    assert document.language == "en"
    assert measured["language_score"] < 0.7
    assert share == "uncertain_language"


def test_keyboard_mash_is_in_no_language():
    noise = random.Random(1)
    words = (
        "".join(noise.choices("asdfghjklqwertyuiop", k=noise.randint(2, 9))) for _ in range(400)
    )
    assert run(" ".join(words))[0] == "uncertain_language"


@pytest.mark.parametrize(
    "intruder", ["\0", "\x01", "\x7f", "\x85", "\ud800", "\udfff", "\ufffe", "\U0001ffff", "\ufdd0"]
)
def test_what_the_detector_refuses_is_no_matter(intruder):
    assert identify(f"{ENGLISH} {intruder} {ENGLISH}")[0] == "en"


def test_a_long_text_is_sampled(data):
    english = (data / "novels_en" / "Ford_Soldier_1915.txt").read_text("utf-8-sig")
    german = (data / "novels_de" / "mann_tonio.txt").read_text("utf-8-sig")
    assert identify(english[:40_000] + german)[0] == "de"
    assert identify(german[:40_000] + english)[0] == "en"
    longest = language.SAMPLED_CHARS + language.SAMPLES
    assert len(language._sample(english)) < longest < len(english)


def test_an_absent_detector_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycld2", None)
    language._detector.cache_clear()
    with pytest.raises(files.InputError, match=r"pip install 'roots-tf\[curation\]'"):
        identify(ENGLISH)
    language._detector.cache_clear()
