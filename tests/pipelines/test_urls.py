"""Programs whose inputs and outputs are all URLs, against a real S3 server."""

import os
from pathlib import Path

import pytest

from pipelines import build_examples, curate, export, pretrain, train_tokenizer
from roots_tf.storage import objects

# What holds times, seconds, names of hosts or where it was written.
OF_A_RUN = ("config.json", "plan.json", "metrics.jsonl", "report.html", "report.json", "README.md")


def bytes_of(folder: str) -> dict[str, bytes]:
    """What is in the files of a folder that two runs write alike, by name."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name not in OF_A_RUN
    }
    return {
        name: content
        for name, content in found.items()
        if not name.startswith((".", "logs/"))
        and not name.endswith((".json", ".pb"))
        or name.endswith(("tokenizer.json", "manifest.json", "model.json"))
    }


@pytest.mark.slow
def test_the_five_commands_on_a_store_give_the_bytes_of_the_local_road(
    work, store, tmp_path, monkeypatch
):
    monkeypatch.setenv("ROOTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    store.put("text", Path(work.docstrings))
    at = {name: store.url(f"work/{name}") for name in ("documents", "tokenizer", "examples")}
    documents = (at["documents"],)
    curate.main(curate.Config(input=(store.url("text"),), output=documents[0], num_workers=1))
    train_tokenizer.main(
        train_tokenizer.Config(input=documents, output=at["tokenizer"], vocab_size=1000)
    )
    build_examples.main(
        build_examples.Config(
            input=documents,
            tokenizer=at["tokenizer"],
            output=at["examples"],
            max_seq_length=32,
            held_out=0.05,
            num_workers=1,
        )
    )
    pretrained = store.url("work/pretrained")
    pretrain.main(pretrain.Config(examples=at["examples"], output=pretrained, debug=True))
    at["pretrained"] = pretrained
    fetched = {}
    for name, url in at.items():
        found = objects.below(url)
        for inner, each in found.items():
            path = tmp_path / name / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            objects.fetch(each, path)
        fetched[name] = bytes_of(tmp_path / name)
        local = bytes_of(getattr(work, name))
        assert fetched[name].keys() == local.keys()
        assert [inner for inner in local if fetched[name][inner] != local[inner]] == []
    path = export.main(export.Config(model=f"{pretrained}/model", output=store.url("work/served")))
    assert path == store.url("work/served/1")
    assert {"1/saved_model.pb", "1/variables/variables.index"} <= objects.below(
        store.url("work/served")
    ).keys()
    assert sorted(os.listdir(tmp_path)) == ["cache", *sorted(at)]
