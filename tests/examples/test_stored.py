"""Examples behind a URL: the batches of the local folder, and shards brought shortly before use."""

import gc
import hashlib
import os
import tempfile

import numpy as np
import pytest

from roots_tf import examples
from roots_tf.examples import manifest, mixture, stored
from roots_tf.objectives import MaskedLM
from roots_tf.storage import files, urls


@pytest.fixture(scope="module")
def many(documents, vocabulary, tmp_path_factory):
    """The small corpus in twelve shards."""
    from tests.examples.conftest import build

    folder = tmp_path_factory.mktemp("many")
    return build(documents, vocabulary, folder, held_out=0.05, num_shards=12)


@pytest.fixture
def url(store, many):
    """Where the examples stand in the store, under a name of their own."""
    key = tempfile.mkdtemp(prefix="examples").rpartition("/")[2]
    url = store.put(key, many.folder)
    store.requests.clear()
    return url


def dataset_of(folder, **flags):
    flags = {"batch_size": 32, "seed": 7} | flags
    return examples.pipeline(folder, MaskedLM(sentence_objective="none").make_rows, **flags)


def digest(dataset) -> str:
    sha = hashlib.sha256()
    for batch in dataset.as_numpy_iterator():
        for name in sorted(batch):
            sha.update(name.encode() + np.ascontiguousarray(batch[name]).tobytes())
    return sha.hexdigest()


def shards_asked(store) -> list[str]:
    paths = [path.rpartition("/")[2] for method, path, _ in store.requests if method == "GET"]
    return [name for name in paths if name.endswith(".tfrecord")]


@pytest.fixture(scope="module")
def epoch(many) -> str:
    """The batches of an epoch of the local folder."""
    return digest(dataset_of(many.folder, num_epochs=1))


def test_batches_are_those_of_the_local_folder(store, many, url, epoch):
    assert digest(dataset_of(url, num_epochs=1)) == epoch
    flags = {"num_epochs": 1, "split": "held_out"}
    assert digest(dataset_of(url, **flags)) == digest(dataset_of(many.folder, **flags))
    assert sorted(shards_asked(store)) == sorted(
        path.name for path in many.folder.glob("*.tfrecord")
    )


def test_a_run_that_goes_on_asks_for_what_is_left(store, many, url):
    whole = dataset_of(many.folder, num_epochs=1)
    steps = sum(1 for _ in whole)
    left = dataset_of(url, num_epochs=1, start_step=steps - 3)
    assert digest(left) == digest(whole.skip(steps - 3))
    assert 1 <= len(shards_asked(store)) <= 2


def test_no_more_shards_are_here_than_are_read_and_ahead(store, many, url, monkeypatch):
    read_whole, now = stored._fetched, []

    def counted(folder, shard):
        now.append(len([f for f in os.listdir("/proc/self/fd") if is_unnamed(f)]))
        return read_whole(folder, shard)

    monkeypatch.setattr(stored, "_fetched", counted)
    before = len([f for f in os.listdir("/proc/self/fd") if is_unnamed(f)])
    iterator = iter(dataset_of(url))  # of no end
    for _ in range(30):
        next(iterator)
    assert max(now) - before <= stored.AHEAD + 2
    del iterator
    gc.collect()
    assert len([f for f in os.listdir("/proc/self/fd") if is_unnamed(f)]) <= before + stored.AHEAD


def is_unnamed(descriptor: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").endswith(" (deleted)")
    except OSError:
        return False


def test_faults_on_the_way_change_no_batch(store, url, epoch):
    for fault in ("503", "cut", "500"):
        store.fail(".tfrecord", fault, times=3)
    assert digest(dataset_of(url, num_epochs=1)) == epoch


def test_a_mixture_of_a_store_and_a_disk(store, many, url):
    def mixed(folder):
        both = mixture.load(f"one={folder},two={many.folder}")
        shares = {"one": 0.5, "two": 0.5}
        return mixture.Mixture(both["folders"], both, shares, dict.fromkeys(shares, 1))

    there, here = (dataset_of(mixed(folder)).take(5) for folder in (url, many.folder))
    assert digest(there) == digest(here)


def broken(store, url, many, change):
    """The examples with another content of the shard that is read first."""
    first = next(iter(shards_of_first_batch(store, url)))
    content = bytearray((many.folder / first).read_bytes())
    content = change(content)
    store.put(f"{url.rpartition('/')[2]}/{first}", bytes(content))
    return first


def shards_of_first_batch(store, url):
    next(iter(dataset_of(url)))
    return shards_asked(store)


def flipped(content: bytearray) -> bytearray:
    content[len(content) // 2] ^= 1
    return content


def test_a_flipped_bit_is_named(store, many, url):
    name = broken(store, url, many, flipped)
    with pytest.raises(files.InputError) as caught, examples.damage_named():
        digest(dataset_of(url, num_epochs=1))
    assert f"found a damaged record in {url}/{name} at byte offset" in str(caught.value)
    assert (caught.value.id, "\n" in str(caught.value)) == ("file-damaged", False)


def test_a_shard_cut_short_is_named_before_the_first_step(store, many, url):
    name = broken(store, url, many, lambda content: content[: len(content) // 2])
    wanted = f"found a damaged record in {url}/{name} at byte offset"
    with pytest.raises(files.InputError, match=wanted):
        dataset_of(url)


def test_a_shard_that_is_gone_is_named(store, many, url):
    dataset = dataset_of(url, num_epochs=1)
    name = many.manifest["splits"]["train"]["shards"][5]["name"]
    store.delete(f"{url.rpartition('/')[2]}/{name}")
    wanted = f"nothing at {url}/{name}"
    with pytest.raises(files.InputError, match=wanted) as caught, examples.damage_named():
        digest(dataset)
    assert caught.value.id == "no-such-file"
    with pytest.raises(files.InputError, match=f"found no shard {url}/{name}; wanted"):
        dataset_of(url)


def test_a_store_that_falls_silent_is_told(store, many, url, monkeypatch):
    dataset = dataset_of(url, num_epochs=1)
    monkeypatch.setattr(urls, "FIRST_WAIT", 0.001)
    store.fail(".tfrecord", "503", times=1000)
    wanted = f"could not reach {url}/examples-.* in 7 tries"
    with pytest.raises(files.InputError, match=wanted), examples.damage_named():
        digest(dataset)


def test_a_listing_that_lags_behind_hides_no_shard(store, many, url):
    store.fail("list-type", "hide:examples-0000", times=1)
    part = many.manifest["splits"]["train"]
    manifest.check_files(url, part)
    asked = [path for method, path, _ in store.requests if method == "HEAD"]
    assert len(asked) == len([s for s in part["shards"] if "examples-0000" in s["name"]]) == 10


def test_a_folder_of_no_examples_is_told(store, url):
    with pytest.raises(files.InputError, match="found nothing at s3://corpus/none; wanted"):
        examples.load("s3://corpus/none")
    assert examples.load(url)["build"]
