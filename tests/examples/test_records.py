"""The frame of TFRecord beside TensorFlow's own writer and reader, and damaged files."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.examples import decoding, records
from roots_tf.storage import files
from tests.examples.split_records import split_contiguous, split_pair, taken_apart


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
        document, a, b = split_pair(part, place=None)
        assert (document, a.tolist(), b.tolist()) == wanted


@pytest.mark.parametrize("dtype, ids", [("uint16", [65535, 7, 8]), ("int32", [119546, 7, 8])])
def test_contiguous_text_is_read_as_it_was_written(dtype, ids):
    starts, lengths = np.array([0, 1, 3]), np.array([1, 2, 0])
    hashes, places = np.array([0xDEADBEEF, 5, 6], np.uint32), np.array([0, 128, 70_000])
    words, word_lengths = records.encode_contiguous(
        np.array(ids, np.int32), starts, lengths, hashes, places, dtype
    )
    assert words.dtype.name == dtype
    parts = np.split(words, np.cumsum(word_lengths)[:-1])
    found = [split_contiguous(part, place=None) for part in parts]
    assert [(hash_, place, part.tolist()) for hash_, place, part in found] == [
        (0xDEADBEEF, 0, ids[:1]),
        (5, 128, ids[1:]),
        (6, 70_000, []),
    ]


@pytest.mark.parametrize("layout", ["pairs", "contiguous"])
@pytest.mark.parametrize("size", [1 << 15, (1 << 15) + 1, 1 << 16, (1 << 16) + 1])
def test_starts_of_words_stand_beside_the_ids(size, layout):
    """Against records taken apart one by one: lengths of all remainders, and none at all."""
    rng, dtype = np.random.default_rng(size), records.word_dtype(size)
    ids, starts = rng.integers(0, size, 400).astype(np.int32), rng.random(400) < 0.5
    ids[:2] = 0, size - 1
    begins, lengths = rng.integers(0, 300, 60), np.arange(60) % 50
    numbers = rng.integers(0, 1 << 32, 60)
    other = rng.integers(0, 300, 60), rng.integers(0, 40, 60)

    def encode(ids):
        if layout == "pairs":
            return records.encode_pairs(ids, begins, lengths, *other, numbers, dtype)
        return records.encode_contiguous(ids, begins, lengths, numbers, numbers, dtype)

    header, place = records.header_words(dtype, layout), records.place_of_starts(size)
    words, sizes = records.with_starts(encode, ids, starts, size, header)
    assert words.dtype.name == dtype
    sources = [np.arange(b, b + n) for b, n in zip(begins, lengths, strict=True)]
    if layout == "pairs":
        more = [np.arange(b, b + n) for b, n in zip(*other, strict=True)]
        sources = [np.concatenate(both) for both in zip(sources, more, strict=True)]
    parts = np.split(words, np.cumsum(sizes)[:-1])
    for part, source in zip(parts, sources, strict=True):
        found, bits = taken_apart(part[header:], place)
        assert found.tolist() == ids[source].tolist() and bits == starts[source].tolist()
    found, counts, bits = records.split(words, sizes, header, place)
    every = np.concatenate(sources)
    assert (found == ids[every]).all() and (bits == starts[every]).all()
    assert counts.tolist() == [len(source) for source in sources]
    manifest = {"word": dtype, "layout": layout, "word_starts": place, "max_seq_length": 130}
    read = decoding.decode_marked(tf.constant([part.tobytes() for part in parts]), manifest)
    in_graph, bits = decoding.unmarked(read[0])
    assert read[1].numpy().tolist() == counts.tolist()
    inside = tf.sequence_mask(read[1], in_graph.shape[1])
    assert (tf.boolean_mask(in_graph, inside) == ids[every]).numpy().all()
    assert (tf.boolean_mask(bits, inside) == starts[every]).numpy().all()
    assert not tf.boolean_mask(bits, ~inside).numpy().any()
    plain, _ = decoding.decode_ids(tf.constant([part.tobytes() for part in parts]), manifest)
    np.testing.assert_array_equal(plain, in_graph)


def test_a_token_takes_what_the_format_says():
    """Two bytes an id, an eighth of one for the bit where the id leaves no room, the header."""
    lengths = np.full(50, 128)
    for size, most in [(32_768, 2.07), (65_536, 2.2), (119_547, 4.07)]:
        dtype = records.word_dtype(size)
        header = records.header_words(dtype, "contiguous")
        encode = functools.partial(
            records.encode_contiguous, starts=np.arange(50), lengths=lengths,
            hashes=np.arange(50), places=np.arange(50), dtype=dtype,
        )  # fmt: skip
        words, _ = records.with_starts(encode, np.arange(200), np.ones(200, bool), size, header)
        assert words.nbytes / lengths.sum() < most


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
