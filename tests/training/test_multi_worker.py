"""The same update from two processes as from one device."""

import json
import os
import socket
import sys

import numpy as np
import pytest

from tests.processes import Started
from tests.training.test_step import STEPS, relative_difference, train


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
    workers = [
        Started("tests.training.one_of_two_workers", [str(tmp_path), str(devices)], environment)
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
