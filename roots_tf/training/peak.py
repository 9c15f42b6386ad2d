"""How fast this device multiplies matrices: what a training step is measured against."""

import time

import tensorflow as tf

SIZES = (1024, 2048, 3072, 4096)
# Seconds of work between two readings of the clock. A processor that others use too is now and then
# ours alone, for some milliseconds: short bursts fall in between, and the best of many counts. A
# GPU is asked for more at once, since asking it takes time.
SHORTEST = {"CPU": 0.004, "GPU": 0.03}
LEAST_BURSTS, MOST_BURSTS = 3, 100


def matmul_peak(dtype: str, seconds: float = 0.5) -> float:
    """Best rate of square matrix products on the current device.

    A measured ceiling: unlike the maker's figure it knows the library and the number of processors.
    On a machine that others keep busy throughout it is too low; `reporting.Window` raises it then.

    Args:
        dtype: "float32", "bfloat16" or "float16". Where TensorFlow may use TensorFloat-32 for
            float32, as on GPUs, so it does here.
        seconds: about how long to measure; larger products are tried as far as that allows.

    Returns:
        FLOP/s; a product of two [n, n] matrices counts 2 n^3.
    """
    best = 0.0
    end = time.monotonic() + seconds
    for size in SIZES:
        if best and 4 * size**3 / best > end - time.monotonic():  # one to warm up, one to measure
            break
        best = max(best, _rate(size, dtype, seconds / len(SIZES)))
    return best


@tf.function
def _chain(x, y, times):
    """One number of x y y ... y, which waits for all of the products."""
    for _ in tf.range(times):
        x = tf.matmul(x, y)
    return x[0, 0]


def _rate(size: int, dtype: str, seconds: float) -> float:
    """Best rate of products of one size within some seconds, FLOP/s."""
    # Random, as weights are: processors draw less power, and so run faster, on constants. The
    # scale keeps the norm of a row over any number of products.
    draw = tf.random.stateless_normal([2, size, size], seed=[0, size])
    x, y = tf.cast(draw[0], dtype), tf.cast(draw[1] * size**-0.5, dtype)

    chain = _chain.get_concrete_function(x, y, tf.constant(1))

    def took(times: int) -> float:
        """Seconds a product, over so many of them."""
        began = time.perf_counter()
        chain(x, y, tf.constant(times)).numpy()  # reading a number waits for the device
        return (time.perf_counter() - began) / times

    took(1)  # traces, and packs what the library packs once
    best = took(1)
    shortest = SHORTEST["GPU" if tf.config.list_physical_devices("GPU") else "CPU"]
    times = round(shortest / best) + 1 if best < shortest else 1
    spent = 0.0
    for burst in range(MOST_BURSTS):
        if burst >= LEAST_BURSTS and spent > seconds:
            break
        burst_took = took(times)
        best, spent = min(best, burst_took), spent + times * burst_took
    return 2 * size**3 / best
