import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.corpus import reading
from roots_tf.corpus.cleaning import BasicQuality, JoinLines, Repair, repair
from roots_tf.corpus.documents import Document

QUALITY = BasicQuality(min_chars=20)
JOINERS = "\u0928\u094d\u200d \u0645\u06cc\u200c\u062e"  # they spell words in Hindi and Persian
PROSE = "It is a truth universally acknowledged, that a man of fortune wants a wife."


def clean(text, join=True):
    """A text as the first steps leave it."""
    document, measured = Document(text, "here"), {}
    for step in (Repair(), JoinLines(hard_wrapped=join)):
        document = step(document, measured)
    return document.text


def reason_to_drop(text, step=QUALITY):
    """The reason, or None; what was measured must say the same as the limits."""
    measured = {}
    after = step(Document(text, "here"), measured)
    limits = step.limits("")
    inside = all(limits[n][0] <= value <= limits[n][1] for n, value in measured.items())
    assert inside == (not isinstance(after, str))
    return after if isinstance(after, str) else None


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
    once = clean(text)
    assert all(line and line == " ".join(line.split()) for line in once.split("\n")) or not once
    assert clean(once, join=False) == once


def test_lines_are_joined_unless_told_not_to():
    text = (
        "The sea was calm that day,\tand nobody  on\r\nthe ship said a word about it.\r\n\r\nNight."
    )
    joined = "The sea was calm that day, and nobody on the ship said a word about it.\nNight."
    assert clean(text) == joined
    assert clean(text, join=False).count("\n") == 2


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
    assert reason_to_drop(text) == reason


def test_real_prose_in_36_languages_and_two_centuries_is_kept(data):
    patterns = ["udhr/*.txt", "novels_de/*.txt", "novels_en/[A-C]*.txt", "bbc_news/*.jsonl"]
    paths = [path for pattern in patterns for path in data.glob(pattern)]
    documents = 0
    for document in reading.read_documents(sorted(paths), "file"):
        documents += 1
        text = clean(document.text)
        assert reason_to_drop(text, BasicQuality()) is None, document.source
        composed = unicodedata.normalize("NFC", " ".join(document.text.split()))
        assert 0.99 * len(composed) < len(text) <= len(composed)
    assert documents == 36 + 10 + len([*data.glob(patterns[2])]) + 2225


def test_what_is_repaired_is_counted():
    measured = {}
    after = Repair()(Document("a\u200bb\x00 \u00a0c\td", " here\x00\t"), measured)
    assert after == Document("ab c d", "here")
    assert measured == {"characters_repaired": 3}
    text = "The sea was calm that day, and nobody  on\nthe ship said a word about it.\n\nNight."
    after = JoinLines()(Document(text.replace("  ", " "), ""), measured)
    assert after.text.count("\n") == 1
    assert measured["line_breaks_taken_out"] == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Das ist ein sch\u00c3\u00b6ner Tag", "Das ist ein sch\u00f6ner Tag"),
        (
            "It\u00e2\u20ac\u2122s fine\n\u0416\u0438\u0437\u043d\u044c",
            "It\u2019s fine\n\u0416\u0438\u0437\u043d\u044c",
        ),
        ("na\u00efve caf\u00e9", "na\u00efve caf\u00e9"),
    ],
)
def test_mojibake(text, expected):
    pytest.importorskip("ftfy")
    measured = {}
    assert Repair(mojibake=True)(Document(text, ""), measured).text == expected
    assert measured["mojibake"] == (text != expected)
    assert Repair()(Document(text, ""), {}).text == text


def test_no_real_text_is_taken_for_mojibake(data):
    pytest.importorskip("ftfy")
    for path in sorted([*data.glob("udhr/*.txt"), *data.glob("novels_de/*.txt")]):
        text = repair(path.read_text("utf-8"))
        after = Repair(mojibake=True)(Document(text, path.name), {}).text
        assert after == Repair()(Document(text, path.name), {}).text, path.name


def test_full_width_letters_and_digits_become_half_width_if_wanted():
    text = "２０１８年，ＢＥＲＴ（ｂａｓｅ）二〇一八年十月！５０％"
    wanted = "2018年，BERT（base）二〇一八年十月！50％"
    assert Repair(half_width=True)(Document(text, ""), {}).text == wanted
    assert Repair()(Document(text, ""), {}).text == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("房间很干净。服务也很好，下次再来。", None),  # two sentences
        ("房间很干净，服务也很好，下次再来。", "too_short"),
        ("好。好。", "too_short"),
        ("这本书写得很好，我一口气读完了它，而且推荐给了我所有的朋友们来看", None),
        ("방이 아주 깨끗하고 직원들도 모두 친절해서 다음에도 꼭 다시 오고 싶습니다 정말로요", None),
        ("The room is very clean, and so on.", "too_short"),
        ("2018 4.5 | 33 | 2019 5.5 | 34 | 2020 6.5 | 35 | 分数 88 99 " * 2, "mostly_not_words"),
    ],
)
def test_short_in_a_script(text, reason):
    assert reason_to_drop(text, BasicQuality()) == reason


ARTICLE = """# 注意力机制

给定输入$\\mathbf{X}$，我们计算查询、键和值，再把它们的点积除以$\\sqrt{d_k}$，避免梯度消失。

$$
\\mathrm{Attention}(Q, K, V) = \\mathrm{softmax}\\left( \\frac{Q K^T}{ \\sqrt{d_k} } \\right) V
$$

```python
for i in range( 0 , 10 ) :
    a [ i ] = ( b [ i ] + 1 ) * 2 - 3 / 4 + 5 - 6 * 7
```

| 模型 | 分数 | 2018 | 2019 |
|---|---|---|---|
| 甲 | 84.6 | 1 | 2 |
| 乙 | 86.7 | 3 | 4 |

可以看到，模型越大效果越好，但是训练的代价也越高。
"""


def test_an_article_is_not_judged_by_its_code_formulas_and_tables():
    assert reason_to_drop(clean(ARTICLE), BasicQuality()) is None
    table = "\n".join(f"| {n} | {n * 7} | = | {n + 3} |" for n in range(40))
    assert reason_to_drop(f"# 表\n\n|---|---|\n{table}", BasicQuality()) == "mostly_not_words"
