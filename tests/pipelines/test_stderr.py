"""What programs write to stderr: our own lines, and none of the libraries'."""

import json
import os
import re
import subprocess
import sys

import pytest

from roots_tf import notices

OURS = re.compile(r"[IW]\d{4} [\d:.]+ +\d+ \w+\.py:\d+\] ")

# As `roots` runs them, one after the other in a process whose log is set up as a program's is.
WALK = """
import json, sys
from absl import app
from roots_tf import commands, messages

def walk(_):
    messages.begin(messages.Messages("roots"))
    for name, given in json.load(sys.stdin):
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        commands.call(name, **values)

app.run(walk, argv=["roots"])
"""


def stderr_of(cases: list, **variables: str) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if k != notices.LEVEL} | variables
    walk = subprocess.run(
        *[[sys.executable, "-c", WALK]],
        **{"input": json.dumps(cases), "capture_output": True, "text": True, "env": environment},
    )
    assert walk.returncode == 0, walk.stderr[-2000:]
    return walk.stderr.splitlines()


def test_programs_write_their_own_lines_alone(work, tmp_path):
    cases = [
        ["fill_mask", {"model": work.model, "text": "a [MASK]"}],
        ["embed", {"model": work.model, "input": [work.documents], "output": f"{tmp_path}/v.npy"}],
    ]
    cases[1][1] |= {"debug": True}
    lines = stderr_of(cases)
    assert lines and [line for line in lines if not OURS.match(line)] == []


@pytest.mark.slow
def test_all_programs_write_their_own_lines_alone(work, tmp_path):
    labelled = tmp_path / "labelled.jsonl"
    rows = [{"text": f"{word} {i}", "label": word} for i in range(8) for word in ("good", "bad")]
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = tmp_path / "words.txt"
    words.write_text("xylophonist\n")
    documents, model, out = [work.documents], work.model, str(tmp_path)
    ours = {"debug": True}
    cases = [
        ["curate", {"input": [work.docstrings], "output": f"{out}/d", "num_workers": 2} | ours],
        ["train_tokenizer", {"input": documents, "output": f"{out}/t", "vocab_size": 500} | ours],
        [
            "build_examples",
            {"input": documents, "tokenizer": work.tokenizer, "output": f"{out}/e"}
            | {"max_seq_length": 32, "num_workers": 2},
        ],
        ["inspect_examples", {"examples": work.examples} | ours],
        ["extend_vocab", {"vocabulary": work.tokenizer, "output": f"{out}/v", "words": [words]}],
        ["pretrain", {"examples": work.examples, "output": f"{out}/p"} | ours],
        ["doctor", {"model_dir": f"{out}/p"}],
        ["benchmark_step", {"size": "tiny"} | ours],
        ["score", {"model": model, "input": str(labelled)} | ours],
        [
            "finetune",
            {"init_from": model, "train": str(labelled), "dev": str(labelled)}
            | {"output": f"{out}/f", "batch_size": 8}
            | ours,
        ],
        ["predict", {"model": f"{out}/f/model", "input": str(labelled)}],
        ["evaluate", {"model": f"{out}/f/model", "input": str(labelled)}],
        [
            "distill",
            {"teacher": f"{out}/f/model", "input": str(labelled), "output": f"{out}/s"}
            | {"num_layers": 1, "batch_size": 8}
            | ours,
        ],
        ["export", {"model": model, "output": f"{out}/x"} | ours],
        ["export", {"model": model, "output": f"{out}/hf", "format": "huggingface"}],
        ["import", {"from": f"{out}/hf", "output": f"{out}/i"}],
        ["tokenize", {"vocabulary": work.tokenizer, "input": [str(labelled)]}],
    ]
    cases = json.loads(json.dumps(cases, default=str))
    lines = stderr_of(cases)
    assert [line for line in lines if not OURS.match(line)] == []
