"""Labelled files as people and their programs write them, each read as what it says."""

import bz2
import gzip
import json
import lzma
import os

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.labelled import delimited, label_files, sampling, tables, text_files
from roots_tf.storage.files import InputError

WANTED = ("text", "label")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path, columns=(), **options):
    found = tables.read(path, WANTED, columns=tables.column_names(columns), **options).columns
    return list(zip(found["text"], found["label"], strict=True))


GOOD = [("good film", "pos"), ("bad, really", "neg")]


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        # Excel: tab-delimited with quotes, "Unicode Text", semicolons, its own first line.
        ("a.tsv", '\ufefftext\tlabel\r\ngood film\tpos\r\n"bad, really"\tneg\r\n', ()),
        ("a.tsv", "text\tlabel\r\ngood film\tpos\r\nbad, really\tneg\r\n".encode("utf-16"), ()),
        ("a.tsv", "text\tlabel\rgood film\tpos\rbad, really\tneg\r", ()),
        ("a.csv", "text;label\r\ngood film;pos\r\nbad, really;neg\r\n", ()),
        ("a.csv", 'sep=;\r\ntext;label\r\n"good film";pos\r\n"bad, really";neg\r\n', ()),
        ("a.csv", "text\tlabel\ngood film\tpos\nbad, really\tneg\n", ()),
        ("a.csv", 'text,label,,\ngood film,pos,,\n"bad, really",neg,,\n,,,\n', ()),
        ("a.csv", 'text,label,note,note\ngood film,pos,1,2\n"bad, really",neg,3,4\n', ()),
        ("a.csv", "good film;pos\nbad, really;neg\n", ()),
        # R quotes whole columns.
        ("a.tsv", '"text"\t"label"\n"good film"\t"pos"\n"bad, really"\t"neg"\n', ()),
        # Labels first, columns that are not needed, a line of names that says what is known.
        ("a.tsv", "pos\tgood film\nneg\tbad, really\n", ("label", "text")),
        ("a.csv", '"pos","1","good film"\n"neg","2","bad, really"\n', ("label", "-", "text")),
        ("a.tsv", "label\ttext\npos\tgood film\nneg\tbad, really\n", ("label", "text")),
        ("a.txt", "__label__pos good film\n__label__neg bad, really\n", ()),
        ("a.label", "pos:x good film\nneg:y bad, really\n", ()),
        ("a.json", json.dumps([dict(zip(WANTED, row, strict=True)) for row in GOOD], indent=1), ()),
        ("A.CSV", 'text,label\ngood film,pos\n"bad, really",neg\n', ()),
        ("日本 #[1].csv", 'text,label\ngood film,pos\n"bad, really",neg\n', ()),
        ("a, b.tsv", "good film\tpos\nbad, really\tneg\n", ()),
    ],
)
def test_it_holds_the_same(tmp_path, name, content, columns):
    assert rows(write(tmp_path / name, content), columns) == GOOD


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_compressed(tmp_path, pack, name):
    lines = [json.dumps(dict(zip(WANTED, row, strict=True))) for row in GOOD]
    content = "\n".join(lines) if name == "a.jsonl" else 'good film,pos\n"bad, really",neg\n'
    end = {"gzip": ".gz", "bz2": ".bz2", "lzma": ".xz"}[pack.__module__]
    path = write(tmp_path / f"{name}{end}", pack(content.encode()))
    assert rows(path) == GOOD
    write(path, path.read_bytes()[:-9])
    with pytest.raises(InputError, match="could not read"):
        rows(path)


@pytest.mark.parametrize(
    "literal",
    [
        'so "bad", really\tneg',  # a quote within a field
        '"Good film"\tpos',  # quotes around what needs none
        '"open\tneg',
        'He said "hi"\tpos\n"what, now"\tneg',
    ],
)
def test_quotes_of_a_tsv_are_its_texts_unless_all_agree(tmp_path, literal):
    found = rows(write(tmp_path / "a.tsv", f"{literal}\nx\tneg\n"))
    assert found == [tuple(line.split("\t")) for line in [*literal.split("\n"), "x\tneg"]]


