import random
import re
import textwrap
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.corpus import cleaning, paragraphs, reading
from roots_tf.corpus.paragraphs import join_lines


def read(path) -> str:
    document = next(reading.read_documents([path], "file"))
    for step in (cleaning.Repair(), cleaning.JoinLines(hard_wrapped=False)):
        document = step(document, {})
    return document.text


def unwrapped(text: str) -> list[str]:
    return join_lines(text).split("\n")


def test_wrapped_prose_with_a_heading_and_a_new_speaker():
    text = """Chapter I
The sea-wind was in his hair, and his
eyes were agleam with snow.
"Is it you?" said a voice, which came, as
if from a well, out of the dark."""
    assert unwrapped(text) == [
        "Chapter I",
        "The sea-wind was in his hair, and his eyes were agleam with snow.",
        '"Is it you?" said a voice, which came, as if from a well, out of the dark.',
    ]


PROSE = """We had known the captain and his wife for nine seasons of the
town, and yet, in another sense, we knew nothing of Mr.
Ashburnham at all: this is, I believe, a state of things that is
only possible with people of that kind."""


def test_a_title_at_a_line_end_is_no_sentence_end():
    assert unwrapped(PROSE) == [PROSE.replace("\n", " ")]


def test_verse_and_lists_inside_wrapped_prose_keep_their_lines():
    verse = "Whiles carried o'er the iron road,\nWe hurry by some fair abode;"
    items = "- to seek, and on no account to yield what was found there\n- to find"
    assert unwrapped(f"{PROSE}\n{verse}\n{PROSE}\n{items}") == [
        PROSE.replace("\n", " "),
        *verse.split("\n"),
        PROSE.replace("\n", " "),
        *items.split("\n"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "apples\noranges\npears",
        "Roses are red,\nViolets are blue,\nSugar is sweet,\nAnd so are you.",
        "A title without a stop that is rather longer than forty letters\nThen a text.",
        "The first paragraph is a line of its own, as most files have it.\nthe second.",
        "Universal Declaration\nArticle 1\nAll human beings are born free and equal.",
        "",
        "one line",
    ],
)
def test_lines_that_are_not_wrapped_stay(text):
    assert join_lines(text) == text


def test_a_hyphen_goes_if_the_document_has_the_word_without_it():
    text = """It was a remarkable thing, said the old captain, that a well-
known man should do so remark-
able a thing, and yet he did, and that is the end of the story
that he told us on that evening by the fire."""
    (joined,) = unwrapped(text)
    assert "a well-known man should do so remarkable a thing" in joined


def test_chinese_lines_join_without_a_space():
    sentence = "人人生而自由在尊严和权利上一律平等他们赋有理性和良心并应以兄弟关系的精神相对待"
    text = "\n".join(textwrap.wrap(sentence * 5, 20)) + "。"
    assert unwrapped(text) == [sentence * 5 + "。"]


def test_an_indent_begins_a_paragraph():
    text = (
        PROSE + "\n   Here, where no blank line parts the paragraphs, it is an\nindent that does."
    )
    assert len(unwrapped(text)) == 2


TRUTH = ["Burnett_Garden_1911", "Gissing_Warburton_1903", "Stevenson_Treasure_1883"]


@pytest.mark.parametrize("name", TRUTH)
def test_paragraphs_of_novels_wrapped_by_us_are_found_again(data, name):
    truth = read(data / "novels_en" / f"{name}.txt").split("\n")
    parted = "\n\n".join(textwrap.fill(line, 70) for line in truth)
    assert len(set(truth) ^ set(unwrapped(parted))) < 0.01 * len(truth)

    # Without blank lines a paragraph whose last line is full cannot be told from a wrapped one.
    dense = "\n".join(textwrap.fill(line, 70, break_on_hyphens=False) for line in truth)
    ends, found = (_ends(lines) for lines in (truth, unwrapped(dense)))
    assert len(ends & found) / len(found) > 0.99
    assert len(ends & found) / len(ends) > 0.85


def _ends(lines: list[str]) -> set[int]:
    """Where paragraphs end, in letters from the beginning, spaces not counted."""
    ends, letters = set(), 0
    for line in lines:
        letters += len(line.replace(" ", ""))
        ends.add(letters)
    return ends


def test_which_novels_are_wrapped(data):
    widths = {}
    for path in [*(data / "novels_en").glob("*.txt"), *(data / "udhr").glob("*.txt")]:
        lines = list(map(str.strip, read(path).split("\n")))
        widths[path.stem] = paragraphs.wrap_width(lines)
    assert widths["Conrad_Nostromo_1904"] == 72  # no blank line in the whole book
    assert widths["Ford_Soldier_1915"] == 77  # indented paragraphs
    assert widths["Thackeray_Pendennis_1850"] is None  # a paragraph a line, no blank lines
    assert widths["Gissing_Warburton_1903"] is None  # a paragraph a line, blank lines
    declarations = [width for name, width in widths.items() if len(name) in (3, 8)]
    assert declarations == [None] * 36


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("abcdeAB .,-\"'—字"), max_size=70), max_size=15))
def test_only_line_breaks_and_hyphens_change(lines):
    text = "\n".join(" ".join(line.split()) for line in lines)

    def letters(text):
        return text.translate({ord(c): None for c in " \n-"})

    joined = join_lines(text)
    assert letters(joined) == letters(text)
    assert "\n\n" not in joined
    assert joined.count("\n") <= text.count("\n")


