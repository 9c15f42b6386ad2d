"""Which process of a run writes its files, from flags and environment alone."""

import json

import pytest

from roots_tf.training.settings import Hardware

TWO = {"worker": ["a:1", "b:1"]}


@pytest.mark.parametrize(
    ("strategy", "cluster", "task", "is_chief"),
    [
        ("multi_worker", TWO, {"type": "worker", "index": 0}, True),
        ("auto", TWO, {"type": "worker", "index": 1}, False),
        ("auto", TWO | {"chief": ["c:1"]}, {"type": "worker", "index": 0}, False),
        ("auto", TWO | {"chief": ["c:1"]}, {"type": "chief", "index": 0}, True),
        ("one_device", TWO, {"type": "worker", "index": 1}, True),  # a run of its own
        ("auto", [], "x", True),
    ],
)
def test_the_chief_is_known_before_tensorflow_is(monkeypatch, strategy, cluster, task, is_chief):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert Hardware(strategy=strategy).is_chief == is_chief


@pytest.mark.parametrize("text", ["", "{}", "[", "[]"])
def test_without_a_cluster_every_process_writes(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    assert Hardware().is_chief
