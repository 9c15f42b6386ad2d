"""Rows and TensorBoard events: each step once, also after a kill."""

import json
import math
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from roots_tf.losses import Scalar
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.summaries import TIMED, Summaries

LOSS = (Scalar("masked_lm_loss", "loss", is_loss=True),)


def shown(folder: Path, group: str) -> EventAccumulator:
    """What TensorBoard's own reader makes of a group."""
    sizes = {"scalars": 0, "tensors": 0, "histograms": 0}  # all of them
    return EventAccumulator(str(folder / "logs" / group), sizes).Reload()


def points(folder: Path, group: str, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in shown(folder, group).Scalars(tag)]


def of_an_earlier_process(folder: Path) -> None:
    """Renames event files as if they had been begun long ago: TensorBoard reads them in order."""
    for path in folder.glob("logs/*/events.out.tfevents.*"):
        path.rename(path.with_name("events.out.tfevents.0000000001.elsewhere"))


def test_after_a_kill_each_step_stands_once(tmp_path):
    killed = Summaries(tmp_path, 0, LOSS)
    for step in (10, 20, 30, 40):
        killed.write("train", step, {"masked_lm_loss": 100.0 + step})
    for step in (20, 40):
        killed.write("held_out", step, {"masked_lm_loss": 200.0 + step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"group": "train", "st')  # cut while it was written
    of_an_earlier_process(tmp_path)

    again = Summaries(tmp_path, 20, LOSS)
    assert again.history("train", "masked_lm_loss") == [110.0, 120.0]
    assert points(tmp_path, "held_out", "loss/masked_lm_loss") == [(20, 220.0)]
    again.write("train", 30, {"masked_lm_loss": 3.0})
    again.write("train", 50, {"masked_lm_loss": 5.0})
    expected = [(10, 110.0), (20, 120.0), (30, 3.0), (50, 5.0)]
    assert points(tmp_path, "train", "loss/masked_lm_loss") == expected
    rows = [row for row in read_metrics(tmp_path) if row["group"] == "train"]
    assert [(row["step"], row["masked_lm_loss"]) for row in rows] == expected
    assert again.history("train", "masked_lm_loss") == [110.0, 120.0, 3.0, 5.0]


def test_numbers_come_back_from_the_rows_as_they_were(tmp_path):
    Summaries(tmp_path, 0).write("train", 1, {"x": 0.1 + 0.2, "y": math.pi})
    assert read_metrics(tmp_path) == [{"group": "train", "step": 1, "x": 0.1 + 0.2, "y": math.pi}]
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["step"] == 1


def test_texts_and_histograms(tmp_path):
    summaries = Summaries(tmp_path, 0)
    summaries.write_texts("held_out", 5, {"samples": "    a [MASK]"})
    values = np.array([0.0, 0.5, 3.0, np.nan, np.inf], np.float32)
    summaries.write_histograms("train", 5, {"weights/a": values, "weights/none": values[3:]})
    [text] = shown(tmp_path, "held_out").Tensors("samples")
    assert (text.step, text.tensor_proto.string_val[0]) == (5, b"    a [MASK]")
    [histogram] = shown(tmp_path, "train").Histograms("weights/a")
    found = histogram.histogram_value
    assert (histogram.step, found.min, found.max, found.num, found.sum) == (5, 0.0, 3.0, 3, 3.5)
    assert found.bucket == [1, 0, 0, 0, 0, 1] + 23 * [0] + [1]
    assert np.allclose(found.bucket_limit, np.arange(1, 31) / 10)


def test_scalars_stand_in_sections(tmp_path):
    names = ["masked_lm_loss", "gradient_norm", "spikes", "f1", *sorted(TIMED)]
    Summaries(tmp_path, 0, LOSS).write("train", 1, dict.fromkeys(names, 1.0))
    assert set(shown(tmp_path, "train").Tags()["scalars"]) == {
        "loss/masked_lm_loss",
        "optimizer/gradient_norm",
        "optimizer/spikes",
        "score/f1",  # which nobody declared
        "speed/examples_per_second",
        "speed/flop_utilization",
        "memory/gpu_memory_bytes",
        "memory/gpu_memory_peak_bytes",
        "speed/input_wait",
        "memory/memory_bytes",
        "memory/memory_peak_bytes",
        "speed/tokens_per_second",
    }
