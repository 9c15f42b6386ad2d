"""Corpora in other encodings, JSON arrays, and Parquet that is made to fill memory."""

import json

import pyarrow
import pyarrow.parquet
import pytest

from roots_tf.corpus import reading
from roots_tf.corpus.reading import read_documents, read_span
from roots_tf.corpus.tally import Tally
from roots_tf.storage import compression, files, parquet

LINES = [f"第{i}天，天气很好，我们去公园散步。" for i in range(400)]


def texts(path, layout="line", **options):
    return [document.text for document in read_documents(path, layout, **options)]


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-16-le", "utf-16-be", "EUC-JP"])
@pytest.mark.parametrize("size", [1 << 20, 97])
def test_text_and_json_lines(tmp_path, monkeypatch, encoding, size):
    monkeypatch.setattr(compression, "BLOCK_BYTES", size)
    lines = ["今日大風也"] * 200 if encoding in ("big5", "EUC-JP") else LINES
    path = tmp_path / "a.txt"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    assert texts(path, encoding=encoding) == lines
    path = tmp_path / "a.jsonl"
    rows = (json.dumps({"text": line}, ensure_ascii=False) + "\n" for line in lines)
    path.write_bytes("".join(rows).encode(encoding))
    assert texts(path, encoding=encoding) == lines


@pytest.mark.parametrize(("encoding", "parts"), [("gb18030", 5), ("utf-16-le", 1), ("hz", 1)])
def test_the_parts_of_a_file_are_the_file(tmp_path, encoding, parts):
    path = tmp_path / "a.txt"
    path.write_bytes("\n".join(LINES).encode(encoding))
    tasks = reading.plan([str(path)], "line", path.stat().st_size // 5, encoding)
    assert len(tasks) >= parts and (parts > 1 or len(tasks) == 1)
    spans = [span for task in tasks for span in task]
    found = [d.text for span in spans for d in read_span(span, "line", encoding=encoding)]
    assert found == LINES


def test_a_mark_goes_before_the_encoding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\n".join(LINES).encode("utf-8-sig"))
    assert texts(path, encoding="gb18030") == LINES
    assert len(reading.plan([str(path)], "line", 1000, "gb18030")) == 1


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        ("好电影", "gb18030", "bytes that are not UTF-8 among .*--encoding=GB18030"),
        ("좋은 영화였다", "euc_kr", "--encoding=EUC-KR .*iconv -f EUC-KR"),
        ("un été raté", "latin-1", "2 bytes that are not UTF-8 .*--encoding=Windows-1252"),
        ("今日は\nいい天気\n", "utf-16-le", "NUL bytes .*--encoding=UTF-16LE"),
        ("plain words\n", "utf-16-be", "NUL bytes .*--encoding=UTF-16BE"),
    ],
)
def test_short_texts_are_refused_with_the_encoding_they_are_in(
    tmp_path, content, encoding, message
):
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode(encoding))
    with pytest.raises(files.InputError, match=message):
        texts(path)
    assert "\n".join(texts(path, encoding=encoding)) == content.strip()


def test_a_wrong_encoding_is_seen_before_anything_is_written(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\n".join(LINES).encode("gb18030"))
    reading.check_encoding([str(path), "a.parquet"], "GBK")
    with pytest.raises(files.InputError, match="--encoding=GB18030"):
        reading.check_encoding([str(path)], "utf-8")


def test_what_is_not_of_the_encoding_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xff" * 40 + b"x" * 40)
    with pytest.raises(files.InputError, match="40 bytes that are not EUC-JP .* first at byte 0"):
        texts(path, encoding="euc_jp")
    path.write_text("\n".join(LINES), "utf-8")
    with pytest.raises(files.InputError, match="found UTF-8 in .*a.txt; wanted Big5"):
        texts(path, encoding="big5")
    tally = Tally()
    path.write_bytes("天気\n".encode("euc_jp") * 1000 + b"\xff")
    assert len(texts(path, encoding="euc_jp", tally=tally)) == 1001
    assert tally.notes == {"bytes_not_decoded_replaced": 1}


@pytest.mark.parametrize("size", [1 << 20, 5, 1])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_documents(tmp_path, monkeypatch, size, indent):
    monkeypatch.setattr(compression, "BLOCK_BYTES", size)
    path = tmp_path / "a.json"
    items = [{"text": 'one, "[two]"'}, {"text": "三"}, {"n": 1, "text": "four\n"}]
    path.write_text(json.dumps(items, indent=indent) + "\n")
    if size > 1:  # a first block of one character could be anything
        assert texts(path) == ['one, "[two]"', "三", "four\n"]
        assert len(reading.plan([str(path)], "line", 10)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '[{"text": "x"}, {"text": ',
            "found '{\"text\":' in the JSON array of .*a.json; wanted JSO",
        ),
        ('[{"text": "x"}', "in the JSON array of .*; wanted JSON"),
        ('[{"text": "x"}] {}', "found '{}' .*wanted nothing after"),
        ('[{"text": "x"}, nonsense]', "found 'nonsense"),
    ],
)
def test_a_damaged_array_is_named(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(files.InputError, match=message):
        texts(path)


def test_more_rows_than_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_MANY_ROWS", 1000)
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["x"] * 200_000}), path)
    for read in (texts, lambda path: reading.plan([str(path)], "line", 1000)):
        with pytest.raises(
            files.InputError, match="found 200000 rows in the [0-9]+ bytes of .*a.p"
        ):
            read(path)


def test_columns_that_grow_without_measure(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_LARGE_GROUP", 1 << 20)
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": ["x" * (4 << 20)]})
    pyarrow.parquet.write_table(table, path, compression="zstd", use_dictionary=False)
    with pytest.raises(files.InputError, match="bytes in .*a.parquet that grow to 4[0-9]{6}"):
        texts(path)


def test_suffixes_in_capitals(tmp_path):
    path = tmp_path / "A.JSONL.GZ"
    compressed = pyarrow.compress(b"", "gzip", asbytes=True)
    path.write_bytes(compressed)
    assert reading.format_of(str(path)) == "json_lines"
    assert texts(path) == []
