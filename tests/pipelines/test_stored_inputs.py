"""Programs that read URLs write the bytes of those that read the same files here."""

from pathlib import Path

import pytest

from pipelines import build_examples, curate, inspect_examples, pretrain, train_tokenizer
from roots_tf.storage import files
from tests.pipelines.curated import digest
from tests.pipelines.test_pretrain import config, weights


def bytes_of(folder) -> dict[str, bytes]:
    names = ("*.parquet", "*.tfrecord", "tokenizer.json", "unigram_counts.npy")
    return {path.name: path.read_bytes() for name in names for path in Path(folder).glob(name)}


def test_the_road_to_examples(store, work, tmp_path):
    store.put("docstrings", Path(work.docstrings))
    store.put("documents", Path(work.documents))
    store.fail("GET", "503", times=2)
    store.fail("GET", "cut", times=2)
    flags = {"input": (store.url("docstrings/*"),), "output": str(tmp_path / "documents")}
    curate.main(curate.Config(**flags, num_workers=1))
    assert digest(tmp_path / "documents") == digest(work.documents)
    documents = (store.url("documents"),)
    flags = {"input": documents, "output": str(tmp_path / "tokenizer"), "num_workers": 1}
    train_tokenizer.main(train_tokenizer.Config(**flags, vocab_size=1000))
    assert bytes_of(tmp_path / "tokenizer") == bytes_of(work.tokenizer)
    flags |= {"output": str(tmp_path / "examples"), "tokenizer": work.tokenizer}
    flags |= {"max_seq_length": 32, "held_out": 0.05}
    build_examples.main(build_examples.Config(**flags))
    assert bytes_of(tmp_path / "examples") == bytes_of(work.examples)
    # The same command, and one whose documents have moved within the store, find it finished.
    before = (tmp_path / "examples" / "manifest.json").stat().st_mtime_ns
    store.put("moved/documents", Path(work.documents))
    build_examples.main(build_examples.Config(**flags | {"input": (store.url("moved/documents"),)}))
    assert (tmp_path / "examples" / "manifest.json").stat().st_mtime_ns == before


def test_pretraining_reads_a_store_and_goes_on_from_a_disk(store, work, tmp_path):
    url = store.put("work/examples", Path(work.examples))
    here, there = tmp_path / "here", tmp_path / "there"
    flags = {"duration": "20", "schedule": "constant", "warmup_share": 0.0}
    pretrain.main(config(work, here, **flags))
    pretrain.main(config(work, there, examples=url, **flags | {"duration": "10"}))
    # Where examples are is no part of what a run is.
    pretrain.main(config(work, there, **flags))
    for name, value in weights(here).items():
        assert value.tobytes() == weights(there)[name].tobytes(), name


def test_examples_are_inspected_where_they_are(store, work, capsys):
    url = store.put("inspected", Path(work.examples))
    printed = []
    for folder in (url, work.examples):
        flags = {"examples": folder, "verify": True, "debug": True}
        inspect_examples.main(inspect_examples.Config(**flags))
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


def test_a_signature_is_kept_nowhere(store, work, tmp_path, caplog):
    store.put("public.txt", b"A line of text that is long enough to be kept here, and so on. " * 9)
    url = f"{store.endpoint}/corpus/public.txt?X-Amz-Signature=0a1b2c3d4e"
    # The server takes any signature; what counts is where it stays.
    output = tmp_path / "documents"
    flags = {"output": str(output), "recipe": "verbatim", "num_workers": 1}
    curate.main(curate.Config(input=(url,), **flags))
    kept = b"".join(path.read_bytes() for path in output.rglob("*") if path.is_file())
    assert b"0a1b2c3d4e" not in kept
    assert b"public.txt" in kept
    assert "0a1b2c3d4e" not in caplog.text
    store.put("wrong.jsonl", b'{"body": 1}')
    wrong = url.replace("public.txt", "wrong.jsonl")
    with pytest.raises(files.InputError, match="on any line of http://.*wrong.jsonl") as caught:
        curate.main(curate.Config(input=(wrong,), **flags | {"output": f"{output}2"}))
    assert "0a1b2c3d4e" not in str(caught.value)
