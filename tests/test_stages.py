"""Stages: each task once, killed workers, killed parents."""

import concurrent.futures
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roots_tf import stages
from roots_tf.storage import files

# Tasks of stages. They run in other processes, so they are found by name in this module.


def square(number, folder):
    with (Path(folder) / f"calls-{number}").open("a") as file:
        file.write("x")
    return {"square": number * number}


def fail_on_three(number, folder):
    if number == 3:
        raise files.InputError("wrong-value", "three is no number")
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


def test_an_interrupt_does_not_wait_for_the_tasks_under_way(tmp_path):
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stages.executor(2) as pool:
        running = [pool.submit(time.sleep, 3600) for _ in range(2)]
        while not all(future.running() for future in running):
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert time.monotonic() - start < 600
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stage_runs_each_task_once(tmp_path, workers):
    tasks = [(number, str(tmp_path)) for number in range(5)]
    seen = []
    for _ in range(2):
        with stages.executor(workers) as executor:
            results = stages.run_stage(
                square, tasks, tmp_path / "markers", executor, lambda *n: seen.append(n)
            )
        assert results == [{"square": number * number} for number in range(5)]
    assert calls(tmp_path) == {str(number): "x" for number in range(5)}
    assert seen == [*((done, 5) for done in range(6)), (5, 5)]
    more = [*tasks, (7, str(tmp_path))]
    assert stages.run_stage(square, more, tmp_path / "markers")[-1] == {"square": 49}
    assert calls(tmp_path)["7"] == "x"


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_task_reaches_the_user(tmp_path, workers):
    tasks = [(number, str(tmp_path)) for number in range(5)]
    with (
        stages.executor(workers) as executor,
        pytest.raises(files.InputError, match="^three is no number$"),
    ):
        stages.run_stage(fail_on_three, tasks, tmp_path / "markers", executor)


def test_a_killed_worker_undoes_nothing(tmp_path):
    tasks = [(number, str(tmp_path)) for number in range(6)]
    with (
        stages.executor(2) as executor,
        pytest.raises(files.InputError, match="a worker process was killed .*run the same command"),
    ):
        stages.run_stage(die_on_three, tasks, tmp_path / "markers", executor)
    finished = len(list((tmp_path / "markers").glob("*.json")))
    assert finished == 5
    with stages.executor(2) as executor:
        results = stages.run_stage(die_on_three, tasks, tmp_path / "markers", executor)
    assert [result["square"] for result in results] == [0, 1, 4, 9, 16, 25]
    assert calls(tmp_path) == {str(number): "x" for number in range(6)}


def test_a_result_that_was_changed_is_named_with_what_to_do(tmp_path):
    tasks, markers = [(2, str(tmp_path))], tmp_path / "markers"
    assert stages.run_stage(square, tasks, markers) == [{"square": 4}]
    (marker,) = markers.iterdir()
    before = marker.read_text()
    for after in (before.replace("4", "5", 1), '{"square": 4}', "[]", before[:-3], ""):
        marker.write_text(after)
        with pytest.raises(files.InputError, match=f"{marker}.*; remove the folder {markers} and"):
            stages.run_stage(square, tasks, markers)
    marker.write_text(before)
    assert stages.run_stage(square, tasks, markers) == [{"square": 4}]
    assert calls(tmp_path) == {"2": "x"}


def test_results_come_back_whatever_their_texts_hold(tmp_path):
    result = {"10": "\ud800 é", "9": [1.5, None, {"a": True}], "1e": float("inf")}
    stages.write_result(tmp_path / "a.json", result)
    assert stages.read_result(tmp_path / "a.json") == result


def test_other_executors_serve_as_well(tmp_path):
    tasks = [(number, str(tmp_path)) for number in range(3)]
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        assert len(stages.run_stage(square, tasks, tmp_path / "markers", executor)) == 3


def test_a_negative_number_of_workers():
    with pytest.raises(files.InputError, match="num_workers=-1"), stages.executor(-1):
        pass


PARENT = """
import os, time
from roots_tf import stages
if __name__ == "__main__":
    with stages.executor(2) as executor:
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
