"""Inputs that are fetched into the cache, against a real S3 server."""

import io
import os
import random
import threading
from pathlib import Path

import boto3
import pytest
from boto3.s3.transfer import TransferConfig

from roots_tf.storage import downloads, objects, places, urls
from roots_tf.storage.files import InputError, expand
from tests import stores


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ROOTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def at(store, request) -> str:
    """A folder of the store for this test."""
    return f"in/{request.node.name}"


def fetches(store) -> int:
    return sum(method == "GET" and "list-type" not in path for method, path, _ in store.requests)


def test_a_file_and_a_folder_under_their_names(store, at):
    store.put(f"{at}/run/model/model.json", b"{}")
    store.put(f"{at}/run/model/deep/weights.bin", b"w")
    store.put(f"{at}/run/model/.hidden", b"h")
    store.put(f"{at}/run/config.json", b"c")
    store.put(f"{at}/run/metrics.jsonl", b"m")
    file = Path(downloads.local(store.url(f"{at}/run/metrics.jsonl")))
    assert (file.name, file.read_bytes()) == ("metrics.jsonl", b"m")
    folder = Path(downloads.local(store.url(f"{at}/run/model")))
    assert (folder.parent.name, folder.name) == ("run", "model")  # what a model is called
    inside = {str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*.*")}
    assert inside == {"config.json", "model/model.json", "model/deep/weights.bin"}
    assert downloads.local(store.url(f"{at}/run/model/")) == str(folder)


def test_what_is_there_is_not_fetched_again_and_what_has_changed_is(store, at):
    url = store.put(f"{at}/data/a.txt", b"one")
    store.put(f"{at}/data/b.txt", b"two")
    folder = store.url(f"{at}/data")
    first = Path(downloads.local(folder))
    assert fetches(store) == 2
    assert downloads.local(folder) == str(first)
    assert fetches(store) == 2
    store.put(f"{at}/data/a.txt", b"six")  # of the same size
    second = Path(downloads.local(folder))
    assert fetches(store) == 3
    assert (first / "a.txt").read_text() == "one"  # who reads it reads on
    assert (second / "a.txt").read_text() == "six"
    assert (second / "b.txt").read_text() == "two"
    assert Path(downloads.local(url)).read_text() == "six"
    assert fetches(store) == 3


def test_what_was_cut_short_in_the_cache_is_fetched_again(store, at, cache):
    url = store.put(f"{at}/a.txt", b"whole")
    path = Path(downloads.local(url))
    for stored in cache.rglob("*"):
        if stored.is_file():
            os.truncate(stored, 2)
    assert path.read_bytes() == b"wh"
    assert Path(downloads.local(url)).read_bytes() == b"whole"


def test_damage_on_the_way_is_never_used(store, at, cache):
    found = objects.at(store.put(f"{at}/a.txt", b"whole"))
    with pytest.raises(InputError, match="found .* damaged on its way") as error:
        downloads._fetch_one(found._replace(md5="0" * 32), cache / "objects" / "x")
    assert error.value.id == "file-damaged"
    assert not any(path.is_file() for path in cache.rglob("*"))


@pytest.mark.parametrize("how", ["503", "500", "cut"])
def test_errors_that_pass_are_tried_again(store, at, how):
    content = os.urandom(200_000)
    url = store.put(f"{at}/a.bin", content)
    store.fail("a.bin", how, times=3)
    assert Path(downloads.local(url)).read_bytes() == content


def test_two_at_once_get_the_same(store, at):
    for number in range(20):
        store.put(f"{at}/data/{number}.txt", bytes([number]))
    url, got = store.url(f"{at}/data"), []
    threads = [threading.Thread(target=lambda: got.append(downloads.local(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4 and len(set(got)) == 1
    assert {path.name: path.read_bytes() for path in Path(got[0]).iterdir()} == {
        f"{number}.txt": bytes([number]) for number in range(20)
    }


def test_patterns_lists_and_named_sources(store, at, tmp_path):
    for name in ("a.txt", "b.txt", "c.md", "deep/d.txt"):
        store.put(f"{at}/{name}", name.encode())
    fetched = places.local_input(store.url(f"{at}/*.txt"))
    assert [Path(path).read_text() for path in expand(fetched)] == ["a.txt", "b.txt"]
    fetched = places.local_input(store.url(f"{at}/**/*.txt"))
    assert len(expand(fetched)) == 3
    (tmp_path / "here.txt").write_text("here")
    here = str(tmp_path / "here.txt")
    both = places.local_input((store.url(f"{at}/a.txt"), here))
    assert [Path(path).read_text() for path in both] == ["a.txt", "here"]
    line = places.local_input(f"{store.url(f'{at}/a.txt')},{here}")
    assert [Path(path).read_text() for path in line.split(",")] == ["a.txt", "here"]
    named = places.local_input((f"zh={store.url(f'{at}/a.txt')}", f"en={here}"))
    assert dict(part.split("=") for part in named)["en"] == here
    (alone,) = places.local_input((f"zh={store.url(f'{at}/a.txt')}",))  # as --adapters takes it
    assert Path(alone.removeprefix("zh=")).read_text() == "a.txt"


def test_a_checkpoint_by_its_stem_comes_with_the_model_of_its_run(store, at):
    for name in ("checkpoints/ckpt-2.index", "checkpoints/ckpt-2.data-00000-of-00001"):
        store.put(f"{at}/run/{name}", b"c")
    store.put(f"{at}/run/checkpoints/ckpt-20.index", b"c")
    store.put(f"{at}/run/model/model.json", b"{}")
    for name in ("ckpt-2", "ckpt-2.index", "ckpt-[2].index"):
        place = Path(downloads.local(store.url(f"{at}/run/checkpoints/{name}"))).parent
        place = Path(str(place).replace("[[]", "["))
        assert len(list(place.glob("ckpt-2.*"))) == 2, name
        assert (place.parent / "model" / "model.json").exists()


def test_what_is_not_there_or_not_allowed_is_one_line(store, at, monkeypatch):
    with pytest.raises(InputError, match=f"found no file at s3://corpus/{at}/x") as error:
        downloads.local(store.url(f"{at}/x"))
    assert error.value.id == "no-such-file"
    url = store.put(f"{at}/a.txt", b"a")
    store.fail("a.txt", "403", times=10)
    with pytest.raises(InputError) as error:
        downloads.local(url)
    assert error.value.id == "store-refused"
    assert "secret" not in str(error.value)
    # The library of web addresses calls missing whatever it does not get.
    web = f"{store.endpoint}/corpus/{at}/b.txt?X-Amz-Signature=0a1b"
    store.put(f"{at}/b.txt", b"b")
    store.fail("b.txt", "403", times=10)
    with pytest.raises(InputError, match="b.txt was refused .403 Forbidden.; wanted") as error:
        downloads.local(web)
    store.reset()
    store.fail("b.txt", "503", times=3)
    assert Path(downloads.local(web)).read_text() == "b"
    with pytest.raises(InputError, match="nothing at s3://corpse [(]"):
        downloads.local("s3://corpse/*.txt")


def test_a_disk_that_has_no_room_is_told_before_anything_comes(store, at, monkeypatch):
    url = store.put(f"{at}/a.txt", b"a")
    usage = downloads.shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="found 0 MB free in .*; wanted") as error:
        downloads.local(url)
    assert error.value.id == "no-room"
    assert fetches(store) == 0
    assert urls.is_url(url)


def test_names_that_lead_out_of_the_folder_are_left_out(store, at, cache):
    store.put(f"{at}/data/a.txt", b"a")
    urls.filesystem("s3://x").call_s3(
        "put_object", Bucket="corpus", Key=f"{at}/data/../../../evil.txt", Body=b"evil"
    )
    folder = Path(downloads.local(store.url(f"{at}/data")))
    assert [path.name for path in folder.iterdir()] == ["a.txt"]
    store.put(f"{at}/data/config.json", b"{}")
    with places.folder(store.url(f"{at}/data")) as folder:
        assert {path.name for path in folder.iterdir()} == {"a.txt", "config.json"}
    assert not [path for path in cache.parent.rglob("evil*")]


@pytest.mark.parametrize("part", [8, 6], ids=["as AWS's tools", "of a size that nobody has"])
def test_what_another_tool_uploaded_in_parts_is_taken(store, at, part):
    """Its ETag is made of the MD5s of parts, whose size the store does not tell."""
    content = random.Random(part).randbytes((2 * part << 20) + 1)
    client = boto3.client("s3", endpoint_url=store.endpoint)
    config = TransferConfig(multipart_threshold=part << 20, multipart_chunksize=part << 20)
    key = f"{at}/large.bin"
    client.upload_fileobj(io.BytesIO(content), stores.BUCKET, key, Config=config)
    assert objects.at(store.url(key)).parts == 3
    assert Path(downloads.local(store.url(key))).read_bytes() == content
    assert fetches(store) == {8: 1, 6: 2}[part]  # twice the same bytes


def test_what_was_uploaded_in_parts_and_comes_damaged_once_is_fetched_again(store, at, monkeypatch):
    content = random.Random(1).randbytes((16 << 20) + 1)
    client = boto3.client("s3", endpoint_url=store.endpoint)
    client.upload_fileobj(io.BytesIO(content), stores.BUCKET, f"{at}/large.bin")
    filesystem, tries = urls.filesystem(store.url()), []
    fetch = filesystem.get_file

    def damaged(url, path, **options):
        fetch(url, path, **options)
        tries.append(url)
        if len(tries) == 1:
            Path(path).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    monkeypatch.setattr(filesystem, "get_file", damaged)
    assert Path(downloads.local(store.url(f"{at}/large.bin"))).read_bytes() == content
    assert len(tries) == 2