@pytest.mark.parametrize("lines", ['"fine\tpos\nbad"\tneg', 'x\tpos\n"a\tneg\nb\tpos\nc"\tneg'])
def test_quotes_join_no_lines_that_are_rows(tmp_path, lines):
    found = rows(write(tmp_path / "a.tsv", f"text\tlabel\n{lines}\n"))
    assert found == [tuple(line.split("\t")) for line in lines.split("\n")]


def test_reviews_are_read_a_row_a_line(data):
    for split, count in (("train", 9_600), ("dev", 1_200), ("test", 1_200)):
        path = data / "chnsenticorp" / f"{split}.tsv"
        table = tables.read(path, WANTED, columns={"text": "text_a"})
        assert table.lines == [*range(2, count + 2)]
        lines = path.read_text("utf-8").split("\n")[1 : count + 1]
        assert [
            f"{label}\t{text}" for text, label in zip(*table.columns.values(), strict=True)
        ] == lines


# A field of tabs and line ends may look like rows.
FIELDS = st.text(st.sampled_from('ab"\t\n,; é'), min_size=1).filter(
    lambda field: field.strip() and not {"\t", "\n"} <= {*field}
)


@settings(deadline=None)
@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=4))
def test_what_a_spreadsheet_quotes_is_read_back(rows):
    def quoted(field):
        return '"' + field.replace('"', '""') + '"' if set(field) & set('"\t\n,') else field

    text = "".join("\t".join(map(quoted, row)) + "\n" for row in rows)
    names = {"text": "text", "label": "label"}
    found = delimited.read("a.tsv", ".tsv", text, names, WANTED, {})
    assert [(row["text"], row["label"]) for _, row in found] == rows


