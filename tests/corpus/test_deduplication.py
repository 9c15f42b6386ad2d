import random
import tracemalloc

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import stages
from roots_tf.corpus import deduplication
from roots_tf.corpus.deduplication import SpillWriter, identifier, key, shard_of
from roots_tf.corpus.documents import Document


def unique(folder, parts, num_shards, drop=True):
    """Documents of all shards after de-duplication, by shard, and the tallies."""
    for index, documents in enumerate(parts):
        with SpillWriter(deduplication.part_path(folder, index), num_shards) as writer:
            for document in documents:
                writer.add(Document(*document))
    shards, tallies = [], []
    for shard in range(num_shards):
        output, gone = folder / f"shard-{shard}.arrow", folder / f"gone-{shard}.parquet"
        deduplication.write_unique(
            str(folder), len(parts), shard, num_shards, drop, str(output), str(gone)
        )
        tallies.append(stages.read_result(output.with_suffix(".json")))
        with pyarrow.memory_map(str(output)) as raw, pyarrow.ipc.open_file(raw) as file:
            shards.append(file.read_all().to_pylist())
        dropped = pyarrow.parquet.read_table(gone).to_pylist()
        assert len(dropped) == tallies[-1]["documents_in"] - tallies[-1]["documents_out"]
    return shards, tallies


def test_of_equal_documents_that_with_fewest_capitals_is_kept(tmp_path):
    parts = [[("ONE FISH,\ntwo fish", "b"), ("Red", "a")], [("One fish, two fish", "c")], []]
    (rows,), (tally,) = unique(tmp_path, parts, 1)
    rest = {"language": "", "metadata": ""}
    red = {"id": identifier("Red"), "text": "Red", "source": "a", **rest}
    fish = "One fish, two fish"
    assert rows == [red, {"id": identifier(fish), "text": fish, "source": "c", **rest}]
    assert (tally["documents_in"], tally["documents_out"]) == (3, 2)
    assert (tally["bytes_in"], tally["bytes_out"]) == (39, 21)
    assert tally["dropped"] == {"duplicate": {"documents": 1, "bytes": 18}}
    assert tally["samples"]["dropped"][0][1:3] == ["duplicate", "b"]
    (kept,) = pyarrow.parquet.read_table(tmp_path / "gone-0.parquet").to_pylist()
    assert (kept["text"], kept["step"]) == ("ONE FISH,\ntwo fish", "exact_duplicates")
    (rows,), (tally,) = unique(tmp_path, parts, 1, drop=False)
    assert len(rows) == 3
    assert tally["dropped"] == {}


def test_identifiers_are_the_same_everywhere():
    assert identifier("Red") == "a59f3aab3bb07b330501525f440eb53e"
    assert key("Straße\nfrei") == key("STRASSE  frei")
    assert key("a b") != key("ab")


def test_lone_surrogates_are_replaced(tmp_path):
    (rows,), _ = unique(tmp_path, [[("a \ud800", "\udfff", "en", "", '"\ud83d"')]], 1)
    assert [*rows[0].values()][1:] == ["a \ufffd", "\ufffd", "en", '"\ufffd"']


texts = st.sampled_from(["a", "A", "b", "c c", "c\nc", "C C", "d", "ß", "ss", "é", "字"])
documents = st.lists(
    st.tuples(texts, st.sampled_from("xy"), st.sampled_from(["", "en"])), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(documents, st.integers(1, 5), st.integers(1, 6), st.randoms(), st.booleans())
def test_against_a_dictionary(tmp_path_factory, documents, num_shards, spill, chance, drop):
    folder = tmp_path_factory.mktemp("parts")
    parts = [[], [], []]
    for document in documents:
        chance.choice(parts).append(document)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deduplication, "SPILL_CHARS", spill)
        patch.setattr(deduplication, "BATCH_BYTES", spill)
        patch.setattr(deduplication, "COMPACT_BYTES", 100 * spill)
        shards, tallies = unique(folder, parts, num_shards, drop)
    kept = {}
    documents.sort()
    documents.sort(key=lambda document: document[0], reverse=True)
    for document in documents:
        held = kept.setdefault(key(document[0]), [])
        if not (held and drop):
            held.append(document)
    for number, rows in enumerate(shards):
        expected = [
            d for k, held in kept.items() if shard_of(k, num_shards) == number for d in held
        ]
        expected.sort(key=lambda document: (identifier(document[0]), *document))
        assert [(row["text"], row["source"], row["language"]) for row in rows] == expected
        assert [row["id"] for row in rows] == [identifier(text) for text, *_ in expected]
        assert tallies[number]["documents_out"] == len(expected)


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    """Four times the documents in four times the shards."""
    monkeypatch.setattr(deduplication, "SPILL_CHARS", 300_000)
    monkeypatch.setattr(deduplication, "BATCH_BYTES", 300_000)
    peaks, arrow = [], []
    for number in (1, 4):
        path = deduplication.part_path(tmp_path, 0)
        tracemalloc.start()
        arrow.append(0)
        with SpillWriter(path, 4 * number) as writer:
            for i in range(1000 * number):
                writer.add(Document(f"{i} " * 300, "s"))
        for shard in range(4 * number):
            output = str(tmp_path / "shard.arrow")
            deduplication.write_unique(str(tmp_path), 1, shard, 4 * number, True, output, "")
            arrow[-1] = max(arrow[-1], pyarrow.total_allocated_bytes())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
    assert arrow[1] < 1.5 * arrow[0] + 1_000_000


def test_one_text_a_thousand_times_needs_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(deduplication, "SPILL_CHARS", 100_000)
    monkeypatch.setattr(deduplication, "COMPACT_BYTES", 1_000_000)
    peaks = []
    pool = pyarrow.system_memory_pool()
    before = pyarrow.default_memory_pool()
    pyarrow.set_memory_pool(pool)
    try:
        for number in (500, 4_000):
            start = pool.bytes_allocated()
            parts = [[("same " * 2000, f"{i}") for i in range(number)]]
            highest = []
            order = deduplication._order

            def spy(table, *names, highest=highest, order=order):
                highest.append(pool.bytes_allocated())
                return order(table, *names)

            monkeypatch.setattr(deduplication, "_order", spy)
            (rows,), (tally,) = unique(tmp_path, parts, 1)
            monkeypatch.setattr(deduplication, "_order", order)
            assert [row["source"] for row in rows] == ["0"]
            assert tally["dropped"]["duplicate"]["documents"] == number - 1
            peaks.append(max(highest) - start)
    finally:
        pyarrow.set_memory_pool(before)
    assert peaks[1] < 1.5 * peaks[0] + 100_000


def test_batches_are_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(deduplication, "BATCH_BYTES", 1000)
    chance = random.Random(1)
    documents = [(str(i) * chance.randrange(1, 400), "s") for i in range(100)]
    unique(tmp_path, [documents], 1)
    with pyarrow.memory_map(str(tmp_path / "shard-0.arrow")) as raw:
        file = pyarrow.ipc.open_file(raw)
        batches = [file.get_batch(i).column("text") for i in range(file.num_record_batches)]
    sizes = [sum(len(text) for text in batch.to_pylist()) for batch in batches]
    assert len(sizes) > 10
    assert all(size <= 1000 or len(b) == 1 for size, b in zip(sizes, batches, strict=True))
