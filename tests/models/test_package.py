"""What importing the package costs, and that its names are where it says."""

import subprocess
import sys

import pytest

from roots_tf import models

LIGHT = """
import sys
from roots_tf import models
from roots_tf.models import flops
flops.step_flops(models.EncoderConfig.of_size("tiny", vocabulary_size=10), 1, 8, 2)
print(sorted({"tensorflow", "keras", "numpy"} & set(sys.modules)))
"""


def test_sizes_and_their_costs_need_no_tensorflow():
    run = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_name_is_there():
    for name in models.__all__:
        found = getattr(models, name)
        assert getattr(found, "__name__", name) == name
    with pytest.raises(AttributeError, match="'roots_tf.models' has no attribute 'Decoder'"):
        models.Decoder  # noqa: B018
