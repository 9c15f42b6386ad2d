"""`plan.json`: what it holds is read back; damaged or missing it is told and decided anew."""

import json
import math

import pytest

from roots_tf.storage import checked_json
from roots_tf.training import strategies
from roots_tf.training.automatic import Computation
from roots_tf.training.plan_file import Computed, read_plan
from roots_tf.training.run import Machine
from roots_tf.training.settings import Hardware

PLAN = {"precision": "mixed_bfloat16", "jit_compile": False, "peak_flops": 2.5, "builds": ["a"]}
HARDWARE = Hardware(precision="float32", jit_compile="false", peak_flops=1.0)


@pytest.fixture
def machine():
    return Machine(strategies.make_strategy("one_device"))


def test_a_run_goes_on_as_it_was_planned(tmp_path, machine, caplog):
    assert machine.computation(tmp_path, HARDWARE) == Computation("float32", False, 1.0)
    checked_json.write_checked(tmp_path / "plan.json", PLAN)
    assert read_plan(tmp_path, Computed) == Computed("mixed_bfloat16", False, 2.5)
    as_planned = Computation("mixed_bfloat16", False, 2.5)
    assert machine.computation(tmp_path, HARDWARE) == as_planned._replace(peak_flops=1.0)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))  # of version 0.2
    assert machine.computation(tmp_path, Hardware(precision="float32")) == as_planned
    assert not caplog.messages


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", "found no precision in"),
        ("[1]", "found a list in"),
        ("", "found no JSON in"),
        ('{"precision": "int8", "jit_compile": false}', "found precision='int8' in"),
        ('{"precision": "float32", "jit_compile": 0}', "found jit_compile=0 in"),
        ('{"precision": "float32", "jit_compile": true, "checksum": "0"}', "changed since it was"),
        (None, "found no "),
    ],
)
def test_a_damaged_plan_is_decided_anew_and_told(tmp_path, machine, caplog, text, found):
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / name).write_text("{}")
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    assert machine.computation(tmp_path, HARDWARE) == Computation("float32", False, 1.0)
    [line] = caplog.messages
    assert found in line
    assert f"{tmp_path}/plan.json" in line
    assert "what the flags stand for is decided anew" in line


def test_a_checksum_holds_of_what_json_can_hold(tmp_path):
    path = tmp_path / "a.json"
    checked_json.write_checked(path, {"x": [math.nan, (math.inf, 0.1)], "y": {"é": True}})
    assert checked_json.read_checked(path) == {"x": [None, [None, 0.1]], "y": {"é": True}}
    json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(text))
