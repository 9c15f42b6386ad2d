"""Who may see whom, and where a cache is written, against literals."""

import numpy as np
import tensorflow as tf

from roots_tf.models.attention import seen_keys
from roots_tf.models.cache import Cache, EmptyCache

ROW = {
    "token_ids": tf.constant([[5, 6, 7, 0]]),
    "padding_mask": tf.constant([[True, True, True, False]]),
}
PACKED = ROW | {"document_ids": tf.constant([[1, 1, 2, 2]])}


def assert_seen(found, expected):
    assert found.dtype == tf.bool
    np.testing.assert_array_equal(found[0, 0], expected)


def test_padding_documents_windows_and_the_future_are_hidden():
    assert_seen(seen_keys(ROW), [[1, 1, 1, 0]])
    near = [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]]
    assert_seen(seen_keys(ROW, window=2), near)
    past = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    assert_seen(seen_keys(ROW, causal=True), past)
    both = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]]
    assert_seen(seen_keys(ROW, window=2, causal=True), both)
    assert_seen(seen_keys(PACKED), [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    assert_seen(
        seen_keys(PACKED, window=2, causal=True),
        [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]],
    )


def test_queries_may_be_others_than_the_keys():
    new = {"token_ids": tf.constant([[8, 9]])}
    assert_seen(seen_keys(ROW, new), [[1, 1, 1, 0]])
    assert_seen(seen_keys(ROW, new, start=1, causal=True), [[1, 1, 0, 0], [1, 1, 1, 0]])
    start = tf.constant(1)
    assert_seen(seen_keys(ROW, new, start=start, window=2), [[1, 1, 1, 0], [0, 1, 1, 0]])
    new |= {"document_ids": tf.constant([[2, 1]])}
    assert_seen(seen_keys(PACKED, new), [[0, 0, 1, 1], [1, 1, 0, 0]])


def test_a_cache_is_written_from_its_start():
    empty = tf.fill([1, 1, 4, 1], 9.0)
    cache = Cache(empty, empty, tf.constant(0))
    for new in ([1.0, 2.0], [3.0]):
        written = tf.constant(new)[None, None, :, None]
        cache = cache.append(written, -written)
    assert cache.keys[0, 0, :, 0].numpy().tolist() == [1.0, 2.0, 3.0, 9.0]
    assert cache.values[0, 0, :, 0].numpy().tolist() == [-1.0, -2.0, -3.0, 9.0]
    assert int(cache.start) == 3


def test_the_first_tokens_of_an_empty_cache_are_its_beginning():
    new, next_one = tf.reshape(tf.range(1.0, 13.0), [1, 2, 3, 2]), tf.fill([1, 2, 1, 2], 20.0)
    cache = EmptyCache(tf.constant(5), tf.constant(0)).append(new, -new)
    assert type(cache) is Cache and int(cache.start) == 3
    cache = cache.append(next_one, -next_one)
    wanted = tf.concat([new, next_one, tf.zeros_like(next_one)], 2).numpy().tolist()
    assert cache.keys.numpy().tolist() == wanted
    assert (-cache.values).numpy().tolist() == wanted
