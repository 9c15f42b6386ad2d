"""The frame of TFRecord beside TensorFlow's own writer and reader, and damaged files."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.examples import records
from roots_tf.storage import files
from tests.examples.split_records import split_contiguous, split_pair


@pytest.fixture
def shard(tmp_path):
    rng = np.random.default_rng(0)
    data = [rng.bytes(n) for n in [6, 0, 256, 1, *rng.integers(8, 300, 200)]]
    path = tmp_path / "shard.tfrecord"
    path.write_bytes(records.frame(b"".join(data), np.array([len(d) for d in data])))
    return path, data


def test_files_are_those_of_tensorflow(shard, tmp_path):
    path, data = shard
    with tf.io.TFRecordWriter(str(tmp_path / "by_tensorflow")) as writer:
        for record in data:
            writer.write(record)
    assert path.read_bytes() == (tmp_path / "by_tensorflow").read_bytes()
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == data
    assert records.read(path) == data


def test_a_file_of_no_records():
    assert records.frame(b"", np.zeros(0, np.int64)) == b""


@pytest.mark.parametrize("dtype, ids", [("uint16", [65535, 7, 8]), ("int32", [119546, 7, 8])])
def test_a_pair_is_read_as_it_was_written(dtype, ids):
    starts_a, lengths_a = np.array([0, 2]), np.array([2, 1])
    starts_b, lengths_b = np.array([2, 3]), np.array([1, 0])
    hashes = np.array([0xDEADBEEF, 5], np.uint32)
    words, lengths = records.encode_pairs(
        np.array(ids, np.int32), starts_a, lengths_a, starts_b, lengths_b, hashes, dtype
    )
    assert words.dtype.name == dtype
    first, second = np.split(words, [lengths[0]])
    for part, wanted in [
        (first, (0xDEADBEEF, ids[:2], ids[2:])),
        (second, (5, ids[2:], [])),
    ]:
        document, a, b = split_pair(part)
        assert (document, a.tolist(), b.tolist()) == wanted


@pytest.mark.parametrize("dtype, ids", [("uint16", [65535, 7, 8]), ("int32", [119546, 7, 8])])
def test_contiguous_text_is_read_as_it_was_written(dtype, ids):
    starts, lengths = np.array([0, 1, 3]), np.array([1, 2, 0])
    hashes, places = np.array([0xDEADBEEF, 5, 6], np.uint32), np.array([0, 128, 70_000])
    words, word_lengths = records.encode_contiguous(
        np.array(ids, np.int32), starts, lengths, hashes, places, dtype
    )
    assert words.dtype.name == dtype
    found = [split_contiguous(part) for part in np.split(words, np.cumsum(word_lengths)[:-1])]
    assert [(hash_, place, part.tolist()) for hash_, place, part in found] == [
        (0xDEADBEEF, 0, ids[:1]),
        (5, 128, ids[1:]),
        (6, 70_000, []),
    ]


@pytest.mark.parametrize("at", [0, 3, 8, 11, 12, 17, 18, 21, 40, 5000])
def test_a_flipped_bit_is_named(shard, at):
    path, data = shard
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(content)
    begins = np.cumsum([0] + [len(d) + records.FRAME_BYTES for d in data])
    offset = begins[np.searchsorted(begins, at, side="right") - 1]
    with pytest.raises(files.InputError, match=rf"{path.name} at byte offset {offset};"):
        records.read(path)


@pytest.mark.parametrize("size", [-1, -20, 7, 30])
def test_a_cut_file_is_named(shard, size):
    path, data = shard
    content = path.read_bytes()[:size]
    path.write_bytes(content)
    begins = np.cumsum([0] + [len(d) + records.FRAME_BYTES for d in data])
    offset = begins[np.searchsorted(begins, len(content), side="right") - 1]
    with pytest.raises(files.InputError, match=rf"{path.name} at byte offset {offset};"):
        records.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(files.InputError, match="no shard .*gone.tfrecord"):
        records.read(tmp_path / "gone.tfrecord")
