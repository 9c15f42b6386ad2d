import gzip
import io
import json
import random
import tracemalloc
import zlib

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.corpus import reading, warc
from roots_tf.corpus.documents import Document
from roots_tf.corpus.tally import Tally
from roots_tf.storage import compression, files

DATE = "2024-05-01T10:00:00Z"
PAGE = "<!doctype html><p>Call me Ishmael. Größe.</p>"


def record(content, kind="response", uri="http://a.org/1", length=None, media="application/http"):
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nWARC-Date: {DATE}\r\n"
        f"Content-Type: {media}\r\nContent-Length: {len(content) if length is None else length}"
    )
    return head.encode() + b"\r\n\r\n" + content + b"\r\n\r\n"


def answer(body, *fields, status=200, media="text/html; charset=utf-8"):
    body = body.encode() if isinstance(body, str) else body
    head = [
        f"HTTP/1.1 {status} X",
        f"Content-Type: {media}",
        *fields,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


INFO = record(b"software: us\r\n", "warcinfo", media="application/warc-fields")
REQUEST = record(b"GET / HTTP/1.1\r\n\r\n", "request")


def read(path, tally=None, **options):
    return list(reading.read_documents([path], tally=tally, **options))


def write(path, *records):
    """A member of its own for each record, as archives are compressed."""
    if path.suffix == ".gz":
        path.write_bytes(b"".join(map(gzip.compress, records)))
    elif path.suffix == ".zst":
        path.write_bytes(b"".join(pyarrow.compress(r, "zstd", asbytes=True) for r in records))
    else:
        path.write_bytes(b"".join(records))
    return path


@pytest.mark.parametrize("suffix", [".warc", ".warc.gz", ".warc.zst"])
def test_pages_and_texts(tmp_path, suffix):
    path = write(
        tmp_path / f"a{suffix}",
        INFO,
        REQUEST,
        record(answer(PAGE)),
        record(answer("gone", status=404), uri="http://a.org/2"),
        record(answer(b"\x89PNG", media="image/png"), uri="http://a.org/3"),
        record(answer("plain", media="text/plain"), uri="<http://a.org/4>"),
        record("Größe".encode(), "conversion", "http://a.org/5", media="text/plain"),
    )
    tally = Tally()
    documents = read(path, tally)
    assert [(d.text, d.source, d.markup) for d in documents] == [
        (PAGE, "http://a.org/1", "html"),
        ("plain", "http://a.org/4", ""),
        ("Größe", "http://a.org/5", ""),
    ]
    assert json.loads(documents[0].metadata) == {"date": DATE, "url": "http://a.org/1"}
    assert tally.documents_in == 3
    assert tally.notes == {"answers_without_status_200": 1, "answers_of_other_types": 1}


def chunked(body):
    return b"5;x=y\r\n" + body[:5] + b"\r\n%x\r\n" % len(body[5:]) + body[5:] + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("encode", "fields"),
    [
        (chunked, ["Transfer-Encoding: chunked"]),
        (gzip.compress, ["Content-Encoding: gzip"]),
        (zlib.compress, ["Content-Encoding: deflate"]),
        (lambda body: zlib.compress(body)[2:-4], ["Content-Encoding: deflate"]),
        (lambda body: pyarrow.compress(body, "brotli", asbytes=True), ["Content-Encoding: br"]),
        (lambda body: pyarrow.compress(body, "zstd", asbytes=True), ["Content-Encoding: zstd"]),
        (
            lambda body: chunked(gzip.compress(body)),
            ["Transfer-Encoding: chunked", "Content-Encoding: gzip"],
        ),
        # Archives that have decoded an answer and left its header.
        (bytes, ["Transfer-Encoding: chunked", "Content-Encoding: gzip"]),
        (bytes, ["Content-Encoding: br"]),
    ],
)
def test_codings_of_an_answer(tmp_path, encode, fields):
    path = write(tmp_path / "a.warc", record(answer(encode(PAGE.encode()), *fields)))
    assert [document.text for document in read(path)] == [PAGE]


@pytest.mark.parametrize("false", [-20, 100, 300, 5_000, 10**7, 10**18])
@pytest.mark.parametrize("suffix", [".warc", ".warc.gz"])
def test_a_false_length_costs_one_record(tmp_path, suffix, false):
    pages = [answer(f"<p>{number} {PAGE * number}") for number in range(8)]
    records = [record(page, uri=f"http://a.org/{n}") for n, page in enumerate(pages)]
    length = len(pages[3]) + false
    records[3] = record(pages[3], uri="http://a.org/3", length=length)
    tally = Tally()
    documents = read(write(tmp_path / f"a{suffix}", *records), tally, max_chars=5000)
    sources = [document.source[-1] for document in documents]
    assert sources == ["0", "1", "2", "4", "5", "6", "7"]
    assert {reason: counts[0] for reason, counts in tally.dropped.items()} == {"damaged_record": 1}


@pytest.mark.parametrize("length", ["-5", "many", ""])
def test_a_length_that_is_none(tmp_path, length):
    bad = record(answer(PAGE), uri="http://a.org/0", length=length)
    tally = Tally()
    assert len(read(write(tmp_path / "a.warc", INFO, bad, record(answer(PAGE))), tally)) == 1
    assert tally.dropped["damaged_record"][0] == 1


def test_thousands_of_false_lengths_end(tmp_path, monkeypatch):
    monkeypatch.setattr(warc, "MAX_DAMAGED", 50)
    tally = Tally()
    path = write(tmp_path / "a.warc", record(answer(PAGE)), *[record(b"x", length=10**6)] * 200)
    assert len(read(path, tally)) == 1
    assert tally.dropped["damaged_record"][0] == 51
    assert tally.dropped["damaged_file"][0] == 1


