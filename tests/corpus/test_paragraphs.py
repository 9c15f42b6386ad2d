import textwrap

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
