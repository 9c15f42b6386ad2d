import json
import random
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.corpus import decontamination, shingles
from roots_tf.corpus.decontamination import Decontaminate, examples
from roots_tf.corpus.documents import Document
from roots_tf.storage import files

EXAMPLE = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def run(step: Decontaminate, text: str) -> tuple[Document | str, float]:
    measured: dict[str, float] = {}
    result = step(Document(text, "s"), measured)
    return result, measured["contaminated_ngrams"]


@pytest.fixture
def step(tmp_path):
    (tmp_path / "set.txt").write_text(f"{EXAMPLE}\nShort, of eight words: a b c d\nToo short.\n")
    return Decontaminate([str(tmp_path / "set.txt")])


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        (f"Before. {EXAMPLE}; after.", 2),
        (EXAMPLE.upper().replace(" ", ", "), 2),
        (EXAMPLE.replace("fourteen", "and more"), 1),
        (EXAMPLE.replace("seven", "7"), 0),
        ("He said: short, of EIGHT words a b c d!", 1),
        ("Short, of eight words: a b c", 0),
        ("Too short.", 0),
        ("", 0),
    ],
)
def test_what_is_shared(step, text, shared):
    result, found = run(step, text)
    assert found == shared
    assert result == ("contaminated" if shared else Document(text, "s"))
    assert step.limits("en") == {"contaminated_ngrams": (0, 0)}


def test_some_may_be_allowed(tmp_path):
    (tmp_path / "set.txt").write_text(EXAMPLE)
    step = Decontaminate((str(tmp_path / "set.txt"),), max_ngrams=2)
    assert run(step, f"Before. {EXAMPLE}")[0] == Document(f"Before. {EXAMPLE}", "s")
    assert run(step, f"Before. {EXAMPLE} {EXAMPLE}") == ("contaminated", 4)


def test_cut(tmp_path):
    """The windows go to the next space; pieces that are too short are left out."""
    (tmp_path / "set.txt").write_text(EXAMPLE)
    how = {"action": "cut", "window": 10, "min_piece": 15}
    step = Decontaminate((str(tmp_path / "set.txt"),), **how)
    text = f"The first piece is long enough. {EXAMPLE} The last piece is long enough too."
    document, found = run(step, text)
    assert (document.text, found) == ("The first piece is\nis long enough too.", 2)
    assert run(step, f"Little. {EXAMPLE} Nothing.")[0] == "contaminated"
    assert run(step, text.replace("piece", "Straße"))[0].text == (
        "The first Straße is\nis long enough too."
    )
    many = " ".join([EXAMPLE, "and then twenty characters and more in between"] * 12)
    assert run(step, many)[0] == "contaminated"
    assert (
        run(Decontaminate(step.evaluation_files, **how, max_pieces=12), many)[0] != "contaminated"
    )


words = st.lists(st.sampled_from("abc"), max_size=30)


@settings(max_examples=100, deadline=None)
@given(st.lists(words, max_size=4), words, st.integers(2, 6), st.integers(1, 6))
def test_against_sets_of_strings(sets, document, ngram, min_words):
    index = decontamination.index_of(map(" ".join, sets), ngram, min_words)
    known = set()
    for example in sets:
        if len(example) >= ngram:
            known |= {tuple(example[i : i + ngram]) for i in range(len(example) - ngram + 1)}
        elif len(example) >= min_words:
            known.add(tuple(example))
    expected = {
        (first, last)
        for first in range(len(document))
        for last in range(first, len(document))
        if tuple(document[first : last + 1]) in known
    }
    hashes = shingles.word_hashes([" ".join(document)])[0]
    found = np.stack(decontamination.shared(hashes, index)).T.tolist()
    assert sorted(map(tuple, found)) == sorted(expected)


def test_evaluation_files(tmp_path):
    (tmp_path / "a.txt").write_text("\ufefffirst\nsecond\n", "utf-8")
    (tmp_path / "b.tsv").write_text("text\t1\nmore text\t0\n")
    (tmp_path / "c.jsonl").write_text(
        '{"text": "in", "meta": {"id": "no"}}\n\n{"text": ["x", 1]}\n'
    )
    (tmp_path / "d.json").write_text(json.dumps({"data": [{"text": "deep", "label": "no"}]}))
    (tmp_path / "e.csv").write_text('"quoted, here",2\n')
    found = [text.strip() for text in examples((str(tmp_path),), ("text",))]
    lines = ["first", "second", "text", "1", "more text", "0"]
    assert found == [*lines, "in", "x", "deep", "quoted, here", "2"]
    found = [text.strip() for text in examples((str(tmp_path / "*.json*"),), ())]
    assert found == ["in", "no", "x", "deep", "no"]


