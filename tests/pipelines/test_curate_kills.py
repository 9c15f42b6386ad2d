"""`curate` on several processes, killed ones, a full disk and little memory."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines import curate
from pipelines.curate import Config
from roots_tf import stages
from tests.pipelines.curated import CORPUS_RECIPE, ROOT, counts, digest, report, rows, run


@pytest.fixture(scope="module")
def books(novels) -> tuple[str, ...]:
    """Two megabytes of novels, or what there is."""
    found, size = [], 0
    for path in sorted(novels.glob("*.txt")):
        if size < 2_000_000:
            found.append(str(path))
            size += path.stat().st_size
    return tuple(found)


def test_a_full_disk_is_one_line_and_the_run_goes_on_with_room(books, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a tiny disk here")
    try:
        flags = [f"--input={','.join(books)}", f"--output={disk}/out", "--num_workers=1"]
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
def whole(books, tmp_path_factory):
    """The books, curated by one worker in many tasks."""
    output = tmp_path_factory.mktemp("whole") / "output"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curate, "TASK_BYTES", range(100_000, 200_000))
        curate.main(Config(input=books, output=str(output), num_workers=1))
    return output


def test_workers_do_not_change_a_byte(books, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(curate, "TASK_BYTES", range(100_000, 200_000))
    curate.main(Config(input=books, output=str(tmp_path / "three"), num_workers=3))
    assert digest(tmp_path / "three") == digest(whole)
    # Neither do the tasks.
    monkeypatch.setattr(curate, "TASK_BYTES", range(10**9, 10**9 + 1))
    curate.main(Config(input=books, output=str(tmp_path / "one"), num_workers=1))
    assert digest(tmp_path / "one") == digest(whole)
    assert counts(report(tmp_path / "one")) == counts(report(whole))


def test_a_killed_run_goes_on(books, whole, tmp_path, monkeypatch):
    """Stops after each write of a marker, as a kill would, and starts again."""
    monkeypatch.setattr(curate, "TASK_BYTES", range(100_000, 200_000))
    config = Config(input=books, output=str(tmp_path / "output"), num_workers=1)
    write, written = stages.write_result, []

    def write_and_die(path, value):
        write(path, value)
        if not Path(path).name.startswith(("part-", "unique-")):  # those are no markers
            written.append(str(path))
            if len(written) % 7 == 0:
                raise KeyboardInterrupt

    monkeypatch.setattr(stages, "write_result", write_and_die)
    interruptions = 0
    while not (tmp_path / "output" / "report.json").exists():
        try:
            curate.main(config)
        except KeyboardInterrupt:
            interruptions += 1
    assert interruptions >= 4
    assert len(written) == len(set(written))  # no task ran twice
    assert digest(tmp_path / "output") == digest(whole)
    assert counts(report(tmp_path / "output")) == counts(report(whole))


@pytest.mark.slow
def test_a_run_whose_processes_are_killed_goes_on(novels, tmp_path):
    """SIGKILL to the program and its workers in the middle, then the same command."""
    pytest.importorskip("rensa")
    recipe = tmp_path / "all.toml"
    recipe.write_text(CORPUS_RECIPE)
    flags = [f"--input={novels}/[A-Db]*", f"--recipe={recipe}", "--num_workers=2"]
    assert run(*flags, f"--output={tmp_path}/whole").returncode == 0
    output = tmp_path / "output"
    command = [sys.executable, "-m", "pipelines.curate", *flags, f"--output={output}"]
    for pattern in ("part-*.json", "unique-*.arrow", "near_duplicates/*"):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        while process.poll() is None and not list(output.glob(f".work/{pattern}")):
            time.sleep(0.02)
        assert process.poll() is None, process.stderr.read()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not (output / "report.json").exists()
    assert run(*flags, f"--output={output}").returncode == 0
    assert digest(output) == digest(tmp_path / "whole")
    assert counts(report(output)) == counts(report(tmp_path / "whole"))
    assert not [*output.glob(".*")]


def peak_memory(folder, output, recipe, num_shards=0) -> int:
    """The peak of one process that curates, in kilobytes."""
    code = (
        "import re, sys\nfrom pipelines import curate\n"
        "curate.main(curate.Config(input=(sys.argv[1],), output=sys.argv[2], num_workers=1,"
        "recipe=sys.argv[3], num_shards=int(sys.argv[4])))\n"
        # The peak of the process itself; ru_maxrss keeps that of the process it was forked from.
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    command = [sys.executable, "-c", code, folder, output, recipe, num_shards]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


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
    assert peak_memory(tmp_path / "input", tmp_path / "output", "books") < 300_000
    assert report(tmp_path / "output")["notes"]["documents_cut_at_max_chars"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("corpus_steps", [False, True])
def test_memory_does_not_grow_with_the_corpus(tmp_path, corpus_steps):
    """Ten and fifty megabytes of different documents, in as many more shards."""
    if corpus_steps:
        pytest.importorskip("rensa")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        CORPUS_RECIPE if corpus_steps else (ROOT / "roots_tf/corpus/recipes/books.toml").read_text()
    )
    letters = random.Random(7)
    words = "".join(chr(97 + letters.randrange(26)) for _ in range(40_000))
    words = [words[i : i + 7] for i in range(0, len(words), 7)]
    peaks = {}
    for megabytes in (10, 50):
        chance = random.Random(megabytes)
        folder = tmp_path / f"in-{megabytes}"
        folder.mkdir()
        for number in range(megabytes):
            with (folder / f"{number}.txt").open("w") as file:
                for _ in range(500):
                    file.write(f"{' '.join(chance.choices(words, k=250))}\n\n")
        output = tmp_path / f"out-{megabytes}"
        peaks[megabytes] = peak_memory(folder, output, recipe, num_shards=megabytes)
    assert peaks[50] < 1.12 * peaks[10], peaks
