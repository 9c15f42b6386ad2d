"""Where the tests find real text, and the devices they train on."""

import os
from pathlib import Path

import pytest


def pytest_configure():
    """Makes four logical CPU devices, which must happen before TensorFlow starts."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real text, `ROOTS_DATA` or `shared/data` beside the clone; skips without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ROOTS_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real text at {folder}; set ROOTS_DATA")
    return folder
