"""The seam between examples and objectives: rows of a stranger, with features of their own."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import examples
from roots_tf.features import Feature
from tests.examples.test_reading import assert_same


class Lines(examples.RowMaker):
    """Each record is a row; one of its tokens, drawn afresh each epoch, is to be told from it."""

    new_features = {"answer_ids": Feature("int32", "B", "the token that was drawn")}

    def __init__(self, manifest, split, tokenizer, length):
        self.manifest = manifest

    def count(self, shard):
        return shard["examples"]

    def rows(self, records):
        return records

    def features(self, rows, chance):
        ids, lengths = examples.decode_ids(chance.of_worker(rows), self.manifest)
        ids = tf.pad(ids, [[0, 0], [0, self.manifest["max_seq_length"] - ids.shape[1]]])
        uniform = chance.uniform_of_rows("answer", [])
        place = tf.cast(tf.cast(lengths, tf.float32) * uniform, tf.int32)
        return {
            "token_ids": ids,
            "padding_mask": tf.range(ids.shape[1]) < lengths[:, None],
            "answer_ids": tf.gather(ids, place, batch_dims=1),
        }


def batches(folder, count=None, make_rows=Lines, **flags):
    flags = {"batch_size": 32, "seed": 7} | flags
    dataset = examples.pipeline(folder, make_rows, **flags)
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


@pytest.mark.parametrize("layout", ["built", "contiguous"])
def test_a_toy_objective_has_batches_that_resume_anywhere(layout, request):
    built = request.getfixturevalue(layout)
    whole = batches(built.folder, 200)  # more than an epoch
    assert whole[0].keys() == {"token_ids", "padding_mask", "answer_ids", "example_weights"}
    for start in (1, 37, 199):
        assert_same(batches(built.folder, 1, start_step=start), whole[start : start + 1])
    parts = [batches(built.folder, 3, num_workers=2, worker_index=i) for i in range(2)]
    joined = [
        {name: np.concatenate([part[name] for part in step]) for name in step[0]}
        for step in zip(*parts, strict=True)
    ]
    assert_same(joined, whole[:3])
    epoch = batches(built.folder, split="held_out", num_epochs=1)
    rows = built.manifest["splits"]["held_out"]["examples"]
    assert sum(batch["example_weights"].sum() for batch in epoch) == rows


class Undeclared(Lines):
    new_features = {}


class Miscounted(Lines):
    def count(self, shard):
        return shard["examples"] - 1


def test_a_mistake_of_an_objective_is_told(built):
    with pytest.raises(ValueError, match="'answer_ids'; wanted one of .*declare it"):
        batches(built.folder, 1, Undeclared)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`rows` gave"):
        batches(built.folder, 1, Miscounted)
