import concurrent.futures
import itertools
import json
import multiprocessing
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import stages
from roots_tf.corpus import (
    clusters,
    components,
    deduplication,
    near_duplicates,
    shard_rows,
    shingles,
)
from roots_tf.corpus.near_duplicates import NearDuplicates, find
from roots_tf.storage import files
from tests.corpus.unique_shards import identifier, texts, write_shards

pytest.importorskip("rensa")


def words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.casefold()).split()


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + n]) for i in range(max(len(found) - n + 1, min(len(found), 1)))}


def jaccard(a: str, b: str, n: int = 2) -> float:
    """The similarity of two texts, from their words as strings."""
    x, y = ngrams(a, n), ngrams(b, n)
    return len(x & y) / len(x | y)


def all_pairs(documents: list[str], n: int, threshold: float) -> dict[tuple[int, int], float]:
    """Every pair of similar documents, by comparing all with all."""
    known: dict[tuple, int] = {}
    sets = [{known.setdefault(gram, len(known)) for gram in ngrams(d, n)} for d in documents]
    columns = [gram for grams in sets for gram in grams]
    place = np.repeat(np.arange(len(sets)), [len(grams) for grams in sets])
    table = scipy.sparse.csr_array((np.ones(len(columns), np.int32), (place, columns)))
    both = scipy.sparse.triu(table @ table.T, 1).tocoo()
    sizes = np.array([len(grams) for grams in sets])
    similarity = both.data / (sizes[both.row] + sizes[both.col] - both.data)
    found = zip(both.row.tolist(), both.col.tolist(), similarity.tolist(), strict=True)
    return {(a, b): j for a, b, j in found if j >= threshold}


def change(text: str, share: float, vocabulary: list[str], rng: random.Random) -> str:
    """A text of which each word is replaced with a given probability."""
    return " ".join(
        rng.choice(vocabulary) if rng.random() < share else word for word in text.split()
    )


def by_number(unique: list[str]) -> dict[int, str]:
    """All texts by the numbers that steps give them."""
    return {
        shard_rows.number_of(shard, row): text
        for shard, path in enumerate(unique)
        for row, text in enumerate(texts(path))
    }


def groups(folder: Path, unique: list[str]) -> list[set[str]]:
    """The texts of each cluster of a finished run, from its files."""
    work = folder / "near_duplicates"
    shards = range(len(unique))
    edges = [np.load(shard_rows.name(str(work), "edges", shard)) for shard in shards]
    numbers, labels = components.connected(np.concatenate(edges).T)
    everything = by_number(unique)
    found: dict[int, set[str]] = {}
    for number, label in zip(numbers.tolist(), labels.tolist(), strict=True):
        found.setdefault(label, set()).add(everything[number])
    return list(found.values())


def left(unique: list[str], result: dict) -> set[str]:
    """The texts that a run keeps."""
    return {
        text
        for path, dropped in zip(unique, result["dropped"], strict=True)
        for _, (batch,) in shard_rows.read(path, [dropped], ["text"])
        for text in batch
    }


def test_signatures_are_the_same_everywhere():
    """Of any release of the library and on any machine: else shards of two runs do not meet."""
    hashes, offsets = shingles.ngram_hashes(*shingles.word_hashes(["The sea was calm.", ""]), 2)
    offsets = offsets[[0, 1]]
    bands = near_duplicates._bands(hashes, offsets, NearDuplicates(bands=3, rows=2, seed=7))
    assert bands.tolist() == [[13545609956573775794, 5552178737877612592, 8012901161201342417]]


hashes = st.lists(st.integers(0, 6), max_size=30)


@settings(max_examples=100, deadline=None)
@given(hashes, st.integers(2, 8))
def test_pairs_of_small_and_large_buckets(values, large):
    values, numbers = np.sort(np.array(values, np.uint64)), np.arange(len(values), dtype=np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "LARGE_BUCKET", large)
        pairs, largest = near_duplicates.pairs_of_equal(values, numbers + np.uint64(100))
    expected = set()
    for value in set(values.tolist()):
        members = [100 + i for i in range(len(values)) if values[i] == value]
        some = set(itertools.combinations(members, 2))
        if len(members) > large:
            some = {(members[0], b) for b in members[1:]} | set(itertools.pairwise(members))
        expected |= some
    assert pairs.T.tolist() == [list(pair) for pair in sorted(expected)]
    counts = np.unique(values, return_counts=True)[1]
    assert largest == max((count for count in counts.tolist() if count > 1), default=0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20))
