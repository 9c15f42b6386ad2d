"""URLs in flags: which are refused, and what a program sees and tells in their place."""

import importlib
import json
import os
from pathlib import Path

import pytest
from absl import logging

from pipelines import curate, embed, merge, predict, pretrain
from roots_tf import models, program
from roots_tf.storage import claims, objects, places
from roots_tf.storage.files import InputError
from roots_tf.storage.places import _file


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://host/run", "wanted a place that can be written"),
        ("s4://bucket/run", "a URL that begins with s3://, gs://"),
        ("s3:/bucket/run", "a URL that begins with s3://, gs://"),
        ("s3://bucket//run", "each name between slashes"),
        ("s3://bucket/../run", "each name between slashes"),
        ("s3://bucket/text", "apart from what is read"),
        ("s3://bucket/text/below", "apart from what is read"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_any_request(url, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=why):
        program.check(curate.Config(input=("s3://bucket/text/",), output=url))
    assert os.listdir(tmp_path) == []


def test_several_hosts_are_refused(monkeypatch):
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(InputError, match="2 workers in TF_CONFIG") as error:
        pretrain.main(pretrain.Config(examples="x", output="s3://bucket/run"))
    assert error.value.id == "flags-conflict"


def test_main_sees_local_paths_and_what_it_tells_and_keeps_has_the_urls(
    store, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("ROOTS_CACHE", str(tmp_path / "cache"))
    adapter = store.put("places/adapter.json", b"{}")
    seen, shown = [], []

    @places.takes_urls
    def main(config):
        seen.append(config)
        logging.warning("%s is of %s", config.output, config.adapter)
        shown.append(places.as_given({"output": [config.output]}))
        claims.of(config).begin(config.output)
        if config.debug:
            raise InputError("wrong-value", f"found {config.adapter} in {config.output}; wanted it")
        return config.output

    url = store.url("places/run")
    config = merge.Config(adapter=adapter, base="here", output=url)
    assert main(config) == url
    assert (f"{url} is of {adapter}", {"output": [url]}) == (caplog.messages[-1], shown[0])
    assert Path(seen[0].adapter).read_text() == "{}"
    assert Path(seen[0].output).name == "run"
    assert seen[0].base == "here"
    kept = json.loads(Path(seen[0].output, "config.json").read_text())
    assert (kept["adapter"], kept["output"], kept["base"]) == (adapter, url, "here")
    with pytest.raises(InputError, match=f"found {adapter} in {url}; wanted it"):
        main(program.replace(config, debug=True))


def test_without_urls_a_config_passes_untouched():
    config = predict.Config(model="here", output="there")
    assert places.takes_urls(lambda given: given)(config) is config


def test_parts_of_a_file_stay_here_until_it_is_finished(store, tmp_path, monkeypatch):
    """A program that is stopped uploads none of them, and the same command finds them."""
    monkeypatch.setenv("ROOTS_CACHE", str(tmp_path / "cache"))
    found = []

    @places.takes_urls
    def main(config):
        parts = Path(f"{config.output}.parts")
        parts.mkdir(exist_ok=True)
        found.append(os.listdir(parts))
        (parts / "part-000000.npy").write_bytes(b"a vector")
        if config.debug:
            raise InputError("no-room", "found a full disk; wanted room")
        (parts / "part-000000.npy").rename(config.output)
        parts.rmdir()

    url = store.url("parts/vectors.npy")
    config = embed.Config(model="here", input=("text.txt",), output=url)
    with pytest.raises(InputError, match="a full disk"):
        main(program.replace(config, debug=True))
    assert objects.below(store.url("parts")) == {}
    with _file(url), pytest.raises(InputError, match=f"another process at work in {url} "):
        main(config)
    main(config)
    assert found == [[], ["part-000000.npy"]]
    assert list(objects.below(store.url("parts"))) == ["vectors.npy"]
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("output", ["cannot/run", "cannot/vectors.npy"])
def test_a_cache_that_cannot_be_written_is_named(store, tmp_path, monkeypatch, output):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ROOTS_CACHE", str(tmp_path / "file"))
    model = store.put("cannot/adapter.json", b"{}")
    url = store.url(output)
    config = merge.Config(adapter="here", base="here", output=url)
    if output.endswith(".npy"):
        config = embed.Config(model="here", input=("text.txt",), output=url)
    for config_of in (config, merge.Config(adapter=model, base="here", output="here")):
        with pytest.raises(InputError, match=f"in the cache {tmp_path}/file: .* in ROOTS_CACHE"):
            places.takes_urls(lambda given: given)(config_of)


def test_a_model_of_the_hub_is_left_to_import():
    """`hf://` is a store for data; a repository of a model is fetched by who knows what to take."""
    program_import = importlib.import_module("pipelines.import")
    config = program_import.Config(from_="hf://me/mini", output="there")
    assert places.takes_urls(lambda given: given)(config) is config
    with pytest.raises(InputError, match="`roots import --from=hf://me/mini --output=work/mini`"):
        models.describe("hf://me/mini")


def test_a_file_in_no_bucket_is_told_by_its_name(store, tmp_path, monkeypatch):
    monkeypatch.setenv("ROOTS_CACHE", str(tmp_path / "cache"))
    with (
        pytest.raises(InputError, match="found nothing at s3://corpse/answers.jsonl [(]"),
        _file("s3://corpse/answers.jsonl"),
    ):
        pass
