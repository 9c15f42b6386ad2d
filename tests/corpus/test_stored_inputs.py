"""Documents of files behind URLs: those of the local files, whatever the format and the tasks."""

import bz2
import gzip
import json
import lzma

import pyarrow
import pyarrow.parquet
import pytest

from roots_tf.corpus import curation, decontamination, reading
from roots_tf.corpus.tally import Tally
from roots_tf.storage import files, ranges

LINES = [f"A line of text, the {n}th of them, with an ü and a 字 in it." for n in range(4000)]
TEXT = "\n".join(line + "\n" * (n % 5 == 4) for n, line in enumerate(LINES))
RECORDS = "".join(
    json.dumps({"text": line, "source": f"s{n}"}) + "\n" for n, line in enumerate(LINES)
)
PAGE = f"<html><body>{'<p>A paragraph of a page.</p>' * 200}</body></html>"


def warc(pages: int) -> bytes:
    records = []
    for n in range(pages):
        body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{PAGE}{n}".encode()
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://host/{n}\r\n"
        records.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n")
    return b"".join(records)


def wiki(articles: int) -> str:
    pages = (
        f"<page><title>T{n}</title><ns>0</ns><revision><text>{LINES[n]}</text></revision></page>\n"
        for n in range(articles)
    )
    info = "<siteinfo><base>https://wiki.host/wiki/Main</base></siteinfo>"
    return f"<mediawiki>{info}{''.join(pages)}</mediawiki>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "input"
    folder.mkdir()
    table = pyarrow.table({"text": LINES, "source": [f"s{n}" for n in range(len(LINES))]})
    pyarrow.parquet.write_table(table, folder / "table.parquet", row_group_size=500)
    for name, content in {
        "a.txt": TEXT.encode(),
        "a.txt.gz": gzip.compress(TEXT.encode()),
        "a.txt.bz2": bz2.compress(TEXT.encode()),
        "a.txt.xz": lzma.compress(TEXT.encode()),
        "a.txt.zst": pyarrow.compress(TEXT.encode(), "zstd", asbytes=True),
        "utf16.txt": TEXT.encode("utf-16"),
        "a.jsonl": RECORDS.encode(),
        "array.json": json.dumps([{"text": line} for line in LINES[:50]]).encode(),
        "page.html": PAGE.encode(),
        "pages.warc": warc(60),
        "pages.warc.gz": gzip.compress(warc(60)),
        "cut.warc.gz": gzip.compress(warc(60))[:-30],
        "wiki.xml": wiki(3000).encode(),
        "wiki.xml.bz2": bz2.compress(wiki(300).encode()),
        "empty.txt": b"",
    }.items():
        (folder / name).write_bytes(content)
    return folder


def documents(paths, task_bytes, layout="blank_lines"):
    """All documents by way of tasks, the number of tasks, and what was counted."""
    tally = Tally()
    tasks = reading.plan(paths, layout, task_bytes)
    found = [
        document
        for spans in tasks
        for span in spans
        for document in reading.read_span(span, layout, tally=tally)
    ]
    return found, len(tasks), tally.to_json() | {"seconds": 0, "samples": 0}


def test_documents_are_those_of_local_files(store, folder, monkeypatch):
    monkeypatch.setattr(ranges, "FIRST_BYTES", 1 << 16)
    store.put("input", folder)
    store.requests.clear()
    for path in sorted(folder.iterdir()):
        (url,) = files.expand(store.url(f"input/{path.name}"))
        here, number, counted = documents([str(path)], 50_000)
        there, number_there, counted_there = documents([url], 50_000)
        assert there == here, path.name
        if not path.name.startswith("cut"):  # of which the message, with its path, is counted
            assert counted_there == counted, path.name
        # An archive is one task there, since its records are found one by one.
        assert number_there == (1 if path.name == "pages.warc" else number), path.name
        assert (len(here) > 0) == (path.name != "empty.txt")
    text = sum(path == "/corpus/input/a.txt" for _, path, _ in store.requests)
    assert text < 25  # its tasks read ranges, not each the whole file


def test_faults_on_the_way_change_no_document(store, folder, monkeypatch):
    monkeypatch.setattr(ranges, "FIRST_BYTES", 1 << 16)
    store.put("input", folder)
    local = documents(files.expand(str(folder)), 100_000, "line")
    for fault in ("503", "cut", "500", "cut"):
        store.fail("GET", fault, times=2)
        assert documents(files.expand(store.url("input")), 100_000, "line")[0] == local[0]


def test_sizes_come_from_the_listing(store, folder):
    store.put("input", folder)
    store.requests.clear()
    found = files.expand(store.url("input/*.txt*"))
    assert curation.shards_for(found) == curation.shards_for(files.expand(f"{folder}/*.txt*"))
    assert curation.signature(found)
    assert len(store.requests) <= 4 < len(found)


def test_evaluation_files_may_be_urls(store, folder):
    for name in ("a.jsonl", "a.txt"):
        url = store.put(f"evaluation/{name}", folder / name)
        here = list(decontamination.examples((str(folder / name),), ()))
        assert list(decontamination.examples((url,), ())) == here
    url = store.put("evaluation/latin.txt", "Grüße".encode("latin-1"))
    with pytest.raises(files.InputError, match="not UTF-8 in s3://corpus/evaluation/latin.txt"):
        list(decontamination.examples((url,), ()))


def test_a_mistake_in_a_file_names_its_url(store):
    url = store.put("mistakes/a.txt", bytes(range(256)) * 50)
    with pytest.raises(files.InputError, match="in s3://corpus/mistakes/a.txt"):
        documents([url], 1000)
    url = store.put("mistakes/a.jsonl", b'{"body": "a"}\n')
    with pytest.raises(files.InputError, match="on any line of s3://corpus/mistakes/a.jsonl"):
        documents([url], 1000)
