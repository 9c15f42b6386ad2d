import tracemalloc

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.corpus import deduplication
from roots_tf.corpus.deduplication import SpillWriter, identifier, key, shard_of


def unique(folder, parts, num_shards):
    """Documents of all shards after de-duplication, by shard."""
    paths = []
    for index, documents in enumerate(parts):
        paths.append(str(folder / f"part-{index}.arrow"))
        with SpillWriter(paths[-1], num_shards) as writer:
            for document in documents:
                writer.add(*document)
    shards, tallies = [], []
    for shard in range(num_shards):
        output = folder / f"shard-{shard}.parquet"
        tallies.append(deduplication.write_shard(paths, shard, num_shards, str(output)))
        shards.append(pyarrow.parquet.read_table(output).to_pylist())
    return shards, tallies


def test_the_first_of_equal_documents_is_kept(tmp_path):
    parts = [[("One fish,\ntwo fish", "a"), ("Red", "a")], [("ONE fish, two FISH", "b")], []]
    (rows,), (tally,) = unique(tmp_path, parts, 1)
    assert rows == [
        {"id": identifier("One fish,\ntwo fish"), "text": "One fish,\ntwo fish", "source": "a"},
        {"id": identifier("Red"), "text": "Red", "source": "a"},
    ]
    assert (tally["documents_in"], tally["documents_out"]) == (3, 2)
    assert tally["dropped"] == {"duplicate": {"documents": 1, "bytes": 18}}
    assert tally["samples"]["duplicate"][0]["source"] == "b"


def test_identifiers_are_the_same_everywhere():
    assert identifier("Red") == "a59f3aab3bb07b330501525f440eb53e"
    assert key("Straße\nfrei") == key("STRASSE  frei")
    assert key("a b") != key("ab")


texts = st.sampled_from(["a", "A", "b", "c c", "c\nc", "C C", "d", "ß", "ss", "é", "字"])
documents = st.lists(st.lists(st.tuples(texts, st.sampled_from("xy")), max_size=8), max_size=4)


@settings(max_examples=40, deadline=None)
@given(documents, st.integers(1, 5), st.integers(1, 6))
def test_against_a_dictionary(tmp_path_factory, parts, num_shards, spill):
    folder = tmp_path_factory.mktemp("parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deduplication, "SPILL_CHARS", spill)
        patch.setattr(deduplication, "ROW_GROUP_CHARS", spill)
        shards, _ = unique(folder, parts, num_shards)
    expected = {}
    for documents in parts:
        for text, source in documents:
            expected.setdefault(key(text), (text, source))
    for number, rows in enumerate(shards):
        assert [(row["text"], row["source"]) for row in rows] == [
            document for k, document in expected.items() if shard_of(k, num_shards) == number
        ]


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(deduplication, "SPILL_CHARS", 300_000)
    monkeypatch.setattr(deduplication, "ROW_GROUP_CHARS", 300_000)
    peaks = []
    for number in (1_000, 4_000):
        path = str(tmp_path / f"{number}.arrow")
        tracemalloc.start()
        with SpillWriter(path, 4) as writer:
            for i in range(number):
                writer.add(f"{i} " * 300, "s")
        for shard in range(4):
            deduplication.write_shard([path], shard, 4, str(tmp_path / "shard.parquet"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
