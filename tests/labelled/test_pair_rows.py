"""Rows of pairs: the shift, ends and padding; batches of few shapes that are a pure function."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from roots_tf.labelled import pair_rows
from roots_tf.labelled.batching import Batching
from roots_tf.labelled.pair_rows import PairBatcher, PairRows, Ragged
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.tokenizer import wordpiece

PAD, CLS, SEP = 0, 2, 3
TOKENIZER = wordpiece(
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcde[]", "sep"], lowercase=True
)
A, B, C, D, E = range(5, 10)


def made(sources, targets, lengths=(16, 16), **how):
    return pair_rows.make(sources, targets, TOKENIZER, lengths=lengths, **how)


def rows_of(source_lengths, target_lengths, start_ids=(CLS,)):
    """Rows of these lengths, whose first source id is the number of the pair."""

    def ragged(lengths, first):
        splits = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        ids = np.full(splits[-1], 7, np.int32)
        ids[splits[:-1]] = first
        return Ragged(ids, splits)

    count = len(source_lengths)
    sources = ragged(source_lengths, np.arange(count))
    return PairRows(sources, ragged(target_lengths, 1), start_ids, TOKENIZER)


def literal(batch):
    return {name: feature.numpy().tolist() for name, feature in batch.items()}


def test_the_shift_the_ends_and_the_padding():
    batch = literal(PairBatcher(made(["a b", "c"], ["d", "e a b"]), PAD)(tf.constant([0, 1])))
    assert batch == {
        "token_ids": [[CLS, A, B, SEP], [CLS, C, SEP, PAD]],
        "padding_mask": [[True] * 4, [True] * 3 + [False]],
        "segment_ids": [[0] * 4] * 2,
        "decoder_token_ids": [[CLS, D, PAD, PAD], [CLS, E, A, B]],
        "decoder_padding_mask": [[True, True, False, False], [True] * 4],
        "target_ids": [[D, SEP, PAD, PAD], [E, A, B, SEP]],
        "target_weights": [[1.0, 1.0, 0.0, 0.0], [1.0] * 4],
    }


def test_two_ids_begin_a_target_and_none_a_source():
    rows = made(["a b"], ["d e"], start_ids=(SEP, C), source_begins=False)
    batch = literal(PairBatcher(rows, PAD)(tf.constant([0]), tf.constant([5, 6])))
    assert batch["token_ids"] == [[A, B, SEP, PAD, PAD]]
    assert batch["decoder_token_ids"] == [[SEP, C, D, E, PAD, PAD]]
    assert batch["decoder_padding_mask"] == [[True] * 4 + [False] * 2]
    # What stands before the first token is given, and not learned.
    assert batch["target_ids"] == [[PAD, D, E, SEP, PAD, PAD]]
    assert batch["target_weights"] == [[0.0, 1.0, 1.0, 1.0, 0.0, 0.0]]


def test_a_special_token_in_a_text_is_its_characters():
    rows = made(["a [SEP] b"], ["[SEP]"])
    assert rows.sources.ids.tolist() == [CLS, A, *(10, 12, 11), B, SEP]
    assert rows.targets.ids.tolist() == [10, 12, 11, SEP]
    batch = literal(PairBatcher(rows, PAD)(tf.constant([0])))
    assert batch["decoder_token_ids"] == [[CLS, 10, 12, 11]]


def test_long_ones_lose_their_end_and_are_counted(caplog):
    rows = made(["a b c d", "a"], ["e", "a b c d"], lengths=(5, 3), path="long.tsv")
    assert rows.sources.row(0).tolist() == [CLS, A, B, C, SEP]
    assert rows.targets.row(1).tolist() == [A, B, SEP]
    assert rows.targets.row(0).tolist() == [E, SEP]
    assert "long.tsv: 1 of 2 sources are longer than --max_seq_length takes" in caplog.text
    assert "long.tsv: 1 of 2 targets are longer than --max_target_length" in caplog.text
    with pytest.raises(InputError, match="found max_seq_length=2 and max_target_length=3; "):
        made(["a"], ["b"], lengths=(2, 3))


def test_no_targets_and_no_text():
    rows = made(["", "a"], None)
    assert rows.sources.row(0).tolist() == [CLS, SEP]
    assert PairBatcher(rows, PAD)(tf.constant([1])).keys() == {
        "token_ids", "padding_mask", "segment_ids",
    }  # fmt: skip
    assert len(rows.first(1)) == 1


LENGTHS = st.lists(st.tuples(st.integers(2, 40), st.integers(1, 40)), min_size=1, max_size=40)


def epoch(batches, number=0):
    """The batches of an epoch."""
    return [*itertools.islice(batches.start(number * batches.an_epoch), batches.an_epoch)]


def real_pairs(batch):
    """Numbers of the pairs of a batch that count."""
    weights = batch["target_weights"].numpy().sum(1)
    return batch["token_ids"].numpy()[:, 0][weights > 0].tolist()


@hypothesis.settings(max_examples=8)
@hypothesis.given(LENGTHS, st.integers(1, 9), st.sampled_from([0, 80, 200]), st.integers(0, 3))
def test_each_pair_comes_once_an_epoch_and_no_batch_is_too_large(lengths, size, tokens, seed):
    rows = rows_of(*zip(*lengths, strict=True))
    how = Batching(size, seed, tokens=tokens)
    found = pair_rows.batches(rows, PAD, how)
    assert len(pair_rows.shapes(rows, how)) <= pair_rows.MOST_SHAPES
    for number in (0, 1):
        batches = epoch(found, number)
        seen = [pair for batch in batches for pair in real_pairs(batch)]
        assert sorted(seen) == list(range(len(lengths)))
        for batch in batches:
            (count, length), target = batch["token_ids"].shape, batch["target_ids"].shape[1]
            assert count * (length + target) <= tokens if tokens else count <= size
    total = sum(float(tf.reduce_sum(batch["target_weights"])) for batch in epoch(found))
    assert total == rows.targets.lengths.sum()


@pytest.mark.parametrize("tokens", [0, 300])
def test_batches_are_a_function_of_seed_and_step(tokens):
    draw = np.random.default_rng(0)
    rows = rows_of(draw.integers(2, 30, 90), draw.integers(2, 30, 90))
    how = Batching(8, 5, tokens=tokens)
    found = pair_rows.batches(rows, PAD, how)
    whole = [*itertools.islice(found.start(0), 2 * found.an_epoch)]
    for step in (1, found.an_epoch - 1, found.an_epoch + 3):  # as after a restart
        again = next(iter(pair_rows.batches(rows, PAD, how).start(step)))
        for name, feature in whole[step].items():
            np.testing.assert_array_equal(again[name], feature)
    other = pair_rows.batches(rows, PAD, how._replace(seed=6))
    epochs = whole[: found.an_epoch], whole[found.an_epoch :], epoch(other)
    one, two, of_other_seed = ([real_pairs(batch) for batch in part] for part in epochs)
    assert one != two and one != of_other_seed
    padded = sum(
        batch[name].shape.num_elements() for batch in whole for name in ("token_ids", "target_ids")
    )
    assert 2 * rows.lengths.sum() / padded > 0.6  # by chance it is half


def test_parts_of_a_batch_are_of_one_size_and_workers_take_slices():
    draw = np.random.default_rng(1)
    rows = rows_of(draw.integers(2, 30, 50), draw.integers(2, 30, 50))
    how = Batching(8, 5, parts=4)
    found = pair_rows.batches(rows, PAD, how)
    assert found.start(0).element_spec["token_ids"].shape[0] == 8
    whole = epoch(found)
    assert sorted(pair for batch in whole for pair in real_pairs(batch)) == list(range(50))
    slices = [epoch(pair_rows.batches(rows, PAD, how._replace(worker=(i, 2)))) for i in range(2)]
    for batch, *parts in zip(whole, *slices, strict=True):
        for name, feature in batch.items():
            joined = np.concatenate([part[name] for part in parts])
            np.testing.assert_array_equal(joined, feature)
    with pytest.raises(InputError, match="found --tokens_per_batch=90 and 4 parts of a batch"):
        pair_rows.batches(rows, PAD, how._replace(tokens=90))
    with pytest.raises(InputError, match="found --tokens_per_batch=10; wanted 5[0-9] at least"):
        pair_rows.batches(rows, PAD, Batching(8, 5, tokens=10))
    one = pair_rows.batches(rows, PAD, Batching(8, 5, one_length=True))
    assert len({batch["token_ids"].shape[1] for batch in epoch(one)}) == 1
