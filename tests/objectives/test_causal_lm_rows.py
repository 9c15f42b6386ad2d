"""Rows of the causal language model beside a slow oracle, and what each token may know."""

import types

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import examples, objectives
from roots_tf.examples import layouts, manifest, records
from roots_tf.examples.row_maker import Chance
from roots_tf.objectives import causal_lm_rows
from roots_tf.storage import files

PAD, BOS, EOS = 0, 1, 2
TOKENIZER = types.SimpleNamespace(pad_id=PAD, causal_pad_id=PAD, bos_id=BOS, eos_id=EOS)
BUILD_LENGTH = 8


def documents(lengths, seed=0) -> list[list[int]]:
    """Documents of so many ids, none of which is in two places."""
    ids = iter(np.random.default_rng(seed).permutation(np.arange(3, 3 + sum(lengths))).tolist())
    return [[next(ids) for _ in range(length)] for length in lengths]


def written(texts, with_ends=True) -> tuple[list[bytes], dict]:
    """Records of documents, as the layout makes them, and what a manifest says of their shard."""
    layout, settings = layouts.ContiguousLayout, types.SimpleNamespace(max_seq_length=BUILD_LENGTH)
    ends = np.cumsum([0, *map(len, texts)])
    spans = [
        s
        for pair in zip(ends, ends[1:], strict=False)
        for s in layout.cut(np.array(pair), settings, None).spans
    ]
    if not with_ends:
        spans = [(start, size, place % records.ENDS) for start, size, place in spans]
    words, sizes = layout.encode(
        np.concatenate(texts), np.array(spans), np.zeros(len(spans), int), "uint16"
    )
    content = np.split(words, np.cumsum(sizes)[:-1])
    headers = np.array([record[3] for record in content])
    tokens, counted = layout.measure(headers, sizes - 4)
    shard = {"tokens": int(tokens.sum()), "examples": len(content)} | (counted if with_ends else {})
    return [record.tobytes() for record in content], shard


def batch_of(content, shard, length, fill=0) -> dict[str, np.ndarray]:
    """All rows of a shard as one batch, the last `fill` of them only to fill it."""
    made = {"word": "uint16", "max_seq_length": BUILD_LENGTH, "layout": "contiguous"}
    made["splits"] = {"train": {"shards": [shard], "examples": shard["examples"]}}
    maker = causal_lm_rows.CausalRows(made, "train", TOKENIZER, length)
    rows = maker.rows(tf.constant(content))
    count = rows["tokens"].shape[0]
    assert count == maker.count(shard)
    weights = tf.cast(tf.range(count) < count - fill, tf.float32)
    chance = Chance(0, tf.constant(0, tf.int64), count, slice(None), weights, tf.zeros([count]))
    features = maker.features(rows, chance)
    return {name: feature.numpy() for name, feature in features.items()}


def oracle(texts, order, length, with_ends=True) -> dict[str, list]:
    """The same rows, one token after the other: (number of the first record, row)."""
    pieces = []
    for text in texts:
        for begin in range(0, len(text), BUILD_LENGTH):
            ids = text[begin : begin + BUILD_LENGTH]
            last = begin + BUILD_LENGTH >= len(text)
            if not with_ends and len(ids) == BUILD_LENGTH:
                last = False
            seen, follow = [BOS, *ids[:-1]], list(ids)
            if last or not with_ends:
                seen, follow = [*seen, ids[-1]], [*follow, EOS if last else None]
            pieces.append((seen, follow))
    rows, stream = [], []
    for number, (seen, follow) in enumerate(pieces[i] for i in order):
        tokens = [
            (t, f, number, place) for place, (t, f) in enumerate(zip(seen, follow, strict=True))
        ]
        if len(seen) % length == 0:
            rows += [tokens[i : i + length] for i in range(0, len(tokens), length)]
        else:
            stream += tokens
    rows += [stream[i : i + length] for i in range(0, len(stream), length)]
    rows.sort(key=lambda row: row[0][2])
    return rows


CASES = [
    ([5], 8),
    ([8], 8),
    ([16, 3, 8], 8),
    ([20, 1, 7, 24, 9], 8),
    ([20, 16, 3, 8], 4),
    ([9, 30, 8], 5),
]
CASES += [([3, 1, 2, 2, 1], 16), ([1, 1, 1], 2)]


