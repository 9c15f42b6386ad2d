import gzip
import random

import pytest

from roots_tf.corpus import reading
from roots_tf.corpus.tally import Tally
from roots_tf.corpus.web_pages import decode, python_name
from roots_tf.storage import files

# By ISO 639-3 code.
TEXTS = {
    "arb": "فتحت المكتبة أبوابها في الصباح، وجاء الأطفال مع معلمتهم ليقرؤوا القصص القديمة عن "
    "البحر والصحراء. وبعد الظهر جلسوا تحت الشجرة الكبيرة وتحدثوا عن كل ما تعلموه في هذا اليوم.",
    "cmn_hans": "图书馆每天早上八点开门，孩子们跟着老师来读关于大海和沙漠的老故事。下午他们坐在大"
    "树下，谈论这一天学到的东西。天黑以前，大家都高高兴兴地回家去了，只有管理员还在整理书架。",
    "deu": "Die Bücherei öffnet morgens um acht, und die Kinder kommen mit ihrer Lehrerin, um "
    "alte Geschichten über das Meer und die Wüste zu lesen. Später saßen sie unter dem großen "
    "Baum.",
    "heb": "הספרייה נפתחת כל בוקר בשעה שמונה, והילדים באים עם המורה לקרוא סיפורים ישנים על הים "
    "ועל המדבר. אחר הצהריים הם יושבים תחת העץ הגדול ומדברים על מה שלמדו היום.",
    "jpn": "図書館は毎朝八時に開きます。子どもたちは先生といっしょに来て、海や砂漠についての古い"
    "物語を読みます。午後になると大きな木の下にすわって、その日に学んだことを話し合いました。",
    "kor": "도서관은 매일 아침 여덟 시에 문을 엽니다. 아이들은 선생님과 함께 와서 바다와 사막에 "
    "관한 옛날 이야기를 읽습니다. 오후에는 큰 나무 아래에 앉아 그날 배운 것을 이야기했습니다.",
    "pol": "Biblioteka otwiera się codziennie o ósmej rano, a dzieci przychodzą z nauczycielką, "
    "żeby czytać stare opowieści o morzu i pustyni. Później usiadły pod wielkim drzewem i długo "
    "mówiły, czego się dziś nauczyły; wieczorem wszyscy wrócili wąską ścieżką do domów.",
    "rus": "Библиотека открывается каждое утро в восемь часов, и дети приходят с учительницей, "
    "чтобы читать старые рассказы о море и пустыне. Потом они сидели под большим деревом и "
    "говорили.",
    "tha": "ห้องสมุดเปิดทุกเช้าตอนแปดโมง เด็ก ๆ "
    "มากับครูเพื่ออ่านเรื่องเก่าเกี่ยวกับทะเลและทะเลทราย "
    "ตอนบ่ายพวกเขานั่งใต้ต้นไม้ใหญ่และพูดคุยเรื่องที่ได้เรียนในวันนี้",
    "tur": "Kütüphane her sabah sekizde açılır ve çocuklar öğretmenleriyle birlikte deniz ve çöl "
    "hakkındaki eski öyküleri okumaya gelirler. Öğleden sonra büyük ağacın altında oturup o gün "
    "öğrendiklerini konuştular; akşam olunca herkes evine döndü, yalnız görevli kaldı.",
    "ukr": "Бібліотека відчиняється щоранку о восьмій годині, і діти приходять із вчителькою, "
    "щоб читати старі оповідання про море й пустелю. Потім вони сиділи під великим деревом і "
    "довго розмовляли про те, чого навчилися; їхні батьки чекали на подвір'ї.",
}
# And an encoding of two decades of web pages in that language.
ENCODINGS = [
    *[("rus", "koi8-r"), ("rus", "cp1251"), ("rus", "iso8859-5"), ("ukr", "cp1251")],
    *[("jpn", "cp932"), ("jpn", "euc_jp"), ("cmn_hans", "gb18030"), ("kor", "cp949")],
    *[("pol", "cp1250"), ("pol", "iso8859-2"), ("deu", "cp1252"), ("tur", "cp1254")],
    *[("heb", "cp1255"), ("arb", "cp1256"), ("tha", "cp874")],
]


def page(name, encoding):
    """A page of a text that the encoding has, and its bytes."""
    text = f"<html><body><p>{TEXTS[name]}</p>"
    return text, text.encode(encoding)


