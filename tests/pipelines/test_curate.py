import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

import roots_tf
from pipelines import curate
from pipelines.curate import Config
from roots_tf import files
from roots_tf.corpus import deduplication

ROOT = Path(roots_tf.__file__).parents[1]
LETTER = """My dear Sir, I have the honour to inform you that the ship
arrived in port this morning with all on board in good
health, after a passage of one hundred and twelve days."""
NEWS = "Warnings about junk mail were given on Tuesday, by people who know it. " * 2 + "So it is."


def rows(output) -> list[dict]:
    paths = sorted(Path(output).glob("*.parquet"))
    return [row for path in paths for row in pyarrow.parquet.read_table(path).to_pylist()]


def digest(output) -> str:
    data = b"".join(path.read_bytes() for path in sorted(Path(output).glob("*.parquet")))
    return hashlib.sha256(data).hexdigest()


def report(output) -> dict:
    return files.read_json(Path(output, "report.json"))


def run(*flags, cwd=ROOT):
    command = [sys.executable, "-m", "pipelines.curate", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def curate_(folder, *, workers=1, **flags):
    """Curates a folder `input` to a folder `output`, both in `folder`."""
    flags = {"input": (str(folder / "input"),), "output": str(folder / "output"), **flags}
    curate.main(Config(num_workers=workers, **flags))
    return Path(flags["output"])


@pytest.fixture
def folder(tmp_path):
    """A text with a duplicate and a scrap, and a news story as JSON, compressed."""
    (tmp_path / "input").mkdir()
    text = f"\ufeff{LETTER}\n\n{LETTER.upper()}\n\nToo short.\n".replace("\n", "\r\n")
    (tmp_path / "input" / "letters.txt").write_bytes(text.encode())
    record = json.dumps({"text": NEWS, "source": "BBC", "label": "tech"})
    (tmp_path / "input" / "news.jsonl.gz").write_bytes(gzip.compress(record.encode()))
    return tmp_path


def test_documents_and_report(folder, capsys):
    output = curate_(folder, num_shards=2)
    joined = LETTER.replace("\n", " ")
    expected = [
        {"id": deduplication.identifier(joined), "text": joined, "source": "letters.txt"},
        {"id": deduplication.identifier(NEWS), "text": NEWS, "source": "BBC"},
    ]
    assert sorted(rows(output), key=lambda row: row["text"]) == expected
    assert sorted(path.name for path in output.iterdir()) == [
        "config.json",
        "documents-00000-of-00002.parquet",
        "documents-00001-of-00002.parquet",
        "inputs.json",
        "report.json",
    ]
    counts = report(output)
    assert (counts["documents_in"], counts["documents_out"]) == (4, 2)
    assert counts["dropped"] == {
        "duplicate": {"documents": 1, "bytes": len(joined)},
        "too_short": {"documents": 1, "bytes": 10},
    }
    assert counts["bytes_out"] == len(joined) + len(NEWS)
    assert counts["samples"]["too_short"] == [{"source": "letters.txt", "text": "Too short."}]
    printed = capsys.readouterr().out
    assert "documents in                      4" in printed
    assert "  too_short                       1" in printed
    schema = pyarrow.parquet.read_schema(output / "documents-00000-of-00002.parquet")
    assert schema.remove_metadata() == deduplication.SCHEMA


def test_the_output_can_be_curated_again(folder):
    output = curate_(folder)
    again = curate_(folder, input=(str(output),), output=str(folder / "again"))
    assert digest(again) == digest(output)
    assert report(again)["dropped"] == {}


def test_a_finished_run_does_nothing_and_another_config_is_refused(folder, capsys):
    output = curate_(folder)
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    curate_(folder, workers=2)
    assert {path: path.stat().st_mtime_ns for path in output.iterdir()} == before
    with pytest.raises(files.InputError, match="found min_chars=100; wanted min_chars=50"):
        curate_(folder, min_chars=50)
    os.utime(folder / "input" / "letters.txt", (1, 1))
    with pytest.raises(files.InputError, match="input files have changed"):
        curate_(folder)
    (folder / "other").mkdir()
    (folder / "other" / "thesis.txt").touch()
    with pytest.raises(files.InputError, match="holds files, but no config.json"):
        curate_(folder, output=str(folder / "other"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.txt", b"", "every file is empty"),
        ("blank.txt", b"\r\n \r\n", "every file is empty"),
        ("short.txt", b"Yes.\n\nNo.", '"too_short": 2.*loosen the rule'),
        ("photo.jpg", b"\xff\xd8\xff\0" + bytes(range(256)) * 9, "binary file"),
        ("book.txt", "Ärger über Öl. ".encode("latin-1") * 90, "book.txt.*byte 0.*iconv"),
        ("a.jsonl", b'{"body": "x"}', "no JSON object with a string 'text'.*--text_field"),
        ("a.txt.gz", gzip.compress(random.Random(1).randbytes(9999))[:999], "a.txt"),
        ("a.parquet", b"PAR1 no", "could not read .*a.parquet"),
    ],
)
def test_input_that_cannot_be_used(tmp_path, name, data, message):
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / name).write_bytes(data)
    with pytest.raises(files.InputError, match=message):
        curate_(tmp_path)
    assert not (tmp_path / "output" / "report.json").exists()
    assert not list((tmp_path / "output").glob("*.parquet"))