@pytest.mark.parametrize("with_ends", [True, False])
@pytest.mark.parametrize("lengths, length", CASES)
def test_rows_are_those_of_a_slow_oracle(lengths, length, with_ends):
    texts = documents(lengths)
    content, shard = written(texts, with_ends)
    order = np.random.default_rng(1).permutation(len(content))
    found = batch_of([content[i] for i in order], shard, length)
    wanted = oracle(texts, order, length, with_ends)
    assert len(found["token_ids"]) == len(wanted)
    for row, tokens in enumerate(wanted):
        tokens = tokens + [(PAD, None, None, None)] * (length - len(tokens))
        ids, following, numbers, _ = zip(*tokens, strict=True)
        assert found["token_ids"][row].tolist() == list(ids)
        assert found["padding_mask"][row].tolist() == [n is not None for n in numbers]
        assert found["next_token_ids"][row].tolist() == [f or 0 for f in following]
        assert found["next_token_weights"][row].tolist() == [
            float(f is not None) for f in following
        ]
        for one in range(length):
            place = next(i for i in range(length) if numbers[i] == numbers[one])
            if numbers[one] is not None:
                assert found["position_ids"][row, one] == one - place
            same = found["document_ids"][row] == found["document_ids"][row, one]
            assert same.tolist() == [n == numbers[one] for n in numbers]


@pytest.mark.parametrize("lengths, length", CASES)
def test_every_token_and_every_end_is_predicted_once(lengths, length):
    texts = documents(lengths)
    features = batch_of(*written(texts), length)
    predicted = features["next_token_ids"][features["next_token_weights"] > 0].tolist()
    assert sorted(predicted) == sorted([*np.concatenate(texts), *[EOS] * len(texts)])
    last = {text[-1] for text in texts}
    follows = {}
    for row in range(len(features["token_ids"])):
        for one, two in zip(
            features["token_ids"][row], features["next_token_ids"][row], strict=True
        ):
            follows[one] = two
    assert {one for one, two in follows.items() if two == EOS} == last
    after = {a: b for text in texts for a, b in zip(text, text[1:], strict=False)}
    for one, two in follows.items():
        if one not in (PAD, BOS, *last) and two:
            assert two == after[one]


def test_a_record_as_long_as_a_row_fills_one():
    features = batch_of(*written(documents([3, 40, 6, 40])), BUILD_LENGTH)
    begins = features["token_ids"] == BOS
    whole = (features["document_ids"] == 1).all(axis=1)
    assert whole.sum() == 8 and begins[whole][:, 0].all()


def test_rows_that_fill_a_batch_predict_nothing():
    features = batch_of(*written(documents([20])), 8, fill=1)
    assert features["next_token_weights"].sum(axis=1).tolist()[-1] == 0.0


@pytest.mark.parametrize("length, batch_size", [(64, 7), (32, 16), (100, 8)])
def test_held_out_rows_hold_every_token_once(contiguous, length, batch_size):
    objective, counts = objectives.CausalLM(), {}
    dataset = examples.pipeline(
        contiguous.folder, objective.make_rows, split="held_out", batch_size=batch_size, seed=0,
        num_epochs=1, max_seq_length=length,
    )  # fmt: skip
    rows = 0
    for batch in dataset.as_numpy_iterator():
        rows += int(batch["example_weights"].sum())
        kept = batch["next_token_weights"] > 0
        for one in batch["next_token_ids"][kept].tolist():
            counts[one] = counts.get(one, 0) + 1
    assert rows == objective.rows_an_epoch(contiguous.manifest, length, "held_out")
    wanted = {}
    part = contiguous.manifest["splits"]["held_out"]
    for shard in part["shards"]:
        content = records.read(contiguous.folder / shard["name"])[1:]
        text = examples.decode_contiguous(tf.constant(content), contiguous.manifest)
        for ids, size in zip(text.ids.numpy(), text.lengths.numpy(), strict=True):
            for one in ids[:size].tolist():
                wanted[one] = wanted.get(one, 0) + 1
    eos = contiguous.tokenizer.eos_id
    assert wanted.get(eos, 0) == 0 and counts.pop(eos) == part["documents"]
    assert counts == wanted
    assert sum(shard["ends"] for shard in part["shards"]) == part["documents"]


def test_what_cannot_be_read_is_refused(built, contiguous):
    objective = objectives.CausalLM()
    with pytest.raises(files.InputError, match="found examples of layout pairs; wanted contiguous"):
        objective.check(built.manifest, 8, 64)
    with pytest.raises(files.InputError, match="found rows of 1 tokens; wanted 2 or more"):
        objective.check(contiguous.manifest, 8, 1)
    bare = types.SimpleNamespace(pad_id=0, bos_id=None, eos_id=2)
    with pytest.raises(files.InputError, match="without special tokens for ..bos"):
        objective.make_rows(contiguous.manifest, "train", bare, 64)
    shard = contiguous.manifest["splits"]["train"]["shards"][0]
    with pytest.raises(files.InputError, match="ends of documents among"):
        fields = ("name", "sha256", "bytes", "examples", "tokens")
        manifest.Shard(**{n: shard[n] for n in fields}, ends=shard["examples"] + 1)
