"""What a run writes down: `metrics.jsonl`, and the same for TensorBoard under `logs/`.

Each row has a `group` ("train": over the steps since the last row; "held_out": over the held-out
batches), a global `step`, and scalars. A scalar of which nothing is known is not there.

    name                         unit      meaning
    what the task declares                 its losses, whose sum is the loss, and its scores: see
                                           the objective, or the kind of task
    learning_rate
    loss_scale                             factor of the loss before the backward pass (float16)
    gradient_norm                2-norm    before clipping, mean over steps
    clipped                      share     steps whose gradient was scaled down
    skipped                      steps     without a finite gradient; they change no weight and
                                           count in no other scalar but the speeds
    spikes                       steps     with a gradient norm far above the rows before
    parameter_norm, update_norm  2-norm    of the trained weights; of what a step added to them
    tokens_per_second                      positions, padding included; the first row also holds
                                           the time of tracing and compiling
    examples_per_second                    rows of batches
    input_wait                   share     time in which a step waited for its batch
    flop_utilization             share     FLOP/s of the model, of those the devices can reach
    memory_bytes                 bytes     of this process now, and
    memory_peak_bytes            bytes       at most since its start
    gpu_memory_bytes             bytes     of the fullest GPU now, and
    gpu_memory_peak_bytes        bytes       at most since the start

Of a mixture of sources the held-out scalars are means over the sources, and each source has its own
beside them, such as `held_out/zh/masked_lm_loss`.

TensorBoard shows them by section, such as `loss/masked_lm_loss`, and in the held-out group texts
and in the train group histograms of weights, where a run gives them.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.pr_curve import metadata as pr_curve
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

from roots_tf.losses import Scalar
from roots_tf.training import step as steps
from roots_tf.training.metrics_file import MetricsFile, Rows, read_metrics
from roots_tf.training.trackers import Trackers

# What the same run gives differently each time.
MEMORY = frozenset({
    *("memory_bytes", "memory_peak_bytes", "gpu_memory_bytes", "gpu_memory_peak_bytes")
})  # fmt: skip
TIMED = MEMORY | {"tokens_per_second", "examples_per_second", "input_wait", "flop_utilization"}


class Summaries:
    """Writes what a run tells at global steps, each step once.

    Args:
        folder: of the run.
        step: where the run stands. Later steps, which an earlier process told before it was killed,
            are removed from `metrics.jsonl` and superseded in TensorBoard.
        declared: the scalars of the task, which say in what section of TensorBoard they stand; one
            that nobody declared, such as a score of fine-tuning, stands under "score".
        rows: what `metrics.jsonl` held at this step, where that is known; if it is damaged, a line
            of the log says so.
        report_to: trackers that get the scalars too, see `trackers`.
    """

    def __init__(
        self,
        folder: str | Path,
        step: int,
        declared: Sequence[Scalar] = (),
        rows: Rows | None = None,
        report_to: Sequence[str] = (),
    ):
        self._sections = {scalar.name: scalar.section for scalar in (*steps.SCALARS, *declared)}
        self._sections |= {name: "speed" for name in TIMED} | {name: "memory" for name in MEMORY}
        self.logs = Path(folder, "logs")
        self._folder, self._step = Path(folder), step
        self._writers: dict[str, EventFileWriter] = {}
        told = read_metrics(folder) if report_to else []
        self._file = MetricsFile(folder, step, rows)
        self.trackers = Trackers(report_to, folder, told, read_metrics(folder) if report_to else [])
        for group in {path.parent.name for path in self.logs.glob("*/events.out.tfevents.*")}:
            self._writer(group)

    def history(self, group: str, name: str) -> list[float]:
        """Values of the scalar `name` in all rows of the `group` so far, oldest first."""
        rows = read_metrics(self._folder)
        return [row[name] for row in rows if row["group"] == group and name in row]

    def rows(self) -> Rows:
        """What `metrics.jsonl` holds now, once that is on the disk."""
        return self._file.rows()

    def write(self, group: str, step: int, scalars: dict[str, float]) -> None:
        """Writes the scalars of one step.

        Args:
            group: which of the curves they go on, such as "train".
            step: number of updates done.
            scalars: by name.
        """
        value = summary_pb2.Summary.Value
        self._add(
            group,
            step,
            [value(tag=self._tag(name), simple_value=scalar) for name, scalar in scalars.items()],
        )
        # JSON has no NaN: a scalar that is none, of a run that fails, stands in TensorBoard alone.
        known = {name: value for name, value in scalars.items() if math.isfinite(value)}
        self._file.append({"group": group, "step": step} | known)
        self.trackers.write(group, step, known)

    def write_texts(self, group: str, step: int, texts: dict[str, str]) -> None:
        """Writes Markdown `texts` by name, for TensorBoard only; the rest as for `write`."""
        self._add(group, step, [text_pb(name, text).value[0] for name, text in texts.items()])

    def write_histograms(self, group: str, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Writes histograms of `arrays` by name, for TensorBoard only; the rest as for `write`."""
        value = summary_pb2.Summary.Value
        self._add(
            group,
            step,
            [value(tag=name, histo=_histogram(array)) for name, array in arrays.items()],
        )

    def write_image(self, group: str, step: int, name: str, image: np.ndarray) -> None:
        """Writes a picture, uint8 [H, W, 3], for TensorBoard only; the rest as for `write`."""
        height, width, channels = image.shape
        picture = summary_pb2.Summary.Image(
            height=height,
            width=width,
            colorspace=channels,
            encoded_image_string=tf.io.encode_png(image).numpy(),
        )
        self._add(group, step, [summary_pb2.Summary.Value(tag=name, image=picture)])

    def write_pr_curves(self, group: str, step: int, curves: dict[str, np.ndarray]) -> None:
        """Writes precision and recall over thresholds, for TensorBoard only.

        Args:
            group: as for `write`.
            step: likewise.
            curves: by name, as `roots_tf.metrics.plots.pr_curve` gives them, [6, thresholds].
        """
        value = summary_pb2.Summary.Value
        self._add(
            group,
            step,
            [
                value(
                    tag=f"precision_recall/{name}",
                    metadata=pr_curve.create_summary_metadata(name, "", curve.shape[1]),
                    tensor=tensor_util.make_tensor_proto(curve),
                )
                for name, curve in curves.items()
            ],
        )

    def _tag(self, name: str) -> str:
        """The scalar with its section; the name of one of a source holds its own."""
        return name if "/" in name else f"{self._sections.get(name, 'score')}/{name}"

    def _add(self, group: str, step: int, values: list) -> None:
        self._event(group, step, summary=summary_pb2.Summary(value=values))

    def _event(self, group: str, step: int, **content) -> None:
        writer = self._writer(group)
        writer.add_event(event_pb2.Event(wall_time=time.time(), step=step, **content))
        writer.flush()

    def _writer(self, group: str) -> EventFileWriter:
        if group not in self._writers:
            self._writers[group] = EventFileWriter(str(self.logs / group))
            # By this TensorBoard forgets what files before hold of this step and later ones.
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._event(group, self._step + 1, session_log=start)
        return self._writers[group]


def _histogram(array: np.ndarray) -> summary_pb2.HistogramProto:
    """Thirty equal buckets over the finite elements of an array."""
    values = array[np.isfinite(array)].astype(np.float64)
    counts, edges = np.histogram(values, bins=30)
    return summary_pb2.HistogramProto(
        min=values.min(initial=np.inf),
        max=values.max(initial=-np.inf),
        num=values.size,
        sum=values.sum(),
        sum_squares=np.square(values).sum(),
        bucket_limit=edges[1:],
        bucket=counts,
    )
