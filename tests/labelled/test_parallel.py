"""Parallel text: pairs from two files or a table, written once, and what is no parallel text."""

import gzip
import json

import pyarrow.parquet as pq
import pytest

from roots_tf.labelled import parallel
from roots_tf.storage import files

PAIRS = [("a dog", "ein Hund"), ("two  cats", "zwei Katzen")]


def write(tmp_path, sources, targets):
    paths = [tmp_path / "text.en", tmp_path / "text.de"]
    for path, lines in zip(paths, (sources, targets), strict=True):
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return [str(path) for path in paths]


def test_two_text_files_and_tables_give_the_same(tmp_path):
    wanted = [("a dog", "ein Hund"), ("two cats", "zwei Katzen")]
    texts = write(tmp_path, *zip(*PAIRS, ("no translation", " "), strict=True))
    assert list(parallel.pairs(texts)) == wanted
    lines = [json.dumps({"target": target, "source": source}) for source, target in PAIRS]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert list(parallel.pairs([str(tmp_path / "a.jsonl.gz")])) == wanted
    path = parallel.documents(texts, tmp_path / "out")
    rows = pq.read_table(path).to_pylist()
    assert [row["text"] for row in rows] == ["a dog\nein Hund", "two cats\nzwei Katzen"]
    assert len({row["id"] for row in rows}) == 2
    assert parallel.documents(texts, tmp_path / "out") == path
    assert parallel.documents(texts[::-1], tmp_path / "out") != path


def test_a_mark_carriage_returns_and_no_last_end(tmp_path):
    (tmp_path / "text.en").write_bytes("\ufeffone\r\ntwo".encode())
    (tmp_path / "text.de").write_bytes(b"eins\nzwei\n")
    found = parallel.pairs([str(tmp_path / "text.en"), str(tmp_path / "text.de")])
    assert list(found) == [("one", "eins"), ("two", "zwei")]


def test_what_is_no_parallel_text(tmp_path):
    good = write(tmp_path, ["a", "b"], ["c", "d"])
    (tmp_path / "longer.de").write_text("c\nd\ne\n")
    (tmp_path / "latin.de").write_bytes("c\nü\n".encode("latin-1"))
    (tmp_path / "empty").write_text("\n\n")
    (tmp_path / "a.jsonl").write_text('{"source": "a"}\n')
    for names, message in (
        ([good[0]], "wanted two text files"),
        ([*good, good[0]], "wanted two text files"),
        ([good[0], f"{tmp_path}/a.jsonl"], "wanted two text files"),
        ([good[0], f"{tmp_path}/longer.de"], "found 2 lines in .*text.en and more in"),
        ([good[0], f"{tmp_path}/latin.de"], "no UTF-8 in .*latin.de, line 2"),
        ([f"{tmp_path}/a.jsonl"], "a.jsonl, line 1; wanted a source and a target"),
        ([f"{tmp_path}/empty"] * 2, "found no pairs"),
    ):
        with pytest.raises(files.InputError, match=message):
            parallel.documents(names, tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))
