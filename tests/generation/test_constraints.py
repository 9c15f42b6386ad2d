"""What may not come: ids that are no tokens, repetitions, an early end."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.generation import Settings
from roots_tf.generation.constraints import FORBIDDEN, Ids, Past, allow, penalise
from roots_tf.storage.files import InputError

# Right-aligned rows, of which columns up to 6 are written.
ROWS = Past(
    tf.constant([[1, 2, 3, 1, 2, 3, 0, 0], [0, 0, 0, 4, 4, 4, 0, 0], [0, 0, 0, 0, 0, 2, 0, 0]]),
    tf.constant([[1, 1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0]]) > 0,
    tf.constant(6),
    tf.constant(2),
)


def forbidden(size=6, ids=None, rows=ROWS, **asked):
    """Ids that do not come, of each row."""
    scores = allow(tf.zeros([3, size]), rows, Settings(**asked), ids or Ids(eos=5, pad=5))
    return [np.flatnonzero(row == np.float32(FORBIDDEN)).tolist() for row in scores.numpy()]


def test_ids_that_are_no_tokens_do_not_come():
    assert forbidden() == [[], [], []]
    assert forbidden(ids=Ids(eos=3, pad=0, num_tokens=4, forbidden=(1,))) == [[0, 1, 4, 5]] * 3
    assert forbidden(ids=Ids(eos=-1, pad=0)) == [[0]] * 3
    for wrong in (Ids(5, 0, 7), Ids(5, 0, 0), Ids(5, 9), Ids(5, 0, 2, (1,)), Ids(5, 5, 6, (-2,))):
        with pytest.raises(InputError, match="^found .* wanted "):
            forbidden(ids=wrong)


def test_the_end_does_not_come_before_the_least_length():
    assert forbidden(min_new_tokens=2) == [[], [], []]
    assert forbidden(min_new_tokens=3) == [[5], [5], [5]]
    assert forbidden(min_new_tokens=3, ids=Ids(eos=-1, pad=0)) == [[0]] * 3
    # Where nothing else is left, the text ends all the same.
    assert forbidden(min_new_tokens=3, ids=Ids(0, 5, 2, (1,))) == [[1, 2, 3, 4, 5]] * 3


def test_no_run_of_tokens_comes_twice():
    assert forbidden(no_repeat_ngram=1) == [[1, 2, 3], [4], [2]]
    assert forbidden(no_repeat_ngram=2) == [[1], [4], []]
    assert forbidden(no_repeat_ngram=3) == [[1], [4], []]
    assert forbidden(no_repeat_ngram=4) == [[1], [], []]
    assert forbidden(no_repeat_ngram=5) == [[], [], []]
    assert forbidden(no_repeat_ngram=9) == forbidden(no_repeat_ngram=1000) == [[], [], []]
    few = Ids(eos=-1, pad=0, num_tokens=4)  # the first row has had all three
    assert forbidden(no_repeat_ngram=1, ids=few, size=5)[0] == [0, 4]


def test_ngrams_are_those_of_a_slow_search():
    rng = np.random.default_rng(0)
    token_ids = rng.integers(0, 3, [20, 12])
    begins, end = rng.integers(0, 9, 20), 10
    mask = (np.arange(12) >= begins[:, None]) & (np.arange(12) < end)
    rows = Past(tf.constant(token_ids, tf.int32), tf.constant(mask), tf.constant(end), 4)
    for size in (1, 2, 3, 4):
        scores = allow(tf.zeros([20, 9]), rows, Settings(no_repeat_ngram=size), Ids(8, 8)).numpy()
        for row, begin, found in zip(token_ids.tolist(), begins, scores, strict=True):
            text = row[begin:end]
            last = text[len(text) - size + 1 :]
            wanted = {
                text[i + size - 1]
                for i in range(len(text) - size + 1)
                if len(last) == size - 1 and text[i : i + size - 1] == last
            }
            assert set(np.flatnonzero(found < -1).tolist()) == wanted


def test_a_penalty_lowers_what_stands_already_and_nothing_else():
    logits = tf.constant([[1.0, 2.0, -2.0, 4.0, 1.0, 1.0]] * 3)
    found = penalise(logits, ROWS, Settings(repetition_penalty=2.0)).numpy()
    np.testing.assert_array_equal(
        found, [[1, 1, -4, 2, 1, 1], [1, 2, -2, 4, 0.5, 1], [1, 2, -4, 4, 1, 1]]
    )
