"""Every JSON file that a program reads, with wrong values at every place of it.

What reads it may succeed or say in one line what is wrong; it never ends in a traceback, takes long
or takes memory. Each file is a real one, from a small run.
"""

import copy
import json
import resource
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import curate, demo, doctor, pretrain
from roots_tf import examples, models, program, stages, tasks, tokenizers
from roots_tf.corpus import decontamination
from roots_tf.examples.manifest import check_files
from roots_tf.export import card
from roots_tf.labelled import squad, tables
from roots_tf.storage import checksums, files
from roots_tf.training.plan_file import Computed, read_plan

DELETED, EXTRA = object(), "an_extra_key"
WRONG = [  # of every three, one stands at each place
    *(DELETED, None, True, -1, 0, 7, 10**6, 10**30, "", 0.5, -1e308, float("nan"), "x", "../x"),
    *("\ud800", [], {}, [1], {"a": 1}, ["x"], [[[]]], float("inf"), "\x1b[31m", DELETED),
]
SECONDS, MEGABYTES = 10, 500  # that one reading may take; far more than any does
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def places(value, most: int = 2) -> list[tuple]:
    """Paths of keys to the values in a JSON value: of large objects and lists to the first ones.

    >>> places({"a": [1, 2], "b": {}})
    [(), ('a',), ('a', 0), ('a', 1), ('b',), ('an_extra_key',)]
    """
    found = [()]
    if isinstance(value, dict):
        keys = list(value) if len(value) < 40 else list(value)[:most]
        found += [(key, *rest) for key in keys for rest in places(value[key], most)]
        found.append((EXTRA,))
    elif isinstance(value, list):
        rows = enumerate(value[:most])
        found += [(row, *rest) for row, inner in rows for rest in places(inner, most)]
    return found


def changed(value, place: tuple, new):
    """The JSON value with another value at a place, or without that place."""
    if not place:
        return {} if new is DELETED else new
    value = copy.deepcopy(value)
    inside = value
    for key in place[:-1]:
        inside = inside[key]
    if new is not DELETED:
        inside[place[-1]] = new
    elif isinstance(inside, list):
        del inside[place[-1]]
    else:
        inside.pop(place[-1], None)
    return value


def test_places_and_changes():
    value = {"a": [1, {"b": 2}]}
    inside = [("a", 0), ("a", 1), ("a", 1, "b"), ("a", 1, EXTRA)]
    assert places(value) == [(), ("a",), *inside, (EXTRA,)]
    assert changed(value, ("a", 1, "b"), "x") == {"a": [1, {"b": "x"}]}
    assert changed(value, ("a", 0), DELETED) == {"a": [{"b": 2}]}
    assert changed(value, (EXTRA,), 3) == value | {EXTRA: 3}
    assert changed(value, (), DELETED) == {}


@pytest.fixture(scope="module")
def folder(work, tmp_path_factory) -> Path:
    """What the programs wrote, to be changed; models without checksums, which would see it all."""
    root = tmp_path_factory.mktemp("json")
    for name in ("pretrained", "examples", "documents"):
        shutil.copytree(getattr(work, name), root / name)
    shutil.copytree(root / "pretrained" / "model", root / "tokenizer")
    (root / "tokenizer" / "model.json").unlink()
    sizes = {"num_layers": 1, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 8}
    tokenizer = tokenizers.load(work.tokenizer)
    sizes |= {"vocabulary_size": tokenizer.size, "max_sequence_length": 16}
    config = models.EncoderConfig(**sizes)
    kind = tasks.KINDS["classification"](max_seq_length=16, labels=("no", "yes"))
    models.save(root / "tuned" / "model", models.Classifier(config, 2), **kind.description())
    tokenizer.save(root / "tuned" / "model")
    for model in ("pretrained", "tuned"):
        path = root / model / "model" / "model.json"
        described = files.read_json(path)
        del described[checksums.KEY]
        files.write_json(path, described)
    write_small_files(root)
    return root


