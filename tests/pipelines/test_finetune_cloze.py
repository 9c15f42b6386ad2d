"""`finetune --task=cloze`: a template and label words, from files to what is served."""

import json

import numpy as np
import pytest
import tensorflow as tf

from pipelines import distill, export, fill_mask, finetune, predict
from roots_tf import models, program
from roots_tf.models.tuning import LowRankTuning
from roots_tf.storage.files import InputError
from tests.answering import answers_of

ROWS = [("return the list of names", "yes"), ("raise an error of the file", "no")] * 8
TEMPLATE = "The value is [MASK] : {text}"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cloze")
    for split in ("train", "dev"):
        lines = (json.dumps({"text": f"{t} {i}", "label": y}) for i, (t, y) in enumerate(ROWS))
        (folder / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def config(work, files, output, **fields) -> finetune.Config:
    settings = {
        **{"init_from": work.model, "output": str(output), "task": "cloze", "template": TEMPLATE},
        **{split: str(files / f"{split}.jsonl") for split in ("train", "dev")},
        **{"verbalizer": ("yes=true|none", "no=other"), "max_seq_length": 24, "seeds": 1},
        **{"learning_rate": 1e-2, "num_epochs": 10.0, "batch_size": 8, "precision": "float32"},
    }
    return program.make(finetune.Config, **settings | fields)


def test_it_learns_is_served_and_still_fills_masks(work, files, tmp_path):
    report = finetune.main(config(work, files, tmp_path / "run", calibrate=True))
    assert report["labels"] == ["no", "yes"]
    assert report["dev_accuracy"] == 1.0 and report["dev_baseline_accuracy"] == 0.5
    folder = str(tmp_path / "run" / "model")
    described = models.describe(folder)
    assert described["kind"] == "pretrainer"
    assert described["task"]["template"] == TEMPLATE and len(described["task"]["priors"]) == 2
    (tmp_path / "raw.txt").write_text("return the list\nraise an error\n[MASK] of [SEP]\n")
    asked = {"model": folder, "input": str(tmp_path / "raw.txt")}
    answers = answers_of(predict.Config(**asked, output=str(tmp_path / "answers.jsonl")))
    assert [row["label"] for row in answers[:2]] == ["yes", "no"]
    served = tf.saved_model.load(
        export.main(export.Config(model=folder, output=str(tmp_path / "served")))
    ).signatures["serving_default"]
    texts = tf.constant([row["text"] for row in answers])
    probabilities = [list(row["probabilities"].values()) for row in answers]
    np.testing.assert_allclose(served(text=texts)["probabilities"], probabilities, atol=1e-5)
    filled = fill_mask.main(fill_mask.Config(model=folder, text="the [MASK] of the list"))
    assert filled


def test_without_a_training_file_it_answers_as_it_is(work, files, tmp_path):
    fields = {"train": "", "test": str(files / "train.jsonl"), "verbalizer": ()}
    report = finetune.main(config(work, files, tmp_path / "run", **fields))
    assert report["labels"] == ["no", "yes"] and len(report["seeds"]) == 1
    assert report["dev_baseline_accuracy"] == 0.5
    assert finetune.main(config(work, files, tmp_path / "run", **fields)) == report
    assert "accuracy" in (tmp_path / "run" / "report.html").read_text("utf-8")
    asked = {"model": str(tmp_path / "run" / "model"), "input": str(files / "dev.jsonl")}
    answers = answers_of(predict.Config(**asked, output=str(tmp_path / "answers.jsonl")))
    lines = (tmp_path / "run" / "dev_predictions.jsonl").read_text("utf-8").splitlines()
    assert [row["label"] for row in answers] == [json.loads(line)["label"] for line in lines]
    before, after = (models.load(folder) for folder in (work.model, asked["model"]))
    for one, other in zip(before.variables, after.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
    with pytest.raises(InputError, match="found no --train; wanted one"):
        wrong = {"train": "", "task": "classification", "template": "", "verbalizer": ()}
        finetune.main(config(work, files, tmp_path / "other", **wrong))


def test_another_template_is_another_run(work, files, tmp_path):
    short = {"num_epochs": 0.5}
    report = finetune.main(config(work, files, tmp_path / "run", **short))
    assert finetune.main(config(work, files, tmp_path / "run", **short)) == report
    with pytest.raises(InputError, match="template"):
        finetune.main(config(work, files, tmp_path / "run", **short, template="{text} [MASK]"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"template": "It was [MASK]."}, r"found no \{text\} in it"),
        ({"verbalizer": ("yes=true",)}, "found 1 label in --verbalizer; wanted two or more"),
        ({"verbalizer": ("yes=true", "on=other")}, "found the label 'no' in .*no=WORD, beside on"),
        (
            {"train": "", "tune": LowRankTuning()},
            "found --tune=lora and no --train; wanted a file to learn from",
        ),
        ({"max_seq_length": 6}, "found max_seq_length=6; wanted 8 or more"),
        ({"task": "classification"}, "found --template=.* with --task=classification; wanted it"),
        (
            {"task": "classification", "template": "", "verbalizer": (), "calibrate": True},
            "found --calibrate with --task=classification; wanted it with cloze",
        ),
    ],
)
def test_mistakes_are_named_and_claim_nothing(work, files, tmp_path, fields, message):
    if fields.get("task") == "classification" and fields.get("template") is None:
        (tmp_path / "template").write_text("")
        fields = fields | {"template": str(tmp_path / "template")}
    with pytest.raises(InputError, match=message):
        finetune.main(config(work, files, tmp_path / "run", **fields))
    assert not (tmp_path / "run" / "report.json").exists()


def test_a_model_without_the_head_is_refused(work, files, tmp_path):
    short = {"task": "classification", "template": "", "verbalizer": (), "num_epochs": 0.5}
    finetune.main(config(work, files, tmp_path / "classes", **short))
    wrong = {"init_from": str(tmp_path / "classes" / "model")}
    with pytest.raises(InputError, match="found a model of kind classifier in .* --task=cloze"):
        finetune.main(config(work, files, tmp_path / "run", **wrong))


def test_its_models_have_no_students(work, files, tmp_path):
    finetune.main(config(work, files, tmp_path / "run", num_epochs=0.5))
    asked = {"teacher": str(tmp_path / "run" / "model"), "output": str(tmp_path / "student")}
    asked |= {"input": (str(files / "train.jsonl"),), "num_layers": 1}
    with pytest.raises(InputError, match="found a model for cloze in .*; wanted an encoder, or"):
        distill.main(program.make(distill.Config, **asked))
