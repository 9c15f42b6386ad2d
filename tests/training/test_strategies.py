"""Where the step runs."""

from absl import logging

from roots_tf import notices
from roots_tf.training import strategies


def test_a_gpu_that_tensorflow_does_not_find_is_told(monkeypatch, caplog):
    logging.set_verbosity(logging.INFO)
    monkeypatch.setattr(notices, "gpus", lambda: ["/dev/nvidia0"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(strategies.tf.config, "list_physical_devices", lambda kind: [])
    strategies.make_strategy("one_device")
    assert "/dev/nvidia0" in caplog.text and "TF_CPP_MIN_LOG_LEVEL=0" in caplog.text
    caplog.clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # the user hides it
    strategies.make_strategy("one_device")
    assert caplog.text == ""
