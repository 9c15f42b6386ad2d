"""What is told of a run, by literals."""

import dataclasses
import json
import logging
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from roots_tf.losses import Scalar
from roots_tf.storage import schema
from roots_tf.training import reporting
from roots_tf.training.calls import Result
from roots_tf.training.checkpoint_notes import WindowState
from roots_tf.training.reporting import Work, loss_of, scalars_of, speeds, spike_limit

DECLARED = (
    Scalar("masked_lm_loss", "loss", is_loss=True),
    Scalar("masked_lm_perplexity", "loss", of="masked_lm_loss", by=lambda x: 2 * x or None),
    Scalar("next_sentence_loss", "loss", is_loss=True),
    Scalar("next_sentence_label_1", "accuracy"),
    Scalar("next_sentence_base_rate", "accuracy", of="next_sentence_label_1", by=lambda p: 1 - p),
)


def test_means_counts_and_what_follows_from_them():
    told = scalars_of({
        "masked_lm_loss": (6.0, 3.0),
        "masked_lm_accuracy_random": (0.0, 0.0),
        "next_sentence_loss": (1.0, 4.0),
        "next_sentence_label_1": (1.0, 4.0),
        "skipped": (2.0, 50.0),
        "spikes": (1.0, 50.0),
    }, DECLARED)  # fmt: skip
    assert told == {
        "masked_lm_loss": 2.0,
        "masked_lm_perplexity": 4.0,
        "next_sentence_loss": 0.25,
        "next_sentence_label_1": 0.25,
        "next_sentence_base_rate": 0.75,
        "skipped": 2.0,
        "spikes": 1.0,
    }
    assert loss_of(told, DECLARED) == 2.25
    assert math.isnan(loss_of({"skipped": 5.0}, DECLARED))
    assert "masked_lm_perplexity" not in scalars_of({"masked_lm_loss": (0.0, 1.0)}, DECLARED)


def test_a_peak_below_what_the_steps_reach_is_raised(caplog):
    work = Work(tokens=100, flops=3e9, peak_flops=1e9)
    result = Result({"skipped": np.zeros([2, 2]), "gradient_norm": np.ones([2, 2])}, np.zeros(2))
    window = reporting.Window(work)
    shares = []
    for seconds in (3.0, 6.0):  # two steps: 2e9 FLOP/s, then 1e9
        window.add(result, seconds, math.inf)
        shares.append(window.close()["flop_utilization"])
    assert shares == pytest.approx([1.0, 0.5])
    assert "reach 2e+09 FLOP/s, more than the peak of 1e+09" in caplog.text
    assert len(caplog.records) == 1


def test_speeds():
    assert speeds(Work(tokens=100), 20, 2.0, 0.5) == {
        "tokens_per_second": 1000.0,
        "input_wait": 0.25,
    }
    whole = Work(tokens=100, examples=4, flops=3e9, peak_flops=1e12)
    assert speeds(whole, 20, 2.0, 0.0) == pytest.approx({
        "tokens_per_second": 1000.0,
        "input_wait": 0.0,
        "examples_per_second": 40.0,
        "flop_utilization": 0.03,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("norms", "limit"),
    [
        ([], math.inf),
        ([1.0] * 4, math.inf),
        ([1.0, 2.0, 30.0, 3.0, 2.0], 10.0),  # five times the median, which no single row moves
        ([100.0] * 50 + [1.0] * 20, 5.0),  # the last twenty rows count
    ],
)
def test_the_limit_of_spikes(norms, limit):
    assert spike_limit(norms) == limit


def test_warnings_say_how_many(caplog):
    with caplog.at_level(logging.WARNING):
        reporting.warn(10, {"skipped": 0.0, "spikes": 0.0}, 5.0)
        assert not caplog.records
        reporting.warn(20, {"skipped": 3.0, "spikes": 2.0}, 5.0)
    skipped, spikes = (record.getMessage() for record in caplog.records)
    assert skipped.startswith("step 20: 3 steps since the last row had no finite gradient")
    assert spikes.startswith("step 20: 2 steps since the last row had a gradient norm above 5, 5")


def test_memory_follows_what_the_process_holds():
    code = """
from roots_tf.losses import Scalar
from roots_tf.training import reporting
before = reporting.memory()
block = b"x" * (200 << 20)
after = reporting.memory()
assert after["memory_bytes"] - before["memory_bytes"] > 100 << 20
assert after["memory_peak_bytes"] >= after["memory_bytes"] > len(block)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_rows_do_not_depend_on_where_calls_end_or_the_run_was_killed():
    rng = np.random.default_rng(0)
    count = 12
    sums = {
        "masked_lm_loss": rng.uniform(1, 9, [count, 2]),
        "gradient_norm": np.stack([rng.uniform(0, 2, count), np.ones(count)], 1),
        "skipped": np.stack([np.arange(count) % 5 == 3, np.ones(count)], 1),
    }
    sums = {name: values.astype("float32") for name, values in sums.items()}
    sums["masked_lm_loss"][3] = np.nan  # of a skipped step

    def part(first, last):
        return Result({n: v[first:last] for n, v in sums.items()}, np.zeros(last - first))

    whole = reporting.Window(Work(1))
    whole.add(part(0, count), 1.0, spike_limit=1.5)
    cut = reporting.Window(Work(1))
    cut.add(part(0, 2), 1.0, spike_limit=1.5)
    cut.add(part(2, 7), 1.0, spike_limit=1.5)
    state = json.loads(json.dumps(dataclasses.asdict(cut.state), allow_nan=False))
    cut = reporting.Window(Work(1), (), schema.check(state, WindowState, "ckpt-7.json"))
    cut.add(part(7, count), 1.0, spike_limit=1.5)
    assert whole.state == cut.state
    told, again = whole.close(), cut.close()
    assert told["masked_lm_loss"] == again["masked_lm_loss"]
    good = np.arange(count) % 5 != 3
    loss = sums["masked_lm_loss"][good].astype("float64").sum(0)
    assert told["masked_lm_loss"] == pytest.approx(loss[0] / loss[1])
    assert told["skipped"] == 2.0
    assert told["spikes"] == (sums["gradient_norm"][good, 0] > 1.5).sum() > 0


def test_skipped_steps_in_a_row_are_counted_over_calls_and_rows():
    window = reporting.Window(Work(1))
    found = []
    for skipped in ([0, 1], [1, 1], [1], [0], [1, 0, 1]):
        table = np.float32([[number, 1] for number in skipped])
        sums = {"skipped": table, "gradient_norm": np.ones_like(table)}
        window.add(Result(sums, np.zeros(len(skipped))), 1.0, 9.0)
        window.close()
        found.append(window.skipped_in_a_row)
    assert found == [1, 3, 4, 0, 1]
