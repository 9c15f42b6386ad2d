"""The measured peak, by a clock that the test holds."""

import types

import pytest

from roots_tf.training import peak


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_rate_is_operations_over_seconds(monkeypatch, dtype):
    ticks = iter(range(100))
    clock = types.SimpleNamespace(perf_counter=lambda: 0.25 * next(ticks), monotonic=lambda: 0.0)
    monkeypatch.setattr(peak, "time", clock)
    monkeypatch.setattr(peak, "SIZES", (64, 128, 512))
    # Each product takes 0.25 s of this clock, so that two of 512 are expected to take 32 s.
    assert peak.matmul_peak(dtype, seconds=8.0) == 2 * 128**3 / 0.25


def test_a_short_product_is_repeated(monkeypatch):
    now = [0.0]

    def perf_counter():
        now[0] += 0.001
        return now[0]

    clock = types.SimpleNamespace(perf_counter=perf_counter, monotonic=lambda: 0.0)
    monkeypatch.setattr(peak, "time", clock)
    monkeypatch.setattr(peak, "SIZES", (64,))
    # One product took 0.001 s, so several are measured together: at 0.001 s they run at more.
    monkeypatch.setattr(peak, "SHORTEST", {"CPU": 0.03, "GPU": 0.03})
    assert peak.matmul_peak("float32") == pytest.approx(31 * 2 * 64**3 / 0.001)


def test_the_best_burst_counts_however_busy_the_machine_is(monkeypatch):
    now, calls = [0.0], [0]

    def perf_counter():
        calls[0] += 1
        now[0] += 0.0 if calls[0] % 2 else 0.002 if calls[0] == 24 else 0.2  # one burst of ours
        return now[0]

    clock = types.SimpleNamespace(perf_counter=perf_counter, monotonic=lambda: 0.0)
    monkeypatch.setattr(peak, "time", clock)
    monkeypatch.setattr(peak, "SIZES", (64,))
    assert peak.matmul_peak("float32", seconds=5.0) == pytest.approx(2 * 64**3 / 0.002)