MIXED = (
    "大语言模型(Large Language Model, LLM)是研究热点之一。从2018年GPT-1的问世,到PaLM等模型的推出,"
    "它以其“Transformer”结构取得了突破。给定一个单词序列,语言模型估计该序列的概率,例如掩码语言模型"
    "(Masked Language Model)。其中$\\mathbf{X} \\in \\mathbb{R}^{n \\times d}$为输入序列的"
    "one-hot表示,GitHub Copilot可以自动生成代码：ＡＩ《GPT-4》、100%……state-of-the-art的方法。"
)
TEXTS = {
    "Chinese": MIXED,
    "Japanese": "大規模言語モデル（Large Language Model）は、Transformerを使い、話題になった。" * 4,
    "Thai": "แบบจำลองภาษาขนาดใหญ่ (Large Language Model) เรียนรู้จากข้อความ เช่น หนังสือและเว็บไซต์ " * 3,
    "Khmer": "មនុស្សទាំងអស់ កើតមកមានសេរីភាព និងសមភាព ក្នុងផ្នែកសេចក្ដីថ្លៃថ្នូរនិងសិទ្ធិ។ " * 4,
    "Korean": "대규모 언어 모델은 대량의 텍스트를 학습하여 사람의 언어를 이해하고 생성하는 것이다. "
    * 4,
    "English": "The large language models of late were trained on more text than all. " * 4,
}


def columns(line):
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in line)


def cut(text, width, size=len):
    """A text cut at a width wherever that is, as by a program that knows no words."""
    lines = [""]
    for letter in text:
        if size(lines[-1] + letter) > width:
            lines.append("")
        lines[-1] += letter
    return "\n".join(lines)


@pytest.mark.parametrize("size", [len, columns])
@pytest.mark.parametrize("width", [40, 52, 61])
@pytest.mark.parametrize("language", TEXTS)
def test_text_cut_in_the_middle_of_words_is_as_it_was(language, width, size):
    text = TEXTS[language].strip()
    document = "\n\n".join([cut(text, width, size)] * 4)
    assert unwrapped(document) == [text] * 4


@pytest.mark.parametrize("width", range(30, 50))
def test_text_wrapped_between_letters_and_latin_words_has_no_new_spaces(width):
    pieces = re.findall(r"[!-~]+|[^!-~]", MIXED)
    lines = [""]
    for piece in pieces:
        if columns(lines[-1] + piece) > width:
            lines[-1:] = [lines[-1].rstrip(" "), ""]
        lines[-1] += piece if lines[-1] else piece.lstrip(" ")
    joined = join_lines("\n".join(lines))
    assert re.sub(r"\s", "", joined) == re.sub(r"\s", "", MIXED)
    assert not re.search(r"[^!-~] | [^!-~]", joined)
    assert joined.count(" ") <= MIXED.count(" ")


@pytest.mark.parametrize(
    ("before", "line", "expected"),
    [
        ("语言模型估计该序列", ",语言模型", "序列,语言"),
        ("更适合处理长文本。", "Transformer结构", "。Transformer"),
        ("这一年是公元前", "2018年", "公元前2018年"),
        ("矩阵乘以它的转置", "$X^T$得到", "转置$X^T$"),
        ("这个方法叫做BERT", "模型", "BERT模型"),
        ("这种全新的方法叫“", "BERT”模型", "“BERT”"),
        ('这种全新的方法叫"', 'BERT"模型', '"BERT"模型'),
        ("掩码的语言模型(", "Masked Language", "模型(Masked"),
        ("它叫Masked", "Language Model", "Masked Language"),
        ("它叫Masked,", "Language Model", "Masked, Language"),
        ("这样的方法叫one-", "hot表示", "one-hot"),
        ("它是从前没有的……", "BERT模型", "……BERT"),
        ("他们先做fine-", "tuning吧", "做finetuning吧"),  # as the text has it elsewhere
    ],
)
def test_what_stands_for_a_break_in_chinese(before, line, expected):
    filler = "的一是在不了有和人这中大为上个国我以要他"
    first = (filler + before)[-19:]  # a letter less: not cut there
    text = "\n".join([*[filler] * 8, "的一是在不了finetuning大为", first, line])
    assert expected in join_lines(text)
    assert join_lines(text).count("\n") == 0


def test_words_wrapped_between_spaces_are_not_taken_for_cut():
    rng = random.Random(5)
    words = [rng.choice(["모델", "언어는", "가", "인공지능", "학습을"]) for _ in range(200)]
    for sentence in (" ".join(words), "The sea was calm and nobody on the ship knew. " * 9):
        assert unwrapped(textwrap.fill(sentence, 60)) == [sentence.strip()]
