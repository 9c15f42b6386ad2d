"""The same update from two processes as from one device."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.training.test_step import STEPS, relative_difference, train

WORKER = """
import sys
import numpy as np
from roots_tf.training import strategies
from tests.training import test_step
strategy = strategies.make_strategy("multi_worker", num_devices=int(sys.argv[2]))
index, workers = strategies.worker(strategy)
assert strategies.total(strategy, index + 1) == 3
agree = strategies.make_agree(strategy)
assert agree(0) == 0
assert agree(2 if index else 0) == (2 if index else 15)
state, sums = test_step.train(strategy, accumulate_steps=2, worker=(index, workers))
np.savez(sys.argv[1] + f"/{index}.npz", *state, clipped=[s["clipped"][0] for s in sums])
"""


def cluster(count: int) -> list[dict[str, str]]:
    """Environments of the workers of one cluster on this machine."""
    sockets = [socket.socket() for _ in range(count)]
    for held in sockets:
        held.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{held.getsockname()[1]}" for held in sockets]
    for held in sockets:
        held.close()
    return [
        os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path)}
        | {
            "TF_CONFIG": json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            )
        }
        for index in range(count)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_two_processes_update_as_one_device_does(tmp_path, devices):
    arguments = [sys.executable, "-c", WORKER, str(tmp_path), str(devices)]
    workers = [
        subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)
        for environment in cluster(2)
    ]
    for worker in workers:
        _, printed = worker.communicate(timeout=300)
        assert worker.returncode == 0, printed[-3000:]
    one, _ = train(None)
    for index in range(2):
        with np.load(tmp_path / f"{index}.npz") as found:
            assert found["clipped"].tolist() == [1.0] * STEPS
            assert relative_difference(one, [found[f"arr_{i}"] for i in range(len(one))]) < 1e-6
