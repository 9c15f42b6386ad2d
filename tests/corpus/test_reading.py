import bz2
import codecs
import gzip
import json
import lzma
import random
import tracemalloc

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.corpus import reading
from roots_tf.corpus.documents import Document
from roots_tf.corpus.reading import Span, read_documents, read_span
from roots_tf.corpus.tally import Tally
from roots_tf.storage import compression, files

TWO = "Call me\nIshmael.\n\n \t\nSome years ago\n"


def texts(path, layout="blank_lines", **options):
    return [document.text for document in read_documents([path], layout, **options)]


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("blank_lines", ["Call me\nIshmael.", "Some years ago"]),
        ("line", ["Call me", "Ishmael.", "Some years ago"]),
        ("file", [TWO.strip()]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_layouts_in_every_encoding_and_line_end(tmp_path, layout, expected, encoding, newline):
    path = tmp_path / "two.txt"
    path.write_bytes(TWO.replace("\n", newline).encode(encoding))
    assert texts(path, layout) == expected
    assert [d.source for d in read_documents([path], layout)] == ["two.txt"] * len(expected)


def test_text_in_big_endian_with_a_mark(tmp_path):
    path = tmp_path / "two.txt"
    path.write_bytes(codecs.BOM_UTF16_BE + TWO.encode("utf-16-be"))
    assert texts(path) == ["Call me\nIshmael.", "Some years ago"]


def compress(path, data):
    modules = {".gz": gzip, ".bz2": bz2, ".xz": lzma}
    if path.suffix in modules:
        path.write_bytes(modules[path.suffix].compress(data))
    else:
        with pyarrow.output_stream(path, compression="zstd") as stream:
            stream.write(data)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".xz"])
