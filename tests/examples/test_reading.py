"""The pipeline: order, resumption, workers, epochs, graphs without state, and damage."""

import collections
import dataclasses
import itertools
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from roots_tf import examples
from roots_tf.examples import reading, records
from roots_tf.objectives import MaskedLM
from roots_tf.storage import files


def dataset_of(built, **flags):
    """The pipeline of a masked language model; `flags` are its own and those of the pipeline."""
    flags = {"batch_size": 32, "seed": 7} | flags
    own = {f.name: flags.pop(f.name) for f in dataclasses.fields(MaskedLM) if f.name in flags}
    objective = flags.pop("objective", MaskedLM)
    return examples.pipeline(built.folder, objective(**own).make_rows, **flags)


def batches(built, count=None, **flags):
    return list(itertools.islice(dataset_of(built, **flags).as_numpy_iterator(), count))


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


OBJECTIVES = ["nsp", "sop", "none"]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_batch_does_not_depend_on_where_the_run_started(built, objective):
    flags = {"sentence_objective": objective, "masking": "whole_word"}
    from_zero = batches(built, 120, **flags)  # over several epochs
    for start in (1, 119):
        assert_same(batches(built, 1, start_step=start, **flags), from_zero[start : start + 1])


@pytest.mark.parametrize(
    "objective, masking, workers",
    [("nsp", "token", 2), ("nsp", "whole_word", 4), ("sop", "token", 2), ("none", "span", 2)],
)
def test_workers_share_the_global_batch(built, objective, masking, workers):
    flags = {"sentence_objective": objective, "masking": masking}
    whole = batches(built, 3, **flags)
    parts = [
        batches(built, 3, num_workers=workers, worker_index=i, **flags) for i in range(workers)
    ]
    joined = [
        {name: np.concatenate([part[name] for part in step]) for name in step[0]}
        for step in zip(*parts, strict=True)
    ]
    assert_same(joined, whole)


def test_an_epoch_holds_every_example_once_in_an_order_of_its_own(built):
    examples_count = built.manifest["splits"]["train"]["examples"]

    seen = records_read(built, epochs=2)
    half = len(seen) // 2
    assert half == examples_count
    first, second = collections.Counter(seen[:half]), collections.Counter(seen[half:])
    assert first == second
    assert seen[:half] != seen[half:]


def records_read(built, epochs):
    """Every record in the order in which they are read."""
    opened = reading._open(built.folder, MaskedLM().make_rows, "train", 64)
    rows = reading._rows(opened, 7, 0, epochs)
    return [row for shard in rows.as_numpy_iterator() for row in shard.tolist()]


def test_masks_and_pairs_are_fresh_each_epoch(built):
    a, b = batches(built, 2)
    assert (a["masked_lm_positions"] != b["masked_lm_positions"]).any()
    assert_same(batches(built, 2), [a, b])
    other_seed = batches(built, 1, seed=8)[0]
    assert (other_seed["token_ids"] != a["token_ids"]).any()


