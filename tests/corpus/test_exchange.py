"""What passes from runs to targets arrives whole and in order; what is read grows with the data."""

import json

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import curate
from roots_tf import stages
from roots_tf.corpus import exchange, shard_rows
from tests.pipelines.curated import CORPUS_RECIPE, counts, digest, report


def in_this_process(work):
    return lambda name, function, tasks: stages.run_stage(function, tasks, work)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(2, 4),
    st.integers(1, 9),
    st.integers(1, 17),
    st.lists(st.integers(0, 2**64 - 1), max_size=60),
    st.randoms(),
)
def test_sorted_arrays_arrive_whole_and_in_order(
    tmp_path_factory, fan, runs, targets, values, chance
):
    work = str(tmp_path_factory.mktemp("arrays"))
    parts = [[] for _ in range(runs)]
    for value in [*values, *values[:5]]:
        chance.choice(parts).append(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "FAN", fan)
        way = exchange.route(runs, targets)
        for number, part in enumerate(parts):
            rows = np.array([[value, number] for value in sorted(part)], np.uint64).reshape(-1, 2)
            shard_rows.save(exchange.path(work, "x", ".npy", number), rows)
        exchange.merge(in_this_process(work), work, "x", way, exchange.by_hash)
        borders = [exchange.by_hash(target, targets) for target in range(targets + 1)]
        for target, (low, high) in enumerate(zip(borders, borders[1:], strict=False)):
            found = exchange.gathered(work, "x", way, way.levels, target, low, high)
            expected = [(v, run) for run, part in enumerate(parts) for v in part if low <= v < high]
            assert found.tolist() == [list(row) for row in sorted(expected)]


