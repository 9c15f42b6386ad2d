"""Folders that a store mirrors, against a real S3 server."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roots_tf.storage import mirror, mirrored, objects, places, url_locks, urls
from roots_tf.storage.files import InputError


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ROOTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mirror, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(url_locks, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(url_locks, "WATCH_SECONDS", 0.5)
    return tmp_path / "cache"


@pytest.fixture
def url(store, request) -> str:
    return store.url(f"runs/{request.node.name}")


def there(url: str) -> dict[str, bytes]:
    """What readers of the store see under a URL."""
    found = {n: urls.filesystem(url).cat_file(o.url) for n, o in objects.below(url).items()}
    return {name: content for name, content in found.items() if not name.startswith(".")}


def names(url: str) -> list[str]:
    return [name for name in objects.below(url) if not name.startswith(".")]


def writes(store) -> list[str]:
    """PUT and DELETE of files that are not hidden, in order, with the last part of their names."""
    done = [
        f"{method} {path.split('?')[0].rpartition('/')[2]}" for method, path, _ in store.requests
    ]
    return [each for each in done if each.startswith(("PUT", "DELETE")) and " ." not in each]


def wait_for(is_so) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_all_is_up_at_the_end_and_what_completes_comes_last(cache, store, url):
    with places.folder(url) as folder:
        assert folder.name == url.rpartition("/")[2]
        write(folder, report_json="{}", model__model_json="{}", model__weights_bin="w")
        write(folder, c__ckpt_index="i", c__ckpt_data="d", config_json="{}", _hidden="h")
    first = ["c/ckpt.data", "c/ckpt.index", "config.json", "model/model.json"]
    assert names(url) == [*first, "model/weights.bin", "report.json"]
    order = [each.removeprefix("PUT ") for each in writes(store)]
    assert order[-1] == "report.json"
    assert {"ckpt.index", "model.json"} == set(order[-3:-1])
    assert (folder / ".hidden").exists()  # what else a run keeps here for itself


def test_a_file_that_grows_is_up_as_it_grows_and_a_marker_never_before_what_it_completes(
    cache, store, url
):
    with places.folder(url) as folder:
        write(folder, metrics_jsonl="1\n")
        wait_for(lambda: there(url) == {"metrics.jsonl": b"1\n"})
        with (folder / "metrics.jsonl").open("a") as file:
            file.write("2\n")
        write(folder, c__ckpt_data="d", c__ckpt_index="i")
        wait_for(lambda: "c/ckpt.index" in names(url))
        assert there(url)["metrics.jsonl"] == b"1\n2\n"
    done = writes(store)
    assert done.index("PUT ckpt.index") > done.index("PUT ckpt.data")
    assert done.count("PUT ckpt.data") == done.count("PUT ckpt.index") == 1


def test_what_replaces_is_up_before_what_is_replaced_goes(cache, store, url):
    with places.folder(url) as folder:
        write(folder, **{"ckpt-1_data": "d", "ckpt-1_index": "i"})
        wait_for(lambda: "ckpt-1.index" in names(url))
        for name in ("ckpt-1.index", "ckpt-1.data"):
            (folder / name).unlink()
        write(folder, **{"ckpt-2_data": "d", "ckpt-2_index": "i"})
        wait_for(lambda: names(url) == ["ckpt-2.data", "ckpt-2.index"])
    done = writes(store)[2:]
    expected = ["PUT ckpt-2.data", "PUT ckpt-2.index", "DELETE ckpt-1.index", "DELETE ckpt-1.data"]
    assert done == expected


def test_a_manifest_goes_before_its_shards_change(cache, store, url):
    for content in ("old", "new"):
        with places.folder(url) as folder:
            store.requests.clear()
            write(folder, shard_tfrecord=content, manifest_json=f'"of {content}"')
    assert writes(store) == ["DELETE manifest.json", "PUT shard.tfrecord", "PUT manifest.json"]
    assert there(url) == {"manifest.json": b'"of new"', "shard.tfrecord": b"new"}


def test_another_machine_goes_on_with_what_the_store_holds(cache, store, url, monkeypatch):
    with places.folder(url) as folder:
        write(folder, a_txt="1", sub__b_txt="2", _work__part="hidden")
    here = folder
    monkeypatch.setenv("ROOTS_CACHE", str(cache.with_name("elsewhere")))
    with places.folder(url) as folder:
        assert folder != here
        assert (folder / "a.txt").read_text() == "1"
        write(folder, a_txt="3")
        (folder / "sub" / "b.txt").unlink()
    assert there(url) == {"a.txt": b"3"}
    monkeypatch.setenv("ROOTS_CACHE", str(cache))
    with places.folder(url) as folder:  # the store has the right copy, and the hidden rest is old
        assert folder == here
        assert [str(path.relative_to(here)) for path in here.rglob("*")] == ["a.txt"]
        assert (here / "a.txt").read_text() == "3"
    with places.folder(url):
        pass
    fetched = [path for method, path, _ in store.requests if method == "GET" and "a.txt" in path]
    store.requests.clear()
    assert fetched
    with places.folder(url):  # what is the same is neither fetched nor uploaded
        pass
    assert writes(store) == []
    assert not [path for method, path, _ in store.requests if method == "GET" and "a.txt" in path]


def test_what_the_cache_lost_after_a_good_end_is_not_lost_in_the_store(cache, url):
    with places.folder(url) as folder:
        write(folder, a_txt="1", b_txt="2")
    (folder / "a.txt").unlink()  # as programs do that tidy caches
    with places.folder(url) as folder:
        assert (folder / "a.txt").read_text() == "1"
    assert there(url) == {"a.txt": b"1", "b.txt": b"2"}


def test_a_refusal_keeps_what_was_written_and_the_same_command_goes_on(
    cache, store, url, monkeypatch
):
    monkeypatch.setattr(urls, "TRIES", 2)
    with pytest.raises(InputError) as error, places.folder(url) as folder:
        write(folder, a_txt="1", b_txt="2")
        store.fail("PUT /corpus/runs/test_a_refusal", "403", times=10**6)
    assert error.value.id == "store-refused"
    assert f"is kept in {folder}: the same command goes on from there" in str(error.value)
    assert (folder / "a.txt").read_text() == "1"
    store.reset()
    with places.folder(url) as folder:
        assert (folder / "b.txt").read_text() == "2"
        write(folder, c_txt="3")
    assert there(url) == {"a.txt": b"1", "b.txt": b"2", "c.txt": b"3"}


@pytest.mark.parametrize("how", ["503", "500", "cut"])
def test_errors_that_pass_are_tried_again(cache, store, url, how):
    for part in ("PUT", "DELETE", "GET", "HEAD"):
        store.fail(f"{part} /corpus", how, times=2)
    with places.folder(url) as folder:
        write(folder, a_txt="1", b_txt="2")
    assert there(url) == {"a.txt": b"1", "b.txt": b"2"}


def test_a_list_that_lags_behind_is_no_error_at_the_end(cache, store, url):
    with places.folder(url) as folder:
        write(folder, a_txt="1", late_txt="2")
        store.fail("GET /corpus?list-type", "hide:late", times=1)
    assert set(there(url)) == {"a.txt", "late.txt"}


def test_a_program_that_writes_nothing_leaves_nothing(cache, url):
    with pytest.raises(InputError, match="a flag"), places.folder(url):
        raise InputError("wrong-value", "found a flag; wanted another")
    assert objects.below(url) == {}
    assert not list(cache.rglob("*"))


def test_a_folder_of_others_is_refused_and_not_brought_down(cache, store, url):
    store.put(f"{url.removeprefix('s3://corpus/')}/data/a.txt", b"of others")
    for _ in range(2):
        with pytest.raises(InputError, match="found files that no program here wrote") as error:
            places.folder(url).__enter__()
        assert error.value.id == "folder-taken"
    assert list(objects.below(url)) == ["data/a.txt"]
    store.put(f"{url.removeprefix('s3://corpus/')}/config.json", b"{}")  # a run that was copied
    with places.folder(url) as folder:
        assert (folder / "data" / "a.txt").read_text() == "of others"


def test_a_bucket_that_is_not_there_is_one_clear_line(cache, store):
    with pytest.raises(InputError, match="found nothing at") as error:
        places.folder("s3://nowhere/run").__enter__()
    assert "nothing can be written to s3://nowhere/run" in str(error.value)


def test_a_large_file_goes_up_in_parts_and_is_compared(cache, url, monkeypatch):
    monkeypatch.setattr(objects, "PART_BYTES", 5 << 20)
    content = random.Random(1).randbytes(11 << 20)
    with places.folder(url) as folder:
        (folder / "large.bin").write_bytes(content)
    found = objects.below(url)["large.bin"]
    assert found.parts == 3
    assert objects.fits(found, folder / "large.bin")
    (folder / "large.bin").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not objects.fits(found, folder / "large.bin")


# Writes checkpoints as training does: data, notes, index; of each the digits of its step.
WRITER = """
import sys, time
from pathlib import Path
from roots_tf.storage import mirror, places
mirror.POLL_SECONDS = 0.01
with places.folder(sys.argv[1]) as folder:
    steps = [int(p.stem[5:]) for p in folder.glob("ckpt-*.index")]
    step = max(steps, default=0)
    rows = (folder / "metrics.jsonl").read_text().splitlines() if step else []
    assert rows[:step] == [str(n + 1) for n in range(step)], (rows, step)
    print("from", step, flush=True)
    (folder / "metrics.jsonl").write_text("".join(f"{n + 1}\\n" for n in range(step)))
    for step in range(step + 1, step + 1000):
        time.sleep(0.05)
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(f"{step}\\n")
        for kind in ("data", "json", "index"):
            (folder / ".new").write_text(str(step) * 1000)
            (folder / ".new").rename(folder / f"ckpt-{step}.{kind}")
        for kind in ("index", "data", "json"):
            (folder / f"ckpt-{step - 4}.{kind}").unlink(missing_ok=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_the_store_holds_what_a_run_goes_on_from(cache, store, url):
    kill_and_go_on(cache, store, url, kills=4, seed=4)


def kill_and_go_on(cache: Path, store, url: str, kills: int, seed: int) -> list[int]:
    """Steps of the newest checkpoint in the store after each kill, after half of which a machine
    without the cache goes on."""
    draw, reached = random.Random(seed), [0]
    store.delay = 0.005
    for _ in range(kills):
        command = [sys.executable, "-c", WRITER, url]
        environment = os.environ | {"PYTHONPATH": os.getcwd()}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            line = process.stdout.readline()
            assert int(line.split()[1]) >= reached[-1], line
            last = len(store.requests) + draw.randrange(60)
            while len(store.requests) < last and process.poll() is None:
                time.sleep(0.01)
            process.kill()
            assert process.wait() in (0, -signal.SIGKILL)
        found = there(url)
        steps = [int(n[5:-6]) for n in found if n.endswith(".index")]
        reached.append(max(steps, default=0))
        for name, content in found.items():
            if name.endswith(".index"):
                step = name.removeprefix("ckpt-").removesuffix(".index")
                same = {found[f"ckpt-{step}.{kind}"] for kind in ("data", "json", "index")}
                assert same == {step.encode() * 1000} == {content}
                assert f"\n{step}\n" in "\n" + found["metrics.jsonl"].decode()
        if draw.random() < 0.5:
            shutil.rmtree(cache, ignore_errors=True)
    assert reached == sorted(reached)
    assert reached[-1] > 0
    return reached


def test_names_say_when_a_file_goes_up():
    assert [mirror.order(n) for n in ("a/b.bin", "a/model.json", "report.json")] == [0, 1, 2]
    assert mirror.completes("model.json", "weights/part.bin")
    assert not mirror.completes("model/model.json", "other/part.bin")
    assert not mirror.completes("manifest.json", "metrics.jsonl")
    assert not mirror.completes("report.json", "weights.bin")
    assert mirrored.TOKEN.startswith(".") and url_locks.NAME.startswith(".")
    assert json.loads(b"{}") == {}
