"""build-examples: the same bytes whatever the workers, the kills and the order; clear refusals."""

import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import build_examples
from roots_tf.examples import building, planning, records, summary
from roots_tf.objectives import MaskedLM
from roots_tf.storage import files
from tests.examples import conftest
from tests.examples.conftest import build, write_documents
from tests.examples.split_records import split_contiguous, split_pair

# The fixtures of the other folder, under their own names.
texts, documents = conftest.texts, conftest.documents
vocabulary, built, contiguous = conftest.vocabulary, conftest.built, conftest.contiguous


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the config, which names the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "config.json"
    }


def test_the_number_of_workers_does_not_change_a_byte(built, contiguous, vocabulary, tmp_path):
    for whole in (built, contiguous):
        layout = whole.manifest["layout"]
        flags = {"held_out": 0.05, "num_workers": 2, "layout": layout}
        again = build(built.documents, vocabulary, tmp_path / layout, **flags)
        assert contents(again.folder) == contents(whole.folder)


@pytest.mark.parametrize("layout", ["pairs", "contiguous"])
def test_a_killed_build_continues_to_the_same_bytes(
    built, vocabulary, tmp_path, monkeypatch, layout
):
    # Small tasks, so that some are finished and some are not.
    monkeypatch.setattr(planning, "TASK_BYTES", 100_000)
    flags = {"held_out": 0.05, "layout": layout}
    whole = build(built.documents, vocabulary, tmp_path / "whole", **flags)
    gather, calls = building.gather_task, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return gather(*args)

    interrupted.__module__, interrupted.__qualname__ = gather.__module__, gather.__qualname__
    monkeypatch.setattr(building, "gather_task", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(built.documents, vocabulary, tmp_path / "killed", **flags)
    assert not (tmp_path / "killed" / "manifest.json").exists()
    killed = build(built.documents, vocabulary, tmp_path / "killed", **flags)
    assert len(calls) == 2 + len(killed.manifest["splits"]["train"]["shards"])
    assert contents(killed.folder) == contents(whole.folder)
    if layout == "pairs":  # tasks of another size give the same records in another order
        found, wanted = (each.manifest["splits"]["train"]["examples"] for each in (killed, built))
        assert found == wanted


def test_a_build_killed_by_the_system_continues(built, vocabulary, tmp_path):
    output = tmp_path / "out"
    command = [sys.executable, "-m", "pipelines.build_examples", f"--input={built.documents}"]
    command += [f"--tokenizer={vocabulary}", f"--output={output}", "--held_out=0.05"]
    command += ["--max_seq_length=64", "--num_shards=3", "--num_workers=2"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and not list(output.glob(".build/*.json")):
        time.sleep(0.02)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert contents(output) == contents(built.folder)


def test_a_finished_build_is_left_as_it_is(built, vocabulary, tmp_path, monkeypatch):
    first = build(built.documents, vocabulary, tmp_path / "out", held_out=0.05)
    before = contents(first.folder)
    monkeypatch.setattr(building, "encode_task", None)
    build(built.documents, vocabulary, tmp_path / "out", held_out=0.05)
    assert contents(first.folder) == before


def test_other_flags_replace_the_build_and_leave_no_stale_shard(built, vocabulary, tmp_path):
    build(built.documents, vocabulary, tmp_path / "out", held_out=0.05)
    again = build(built.documents, vocabulary, tmp_path / "out", num_shards=2, held_out=0.05)
    shards = sorted(path.name for path in again.folder.glob("*.tfrecord"))
    assert shards == [
        "examples-00000-of-00002.tfrecord",
        "examples-00001-of-00002.tfrecord",
        "held_out-00000-of-00001.tfrecord",
    ]


def test_the_folder_of_another_program_is_left_as_it_is(built, vocabulary, tmp_path):
    files.write_json(tmp_path / "out" / "config.json", {"program": "curate", "input": ["a"]})
    (tmp_path / "out" / "documents-00000-of-00001.parquet").touch()
    before = (tmp_path / "out" / "config.json").read_bytes()
    with pytest.raises(files.InputError, match="found what curate has written in .*out; wanted"):
        build(built.documents, vocabulary, tmp_path / "out")
    assert (tmp_path / "out" / "config.json").read_bytes() == before
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_other_documents_of_the_same_names_and_sizes_are_another_build(vocabulary, tmp_path):
    path = tmp_path / "documents.parquet"

    def build_of(animal):
        texts = [f"{animal} {i:02} sat here. It slept there." for i in range(20)]
        table = pa.table({"id": [str(i) for i in range(20)], "text": texts})
        pq.write_table(table, path, compression="none", use_dictionary=False)
        size = path.stat().st_size
        return size, build(path, vocabulary, tmp_path / "out", sentence_objective="none")

    (size, first), (other_size, again) = build_of("One cat"), build_of("One rat")
    assert size == other_size
    assert again.manifest["build"] == first.manifest["build"]
    assert again.manifest["splits"] != first.manifest["splits"]


def test_the_manifest_counts_what_the_shards_hold(built):
    manifest = built.manifest
    counts = np.zeros(built.tokenizer.size, np.int64)
    documents = {"train": set(), "held_out": set()}
    for split, part in manifest["splits"].items():
        for shard in part["shards"]:
            path = built.folder / shard["name"]
            found = records.read(path)[1:]
            rows = [split_pair(np.frombuffer(r, manifest["word"])) for r in found]
            assert len(rows) == shard["examples"]
            assert sum(len(a) + len(b) for _, a, b in rows) == shard["tokens"]
            assert sum(len(b) == 0 for _, _, b in rows) == shard["singles"]
            assert (path.stat().st_size, files.sha256(path)) == (shard["bytes"], shard["sha256"])
            documents[split] |= {document for document, _, _ in rows}
            if split == "train":
                np.add.at(counts, np.concatenate([np.concatenate(row[1:]) for row in rows]), 1)
        assert len(documents[split]) == part["documents"]
    assert not documents["train"] & documents["held_out"]
    np.testing.assert_array_equal(counts, np.load(built.folder / "unigram_counts.npy"))
    total = sum(part["examples"] for part in manifest["splits"].values())
    assert sum(manifest["length_histogram"].values()) == total
    assert 0 < manifest["unknown_percent"] < 1
    assert 4 < manifest["unigram_entropy"] < np.log(built.tokenizer.size)
    assert manifest["disk_bytes_per_text_byte"] <= 0.6


def test_the_manifest_of_contiguous_text_counts_what_the_shards_hold(contiguous):
    manifest = contiguous.manifest
    assert manifest["layout"] == "contiguous"
    documents = {"train": set(), "held_out": set()}
    for split, part in manifest["splits"].items():
        for shard in part["shards"]:
            found = records.read(contiguous.folder / shard["name"])[1:]
            rows = [split_contiguous(np.frombuffer(r, manifest["word"])) for r in found]
            assert len(rows) == shard["examples"]
            assert sum(len(ids) for _, _, ids in rows) == shard["tokens"]
            documents[split] |= {document for document, _, _ in rows}
        assert len(documents[split]) == part["documents"]
    assert not documents["train"] & documents["held_out"]
    total = sum(part["examples"] for part in manifest["splits"].values())
    assert sum(manifest["length_histogram"].values()) == total
    table = summary.table(manifest)
    assert "tokens a record, up to" in table
    assert "segment" not in table and "padding" not in table and "sentence" not in table


def test_what_a_vocabulary_loses_of_the_documents_is_told(vocabulary, tmp_path, caplog):
    documents = write_documents(tmp_path / "in", ["भारत में हिन्दी बोली जाती है।"] * 3, 1)
    found = build(documents, vocabulary, tmp_path / "out", layout="contiguous")
    percent = found.manifest["unknown_percent"]
    assert percent > 50
    assert "LOSES LETTERS here: Devanagari 9 (में to म, " in caplog.text
    assert f"{percent:.1f} % of the tokens are [UNK]: the text behind them is lost" in caplog.text
    assert summary.unknown_remark({"unknown_percent": 0.9}) == ""


def test_contiguous_text_asks_for_no_sentences(vocabulary, tmp_path):
    documents = write_documents(tmp_path / "in", ["The only document has one sentence."], 1)
    found = build(documents, vocabulary, tmp_path / "out", layout="contiguous", language="xx")
    assert found.manifest["splits"]["train"]["examples"] == 1


def test_what_a_layout_does_not_use_makes_no_other_build(contiguous, vocabulary, tmp_path):
    flags = {"held_out": 0.05, "layout": "contiguous", "language": "de", "short_seq_prob": 0.5}
    other = build(contiguous.documents, vocabulary, tmp_path / "out", **flags)
    assert contents(other.folder) == contents(contiguous.folder)


def test_hardly_any_text_is_lost(built, documents):
    """Pairs lose tokens only where the longer side is truncated."""
    texts = pa.concat_tables(map(pq.read_table, sorted(documents.glob("*.parquet"))))
    total = len(built.tokenizer.encode(texts["text"].to_pylist())[0])
    kept = sum(part["tokens"] for part in built.manifest["splits"].values())
    assert 0.75 * total < kept <= total


def test_the_unigram_entropy_of_an_example_by_hand():
    train, held_out = np.array([3, 1, 0]), np.array([2, 0, 1])
    by_hand = -(2 * np.log(4 / 7) + np.log(1 / 7)) / 3
    assert building.unigram_entropy(train, held_out) == pytest.approx(by_hand)
    assert building.unigram_entropy(train, np.zeros(3)) is None


@pytest.mark.parametrize("written, held_out", [(2, 1), (3, 1), (4, 2), (30, 2)])
def test_a_few_documents_are_held_out_of_a_small_corpus(vocabulary, tmp_path, written, held_out):
    documents = write_documents(
        tmp_path / "in", [f"One story is {i}.\nAnother follows it." for i in range(written)], 1
    )
    objective = "none" if written < 4 else "nsp"
    flags = {"sentence_objective": objective, "held_out": 0.001}
    found = build(documents, vocabulary, tmp_path / "out", **flags)
    assert found.manifest["splits"]["held_out"]["documents"] == held_out
    assert found.manifest["splits"]["train"]["documents"] == written - held_out


@pytest.mark.parametrize(
    "written, wanted",
    [
        (["The only document. It has two sentences."], "found 1 document"),
        (["One sentence here.", "And one there.", "And a third."] * 5, "sentences in 1. documents"),
        (["", " \n \n", ""], "no examples"),
    ],
)
def test_a_corpus_without_pairs_is_refused_and_says_what_to_do(
    vocabulary, tmp_path, written, wanted
):
    written = [f"{i} {text}" if text.strip() else text for i, text in enumerate(written)]
    documents = write_documents(tmp_path / "in", written, 1)
    with pytest.raises(files.InputError, match=wanted):
        build(documents, vocabulary, tmp_path / "out", held_out=0.01)
    if len(written) == 1:
        none = build(documents, vocabulary, tmp_path / "out", sentence_objective="none")
        with pytest.raises(files.InputError, match="--sentence_objective=none"):
            MaskedLM().check(none.manifest, batch_size=2, length=64)


def test_a_full_disk_is_told_and_the_next_run_continues(built, vocabulary, tmp_path, monkeypatch):
    frame = records.frame

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records, "frame", full)
    with pytest.raises(files.InputError, match="No space left on device; .*make room"):
        build(built.documents, vocabulary, tmp_path / "out", held_out=0.05)
    assert not list((tmp_path / "out").glob("*.tfrecord"))
    monkeypatch.setattr(records, "frame", frame)
    again = build(built.documents, vocabulary, tmp_path / "out", held_out=0.05)
    assert contents(again.folder) == contents(built.folder)


@pytest.mark.parametrize("what", ["text", "columns"])
def test_what_is_no_parquet_of_documents_is_refused(vocabulary, tmp_path, what):
    path = tmp_path / "in.parquet"
    if what == "text":
        path.write_text("Just text.")
    else:
        pq.write_table(pa.table({"content": ["Just text."]}), path)
    with pytest.raises(files.InputError, match="run curate on this input first"):
        build(path, vocabulary, tmp_path / "out")


def test_shards_too_large_to_read_are_refused(built, vocabulary, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "MOST_SHARD_BYTES", 100_000)
    with pytest.raises(files.InputError, match=r"num_shards 3 for 1 MB of text; wanted at least 9"):
        build(built.documents, vocabulary, tmp_path / "out", held_out=0.05)


def test_debug_is_quick_and_small(built, vocabulary, tmp_path):
    found = build(built.documents, vocabulary, tmp_path / "out", debug=True)
    assert found.manifest["documents"] <= 200
    assert build_examples.Config.__doc__


# VmHWM is the process's own; ru_maxrss would begin with what the test process held at the fork.
PEAK = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
BUILD = """
import sys
from pipelines import build_examples as program
program.main(program.Config(
    input=(sys.argv[1],), tokenizer=sys.argv[2], output=sys.argv[3], num_workers=1))
"""
READ = """
import itertools, sys
from roots_tf import examples, objectives
dataset = examples.pipeline(sys.argv[1], objectives.MaskedLM().make_rows, batch_size=256, seed=0)
for _ in itertools.islice(dataset, int(sys.argv[2])): pass
"""


def peak_megabytes(code: str, *arguments) -> int:
    command = [sys.executable, "-c", code + PEAK, *map(str, arguments)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(printed.splitlines()[-1]) // 1024


@pytest.mark.slow
def test_memory_is_flat_as_the_corpus_grows_tenfold(texts, vocabulary, tmp_path):
    peaks = []
    for times in (8, 80):
        grown = (f"Part {i}.\n{text}" for i in range(times) for text in texts)
        for shard in range(times // 4):
            part = list(itertools.islice(grown, 4 * len(texts)))
            write_documents(tmp_path / f"in{times}" / str(shard), part, 1, row_group_size=1000)
        output = tmp_path / f"out{times}"
        build_peak = peak_megabytes(BUILD, tmp_path / f"in{times}", vocabulary, output)
        peaks.append((build_peak, peak_megabytes(READ, output, 15 * times)))
    print(peaks)
    for small, large in zip(*peaks, strict=True):
        assert large < 1024
        assert large < 1.25 * small