@pytest.mark.parametrize(
    ("name", "data"), [("a.json", b"{"), ("a.jsonl", b"{}\n}"), ("a.txt", b"\xff\xfe\xff")]
)
def test_an_evaluation_file_that_cannot_be_read(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(files.InputError, match=f"{name}.*the step decontaminate"):
        run(Decontaminate((str(tmp_path / name),)), "Text.")
    with pytest.raises(files.InputError, match="found no file that matches"):
        run(Decontaminate((str(tmp_path / "missing"),)), "Text.")


@pytest.mark.parametrize(
    "wrong",
    [{}, {"evaluation_files": ["a"], "ngram": 0}, {"evaluation_files": ["a"], "action": ""}],
)
def test_mistakes_in_the_recipe(wrong):
    with pytest.raises(files.InputError, match="correct the step decontaminate of the recipe"):
        Decontaminate(**wrong)


@pytest.mark.parametrize("action", ["drop", "cut"])
def test_test_sets_planted_in_novels(data, action):
    """All documents with a planted example are found, and no other one."""
    sentences = [
        line.split("\t")[0] for line in (data / "sst2" / "test.tsv").read_text("utf-8").splitlines()
    ]
    stories = [
        json.loads(line)["text"]
        for line in (data / "bbc_news" / "test.jsonl").read_text("utf-8").splitlines()
    ]
    novel = " ".join((data / "novels_en" / "Kipling_Kim_1901.txt").read_text("utf-8-sig").split())
    documents = [novel[i : i + 4000].strip() for i in range(0, len(novel) - 4000, 4000)]
    rng = random.Random(7)
    long = [s for s in sentences if len(s.translate(NO_PUNCTUATION).split()) >= 8]
    planted = {}
    for place in rng.sample(range(len(documents)), 60):
        words = rng.choice([rng.choice(long), rng.choice(stories)]).split()
        first = rng.randrange(max(len(words) - 60, 1))
        passage = " ".join(words[first : first + 60])
        text = documents[place]
        planted[place] = f"{text[:2000]} {passage.upper()} {text[2000:]}"
    step = Decontaminate(
        (str(data / "sst2" / "test.tsv"), str(data / "bbc_news" / "test.jsonl")),
        fields=("text",),
        action=action,
    )
    for place, text in enumerate(documents):
        result, found = run(step, planted.get(place, text))
        assert bool(found) == (place in planted)
        if place not in planted:
            assert result == Document(text, "s")
        elif action == "drop":
            assert result == "contaminated"
        else:
            assert run(step, result.text) == (result, 0)
            first, second = result.text.split("\n")
            assert text.startswith(first)
            assert text.endswith(second)
            assert 1500 < len(first) <= 1801  # the space before the passage is at 2000


NO_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


def test_a_test_set_finds_itself_whatever_the_line(data):
    """Each sentence of eight words or more is found in a document of its own."""
    path = data / "sst2" / "test.tsv"
    step = Decontaminate((str(path),))
    for line in path.read_text("utf-8").splitlines():
        sentence = line.split("\t")[0]
        words = len(shingles.word_hashes([sentence])[0])
        assert (run(step, f"He wrote: {sentence} Nothing more.")[0] == "contaminated") == (
            words >= 8
        )


def test_evaluation_files_in_another_encoding(tmp_path):
    path = tmp_path / "set.txt"
    path.write_bytes("今天天气很好，我们去公园散步。\n".encode("gb18030"))
    assert list(examples(str(path), (), "GBK")) == ["今天天气很好，我们去公园散步。\n"]
    with pytest.raises(files.InputError, match="not UTF-8 in .*--encoding=GB18030.*the step"):
        list(examples((str(path),), ()))


CHINESE = "国家主席在北京会见了来访的外国客人并且同他们进行了友好的谈话"  # 17 words
THAI = "ทุกคนมีสิทธิในการดำเนินชีวิตในเสรีธรรมและในความมั่นคงแห่งร่างกายไม่มีบุคคลใดจะถูกบังคับ"


@pytest.mark.parametrize(
    ("example", "part", "shared"),
    [
        (CHINESE, CHINESE, True),
        (CHINESE, CHINESE[3:27], True),
        (CHINESE, CHINESE[:14], False),  # 14 letters, 8 words: of no more than a phrase
        (CHINESE[:18], CHINESE[:18], True),  # an example of 10 words counts as a whole
        ("国家主席在北京", "国家主席在北京", False),
        (THAI, THAI, True),
        (THAI, THAI[:20], False),  # four words
        (THAI[:20], THAI[:20], False),
    ],
)
def test_words_in_scripts_without_spaces(tmp_path, example, part, shared):
    (tmp_path / "set.txt").write_text(example, "utf-8")
    step = Decontaminate((str(tmp_path / "set.txt"),))
    around = "ก่อนหน้านั้น" if part in THAI else "在那以前，"
    assert (run(step, f"{around} {part} {around}")[1] > 0) == shared


def test_windows_and_pieces_of_chinese_are_as_long_as_those_of_english(tmp_path):
    (tmp_path / "set.txt").write_text(CHINESE, "utf-8")
    step = Decontaminate((str(tmp_path / "set.txt"),), action="cut")
    before, after = "甲" * 130, "乙" * 130
    assert run(step, f"{before}{CHINESE}{after}")[0].text == f"{'甲' * 73}\n{'乙' * 73}"
