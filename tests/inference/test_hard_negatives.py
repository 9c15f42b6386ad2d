"""Hard negatives, block by block, beside a search that looks at everything at once."""

import numpy as np
import pytest

from roots_tf import program
from roots_tf.inference import hard_negatives
from roots_tf.inference.hard_negatives import MiningFlags, Nearest
from roots_tf.storage.files import InputError


def unit(values) -> np.ndarray:
    values = np.asarray(values, np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def slowly(queries, vectors, digests, excluded, count) -> list[list[int]]:
    """Places of the nearest, each text once and at its first place, one query after the other."""
    found = []
    for number, query in enumerate(queries):
        seen, places = {int(d) for n, d in excluded if n == number}, []
        for place, digest in enumerate(digests.tolist()):
            if digest not in seen:
                seen.add(digest)
                places.append(place)
        places.sort(key=lambda place: (-np.float32(vectors[place] @ query), place))
        found.append(places[:count] + [-1] * (count - len(places)))
    return found


@pytest.mark.parametrize("block", [1, 7, 64, 100])
def test_blocks_give_what_a_whole_search_gives(block, monkeypatch):
    monkeypatch.setattr(hard_negatives, "_CELLS", 30)  # a few queries at a time
    rng = np.random.default_rng(0)
    # Whole numbers, whose products are exact: many cosines are equal, in whatever order of sums.
    kinds = rng.integers(-2, 3, [40, 4]).astype(np.float32)
    digests = rng.integers(1, 41, 100).astype(np.uint64)  # texts stand several times
    vectors = kinds[digests.astype(int) - 1]
    queries = rng.integers(-2, 3, [9, 4]).astype(np.float32)
    excluded = [(number, digest) for number in range(9) for digest in (number + 1, 40, 77)]
    given = np.array([n for n, _ in excluded]), np.array([d for _, d in excluded], np.uint64)
    nearest = Nearest(queries, 30, *given)
    for begin in range(0, 100, block):
        nearest.add(vectors[begin : begin + block], digests[begin : begin + block])
    assert nearest.seen == 100
    assert nearest.places.tolist() == slowly(queries, vectors, digests, excluded, 30)
    assert (np.diff(nearest.cosines[nearest.places.min(1) >= 0], axis=1) <= 0).all()


def test_a_text_that_stands_in_every_block_is_found_once():
    queries, digests = unit([[1, 0]]), np.array([5, 6], np.uint64)
    nearest = Nearest(queries, 3, np.zeros(0, np.int64), np.zeros(0, np.uint64))
    for _ in range(4):
        nearest.add(unit([[1, 0], [1, 1]]), digests)
    assert nearest.places.tolist() == [[0, 1, -1]]


CORPUS = unit([[1, 0], [1, 0.2], [1, 0.5], [1, 1], [0, 1]])  # cosines 1, .98, .89, .71, 0


def chosen(positives=(0.9, 0.9), **flags) -> list[list[int]]:
    flags = program.make(MiningFlags, **{"num_negatives": 2} | flags)
    flags.check()
    nearest = Nearest(unit([[1, 0]]), flags.range_max, np.array([0]), np.array([1], np.uint64))
    nearest.add(CORPUS, np.arange(1, 6, dtype=np.uint64))
    return nearest.chosen(np.zeros(len(positives), int), np.array(positives), flags).tolist()


def test_places_and_margins_pass_over_what_may_belong_to_the_query():
    assert chosen() == [[1, 2]] * 2  # the first is excluded
    assert chosen(range_min=1) == [[2, 3]] * 2
    assert chosen(range_min=1, num_negatives=3, range_max=4) == [[2, 3, 4]] * 2
    assert chosen([0.9, 1.0], absolute_margin=0.1) == [[3, 4], [2, 3]]
    assert chosen([0.9, 1.0], relative_margin=0.0) == [[2, 3], [1, 2]]
    assert chosen([0.9, -0.1], relative_margin=0.5) == [[4, -1], [-1, -1]]
    assert chosen([0.95], relative_margin=0.05, absolute_margin=0.01) == [[2, 3]]
    assert chosen([0.95], relative_margin=0.01, absolute_margin=0.5) == [[4, -1]]


def test_draws_are_of_what_is_left_and_by_the_seed():
    flags = {"sampling_strategy": "random", "range_min": 1, "positives": [0.9] * 50}
    drawn = chosen(**flags, seed=-3)
    assert drawn == chosen(**flags, seed=-3) != chosen(**flags, seed=4)
    assert {tuple(row) for row in drawn} == {(2, 3), (2, 4), (3, 4)}  # the nearest first


def test_what_cannot_be_taken_is_told():
    with pytest.raises(
        InputError, match="found range_min=99 and range_max=100; wanted range_max=1"
    ):
        program.make(MiningFlags, range_min=99).check()
    with pytest.raises(InputError, match="found --seed=1 and --sampling_strategy=top"):
        program.make(MiningFlags, seed=1).check()
