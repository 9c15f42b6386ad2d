"""What is told of a run, by literals."""

import logging
import math

import pytest

from roots_tf.training import reporting
from roots_tf.training.reporting import Work, loss_of, scalars_of, speeds, spike_limit


def test_means_counts_and_what_follows_from_them():
    told = scalars_of({
        "masked_lm_loss": (6.0, 3.0),
        "masked_lm_accuracy_random": (0.0, 0.0),
        "next_sentence_loss": (1.0, 4.0),
        "next_sentence_label_1": (1.0, 4.0),
        "skipped": (2.0, 50.0),
        "spikes": (1.0, 50.0),
    })  # fmt: skip
    assert told == {
        "masked_lm_loss": 2.0,
        "masked_lm_perplexity": math.exp(2.0),
        "next_sentence_loss": 0.25,
        "next_sentence_label_1": 0.25,
        "next_sentence_base_rate": 0.75,
        "skipped": 2.0,
        "spikes": 1.0,
    }
    assert loss_of(told) == 2.25
    assert math.isnan(loss_of({"skipped": 5.0}))
    assert "masked_lm_perplexity" not in scalars_of({"masked_lm_loss": (math.inf, 1.0)})
    assert "masked_lm_perplexity" not in scalars_of({"masked_lm_loss": (math.nan, 1.0)})


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
    before = reporting.memory()
    block = b"x" * (200 << 20)
    after = reporting.memory()
    assert after["memory_bytes"] - before["memory_bytes"] > 100 << 20
    assert after["memory_peak_bytes"] >= after["memory_bytes"] > len(block)
