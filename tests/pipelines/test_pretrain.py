"""`pretrain`: learns, resumes to the same bits after a kill, and stops cleanly."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from pipelines import build_examples, pretrain
from roots_tf import examples, program, training
from roots_tf.storage.files import InputError
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.summaries import TIMED
from tests.processes import command, start

TINY = {
    "size": "custom", "num_layers": 1, "hidden_dim": 32, "num_heads": 2, "intermediate_dim": 64,
    "batch_size": 8, "evaluate_batches": 2, "evaluate_every": 0, "log_every": 5,
    "checkpoint_every": 10, "steps_per_call": 5, "learning_rate": 5e-3,
    "precision": "float32", "peak_flops": 1e11,
}  # fmt: skip


def config(work, output, **fields) -> pretrain.Config:
    flags = {"examples": work.examples, "output": str(output)} | TINY | fields
    return program.make(pretrain.Config, **flags)


def weights(output) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(Path(output, "model", "model.safetensors"))


def curve(output) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in TIMED} for row in read_metrics(output)]


def wait_for(condition, process, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_it_learns_and_leaves_everything_it_names(work, tmp_path):
    report = pretrain.main(config(work, tmp_path, duration="600"))
    rows = [row for row in read_metrics(tmp_path) if row["group"] == "train"]
    assert [row["step"] for row in rows] == list(range(5, 601, 5))
    assert rows[0]["masked_lm_loss"] > np.log(1000) - 0.5
    assert report["masked_lm_loss"] < rows[0]["masked_lm_loss"] - 0.8
    assert report["step"] == 600
    assert 0 < rows[-1]["flop_utilization"] < 100  # of the peak that the flags give
    assert json.loads((tmp_path / "config.json").read_text())["duration"] == "600"
    assert tf.io.gfile.glob(str(tmp_path / "logs" / "*" / "events*"))
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "model.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
    ]  # fmt: skip
    before = (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns
    assert pretrain.main(config(work, tmp_path, duration="600")) == report  # does nothing
    assert (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_moved_run_goes_on_longer_on_other_devices_and_with_moved_examples(work, tmp_path):
    shutil.copytree(work.examples, tmp_path / "examples")
    fields = {"examples": str(tmp_path / "examples"), "duration": "10"}
    pretrain.main(config(work, tmp_path / "run", **fields))
    (tmp_path / "run").rename(tmp_path / "moved")
    (tmp_path / "examples").rename(tmp_path / "texts")
    longer = {"examples": f"{tmp_path}/texts/", "duration": "15", "log_every": 3}
    longer |= {"strategy": "mirrored", "num_devices": 2}
    report = pretrain.main(config(work, f"{tmp_path}/moved/", **longer))
    assert report["step"] == 15
    rows = [row for row in read_metrics(tmp_path / "moved") if row["group"] == "train"]
    assert [row["step"] for row in rows] == [5, 10, 12, 15]
    # The schedule is that of 15 steps: one of warm-up, then 14 down to 0.
    assert rows[2]["learning_rate"] == pytest.approx(5e-3 * 4.5 / 14)  # mean of two
    saved = json.loads((tmp_path / "moved" / "config.json").read_text())
    [change] = saved["changes"]
    assert change["flags"]["duration"] == ["10", "15"]
    assert change["flags"].keys() - {"examples"} == longer.keys() - {"examples"}
    assert not (tmp_path / "moved" / ".lock").exists()
    for fields, message in (
        ({"duration": "10"}, r"found a run at step 15 in .*moved, and flags that end it at 10"),
        ({"learning_rate": 1e-3}, r"found learning_rate=0.005; wanted learning_rate=0.001"),
        ({"examples": work.examples, "seed": 1}, "found seed=0; wanted seed=1"),
        ({"phases": ("duration=15",)}, r"found .*phases.*; wanted "),
    ):
        with pytest.raises(InputError, match=message):
            pretrain.main(config(work, tmp_path / "moved", **longer | fields))
    manifest = json.loads((tmp_path / "texts" / "manifest.json").read_text())
    manifest["splits"]["train"]["shards"][0]["sha256"] = "0" * 64
    (tmp_path / "texts" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="found another content of --examples than the run in"):
        pretrain.main(config(work, tmp_path / "moved", **longer))


def test_phases_go_on_with_moved_examples_and_a_longer_end(work, tmp_path):
    def claim(first="duration=12", second="duration=8 batch_size=4", **fields):
        phases = (f"examples={work.examples} {first}", f"examples={work.examples}/ {second}")
        flags = config(work, tmp_path, examples="", phases=phases, **fields)
        found = pretrain.phases_of(flags)
        return training.claim_of(flags, found, pretrain.of_a_phase(flags))

    claim().begin(tmp_path)
    (tmp_path / "metrics.jsonl").touch()
    claim("duration=12steps", "duration=20 batch_size=4 accumulate_steps=2").begin(tmp_path)
    for fields, message in (
        (
            {"first": "duration=13"},
            r"found phases\[0\].duration=12; wanted phases\[0\].duration=13",
        ),
        ({"second": "duration=8"}, r"found phases\[1\].batch_size=4; wanted .*batch_size=8"),
        (
            {"second": "duration=8 batch_size=4 mask_rate=0.3"},
            r"phases\[1\].mask_rate=0.15; wanted",
        ),
    ):
        with pytest.raises(InputError, match=message):
            claim(**fields).begin(tmp_path)


def test_tensorboard_scalars_stand_at_global_steps(work):
    [path] = tf.io.gfile.glob(work.pretrained + "/logs/train/events*")
    steps = [
        event.step
        for event in tf.compat.v1.train.summary_iterator(path)
        for value in event.summary.value
        if value.tag == "loss/masked_lm_loss"
    ]
    assert steps == [10, 20]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_exits_with_its_number(work, tmp_path, number):
    endless = config(work, tmp_path, duration="1_000_000", checkpoint_every=0)
    if number == signal.SIGTERM:  # as a user starts it; the other needs no import of its own
        process = subprocess.Popen(command(endless), stderr=subprocess.PIPE, text=True)
    else:
        process = start(endless)
    wait_for(lambda: len(read_metrics(tmp_path)) > 2, process)
    process.send_signal(number)
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert "Traceback" not in printed
    assert "saved: run the same command again" in printed.splitlines()[-1]
    [index] = (tmp_path / "checkpoints").glob("*.index")
    assert int(index.stem.removeprefix("ckpt-")) >= read_metrics(tmp_path)[-1]["step"]


@pytest.mark.slow
def test_replicas_train_as_one_device_does(work, tmp_path):
    fields = {"duration": "10", "dropout": 0.0}
    pretrain.main(config(work, tmp_path / "one", **fields))
    mirrored = {"strategy": "mirrored", "num_devices": 2}
    pretrain.main(config(work, tmp_path / "two", **fields, **mirrored))
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], atol=2e-5, err_msg=name)


def test_examples_of_another_vocabulary_are_refused(work, tmp_path):
    shutil.copytree(work.examples, tmp_path / "examples")
    vocabulary = tmp_path / "examples" / "tokenizer" / "tokenizer.json"
    settings = json.loads(vocabulary.read_text("utf-8"))
    settings["normalizer"]["lowercase"] = False
    vocabulary.write_text(json.dumps(settings), "utf-8")
    vocabulary.with_name("tokenizer_config.json").unlink()  # which says lower case
    wrong = dataclasses.replace(config(work, tmp_path / "run"), examples=str(tmp_path / "examples"))
    with pytest.raises(InputError, match=r"found tokenizer .* wanted"):
        pretrain.main(wrong)
    assert not (tmp_path / "run").exists()


def test_a_mistake_does_not_claim_the_folder(work, tmp_path):
    output = tmp_path / "run"
    for fields, message in (
        ({"size": "huge"}, "found --size=huge; wanted one of tiny, mini"),
        ({"size": "mini"}, "found --size=mini and --num_layers; wanted one or"),
        ({"num_layers": 0}, "found --size=custom without --num_layers"),
        ({"accumulate_steps": 3}, "found --batch_size=8; wanted a multiple of 3"),
        ({"mask_rate": 1.5}, "found .*mask_rate.*1.5"),
        ({"mask_rate": 0.5, "max_predictions_per_seq": 5}, "max_predictions_per_seq.* wanted "),
        ({"phases": ("duration=5 schedule=cosin",)}, "found the phase .* --schedule=cosin"),
        ({"phases": ("duration=5", "duration=5 mask_rate=1.5")}, "found .*mask_rate.*1.5"),
        ({"phases": ("duration=5", "")}, "found a phase without settings in --phases"),
        ({"phases": ("duration=5 duration=6",)}, "found a setting twice in the phase"),
        ({"seed": 10**20}, "found --seed=1.*; wanted a number from -1e.18"),
        ({"learning_rate": float("nan")}, "found --learning_rate=nan; wanted a number from 0"),
        ({"steps_per_call": 0}, "found --steps_per_call=0; wanted a number from 1"),
        ({"sentence_objective": "sop", "batch_size": 1}, "found .*batch_size.*1"),
        ({"num_heads": 3}, "found hidden_dim=32 and num_heads=3"),
        ({"strategy": "one_device", "num_devices": 2}, "found --strategy=one_device and --num_"),
        ({"strategy": "mirrored", "num_devices": 9}, "wanted --num_devices=9: use fewer"),
    ):
        with pytest.raises((InputError, program.FlagError), match=message) as raised:
            pretrain.main(config(work, output, **fields))
        assert "\n" not in str(raised.value)
        assert not output.exists(), fields
    assert pretrain.main(config(work, output, duration="5"))["step"] == 5


def test_a_phase_has_the_mask_rate_that_it_names(work, tmp_path):
    phases = ("duration=4 mask_rate=0.3", "duration=4 mask_rate=0.1")
    seen = []

    def pipeline(folder, make_rows, **options):
        dataset = examples.reading.pipeline(folder, make_rows, **options)
        seen.append(next(iter(dataset))["masked_lm_weights"].shape[1])
        return dataset

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "pipeline", pipeline, raising=False)
        pretrain.main(config(work, tmp_path, phases=phases))
    assert set(seen) == {10, 4}  # of rows of 32 tokens: .3 and .1, rounded up


def test_a_damaged_shard_is_named_with_its_offset(work, tmp_path):
    shutil.copytree(work.examples, tmp_path / "examples")
    [shard] = (tmp_path / "examples").glob("examples-*.tfrecord")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    wrong = dataclasses.replace(
        config(work, tmp_path / "run", duration="5"), examples=str(tmp_path / "examples")
    )
    named = rf"found a missing or damaged record in {shard} at byte offset \d+ .*copy the file"
    with pytest.raises(InputError, match=named):
        pretrain.main(wrong)


def test_a_mistake_is_one_line(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "pipelines.pretrain", f"--examples={tmp_path}", "--output=x"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "wanted a folder that build-examples has finished" in run.stderr.splitlines()[-1]
    assert not Path(tmp_path, "x").exists()


def test_phases_share_the_weights_and_the_count_of_steps(work, tmp_path):
    first = f"examples={work.examples} duration=12 learning_rate=5e-3 warmup_steps=2"
    second = f"examples={work.examples} duration=8 batch_size=4 learning_rate=1e-3 warmup_steps=0"
    phases = (first, second + " schedule=constant")
    fields = {"examples": "", "phases": phases, "log_every": 4, "histogram_every": 10}
    report = pretrain.main(config(work, tmp_path, **fields))
    assert report["step"] == 20
    rows = [row for row in read_metrics(tmp_path) if row["group"] == "train"]
    assert [row["step"] for row in rows] == [4, 8, 12, 16, 20]
    assert rows[-1]["learning_rate"] == rows[-2]["learning_rate"] == pytest.approx(1e-3)
    assert [r["step"] for r in read_metrics(tmp_path) if r["group"] == "held_out"] == [12, 20]
    assert json.loads((tmp_path / "plan.json").read_text())["last_steps"] == [12, 20]
    for wrong, message in (
        ("size=base", "found 'size' in --phases; wanted settings of examples, batch_size"),
        ("batch_size=four", "found the phase 'batch_size=four' in --phases"),
        ("duration=soon", "found the duration 'soon'"),
    ):
        with pytest.raises(InputError, match=message):
            pretrain.main(config(work, tmp_path / "no", phases=(wrong,)))


def test_a_run_starts_from_the_weights_of_another(work, tmp_path):
    fields = {"duration": "1", "learning_rate": 0.0, "init_from": work.model}
    pretrain.main(config(work, tmp_path / "run", **fields))
    before = safetensors.numpy.load_file(Path(work.model, "model.safetensors"))
    for name, value in weights(tmp_path / "run").items():
        np.testing.assert_array_equal(value, before[name])
    for other in ({"size": "base"}, {"num_layers": 2}, {"preset": "modern"}):
        with pytest.raises(InputError, match="wanted --init_from without sizes"):
            pretrain.main(config(work, tmp_path / "no", **fields | other))
    with pytest.raises(InputError, match="found no model.json in nothing"):
        pretrain.main(config(work, tmp_path / "no", init_from="nothing"))


@pytest.mark.slow
def test_the_average_of_the_weights_is_scored_and_saved(work, tmp_path):
    fields = {"duration": "20", "log_every": 20}
    last = pretrain.main(config(work, tmp_path / "last", **fields))
    average = pretrain.main(config(work, tmp_path / "average", ema_decay=0.9, **fields))
    rows = [read_metrics(tmp_path / run)[0]["masked_lm_loss"] for run in ("last", "average")]
    assert rows[0] == rows[1]  # it is trained in the same way
    assert average["masked_lm_loss"] > last["masked_lm_loss"]  # the average lags behind
    table = [weights(tmp_path / run)["masked_lm/bias"] for run in ("last", "average")]
    assert np.linalg.norm(table[1]) < np.linalg.norm(table[0])


@pytest.mark.parametrize(
    "fields",
    [
        {"optimizer": "lamb", "schedule": "cosine", "learning_rate": 0.02},
        {"precision": "mixed_bfloat16", "preset": "modern", "sentence_objective": "none"},
        {"precision": "mixed_float16", "recompute": True, "accumulate_steps": 2},
        {"precision": "auto", "jit_compile": "auto", "peak_flops": 0.0},
    ],
)
def test_what_can_be_chosen_learns(work, tmp_path, fields):
    report = pretrain.main(config(work, tmp_path, duration="60", **fields))
    first = read_metrics(tmp_path)[0]
    assert report["masked_lm_loss"] < first["masked_lm_loss"] - 0.2
    assert json.loads((tmp_path / "plan.json").read_text())["peak_flops"] > 1e8


def test_a_build_without_held_out_text_trains(work, tmp_path):
    build_examples.main(
        build_examples.Config(
            input=(work.documents,), tokenizer=work.tokenizer, output=str(tmp_path / "examples"),
            max_seq_length=32, held_out=0.0, num_workers=1,
        )
    )  # fmt: skip
    fields = {"duration": "5", "examples": str(tmp_path / "examples")}
    report = pretrain.main(config(work, tmp_path / "run", **fields))
    assert report["step"] == 5
    assert "masked_lm_loss" not in report
