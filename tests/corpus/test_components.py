"""Clusters by rounds over parts, against comparing all with all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import stages
from roots_tf.corpus import clusters, components, exchange, shard_rows

SHARDS, ROWS = 4, 6


def test_stars():
    pairs = np.array([[1, 5, 2], [2, 6, 9]], np.uint64)
    assert components.connected(pairs)[1].tolist() == [0, 0, 1, 1, 0]
    assert components.stars(pairs).tolist() == [[2, 1], [6, 5], [9, 1]]
    assert components.both_ways(components.stars(pairs)).tolist() == [
        *([1, 2], [1, 9], [2, 1]),
        *([5, 6], [6, 5], [9, 1]),
    ]


documents = st.tuples(st.integers(0, SHARDS - 1), st.integers(0, ROWS - 1))


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(documents, documents), max_size=30),
    st.integers(1, 8),
    st.integers(2, 5),
    st.integers(1, SHARDS),
    st.randoms(),
)
def test_against_a_flood(tmp_path_factory, pairs, rows_in_memory, fan, own, chance):
    """Also chains through all shards, with a part for every few pairs."""
    work = str(tmp_path_factory.mktemp("components"))
    pairs = [sorted(pair) for pair in pairs]
    chars = {(s, r): chance.randrange(3) for s in range(SHARDS) for r in range(ROWS)}
    ids = {document: f"{chance.getrandbits(128):032x}" for document in chars}
    numbers = {document: shard_rows.number_of(*document) for document in chars}
    for shard in range(SHARDS):
        here = [document for document in chars if document[0] == shard]
        rows = np.array([numbers[document] for document in here], np.uint64)
        shard_rows.save(shard_rows.name(work, "numbers", shard), rows)
        members = np.zeros(ROWS, clusters._MEMBER)
        members["id"], members["chars"] = [ids[d] for d in here], [chars[d] for d in here]
        shard_rows.save(shard_rows.name(work, "members", shard), members)
        first = [(numbers[a], numbers[b]) for a, b in pairs if a[0] == shard]
        edges = components.stars(np.array(first, np.uint64).reshape(-1, 2).T)
        shard_rows.save(shard_rows.name(work, "edges", shard), components.both_ways(edges))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(components, "ROWS_IN_MEMORY", rows_in_memory)
        patch.setattr(exchange, "FAN", fan)
        result = components.find(
            lambda name, function, tasks: stages.run_stage(function, tasks, work),
            *(work, SHARDS, own, len(pairs)),
        )
    groups = {document: {document} for document in chars}
    for a, b in pairs:
        together = groups[a] | groups[b]
        groups |= dict.fromkeys(together, together)
    expected = {frozenset(group) for group in groups.values() if len(group) > 1}
    assert result["clusters"] == len(expected)
    dropped, of_earlier = set(), set()
    for group in expected:
        first, *rest = sorted(group, key=lambda d: (d[0] < own, -chars[d], ids[d]))
        gone = {document for document in rest if document[0] < own}
        dropped |= gone
        of_earlier |= gone if first[0] >= own else set()
    for stem, wanted in (("dropped", dropped), ("of_earlier", of_earlier)):
        found = [
            (shard, row)
            for shard in range(own)
            for row in np.load(shard_rows.name(work, stem, shard)).tolist()
        ]
        assert found == sorted(wanted)
    assert result["dropped_documents"] == len(dropped)
    assert sum(int(size) * n for size, n in result["sizes"].items()) == sum(map(len, expected))
