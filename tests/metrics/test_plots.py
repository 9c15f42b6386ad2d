"""Pictures of predictions, and that TensorBoard reads the curves back."""

import time

import numpy as np
import pytest
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.pr_curve import metadata, pr_curves_plugin
from tensorboard.plugins.pr_curve import summary as their_summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

from roots_tf.metrics import plots


def test_cells_hold_the_share_of_their_row():
    image = plots.confusion_image(np.array([[3, 1, 0], [0, 7, 0], [0, 0, 0]]))
    side, cell = 3 * 160 + 1, 160
    assert image.shape == (side, side, 3)
    assert image.dtype == np.uint8
    inside = image[cell // 2 :: cell, cell // 2 :: cell]
    assert inside[0].tolist() == [[70, 100, 144], [193, 203, 218], [255, 255, 255]]
    assert inside[1].tolist() == [[255, 255, 255], [8, 48, 107], [255, 255, 255]]
    assert (inside[2] == 255).all()
    for line in (0, cell, 2 * cell, 3 * cell):
        assert (image[line] == 200).all()
        assert (image[:, line] == 200).all()
    assert not (image[1:cell, 1:cell] == 200).any()


def test_many_classes_stay_visible():
    assert plots.confusion_image(np.eye(300)).shape == (1201, 1201, 3)


def test_names_cannot_break_the_table():
    table = plots.confusion_markdown(np.array([[5, 1], [0, 4]]), ["a|b", "two\nlines"])
    assert table.splitlines() == [
        "| label / prediction | a\\|b | two lines |",
        "| :-- | --: | --: |",
        "| a\\|b | 5 | 1 |",
        "| two lines | 0 | 4 |",
    ]


def test_a_curve_by_hand():
    curve = plots.pr_curve([True, False, True, False], [1.0, 0.5, 0.5, -3.0], 3)
    assert curve.dtype == np.float32
    assert curve.tolist() == [
        [2, 2, 1],  # true positives at 0, 1/2, 1
        [2, 1, 0],
        [0, 1, 2],
        [0, 0, 1],
        [0.5, pytest.approx(2 / 3), 1.0],
        [1.0, 1.0, 0.5],
    ]


def test_a_curve_is_every_threshold_tried_and_what_tensorboard_computes():
    rng = np.random.default_rng(0)
    labels = rng.random(500) < 0.3
    scores = np.clip(rng.normal(0.3 + 0.3 * labels, 0.2), 0, 1).astype(np.float32)
    curve = plots.pr_curve(labels, scores)
    assert curve.shape == (6, 127)
    for threshold, column in zip(np.linspace(0, 1, 127), curve.T, strict=True):
        said = scores >= threshold
        counts = [(said & labels), (said & ~labels), (~said & ~labels), (~said & labels)]
        assert column[:4].tolist() == [count.sum() for count in counts]
    theirs = their_summary.pb("curve", labels, scores, num_thresholds=127).value[0].tensor
    np.testing.assert_allclose(curve, tensor_util.make_ndarray(theirs), rtol=1e-6)


def test_without_positives_or_predictions_nothing_is_nan():
    assert np.isfinite(plots.pr_curve([False, False], [0.2, 0.4])).all()
    assert np.isfinite(plots.pr_curve([True, True], [0.2, 0.4])).all()


def test_tensorboard_reads_a_curve_back(tmp_path):
    curve = plots.pr_curve([True, False, True], [0.9, 0.8, 0.4])
    value = summary_pb2.Summary.Value(
        tag="pr/sport",
        metadata=metadata.create_summary_metadata("sport", "", curve.shape[1]),
        tensor=tensor_util.make_tensor_proto(curve),
    )
    writer = EventFileWriter(str(tmp_path / "dev"))
    summary = summary_pb2.Summary(value=[value])
    writer.add_event(event_pb2.Event(wall_time=time.time(), step=40, summary=summary))
    writer.close()

    runs = plugin_event_multiplexer.EventMultiplexer()
    runs.AddRunsFromDirectory(str(tmp_path))
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, str(tmp_path))
    plugin = pr_curves_plugin.PrCurvesPlugin(base_plugin.TBContext(data_provider=provider))
    context = RequestContext()
    assert plugin.tags_impl(context, "") == {
        "dev": {"pr/sport": {"displayName": "sport", "description": ""}}
    }
    (entry,) = plugin.pr_curves_impl(context, "", ["dev"], "pr/sport")["dev"]
    shown = len(entry["thresholds"])  # those at which anything is predicted
    assert shown == 114
    assert entry["step"] == 40
    names = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    for row, name in zip(curve, (*names, "precision", "recall"), strict=True):
        assert entry[name] == row[:shown].tolist()
