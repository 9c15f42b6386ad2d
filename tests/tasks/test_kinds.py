"""The table of kinds: known without TensorFlow, complete, and read back from model folders."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

import roots_tf
from roots_tf import models, tasks
from roots_tf.storage.files import InputError
from roots_tf.tasks import distillation
from roots_tf.tasks.texts import Texts
from tests.tasks.test_finetuning import write

ROOT = Path(roots_tf.__file__).parents[1]
NAMES = ("classification", "regression", "tagging", "question_answering", "multiple_choice")
OF_OTHERS = ("similarity", "contrastive", "completion", "sequence_to_sequence", "cloze")


def test_names_of_kinds_are_known_without_tensorflow():
    code = (
        "import sys; from roots_tf import tasks; names = [*tasks.KINDS]; "
        "assert 'tagging' in tasks.KINDS and 'taging' not in tasks.KINDS and len(names) == 10; "
        "print(names, 'tensorflow' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == f"{[*NAMES, *OF_OTHERS]} False"


@pytest.mark.parametrize("name", tasks.KINDS)
def test_a_kind_says_all_that_others_ask_of_it(name):
    kind = tasks.KINDS[name]
    assert kind.name == name
    assert any(scalar.is_loss for scalar in kind.scalars)
    assert all(scalar.name.endswith(f"_{scalar.section}") for scalar in kind.scalars)
    assert kind.pipeline_tag and kind.use.format(labels="3 labels")
    assert kind.additive == (name != "contrastive")
    assert kind.has_labels() == (name in ("classification", "tagging", "cloze"))
    methods = [m for m in dir(kind) if "NotImplementedError" in code_names(getattr(kind, m))]
    assert not methods, "methods that the kind must have"


def code_names(value) -> tuple[str, ...]:
    """Global names that a function uses; none of what is no function."""
    return getattr(getattr(value, "__code__", None), "co_names", ())


@pytest.mark.parametrize("name", tasks.KINDS)
def test_scores_are_float32_whatever_the_model_computes_in(name, tmp_path, tokenizer, encoder):
    kind = tasks.KINDS[name](max_seq_length=64)
    examples = kind.read(write(tmp_path, name), {})
    kind = kind.learn(examples).of_tokenizer(tokenizer)
    batch = kind.batcher(kind.rows(examples, tokenizer), tokenizer.pad_id)(
        tf.constant([0, 1, 2, 3])
    )
    model = kind.make_model(encoder, seed=1, precision="mixed_bfloat16", recompute=True)
    found = [*kind.sums(model, batch, tf.constant([1, 2])).values(), kind.outputs(model, batch)]
    for value in tf.nest.flatten(found):
        assert value.dtype in (tf.float32, tf.int32)
    assert kind.generates or kind.decodes or kind.answers_of(model, batch).dtype == tf.float32
    exact = kind.make_model(encoder, seed=1)
    for values, same in zip(
        tf.nest.flatten(kind.sums(model, batch)), tf.nest.flatten(kind.sums(exact, batch)),
        strict=True,
    ):  # fmt: skip
        assert float(values) == pytest.approx(float(same), rel=0.1, abs=1.0)
    if kind.generates or kind.decodes or not kind.distilled:
        return
    # A student in bfloat16 learns from a teacher in float32.
    parts = distillation.Parts(hidden=1.0, embedding=1.0, attention=1.0, cosine=1.0)
    student = kind.make_model(encoder, seed=2, precision="mixed_bfloat16")
    sums = distillation.Distillation(kind, exact, student, parts).sums(batch, tf.constant([1, 2]))
    assert all(value.dtype == tf.float32 for value in tf.nest.flatten(sums))


def test_folders_of_version_0_1_are_read():
    everything = {"max_seq_length": 64, "stride": 0, "labels": [], "label_weights": []}
    described = {"task": {"name": "question_answering", "pairs": False, **everything}}
    kind = tasks.KINDS["question_answering"](max_seq_length=64)
    assert tasks.restore(described) == kind
    described["task"] |= {"name": "regression", "pairs": True, "mean": 3.0, "deviation": 2.0}
    kind = tasks.KINDS["regression"](max_seq_length=64, pairs=True, mean=3.0, deviation=2.0)
    assert tasks.restore(described) == kind
    described["task"] = everything | {"name": "tagging", "labels": ["O", "B-X"], "pairs": False}
    assert tasks.restore(described).labels == ("O", "B-X")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": "poetry"}, "fine-tuned for 'poetry'; wanted one of classification, regression"),
        ({"name": "similarity", "range": [0, 1]}, "found 'range' in model.json for the task simi"),
        ({"name": "similarity", "labels": ["a"]}, "found 'labels' in model.json"),
    ],
)
def test_a_task_of_another_version_is_named(task, message):
    with pytest.raises(InputError, match=message):
        tasks.restore({"task": task})


MISFITS = {
    "an encoder": ({"kind": "encoder"}, "found a model of kind encoder .*wanted a classifier, as"),
    "fewer labels": (
        {"num_labels": 3},
        "found a model of 3 outputs .*wanted 2, as its task classi",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_task_that_is_not_that_of_its_model_is_named(case, encoder):
    change, message = MISFITS[case]
    kind = tasks.KINDS["classification"](max_seq_length=64, labels=("no", "yes"))
    described = kind.description() | {"kind": "classifier", "num_labels": 2, "encoder": encoder}
    assert tasks.restore(described) == kind
    described["encoder"] = dataclasses.replace(encoder, max_sequence_length=48)
    assert tasks.restore(described) == dataclasses.replace(kind, max_seq_length=48)
    with pytest.raises(InputError, match=message):
        tasks.restore(described | change)


FIELDS = {
    "a name that is none": ({"name": ["classification"]}, r"fine-tuned for \['classification'\]"),
    "labels that are no texts": (
        {"name": "tagging", "labels": ["O", 1]},
        r"found labels\[1\]=1 in",
    ),
    "one label for all": ({"name": "tagging", "labels": "O"}, "found labels='O' in model.json"),
    "no length": ({"name": "tagging", "max_seq_length": 0}, "max_seq_length=0 .*wanted a number f"),
    "one value": ({"name": "similarity", "lowest": 1.0}, "found lowest=1.0 and highest=1.0"),
    "no deviation": ({"name": "regression", "deviation": 0.0}, "deviation=0.0 .*a number above 0"),
    "a weight too few": (
        {"name": "classification", "labels": ["a", "b"], "label_weights": [1.0]},
        "found 1 label_weights of 2 labels; wanted one of each",
    ),
}


@pytest.mark.parametrize("case", FIELDS)
def test_what_a_task_cannot_be_is_named(case):
    task, message = FIELDS[case]
    with pytest.raises(InputError, match=message):
        tasks.restore({"task": task})


def test_tags_without_an_outside_are_named_where_it_is_needed():
    kind = tasks.KINDS["tagging"](labels=("NOUN", "VERB"))
    with pytest.raises(InputError, match='found no tag "O" among the 2 labels of the model'):
        kind.outside  # noqa: B018  (a property that raises)


def test_model_folders_without_a_task(encoder, tmp_path):
    models.save(tmp_path, models.Classifier(encoder, 2), ("no", "yes"))
    described = models.describe(tmp_path)
    kind = tasks.kind_of(described)
    assert kind == tasks.KINDS["classification"](max_seq_length=128, labels=("no", "yes"))
    assert tasks.kind_of(described | {"kind": "token_classifier"}).name == "tagging"
    assert tasks.kind_of(described | {"kind": "encoder"}) is None
    with pytest.raises(InputError, match="found a model of kind classifier, which was not fine"):
        tasks.restore(described)
    models.save(tmp_path, models.Classifier(encoder, 2), **kind.description())
    assert tasks.restore(models.describe(tmp_path)) == kind
    assert json.loads(json.dumps(tasks.describe(kind)))["labels"] == ["no", "yes"]


def test_classes_alone_can_be_balanced(tmp_path):
    kind = tasks.KINDS["classification"]()
    path = tmp_path / "a.tsv"
    path.write_text("a\tgood\nb\tgood\nc\tgood\nd\tbad\n")
    examples = kind.read(path, {})
    assert kind.learn(examples).with_balance(examples).label_weights == (2.0, 4 / 6)
    with pytest.raises(InputError, match="found --balance with --task=tagging; wanted it with cl"):
        tasks.KINDS["tagging"]().with_balance(examples)


def test_texts_load_the_encoder_of_any_folder(encoder, tmp_path):
    pretrainer = models.Pretrainer(encoder, seed=1)
    models.save(tmp_path, pretrainer)
    model = Texts().load_model(tmp_path)
    assert model.name == "encoder" and model.pooler is None
    weights = models.named_weights(pretrainer)
    for name, variable in models.named_weights(model).items():
        assert (variable.numpy() == weights[name].numpy()).all()
    assert Texts().description() == {}
