"""How fast this device multiplies matrices: what a training step is measured against."""

import time

import tensorflow as tf

SIZES = (1024, 2048, 3072, 4096)
SHORTEST = 0.03  # seconds of work between two readings of the clock


def matmul_peak(dtype: str, seconds: float = 0.5) -> float:
    """Best rate of square matrix products on the current device.

    A measured ceiling: unlike the maker's figure it knows the library, the number of processors and
    what else the machine does just now.

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
        best = max(best, _rate(size, dtype))
    return best


@tf.function
def _chain(x, y, times):
    """One number of x y y ... y, which waits for all of the products."""
    for _ in tf.range(times):
        x = tf.matmul(x, y)
    return x[0, 0]


def _rate(size: int, dtype: str) -> float:
    """Best rate of products of one size, FLOP/s."""
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
    if best < SHORTEST:
        times = round(SHORTEST / best) + 1
        best = min(took(times) for _ in range(3))
    return 2 * size**3 / best
