"""Pairs beside a plain-Python oracle on real records, their balance, and packed rows."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.examples import packing, records
from roots_tf.examples.decoding import PairRecords
from roots_tf.objectives import pairing
from tests.examples.split_records import split_pair
from tests.examples.test_reading import batches
from tests.objectives import oracle
from tests.objectives.test_masking import assert_share, unmasked

SIZE, LENGTH = 96, 64


@pytest.fixture(scope="module")
def real_records(built):
    """The first records of the first shard: (document, A, B)."""
    shard = built.folder / built.manifest["splits"]["train"]["shards"][0]["name"]
    found = [split_pair(np.frombuffer(r, "<u2")) for r in records.read(shard)[1:]]
    return [(document, a.tolist(), b.tolist()) for document, a, b in found]


def as_tensors(batch) -> PairRecords:
    ids = np.zeros((len(batch), LENGTH - 3), np.int32)
    for row, (_, a, b) in enumerate(batch):
        ids[row, : len(a) + len(b)] = a + b
    documents = np.array([document for document, _, _ in batch], np.uint32).view(np.int32)
    lengths = np.array([(len(a), len(b)) for _, a, b in batch], np.int32)
    return PairRecords(*map(tf.constant, (ids, lengths[:, 0], lengths[:, 1], documents)))


@pytest.mark.parametrize("objective", ["nsp", "sop"])
@pytest.mark.parametrize("kind", ["real", "many singles", "one document"])
def test_real_records_are_paired_as_the_oracle_pairs_them(built, real_records, objective, kind):
    tokenizer = built.tokenizer
    for seed in range(3):
        batch = real_records[seed * SIZE : (seed + 1) * SIZE]
        if kind == "many singles":
            batch = [
                (d, (a + b)[:61], []) if i % 3 else (d, a, b) for i, (d, a, b) in enumerate(batch)
            ]
        if kind == "one document":
            batch = [(5, a, b) for _, a, b in batch]
        rng = np.random.default_rng(seed)
        uniform = rng.random((SIZE, 3), np.float32)
        offsets = 1 + rng.permutation(SIZE - 1).astype(np.int32)
        tensors = as_tensors(batch)
        sources = tf.zeros([SIZE], tf.int32)
        draws = (tf.constant(uniform), offsets)
        pairs = pairing.choose(tensors, LENGTH, objective, 0.4, sources, *draws)
        special = (tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id)
        rows = pairing.rows(tf.reshape(tensors.ids, [-1]), pairs, LENGTH, *special)
        for row in range(SIZE):
            a, b, label = oracle.pair_row(
                row, batch, LENGTH, objective, 0.4, uniform[row], offsets[: pairing.MOST_CANDIDATES]
            )
            tokens = [special[0], *a, special[1], *b, special[1]]
            padding = LENGTH - len(tokens)
            assert rows["token_ids"][row].numpy().tolist() == tokens + padding * [special[2]]
            segments = (len(a) + 2) * [0] + (len(b) + 1) * [1] + padding * [0]
            assert rows["segment_ids"][row].numpy().tolist() == segments
            assert rows["padding_mask"][row].numpy().sum() == len(tokens)
            assert pairs.labels[row].numpy() == label


@pytest.mark.parametrize("objective", ["nsp", "sop"])
def test_labels_are_balanced_and_lengths_do_not_tell_them(built, objective):
    labels, lengths = [], []
    for batch in batches(built, 60, batch_size=64, sentence_objective=objective):
        labels.append(batch["next_sentence_labels"])
        lengths.append(batch["padding_mask"].sum(1))
    labels, lengths = np.concatenate(labels), np.concatenate(lengths)
    assert_share(labels.sum(), len(labels), 0.5)
    full = lengths == LENGTH
    both = full[labels == 1].mean(), full[labels == 0].mean()
    assert abs(both[0] - both[1]) < 0.06


def test_a_wrong_b_is_a_true_b_of_another_document(built, real_records):
    part = built.manifest["splits"]["train"]["shards"]
    found = {}
    for shard in part:
        for record in records.read(built.folder / shard["name"])[1:]:
            document, a, b = split_pair(np.frombuffer(record, "<u2"))
            found.setdefault(tuple(a), set()).add((document, tuple(b)))
    wrong = 0
    for batch in batches(built, 5):
        tokens, segments = unmasked(batch), batch["segment_ids"]
        for row in range(len(tokens)):
            b = tokens[row][segments[row] == 1][:-1]
            a = tokens[row][(segments[row] == 0) & batch["padding_mask"][row]][1:-1]
            if (own := found.get(tuple(a))) is None:
                continue  # a lone A that was cut to make room
            true = any(tuple(b) == true_b for _, true_b in own)
            assert true == (batch["next_sentence_labels"][row] == 0)
            wrong += not true
    assert wrong > 40


def test_the_arrays_of_the_docstring():
    pairs = pairing.Pairs(*(tf.constant([n]) for n in (0, 2, 2, 1, 0)))
    rows = pairing.rows(tf.constant([7, 8, 9]), pairs, 7, cls_id=2, sep_id=3, pad_id=0)
    assert rows["token_ids"].numpy().tolist() == [[2, 7, 8, 3, 9, 3, 0]]
    assert rows["segment_ids"].numpy().tolist() == [[0, 0, 0, 0, 1, 1, 0]]
    assert rows["padding_mask"].numpy().tolist() == [[True] * 6 + [False]]


def test_the_arrays_of_the_docstrings_of_packing():
    packed = packing.pack(tf.constant([[7, 8], [9, 0]]), tf.constant([2, 1]), 4, 2, 3)
    assert packed["tokens"].numpy().tolist() == [[2, 7, 8, 3], [2, 9, 3, -1]]
    assert packed["starts"].numpy().astype(int).tolist() == [[1, 0, 0, 0], [1, 0, 0, 1]]
    found = packing.features(
        tf.constant([[8, 3, 2, 9, 3, -1]]), tf.constant([[0, 0, 1, 0, 0, 1]]) == 1, pad_id=0
    )
    assert found["document_ids"].numpy().tolist() == [[1, 1, 2, 2, 2, 0]]
    assert found["position_ids"].numpy().tolist() == [[0, 1, 0, 1, 2, 0]]


@pytest.mark.parametrize("length", [64, 200])
def test_packed_rows_hold_every_token_once_and_hardly_any_padding(built, length):
    part = built.manifest["splits"]["train"]
    seen = attended = cells = 0
    flags = {"sentence_objective": "none", "max_seq_length": length, "num_epochs": 1}
    for batch in batches(built, **flags):
        real = batch["example_weights"] == 1
        attended += batch["padding_mask"][real].sum()
        cells += real.sum() * length
        seen += (unmasked(batch)[real] == built.tokenizer.cls_id).sum()
        documents, positions = batch["document_ids"], batch["position_ids"]
        same = documents[:, 1:] == documents[:, :-1]
        inside = batch["padding_mask"][:, 1:]
        np.testing.assert_array_equal(
            positions[:, 1:][inside], np.where(same, positions[:, :-1] + 1, 0)[inside]
        )
    assert seen == part["examples"]
    assert attended == part["tokens"] + 2 * part["examples"]
    assert 1 - attended / cells < 0.02


def test_a_piece_of_a_packed_row_never_sees_another(built):
    """Other ids in one piece leave every other piece's hidden states as they were, bit for bit."""
    config = models.EncoderConfig(built.tokenizer.size, 2, 32, 2, 64, max_sequence_length=128)
    encoder = models.Encoder(config, seed=1)
    batch = batches(built, 1, sentence_objective="none", max_seq_length=128, batch_size=8)[0]
    changed = batch["document_ids"] == 2
    assert changed.any(axis=1).all()
    other = batch | {"token_ids": np.where(changed, 7, batch["token_ids"])}
    before, after = (
        encoder({name: tf.constant(x) for name, x in b.items()}).numpy() for b in (batch, other)
    )
    alone = batch["padding_mask"] & ~changed
    np.testing.assert_array_equal(before[alone], after[alone])
    assert (before[changed] != after[changed]).any()
