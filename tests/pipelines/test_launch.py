"""Runs that `launch` keeps going: two workers of which one is killed, and Dask's."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines import curate, launch, pretrain
from roots_tf.launching import starts, watch
from roots_tf.launching.starts import Remote
from roots_tf.launching.watch import Limits
from tests import processes
from tests.launching.forked import Forked
from tests.pipelines.test_cluster import RECIPE, contents
from tests.pipelines.test_pretrain import config, curve, weights
from tests.pipelines.test_pretrain_kills import newest

pytestmark = pytest.mark.slow
FIELDS = {"dropout": 0.1, "max_grad_norm": 0.3, "checkpoint_every": 20, "schedule": "constant"}
FIELDS |= {"warmup_share": 0.0, "log_every": 20}


def launched(work, output: Path, kill_after: tuple[int, ...] = (), **fields) -> list[int]:
    """Trains on two workers; kills one after each of some steps, and gives those it had reached."""
    started, reached = [], []

    def spawn(command, environment):
        started.append(Forked(command, environment))
        return started[-1]

    def kill():
        for number, step in enumerate(kill_after):
            while newest(output) < step:
                time.sleep(0.01)
            reached.append(newest(output))
            os.kill(started[2 * number + number % 2].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    flags = processes.flags(config(work, output, **FIELDS | fields))
    watch.run(starts.trainers(["pretrain", *flags], 2, Remote(), spawn), Limits(1, 300.0))
    killer.join(10)
    assert len(started) == 2 * (1 + len(kill_after))
    return reached


def test_a_worker_that_is_killed_changes_no_byte_and_one_process_goes_on(work, tmp_path, capfd):
    whole, killed, one = tmp_path / "whole", tmp_path / "killed", tmp_path / "one"
    launched(work, whole, duration="100")
    reached = launched(work, killed, kill_after=(20,), duration="100")
    assert reached == sorted(reached) and reached[-1] < 100
    model = "model/model.safetensors"
    assert (whole / model).read_bytes() == (killed / model).read_bytes()
    assert curve(whole) == curve(killed)
    shown = capfd.readouterr()
    assert "[worker 0] I" in shown.err and "[worker 1] I" in shown.err
    assert "\x1e" not in shown.err + shown.out
    # Another number of workers: the same update but for rounding, and for dropout, which is that of
    # the micro-batches that each worker has.
    fields = {"duration": "160", "accumulate_steps": 2}
    pretrain.main(config(work, one, **FIELDS | fields))
    pretrain.main(config(work, killed, **FIELDS | fields))
    for name, value in weights(one).items():
        np.testing.assert_allclose(value, weights(killed)[name], atol=2e-4, err_msg=name)


def test_workers_of_dask_are_started_and_replaced(novels, tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    flags = {"recipe": str(tmp_path / "recipe.toml"), "documents": "file"}
    flags["input"] = tuple(map(str, sorted(novels.glob("*.txt"))[:6]))
    curate.main(curate.Config(**flags, output=str(tmp_path / "local"), num_workers=1))
    output, killed = tmp_path / "cluster", []

    def kill():
        while not list(output.glob(".work/*.json")):
            time.sleep(0.01)
        [worker, *_] = children("distributed.cli.dask_worker")
        os.kill(worker, signal.SIGKILL)
        killed.append(worker)

    threading.Thread(target=kill, daemon=True).start()
    words = processes.flags(curate.Config(**flags, output=str(output)))
    launch.main(launch.Config(command=("curate", *words), dask_workers=2))
    assert killed and contents(output) == contents(tmp_path / "local")
    assert children("distributed.cli.dask_") == []


def children(text: str) -> list[int]:
    """Programs below guards below this process whose command has a text in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
            parent = path.with_name("stat").read_text().rpartition(")")[2].split()[1]
            above = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(above) == os.getpid() and any(word.startswith(text) for word in words):
            found.append(int(path.parent.name))
    return found
