"""A file that is not there is missed before TensorFlow is loaded, in every program."""

import json
import subprocess
import sys

from roots_tf import commands, program
from roots_tf.commands import load

# Calls each program with a file that is absent behind each of its input flags in turn.
WALK = """
import importlib.abc, json, sys
from roots_tf import commands


class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            raise AssertionError(f"it loads {name} first")


sys.meta_path.insert(0, Refuse())
for name, flag, values in json.load(sys.stdin):
    try:
        commands.call(name, **values)
        found = "no mistake"
    except Exception as error:
        found = str(error) if getattr(error, "exit_status", None) == 2 else repr(error)
    print(json.dumps([name, flag, found]))
"""


def test_a_file_that_is_absent_is_missed_before_tensorflow_is_loaded(work, tmp_path):
    text = tmp_path / "text.jsonl"
    text.write_text('{"text": "a", "label": "b"}\n{"text": "c", "label": "d"}\n')
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"text": "a", "positive": "b"}\n')
    given = {
        "average": {"checkpoints": [work.model]},
        "build_examples": {"input": [str(text)], "tokenizer": work.tokenizer},
        "curate": {"input": [str(text)]},
        "distill": {"teacher": work.model, "input": str(text)},
        "embed": {"model": work.model, "input": [str(text)]},
        "evaluate": {"model": work.model, "input": str(text)},
        "export": {"model": work.model},
        "extend_vocab": {"vocabulary": work.tokenizer},
        "finetune": {"init_from": work.model, "train": str(text), "dev": str(text)},
        "import": {"from": work.model},
        "mine_negatives": {"model": work.model, "input": str(pairs)},
        "merge": {"adapter": work.model, "base": work.model},
        "predict": {"model": work.model},
        "pretrain": {"examples": work.examples},
        "score": {"model": work.model, "input": str(text)},
        "tokenize": {"vocabulary": work.tokenizer},
    }
    # Which a flag before them decides upon: prompts of a causal model, words or texts.
    decided = {("generate", "input"), ("generate", "examples_file"), ("extend_vocab", "vocabulary")}
    cases = []
    for name in commands.programs().keys() - {"demo"}:  # which reads nothing of its user's
        for flag, about in program.flags_of(load(name).Config).items():
            if about.role == "input" and (name, flag) not in decided:
                absent = str(tmp_path / "absent")
                value = [absent] if about.hint == tuple[str, ...] else absent
                place = tmp_path / "out" / ("vectors.npy" if name == "embed" else "out")
                output = {"output": str(place)} if name not in ("doctor", "serve") else {}
                output = {} if name in ("fill_mask", "tokenize", "benchmark_step") else output
                cases.append([name, flag, output | given.get(name, {}) | {flag: value}])
    walk = subprocess.run(
        *[[sys.executable, "-c", WALK]],
        **{"input": json.dumps(cases), "capture_output": True, "text": True, "check": True},
    )
    found = [json.loads(line) for line in walk.stdout.splitlines() if line.startswith("[")]
    assert len(found) == len(cases) > 30
    assert [case for case in found if "absent" not in case[2] or "loads" in case[2]] == []
    assert not (tmp_path / "out").exists()
