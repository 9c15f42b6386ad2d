"""Pairs of source and target from two files or a table, and what is none."""

import gzip
import json

import pytest

from roots_tf.labelled import pairs
from roots_tf.storage.files import InputError

PAIRS = [("a dog", "ein Hund"), ("two  cats", "zwei Katzen")]


def write(folder, sources, targets):
    paths = [folder / "text.en", folder / "text.de"]
    for path, lines in zip(paths, (sources, targets), strict=True):
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return ",".join(map(str, paths))


def columns(table):
    return list(zip(*(table.columns[name] for name in pairs.COLUMNS), strict=True))


def test_two_files_and_tables_give_the_same(tmp_path, caplog):
    path = write(tmp_path, *zip(*PAIRS, ("no translation", " "), ("", "kein"), strict=True))
    table = pairs.read(path)
    assert columns(table) == PAIRS
    assert table.where(1) == f"{tmp_path}/text.en, line 2"
    assert "2 of 4 pairs have no text on one side, the first at" in caplog.text
    assert "text.en, line 3, and are left out" in caplog.text
    lines = [json.dumps({"target": target, "source": source}) for source, target in PAIRS]
    lines.append(json.dumps({"source": "no translation", "target": None}))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert columns(pairs.read(tmp_path / "a.jsonl.gz")) == PAIRS
    (tmp_path / "a.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in PAIRS))
    assert columns(pairs.read(tmp_path / "a.tsv")) == PAIRS
    (tmp_path / "b.tsv").write_text("de\ten\n" + "".join(f"{b}\t{a}\n" for a, b in PAIRS))
    assert columns(pairs.read(tmp_path / "b.tsv", {"source": "en", "target": "de"})) == PAIRS


def test_a_mark_carriage_returns_and_no_last_end(tmp_path):
    (tmp_path / "text.en").write_bytes("\ufeffone\r\ntwo".encode())
    (tmp_path / "text.de").write_bytes(b"eins\nzwei\n")
    found = pairs.read(f"{tmp_path}/text.en,{tmp_path}/text.de")
    assert columns(found) == [("one", "eins"), ("two", "zwei")]


def test_sources_alone_stay_line_by_line(tmp_path):
    (tmp_path / "new.en").write_text("one\n\ntwo\n")
    table = pairs.read(tmp_path / "new.en", labelled=False)
    assert table.columns == {"source": ["one", "", "two"]}
    (tmp_path / "new.jsonl").write_text('{"source": "one"}\n{"source": ""}\n')
    assert pairs.read(tmp_path / "new.jsonl", labelled=False).columns["source"] == ["one", ""]


def test_equal_sides_are_told(tmp_path, caplog):
    pairs.read(write(tmp_path, ["a", "b", "OK"], ["x", "y", "OK"]))
    assert "the source is the target" not in caplog.text
    pairs.read(write(tmp_path, ["a", "b", "OK"], ["a", "y", "OK"]))
    assert "in 2 of 3 pairs the source is the target" in caplog.text


def test_what_is_no_pair_of_files(tmp_path):
    good = write(tmp_path, ["a", "b"], ["c", "d"])
    source = good.partition(",")[0]
    (tmp_path / "longer.de").write_text("c\nd\ne\n")
    (tmp_path / "empty").write_text("\n\n")
    (tmp_path / "none").write_text("")
    (tmp_path / "a.jsonl").write_text('{"source": "a"}\n')
    (tmp_path / "list.jsonl").write_text('{"source": "a", "target": ["b"]}\n')
    for name, message in (
        (source, "wanted two text files, the sources first"),
        (f"{good},{source}", "wanted two text files, the sources first"),
        (f"{source},{tmp_path}/a.jsonl", "wanted one table with source and target, or two text"),
        (f"{source},{tmp_path}/longer.de", r"found 2 lines in .*text.en and 3 in .*longer.de; wan"),
        (f"{source},{tmp_path}/nowhere.de", "found no file .*nowhere.de"),
        (f"{tmp_path}/a.jsonl", "found no column 'target' in"),
        (f"{tmp_path}/list.jsonl", r"found \['b'\] as target in .*list.jsonl, line 1; wanted a st"),
        (f"{tmp_path}/empty,{tmp_path}/empty", "found no pair with a source and a target in"),
        (f"{tmp_path}/none,{tmp_path}/none", "found no lines in"),
    ):
        with pytest.raises(InputError, match=message):
            pairs.read(name)
    with pytest.raises(InputError, match="whose layout has no named columns"):
        pairs.read(good, {"source": "en"})
