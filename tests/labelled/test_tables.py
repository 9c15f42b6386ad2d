"""Tables in every format hold the same, and what is said of a bad one."""

import csv
import io
import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.labelled import delimited, tables
from roots_tf.storage.files import InputError

WANTED = ("text", "label")


def write(path, content: str | bytes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_parquet(path, **columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def test_every_format_holds_the_same(tmp_path):
    texts, labels = ["good film", 'so "bad", really'], ["pos", "neg"]
    files = [
        write(tmp_path / "a.tsv", 'good film\tpos\r\n\r\nso "bad", really\tneg\r\n'),
        write(tmp_path / "b.tsv", 'label\tid\ttext\npos\t1\tgood film\nneg\t2\tso "bad", really'),
        write(tmp_path / "a.csv", '\ufefftext,label\ngood film,pos\n\n"so ""bad"", really",neg\n'),
        write(
            tmp_path / "a.jsonl",
            '{"text": "good film", "label": "pos"}\n\n'
            '{"label": "neg", "text": "so \\"bad\\", really", "id": 2}\n',
        ),
        write_parquet(tmp_path / "a.parquet", id=[1, 2], label=labels, text=texts),
    ]
    found = [tables.read(path, WANTED) for path in files]
    assert all(table.columns == {"text": texts, "label": labels} for table in found)
    assert [table.lines for table in found] == [[1, 3], [2, 3], [2, 4], [1, 3], [1, 2]]
    assert found[0].where(1) == f"{files[0]}, line 3"
    assert found[4].where(1) == f"{files[4]}, row 2"


def test_columns_of_other_names_and_optional_ones(tmp_path):
    renamed = {"text": "sentence", "label": "gold", "text_pair": "second"}
    path = write(tmp_path / "a.tsv", "gold\tsecond\tsentence\n0\t\tx\n1\tz\ty\n")
    table = tables.read(path, WANTED, ("text_pair", "weight"), renamed)
    assert table.columns == {"text": ["x", "y"], "label": ["0", "1"], "text_pair": [None, "z"]}
    path = write(tmp_path / "a.jsonl", '{"sentence": "x", "gold": 0, "second": null}\n')
    assert tables.read(path, WANTED, ("text_pair",), renamed).columns == {
        "text": ["x"],
        "label": [0],
    }


def test_values_of_json_and_parquet_stay_what_they_are(tmp_path):
    rows = [{"text": ["a", "b"], "label": 0}, {"text": ["c"], "label": 2.5}]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert tables.read(path, WANTED).columns == {"text": [["a", "b"], ["c"]], "label": [0, 2.5]}
    path = write_parquet(tmp_path / "a.parquet", text=[["a", "b"], ["c"]], label=[0, 1])
    assert tables.read(path, WANTED).columns == {"text": [["a", "b"], ["c"]], "label": [0, 1]}


def test_lines_are_cut_at_line_feeds_only(tmp_path):
    text = "one\u2028two\x85three\x0bfour\x1cfive"
    tsv = write(tmp_path / "a.tsv", f"{text}\tpos\nx\tneg\n")
    rows = [json.dumps({"text": text, "label": "pos"}, ensure_ascii=False)]
    jsonl = write(tmp_path / "a.jsonl", "\n".join(rows))
    assert tables.read(tsv, WANTED).columns["text"] == [text, "x"]
    assert tables.read(jsonl, WANTED).columns["text"] == [text]


def test_a_long_text_in_a_csv_cell(tmp_path):
    limit = csv.field_size_limit()
    text = "a word, " * 100_000
    path = write(tmp_path / "a.csv", f'"{text}\nand a line",pos\nx,neg\n')
    table = tables.read(path, WANTED)
    assert table.columns["text"] == [f"{text}\nand a line", "x"]
    assert table.lines == [1, 3]
    assert csv.field_size_limit() == limit


def test_tables_that_are_read_in_turn_leave_the_limit_of_csv(tmp_path):
    limit = csv.field_size_limit()
    first, second = (
        delimited._csv_rows(name, "ab,c\nd,e\n" * lines, ",")
        for name, lines in (("a", 1), ("b", 3))
    )
    assert next(first) == next(second) == (1, ["ab", "c"])
    assert list(first) == [(2, ["d", "e"])]
    assert len(list(second)) == 5
    assert csv.field_size_limit() == limit


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_any_text_survives_csv_and_json(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("tables")
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([WANTED, *rows])
    lines = [json.dumps(dict(zip(WANTED, row, strict=True))) for row in rows]
    for path in (
        write(folder / "a.csv", buffer.getvalue()),
        write(folder / "a.jsonl", "\n".join(lines)),
    ):
        found = tables.read(path, WANTED).columns
        assert list(zip(found["text"], found["label"], strict=True)) == rows


def test_real_files(data):
    found = tables.read(data / "sst2" / "train.tsv", WANTED)
    assert len(found.lines) == 6_920
    assert set(found.columns["label"]) == {"0", "1"}
    news = tables.read(data / "bbc_news" / "test.jsonl", WANTED, ("id",))
    assert len(news.lines) == 223
    assert len(set(news.columns["label"])) == 5
    assert news.columns["id"][0] == "politics/114.txt"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.tsv",
            "fine\t1\nno label\n",
            r"found 1 fields in \S+, line 2: \['no label'\]; wanted 2",
        ),
        ("a.tsv", "fine\t1\na\ttab\t0\n", r"found 3 fields in \S+, line 2.*parted by tabs"),
        ("a.tsv", "text\tlabel\tid\na\t0\n", r"found 2 fields in \S+, line 2.*wanted 3 \(text, la"),
        ("a.csv", "a,b,1\n", r"found 3 fields in \S+, line 1: .*; wanted 2 .*parted by commas"),
        ("a.csv", "a:1\n", r"found 1 fields in \S+, line 1: \['a:1'\].*--columns=label,-,text"),
        ("a.tsv", "x\t1\n\t1\n", r"found no text in \S+, line 2 \(column 'text' is empty\)"),
        ("a.tsv", "x\t1\ny\t \n", r"found no label in \S+, line 2"),
        ("a.tsv", "sentence\tlabel\nx\t1\n", r"no column 'text' in \S+, line 1, which has: sente"),
        ("a.tsv", "Text\tgold\nx\t1\n", r"no column 'text' .*--columns=text=Text"),
        ("a.tsv", "text\tlabel\ttext\n", r"found column 'text' twice in \S+, line 1"),
        ("a.csv", 'x,1\n"open,0\nx,2\n', r"broken quotes in the row of \S+ that begins at line 2"),
        ("a.csv", 'x,1\n"a"b,0\n', r"broken quotes in the row of \S+ that begins at line 2"),
        ("a.jsonl", '\n{"text": "x"}\n', r"no column 'label' in \S+, line 2, which has: text;"),
        ("a.jsonl", '{"text": "x", "label": null}', r"found no label in \S+, line 1"),
        ("a.jsonl", '{"text": [], "label": 1}', r"found no text in \S+, line 1"),
        ("a.jsonl", '{"text": "x", "label": NaN}', r"found no label in \S+, line 1"),
        ("a.jsonl", '{"text": "x", "label', r"line 1, which is no JSON .*; wanted JSON lines"),
        ("a.json", '[{"text": "x", "label": 1}, 2]', r"found 2 in \S+, item 2; .*array of objects"),
        ("a.json", '[\n  {"text": "x"}]', r"no column 'label' in \S+, item 1, which has: text;"),
        ("a.json", '[\n  {"text": "x"]', r"found '\[' in \S+, line 1, which is no JSON"),
        ("a.jsonl", "[" * 100_000, r"line 1, which is no JSON"),
        (
            "a.jsonl",
            '{"text": "x\\uD83D", "label": 1}',
            r"half a surrogate pair, \\ud83d, in \S+, l",
        ),
        ("a.tsv", "", "found no rows in .*; wanted rows of text, label"),
        ("a.tsv", "text\tlabel\n", "found no rows in"),
        ("a.jsonl", "\n \n", "found no rows in"),
        ("a.tsv", b"good\t1\n\xff\xfe\t0\n", r"not UTF-8 in \S+, line 2, at offset 7 of the file"),
        ("a.jsonl", b"\xef\xbb\xbf\xff", "line 1, at offset 3"),
        ("a.txt", "x\t1", r"suffix '.txt'; wanted .tsv, .csv, .jsonl or .parquet"),
        (
            "a.parquet",
            b"PAR1 and no more",
            "could not read .* as Parquet .*; copy or write it again",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(InputError, match=message) as raised:
        tables.read(path, WANTED)
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_bad_parquet_file_is_named(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", text=["x", "y"], label=["1", None])
    with pytest.raises(InputError, match=r"found no label in \S+a.parquet, row 2"):
        tables.read(path, WANTED)
    with pytest.raises(InputError, match="no column 'gold' in .*, which has: text, label"):
        tables.read(path, WANTED, columns={"label": "gold"})
    content = path.read_bytes()
    for end in (len(content) // 2, len(content) - 1):
        with pytest.raises(InputError, match="could not read .*cut.parquet as Parquet"):
            tables.read(write(tmp_path / "cut.parquet", content[:end]), WANTED)
    with pytest.raises(InputError, match="found no rows in"):
        tables.read(write_parquet(tmp_path / "b.parquet", text=[], label=[]), WANTED)


def test_what_cannot_be_read_is_named(tmp_path):
    for suffix in ("tsv", "parquet"):
        with pytest.raises(InputError, match=f"found no file .*none.{suffix}"):
            tables.read(tmp_path / f"none.{suffix}", WANTED)
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(InputError, match=r"could not read .*folder.tsv: Is a directory"):
        tables.read(tmp_path / "folder.tsv", WANTED)
    with pytest.raises(InputError, match="a name for column 'txet'; wanted names for: text, label"):
        tables.read(tmp_path / "a.tsv", WANTED, columns={"txet": "sentence"})


def test_a_column_that_was_named_must_be_there(tmp_path):
    path = write(tmp_path / "a.tsv", "good film\t1\n")
    with pytest.raises(InputError, match="no column 'gold' in .*, which has: good film, 1;"):
        tables.read(path, WANTED, columns={"label": "gold", "text": "good film"})
    path = write(tmp_path / "a.csv", "text,label\nx,1\n")
    with pytest.raises(InputError, match="no column 'second' .*--columns=text_pair=ITS_NAME"):
        tables.read(path, WANTED, ("text_pair",), {"text_pair": "second"})


def test_numbers_and_strings(tmp_path):
    path = write(tmp_path / "a.tsv", "x\t0.5\ny\t-3\nz\t1e3\n")
    found = tables.numbers(tables.read(path, WANTED), "label")
    assert found.dtype == np.float32
    assert found.tolist() == [0.5, -3.0, 1000.0]
    table = tables.Table({"label": ["a", 0, 2.5, True, ["b"]]}, [1, 2, 3, 4, 9], "a.jsonl")
    with pytest.raises(InputError, match=r"found \['b'\] as label in a.jsonl, line 9; wanted a st"):
        tables.strings(table, "label")
    assert tables.strings(
        table._replace(lines=[1, 2, 3, 4], columns={"label": ["a", 0, 2.5]}), "label"
    ) == ["a", "0", "2.5"]


@pytest.mark.parametrize("value", ["pos", "nan", "inf", "1e39", "1,5", [1.0], 10**400])
def test_what_is_no_number_is_named(value):
    table = tables.Table({"label": [1, value]}, [4, 7], "dev.tsv")
    with pytest.raises(InputError, match=r"as label in dev.tsv, line 7; wanted a finite number"):
        tables.numbers(table, "label")


def test_what_a_file_calls_its_columns():
    assert tables.column_names(()) == {}
    texts = ("text=sentence", "label=a=b", "text_pair= second")
    names = {"text": "sentence", "label": "a=b", "text_pair": " second"}
    assert tables.column_names(texts) == names
    for wrong in ("text", "text=", "=sentence", ""):
        with pytest.raises(InputError, match=f"found '{wrong}' in --columns=label=gold,{wrong};"):
            tables.column_names(["label=gold", wrong])
    with pytest.raises(InputError, match="found 'text=b' in .*, and 'text' twice; wanted NAME=ITS"):
        tables.column_names(["text=a", "text=b"])


def test_columns_are_refused_where_a_file_has_none():
    tables.refuse_columns({}, "train.conll")
    with pytest.raises(InputError, match="found --columns=text=word and train.conll, whose layout"):
        tables.refuse_columns({"text": "word"}, "train.conll")