def test_compressed_text_and_json_lines(tmp_path, suffix):
    compress(tmp_path / f"a.txt{suffix}", TWO.encode())
    assert texts(tmp_path / f"a.txt{suffix}") == ["Call me\nIshmael.", "Some years ago"]
    record = json.dumps({"text": "Loomings", "source": "moby"})
    compress(tmp_path / f"a.jsonl{suffix}", record.encode())
    assert list(read_documents([tmp_path / f"a.jsonl{suffix}"])) == [Document("Loomings", "moby")]


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".xz"])
def test_truncated_compressed_file(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    noise = random.Random(1)
    lines = "\n".join(f"{noise.random()} white whale" for _ in range(50_000))
    compress(path, lines.encode())
    path.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(files.InputError, match="Truncated.*copy or download it again"):
        texts(path)


def test_a_file_that_is_not_what_its_suffix_says(tmp_path):
    for name in ("a.txt.gz", "a.txt.zst", "a.txt.bz2", "a.txt.xz", "a.parquet"):
        (tmp_path / name).write_bytes(b"plain text, not that\n" * 10)
        with pytest.raises(files.InputError, match=name):
            texts(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(files.InputError, match="could not read .*absent.txt"):
        texts(tmp_path / "absent.txt")


def test_empty_file_has_no_documents(tmp_path):
    for name in ("a.txt", "a.jsonl", "a.txt.gz", "a.txt.bz2", "a.txt.xz"):
        (tmp_path / name).write_bytes(b"")
        assert texts(tmp_path / name) == []
        if name.count(".") == 2:
            compress(tmp_path / name, b"")
        assert texts(tmp_path / name) == []


def test_binary_file(tmp_path):
    path = tmp_path / "photo.txt"
    path.write_bytes(b"\x89PNG" + random.Random(1).randbytes(5000))
    with pytest.raises(files.InputError, match="photo.txt, the first at byte 0.*binary"):
        texts(path)
    path.write_bytes(b"x" * 70 + b"\0" * 40)
    with pytest.raises(files.InputError, match="40 NUL bytes among 110 .* byte 70"):
        texts(path)


def test_latin_1_text_is_refused_with_advice(tmp_path):
    path = tmp_path / "brief.txt"
    path.write_bytes("Größe, Güte, Übermut. ".encode("latin-1") * 100)
    with pytest.raises(
        files.InputError, match="byte 2; .*--encoding=Windows-1252 .*iconv -f Windows"
    ):
        texts(path)


def test_a_few_invalid_bytes_are_replaced_and_counted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"good text " * 500 + b"caf\xe9 \xff" + "\ufffd".encode())
    tally = Tally()
    assert texts(path, tally=tally)[0].endswith("caf\ufffd \ufffd\ufffd")
    assert tally.notes == {"bytes_not_utf8_replaced": 2}


def test_a_character_is_not_cut_between_blocks(tmp_path, monkeypatch):
    text = "aé→😀" * 50
    path = tmp_path / "a.txt"
    path.write_text(text)
    for size in range(1, 12):
        monkeypatch.setattr(compression, "BLOCK_BYTES", size)
        tally = Tally()
        assert texts(path, tally=tally) == [text]
        assert not tally.notes


lines_of_text = st.lists(
    st.text(st.sampled_from("ab é→ \t\n\r"), max_size=12), min_size=1, max_size=12
).map("\n".join)


@settings(max_examples=60, deadline=None)
@given(lines_of_text, st.sampled_from(["blank_lines", "line"]), st.integers(1, 40))
def test_spans_and_blocks_change_nothing(tmp_path_factory, text, layout, size):
    path = tmp_path_factory.mktemp("spans") / "a.txt"
    path.write_bytes(text.encode())
    expected = texts(path, layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "BLOCK_BYTES", size)
        tasks = reading.plan([str(path)], layout, size)
        found = [d.text for task in tasks for span in task for d in read_span(span, layout)]
    assert found == expected
    assert "".join("".join(expected).split()) == "".join(text.split())


def test_plan_cuts_large_files_and_gathers_small_ones(tmp_path):
    (tmp_path / "large.txt").write_text("one\ntwo\n\n" * 1000)  # 9,000 bytes
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("small\n" * 10)
    paths = [str(tmp_path / f"{name}.txt") for name in ("large", "a", "b", "c")]
    tasks = reading.plan(paths, "blank_lines", 4000)
    large = paths[0]
    assert tasks[0] == [Span(large, 0, 4005)]
    assert tasks[1] == [Span(large, 4005, 9000)]
    assert tasks[2] == [Span(path, 0, 60) for path in paths[1:]]
    whole = reading.plan(paths, "file", 4000)
    assert whole[0] == [Span(large, 0, -1)]


def test_json_lines_with_damage(tmp_path):
    path = tmp_path / "a.jsonl"
    long = json.dumps({"text": "x" * 500})
    good, surrogate = '{"text": "one"}', '{"text": "\\ud800"}'
    bad = ['{"text": 3}', "[]", "not json", long, "[" * 150]
    path.write_text("\n".join([good, "", *bad, surrogate]))
    tally = Tally()
    assert texts(path, max_chars=100, tally=tally) == ["one", "\ud800"]
    counts = tally.to_json()["dropped"]
    assert {reason: count["documents"] for reason, count in counts.items()} == {
        "no_text_field": 2,
        "not_json": 2,
        "too_long": 1,
    }
    assert tally.documents_in == 7


def test_json_lines_of_another_field(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "one", "site": 7}\n')
    with pytest.raises(files.InputError, match="no JSON object with a string 'text'.*--text_field"):
        texts(path)
    read = read_documents([path], text_field="body", source_field="site")
    assert list(read) == [Document("one", "7")]


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": ["one", None, "three"] * 50, "source": ["s", "t", None] * 50})
    pyarrow.parquet.write_table(table, path, row_group_size=10)
    tally = Tally()
    found = list(read_documents([path], tally=tally))
    assert found == [Document("one", "s"), Document("three", "a.parquet")] * 50
    assert tally.dropped["no_text_field"][0] == 50
    tasks = reading.plan([str(path)], "line", 500)
    assert len(tasks) > 1
    assert [d for task in tasks for span in task for d in read_span(span, "line")] == found
    with pytest.raises(files.InputError, match=r"no column 'body'.*which has text, source;"):
        texts(path, text_field="body")


def test_long_documents_are_cut_at_line_ends(tmp_path):
    path = tmp_path / "a.txt"
    lines = [f"line number {i:04}" for i in range(1000)]
    path.write_text("\n".join(lines))
    tally = Tally()
    pieces = texts(path, "file", max_chars=1000, tally=tally)
    assert max(map(len, pieces)) <= 1000
    assert "\n".join(pieces).split("\n") == lines
    assert tally.notes["documents_cut_at_max_chars"] == len(pieces) - 1


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_streams_one_after_the_other_are_one_file(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    module = {".gz": gzip, ".bz2": bz2, ".xz": lzma}[suffix]
    text = "Call me Ishmael. " * 1000
    pieces = [text[at : at + 700].encode() for at in range(0, len(text), 700)]
    path.write_bytes(b"".join(map(module.compress, [*pieces, b""])))
    assert texts(path) == [text.strip()]


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_decompression_bomb_is_not_read_to_its_end(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(compression, "BOMB_BYTES", 1 << 23)
    compress(tmp_path / f"a.txt{suffix}", b"sea " * (3 << 20))
    with pytest.raises(files.InputError, match="a decompression bomb"):
        texts(tmp_path / f"a.txt{suffix}")
    compress(tmp_path / f"a.txt{suffix}", b"sea " * (1 << 20))
    assert len(texts(tmp_path / f"a.txt{suffix}")[0]) == 3_999_999  # without the space of its cut


@pytest.mark.parametrize(
    ("name", "head", "reason"),
    [
        ("a.txt.gz", b"", "binary file"),
        ("a.jsonl.gz", b"", "binary file"),
        ("a.txt.gz", b"sea", "a decompression bomb"),
        ("a.xml.gz", b"<mediawiki><page><title>", "damaged_file"),
        ("a.html.gz", b"<p>", "too_long"),
        ("a.warc.gz", b"WARC/1.0\r\nContent-Length: 10485760000\r\n\r\n", "damaged_file"),
    ],
)
def test_ten_megabytes_that_hold_ten_gigabytes(tmp_path, name, head, reason):
    path = tmp_path / name
    million = gzip.compress((b" sea" if head else bytes(4)) * (1 << 18))
    path.write_bytes(gzip.compress(head) + million * 10_000)
    assert path.stat().st_size < 25e6
    tally = Tally()
    tracemalloc.start()
    try:
        documents = sum(1 for _ in read_documents([path], tally=tally, max_chars=10**6))
        found = list(tally.dropped)
    except files.InputError as error:
        documents, found = 0, [str(error)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert documents < 270
    assert len(found) == 1 and reason in found[0]
    assert peak < 30e6


def test_what_a_record_says_of_its_text_is_kept(tmp_path):
    records = [
        {"text": "one", "language": "en", "url": "http://a.org", "metadata": {"b": 1, "a": "x"}},
        {"text": "two", "language": "English", "markup": "html", "metadata": '{"title": "T"}'},
        {"text": "three", "markup": "tex", "metadata": "no JSON", "date": "2024"},
        {"text": "four", "metadata": "[1]"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    expected = [
        Document("one", "a.jsonl", "en", "", '{"a": "x", "b": 1, "url": "http://a.org"}'),
        Document("two", "a.jsonl", "", "html", '{"title": "T"}'),
        Document("three", "a.jsonl", "", "", '{"date": "2024"}'),
        Document("four", "a.jsonl"),
    ]
    assert list(read_documents([path])) == expected
    table = pyarrow.Table.from_pylist([document._asdict() for document in expected])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert list(read_documents([tmp_path / "a.parquet"])) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.html", "a.warc", "a.xml", "a.jsonl.gz"])
def test_400_mb_on_one_line(tmp_path, name):
    """No more is held than a few of the longest documents."""
    path = tmp_path / name
    heads = {
        ".txt": b"",
        ".jsonl": b'{"text": "',
        ".html": b"<p>",
        ".warc": b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 400000000\r\n\r\n",
        ".xml": b"<mediawiki><page><title>T</title><revision><text>",
    }
    noise = random.Random(1)
    line = " ".join(f"{noise.randrange(10**6)} sea" for _ in range(100_000)).encode()[:1_000_000]
    with gzip.open(path, "wb", 1) if name.endswith(".gz") else path.open("wb") as file:
        file.write(heads[path.suffixes[0]])
        for _ in range(400):
            file.write(line)
        if name == "a.xml":
            file.write(b"</text></revision></page></mediawiki>")
    tracemalloc.start()
    tally = Tally()
    documents = sum(1 for _ in read_documents([path], tally=tally))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if name == "a.txt":
        assert documents == 101 and tally.notes["documents_cut_at_max_chars"] == 100
    else:
        assert documents == 0
        assert {reason: counts[0] for reason, counts in tally.dropped.items()} == {"too_long": 1}
    assert peak < 100e6


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_100_mb_line_is_not_held(tmp_path, name):
    path = tmp_path / name
    with path.open("w") as file:
        file.write('{"text": "good"}\n{"text": "')
        for _ in range(100):
            file.write("word " * 200_000)
        file.write('"}\n{"text": "good"}\n')
    tracemalloc.start()
    documents, longest = 0, 0
    tally = Tally()
    for document in read_documents([path], "line", tally=tally):
        documents += 1
        longest = max(longest, len(document.text))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert longest <= reading.MAX_DOCUMENT_CHARS
    assert peak < 60e6
    if name == "a.jsonl":
        assert (documents, tally.dropped["too_long"][0]) == (2, 1)
    else:
        assert documents == 2 + 25 + 1


def test_real_files(data):
    novels = sorted(map(str, (data / "novels_en").glob("*.txt")))
    tally = Tally()
    books = list(read_documents(novels, "file", tally=tally))
    assert len(books) == len(novels)
    assert not tally.notes
    assert not any("\r" in book.text or book.text.startswith("\ufeff") for book in books)
    news = list(read_documents([data / "bbc_news" / "dev.jsonl"]))
    assert len(news) == 222