def test_a_truncated_archive_is_read_up_to_its_damage(tmp_path):
    noise = random.Random(1)
    pages = [record(answer(f"<p>{noise.randbytes(20_000).hex()}")) for _ in range(100)]
    path = write(tmp_path / "a.warc.gz", *pages)
    path.write_bytes(path.read_bytes()[:-30_000])
    tally = Tally()
    assert 95 < len(read(path, tally)) < 100
    assert tally.dropped["damaged_file"][0] == 1
    for suffix in (".warc.gz", ".warc.zst"):
        small = write(tmp_path / f"b{suffix}", record(answer(PAGE)))
        small.write_bytes(small.read_bytes()[:-9])
        tally = Tally()
        assert read(small, tally) == []
        assert tally.dropped["damaged_file"][0] == 1


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst"])
def test_a_file_that_is_no_archive(tmp_path, name):
    (tmp_path / name).write_bytes(b"Call me Ishmael.")
    with pytest.raises(files.InputError, match=f"{name}.*leave it out"):
        read(tmp_path / name)
    write(tmp_path / name, b"Call me Ishmael.")
    with pytest.raises(files.InputError, match="no WARC record at the beginning.*Call me"):
        read(tmp_path / name)
    write(tmp_path / name, b"")
    assert read(tmp_path / name) == []


def test_long_pages_are_dropped_and_not_held(tmp_path):
    path = tmp_path / "a.warc.gz"
    with gzip.open(path, "wb", 1) as file:
        head = answer(b"")
        file.write(record(b"", length=len(head) + 300_000_000)[:-4] + head)
        for _ in range(300):
            file.write(random.Random(1).randbytes(1000) * 1000)
        file.write(b"\r\n\r\n" + record(answer(PAGE)))
    tally = Tally()
    tracemalloc.start()
    documents = read(path, tally)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [document.text for document in documents] == [PAGE]
    assert tally.dropped["too_long"][0] == 1
    assert peak < 60e6


def zeros(path, size):
    """A gzip bomb: zeros that shrink to a thousandth."""
    with gzip.open(path, "wb") as file:
        file.write(record(b"", length=size)[:-4] if ".warc" in path.name else b"<p>")
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))


@pytest.mark.parametrize("name", ["a.warc.gz", "a.html.gz"])
def test_a_gzip_bomb(tmp_path, name, monkeypatch):
    monkeypatch.setattr(compression, "BOMB_BYTES", 1 << 25)
    zeros(tmp_path / name, 1 << 27)
    tally = Tally()
    tracemalloc.start()
    assert read(tmp_path / name, tally) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [counts[0] for counts in tally.dropped.values()] == [1]
    assert peak < 60e6


def test_a_bomb_inside_an_answer(tmp_path):
    bomb = gzip.compress(bytes(1 << 27))
    records = [record(answer(bomb, "Content-Encoding: gzip")), record(answer(PAGE))]
    tally = Tally()
    assert len(read(write(tmp_path / "a.warc", *records), tally)) == 1
    assert tally.dropped["too_long"][0] == 1


def wrong_pages(number, noise):
    kinds = [
        lambda: record(answer(f"<p>{number} {'sea ' * noise.randrange(300)}")),
        lambda: record(f"text {number}".encode(), "conversion", media="text/plain"),
        lambda: record(answer("WARC/1.0\r\nWARC-Type: response\r\n\r\n", media="text/plain")),
        lambda: record(b"x" * noise.randrange(99), "request") + b"\r\n" * noise.randrange(5),
    ]
    return noise.choice(kinds)()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(100, 5000), st.booleans())
def test_parts_and_blocks_change_nothing(tmp_path_factory, seed, size, damaged):
    noise = random.Random(seed)
    records = [wrong_pages(number, noise) for number in range(noise.randrange(1, 30))]
    if damaged:
        at = noise.randrange(len(records))
        records[at] = record(answer(PAGE), length=noise.randrange(10_000))
    path = write(tmp_path_factory.mktemp("parts") / "a.warc", *records)
    expected = read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "BLOCK_BYTES", max(size // 7, 50))
        tasks = reading.plan([str(path)], "file", size)
        spans = [span for task in tasks for span in task]
        found = [document for span in spans for document in reading.read_span(span, "file")]
    assert found == expected
    assert spans[-1].end == path.stat().st_size


def test_large_archives_are_cut_at_records(tmp_path):
    path = write(tmp_path / "a.warc", *[record(answer(PAGE * 20))] * 100)
    tasks = reading.plan([str(path)], "file", path.stat().st_size // 10)
    assert 8 <= len(tasks) <= 10
    write(tmp_path / "a.warc.gz", record(answer(PAGE)))
    assert reading.plan([str(tmp_path / "a.warc.gz")], "file", 10) == [
        [reading.Span(str(tmp_path / "a.warc.gz"))]
    ]


def test_against_fastwarc(tmp_path):
    archive = pytest.importorskip("fastwarc.warc")
    noise = random.Random(1)
    records = [wrong_pages(number, noise) for number in range(300)]
    path = write(tmp_path / "a.warc", *records)
    expected = []
    for found in archive.ArchiveIterator(io.BytesIO(path.read_bytes())):
        kinds = archive.WarcRecordType
        if found.record_type in (kinds.response, kinds.conversion):
            expected.append(found.reader.read().decode())
    assert len(expected) > 100
    assert [document.text for document in read(path)] == expected


def test_documents_carry_what_the_archive_says(tmp_path):
    path = write(tmp_path / "a.warc", record(answer("hello", media="text/plain")))
    metadata = f'{{"date": "{DATE}", "url": "http://a.org/1"}}'
    assert read(path) == [Document("hello", "http://a.org/1", "", "", metadata)]
