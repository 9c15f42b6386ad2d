"""`check-device`: on the processor, where nothing may differ from the processor."""

import getpass
import os
import socket
import tempfile

import pytest

from pipelines import check_device
from roots_tf.devices import results
from roots_tf.storage import schema
from roots_tf.storage.files import InputError


@pytest.mark.slow
def test_everything_passes_on_the_processor(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop0123456789qrstuv")
    path = tmp_path / "device.json"
    found = check_device.main(check_device.Config(debug=True, output=str(path), minutes=1000))
    report = schema.read(path, results.Report)
    assert (report.passed, report.finished, report.accelerator) == (True, True, "")
    statuses = {result.name: result.status for result in report.results}
    assert statuses.pop("replicas") == "left-out"
    assert set(statuses.values()) == {"passed"}
    compared = {"update, float32, XLA", "update, mixed_bfloat16", "generation", "saved_model"}
    measured = {"devices", "checkpoint", "speed, tiny, float32", "input", "determinism"}
    assert statuses.keys() == compared | measured
    numbers = {result.name: result.numbers for result in report.results}
    assert numbers["update, mixed_bfloat16"]["update_difference"] > 1e-4  # or it was float32
    speed = numbers["speed, tiny, float32"]
    assert speed["tokens_per_second"] * speed["step_milliseconds"] == pytest.approx(4 * 16 * 1000)
    assert numbers["input"]["needed_tiny"] == speed["tokens_per_second"]
    text = path.read_text("utf-8")
    for secret in (os.getcwd(), tempfile.gettempdir(), str(tmp_path), os.environ["HF_TOKEN"]):
        assert secret not in text
    for name in {getpass.getuser(), socket.gethostname()} - {"root", "localhost"}:
        assert f'"{name}' not in text and f" {name} " not in text
    assert found["results"][0]["check"] == "devices"
    printed = capsys.readouterr().out
    assert "the processor alone" in printed and "tiny, float32" in printed


def test_time_that_is_over_is_told_and_the_report_is_written(tmp_path, capsys):
    path = tmp_path / "device.json"
    config = check_device.Config(debug=True, output=str(path), minutes=1e-6, only=("checkpoint",))
    with pytest.raises(check_device.FailedCheckError, match="1 of 2 checks not passed: devices;"):
        check_device.main(config)
    report = schema.read(path, results.Report)
    assert not report.passed
    assert "out-of-time    devices: not begun: --minutes=1e-06 were over" in capsys.readouterr().out
    assert [result.status for result in report.results] == ["out-of-time", "left-out"]
    assert check_device.FailedCheckError.exit_status == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"sizes": ("miny",)}, "found --sizes=miny; .*did you mean tiny or mini"),
        ({"only": ("updates",)}, "found --only=updates; .*did you mean update"),
        ({"sizes": ()}, "found no --sizes"),
        ({"tpu": "local"}, "without --strategy=tpu"),
    ],
)
def test_flags_that_make_no_sense(flags, said, tmp_path):
    with pytest.raises(InputError, match=said):
        check_device.main(check_device.Config(output=str(tmp_path / "d.json"), **flags))
    assert list(tmp_path.iterdir()) == []