SCORES = {"accuracy": 0.5, "f1": 0.25, "of": {"yes": 1.0}}
SQUAD = {
    "version": "2.0",
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "a b",
                    "qas": [
                        {"id": "1", "question": "q", "answers": [{"text": "b", "answer_start": 2}]},
                        {"id": 2, "question": "q", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}
PIECES = [[{"piece": "a", "probability": 0.5}]]


def write_small_files(root: Path) -> None:
    """Files that take a run of minutes, as such a run writes them."""
    seed = {"seed": 0, "dev": SCORES, "test": SCORES, "degenerate": False}
    scores = {"dev_accuracy": 0.5, "dev_accuracy_range": [0.5, 0.5], "dev_baseline_accuracy": 0.25}
    report = {"task": "classification", "labels": ["no", "yes"], "seeds": [seed], **scores}
    files.write_json(root / "tuned" / "report.json", report)
    files.write_json(root / "tuned" / "config.json", {"train": "a/b.tsv", "num_epochs": 3.0})
    stages.write_result(root / "results" / "a", {"documents": 3, "tallies": [{"a": 1.5}]})
    for name in ("squad", "evaluation"):
        files.write_json(root / f"{name}.json", SQUAD)
    (root / "a.jsonl").write_text('{"text": "a", "label": "b", "text_pair": "c"}\n')
    shown = dict.fromkeys(demo.Pretrained.__dataclass_fields__, 0.5)
    names = ("finetuned_accuracy", "from_scratch_accuracy", "majority_accuracy")
    shown |= dict.fromkeys(names, 0.5) | {"seconds": 3, "documents": 4, "packages": ["a"]}
    shown |= {"saved_model": "a", "tensorboard": "b"}
    shown["fill_mask"] = [{"text": "a [MASK]", "masks": PIECES}]
    files.write_json(root / "demo.json", shown)


def read_model(run: Path):
    tasks.kind_of(models.describe(run / "model"))
    models.load(run / "model")
    tokenizers.load(run / "model")


def read_tokenizer(folder: Path):
    tokenizer = tokenizers.load(folder)
    tokenizer.encode(["A text, \u2603 [MASK]", ""])
    assert len(tokenizer.starts_word) == tokenizer.size


def read_examples(root: Path):
    manifest = examples.load(root / "examples")
    objective, length = pretrain.Config(output="").objective, manifest["max_seq_length"]
    objective.check(manifest, 2, length)
    objective.rows_an_epoch(manifest, length)
    for split in ("train", "held_out"):
        check_files(root / "examples", manifest["splits"][split])


def read_plans(root: Path):
    read_plan(root / "pretrained", Computed)


def read_run(root: Path):
    doctor.main(doctor.Config(model_dir=str(root / "pretrained")))
    card.write(root / "card", root / "pretrained" / "model", "a command")


def read_curated(root: Path):
    path = root / "documents" / "report.json"
    curate.table(files.read_json(path), str(path))


def read_demo(root: Path):
    demo.table(files.read_json(root / "demo.json"), "demo.json")


def write_card(root: Path):
    card.write(root / "card", root / "tuned" / "model", "a command")


# Where each file is, and what reads it.
OURS = {
    "a model": ("pretrained/model/model.json", lambda root: read_model(root / "pretrained")),
    "a fine-tuned model": ("tuned/model/model.json", lambda root: read_model(root / "tuned")),
    "a tokenizer": ("tokenizer/tokenizer.json", lambda root: read_tokenizer(root / "tokenizer")),
    "a manifest": ("examples/manifest.json", read_examples),
    "a plan": ("pretrained/plan.json", read_plans),
    "a plan of phases": ("pretrained/plan.json", read_run),
    "a report of pretraining": ("pretrained/report.json", read_run),
    "flags of pretraining": ("pretrained/config.json", read_run),
    "a report of fine-tuning": ("tuned/report.json", write_card),
    "flags of fine-tuning": ("tuned/config.json", write_card),
    "a report of curating": ("documents/report.json", read_curated),
    "a result of a task": ("results/a", lambda root: stages.read_result(root / "results/a")),
    "questions": ("squad.json", lambda root: squad.read(root / "squad.json")),
    "a table": ("a.jsonl", lambda root: tables.read(root / "a.jsonl", ("text", "label"), (), {})),
    "an evaluation set": (
        "evaluation.json",
        lambda root: decontamination.index_of(
            decontamination.examples((str(root / "evaluation.json"),), ()), 3, 1
        ),
    ),
    "a report of the demo": ("demo.json", read_demo),
}  # fmt: skip


def outcome(root: Path, path: Path, text: str, read) -> str:
    """What reading gives: "" or the line for the user. Raises what is neither, with the file."""
    path.write_text(text, "utf-8")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        read(root)
        message = ""
    except (files.InputError, program.FlagError) as error:
        message = str(error)
        assert message.strip()
    except BaseException as error:
        raise AssertionError(f"{path.name} of {text[:300]!r}: {error!r}") from error
    assert time.monotonic() - start < SECONDS, text
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10 < MEGABYTES, text
    return message


@pytest.fixture
def case(request, folder):
    """Folder, path of the file, its value and what reads it; the file is as before afterwards."""
    name, read = OURS[request.param]
    path = folder / name
    before = path.read_bytes()
    yield folder, path, json.loads(before), read
    path.write_bytes(before)


CASES = pytest.mark.parametrize("case", OURS, indirect=True)


@CASES
def test_as_it_was_written_it_is_read(case):
    root, path, value, read = case
    assert outcome(root, path, json.dumps(value), read) == ""


@CASES
def test_wrong_values_at_every_place(case):
    root, path, value, read = case
    refused = 0
    for number, place in enumerate(places(value)):
        for new in WRONG[number % 3 :: 3] if place else WRONG:
            text = json.dumps(changed(value, place, new))
            refused += outcome(root, path, text, read) != ""
    # Strings in any JSON make an evaluation set; of other files most stand-ins are refused.
    assert refused > len(WRONG) // 2 or "evaluation" in path.name


@CASES
def test_what_is_no_json(case):
    root, path, value, read = case
    text = json.dumps(value)
    for wrong in ("", text[:-3], text + "}", "[" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000):
        assert outcome(root, path, wrong, read) != ""


@CASES
@settings(
    max_examples=20, deadline=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(data=st.data())
def test_any_value_at_any_place(case, data):
    root, path, value, read = case
    place = data.draw(st.sampled_from(places(value)))
    outcome(root, path, json.dumps(changed(value, place, data.draw(JSON))), read)
