import collections
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import stages
from roots_tf.corpus import repeated_paragraphs, shard_rows
from roots_tf.corpus.repeated_paragraphs import (
    RepeatedParagraphs,
    find,
    paragraph_hashes,
    remove,
)
from roots_tf.storage import files
from tests.corpus.unique_shards import texts, write_shards

MENU = "Home | News | Sport | Weather | Subscribe"


def left(unique: list[str], result: dict) -> list[str]:
    """What a run leaves: texts without the repeated paragraphs, those of dropped rows left out."""
    return sorted(
        remove(text, result["repeated"])
        for path, dropped in zip(unique, result["dropped"], strict=True)
        for _, (batch,) in shard_rows.read(path, [dropped], ["text"])
        for text in batch
    )


def test_menus_go_and_stories_stay(tmp_path):
    stories = [f"Story {word}: {word} " * 10 + f"\nOnly {word} was here." for word in "abcdefgh"]
    documents = [f"{MENU}\n{story}\nRead more on page {n}." for n, story in enumerate(stories)]
    documents += [f"{MENU}\nToo little.", f"{MENU}\n{MENU.upper()}"]
    unique = write_shards(tmp_path, [(text,) for text in documents], 3)
    result = find(unique, RepeatedParagraphs(documents=7, min_chars=50), tmp_path)
    assert left(unique, result) == sorted(stories)
    assert result["repeated_paragraphs"] == 2
    assert (result["documents_changed"], result["dropped_documents"]) == (8, 2)
    assert result["chars_removed"] == sum(map(len, documents[:8])) - sum(map(len, stories))
    most, other = result["most_frequent"]
    assert most == {"documents": 10, "text": MENU.upper()}  # the smaller of two ways to write it
    assert other == {"documents": 8, "text": "Read more on page 0."}
    result = find(unique, RepeatedParagraphs(documents=10), tmp_path / "none")
    assert left(unique, result) == sorted(documents)
    assert (result["repeated_paragraphs"], result["most_frequent"]) == (0, [])


def test_what_counts_as_the_same_paragraph():
    long = "The ship sailed on day 12 of the month."
    same = paragraph_hashes(f"{long}\n{long.upper()}\n  {long.replace(' ', '  ')}\n{long}2")
    assert len(set(same[:3])) == 1
    assert same[3] != same[0]
    assert paragraph_hashes("Open page 1 of 20\nOpen page 37 of 2")[0] != 0
    assert len(set(paragraph_hashes("Open page 1 of 20\nOpen page 37 of 2"))) == 1
    assert paragraph_hashes("Yes, sir.\n" + "x" * 14 + "\n") == [0, 0, 0]


def test_documents_that_are_short_by_nature_stay(tmp_path):
    unique = write_shards(tmp_path, [("A short one, not touched.",), ("Yes.",)], 2)
    result = find(unique, RepeatedParagraphs(documents=1), tmp_path)
    assert result["dropped_documents"] == 0


lines = st.sampled_from([f"{letter} paragraph of some length" for letter in "abcdef"] + ["", "no"])
texts_of_lines = st.lists(st.lists(lines, max_size=5).map("\n".join), max_size=12, unique=True)


@settings(max_examples=40, deadline=None)
@given(texts_of_lines, st.integers(1, 4), st.integers(1, 3), st.data())
def test_against_a_dictionary(tmp_path_factory, documents, limit, num_shards, data):
    folder = tmp_path_factory.mktemp("paragraphs")
    unique = write_shards(folder, [(text,) for text in documents], num_shards, batch=2)
    gone, dropped = set(), []
    for shard, path in enumerate(unique):
        numbers = [n for n in range(len(texts(path))) if data.draw(st.booleans())]
        gone |= {texts(path)[n] for n in numbers}
        dropped.append(str(folder / f"gone-{shard}.npy"))
        shard_rows.save(dropped[-1], np.array(numbers, np.uint32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeated_paragraphs, "ROWS_IN_MEMORY", 2)
        how = RepeatedParagraphs(documents=limit, min_chars=40)
        result = find(unique, how, folder, dropped=[dropped])
    counts = collections.Counter(
        line for text in set(documents) - gone for line in set(text.split("\n")) if len(line) >= 15
    )
    expected = []
    for text in set(documents) - gone:
        rest = "\n".join(line for line in text.split("\n") if counts[line] <= limit)
        if rest == text or len(rest) >= 40:
            expected.append(rest)
    kept = [
        remove(text, result["repeated"])
        for path, *paths in zip(unique, dropped, result["dropped"], strict=True)
        for _, (batch,) in shard_rows.read(path, paths, ["text"])
        for text in batch
    ]
    assert sorted(kept) == sorted(expected)
    assert result["repeated_paragraphs"] == sum(count > limit for count in counts.values())
    assert result["paragraphs"] == len(counts)


def test_novels_keep_their_paragraphs(data, tmp_path):
    """No line of 15 characters is in more than 10 of 600 parts of novels, but a planted one is."""
    parts = []
    for path in sorted((data / "novels_en").glob("[CK]*.txt"))[:6]:
        paragraphs = [" ".join(p.split()) for p in path.read_text("utf-8-sig").split("\n\n")]
        parts += ["\n".join(paragraphs[i : i + 20]) for i in range(0, len(paragraphs) - 20, 20)]
    parts = sorted(set(parts))[:600]
    rng = random.Random(5)
    planted = [text + f"\n{MENU}" if rng.random() < 0.3 else text for text in parts]
    unique = write_shards(tmp_path, [(text,) for text in planted], 4)
    result = find(unique, RepeatedParagraphs(), tmp_path)
    assert left(unique, result) == sorted(parts)
    assert [found["text"] for found in result["most_frequent"]] == [MENU]


def test_neither_workers_nor_shards_change_the_result(tmp_path):
    rng = random.Random(6)
    documents = [
        "\n".join(f"{rng.choice('abcdefghijkl')} paragraph that is long enough" for _ in range(6))
        for _ in range(80)
    ]
    documents = sorted(set(documents))
    results = []
    for num_shards, workers in ((1, 1), (4, 2)):
        folder = tmp_path / str(num_shards)
        unique = write_shards(folder, [(text,) for text in documents], num_shards)
        with stages.executor(workers) as executor:
            result = find(unique, RepeatedParagraphs(documents=38), folder, executor)
        results.append((left(unique, result), Path(result["repeated"]).read_bytes()))
    assert results[0] == results[1]
    assert 0 < len(results[0][0]) < len(documents) or results[0][0] != documents


@pytest.mark.parametrize("wrong", [{"documents": 0}, {"min_chars": -1}])
def test_mistakes_in_the_recipe(wrong):
    with pytest.raises(files.InputError, match="correct the step repeated_paragraphs"):
        RepeatedParagraphs(**wrong)
