"""What `auto` stands for: a function of the machine, never of how busy it is."""

import pytest
import tensorflow as tf

from roots_tf import processor
from roots_tf.training import automatic, strategies
from roots_tf.training.settings import Hardware


@pytest.mark.parametrize(
    ("features", "precision"),
    [
        ({"fma", "avx512f", "amx_bf16"}, "mixed_bfloat16"),
        ({"fma", "avx512f", "avx512_bf16"}, "mixed_bfloat16"),
        ({"fma", "avx512f", "avx512_vnni"}, "float32"),
    ],
)
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="needs no GPU")
def test_precision_follows_from_the_processor_and_no_clock(monkeypatch, features, precision):
    def busy(*_):
        raise AssertionError("a trial was timed")

    monkeypatch.setattr(processor, "features", lambda: frozenset(features))
    monkeypatch.setattr(automatic, "matmul_peak", busy)
    strategy = strategies.make_strategy("one_device")
    found = automatic.choose(Hardware(), strategy, workers=1, measure=False)
    assert found == automatic.Computation(precision, jit_compile=False)


def test_features_of_the_processor(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert processor.features(path) == {"fpu", "amx_bf16"}
    assert processor.features(tmp_path / "none") == frozenset()


def test_whose_products_tensorflow_takes(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    for features, expected in (({"avx2", "fma"}, False), ({"avx2", "avx512_vnni"}, True)):
        monkeypatch.setattr(processor, "features", lambda found=features: frozenset(found))
        assert processor.has_onednn() is expected
        for asked in ("0", "false", "1", "True"):
            monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
            assert processor.has_onednn() is (asked in ("1", "True"))
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
