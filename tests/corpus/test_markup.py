import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.corpus.documents import Document
from roots_tf.corpus.markup import Markup, is_marked_up, prose
from roots_tf.storage.files import InputError

CODE = "```python\nx = a * b  # *not* emphasis\n\nif x:\n    print(`x`)\n```\n"


def stripped(text, **actions):
    result = Markup(**actions)(Document(text, ""), {})
    return result if isinstance(result, str) else result.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## 引言\n正文。", "引言\n正文。"),
        ("##引言##\n正文。", "引言\n正文。"),
        ("Title\n=====\n**Text.**\n\n---\nMore.", "Title\nText.\n\nMore."),
        ("这是**重点**，那是*次要*的。", "这是重点，那是次要的。"),
        ("**It** is _very_ ~~un~~likely, __no doubt__.", "It is very unlikely, no doubt."),
        ("见[论文](https://arxiv.org/abs/1 \"题\")。", "见论文。"),
        ("A [link](http://a.b/c_(d)) and [one][1].\n\n[1]: http://x.y\n", "A link and one.\n\n"),
        ("# A\n<https://a.b>![图](a.png)", "A\nhttps://a.b图"),
        ("# A\n- one\n* two\n  + three\n- [x] done\n1. a", "A\none\ntwo\n  three\ndone\n1. a"),
        ("# A\n> quoted\n> > twice", "A\nquoted\ntwice"),
        ("| 模型 | 分数 |\n|:---|---:|\n| BERT | 84.6 |\n", "模型 分数\nBERT 84.6\n"),
        ("# A\n用`pip install`安装", "A\n用pip install安装"),
        ("# A\n\\*not\\* and 3 * 4 * 5", "A\n*not* and 3 * 4 * 5"),
        ("# A\n文[^1]\n\n[^1]: 注", "A\n文\n\n注"),
        ("# A\n__init__ and snake_case, 5*6*7, a**2", "A\n__init__ and snake_case, 5*6*7, a**2"),
        ("设$x^2$为**函数**：$$y = x$$", "设$x^2$为函数：$$y = x$$"),
        (r"\section{A} We \emph{see} 5\% of \textbf{\textit{it}}~\cite{a}.", "A We see 5% of it."),
        (
            "\\begin{itemize}\n\\item 其一$a_1$；\n\\item 其二。\n\\end{itemize}\n",
            "其一$a_1$；\n其二。\n",
        ),
        (
            "\\documentclass{article}\n\\usepackage{ctex}\n\\title{题}\n\\begin{document}\n"
            "文。% 注\n\\begin{equation}\nE = mc^2\n\\end{equation}\n\\end{document}\n",
            "题\n文。\\begin{equation}\nE = mc^2\n\\end{equation}\n",
        ),
    ],
)  # fmt: skip
def test_what_is_left_without_marks(text, expected):
    assert stripped(text) == expected


@pytest.mark.parametrize(
    ("action", "expected"),
    [("keep", CODE), ("strip", "\n".join(CODE.split("\n")[1:-2]) + "\n"), ("drop", "")],
)
def test_fenced_code(action, expected):
    text = f"# 代码\n\n{CODE}\n**完**\n"
    assert stripped(text, fenced_code=action) == f"代码\n\n{expected}\n完\n"
    tex = "\\begin{verbatim}\na_b\n\\end{verbatim}\n"
    wanted = {"keep": tex, "strip": "a_b\n", "drop": ""}[action]
    assert stripped(f"\\section{{A}}\n{tex}", fenced_code=action) == "A\n" + wanted


@pytest.mark.parametrize("formula", ["$x_i$", "$l$", "\\(a+b\\)", "$$\nx = y\n$$", "\\[x\\]"])
def test_formulas_and_inline_code(formula):
    text = f"# 题\n其中{formula}为`n`。"
    inside = formula.strip("$").removeprefix("\\(").removesuffix("\\)")
    inside = inside.removeprefix("\\[").removesuffix("\\]").strip()
    assert stripped(text) == f"题\n其中{formula}为n。"
    assert stripped(text, math="strip", inline_code="keep") == f"题\n其中{inside}为`n`。"
    assert stripped(text, math="drop", inline_code="drop") == "题\n其中为。"
    assert stripped(text, marks="keep", inline_code="keep") == text


def test_a_marked_up_document_is_dropped_if_wanted():
    measured = {}
    assert Markup(marks="drop")(Document("# 题\n文", ""), measured) == "markup"
    assert measured == {"markup": 1}
    assert stripped("平常的文。", marks="drop") == "平常的文。"
    with pytest.raises(InputError, match="found .*'away'.* wanted one of"):
        Markup(marks="away")


PIECES = [
    *("the sea", "snake_case", "3 * 4", "5*6*7", "$5 and $6", "US$5", "C#", "#1", "#话题", "[1]"),
    *("人人生而自由，", "价格*注", "一、", "2021年12月31日", "* * *?", "~5%", "a_b_c", "__init__"),
    *("don't", "“quoted”", "……", "50%", "R&D", "{x}", "C:\\new\\section", "a|b", "$HOME/$USER"),
    *("- he said", "1. one", "> 3", "- 他说", "——", "e-mail", "\t", "  ", "*", "`", "…", "。"),
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([" ", "\n", "，"]))))
def test_plain_prose_is_untouched(pieces):
    text = "".join(piece + end for piece, end in pieces)
    if not re.search(r"\*\*|`[^`\n]+`", text):
        assert not is_marked_up(text)
        assert stripped(text) == text
        assert prose(text) == text


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab 字*_`#$[]()|-\n\\~>!{}"), max_size=80))
def test_nothing_is_invented_and_keeping_changes_nothing(text):
    kept = Markup("keep", "keep", "keep", "keep")(Document(text, ""), {}).text
    assert kept == text
    for letter in "ab字":
        assert stripped(text, fenced_code="keep").count(letter) <= text.count(letter)


@pytest.mark.parametrize(
    "mark", ["```a\n", "[", "![](", "**a", "$", "| a |\n|-", "\\begin{x}{", "`a", "<!--", "~~a"]
)
def test_time_is_linear(mark):
    text = "# A\n\n**b**\n" + mark * 20_000
    stripped(text)


def test_letters_that_stand_for_what_is_held_may_be_in_the_text():
    text = "# A\n\U000f0000 `b` \U000f0001 $x_1$"
    assert stripped(text) == "A\n\U000f0000 b \U000f0001 $x_1$"