def test_the_last_batch_is_filled_with_rows_of_no_weight(built):
    held_out = built.manifest["splits"]["held_out"]
    found = batches(built, split="held_out", num_epochs=1)
    assert len(found) == -(-held_out["examples"] // 32)
    weights = np.concatenate([batch["example_weights"] for batch in found])
    assert weights.sum() == held_out["examples"]
    assert (np.diff(weights) <= 0).all()
    for batch in found:
        assert not batch["masked_lm_weights"][batch["example_weights"] == 0].any()
    assert_same(found, batches(built, split="held_out", num_epochs=1))


# Ops that TensorFlow calls stateful for a reason other than state of their own: sources of datasets
# are marked so that they are not folded into constants, Assert and _Retval so that they stay.
SOURCES = {"RangeDataset", "TFRecordDataset", "TensorDataset", "TensorSliceDataset"}
EXEMPT = SOURCES | {"Assert", "_Retval"}


@pytest.mark.parametrize(
    "objective, masking", [("nsp", "token"), ("sop", "whole_word"), ("none", "span")]
)
def test_the_graph_holds_no_stateful_op(built, objective, masking):
    dataset = dataset_of(built, sentence_objective=objective, masking=masking)
    graph = tf.compat.v1.GraphDef.FromString(dataset._as_serialized_graph().numpy())
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    ops = {node.op for node in nodes}
    assert ops >= {"StatelessRandomUniformV2", "RangeDataset", "Assert"}
    stateful = {op for op in ops if op_def_registry.get(op).is_stateful}
    assert stateful <= EXEMPT


def test_a_wrong_tokenizer_is_refused(built):
    class Other:
        fingerprint = "0" * 64
        size = 5

    with pytest.raises(files.InputError, match="found tokenizer 0000"):
        examples.check_tokenizer(built.manifest, Other())
    examples.check_tokenizer(built.manifest, built.tokenizer)


@pytest.fixture
def copied(built, tmp_path):
    shutil.copytree(built.folder, tmp_path / "copy")
    return built._replace(folder=tmp_path / "copy")


def shard_of(copied, number=1):
    name = copied.manifest["splits"]["train"]["shards"][number]["name"]
    return copied.folder / name


@pytest.mark.parametrize("objective", ["nsp", "none"])
@pytest.mark.parametrize("where", [3, 60, 0.5, -3])
def test_a_flipped_bit_stops_the_run_and_is_named_with_its_offset(copied, where, objective):
    path = shard_of(copied)
    content = bytearray(path.read_bytes())
    at = int(where * len(content)) if isinstance(where, float) else where % len(content)
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(files.InputError) as scanned:
        records.read(path)
    offset = str(scanned.value).split("byte offset ")[1].split(";")[0]
    with pytest.raises(tf.errors.InvalidArgumentError) as read:
        batches(copied, num_epochs=1, sentence_objective=objective)
    assert str(path) in str(read.value)
    assert f"[at byte offset] [{offset}]" in str(read.value)


def test_a_cut_or_missing_shard_is_named_before_anything_is_read(copied):
    path = shard_of(copied)
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    with pytest.raises(files.InputError, match=rf"{path.name} at byte offset \d+"):
        batches(copied, 1)
    path.unlink()
    with pytest.raises(files.InputError, match=f"found no shard .*{path.name}"):
        batches(copied, 1)


def test_a_shard_that_vanishes_later_is_named(copied):
    dataset = dataset_of(copied, num_epochs=1)
    path = shard_of(copied)
    path.unlink()
    with pytest.raises(tf.errors.NotFoundError, match=path.name):
        list(dataset)


def change_shard(copied, **counts):
    """Says something else of the first shard in the manifest, which agrees with itself again."""
    manifest = files.read_json(copied.folder / "manifest.json")
    part = manifest["splits"]["train"]
    shard = part["shards"][0]
    shard |= {"bytes": (copied.folder / shard["name"]).stat().st_size} | counts
    part |= {name: sum(shard[name] for shard in part["shards"]) for name in counts}
    files.write_json(copied.folder / "manifest.json", manifest)


@pytest.mark.parametrize("more", [1, -1, -5])
def test_a_wrong_number_of_records_is_named_without_their_bytes(copied, more):
    name = shard_of(copied, 0).name
    count = copied.manifest["splits"]["train"]["shards"][0]["examples"] + more
    change_shard(copied, examples=count)
    message = "missing or damaged record in" if more > 0 else "found more records in"
    wanted = f"{message} .*{name}.* records: {count}"
    with pytest.raises(files.InputError, match=wanted) as caught, examples.damage_named():
        batches(copied, num_epochs=1, sentence_objective="none")
    assert str(caught.value).isprintable()


def test_a_foreign_shard_is_named(copied):
    first, second = shard_of(copied, 0), shard_of(copied, 1)
    first.write_bytes(second.read_bytes())
    with pytest.raises(files.InputError, match=f"bytes in .*{first.name}.*another build"):
        batches(copied, 1)
    # Of the same size, it is found by its first record.
    counts = ("examples", "tokens", "singles")
    change_shard(copied, **{k: copied.manifest["splits"]["train"]["shards"][1][k] for k in counts})
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"another build.*{first.name}"):
        batches(copied, num_epochs=1)


@pytest.mark.parametrize(
    "flags, wanted",
    [
        ({"split": "test"}, "found split 'test'"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"num_workers": 3}, "num_workers 3"),
        ({"num_workers": 2, "worker_index": 2}, "worker_index 2"),
    ],
)
def test_arguments_without_sense_are_refused(built, flags, wanted):
    with pytest.raises(files.InputError, match=wanted):
        batches(built, 1, **flags)


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(files.InputError, match="manifest.json; wanted"):
        examples.pipeline(tmp_path, MaskedLM().make_rows, batch_size=2, seed=0)


def test_step_a_million_starts_where_the_permutations_say(built):
    part = built.manifest["splits"]["train"]
    counts = [shard["examples"] for shard in part["shards"]]
    row = 1_000_000 * 32
    slot, skipped = reading.start_of(row, counts, seed=7)
    epoch, within = divmod(row, sum(counts))
    order = reading._shard_order(len(counts), 7, epoch).numpy().tolist()
    stream = [(shard, i) for shard in order for i in range(counts[shard])]
    assert slot // len(counts) == epoch
    assert stream[within] == (order[slot % len(counts)], skipped)
    first, second = batches(built, 2, start_step=1_000_000)
    assert_same(batches(built, 1, start_step=1_000_001), [second])
    assert (first["token_ids"] != second["token_ids"]).any()