def test_components_against_a_flood(edges):
    pairs = np.array(edges, np.uint64).reshape(-1, 2).T
    numbers, labels = components.connected(pairs)
    neighbours: dict[int, set[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    expected = set()
    for start in neighbours:
        reached, waiting = set(), [start]
        while waiting:
            number = waiting.pop()
            waiting += neighbours[number] - reached
            reached.add(number)
        expected.add(frozenset(reached))
    found: dict[int, set[int]] = {}
    for number, label in zip(numbers.tolist(), labels.tolist(), strict=True):
        found.setdefault(label, set()).add(number)
    assert {frozenset(group) for group in found.values()} == expected


@settings(max_examples=60, deadline=None)
@given(st.text("ab ", max_size=40), st.text("ab ", max_size=40), st.integers(1, 3))
def test_jaccard_against_sets_of_strings(a, b, n):
    hashes = [shingles.ngram_hashes(*shingles.word_hashes([text]), n)[0] for text in (a, b)]
    sets = [np.unique(grams) for grams in hashes]
    expected = jaccard(a, b, n) if ngrams(a, n) | ngrams(b, n) else 0
    assert clusters.jaccard(*sets) == clusters.jaccard(*sets[::-1]) == expected


STORY = "The harbour master told the crew that the storm would pass before the morning came in. "


def test_the_longest_is_kept_and_of_these_the_smallest_id(tmp_path):
    same_length = [STORY + "They sailed.", STORY + "They waited."]
    longest = STORY + "They sailed at noon."
    other = "Nothing of the kind is said here, and nobody has heard of any harbour at all."
    unique = write_shards(tmp_path, [(text, "s") for text in (*same_length, longest, other)], 2)
    result = find(unique, NearDuplicates(), tmp_path)
    assert left(unique, result) == {longest, other}
    assert (result["clusters"], result["dropped_documents"]) == (1, 2)
    (cluster,) = result["samples"]
    assert [document["text"] for document in cluster][0] == longest
    assert {document["text"] for document in cluster} == {longest, *same_length}
    assert cluster[0]["jaccard"] == 1
    assert cluster[1]["jaccard"] == pytest.approx(jaccard(longest, cluster[1]["text"]), abs=1e-3)
    unique = write_shards(tmp_path / "two", [(text, "s") for text in (*same_length, other)], 2)
    result = find(unique, NearDuplicates(), tmp_path / "two")
    assert left(unique, result) == {min(same_length, key=identifier), other}


def test_documents_without_words_are_not_alike(tmp_path):
    unique = write_shards(tmp_path, [(text,) for text in ("...", "!?", "* * *", "", "Yes.")], 2)
    result = find(unique, NearDuplicates(), tmp_path)
    assert (result["documents"], result["clusters"]) == (1, 0)
    assert result["samples"] == []
    assert [np.load(path).tolist() for path in result["dropped"]] == [[], []]


def test_what_was_dropped_before_is_not_looked_at(tmp_path):
    pair = [STORY + "They sailed.", STORY + "They sailed at noon."]
    unique = write_shards(tmp_path, [(text,) for text in pair], 1)
    shard_rows.save(tmp_path / "gone.npy", np.array([texts(unique[0]).index(pair[1])], np.uint32))
    result = find(unique, NearDuplicates(), tmp_path, dropped=[[str(tmp_path / "gone.npy")]])
    assert (result["documents"], result["clusters"]) == (1, 0)


@pytest.mark.parametrize(
    "wrong", [{"ngram": 0}, {"bands": 0}, {"rows": -1}, {"min_jaccard": 0}, {"min_jaccard": 1.5}]
)
def test_mistakes_in_the_recipe(wrong):
    with pytest.raises(files.InputError, match="correct the step near_duplicates of the recipe"):
        NearDuplicates(**wrong)


@pytest.fixture(scope="module")
def parts(novels) -> list[str]:
    """Parts of some novels of 1,000 characters, each once."""
    found = []
    for path in sorted(novels.glob("*.txt"))[:10]:
        text = " ".join(path.read_text("utf-8-sig").split())[:200_000]
        found += [text[i : i + 1000] for i in range(0, len(text) - 500, 1000)]
    found = list(dict.fromkeys(found))
    assert len(found) > 1250
    return found


SHARES = (0.05, 0.15, 0.30)  # of words that are changed in a copy


@pytest.fixture(scope="module")
def planted(parts, tmp_path_factory):
    """Novels with 400 copies of each kind, and what was found of them."""
    folder = tmp_path_factory.mktemp("planted")
    rng = random.Random(1)
    vocabulary = sorted({word for text in parts[::10] for word in text.split()})
    originals = rng.sample(parts, 1200)
    copies = [
        (share, text, change(text, share, vocabulary, rng))
        for share, some in zip(SHARES, np.array_split(originals, 3), strict=True)
        for text in some.tolist()
    ]
    documents = [*parts, *(copy for _, _, copy in copies)]
    unique = write_shards(folder, [(text, "s") for text in documents], 4)
    return folder, unique, copies, documents, find(unique, NearDuplicates(), folder)


def test_planted_copies_are_found(planted):
    folder, unique, copies, _, _ = planted
    together = [group for group in groups(folder, unique) if len(group) > 1]
    of = {text: index for index, group in enumerate(together) for text in group}
    found = dict.fromkeys(SHARES, 0)
    for share, original, copy in copies:
        found[share] += copy in of and of[copy] == of.get(original)
    assert found[0.05] >= 0.99 * 400
    assert found[0.15] >= 0.95 * 400


def test_candidates_are_as_many_as_the_bands_predict(planted):
    """Of the copies of each kind, whether they are similar enough or not."""
    folder, unique, copies, _, _ = planted
    everything = by_number(unique)
    work = str(folder / "near_duplicates")
    candidates = {
        frozenset((everything[a], everything[b]))
        for shard in range(len(unique))
        for a, b in np.load(shard_rows.name(work, "candidates", shard)).T.tolist()
    }
    for share in SHARES:
        chances = [
            NearDuplicates().recall(jaccard(original, copy))
            for kind, original, copy in copies
            if kind == share
        ]
        found = sum(frozenset(pair) in candidates for kind, *pair in copies if kind == share)
        deviation = sum(p * (1 - p) for p in chances) ** 0.5
        assert abs(found - sum(chances)) <= 4 * deviation + 1, share


def chained(first: str, second: str, group) -> bool:
    """Whether texts of a group, each similar to the one before, lead from one to another."""
    reached, rest = [first], set(group) - {first}
    for text in reached:
        near = {other for other in rest if jaccard(text, other) >= 0.45}
        reached += near
        rest -= near
    return second in reached


def test_what_is_found_is_similar_and_little_is_missed(planted):
    """The copies and their originals, against comparing every one with every other."""
    folder, unique, copies, _, result = planted
    together = groups(folder, unique)
    found = {frozenset(pair) for group in together for pair in itertools.combinations(group, 2)}
    assert sum(jaccard(*pair) >= 0.45 for pair in found) >= 0.97 * len(found) > 700
    some = [text for _, *pair in copies[::3] for text in pair]
    expected = {frozenset((some[a], some[b])) for a, b in all_pairs(some, 2, 0.45)}
    assert len(found & expected) >= 0.97 * len(expected) > 250
    for pair in {pair for pair in found if pair <= set(some)} - expected:  # alike by way of others
        [group] = [group for group in together if pair <= set(group)]
        assert chained(*pair, group)
    assert result["verified_pairs"] == sum(
        count for similarity, count in result["jaccard"].items() if float(similarity) >= 0.45
    )
    assert sum(result["jaccard"].values()) == result["candidate_pairs"]


def test_news_that_were_published_twice(data, tmp_path):
    """70 of 2,124 different stories of the BBC are later versions of another."""
    stories = {}
    for path in sorted((data / "bbc_news").glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            text = " ".join(json.loads(line)["text"].split())
            stories.setdefault(deduplication.key(text), text)
    documents = list(stories.values())
    unique = write_shards(tmp_path, [(text, "bbc") for text in documents], 4)
    result = find(unique, NearDuplicates(), tmp_path)
    expected = all_pairs(documents, 2, 0.45)
    found = {frozenset(group) for group in groups(tmp_path, unique)}
    assert found == {frozenset((documents[a], documents[b])) for a, b in expected}
    assert (len(found), result["clusters"], result["dropped_documents"]) == (70, 70, 70)
    heads = {frozenset(text[:24] for text in pair) for pair in found}
    assert frozenset(("Italy 17-28 Ireland Two ", "O'Driscoll saves Irish b")) in heads
    assert frozenset(("Labour chooses Mancheste", "Manchester wins Labour c")) in heads


def test_declarations_in_many_languages_are_not_alike(data, tmp_path):
    """Pieces of 2,000 characters: scripts without spaces are compared by characters."""
    pieces = []
    for path in sorted((data / "udhr").glob("*.txt")):
        text = path.read_text("utf-8")
        pieces += [(text[i : i + 2000], path.name) for i in range(0, len(text), 2000)]
    assert len({name for _, name in pieces}) == 36
    result = find(write_shards(tmp_path, pieces, 2), NearDuplicates(), tmp_path)
    assert result["dropped_documents"] == 0


def test_neither_workers_nor_parts_change_the_result(parts, tmp_path, monkeypatch):
    rng = random.Random(2)
    documents = parts[:300]
    documents = documents + [change(text, 0.08, ["sea", "ship"], rng) for text in documents[:60]]
    alone = write_shards(tmp_path / "a", [(text, "s") for text in documents], 3)
    expected = find(alone, NearDuplicates(), tmp_path / "a")
    assert expected["dropped_documents"] == 60
    rng.shuffle(documents)
    monkeypatch.setattr(near_duplicates, "ROWS_IN_MEMORY", 100)  # four ranges of hashes a band
    again = write_shards(tmp_path / "b", [(text, "s") for text in documents], 3, batch=17)
    with stages.executor(2) as executor:
        result = find(again, NearDuplicates(), tmp_path / "b", executor)
    assert left(again, result) == left(alone, expected)
    for a, b in zip(expected["dropped"], result["dropped"], strict=True):
        assert Path(a).read_bytes() == Path(b).read_bytes()
    ignored = {"dropped", "of_earlier", "seconds"}
    assert {k: v for k, v in result.items() if k not in ignored} == {
        k: v for k, v in expected.items() if k not in ignored
    }


def test_a_killed_run_goes_on(parts, tmp_path, monkeypatch):
    """Stops after each fifth task, as a kill would, and starts again."""
    documents = [*parts[:60], *(text[:-100] for text in parts[:20])]
    unique = write_shards(tmp_path, [(text, "s") for text in documents], 2)
    expected = find(unique, NearDuplicates(bands=20), tmp_path / "whole")
    write, written = stages.write_result, []

    def write_and_die(path, value):
        write(path, value)
        written.append(path)
        if len(written) % 5 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(stages, "write_result", write_and_die)
    result = None
    while result is None:
        try:
            result = find(unique, NearDuplicates(bands=20), tmp_path / "killed")
        except KeyboardInterrupt:
            continue
    assert len(written) == len(set(written)) > 25
    assert left(unique, result) == left(unique, expected)
    assert result["dropped_documents"] == 20


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """Ten times the documents, in ten times the shards of the same size."""
    # In a process of its own: threads of other tests, such as servers, take memory of theirs.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        small, large = (pool.submit(peak, tmp_path, size).result() for size in (1_000, 10_000))
    assert large < 1.5 * small


def peak(folder: Path, size: int) -> int:
    """Bytes that Python takes at most to find the duplicates of `size` documents."""
    near_duplicates.ROWS_IN_MEMORY = 1_000
    rng = random.Random(size)
    vocabulary = ["".join(rng.choices("abcdefghij", k=5)) for _ in range(20_000)]
    folder = folder / str(size)
    documents = [" ".join(rng.choices(vocabulary, k=60)) for _ in range(size)]
    documents += [text + " again" for text in documents[: size // 20]]
    unique = write_shards(folder, [(text, "s") for text in documents], size // 500)
    del documents
    tracemalloc.start()
    result = find(unique, NearDuplicates(), folder)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result["dropped_documents"] == size // 20
    return most
