import numpy as np
import pytest

from roots_tf.corpus import shard_rows
from tests.corpus.unique_shards import identifier, texts, write_shards


@pytest.fixture
def shard(tmp_path):
    """Ten documents in three record batches."""
    return write_shards(tmp_path, [(f"text {i}", f"source {i}") for i in range(10)], 1, batch=4)[0]


def test_what_is_left_is_read(shard, tmp_path):
    everything = texts(shard)
    shard_rows.save(tmp_path / "a.npy", np.array([0, 4, 9], np.uint32))
    shard_rows.save(tmp_path / "b.npy", np.array([5, 6, 7], np.uint32))
    shard_rows.save(tmp_path / "none.npy", np.array([], np.uint32))
    dropped = [str(tmp_path / f"{name}.npy") for name in ("a", "none", "b")]
    read = [
        (row, text, id_)
        for numbers, (batch, ids) in shard_rows.read(shard, dropped, ["text", "id"])
        for row, text, id_ in zip(numbers.tolist(), batch, ids, strict=True)
    ]
    assert read == [(row, everything[row], identifier(everything[row])) for row in (1, 2, 3, 8)]


def test_chosen_rows(shard):
    everything = texts(shard)
    wanted = [0, 3, 4, 9]
    picked = [
        (wanted[place], text)
        for places, (batch,) in shard_rows.pick(shard, np.array(wanted, np.uint64), ["text"])
        for place, text in zip(places, batch, strict=True)
    ]
    assert picked == [(row, everything[row]) for row in wanted]


def test_arrays_of_any_shape_come_back(tmp_path):
    for array in (np.zeros((2, 0), np.uint64), np.zeros(0, np.uint32), np.arange(6).reshape(2, 3)):
        shard_rows.save(tmp_path / "array.npy", array)
        loaded = shard_rows.load(tmp_path / "array.npy")
        assert (loaded.dtype, loaded.tolist()) == (array.dtype, array.tolist())
    assert [path.name for path in tmp_path.iterdir()] == ["array.npy"]
