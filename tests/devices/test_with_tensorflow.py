"""Checks that need TensorFlow: replicas compared as GPUs are, and a GPU that it does not see."""

import pytest

from roots_tf.devices import listing, update
from roots_tf.devices.place import LeftOut, Place
from roots_tf.training import strategies


@pytest.mark.slow
def test_two_replicas_make_the_processors_update(tmp_path):
    mirrored = strategies.make_strategy("mirrored", 2)
    one = Place(strategies.make_strategy("one_device"), "", tmp_path, debug=True)
    with pytest.raises(LeftOut, match="which the check update makes"):
        update.run(one, "float32", compiled=False)
    update.reference(one)
    found = update.run(one._replace(strategy=mirrored), "float32", compiled=False)
    assert found.passed, found.said
    with pytest.raises(LeftOut, match="two GPUs; found 0"):
        update.on_all(one)


def test_a_gpu_that_tensorflow_does_not_see_is_told(tmp_path, monkeypatch):
    place = Place(strategies.make_strategy("one_device"), "", tmp_path, debug=True)
    program = tmp_path / "nvidia-smi"  # stands in for the driver's, which is not here
    program.write_text("#!/bin/sh\necho 'Tesla T4, 535.54, 15360 MiB, 7.5'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = listing.run(place)
    assert not found.passed
    assert "15360 MiB, 7.5 and no GPU that TensorFlow sees; wanted" in found.said
    assert found.facts["devices"] == "none" and found.facts["build"].startswith("built ")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert listing.run(place).passed
