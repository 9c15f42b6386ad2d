import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from roots_tf import files


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


@pytest.mark.parametrize("name", ["file/a.txt", "file/sub/a.txt", "folder", "n" * 250])
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


def test_a_folder_is_claimed_by_one_config(tmp_path):
    folder = tmp_path / "run"
    assert files.claim(folder, {"size": (1, 2), "seed": 7}) is None  # refused later: left nothing
    assert files.claim(folder, {"size": (1, 2), "seed": 0}) is None
    (folder / "metrics.jsonl").touch()
    assert files.claim(folder, {"size": (1, 2), "seed": 0}) is None
    with pytest.raises(files.InputError, match="found seed=0; wanted seed=1"):
        files.claim(folder, {"size": (1, 2), "seed": 1})
    files.write_json(folder / "report.json", {"done": True})
    assert files.claim(folder, {"size": (1, 2), "seed": 0}) == {"done": True}


# Tasks of stages. They run in other processes, so they are found by name in this module.


def square(number, folder):
    with (Path(folder) / f"calls-{number}").open("a") as file:
        file.write("x")
    return {"square": number * number}


def fail_on_three(number, folder):
    if number == 3:
        raise files.InputError("three is no number")
    return square(number, folder)


def die_on_three(number, folder):
    """Is killed, as by the kernel when memory runs out, the first time it is called with 3."""
    mark = Path(folder) / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        while len(calls(folder)) < 5:  # the others finish
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number, folder)


def calls(folder):
    return {path.name[6:]: path.read_text() for path in Path(folder).glob("calls-*")}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stage_runs_each_task_once(tmp_path, workers):
    tasks = [(number, str(tmp_path)) for number in range(5)]
    seen = []
    for _ in range(2):
        with files.executor(workers) as executor:
            results = files.run_stage(
                square, tasks, tmp_path / "markers", executor, lambda *n: seen.append(n)
            )
        assert results == [{"square": number * number} for number in range(5)]
    assert calls(tmp_path) == {str(number): "x" for number in range(5)}
    assert seen == [*((done, 5) for done in range(6)), (5, 5)]
    more = [*tasks, (7, str(tmp_path))]
    assert files.run_stage(square, more, tmp_path / "markers")[-1] == {"square": 49}
    assert calls(tmp_path)["7"] == "x"


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_task_reaches_the_user(tmp_path, workers):
    tasks = [(number, str(tmp_path)) for number in range(5)]
    with (
        files.executor(workers) as executor,
        pytest.raises(files.InputError, match="^three is no number$"),
    ):
        files.run_stage(fail_on_three, tasks, tmp_path / "markers", executor)


def test_a_killed_worker_undoes_nothing(tmp_path):
    tasks = [(number, str(tmp_path)) for number in range(6)]
    with (
        files.executor(2) as executor,
        pytest.raises(files.InputError, match="a worker process was killed .*run the same command"),
    ):
        files.run_stage(die_on_three, tasks, tmp_path / "markers", executor)
    finished = len(list((tmp_path / "markers").glob("*.json")))
    assert finished == 5
    with files.executor(2) as executor:
        results = files.run_stage(die_on_three, tasks, tmp_path / "markers", executor)
    assert [result["square"] for result in results] == [0, 1, 4, 9, 16, 25]
    assert calls(tmp_path) == {str(number): "x" for number in range(6)}


def test_other_executors_serve_as_well(tmp_path):
    tasks = [(number, str(tmp_path)) for number in range(3)]
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        assert len(files.run_stage(square, tasks, tmp_path / "markers", executor)) == 3


def test_a_negative_number_of_workers():
    with pytest.raises(files.InputError, match="num_workers=-1"), files.executor(-1):
        pass


PARENT = """
import os, time
from roots_tf import files
if __name__ == "__main__":
    with files.executor(2) as executor:
        print(*{executor.submit(os.getpid).result() for _ in range(20)}, flush=True)
        time.sleep(60)
"""


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    workers = json.loads(f"[{','.join(parent.stdout.readline().split())}]")
    assert workers
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 120
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers still run"
        time.sleep(0.1)