@pytest.mark.parametrize(("name", "encoding"), ENCODINGS)
def test_what_a_page_says_of_itself_is_believed_if_it_can_be(name, encoding):
    text, raw = page(name, encoding)
    assert decode(raw, encoding) == text
    meta = f'<META http-equiv="Content-Type" content="text/html; charset={encoding}">'.encode()
    assert decode(meta + raw) == meta.decode() + text


@pytest.mark.parametrize(("name", "encoding"), ENCODINGS)
def test_a_page_that_says_utf_8_and_is_not_is_read_all_the_same(name, encoding):
    pytest.importorskip("resiliparse")
    text, raw = page(name, encoding)
    meta = b"<meta charset=utf-8>"
    assert decode(meta + raw, "utf-8") == meta.decode() + text


def test_utf_8_is_utf_8_whatever_a_page_says():
    for text in TEXTS.values():
        raw = b"<meta charset='iso-8859-1'>" + text.encode()
        assert decode(raw, "windows-1251") == raw.decode()


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        ("\ufeffGröße".encode("utf-16"), "latin-1", "\ufeffGröße"),
        ("\ufeffGröße".encode(), "latin-1", "Größe"),
        ("Größe, sea".encode("utf-16-le"), "utf-16", "Größe, sea"),
        ("海は広い".encode("iso2022_jp"), "iso-2022-jp", "海は広い"),
        (b"\x93caf\xe9\x94 " * 20, "ISO-8859-1", "“café” " * 20),
        (b"<?xml version='1.0' encoding='windows-1251'?>\xec\xee\xf0\xe5", None, "море"),
        (b"<meta charset=utf-16>plain", None, "plain"),
        (b"plain", "no-such-encoding", "plain"),
        (b"", None, ""),
    ],
)
def test_marks_labels_and_declarations(raw, charset, text):
    assert decode(raw, charset).removeprefix("\ufeff").rpartition(">")[2] == text.removeprefix(
        "\ufeff"
    )


def test_labels():
    assert [python_name(label) for label in ("Latin1", "x-sjis", "GB2312", " utf8 ")] == [
        *("cp1252", "cp932", "gb18030", "utf-8"),
    ]
    # What browsers refuse: it hides a script, or is no encoding of text.
    for label in ("utf-7", "rot13", "base64", "idna", "unicode_escape", "utf-32", "", "x" * 1000):
        assert python_name(label) is None


def test_any_bytes_are_a_page():
    pytest.importorskip("resiliparse")
    noise = random.Random(1)
    for _ in range(200):
        raw = noise.randbytes(noise.randrange(2000))
        assert isinstance(decode(raw, noise.choice(["utf-8", "big5", "koi8-r", None])), str)


def read(path, **options):
    return list(reading.read_documents([path], **options))


@pytest.mark.parametrize("name", ["a.html", "a.htm", "a.xhtml"])
def test_a_file_is_a_page(tmp_path, name):
    (tmp_path / name).write_bytes(b"<p>one\r\n\r\n<p>two")
    (document,) = read(tmp_path / name)
    assert document == ("<p>one\r\n\r\n<p>two", name, "", "html", "")
    (tmp_path / name).write_bytes(b" \n")
    assert read(tmp_path / name) == []
    assert reading.plan([str(tmp_path / name)], "line", 1) == [[reading.Span(str(tmp_path / name))]]


def test_a_page_that_is_too_long_is_one_reason(tmp_path):
    for size in (1100, 3000):
        (tmp_path / "a.html").write_bytes(b"<div class='" + b"x" * size)
        tally = Tally()
        assert read(tmp_path / "a.html", max_chars=1000, tally=tally) == []
        assert tally.dropped["too_long"][0] == tally.documents_in == 1


def test_a_truncated_page_is_one_reason(tmp_path):
    (tmp_path / "a.html.gz").write_bytes(gzip.compress(b"<p>Call me Ishmael.")[:-5])
    tally = Tally()
    assert read(tmp_path / "a.html.gz", tally=tally) == []
    assert tally.dropped["damaged_file"][0] == tally.documents_in == 1


def test_binary_files_are_no_pages(tmp_path):
    for data in (b"%PDF-1.7\n", b"PK\3\4word", b"\x1f\x8b\x08\x00zip", b"\x89PNG\r\n\x1a\n\0\0\0"):
        (tmp_path / "a.html").write_bytes(data)
        with pytest.raises(files.InputError, match=r"binary file in .*a.html.*wanted HTML"):
            read(tmp_path / "a.html")
