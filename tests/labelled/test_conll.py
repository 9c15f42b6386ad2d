"""Tagged sentences from files of several makes, and what is said of a bad line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.labelled import conll
from roots_tf.metrics import tagging
from roots_tf.storage.files import InputError


def read(folder, content: str | bytes):
    path = folder / "a.conll"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return conll.read(path)


def test_columns_of_conll_2003(tmp_path):
    content = (
        "-DOCSTART- -X- -X- O\n\n"
        "U.N. NNP I-NP I-ORG\nofficial NN I-NP O\nEkeus NNP I-NP I-PER\n\n\n"
        "-DOCSTART- -X- -X- O\nHeads VBZ I-VP O\n"
    )
    assert read(tmp_path, content) == [
        conll.Sentence(("U.N.", "official", "Ekeus"), ("B-ORG", "O", "B-PER"), 3),
        conll.Sentence(("Heads",), ("O",), 9),
    ]


def test_comments_the_word_hash_and_other_line_ends(tmp_path):
    content = "\ufeff# id 7 domain=en\r\n#\tO\r\n# \tB-MISC\r\nNew York\tB-LOC\r\n \r\nx\tO\r\n"
    assert read(tmp_path, content) == [
        conll.Sentence(("#", "# ", "New York"), ("O", "B-MISC", "B-LOC"), 2),
        conll.Sentence(("x",), ("O",), 6),
    ]
    assert read(tmp_path, "# O\n# a comment\n1\u00a02  O\n")[0].words == ("#", "1\u00a02")


def test_the_language_before_each_word_is_cut_off(tmp_path):
    found = read(tmp_path, "en:Sioux\tB-ORG\nen::\tO\n\nen:en:\tO\n")
    assert [sentence.words for sentence in found] == [("Sioux", ":"), ("en:",)]
    assert read(tmp_path, "zh-classical:a\tO\nzh-classical:b\tO\n")[0].words == ("a", "b")
    for kept in ("en:Sioux\tO\nde:Falls\tO\n", "en:Sioux\tO\nFalls\tO\n", "en:x\tO\nen:\tO\n"):
        assert read(tmp_path, kept)[0].words[0].startswith("en:")


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ("B-A I-A B-A O", "B-A I-A B-A O"),  # IOB2 stays
        ("I-A I-A B-A I-B O I-B", "B-A I-A B-A B-B O B-B"),  # IOB1
        ("B-A I-A E-A S-A S-B O B-B E-B", "B-A I-A I-A B-A B-B O B-B I-B"),  # BIOES
        ("B-A L-A U-B I-B", "B-A I-A B-B B-B"),  # BILOU; what goes on after an end begins anew
    ],
)
def test_every_scheme_becomes_iob2(tmp_path, tags, wanted):
    content = "".join(f"w {tag}\n" for tag in tags.split())
    assert list(read(tmp_path, content)[0].tags) == wanted.split()


@settings(deadline=None)
@given(st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B-C", "I-B-C"])))
def test_iob2_has_the_entities_of_iob1(tags):
    found = conll.to_iob2(tags)
    assert conll.to_iob2(found) == found
    assert tagging.entities(found) == tagging.entities(tags)
    for before, tag in zip(["O", *found], found, strict=False):
        assert tag[0] != "I" or before[2:] == tag[2:]


def test_real_files(data):
    for split, count in (("train", 20_000), ("dev", 10_000), ("test", 10_000)):
        found = conll.read(data / "wikiann_en" / f"{split}.conll")
        assert len(found) == count
        assert {tag for sentence in found for tag in sentence.tags} == {
            "O",
            *(f"{prefix}-{kind}" for prefix in "BI" for kind in ("LOC", "ORG", "PER")),
        }
    assert found[0].words[:3] == ("Shortly", "afterward", ",")
    lines = (data / "wikiann_en" / "test.conll").read_text("utf-8").split("\n")
    assert all(
        lines[sentence.line - 1 + i] == f"en:{word}\t{tag}"
        for sentence in found
        for i, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True))
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a O\nb X O\n", r"found 3 columns in \S+, line 2: 'b X O'; wanted 2, parted by tabs or"),
        ("word\n", r"found 1 columns in \S+, line 1: 'word'; wanted 2"),
        ("a O\n\nb X-PER\n", r"found tag 'X-PER' in \S+, line 3; wanted O, B-TYPE or I-TYPE"),
        ("a b-PER\n", r"found tag 'b-PER' in \S+, line 1"),
        ("a B-\n", r"found tag 'B-' in"),
        ("a\t\n", r"found tag '' in \S+, line 1"),
        ("\tO\n", r"found no word in \S+, line 1"),
        ("", "found no sentence in"),
        ("-DOCSTART- O\n\n", "found no sentence in"),
        (b"a O\n\xff O\n", r"not UTF-8 in \S+, line 2, at offset 4"),
    ],
)
def test_a_bad_line_is_named(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as raised:
        read(tmp_path, content)
    assert str(tmp_path / "a.conll") in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="found no file .*none.conll"):
        conll.read(tmp_path / "none.conll")
