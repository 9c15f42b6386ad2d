"""Encodings by name, and the guess at that of a text, long and short."""

import codecs

import pytest

from roots_tf.storage import encodings
from roots_tf.storage.files import InputError

TEXTS = {
    "zh": "今天天气很好，我们去公园散步。孩子们在湖边放风筝，老人们在树下下棋。",
    "zh-Hant": "今天天氣很好，我們去公園散步。孩子們在湖邊放風箏，老人們在樹下下棋。",
    "ja": "今日は天気がいいので、公園を散歩しました。子供たちは湖のそばで凧を揚げていました。",
    "ko": "오늘은 날씨가 좋아서 공원을 산책했습니다. 아이들은 호숫가에서 연을 날리고 있었습니다.",
    "fr": "Le garçon a mangé une crème brûlée à l'été, où les élèves étaient très fatigués.",
    "de": "Die Mädchen aßen Äpfel; später gingen sie über die Straße zum Schönbrunner Schloss.",
    "en": "It’s a film that “everyone” should see at the café.",
    "pl": "Zażółć gęślą jaźń, chłopiec poszedł do szkoły, ponieważ było późno i zimno.",
    "ru": "Сегодня хорошая погода, и мы пошли гулять в парк. Дети запускали змея у озера.",
    "uk": "Сьогодні гарна погода, і ми пішли гуляти в парк. Їхні діти запускали змія.",
    "el": "Σήμερα ο καιρός είναι καλός και πήγαμε βόλτα στο πάρκο με τα παιδιά.",
    "tr": "Bugün hava çok güzel, çocuklar göl kıyısında uçurtma uçuruyor, şarkı söylüyorlar.",
    "he": "היום מזג האוויר נעים והלכנו לטייל בפארק עם הילדים.",
    "ar": "اليوم الطقس جميل وذهبنا للتنزه في الحديقة مع الأطفال.",
    "th": "วันนี้อากาศดีมาก เราไปเดินเล่นในสวนสาธารณะกัน",
}
CASES = [
    *(("gb18030", "zh"), ("gbk", "zh"), ("big5", "zh-Hant"), ("euc_kr", "ko")),
    *(("shift_jis", "ja"), ("euc_jp", "ja"), ("iso2022_jp", "ja")),
    *(("latin-1", "fr"), ("latin-1", "de"), ("cp1252", "en"), ("mac_roman", "fr")),
    *(("cp1250", "pl"), ("iso8859_2", "pl"), ("cp1254", "tr"), ("cp1253", "el")),
    *(("koi8_r", "ru"), ("cp1251", "ru"), ("cp866", "ru"), ("iso8859_5", "ru"), ("koi8_u", "uk")),
    *(("cp1255", "he"), ("cp1256", "ar"), ("tis_620", "th")),
    *(("utf-16-le", "zh"), ("utf-16-be", "ru"), ("utf-16-le", "fr"), ("utf-16-be", "ko")),
]


@pytest.mark.parametrize(("encoding", "language"), CASES)
def test_a_guess_reads_the_text(encoding, language):
    text = TEXTS[language]
    table = f"text\tlabel\n{text}\tpos\n{text[:30]}\tneg\n"
    for sample in (text, table, f"{text}\n" * 600):
        found = encodings.guess(sample.encode(encoding))
        read = sample.encode(encoding)[: encodings.GUESSED_BYTES // 2 * 2].decode(found, "ignore")
        assert read == sample[: len(read)], found
    assert encodings.python_name(encodings.shown_name(found)) == found


@pytest.mark.parametrize(
    ("encoding", "language"), [case for case in CASES[:9] if case[0] != "iso2022_jp"]
)
def test_a_few_words_are_enough(encoding, language):
    text = TEXTS[language][:14]
    assert text.encode(encoding).decode(encodings.guess(text.encode(encoding))) == text


def test_other_bytes_are_guessed_by_nobody_or_by_the_library():
    assert encodings.guess(b"\x00\x01\x02" * 50) is None
    assert encodings.guess(codecs.BOM_UTF16_BE + "x".encode("utf-16-be")) == "utf-16-be"
    thai = "สวัสดี " * 3
    assert isinstance(encodings.guess(thai.encode("tis_620")), str)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("GB2312", "gb18030"), ("gbk", "gb18030"), ("Big5", "big5hkscs"), ("SJIS", "cp932")),
        *(("latin1", "cp1252"), ("ISO-8859-1", "cp1252"), ("Windows-1251", "cp1251")),
        *(("EUC-KR", "cp949"), ("UTF-16LE", "utf-16-le"), ("utf8", "utf-8"), ("KOI8-R", "koi8-r")),
    ],
)
def test_names(name, expected):
    assert encodings.python_name(name) == expected
    assert encodings.python_name(encodings.shown_name(expected)) == expected


@pytest.mark.parametrize(
    "name", ["", "nonsense", "base64", "rot13", "idna", "unicode_escape", "a\0"]
)
def test_what_is_no_encoding_of_texts(name):
    with pytest.raises(InputError, match="wanted the name of an encoding, such as GB18030"):
        encodings.python_name(name)


def test_utf8_is_refused_where_another_encoding_is_given():
    for text in (TEXTS["zh"], TEXTS["ru"], "é à " * 9):
        with pytest.raises(InputError, match="found UTF-8 in a.txt; wanted Windows-1252"):
            encodings.check_not_utf8("a.txt", text.encode(), "cp1252")
    for language, encoding in (("zh", "gb18030"), ("fr", "cp1252"), ("ja", "cp932")):
        encodings.check_not_utf8("a.txt", TEXTS[language].encode(encoding), encoding)
    encodings.check_not_utf8("a.txt", b"plain " * 90, "gb18030")


def test_where_files_can_be_cut():
    assert all(map(encodings.ends_lines_alike, ("utf-8", "gb18030", "cp932", "cp1252", "koi8-r")))
    assert not any(map(encodings.ends_lines_alike, ("utf-16-le", "utf-32-be", "hz", "iso2022_jp")))
