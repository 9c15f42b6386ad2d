"""A new crawl against what earlier runs kept: `--keep_index`, then `--against`."""

import json
import random
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import curate
from roots_tf.corpus import deduplication
from roots_tf.storage import files
from roots_tf.storage.files import InputError
from tests.pipelines.curated import digest, report, rows, step

EXACT = '[[steps]]\nname = "exact_duplicates"\n'
NEAR = EXACT + '[[steps]]\nname = "near_duplicates"\n'


def curated(folder, name: str, texts, recipe: str = EXACT, **flags):
    """The output of a run on texts, of which documents are named by the run."""
    lines = "".join(json.dumps({"text": text, "source": name}) + "\n" for text in texts)
    (folder / f"{name}.jsonl").write_text(lines)
    (folder / f"{name}.toml").write_text(recipe)
    output = folder / f"out-{name}"
    curate.main(
        curate.Config(
            input=(str(folder / f"{name}.jsonl"),),
            output=str(output),
            recipe=str(folder / f"{name}.toml"),
            num_workers=1,
            num_shards=flags.pop("num_shards", 2),
            **flags,
        )
    )
    return output


def kept(output) -> set[bytes]:
    return {deduplication.key(row["text"]) for row in rows(output)}


texts = st.lists(
    st.sampled_from("aAbcdefghijklmnopqrstuv"),
    min_size=1,
    max_size=16,
)


@settings(max_examples=8, deadline=None)
@given(texts, texts, texts, st.integers(1, 5))
def test_what_is_kept_of_the_new_is_as_of_all_at_once(tmp_path_factory, first, second, new, shards):
    folder = tmp_path_factory.mktemp("runs")
    index = {"keep_index": True, "num_shards": shards}
    before = [curated(folder, "first", first, **index)]
    before.append(
        curated(folder, "second", second, against=(str(before[0]),), **index)
        if set(map(str.lower, second)) - set(map(str.lower, first))
        else before[0]
    )
    before = list(dict.fromkeys(map(str, before)))
    old = set().union(*map(kept, before))
    if not {deduplication.key(text) for text in new} - old:
        new = [*new, "new"]
    together = curated(folder, "all", [*(row["text"] for b in before for row in rows(b)), *new])
    output = curated(folder, "new", new, against=tuple(before))
    assert kept(output) == kept(together) - old
    dropped = report(output)["dropped"]
    known = {deduplication.key(text) for text in new} & old
    assert dropped.get("duplicate_of_earlier", {"documents": 0})["documents"] == len(known)


WORDS = [f"w{number}" for number in range(4000)]


def story(number: int) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=50))


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    pytest.importorskip("rensa")
    folder = tmp_path_factory.mktemp("old")
    texts = [story(number) for number in range(8)]
    return curated(folder, "old", texts, NEAR, keep_index=True)


NEW = [
    story(0) + " again",  # longer than the earlier one, which stays
    story(1).upper(),  # equal
    story(20),
    story(20) + " and on",  # the longer of two new ones
    *(story(number) for number in range(21, 26)),
]


def test_near_duplicates_of_earlier_documents_go(old, tmp_path):
    output = curated(tmp_path, "new", NEW, NEAR, against=(str(old),), keep_dropped=True)
    assert kept(output) == {deduplication.key(text) for text in NEW[3:]}
    dropped = report(output)["dropped"]
    assert {reason: counts["documents"] for reason, counts in dropped.items()} == {
        "duplicate_of_earlier": 1,
        "near_duplicate_of_earlier": 1,
        "near_duplicate": 1,
    }
    (sample,) = [
        sample
        for sample in step(output, "near_duplicates")["samples"]["dropped"]
        if sample["reason"] == "near_duplicate_of_earlier"
    ]
    assert sample["text"] == NEW[0]
    pairs = [[found["source"] for found in c] for c in report(output)["near_duplicates"]["samples"]]
    assert sorted(pairs) == [["new", "new"], ["old", "new"]]
    again = curated(tmp_path, "more", NEW, NEAR, against=(str(old),), num_shards=2)
    assert digest(again) != digest(output)  # the source is another
    together = curated(tmp_path, "all", [*(story(n) for n in range(8)), *NEW], NEAR)
    old_clusters = kept(old) | {deduplication.key(NEW[0])}
    assert kept(together) - old_clusters == kept(output)


def test_nothing_new(old, tmp_path):
    """A crawl that earlier runs have whole leaves no document, and says so."""
    texts = [story(number) for number in range(8)]
    output = curated(tmp_path, "same", texts, NEAR, against=(str(old),), keep_index=True)
    assert (rows(output), report(output)["documents_out"]) == ([], 0)
    assert report(output)["dropped"]["duplicate_of_earlier"]["documents"] == 8
    again = curated(tmp_path, "more", [*texts, "new"], NEAR, against=(str(old), str(output)))
    assert [row["text"] for row in rows(again)] == ["new"]


def test_bytes_of_an_index(old):
    """16 for the key, 8 a band."""
    documents, folder = files.read_json(old / "_index" / "index.json")["documents"], old / "_index"
    held = sum(path.stat().st_size - 128 for path in folder.glob("*.npy"))
    assert (documents, held) == (8, 8 * (16 + 8 * 40))


@pytest.mark.parametrize(
    "change, message",
    [
        ("nothing", "no finished run of curate"),
        ("no index", "no index of curate"),
        ("format", "found format 7 of the index"),
        ("damage", "the index is damaged"),
        ("gone", "found no file at .*bands-00001"),
        ("documents", "found no file at .*documents-00000-of-00002"),
        ("short", "not described whole"),
        ("recipe", "with ngram = 2, bands = 40, rows = 4, seed = 0"),
        ("no step", "no step exact_duplicates"),
        ("twice", "twice in --against"),
    ],
)
def test_an_index_that_cannot_be_used_is_one_line(old, tmp_path, change, message):
    folder, recipe = tmp_path / "copy", NEAR
    shutil.copytree(old, folder)
    against = (str(folder),)
    index = folder / "_index" / "index.json"
    if change == "nothing":
        (tmp_path / "empty").mkdir()
        against = (str(tmp_path / "empty"),)
    elif change == "no index":
        shutil.rmtree(folder / "_index")
    elif change == "format":
        index.write_text(index.read_text().replace('"format": 1', '"format": 7'))
    elif change == "documents":
        next(folder.glob("documents-00000*")).unlink()
    elif change == "short":
        content = json.loads(index.read_text())
        index.write_text(json.dumps(content | {"shards": [[]]}))
    elif change in ("damage", "gone"):
        path = folder / "_index" / "bands-00001.npy"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        if change == "gone":
            path.unlink()
    elif change == "recipe":
        recipe = NEAR + "seed = 5\n"
    elif change == "no step":
        recipe = '[[steps]]\nname = "repair"\n'
    else:
        against *= 2
    with pytest.raises(InputError, match=message) as caught:
        curated(tmp_path, "new", NEW, recipe, against=against)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out-new").glob("*.parquet"))
