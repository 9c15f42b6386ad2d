"""`finetune --task=cloze` of a causal model, from files to what is served."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines import evaluate, export, finetune, generate, predict
from roots_tf import models, program, training
from roots_tf.models.tuning import LowRankTuning
from roots_tf.storage.files import InputError
from tests.answering import answers_of
from tests.tasks import test_in_context as prompts

TEXTS = [
    "a fine film",
    "the dull dog",
    "not the cat",
    "so good a rug",
    "the end",
    "it sat on a mat",
]


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> SimpleNamespace:
    """A causal model folder, and files of two labels."""
    root = tmp_path_factory.mktemp("in_context")
    tokenizer = prompts.trained_tokenizer()
    models.save(root / "gpt", prompts.random_model(tokenizer))
    tokenizer.save(root / "gpt")
    for split, count in (("train", 16), ("dev", 12)):
        rows = [
            {"text": f"{TEXTS[i % 6]} {i}", "label": ("no", "yes")[i % 2]} for i in range(count)
        ]
        (root / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return SimpleNamespace(root=root, model=str(root / "gpt"))


def config(here, output, **fields) -> finetune.Config:
    settings = {
        **{"init_from": here.model, "output": str(output), "task": "cloze"},
        **{split: str(here.root / f"{split}.jsonl") for split in ("train", "dev")},
        **{"template": r"Film: {text}\nIt was [MASK].", "verbalizer": ("yes=good", "no=bad|dull")},
        **{"max_seq_length": 192, "seeds": 3, "num_shots": 4, "calibrate": True},
        **{"precision": "float32", "batch_size": 8},
    }
    return program.make(finetune.Config, **settings | fields)


def test_examples_in_the_prompt_are_kept_and_served(here, tmp_path):
    report = finetune.main(config(here, tmp_path / "run"))
    assert len(report["seeds"]) == 3 and report["labels"] == ["no", "yes"]
    folder = str(tmp_path / "run" / "model")
    described = models.describe(folder)
    assert described["kind"] == "causal_lm" and len(described["task"]["priors"]) == 2
    shots = described["task"]["demonstrations"]
    assert sorted(label for label, _ in shots) == ["no", "no", "yes", "yes"]
    before, after = (models.load(path).variables for path in (here.model, folder))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    asked = {"model": folder, "input": str(here.root / "dev.jsonl")}
    answers = answers_of(predict.Config(**asked, output=str(tmp_path / "answers.jsonl")))
    lines = (tmp_path / "run" / "dev_predictions.jsonl").read_text("utf-8").splitlines()
    for row, line in zip(answers, map(json.loads, lines), strict=True):
        assert row["label"] == line["label"]
        assert row["probabilities"] == pytest.approx(line["probabilities"], abs=1e-5)
    best = report["seeds"][report["best_seed"]]["dev"]["accuracy"]
    assert best == max(seed["dev"]["accuracy"] for seed in report["seeds"])
    assert evaluate.main(program.make(evaluate.Config, **asked))["accuracy"] == best
    served = tf.saved_model.load(
        export.main(export.Config(model=folder, output=str(tmp_path / "served")))
    ).signatures["serving_default"]
    found = served(text=tf.constant([row["text"] for row in answers]))["probabilities"]
    expected = [[*row["probabilities"].values()] for row in answers]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    settings = {"prompt": "the cat", "decoding": "greedy", "max_new_tokens": 2}
    assert generate.main(program.make(generate.Config, model=folder, **settings))
    with pytest.raises(InputError, match="found a causal language model in .*; wanted an encoder"):
        export.main(export.Config(model=folder, output=str(tmp_path / "lite"), format="litert"))
    assert not (tmp_path / "lite").exists()


def test_the_same_seeds_draw_the_same_and_zero_shots_need_no_file(here, tmp_path):
    run = [finetune.main(config(here, tmp_path / name, seeds=2)) for name in ("one", "two")]
    assert run[0] == run[1]
    paths = [tmp_path / name / "dev_predictions.jsonl" for name in ("one", "two")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    report = finetune.main(config(here, tmp_path / "zero", num_shots=0, train=""))
    assert len(report["seeds"]) == 1
    assert models.describe(tmp_path / "zero" / "model")["task"]["demonstrations"] == []


def test_it_learns_and_goes_on_after_a_stop(here, tmp_path, monkeypatch):
    fields = {"num_shots": 0, "seeds": 1, "num_epochs": 12.0, "learning_rate": 1e-2}
    fields |= {"checkpoint_every": 4, "batch_size": 4}
    report = finetune.main(config(here, tmp_path / "whole", **fields))
    assert report["dev_accuracy"] >= 0.75 > report["dev_baseline_accuracy"]
    train = training.Run.train

    def stopping(self, stage, optimization):
        """Has no batch after the ninth."""
        short = stage._replace(batches=lambda step: stage.batches(step).take(9))
        train(self, short, optimization)

    with monkeypatch.context() as patched:
        patched.setattr(training.Run, "train", stopping)
        with pytest.raises((StopIteration, tf.errors.OutOfRangeError)):
            finetune.main(config(here, tmp_path / "parts", **fields))
    assert list((tmp_path / "parts" / "seed_0" / "checkpoints").glob("ckpt-8.index"))
    assert finetune.main(config(here, tmp_path / "parts", **fields)) == report
    weights = [tmp_path / name / "model" / "model.safetensors" for name in ("whole", "parts")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_several_templates_label_texts_together(here, tmp_path):
    templates = ("{text} It was [MASK]", r"A [MASK] film: {text}")
    folders = []
    for number, template in enumerate(templates):
        fields = {"train": "", "num_shots": 0, "template": template}
        finetune.main(config(here, tmp_path / str(number), **fields))
        folders.append(str(tmp_path / str(number) / "model"))
    (tmp_path / "new.txt").write_text("the cat sat\na dull rug\n")
    asked = {"input": str(tmp_path / "new.txt"), "output": str(tmp_path / "labels.jsonl")}
    alone = [answers_of(predict.Config(model=folder, **asked)) for folder in folders]
    both = answers_of(predict.Config(model=folders[0], ensemble=(folders[1],), **asked))
    for row, *ones in zip(both, *alone, strict=True):
        means = {
            label: np.mean([one["probabilities"][label] for one in ones]) for label in ("no", "yes")
        }
        assert row["probabilities"] == pytest.approx(means)
        assert row["score"] == max(row["probabilities"].values())
        assert row["label"] == max(means, key=means.get)
    assert (tmp_path / "labels.jsonl").read_text().count("\n") == 2
    other = {"train": "", "num_shots": 0, "verbalizer": ("no=bad", "yes=good", "so=the")}
    finetune.main(config(here, tmp_path / "more", **other))
    wrong = {"model": folders[0], "ensemble": (str(tmp_path / "more" / "model"),)}
    with pytest.raises(
        InputError, match="found a model for cloze of the labels no, so, yes in --ens"
    ):
        answers_of(predict.Config(**wrong, **asked))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train": ""}, "found --num_shots=4 and no --train; wanted one, from which"),
        ({"num_shots": 40}, "found 8 examples of the label '(no|yes)' in .*; wanted 20"),
        ({"tune": LowRankTuning()}, "found --tune=lora and --num_shots=4"),
        ({"max_seq_length": 8}, "found max_seq_length=8; wanted 1[0-9] or more"),
        ({"template": "It was [MASK]"}, r"found no \{text\} in it"),
        (
            {"task": "classification", "template": "", "verbalizer": (), "calibrate": False},
            "found --num_shots=4 with --task=classification; wanted it with cloze of a causal_lm",
        ),
    ],
)
def test_mistakes_are_named(here, tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        finetune.main(config(here, tmp_path / "run", **fields))
    assert not (tmp_path / "run" / "report.json").exists()