def test_lines_of_quoted_texts(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"one\ntwo"\tpos\n\n"a ""b"""\tneg\n')
    table = tables.read(path, WANTED)
    assert table.columns["text"] == ["one\ntwo", 'a "b"']
    assert table.lines == [2, 5]


@pytest.mark.parametrize(
    ("name", "content", "columns", "message"),
    [
        (
            "a.tsv",
            "pos\tgood\tx\n",
            ("label", "text"),
            r"found 3 fields .*wanted 2 \(label, te",
        ),
        ("a.jsonl", '{"text": "x", "label": 1}', ("label", "text"), "an order of columns, and"),
        (
            "a.label",
            "DESC:manner How?\nno label\n",
            (),
            "found 'no label' in .*, line 2; wanted L",
        ),
        ("a.txt", "__label__a x\nno label\n", (), "line 2; wanted one __label__NAME, a space"),
        ("a.txt", "__label__a __label__b x\n", (), "line 1; wanted one __label__NAME"),
        ("a.txt", "x\t1", (), "suffix '.txt'; wanted .tsv, .csv, .*a file a label"),
        ("a.csv", "text,label\nx,1\n".encode("utf-16-le"), (), "NUL byte in .*--encoding=UTF-16LE"),
        ("a.tsv", "好电影\t1\n很无聊\t0\n".encode("gbk"), (), "not UTF-8 .*--encoding=GB18030"),
        ("a.tsv", "좋은 영화\t1\n".encode("euc_kr"), (), "not UTF-8 .*--encoding=EUC-KR"),
        ("a.csv", gzip.compress(b"x,1\n", mtime=0), (), "not UTF-8 .*it is no text: unpack it"),
        ("a.csv", "un été raté,1\n".encode("latin-1"), (), "not UTF-8 .*--encoding=Windows-1252"),
    ],
)
def test_what_it_wants_is_said(tmp_path, name, content, columns, message):
    with pytest.raises(InputError, match=message):
        rows(write(tmp_path / name, content), columns)


@pytest.mark.parametrize("columns", ["label,text,label", ["text", "label=gold"]])
def test_orders_and_names_are_not_mixed(columns):
    with pytest.raises(InputError, match="found '(label|text)'"):
        tables.column_names(columns)
    assert tables.column_names("text=sentence,label=gold") == {"text": "sentence", "label": "gold"}


@pytest.mark.parametrize("encoding", ["gb18030", "UTF-16LE", "EUC-JP"])
def test_encodings(tmp_path, encoding):
    path = write(tmp_path / "a.tsv", "好日\tpos\n天気\tneg\n".encode(encoding))
    assert rows(path, encoding=encoding) == [("好日", "pos"), ("天気", "neg")]
    with pytest.raises(InputError, match=r"not EUC-KR in \S+b.tsv"):
        rows(write(tmp_path / "b.tsv", b"\xff\xff\t1\n"), encoding="euc_kr")
    utf8 = write(tmp_path / "c.tsv", "今天天气很好我们去公园散步\tpos\n")
    with pytest.raises(InputError, match=r"found UTF-8 in \S+c.tsv; wanted"):
        rows(utf8, encoding=encoding)


def test_a_file_a_label(tmp_path):
    files = [tmp_path / "rt-polarity.pos", tmp_path / "rt-polarity.neg"]
    write(files[0], "très bon\n\nfine\n".encode("latin-1"))
    write(files[1], "bad\n")
    expected = [("très bon", "pos"), ("fine", "pos"), ("bad", "neg")]
    listed = ",".join(map(str, files))
    table = tables.read(listed, WANTED, encoding="latin-1")
    assert rows(listed, encoding="latin-1") == expected
    assert sorted(rows(tmp_path / "rt-*", encoding="latin-1")) == sorted(expected)
    assert table.where(1) == f"{files[0]}, line 3"
    with pytest.raises(InputError, match=r"found no file \S+absent.neg"):
        rows(f"{files[0]},{tmp_path}/absent.neg")
    write(tmp_path / "a.tsv", "x\t1")
    with pytest.raises(InputError, match="found .*a.tsv beside other files; wanted one table"):
        rows(f"{files[0]},{tmp_path}/a.tsv", encoding="latin-1")


def test_a_folder_a_label(tmp_path):
    for name in ("pos/0_9.txt", "pos/1_7.txt", "neg/0_2.txt"):
        write(tmp_path / "train" / name, f"{name}\nis a review\n")
    write(tmp_path / "train" / "README", "about")
    write(tmp_path / "real" / "2.txt", "linked")
    os.symlink("../../real", tmp_path / "train" / "neg" / "more")
    expected = [
        ("neg/0_2.txt\nis a review", "neg"),
        ("linked", "neg"),
        ("pos/0_9.txt\nis a review", "pos"),
        ("pos/1_7.txt\nis a review", "pos"),
    ]
    assert (
        rows(tmp_path / "train") == rows(f"{tmp_path}/train/neg,{tmp_path}/train/pos") == expected
    )
    assert rows(f"{tmp_path}/train/*g,{tmp_path}/train/pos") == expected
    write(tmp_path / "mixed" / "a.tsv", "x\t1")
    with pytest.raises(InputError, match="found the table .*a.tsv in a folder; wanted a text"):
        rows(tmp_path / "mixed")
    unlabelled = tables.read(tmp_path / "train" / "pos", ("text",))
    assert unlabelled.columns["text"] == [text for text, _ in expected[2:]]
    assert unlabelled.where(0) == str(tmp_path / "train" / "pos" / "0_9.txt")


def test_names_of_labels_in_names_of_files():
    assert label_files.labels_of_files(["a/pos.txt.gz", "b/neg.txt"]) == ["pos", "neg"]
    assert label_files.labels_of_files(["dev.pos.txt", "dev.neg.txt"]) == ["pos", "neg"]
    assert label_files.labels_of_files(["pos", "neg.txt"]) == ["pos", "neg"]


def test_coarse_and_fine_labels(tmp_path):
    path = write(tmp_path / "train_5500.label", "DESC:manner How did it begin ?\nNUM:date When ?\n")
    assert rows(path) == [("How did it begin ?", "DESC"), ("When ?", "NUM")]
    assert [label for _, label in rows(path, ["label=fine_label"])] == ["DESC:manner", "NUM:date"]


@pytest.mark.parametrize(
    ("written", "stored", "names"),
    [
        (["False", "True"], [False, True], ["false", "true"]),
        (["FALSE", "true "], [False, True], ["false", "true"]),
        (["1.0", "0.0"], [1, 0], ["1", "0"]),
        (["1", "-2"], [1.0, -2.0], ["1", "-2"]),
        (["2.5", "007"], ["2.5", "007"], ["2.5", "007"]),
    ],
)
def test_a_label_is_the_same_in_every_format(tmp_path, written, stored, names):
    csv = write(tmp_path / "a.csv", "text,label\n" + "".join(f"x,{label}\n" for label in written))
    content = {"text": ["x", "x"], "label": stored}
    pyarrow.parquet.write_table(pyarrow.table(content), tmp_path / "a.parquet")
    lines = [json.dumps({"text": "x", "label": label}) for label in stored]
    found = [csv, tmp_path / "a.parquet", write(tmp_path / "a.jsonl", "\n".join(lines))]
    for path in found:
        assert tables.labels(tables.read(path, WANTED), "label") == names


def test_labels_of_one_file_that_become_one_are_named(caplog):
    table = tables.Table({"label": ["1", "1.0", "x"]}, [1, 2, 3], "a.csv")
    assert tables.labels(table, "label") == ["1", "1", "x"]
    assert "a.csv: '1' and '1.0' are one label" in caplog.text
    truth = tables.Table({"value": ["True", False, "0.5"]}, [1, 2, 3], "a.csv")
    assert tables.numbers(truth, "value").tolist() == [1.0, 0.0, 0.5]


def test_blank_cells_of_a_pair(tmp_path):
    contents = {
        "a.csv": "text,text_pair,label\nx,y,1\nx,,0\n",
        "a.tsv": "text\ttext_pair\tlabel\nx\ty\t1\nx\t\t0\n",
        "a.jsonl": '{"text": "x", "text_pair": "y", "label": 1}\n'
        '{"text": "x", "text_pair": null, "label": 0}\n',
    }
    paths = [write(tmp_path / name, content) for name, content in contents.items()]
    content = {"text": ["x", "x"], "text_pair": ["y", None], "label": [1, 0]}
    pyarrow.parquet.write_table(pyarrow.table(content), tmp_path / "a.parquet")
    for path in [*paths, tmp_path / "a.parquet"]:
        table = tables.read(path, (*WANTED, "text_pair"), may_be_blank=("text_pair",))
        assert tables.strings(table, "text_pair") == ["y", ""]
        with pytest.raises(InputError, match=r"found no text_pair in \S+, (line|row) [23]"):
            tables.read(path, (*WANTED, "text_pair"))


def test_more_rows_than_memory_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files.memory, "available", lambda: 30 << 20)
    content = {"text": ["x"] * 100_000, "label": ["1"] * 100_000}
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table(content), path)
    assert path.stat().st_size < 20_000
    with pytest.raises(InputError, match="found 100000 rows in .* wanted no more than the 30 MiB"):
        tables.read(path, WANTED)
    for name, line in (("a.csv", "x,1\n"), ("a.jsonl", '{"text": "x", "label": 1}\n')):
        with pytest.raises(InputError, match="found more than [0-9]+ rows in .*divide the file"):
            tables.read(write(tmp_path / name, line * 40_000), WANTED)
    large = write(tmp_path / "b.csv.gz", gzip.compress(b"word word,1\n" * 500_000))
    with pytest.raises(InputError, match="found at least [0-9]+ bytes of text in .*b.csv.gz"):
        tables.read(large, WANTED)


def test_a_sample_holds_every_label():
    labels = ["a"] * 900 + ["b"] * 99 + ["c"]
    table = tables.Table({"text": [*map(str, range(1000))], "label": labels}, [*range(1000)], "t")
    named = [(label,) for label in labels]
    some = sampling.sample(table, 256, named)
    assert len(some.lines) == 256
    assert some.lines == sorted(some.lines)
    assert set(some.columns["label"]) == {"a", "b", "c"}
    assert some.columns["text"] == list(map(str, some.lines))
    assert some == sampling.sample(table, 256, named) != sampling.sample(table, 256, named, 1)
    assert 10 < some.columns["label"].count("b") < 50
    assert set(sampling.sample(table, 2, named).columns["label"]) == {"a", "b", "c"}
    assert sampling.sample(table, 1000, named) == table
    assert len(sampling.sample(table, 7).lines) == 7


def test_the_first_examples():
    table = tables.Table({"text": ["a", "b", "c"], "label": [1, 2, 3]}, [2, 3, 4], "a.tsv")
    assert sampling.first(table, 2) == ({"text": ["a", "b"], "label": [1, 2]}, [2, 3], "a.tsv")
    assert sampling.first(table, 9) == table
