"""Words of languages: what is cut where, and that nothing of a text is lost."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf import words

CHINESE = "国家主席江泽民今天在北京会见了克林顿。"
ODD = "的国ー々カのกำັེབ་ကါក្ខé́ \n　,.。'’1٣aZß한🦉\u200d\x00﷽𠮷"


def test_chinese_is_cut_into_its_words():
    assert words.cut(CHINESE) == [
        *("国家", "主席", "江泽民", "今天", "在", "北京", "会见", "了", "克林顿", "。")
    ]
    assert words.words(CHINESE)[-2:] == ["了", "克林顿。"]


def test_japanese_is_cut_by_its_own_library():
    pytest.importorskip("sudachidict_small")
    assert words.cut("東京タワーは高い。") == ["東京", "タワー", "は", "高い", "。"]
    # The same Han letters are two words in one language and one in the other.
    assert words.cut("東京都知事", "ja") == ["東京", "都", "知事"]
    assert words.cut("東京都知事", "zh") == ["東", "京都", "知事"]
    assert words.language_of("2024年、東京で。") == "ja"


def test_thai_is_cut_by_its_own_library():
    pytest.importorskip("pythainlp")
    assert words.cut("กำลังม็อบ 12 คน") == ["กำลัง", "ม็อบ", " ", "12", " ", "คน"]


@pytest.mark.parametrize("language", ["ja", "th"])
def test_without_its_library_a_language_is_cut_at_letters_and_says_so(language, monkeypatch):
    monkeypatch.setattr(words, "_found", lambda language: False)
    words._segment_of.cache_clear()
    text = {"ja": "がぎは", "th": "กำลัง"}[language]
    assert words.cut(text, language) == {"ja": ["が", "ぎ", "は"], "th": ["กำ", "ลั", "ง"]}[language]
    assert "roots-tf[" in words.remark(language)
    assert words.segmenter(language).startswith("grapheme clusters")
    words._segment_of.cache_clear()


def test_scripts_without_a_library_are_cut_at_what_a_reader_takes_for_letters():
    assert words.cut("ភាសាខ្មែរ")[:2] == ["ភា", "សា"]
    assert words.cut("བོད་ཡིག།") == ["བོད་", "ཡིག།"]
    assert words.remark("km") and not words.remark("zh") and not words.remark("en")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", ""),
        ("3.5 % — 12", ""),
        ("안녕하세요 세계", ""),  # Korean has spaces
        ("हिन्दी में", ""),
        (CHINESE, "zh"),
        ("中文里夹着 three English words 也是中文", "zh"),
        ("He wrote 道 on the wall of the old house.", ""),
        ("ສະບາຍດີ", "lo"),
        ("မင်္ဂလာပါ", "my"),
        ("ꦲꦏ꧀ꦱꦫ", "und"),
    ],
)
def test_the_language_is_told_by_letters(text, language):
    assert words.language_of(text) == language


def test_marks_stay_with_their_letters():
    assert words.cut("हिन्दी में") == ["हिन्दी", " ", "में"]
    assert words.cut("Ве́ра don’t 1,234.5") == ["Ве́ра", " ", "don’t", " ", "1,234.5"]


@pytest.mark.parametrize("language", ["", "zh", "ja", "th", "en"])
@given(text=st.one_of(st.text(), st.text(alphabet=ODD)))
def test_pieces_are_the_text(text, language):
    pieces = words.cut(text, language)
    assert "".join(pieces) == text and "" not in pieces
    spans = words.spans(text, language)
    assert [text[begin:end] for begin, end in spans] == [p for p in pieces if not p.isspace()]
    joined = "".join(words.words(text, language))
    assert joined == "".join(c for c in text if not c.isspace())


def test_a_long_run_is_cut_like_a_short_one():
    pieces = words.cut("北京" * 100_000)
    assert set(pieces) == {"北京"}
    assert "".join(words.cut("กา" * 50_000)) == "กา" * 50_000


def test_languages_of_the_declaration(data):
    """Spaces part the words of 33 of the 36 languages; the others are told by their letters."""
    paths = sorted((data / "udhr").glob("*.txt"))
    found = {path.stem: words.language_of(path.read_text("utf-8")) for path in paths}
    unspaced = {"cmn_hans": "zh", "jpn": "ja", "tha": "th"}
    assert {name: language for name, language in found.items() if language} == unspaced


def test_words_of_latin_text_are_what_stands_between_spaces():
    text = unicodedata.normalize("NFD", "Élan vital, déjà vu…")
    assert words.words(text) == text.split()
