"""Trackers get what metrics.jsonl has, at the same steps, and never stand in a run's way."""

import importlib.abc
import json
import signal
import sys

import pytest

from roots_tf.storage.files import InputError
from roots_tf.training import loop, run, strategies, trackers
from roots_tf.training.automatic import Computation
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.reporting import Work
from roots_tf.training.settings import Cadence, Optimization
from tests.training.test_loop import Regression, batches

FLAGS = {"roots_tf": "0.4.0", "program": "pretrain", "learning_rate": 0.1, "columns": ["a", "b"]}


class Recorder:
    """A tracker that remembers what it was told, run by run."""

    runs: dict = {}

    def __init__(self, start: trackers.Start):
        self.run_id = start.run_id or f"run {len(self.runs)}"
        self.told = self.runs.setdefault(self.run_id, {"rows": {}, "start": start, "twice": []})

    def write(self, step, scalars):
        for name, value in scalars.items():
            self.told["twice"] += [name] * ((name, step) in self.told["rows"])
            self.told["rows"][name, step] = value

    def finish(self, report, end):
        self.told |= {"report": dict(report), "end": end}


class Unreachable(Recorder):
    """One whose server is gone after a while."""

    steps: list = []

    def __init__(self, start):
        self.run_id = "gone"

    def write(self, step, scalars):
        self.steps.append(step)
        if step > 2:
            raise ConnectionError("no\nroute")


class Forbidden(importlib.abc.MetaPathFinder):
    """Finds no tracker, and says that somebody has looked for one."""

    def find_spec(self, name, path=None, target=None):
        assert name not in ("wandb", "mlflow")


@pytest.fixture(autouse=True)
def table(monkeypatch):
    """The table with trackers of the test's own; names of packages that are installed."""
    own = {"json": Recorder, "csv": Unreachable, "dis": Recorder}
    monkeypatch.setattr(trackers, "TRACKERS", trackers.TRACKERS | own)
    monkeypatch.setattr(Recorder, "runs", {})
    monkeypatch.setattr(Unreachable, "steps", [])


