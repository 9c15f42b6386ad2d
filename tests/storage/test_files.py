import os
import resource
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tokenizers

from roots_tf.storage import files


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def names(found, folder):
    return [str(Path(path).relative_to(folder)) for path in found]


def test_expand(tmp_path):
    touch(
        tmp_path, "b.txt", "a.txt", "sub/c.txt", ".hidden", "_marker", ".work/part.json", "x[1].txt"
    )
    touch(tmp_path, "shards/d-0.parquet", "shards/d-1.parquet", "shards/report.json")
    assert names(files.expand([f"{tmp_path}/*.txt"]), tmp_path) == ["a.txt", "b.txt", "x[1].txt"]
    twice = files.expand([f"{tmp_path}/b.txt", f"{tmp_path}/*.txt"])
    assert names(twice, tmp_path) == ["b.txt", "a.txt", "x[1].txt"]
    assert names(files.expand([f"{tmp_path}/sub"]), tmp_path) == ["sub/c.txt"]
    assert names(files.expand([f"{tmp_path}/x[1].txt"]), tmp_path) == ["x[1].txt"]
    assert names(files.expand([f"{tmp_path}/**/c.txt"]), tmp_path) == ["sub/c.txt"]
    shards = names(files.expand([f"{tmp_path}/shards"]), tmp_path)
    assert shards == ["shards/d-0.parquet", "shards/d-1.parquet"]


def test_expand_leaves_out_what_is_hidden(tmp_path):
    touch(tmp_path, "a.txt", ".hidden", "_marker", ".work/part.json", "sub/.x/y.txt")
    assert names(files.expand([str(tmp_path)]), tmp_path) == ["a.txt"]
    hidden_root = tmp_path / ".cache"
    touch(hidden_root, "b.txt")
    assert names(files.expand([str(hidden_root)]), hidden_root) == ["b.txt"]


@pytest.mark.parametrize("patterns", [[], [""], ["/nowhere/*.txt"]])
def test_expand_refuses_what_matches_nothing(patterns):
    with pytest.raises(files.InputError, match="wanted at least one"):
        files.expand(patterns)


def test_an_empty_folder_matches_nothing(tmp_path):
    with pytest.raises(files.InputError, match="found no file"):
        files.expand([str(tmp_path)])


def test_atomic_path_writes_all_or_nothing(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.write_text(path, "before")
    with pytest.raises(KeyError), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "before"
    files.write_text(path, "after")
    assert os.listdir(path.parent) == ["a.txt"]
    assert path.read_text() == "after"


@pytest.mark.parametrize("name", ["file/a.txt", "file/sub/a.txt", "folder", "n" * 256])
def test_atomic_path_where_nothing_can_be_written(tmp_path, name):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(files.InputError, match="could not write .*choose another folder"):
        files.write_text(tmp_path / name, "text")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk of 64 kB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a tiny disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(full_disk):
    with pytest.raises(files.InputError, match="No space left on device.*make room"):
        files.write_text(full_disk / "a.txt", "x" * 1_000_000)
    table = pyarrow.table({"text": [os.urandom(500).hex() for _ in range(1000)]})
    with (
        pytest.raises(files.InputError, match="could not write"),
        files.atomic_path(full_disk / "a.parquet") as temporary,
    ):
        pyarrow.parquet.write_table(table, temporary)
    assert os.listdir(full_disk) == []


@pytest.mark.parametrize(
    ("raise_it", "cause"),
    [
        (lambda: Path("/dev/full").write_text("Rosa"), "No space left on device"),
        (lambda: np.zeros(10_000_000).tofile("/dev/full"), "No space left on device"),
        (lambda: tokenizers.Tokenizer(tokenizers.models.WordPiece()).save("/dev/full"), "No space"),
        (lambda: Path("/nowhere/a").read_text(), None),
        (lambda: 1 / 0, None),
    ],
)
def test_a_full_disk_in_the_words_of_each_library(raise_it, cause):
    with pytest.raises(Exception) as raised:  # noqa: B017, PT011
        raise_it()
    assert (files.full_disk(raised.value) or "").startswith(cause or "")
    assert bool(files.full_disk(raised.value)) == bool(cause)


def test_no_more_bytes_than_the_shell_allows(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(files.InputError, match="File too large; .*make room"):
            files.write_text(tmp_path / "a.txt", "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert os.listdir(tmp_path) == []


def test_a_mistake_about_an_input_is_not_told_of_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "a" / "out.txt"):
        Path("/nowhere/input.txt").read_text()


def test_read_json_of_what_is_none(tmp_path):
    with pytest.raises(files.InputError, match="found no file"):
        files.read_json(tmp_path / "absent.json")
    (tmp_path / "bad.json").write_bytes(b"\xff{")
    with pytest.raises(files.InputError, match="found no JSON"):
        files.read_json(tmp_path / "bad.json")


def test_json_is_written_for_people(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": "é"})
    assert (tmp_path / "a.json").read_text() == '{\n  "b": "é"\n}\n'
    assert files.read_json(tmp_path / "a.json") == {"b": "é"}


def test_fingerprints():
    assert files.fingerprint({"a": 1, "b": [2]}) == files.fingerprint({"b": [2], "a": 1})
    assert files.fingerprint([1, "é"]) != files.fingerprint([1, "e"])
    assert len(files.fingerprint("name of a file that is no UTF-8: \udcff")) == 16


def test_half_a_surrogate_pair_is_escaped_in_json_and_refused_in_text(tmp_path):
    value = {"é": "a\ud800"}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    files.write_json(tmp_path / "a.json", {"é": 1})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "é": 1\n}\n'.encode()
    with pytest.raises(files.InputError, match=r"found half a surrogate pair, .ud800, in the text"):
        files.write_text(tmp_path / "a.txt", "b\ud800")
    assert not (tmp_path / "a.txt").exists()


def test_bytes_are_read_of_regular_files_of_the_size_alone(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff\x00")
    assert files.read_bytes(tmp_path / "a", "two bytes", 2) == b"\xff\x00"
    with pytest.raises(
        files.InputError, match="found 2 bytes in .*a; wanted one byte, of at most 1"
    ):
        files.read_bytes(tmp_path / "a", "one byte", 1)
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "none", tmp_path / "a" / "b", tmp_path / "fifo"):
        with pytest.raises(files.InputError, match="found no file .*; wanted two bytes"):
            files.read_bytes(path, "two bytes", 2)
