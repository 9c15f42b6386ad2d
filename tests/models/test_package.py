"""What importing the package costs."""

import subprocess
import sys

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