def train(folder, *report_to, last_step=6, signal_at=None, report=None):
    """Trains a line to its end, or to a signal, from where it stands."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(FLAGS | {"inputs": {}, "changes": []}))
    cadence = Cadence(1, log_every=2, evaluate_every=3, checkpoint_every=0, report_to=report_to)
    settings = run.Settings(Optimization(), Computation("float32", False), cadence)
    with strategies.make_strategy("one_device").scope():
        training = run.Run(Regression(), folder, settings)
        training.restore()
        stage = loop.Stage(
            lambda at: batches(at, signal_at=signal_at, number=signal.SIGINT),
            last_step,
            Work(4),
            evaluate=lambda: {"squared_loss": 0.5, "held_out/zh/squared_loss": 0.25},
        )
        training.train(stage, Optimization())
        training.finish()
        training.report(report or {"step": last_step, "dev": {"f1": 0.5, "by": ["x"], "ok": True}})


def rows(folder):
    """What metrics.jsonl holds, by the names that trackers have."""
    return {
        (name if "/" in name else f"{row['group']}/{name}", row["step"]): value
        for row in read_metrics(folder)
        for name, value in row.items()
        if name not in ("group", "step")
    }


def test_a_run_is_told_to_trackers_that_ask_stopped_or_not(tmp_path, monkeypatch, caplog):
    folder = tmp_path / "line"
    with monkeypatch.context() as patch:  # nothing is imported where nobody asks
        patch.setattr(sys, "meta_path", [Forbidden(), *sys.meta_path])
        for name in [name for name in sys.modules if name.split(".")[0] in ("wandb", "mlflow")]:
            patch.delitem(sys.modules, name)
        with pytest.raises(loop.StoppedError):
            train(folder, signal_at=2)
    assert not (folder / "trackers.json").exists()

    with pytest.raises(loop.StoppedError):
        train(folder, "json", signal_at=4)
    [(run_id, told)] = Recorder.runs.items()
    assert ("train/squared_loss", 2) in told["rows"]  # of before it was asked for
    assert (told["start"].name, told["start"].config) == ("line", FLAGS)
    assert told["end"] == "stopped"

    train(folder, "json", "csv", "dis")
    assert told["rows"] == rows(folder)
    assert {("train/squared_loss", 6), ("held_out/zh/squared_loss", 3)} <= told["rows"].keys()
    assert (told["twice"], told["end"]) == ([], "finished")
    assert told["report"] == {"report/step": 6.0, "report/dev/f1": 0.5}
    assert Recorder.runs["run 1"]["rows"] == rows(folder)  # the one that came last
    kept = json.loads((folder / "trackers.json").read_text())
    assert kept == {"json": run_id, "dis": "run 1", "csv": "gone"}

    [line] = [r.getMessage() for r in caplog.records if "takes no more" in r.getMessage()]
    assert "csv takes no more of this run (ConnectionError: no route)" in line
    assert Unreachable.steps == [2, 3]  # that of step 3 has failed, and it was asked no more


def test_steps_that_are_trained_again_are_told_once(tmp_path):
    told = [{"group": "train", "step": step, "loss": 1.0} for step in (2, 4)]
    trackers.Trackers(["json"], tmp_path, told, told).finish()
    again = trackers.Trackers(["json"], tmp_path, told, told[:1])
    for step in (4, 6):
        again.write("train", step, {"loss": 1.0})
    [found] = Recorder.runs.values()
    assert (list(found["rows"]), found["twice"]) == ([("train/loss", s) for s in (2, 4, 6)], [])


def test_a_seed_of_a_run_has_the_flags_above_it_and_damaged_ids_begin_anew(tmp_path, caplog):
    (tmp_path / "task" / "seed_0").mkdir(parents=True)
    (tmp_path / "task" / "config.json").write_text(json.dumps(FLAGS))
    (tmp_path / "task" / "seed_0" / "trackers.json").write_text("{")
    trackers.Trackers(["json"], tmp_path / "task" / "seed_0").finish({"dev": 1}, "failed")
    [told] = Recorder.runs.values()
    assert (told["start"].name, told["start"].config) == ("task/seed_0", FLAGS)
    assert (told["report"], told["end"]) == ({"report/dev": 1.0}, "failed")
    assert "trackers begin new runs" in caplog.text


def test_trackers_that_there_are_not_are_refused_first(monkeypatch):
    trackers.check_trackers(["json", "csv"])
    with pytest.raises(InputError, match="found --report_to=tensorbord; wanted any of wandb, mlfl"):
        trackers.check_trackers(["tensorbord"])
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"no package wandb; .* pip install 'roots-tf\[wandb\]'"):
        trackers.check_trackers(["wandb"])


def records(content: bytes):
    """Records of a file in the format of LevelDB's log, behind a head of 7 bytes."""
    place, record = 7, b""
    while place + 7 <= len(content):
        if (32768 - place % 32768) < 7:  # too little is left of a block for another part
            place += 32768 - place % 32768
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def test_wandb_has_the_rows(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="pip install 'roots-tf[wandb]'")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(tmp_path / "line", "wandb")
    [path] = (tmp_path / "line").glob("wandb/offline-run-*/run-*.wandb")
    found, flags, report = {}, {}, {}
    for data in records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        values = {item.key or "/".join(item.nested_key): item for item in record.history.item}
        if values:
            step = int(values.pop("_step").value_json)
            found |= {(n, step): json.loads(i.value_json) for n, i in values.items() if n[0] != "_"}
        flags |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        report |= {i.key: json.loads(i.value_json) for i in record.summary.update}
    assert found == rows(tmp_path / "line")
    assert FLAGS.items() <= flags.items()
    assert {"report/step": 6.0, "report/dev/f1": 0.5}.items() <= report.items()
    [run_id] = json.loads((tmp_path / "line" / "trackers.json").read_text()).values()
    assert path.name == f"run-{run_id}.wandb"


def test_mlflow_has_the_rows(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="pip install 'roots-tf[mlflow]'")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(loop.StoppedError):
        train(tmp_path / "line", "mlflow", signal_at=3)
    client, [run_id] = (
        mlflow.MlflowClient(),
        json.loads((tmp_path / "line" / "trackers.json").read_text()).values(),
    )
    assert client.get_run(run_id).info.status == "KILLED"
    train(tmp_path / "line", "mlflow")
    kept = client.get_run(run_id)
    assert (kept.info.status, kept.info.run_name) == ("FINISHED", "line")
    assert kept.data.params == {name: str(value) for name, value in FLAGS.items()}
    report = {"report/step": 6.0, "report/dev/f1": 0.5}
    found = [m for name in kept.data.metrics for m in client.get_metric_history(run_id, name)]
    values = {(m.key, m.step): m.value for m in found if m.key not in report}
    assert len(values) == len(found) - len(report)
    assert values == rows(tmp_path / "line")
    assert {name: kept.data.metrics[name] for name in report} == report
