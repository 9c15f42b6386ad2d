"""Processes that are killed: one again and again, and one worker of two."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines import pretrain
from roots_tf.training.metrics_file import read_metrics
from tests.pipelines.test_pretrain import config, curve, wait_for, weights
from tests.processes import start
from tests.training.test_multi_worker import cluster

pytestmark = pytest.mark.slow


def test_killed_ten_times_at_random_it_ends_with_the_same_bits(work, tmp_path):
    # A checkpoint at each step, so that many kills come while one is written.
    fields = {"duration": "200", "dropout": 0.1, "checkpoint_every": 1, "evaluate_every": 50}
    fields |= {"mask_rate": 0.3, "final_mask_rate": 0.15, "mask_rate_steps": 200}
    fields |= {"optimizer": "muon"}  # those of benchmarks.kills below have AdamW
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    pretrain.main(config(work, whole, **fields))
    draw, reached = random.Random(7), []
    for _ in range(10):
        process = start(config(work, killed, **fields))
        before = len(list((killed / "checkpoints").glob("*.index"))) and newest(killed)
        wait_for(lambda seen=before: newest(killed) > seen, process)
        time.sleep(draw.uniform(0.0, 0.5))
        process.kill()
        process.communicate()
        reached.append(newest(killed))
    assert reached == sorted(reached)
    assert 0 < reached[0] < reached[-1] < 200
    pretrain.main(config(work, killed, **fields))
    for name, value in weights(whole).items():
        np.testing.assert_array_equal(value, weights(killed)[name], err_msg=name)
    assert curve(whole) == curve(killed)


def test_killed_while_a_checkpoint_is_written_they_end_with_the_same_bytes():
    script = [sys.executable, "-m", "benchmarks.kills", "--kills=4"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("the same bytes") == 4


def newest(run: Path) -> int:
    found = (run / "checkpoints").glob("ckpt-*.index")
    return max((int(path.stem.removeprefix("ckpt-")) for path in found), default=0)


def test_two_workers_train_as_one_and_survive_the_loss_of_one(work, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    fields = {"duration": "300", "dropout": 0.0, "max_grad_norm": 0.3, "checkpoint_every": 20}
    pretrain.main(config(work, one, **fields))
    both = config(work, two, **fields, strategy="multi_worker")
    workers = [start(both, environment) for environment in cluster(2)]
    wait_for(lambda: newest(two) >= 20, workers[0])
    workers[1].kill()
    _, printed = workers[0].communicate(timeout=300)
    workers[1].communicate()
    assert workers[0].returncode == 4, printed[-2000:]
    assert "another worker of this run has stopped" in printed.splitlines()[-1]
    assert "Traceback" not in printed
    reached = newest(two)
    assert 20 <= reached < 300

    again = [start(both, environment) for environment in cluster(2)]
    for worker in again:
        _, printed = worker.communicate(timeout=240)
        assert worker.returncode == 0, printed[-2000:]
    assert [row["step"] for row in read_metrics(two) if row["group"] == "held_out"] == [300]
    for name, value in weights(one).items():
        np.testing.assert_allclose(value, weights(two)[name], atol=2e-4, err_msg=name)


def test_a_signal_to_one_worker_stops_both_and_saves(work, tmp_path):
    both = config(work, tmp_path, duration="1000000", checkpoint_every=0, strategy="multi_worker")
    workers = [start(both, environment) for environment in cluster(2)]
    wait_for(lambda: len(read_metrics(tmp_path)) > 2, workers[0])
    workers[1].send_signal(signal.SIGINT)
    for worker, status in zip(workers, (128 + signal.SIGTERM, 128 + signal.SIGINT), strict=True):
        _, printed = worker.communicate(timeout=300)
        assert worker.returncode == status, printed[-2000:]
    assert newest(tmp_path) >= read_metrics(tmp_path)[-1]["step"]


def test_without_a_cluster_many_workers_are_refused(work, tmp_path):
    none = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    process = start(config(work, tmp_path / "run", strategy="multi_worker"), none)
    _, printed = process.communicate()
    assert process.returncode == 2
    assert "found no workers in the environment variable TF_CONFIG" in printed.splitlines()[-1]
    assert not (tmp_path / "run").exists()
