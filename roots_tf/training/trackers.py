"""What a run tells to trackers of experiments that `--report_to` asks for; no other is imported.

A tracker gets what `metrics.jsonl` gets, by the names `GROUP/SCALAR` at the same steps, the flags
as its config, and the numbers of the last report as `report/NAME`. Its id is kept in
`trackers.json`, so that a run that goes on goes on there too. A tracker that fails is told of once
and given up: it stops no training. Another one is a class with the methods of `Tracker` and a row
of `TRACKERS`.
"""

import importlib.util
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from absl import logging

from roots_tf.storage import files, schema
from roots_tf.storage.files import InputError

NAME = "trackers.json"
PROJECT = "roots-tf"
_OWN = ("inputs", "changes")  # keys of config.json that are no flags
End = Literal["finished", "failed", "stopped"]


class Tracker(Protocol):
    """A run as a tracker keeps it."""

    run_id: str

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Takes finite `scalars` by name, at a `step`."""

    def finish(self, report: Mapping[str, float], end: End) -> None:
        """Takes the numbers of the last `report` by name; `end` says why nothing comes any more."""


class Start(NamedTuple):
    """What a tracker is told of a run first.

    Attributes:
        name: of the run: its folder.
        folder: of the run, where a tracker may keep files.
        config: flags by name.
        run_id: of the run that it goes on with; None: a new one.
    """

    name: str
    folder: Path
    config: Mapping[str, object]
    run_id: str | None


class _Wandb:
    """A run of Weights & Biases, of the project `WANDB_PROJECT` or `roots-tf`."""

    def __init__(self, start: Start):
        import wandb

        # What nobody asked for stays here: code, printed lines, the machine, its packages.
        quiet = {"console": "off", "disable_code": True, "disable_git": True}
        quiet |= {"disable_job_creation": True, "x_disable_stats": True, "x_disable_meta": True}
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=start.name,
            id=start.run_id,
            resume="allow",
            reinit="create_new",  # beside a run that a notebook has open
            dir=os.environ.get("WANDB_DIR", str(start.folder)),
            config=dict(start.config),
            allow_val_change=True,
            settings=wandb.Settings(**quiet, x_save_requirements=False),
        )
        self.run_id = self._run.id

    def write(self, step, scalars):
        self._run.log(dict(scalars), step=step)

    def finish(self, report, end):
        self._run.summary.update(dict(report))
        self._run.finish(exit_code={"finished": 0, "failed": 1, "stopped": 130}[end])


class _MLflow:
    """A run of MLflow, of the experiment `MLFLOW_EXPERIMENT_NAME` or `roots-tf`."""

    def __init__(self, start: Start):
        # A server that does not answer is given up after seconds, not after minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        import mlflow

        self._client, self._entities = mlflow.MlflowClient(), mlflow.entities
        if start.run_id is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            experiment = self._client.get_experiment_by_name(name)
            number = (
                experiment.experiment_id if experiment else self._client.create_experiment(name)
            )
            self.run_id = self._client.create_run(number, run_name=start.name).info.run_id
            flags = [
                self._entities.Param(flag, str(value)[:6000])  # as many as it takes
                for flag, value in start.config.items()
            ]
            for first in range(0, len(flags), 100):  # likewise
                self._client.log_batch(self.run_id, params=flags[first : first + 100])
        else:
            self.run_id = start.run_id
            self._client.update_run(self.run_id, status="RUNNING")

    def write(self, step, scalars):
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(n, value, now, step) for n, value in scalars.items()]
        self._client.log_batch(self.run_id, metrics=metrics)

    def finish(self, report, end):
        self.write(int(report.get("report/step", 0)), report)
        status = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}[end]
        self._client.set_terminated(self.run_id, status)


# By the name that `--report_to` takes, which is also the package's and that of the extra.
TRACKERS: dict[str, Callable[[Start], Tracker]] = {"wandb": _Wandb, "mlflow": _MLflow}


def check_trackers(names: Sequence[str]) -> None:
    """Refuses trackers that there are not; before training begins, and without TensorFlow.

    Args:
        names: of `--report_to`.

    Raises:
        InputError: one is none of `TRACKERS`, or its package is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise InputError(
                "no-such-choice", f"found --report_to={name}; wanted any of {', '.join(TRACKERS)}"
            )
        if importlib.util.find_spec(name) is None:
            raise InputError(
                "missing-extra",
                f"found --report_to={name} and no package {name}; wanted it: pip install "
                f"'roots-tf[{name}]'",
            )


