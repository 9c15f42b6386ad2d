import collections
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import stages
from roots_tf.corpus import sampling, shard_rows
from roots_tf.corpus.sampling import Sample, find, rates
from roots_tf.storage import files
from tests.corpus.unique_shards import write_shards


def documents_of(counts: dict[tuple[str, str], int]) -> list[tuple[str, str, str]]:
    """Documents by language and source."""
    return [
        (f"{language} {source} {number}", source, language)
        for (language, source), size in counts.items()
        for number in range(size)
    ]


def kept(unique: list[str], result: dict) -> set[str]:
    return {
        text
        for path, dropped in zip(unique, result["dropped"], strict=True)
        for _, (batch,) in shard_rows.read(path, [dropped], ["text"])
        for text in batch
    }


def by_language(chosen: set[str]) -> collections.Counter:
    return collections.Counter(text.split()[0] for text in chosen)


def near(number: int, expected: float, of: int) -> bool:
    """Whether a binomial number is within four standard deviations."""
    return abs(number - expected) <= 4 * (expected * (1 - expected / of)) ** 0.5 + 1


def test_a_share_of_everything(tmp_path):
    unique = write_shards(tmp_path, documents_of({("en", "a"): 3000, ("de", "a"): 300}), 3)
    result = find(unique, Sample(keep=0.25), tmp_path)
    languages = by_language(kept(unique, result))
    assert near(languages["en"], 750, 3000)
    assert near(languages["de"], 75, 300)
    assert result["dropped_documents"] == 3300 - languages.total()
    assert [group["rate"] for group in result["groups"]] == [0.25, 0.25]


def test_rare_languages_get_a_larger_part(tmp_path):
    """The part of a language is n^0.5 of the sum over languages: 5 : 2 : 1 of 25 : 4 : 1."""
    counts = {("en", "a"): 5000, ("de", "a"): 800, ("sw", "a"): 200}
    unique = write_shards(tmp_path, documents_of(counts), 3)
    result = find(unique, Sample(documents=800, alpha=0.5), tmp_path)
    languages = by_language(kept(unique, result))
    for language, part, size in (("en", 5 / 8, 5000), ("de", 2 / 8, 800), ("sw", 1 / 8, 200)):
        assert near(languages[language], 800 * part, size)
    assert {group["language"]: group["kept"] for group in result["groups"]} == languages


def test_sources_by_weight(tmp_path):
    counts = {
        ("en", "https://a.org/x"): 2000,
        ("en", "https://b.com/y"): 2000,
        ("en", "spam.example"): 2000,
        ("en", "book.txt"): 2000,
    }
    unique = write_shards(tmp_path, documents_of(counts), 2)
    weights = {"spam.*": 0, "*.org/*": 3, "https://*": 2}
    result = find(unique, Sample(keep=0.3, sources=weights), tmp_path)
    sources = collections.Counter(text.split()[1] for text in kept(unique, result))
    assert near(sources["https://a.org/x"], 1200, 2000)
    assert near(sources["https://b.com/y"], 800, 2000)
    assert near(sources["book.txt"], 400, 2000)
    assert sources["spam.example"] == 0
    assert {group["source"]: group["rate"] for group in result["groups"]} == {
        **{"*.org/*": 0.6, "https://*": 0.4, "": 0.2, "spam.*": 0},
    }


groups = st.dictionaries(
    st.tuples(st.sampled_from(["en", "de", "sw", ""]), st.integers(-1, 1)),
    st.integers(1, 10**6),
    min_size=1,
)


@settings(max_examples=200, deadline=None)
@given(
    groups,
    st.floats(0.001, 0.999),
    st.floats(0, 1),
    st.just(0) | st.floats(1e-6, 9),
    st.integers(0, 10**6),
)
def test_rates_keep_what_is_wanted_in_the_right_proportion(counts, keep, alpha, weight, number):
    how = Sample(keep=keep, alpha=alpha, sources={"a": weight, "b": 1.5}, documents=number)
    found = rates(counts, how)
    wanted = keep * sum(counts.values())
    wanted = min(wanted, number) if number else wanted
    weights = {0: weight, 1: 1.5, -1: 1}
    there = sum(n for (_, place), n in counts.items() if weights[place])
    expected = sum(found[group] * n for group, n in counts.items())
    assert expected == pytest.approx(min(wanted, there), rel=1e-6, abs=1e-6)
    languages = collections.Counter()
    for (language, _), n in counts.items():
        languages[language] += n
    parts = {g: weights[g[1]] * languages[g[0]] ** (alpha - 1) for g in counts}
    factors = [found[g] / parts[g] for g in counts if parts[g] and found[g] < 1]
    assert factors == pytest.approx(factors[:1] * len(factors), rel=1e-6)
    for group in counts:  # what is kept whole would have been given at least that
        assert 0 <= found[group] <= 1
        if factors and found[group] == 1:
            assert parts[group] * factors[0] >= 1 - 1e-6


def test_a_document_is_chosen_whatever_the_others_are(tmp_path):
    """Of a larger share the smaller is a part; neither order, shards nor workers matter."""
    documents = documents_of({("en", "a"): 800, ("de", "b"): 200})
    unique = write_shards(tmp_path / "one", documents, 1)
    some = kept(unique, find(unique, Sample(keep=0.2), tmp_path / "one"))
    more = kept(unique, find(unique, Sample(keep=0.5), tmp_path / "more"))
    assert some < more
    other = kept(unique, find(unique, Sample(keep=0.2, seed=1), tmp_path / "seed"))
    assert near(len(some & other), 0.04 * 1000, 1000)
    again = write_shards(tmp_path / "again", documents[::-1], 3, batch=7)
    with stages.executor(2) as executor:
        assert kept(again, find(again, Sample(keep=0.2), tmp_path / "again", executor)) == some


def test_what_was_dropped_before_does_not_count(tmp_path):
    (path,) = write_shards(tmp_path, documents_of({("en", "a"): 100}), 1)
    shard_rows.save(tmp_path / "gone.npy", np.arange(40, dtype=np.uint32))
    result = find([path], Sample(keep=0.5), tmp_path, dropped=[[str(tmp_path / "gone.npy")]])
    (group,) = result["groups"]
    assert group["documents"] == 60
    assert group["kept"] + result["dropped_documents"] == 60
    assert np.load(result["dropped"][0]).min() >= 40


def test_all_are_kept_where_that_many_are_wanted(tmp_path):
    unique = write_shards(tmp_path, documents_of({("en", "a"): 50}), 2)
    result = find(unique, Sample(documents=1000), tmp_path)
    assert (result["dropped_documents"], len(kept(unique, result))) == (0, 50)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"keep": 0}, {"keep": 1.5}, {"documents": -1}, {"keep": 0.5, "alpha": 2}, {"alpha": 0.3}]
    + [{"keep": 0.5, "sources": {"*": -1}}],
)
def test_mistakes_in_the_recipe(wrong):
    with pytest.raises(files.InputError, match="correct the step sample of the recipe"):
        Sample(**wrong)


def test_the_hash_is_the_same_everywhere():
    assert sampling.order_of(["a59f3aab3bb07b330501525f440eb53e"], 0).tolist() == [
        9490178713067319200
    ]


def test_the_files_are_in_the_folder_of_the_step(tmp_path):
    unique = write_shards(tmp_path / "unique", documents_of({("en", "a"): 5}), 1)
    result = find(unique, Sample(keep=0.5), tmp_path)
    assert Path(result["dropped"][0]).parent == tmp_path / "sample"
