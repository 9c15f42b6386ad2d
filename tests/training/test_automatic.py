"""What `auto` stands for: a function of the machine, never of how busy it is."""

import pytest
import tensorflow as tf

from roots_tf.training import automatic, strategies
from roots_tf.training.settings import Hardware


@pytest.mark.parametrize(
    ("features", "precision"),
    [({"fma", "avx512f", "amx_bf16"}, "mixed_bfloat16"), ({"fma", "avx512_bf16"}, "float32")],
)
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="needs no GPU")
def test_precision_follows_from_the_processor_and_no_clock(monkeypatch, features, precision):
    def busy(*_):
        raise AssertionError("a trial was timed")

    monkeypatch.setattr(automatic, "processor_features", lambda: frozenset(features))
    monkeypatch.setattr(automatic, "matmul_peak", busy)
    strategy = strategies.make_strategy("one_device")
    found = automatic.choose(Hardware(), strategy, workers=1, measure=False)
    assert found == automatic.Computation(precision, jit_compile=False)


def test_features_of_the_processor(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert automatic.processor_features(path) == {"fpu", "amx_bf16"}
    assert automatic.processor_features(tmp_path / "none") == frozenset()