def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\0" + bytes(range(256)) * 9)
    for flags in (
        ["--input=nowhere/*.txt", f"--output={tmp_path}/a"],
        [f"--input={tmp_path}/photo.jpg", f"--output={tmp_path}/b", "--num_workers=2"],
        [f"--input={tmp_path}/photo.jpg", f"--output={tmp_path}/photo.jpg"],
        [f"--input={tmp_path}/photo.jpg", f"--output={tmp_path}/c", "--num_shards=0"],
    ):
        done = run(*flags)
        assert done.returncode == 2
        assert done.stderr.startswith("curate.py: ")
        assert len(done.stderr.splitlines()) == 1


def test_a_full_disk_is_one_line_and_the_run_goes_on_with_room(data, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a tiny disk here")
    try:
        flags = [f"--input={data}/novels_en/Morris_*", f"--output={disk}/out", "--num_workers=1"]
        done = run(*flags)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert "No space left on device" in done.stderr
        assert not (disk / "out" / "report.json").exists()
        rows(disk / "out")  # what has a final name is whole
        subprocess.run([*mount[:4], "size=50m,remount", "tmpfs", str(disk)], check=True)
        assert run(*flags).returncode == 0
        assert report(disk / "out")["documents_out"] > 1000
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="module")
def german(data, tmp_path_factory):
    """The German novels, curated by one worker in many tasks."""
    output = tmp_path_factory.mktemp("german") / "output"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curate, "TASK_BYTES", range(100_000, 200_000))
        curate.main(Config(input=(str(data / "novels_de"),), output=str(output), num_workers=1))
    return output


def test_workers_do_not_change_a_byte(data, german, tmp_path, monkeypatch):
    monkeypatch.setattr(curate, "TASK_BYTES", range(100_000, 200_000))
    novels = (str(data / "novels_de"),)
    curate.main(Config(input=novels, output=str(tmp_path / "three"), num_workers=3))
    assert digest(tmp_path / "three") == digest(german)
    # Neither do the tasks: paragraphs are whole in each.
    monkeypatch.setattr(curate, "TASK_BYTES", range(10**9, 10**9 + 1))
    curate.main(Config(input=novels, output=str(tmp_path / "one"), num_workers=1))
    assert {row["id"] for row in rows(tmp_path / "one")} == {row["id"] for row in rows(german)}


def test_a_killed_run_goes_on(data, german, tmp_path, monkeypatch):
    """Stops after each write of a marker, as a kill would, and starts again."""
    monkeypatch.setattr(curate, "TASK_BYTES", range(100_000, 200_000))
    config = Config(
        input=(str(data / "novels_de"),), output=str(tmp_path / "output"), num_workers=1
    )
    write, written = files.write_json, []

    def write_and_die(path, value):
        write(path, value)
        if ".work" in str(path):
            written.append(str(path))
            if len(written) % 7 == 0:
                raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_json", write_and_die)
    interruptions = 0
    while not (tmp_path / "output" / "report.json").exists():
        try:
            curate.main(config)
        except KeyboardInterrupt:
            interruptions += 1
    assert interruptions >= 4
    assert len(written) == len(set(written))  # no task ran twice
    assert digest(tmp_path / "output") == digest(german)
    kept, first = report(tmp_path / "output"), report(german)
    for name in ("documents_in", "bytes_in", "documents_out", "bytes_out", "dropped", "samples"):
        assert kept[name] == first[name]


def test_novels_by_file(data, tmp_path):
    flags = {"input": (str(data / "novels_en" / "[A-D]*.txt"),), "documents": "file"}
    curate_(tmp_path, workers=1, **flags)
    books = {row["source"]: row["text"] for row in rows(tmp_path / "output")}
    assert len(books) == 30
    nostromo = books["Conrad_Nostromo_1904.txt"].split("\n")
    assert nostromo[:3] == ["NOSTROMO", "A TALE OF THE SEABOARD", "By Joseph Conrad"]
    assert 1500 < len(nostromo) < 2500  # of 14,817 wrapped lines without a blank one between
    assert not any("\r" in book or "\ufeff" in book or "\n\n" in book for book in books.values())
    counts = report(tmp_path / "output")
    assert counts["bytes_out"] > 0.99 * counts["bytes_in"]


def test_news_with_its_duplicates(data, tmp_path):
    output = curate_(tmp_path, input=(str(data / "bbc_news"),))
    counts = report(output)
    assert counts["documents_in"] == 2225
    assert list(counts["dropped"]) == ["duplicate"]
    assert counts["dropped"]["duplicate"]["documents"] == 101
    ids = [row["id"] for row in rows(output)]
    assert len(set(ids)) == len(ids) == 2124


def test_debug_reads_the_beginning(data, tmp_path):
    output = curate_(tmp_path, input=(str(data / "novels_en"),), documents="file", debug=True)
    assert 3 <= report(output)["documents_out"] <= 20


def test_memory_of_a_large_file(tmp_path):
    """70 MB in one file, most of it a single line: 170 MB beside what Python and Arrow take."""
    (tmp_path / "input").mkdir()
    words = random.Random(1).choices(["sea", "ship", "wind", "whale", "captain"], k=2000)
    path = tmp_path / "input" / "large.txt"
    with path.open("w") as file:
        for number in range(2500):
            file.write(f"{number} {' '.join(words[number % 1000 :])}\n\n")
        for _ in range(10_000):
            file.write(" ".join(words[:1000]))
    assert path.stat().st_size > 65e6
    code = (
        "import re, sys\nfrom pipelines import curate\n"
        "curate.main(curate.Config(input=(sys.argv[1],), output=sys.argv[2], num_workers=1))\n"
        # The peak of the process itself; ru_maxrss keeps that of the process it was forked from.
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    command = [sys.executable, "-c", code, tmp_path / "input", tmp_path / "output"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(done.stdout.split()[-1]) < 300_000
    assert report(tmp_path / "output")["notes"]["documents_cut_at_max_chars"] > 10
