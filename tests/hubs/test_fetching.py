"""Models fetched from a server that speaks the hub's protocol: which files, what goes wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from huggingface_hub import constants

from roots_tf import hubs
from roots_tf.storage.files import InputError
from tests.hubs.server import READER, TOKEN, git_oid, sha256

WEIGHTS = safetensors.numpy.save({"a": np.arange(50_000, dtype=np.float32)})
CDN = "GET /cdn/"
BERT = {
    "README.md": b"---\nlicense: mit\n---\n",
    "config.json": b'{"model_type": "bert"}',
    "tokenizer.json": b"{}",
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "onnx/config.json": b"{}",
}


def files_in(folder: str) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_only_what_the_import_reads_is_fetched_and_its_commit_is_kept(hub, caplog):
    caplog.set_level("DEBUG")
    repository = hub.add("google-bert/tiny", BERT)
    found = hubs.fetch("google-bert/tiny")
    read = ("config.json", "tokenizer.json", "vocab.txt", "model.safetensors")
    assert files_in(found.folder) == {name: BERT[name] for name in read}
    assert len(hub.paths("GET", "/resolve/")) == len(read) - 1
    assert len(hub.paths("GET", "/cdn/")) == 1
    assert found.source == {
        "hub": "huggingface", "name": "google-bert/tiny", "revision": "main",
        "commit": repository.refs["main"], "sha256": {"model.safetensors": sha256(WEIGHTS)},
    }  # fmt: skip
    assert "S3CRET" not in caplog.text and hub.url not in caplog.text  # which logs would show


def test_what_is_cached_is_asked_for_no_more(hub, monkeypatch):
    hub.add("a/b", BERT)
    found = hubs.fetch("a/b")
    hub.asked.clear()
    assert hubs.fetch("a/b") == found
    assert {path for _, path, _ in hub.asked} == {"/api/models/a/b"}
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hubs.fetch("a/b") == found
    assert hub.asked == []
    with pytest.raises(InputError, match=r"found a/c not whole .*HF_HUB_OFFLINE is set"):
        hubs.fetch("a/c")


def test_without_the_hub_the_cache_serves_and_says_so(hub, monkeypatch, caplog):
    hub.add("a/b", BERT)
    found = hubs.fetch("a/b")
    hub.fault("/a/b", times=99, status=503)
    assert hubs.fetch("a/b") == found
    assert "no answer of the hub; a/b is taken as it was cached" in caplog.text


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub):
    repository = hub.add("a/b", BERT)
    first = repository.refs["main"]
    second = repository.commit(BERT | {"config.json": b'{"model_type": "bert", "x": 1}'})
    repository.refs["refs/pr/1"] = first
    for revision, commit in (("", second), (first, first), ("refs/pr/1", first), ("main", second)):
        found = hubs.fetch("a/b", revision)
        assert found.source["commit"] == commit == Path(found.folder).name
        assert files_in(found.folder)["config.json"] == repository.commits[commit]["config.json"]
    with pytest.raises(InputError, match="found no revision 'v9' of a/b; wanted a branch"):
        hubs.fetch("a/b", "v9")


def test_shards_of_an_index_and_the_steps_of_sentence_transformers(hub):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    sharded = BERT | {
        "model.safetensors.index.json": json.dumps(index).encode(),
        **{f"model-{i}.safetensors": WEIGHTS[:-i] for i in (1, 2, 3)},
    }
    del sharded["model.safetensors"]
    hub.add("a/sharded", sharded)
    found = hubs.fetch("a/sharded")
    assert set(found.source["sha256"]) == {"model-1.safetensors", "model-2.safetensors"}
    assert "model-3.safetensors" not in files_in(found.folder)
    steps = [{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}, {"path": "3_Normalize"}]
    sentences = BERT | {
        "modules.json": json.dumps(steps).encode(),
        "sentence_bert_config.json": b"{}",
        "1_Pooling/config.json": b"{}",
        "2_Dense/config.json": b"{}",
        "2_Dense/model.safetensors": WEIGHTS[::-1],
        "2_Dense/pytorch_model.bin": b"a pickle",
    }
    hub.add("a/sentences", sentences)
    found = hubs.fetch("a/sentences")
    left = {"README.md", "pytorch_model.bin", "2_Dense/pytorch_model.bin", "onnx/config.json"}
    assert set(files_in(found.folder)) == sentences.keys() - left


def test_an_adapter_and_a_preset_of_keras_hub(hub):
    adapter = {"adapter_config.json": b"{}", "adapter_model.safetensors": WEIGHTS}
    hub.add("a/lora", adapter | {"tokenizer.json": b"{}"})
    assert files_in(hubs.fetch("a/lora").folder) == adapter
    preset = {
        "config.json": b'{"registered_name": "keras_hub>BertBackbone"}',
        "metadata.json": b"{}",
        "tokenizer.json": b"{}",
        "assets/tokenizer/vocabulary.txt": b"[PAD]\n",
        "model.weights.h5": b"\x89HDF",
    }
    hub.add("keras/bert", preset | {"README.md": b"#"})
    assert files_in(hubs.fetch("keras/bert").folder) == preset


PICKLES = {name: content for name, content in BERT.items() if name != "model.safetensors"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (PICKLES, r"found only pytorch_model.bin, a pickle, which can run code as it is read, in "
                  r"a/b; wanted model.safetensors: look for a branch with it \(--revision=refs/"),
        ({"config.json": b"{}", "tf_model.h5": b""}, "found only tf_model.h5 in a/b"),
        ({"config.json": b"{}"}, "found no model.safetensors in a/b"),
        ({"README.md": b""}, r"found neither config.json nor .* a/b \(README.md\)"),
        ({"adapter_config.json": b"{}", "adapter_model.bin": b""}, "found only adapter_model.bin"),
        ({"config.json": b"[", "model.safetensors": WEIGHTS}, "found no JSON in"),
        ({"config.json": b"{}", "model.safetensors.index.json":
          b'{"weight_map": {"a": "../../etc/passwd"}}'}, "found the shard '../../etc/passwd' in"),
    ],
)  # fmt: skip
def test_what_holds_no_model_is_named(hub, files, message):
    hub.add("a/b", files)
    with pytest.raises(InputError, match=message):
        hubs.fetch("a/b")
    assert hub.paths("GET", "/cdn/") == []


def test_who_may_not_read_is_told_what_to_do_and_sees_no_token(hub, monkeypatch, caplog):
    hub.add("a/gated", BERT, gated=True)
    hub.add("a/private", BERT, private=True)
    with pytest.raises(InputError, match="found a/gated gated; wanted access: accept its terms on"):
        hubs.fetch("a/gated")
    for name in ("a/private", "a/nowhere"):
        with pytest.raises(InputError, match=f"found no repository {name} on 127.0.0.1"):
            hubs.fetch(name)
    monkeypatch.setenv("HF_TOKEN", "hf_stale")
    with pytest.raises(InputError, match="found a token that the hub does not know") as refused:
        hubs.fetch("a/private")
    monkeypatch.setenv("HF_TOKEN", READER)
    with pytest.raises(InputError, match="found a/gated gated"):
        hubs.fetch("a/gated")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("a/private", "a/gated"):
        assert "model.safetensors" in files_in(hubs.fetch(name).folder)
    assert "hf_" not in caplog.text + str(refused.value)


@pytest.mark.parametrize("where", ["GET /api/models/a/b$", "/tree/", "(HEAD|GET) /a/b/res", CDN])
def test_a_hub_that_is_down_for_a_moment_is_asked_again(hub, where):
    hub.add("a/b", BERT)
    fault = hub.fault(where, times=2 if where == CDN else 1, status=503, headers={"Retry-After": 0})
    assert files_in(hubs.fetch("a/b").folder)["model.safetensors"] == WEIGHTS
    assert fault.times == 0


def test_a_hub_that_stays_down_is_one_line(hub):
    hub.add("a/b", BERT)
    hub.fault(CDN, times=99, status=502)
    with pytest.raises(InputError, match=r"not to be reached \(it answered 502\)") as refused:
        hubs.fetch("a/b")
    assert refused.value.id == "hub-unreachable"
    assert "S3CRET" not in str(refused.value)
    hub.faults.clear()
    hub.asked.clear()
    assert files_in(hubs.fetch("a/b").folder)["model.safetensors"] == WEIGHTS
    assert hub.paths("GET", "/resolve/") == []  # what was fetched before is kept


def test_a_download_that_breaks_off_goes_on_where_it_was(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 14)
    hub.add("a/b", BERT)
    hub.fault(CDN, cut=70_000)
    assert files_in(hubs.fetch("a/b").folder)["model.safetensors"] == WEIGHTS
    ranges = [asked for _, path, asked in hub.asked if "/cdn/" in path]
    assert ranges == ["", "bytes=65536-"]  # whole blocks are kept


def test_other_bytes_are_fetched_again_and_never_used(hub, monkeypatch):
    hub.add("a/b", BERT)
    hub.fault(CDN, flip=True)
    found = hubs.fetch("a/b")
    assert files_in(found.folder)["model.safetensors"] == WEIGHTS
    path = Path(found.folder, "model.safetensors").resolve()
    path.write_bytes(WEIGHTS[:-1] + b"?")  # in the cache, by a disk
    assert files_in(hubs.fetch("a/b").folder)["model.safetensors"] == WEIGHTS
    path.write_bytes(WEIGHTS[:-1])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match="found another model.safetensors of a/b in .* than commit"
    ):
        hubs.fetch("a/b")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.fault(CDN, times=99, flip=True)
    with pytest.raises(
        InputError, match="found another model.safetensors of a/b in .* than commit"
    ):
        hubs.fetch("a/b")
    hub.faults.clear()
    assert files_in(hubs.fetch("a/b").folder)["model.safetensors"] == WEIGHTS


def test_a_wrong_etag_does_not_matter_where_the_bytes_are_right(hub):
    hub.add("a/b", BERT)
    hub.fault("HEAD /a/b/resolve/.*/model.safetensors", etag=f'"{"0" * 64}"')
    assert files_in(hubs.fetch("a/b").folder)["model.safetensors"] == WEIGHTS


def test_a_cache_in_which_a_file_is_missing_is_not_used_in_half(hub, monkeypatch):
    hub.add("a/b", BERT)
    folder = Path(hubs.fetch("a/b").folder)
    (folder / "tokenizer.json").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="found a/b not whole in the cache"):
        hubs.fetch("a/b")
    shutil.rmtree(folder.parents[1] / "trees")
    from huggingface_hub import _tree_cache

    _tree_cache._IN_MEMORY_TREE_CACHE.clear()
    with pytest.raises(InputError, match="found a/b not whole in the cache"):
        hubs.fetch("a/b")


def test_hashes_are_those_of_git():
    assert git_oid(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.mark.parametrize("revision", ["../../../x", "/etc", "a b", "..", "-"])
def test_a_revision_is_no_path(hub, revision):
    hub.add("a/b", BERT)
    with pytest.raises(InputError, match="found --revision=.*; wanted a branch, a tag or a commit"):
        hubs.fetch("a/b", revision)
    assert hub.asked == []


def test_names_that_lead_out_of_the_cache_are_passed_over(hub):
    preset = {
        "config.json": b'{"registered_name": "keras_hub>BertBackbone"}',
        "assets/tokenizer/../../../../evil": b"evil",
        "model.weights.h5": b"\x89HDF",
    }
    hub.add("a/b", preset)
    found = files_in(hubs.fetch("a/b").folder)
    assert set(found) == {"config.json", "model.weights.h5"}


def test_what_is_no_hub_and_a_cache_that_cannot_be_written_are_one_line(hub, monkeypatch):
    hub.add("a/b", BERT)
    fault = hub.fault("GET /api/models/a/b", times=99, html=True)
    with pytest.raises(InputError, match="its answers are not those of a hub"):
        hubs.fetch("a/b")
    fault.times = 0
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/dev/null/cache")
    with pytest.raises(InputError, match="could not write in the cache /dev/null/cache: Not a dir"):
        hubs.fetch("a/b")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(InputError, match=r"127.0.0.1:1 not to be reached \(Connection refused\)"):
        hubs.fetch("a/c")
    monkeypatch.setattr(constants, "ENDPOINT", "nonsense")
    with pytest.raises(InputError, match="not to be reached"):
        hubs.fetch("a/c")


def test_a_process_that_is_killed_leaves_nothing_that_is_used(hub, tmp_path):
    hub.add("a/b", BERT)
    hub.fault(CDN, stall=True)
    about = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": constants.HF_HUB_CACHE}
    code = "from roots_tf import hubs; hubs.fetch('a/b')"
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | about) as process:
        assert hub.stalled.wait(60)
        process.kill()
    hub.go_on.set()
    snapshot = next(Path(constants.HF_HUB_CACHE).glob("models--a--b/snapshots/*"))
    assert "model.safetensors" not in files_in(str(snapshot))
    assert files_in(hubs.fetch("a/b").folder)["model.safetensors"] == WEIGHTS