@settings(max_examples=12, deadline=None)
@given(
    st.integers(2, 4),
    st.integers(1, 9),
    st.integers(1, 17),
    st.lists(st.binary(min_size=16, max_size=16), max_size=40),
    st.randoms(),
)
def test_record_batches_arrive_whole_and_in_order(
    tmp_path_factory, fan, runs, targets, keys, chance
):
    work = str(tmp_path_factory.mktemp("batches"))
    schema = pyarrow.schema([("key", pyarrow.binary(16)), ("run", pyarrow.int64())])
    expected = [[] for _ in range(targets)]
    parts = [[] for _ in range(runs)]
    for key in keys:
        chance.choice(parts).append(key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "FAN", fan)
        patch.setattr(exchange, "HELD_BYTES", chance.choice([1, 100, 10_000]))
        way = exchange.route(runs, targets)
        for number, part in enumerate(parts):
            where = exchange.path(work, "part", ".arrow", number)
            with exchange.BatchWriter(where, schema, way.buckets(1)) as writer:
                for key in part:
                    target = int.from_bytes(key[:4], "big") * targets >> 32
                    batch = pyarrow.record_batch(
                        [pyarrow.array([key], schema[0].type), [number]], schema=schema
                    )
                    assert exchange.targets_of(batch, targets).tolist() == [target]
                    writer.add(batch, np.array([target // way.width(1)]))
                    expected[target].append((key, number))
        forget = exchange.forgetter(work, "part", way)
        stage = in_this_process(work)
        exchange.run(stage, exchange.split_batches, way, forget, lambda *_: (work, "part"))
        for target in range(targets):
            found = [
                (row["key"], row["run"])
                for batch in exchange.batches(work, "part", way, way.levels, target)
                for row in batch.to_pylist()
            ]
            assert found == expected[target]
            forget(way.levels, -1, target)
    left = {path.suffix for path in (tmp_path_factory.getbasetemp()).glob("batches*/*.arrow")}
    assert left == set()


def test_a_bucket_that_all_fall_into_is_written_in_pieces(tmp_path, monkeypatch):
    """One page a thousand times: a task holds some of its copies, not all."""
    monkeypatch.setattr(exchange, "FAN", 2)
    monkeypatch.setattr(exchange, "HELD_BYTES", 10_000)
    schema = pyarrow.schema([("key", pyarrow.binary(16)), ("text", pyarrow.string())])
    way, work = exchange.route(3, 4), str(tmp_path)
    for number in range(3):
        where = exchange.path(work, "part", ".arrow", number)
        with exchange.BatchWriter(where, schema, way.buckets(1)) as writer:
            for _ in range(100):
                columns = [pyarrow.array([bytes(16)], schema[0].type), ["same " * 100]]
                writer.add(pyarrow.record_batch(columns, schema=schema), np.array([0]))
    stage = in_this_process(work)
    exchange.run(stage, exchange.split_batches, way, arguments=lambda *_: (work, "part"))
    batches = list(exchange.batches(work, "part", way, way.levels, 0))
    assert sum(map(len, batches)) == 300
    assert max(batch.nbytes for batch in batches) < 20_000


def write_corpus(folder, size: int):
    """As many files as tasks are wanted; neighbours in the order of the files are alike."""
    folder.mkdir()
    chance = np.random.default_rng(size)
    words = [f"{word:x}" for word in chance.integers(1 << 40, size=3000)]
    for number in range(size):
        texts = [" ".join(chance.choice(words, 60)) + "." for _ in range(6)]
        texts += [
            texts[0] + " Again.",
            texts[1],
            "The licence of this page is free for all to use.",
        ]
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{number:04d}.jsonl").write_text(lines)


def curated(tmp_path, size: int, name: str, monkeypatch) -> dict[str, int]:
    """Curates as many tasks as shards; how often files were opened, by what opens them."""
    opened = dict.fromkeys(("arrow", "array"), 0)

    def counting(kind, function):
        def count(*arguments, **options):
            opened[kind] += 1
            return function(*arguments, **options)

        return count

    if not (tmp_path / f"in-{size}").exists():
        write_corpus(tmp_path / f"in-{size}", size)
    (tmp_path / "recipe.toml").write_text(CORPUS_RECIPE)
    config = curate.Config(
        input=(str(tmp_path / f"in-{size}"),),
        output=str(tmp_path / name),
        recipe=str(tmp_path / "recipe.toml"),
        num_shards=size,
        num_workers=1,
    )
    with monkeypatch.context() as patch:
        patch.setattr(curate, "TASK_BYTES", range(1, 2))
        patch.setattr(pyarrow, "memory_map", counting("arrow", pyarrow.memory_map))
        patch.setattr(np, "load", counting("array", np.load))
        curate.main(config)
    return opened


def test_files_opened_grow_with_the_corpus_and_not_with_its_square(tmp_path, monkeypatch):
    """Twice the tasks and twice the shards: twice the files, and a level more that are opened."""
    pytest.importorskip("rensa")
    monkeypatch.setattr(exchange, "FAN", 2)
    small = curated(tmp_path, 8, "small", monkeypatch)
    large = curated(tmp_path, 16, "large", monkeypatch)
    ways = [exchange.route(size, size) for size in (8, 16)]
    assert [way.levels for way in ways] == [3, 4]  # one more each time that there are FAN as many
    for kind in ("arrow", "array"):
        a_task_and_level = [
            n[kind] / s / w.levels for n, s, w in zip((small, large), (8, 16), ways, strict=True)
        ]
        assert a_task_and_level[1] < 1.25 * a_task_and_level[0], (small, large)
    monkeypatch.setattr(exchange, "FAN", 128)
    direct = curated(tmp_path, 16, "direct", monkeypatch)
    assert direct["arrow"] > 2 * 16 * 16  # blocks of documents and of n-grams
    assert digest(tmp_path / "direct") == digest(tmp_path / "large")
    assert counts(report(tmp_path / "direct")) == counts(report(tmp_path / "large"))
    dropped = report(tmp_path / "large")["dropped"]
    assert dropped["duplicate"]["documents"] == 16
    assert dropped["near_duplicate"]["documents"] == 16


def test_a_killed_exchange_goes_on(tmp_path, monkeypatch):
    """Stops after each seventh task, as a kill would, and starts again: the same bytes."""
    pytest.importorskip("rensa")
    curated(tmp_path, 5, "whole", monkeypatch)
    monkeypatch.setattr(exchange, "FAN", 2)
    write, written = stages.write_result, []

    def write_and_die(path, value):
        write(path, value)
        written.append(str(path))
        if len(written) % 17 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(stages, "write_result", write_and_die)
    kills = 0
    while not (tmp_path / "killed" / "report.json").exists():
        try:
            curated(tmp_path, 5, "killed", monkeypatch)
        except KeyboardInterrupt:
            kills += 1
    assert kills > 5
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")
    assert not (tmp_path / "killed" / ".work").exists()
