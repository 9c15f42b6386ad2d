"""Placeholder until the merge."""

import tensorflow as tf


def fold_in(seed, number):
    if seed is None:
        return None
    folded = tf.random.experimental.stateless_fold_in(seed, number)
    return tf.bitwise.bitwise_and(folded, tf.int32.max)
