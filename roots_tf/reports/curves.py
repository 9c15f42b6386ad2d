"""Series from the rows of a run: by step, by tokens and by the time that training took.

Rows hold no clock. Of each row of training it is known how fast the steps since the row before
went; from that follow the tokens and the seconds up to it. Evaluations, checkpoints and the time in
which a run was stopped do not count.
"""

import bisect
import dataclasses
import functools
import itertools
from collections.abc import Sequence

from roots_tf.pages.axes import drawable
from roots_tf.reports.run_folder import RunFolder

AXES = {"step": "step", "tokens": "tokens, padding among them", "time": "hours of training"}
TRAIN = "train"
Points = list[tuple[float, object]]  # what is no number to be drawn is a gap


@dataclasses.dataclass(frozen=True)
class History:
    """Rows of one model under training.

    Attributes:
        rows: of metrics.jsonl, in order.
        batches: (first step, examples in a batch, tokens in an example) of each phase; 0 where it
            is not known.
    """

    rows: Sequence[dict]
    batches: Sequence[tuple[int, int, int]]

    def names(self, suffix: str = "") -> list[str]:
        """Names of scalars that end so, in the order in which they came; not those of a source."""
        names = itertools.chain.from_iterable(self.rows)
        return [
            name
            for name in dict.fromkeys(names)
            if name.endswith(suffix) and "/" not in name and name not in ("group", "step")
        ]

    def groups(self) -> list[str]:
        """Groups of rows, such as "train", "held_out"."""
        return list(self._by_group)

    def points(self, group: str, name: str, axis: str = "step") -> Points:
        """A scalar from the first row that has it on; None where a row lacks it.

        The run leaves out numbers that are not finite, so such a row is a gap.

        Args:
            group: of rows.
            name: of the scalar.
            axis: of `AXES`.
        """
        rows = self._by_group.get(group, [])
        first = next((place for place, row in enumerate(rows) if name in row), len(rows))
        if axis == "step":
            return [(row["step"], row.get(name)) for row in rows[first:]]
        return [(self.at(row["step"], axis), row.get(name)) for row in rows[first:]]

    def sources(self, name: str) -> list[str]:
        """Sources of a mixture that a held-out scalar is told of apart."""
        end = f"/{name}"
        names = dict.fromkeys(itertools.chain.from_iterable(self.rows))
        found = [n for n in names if n.startswith("held_out/") and n.endswith(end)]
        return [n.removeprefix("held_out/").removesuffix(end) for n in found]

    def at(self, step: int, axis: str = "step") -> float:
        """Where a `step` stands on an `axis` of `AXES`; between two rows in proportion."""
        if axis == "step":
            return drawable(step) or 0.0
        steps, *columns = self._clock
        values = columns[axis == "time"]
        if len(steps) < 2:
            return 0.0
        place = min(max(bisect.bisect_left(steps, step), 1), len(steps) - 1)
        low, high = steps[place - 1 : place + 1]
        share = (min(step, high) - low) / (high - low)
        return values[place - 1] + share * (values[place] - values[place - 1])

    def total(self, axis: str) -> float:
        """What the whole run took on an axis."""
        return self.at(max((row["step"] for row in self.rows), default=0), axis)

    @functools.cached_property
    def _by_group(self) -> dict[str, list[dict]]:
        """Rows of each group, in the order in which the groups came."""
        rows: dict[str, list[dict]] = {}
        for row in self.rows:
            rows.setdefault(row["group"], []).append(row)
        return rows

    @functools.cached_property
    def _clock(self) -> tuple[list[int], list[float], list[float]]:
        """Steps of the rows of training, and the tokens and hours up to each."""
        return _clock(self.rows, self.batches)


def _clock(rows, batches) -> tuple[list[int], list[float], list[float]]:
    steps, tokens, hours = [0], [0.0], [0.0]
    for row in rows:
        if row["group"] != TRAIN or row["step"] <= steps[-1] or row["step"] > 1e15:
            continue
        rate = drawable(row.get("tokens_per_second")) or 0.0
        examples = drawable(row.get("examples_per_second")) or 0.0
        _, batch, length = max(
            (phase for phase in batches if phase[0] < row["step"]), default=(0, 0, 0)
        )
        an_example = drawable(rate / examples) if examples > 0 else length
        done = drawable((row["step"] - steps[-1]) * batch * (an_example or length)) or 0.0
        took = drawable(done / rate / 3600) if rate > 0 else 0.0
        steps.append(row["step"])
        tokens.append(drawable(tokens[-1] + done) or 0.0)
        hours.append(drawable(hours[-1] + (took or 0.0)) or 0.0)
    return steps, tokens, hours


def histories(run: RunFolder) -> dict[str, History]:
    """The histories of a run, by the name of what was trained."""
    if run.phases:
        firsts = [0, *(run.plan.get("last_steps") or [])]
        batches = [
            (first, _whole(phase.get("batch_size")), _whole(phase.get("max_seq_length")))
            for first, phase in zip(firsts, run.phases, strict=False)
        ]
    else:
        size = run.plan.get("batch_size") or run.flags.get("batch_size")
        batches = [(0, _whole(size), 0)]
    return {name: History(rows, batches) for name, rows in run.histories.items()}


def _whole(value) -> int:
    return value if isinstance(value, int) and 0 < value < 1 << 50 else 0
