"""What is freed is kept, and not fetched from the system again."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import ctypes, resource, sys
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages of 4 KiB on every machine
from roots_tf.training import memory

if sys.argv[1] == "keep":  # before the threads of TensorFlow, as the programs do
    memory.keep_freed_memory()
    memory.keep_freed_memory()  # may be called again
import tensorflow as tf

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

step = tf.function(lambda x: tf.reduce_sum(tf.exp(x) * 2.0))
x = tf.random.normal([12 << 20])  # 48 MiB: more than glibc ever keeps by itself, 12,288 pages
for _ in range(20):  # the heap grows over the first steps
    step(x).numpy()
before = faults()
for _ in range(20):
    step(x).numpy()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to")
@pytest.mark.slow
def test_a_step_that_repeats_fetches_no_pages():
    # oneDNN's kernels, the default on newer processors, come with an allocator that keeps memory.
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    found = [
        int(subprocess.check_output([sys.executable, "-c", CODE, how], env=environment))
        for how in ("keep", "leave")
    ]
    # On a busy machine the heap may grow once more: 12,288 pages, where each step fetched as many.
    assert 10 * found[0] < found[1] and found[1] > 100_000
