"""Predictions and right texts from files: each format, and each mistake in one line."""

import gzip
import json

import pytest

from roots_tf.labelled import prediction_files
from roots_tf.labelled.prediction_files import Predictions
from roots_tf.storage.files import InputError


def lines(path, rows):
    rows = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return str(path)


def test_predictions_as_text(tmp_path):
    path = tmp_path / "one.hyp"
    path.write_bytes("\ufeffein Hund\r\n\r\nzwei\u2028Katzen".encode())
    found = prediction_files.read(str(path))
    assert found == Predictions(str(path), "target", ["ein Hund", "", "zwei\u2028Katzen"])
    with gzip.open(tmp_path / "two.txt.gz", "wt", encoding="gb18030") as file:
        file.write("狗\n\n")
    found = prediction_files.read(str(tmp_path / "two.txt.gz"), "gb18030")
    assert found.answers == ["狗", ""]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([{"source": "a", "target": "b", "score": -1.0}], ("target", ["b"], None, ["a"])),
        ([{"target": "", "gold": "c"}], ("target", [""], ["c"], None)),
        ([{"text": "t", "label": "x", "gold": "y"}], ("label", ["x"], ["y"], None)),
        ([{"text": "t", "choice": 1, "gold": 0}], ("choice", [1], [0], None)),
        ([{"answer": "a", "gold": []}], ("answer", ["a"], [[]], None)),
    ],
)
def test_predictions_as_json_lines(tmp_path, rows, wanted):
    path = lines(tmp_path / "a.jsonl", [*rows, ""])
    assert prediction_files.read(path) == Predictions(path, *wanted)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("a.tsv", ["a\tb"], "wanted JSON lines"),
        ("a.txt", [], "found no lines in .*a.txt"),
        ("a.jsonl", ["", ""], "found no lines in .*a.jsonl"),
        ("a.jsonl", ["no"], "line 1, which is no JSON"),
        ("a.jsonl", [[1]], r"found \[1\] in"),
        ("a.jsonl", [{"tags": ["O"], "gold": ["O"]}], "wanted predictions with one of target"),
        ("a.jsonl", [{"target": "a"}, {"target": 2}], "line 2; wanted target in every line"),
        ("a.jsonl", [{"target": "a", "gold": "b"}, {"target": "a"}], "line 2; wanted gold in"),
        ("a.jsonl", [{"target": "a"}, ["target"]], "line 2; wanted target"),
    ],
)
def test_files_that_hold_no_predictions(tmp_path, name, rows, message):
    with pytest.raises(InputError, match=message) as error:
        prediction_files.read(lines(tmp_path / name, rows))
    assert "\n" not in str(error.value)


def test_right_texts(tmp_path):
    english = lines(tmp_path / "test.en", ["a dog", "", "a cat"])
    german = lines(tmp_path / "test.de", ["ein Hund", "zwei", ""])
    wanted = (["ein Hund", "zwei", ""], ["a dog", "", "a cat"])
    assert prediction_files.read_right(f"{english},{german}", {}) == wanted
    assert prediction_files.read_right(german, {}) == (wanted[0], None)
    pairs = list(zip(*wanted, strict=True))
    names = ("target", "source")
    table = lines(tmp_path / "a.jsonl", [dict(zip(names, pair, strict=True)) for pair in pairs])
    assert prediction_files.read_right(table, {}) == wanted
    table = lines(tmp_path / "b.tsv", ["de\ten", *map("\t".join, pairs[:2])])
    columns = {"target": "de", "source": "en"}
    assert prediction_files.read_right(table, columns) == tuple(part[:2] for part in wanted)


def test_right_texts_that_are_none(tmp_path):
    two = lines(tmp_path / "two.en", ["a", "b"])
    one = lines(tmp_path / "one.de", ["a"])
    for name, columns, message in (
        (f"{two},{one}", {}, r"found 2 lines in \S+two.en and 1 in \S+one.de; wanted as many"),
        (f"{two},{one},{one}", {}, "found 3 files"),
        (two, {"target": "x"}, "without --columns"),
        (str(tmp_path / "none.de"), {}, "found no file .*none.de"),
    ):
        with pytest.raises(InputError, match=message):
            prediction_files.read_right(name, columns)
    answers = prediction_files.read(two)
    with pytest.raises(InputError, match=r"found 2 lines in \S+two.en and 1 in \S+one.de"):
        prediction_files.with_right(answers, one, {})
    with pytest.raises(InputError, match="wanted no --input"):
        prediction_files.with_right(answers._replace(field="label"), one, {})


def test_what_is_right_comes_from_the_other_file(tmp_path):
    right = lines(tmp_path / "right.de", ["c", "d"])
    given = Predictions("a", "target", ["a", "b"], ["x", "y"], ["s", "t"])
    found = prediction_files.with_right(given, right, {})
    assert found == given._replace(golds=["c", "d"])
    assert found.first(1) == Predictions("a", "target", ["a"], ["c"], ["s"])
    sources = lines(tmp_path / "right.en", ["s ", "t"])
    assert prediction_files.with_right(given, f"{sources},{right}", {}).golds == ["c", "d"]
    others = lines(tmp_path / "others.en", ["s", "u"])
    with pytest.raises(InputError, match="found 't' as source 2 of a and 'u' of .*others.en"):
        prediction_files.with_right(given, f"{others},{right}", {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"field": "label"}, "found a target in a and a label in b"),
        ({"answers": ["x"]}, "found 2 lines in a and 1 in b"),
        ({"golds": ["g", "i"]}, "found 'i' as what is right of prediction 2 of b, and 'h' of a"),
        ({"sources": ["t", "s"]}, "found 't' as source 1 of b and 's' of a; wanted the same"),
    ],
)
def test_predictions_of_other_examples(change, message):
    one = Predictions("a", "target", ["x", "y"], ["g", "h"], ["s", "t"])
    other = one._replace(path="b", golds=None)
    prediction_files.check_same(one, other)
    with pytest.raises(InputError, match=message):
        prediction_files.check_same(one, other._replace(**change))
