"""What `manifest.json` may say: what agrees with itself is read, and nothing else."""

import copy
import json

import pytest

from roots_tf.examples import manifest
from roots_tf.storage.files import InputError


def shard(name, examples):
    counts = {"examples": examples, "tokens": 20, "singles": 1}
    return {"name": name, "bytes": 400, "sha256": "0" * 64, **counts}


def split(*shards):
    whole = {name: sum(s[name] for s in shards) for name in ("examples", "tokens", "singles")}
    return {"documents": 2, "sentences": 9, "bytes": 1, **whole, "shards": list(shards)}


WRITTEN = {
    "format": 1,
    "build": "e5ed140452efa046",
    "word": "uint16",
    "max_seq_length": 16,
    "tokenizer": {"fingerprint": "3ea4", "size": 99},
    "splits": {"train": split(shard("a", 3), shard("b", 4)), "held_out": split()},
    "unigram_entropy": None,
    "for people": {"length_histogram": {"8": 29}},
}


def load(folder, value):
    (folder / "manifest.json").write_text(json.dumps(value))
    return manifest.load(folder)


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    assert load(tmp_path, WRITTEN) == WRITTEN
    assert manifest.layout_of(WRITTEN) == "pairs"  # version 0.1 had no other


CHANGES = {
    "no fields": (lambda m: m.clear(), "found format None in .*; wanted 1 or 2: run build"),
    "only a format": (lambda m: m.pop("splits"), "found no splits in .*; wanted a JSON object"),
    "a text": (lambda m: m.update(format="1"), "found format '1' in"),
    "a short row": (lambda m: m.update(max_seq_length=-1), "max_seq_length=-1 .*wanted a number"),
    "other words": (lambda m: m.update(word="int32"), "found words of int32 and 99 ids; wan"),
    "a layout": (lambda m: m.update(layout="rows"), "layout='rows' .*wanted one of pairs, contig"),
    "no split": (lambda m: m["splits"].pop("held_out"), "found no splits.held_out in"),
    "a wrong count": (
        lambda m: m["splits"]["train"]["shards"][0].update(examples=2),
        "found 7 examples of a split and 6 in its shards; wanted as many",
    ),
    "more than there is room for": (
        lambda m: m["splits"]["train"]["shards"][0].update(examples=1 << 40),
        "found 1099511627776 examples of 20 tokens in 400 bytes of a; wanted no more than",
    ),
    "another folder": (
        lambda m: m["splits"]["train"]["shards"][0].update(name="../a"),
        "found a shard '../a'; wanted the name of a file",
    ),
    "a number as a text": (
        lambda m: m["splits"]["train"]["shards"][1].update(bytes="400"),
        r"found splits.train.shards\[1\].bytes='400' in .*wanted a whole number",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_what_does_not_agree_is_named(tmp_path, case):
    change, message = CHANGES[case]
    value = copy.deepcopy(WRITTEN)
    change(value)
    with pytest.raises(InputError, match=message):
        load(tmp_path, value)
    with pytest.raises(InputError, match="found format None"):
        load(tmp_path, [1])
