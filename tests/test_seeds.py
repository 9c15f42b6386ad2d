"""Seeds of paths."""

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