class Trackers:
    """The trackers of one run, which all get the same; without names it does nothing.

    Args:
        names: of `--report_to`.
        folder: of the run.
        told: rows of `metrics.jsonl` that an earlier process has written, those of steps that are
            trained again among them: a tracker that goes on has them.
        kept: those that stand there still: a tracker that is new gets them first.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        folder: str | Path = "",
        told: Sequence[dict] = (),
        kept: Sequence[dict] = (),
    ):
        self._open: dict[str, Tracker] = {}
        self._has: dict[str, set] = {}
        if not names:
            return
        path, (name, config) = Path(folder, NAME), _of_run(Path(folder))
        ids = _ids(path)
        for tracker in dict.fromkeys(names):
            start = Start(name, Path(folder), config, ids.get(tracker))
            self._spared(tracker, lambda start=start, key=tracker: self._begin(key, start))
            if tracker in self._open:
                rows = told if start.run_id else ()
                self._has[tracker] = {(row["group"], row["step"]) for row in rows}
        files.write_json(path, ids | {name: each.run_id for name, each in self._open.items()})
        for row in kept:
            scalars = {key: value for key, value in row.items() if key not in ("group", "step")}
            self.write(row["group"], row["step"], scalars)

    def _begin(self, name: str, start: Start) -> None:
        self._open[name] = TRACKERS[name](start)

    def write(self, group: str, step: int, scalars: Mapping[str, float]) -> None:
        """Tells a row; arguments as for `Summaries.write`, without what is not finite."""
        named = {
            name if "/" in name else f"{group}/{name}": value for name, value in scalars.items()
        }
        for name, tracker in list(self._open.items()):
            if (group, step) not in self._has[name]:
                self._spared(name, lambda tracker=tracker: tracker.write(step, named))

    def finish(self, report: Mapping[str, object] | None = None, end: End = "finished") -> None:
        """Tells the last report, whatever JSON values are in it, and that nothing comes any more.

        Args:
            report: of which the numbers count.
            end: why.
        """
        numbers = dict(_numbers(report or {}, "report"))
        for name, tracker in list(self._open.items()):
            self._spared(name, lambda tracker=tracker: tracker.finish(numbers, end))
        self._open.clear()

    def _spared(self, name: str, action: Callable[[], None]) -> None:
        """Does something with a tracker, which may fail in any way; then it is given up."""
        try:
            action()
        except Exception as error:
            self._open.pop(name, None)
            logging.warning(
                "%s takes no more of this run (%s: %s); training goes on without it, and "
                "metrics.jsonl has all of it. Where its run is gone, remove it from %s",
                *(name, type(error).__name__, " ".join(str(error).split())[:300], NAME),
            )


def _ids(path: Path) -> dict[str, str]:
    """Ids of the runs that trackers keep, by their names."""
    try:
        return (
            schema.check(files.read_json(path), dict[str, str], str(path)) if path.exists() else {}
        )
    except InputError as error:
        logging.warning("%s; trackers begin new runs", error)
        return {}


def _of_run(folder: Path) -> tuple[str, dict[str, object]]:
    """The name of a run and its flags; a seed of finetune has them in the folder above."""
    path = folder.resolve()
    above = path.parent
    if not (path / "config.json").exists() and (above / "config.json").exists():
        name, path = f"{above.name}/{path.name}", above
    else:
        name = path.name
    config = files.read_json(path / "config.json") if (path / "config.json").exists() else {}
    return name, {key: value for key, value in config.items() if key not in _OWN}


def _numbers(value: object, place: str) -> Iterator[tuple[str, float]]:
    """Finite numbers in objects, by their place: `report/dev/accuracy`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{place}/{key}")
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield place, float(value)
