"""Seeds of paths."""

import numpy as np
import tensorflow as tf

from roots_tf import seeds


def test_seeds_of_paths_are_the_same_on_every_machine():
    assert seeds.of_path("encoder/layer_0/attention") == 1803554681
    assert seeds.initial(7, "encoder/layer_0/attention/output_kernel") == 2013951262
    place = seeds.Place(7, "encoder") / "layer_0" / "attention"
    assert place == seeds.Place(7, "encoder/layer_0/attention")
    assert place.name == "attention"
    assert (place / "output_kernel").initial() == 2013951262


def test_paths_and_seeds_differ():
    paths = [f"{stack}/layer_{i}/{name}" for stack in "ab" for i in range(100) for name in "xyz"]
    assert len({seeds.of_path(path) for path in paths}) == len(paths)
    found = {seeds.initial(seed, path) for seed in range(20) for path in paths}
    assert len(found) == 20 * len(paths)
    assert all(0 <= seed < 2**31 for seed in found)


def test_folding_gives_another_seed_for_each_number():
    seed = tf.constant([3, 4])
    numbers = [0, 1, 2**31 - 1, *map(seeds.of_path, "abc")]
    found = [tuple(seeds.fold_in(seed, number).numpy()) for number in numbers]
    assert len({*found, (3, 4)}) == len(numbers) + 1
    assert all(part >= 0 for pair in found for part in pair)
    assert tuple(seeds.fold_in(seed, tf.constant(1)).numpy()) == found[1]
    compiled = tf.function(lambda: seeds.fold_in(seed, 1), jit_compile=True)()
    assert tuple(compiled.numpy()) == found[1]
    assert seeds.fold_in(None, 1) is None
    assert seeds.Place(0, "a").dropout(None) is None
    assert tuple(seeds.Place(0, "a").dropout(seed).numpy()) == found[3]


def test_random_words_are_the_same_on_every_machine():
    def hashed(word):  # lowbias32
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            word = (word ^ (word >> shift)) * factor % 2**32
        return word ^ (word >> 16)

    first, second = 2**31 - 1, 7
    key = hashed((hashed(first) + second) % 2**32)
    wanted = [hashed(hashed((i + first) % 2**32) ^ key) for i in range(1000)]
    words = seeds.random_words(1000, tf.constant([first, second])).numpy()
    assert words.tolist() == wanted


def test_bits_of_random_words_are_even_and_know_nothing_of_one_another():
    draws = [seeds.random_words(2**16, tf.constant(s)).numpy() for s in ([0, 0], [0, 1], [1, 0])]
    bits = np.stack([(words[:, None] >> np.arange(32)) & 1 for words in draws]) * 2.0 - 1.0
    columns = np.concatenate([*bits, bits[0][np.arange(2**16) ^ 1]], axis=1)  # neighbours, too
    related = columns.T @ columns / 2**16 - np.eye(128)
    assert abs(related).max() < 5.5 / 2**8  # 5.5 deviations, of 8,128 pairs
    assert abs(columns.mean(0)).max() < 4 / 2**8
