"""`finetune` on real sentences: it learns, it repeats, and mistakes are named."""

import io
import json
import shutil
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator

from pipelines import evaluate, finetune, predict
from roots_tf import models, program
from roots_tf.storage.files import InputError
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.summaries import TIMED
from tests.answering import answers_of
from tests.pages.parsed import Page
from tests.processes import start


def config(work, topics, output, **fields) -> finetune.Config:
    settings = {
        "init_from": work.model,
        "output": str(output),
        **{split: str(topics / f"{split}.jsonl") for split in ("train", "dev", "test")},
        **{"max_seq_length": 32, "learning_rate": 5e-3, "num_epochs": 8.0, "seeds": 2},
        **{"precision": "float32"},
    }
    return program.make(finetune.Config, **settings | fields)


def count(topics) -> int:
    """Texts to train on."""
    return len((topics / "train.jsonl").read_text("utf-8").splitlines())


def test_it_tells_topics_of_real_news(work, topics, tmp_path):
    report = finetune.main(config(work, topics, tmp_path / "a"))
    assert [run["seed"] for run in report["seeds"]] == [0, 1]
    assert report["test_baseline_accuracy"] < 0.3
    # Seeds of this small model score .36 to .60, the trivial answer .23 with a deviation of .03.
    assert report["test_accuracy"] > report["test_baseline_accuracy"] + 0.1
    rows = [json.loads(line) for line in (topics / "train.jsonl").read_text("utf-8").splitlines()]
    assert report["labels"] == sorted({row["label"] for row in rows})
    assert len(report["labels"]) == 5
    assert models.describe(tmp_path / "a" / "model")["labels"] == report["labels"]
    assert json.loads((tmp_path / "a" / "report.json").read_text()) == report
    assert finetune.main(config(work, topics, tmp_path / "a")) == report
    assert not any(run["degenerate"] for run in report["seeds"])
    page = Page((tmp_path / "a" / "report.html").read_text("utf-8")).text
    assert "Confusion matrix" in page and "wrong among" in page
    events = event_accumulator.EventAccumulator(str(tmp_path / "a" / "seed_0" / "logs" / "dev"))
    tags = events.Reload().Tags()
    assert tags["images"] == ["confusion"]
    assert [image.step for image in events.Images("confusion")] == [round(8 * len(rows) / 32)]
    assert {f"precision_recall/{label}" for label in report["labels"]} <= set(tags["tensors"])
    model = str(tmp_path / "a" / "model")
    test = str(topics / "test.jsonl")
    scores = evaluate.main(
        evaluate.Config(model=model, input=test, output=str(tmp_path / "scores.json"))
    )
    best = max(report["seeds"], key=lambda run: run["dev"]["accuracy"])
    by_class = scores.pop("by_class"), best["test"].pop("by_class")
    assert scores == pytest.approx(best["test"], abs=1e-6)
    assert by_class[0].keys() == by_class[1].keys() == set(report["labels"])
    for label in report["labels"]:
        assert by_class[0][label] == pytest.approx(by_class[1][label], abs=1e-6)
    answers = answers_of(
        predict.Config(model=model, input=test, output=str(tmp_path / "answers.jsonl"))
    )
    lines = (tmp_path / "a" / "test_predictions.jsonl").read_text().splitlines()
    assert [row["label"] for row in answers] == [json.loads(line)["label"] for line in lines]


def test_killed_in_the_middle_of_a_seed_it_ends_with_the_same_bytes(work, topics, tmp_path):
    """Once in the second of two seeds: the first is not trained again."""
    epochs = 83 * 32 / count(topics)  # 83 steps, as many as there are texts for
    short = {"num_epochs": epochs, "checkpoint_every": 25, "log_every": 10, "patience": 3}
    short |= {"evaluate_every": 30, "dropout": 0.1, "ema_decay": 0.9, "steps_per_call": 5}
    whole = finetune.main(config(work, topics, tmp_path / "whole", **short))
    run = tmp_path / "killed"
    process = start(config(work, topics, run, **short))
    mark = run / "seed_1" / "checkpoints" / "ckpt-50.index"
    while not mark.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not (run / "seed_1" / "scores.json").exists()
    assert finetune.main(config(work, topics, run, **short)) == whole
    for name in ("model/model.safetensors", "test_predictions.jsonl", "seed_1/scores.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (run / name).read_bytes(), name
    for seed in range(2):
        one, other = (
            [
                {name: value for name, value in row.items() if name not in TIMED}
                for row in read_metrics(tmp_path / folder / f"seed_{seed}")
            ]
            for folder in ("whole", "killed")
        )
        assert one == other
        assert {row["step"] for row in one if row["group"] == "held_out"} >= {30, 60}
        assert not (run / f"seed_{seed}" / "checkpoints").exists()  # nothing goes on from them


@pytest.mark.slow
def test_replicas_fine_tune_as_one_device_does(work, topics, tmp_path):
    fields = {"num_epochs": 0.2, "seeds": 1, "dropout": 0.0}
    finetune.main(config(work, topics, tmp_path / "one", **fields))
    two = {"strategy": "mirrored", "num_devices": 2}
    finetune.main(config(work, topics, tmp_path / "two", **fields, **two))
    # With dropout the masks are those of two micro-batches.
    fields["dropout"] = 0.3
    finetune.main(config(work, topics, tmp_path / "micro", **fields, accumulate_steps=2))
    finetune.main(config(work, topics, tmp_path / "dropped", **fields, **two))
    for one, other in (("one", "two"), ("micro", "dropped")):
        models_ = [models.load(tmp_path / folder / "model") for folder in (one, other)]
        for a, b in zip(*(model.variables for model in models_), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-4, err_msg=a.path)


@pytest.mark.parametrize(
    "fields",
    [
        {"precision": "mixed_bfloat16", "optimizer": "lamb", "schedule": "cosine"},
        {"jit_compile": "true", "recompute": True, "accumulate_steps": 2, "warmup_steps": 3},
    ],
)
def test_what_pretraining_takes_fine_tuning_takes(work, topics, tmp_path, fields):
    report = finetune.main(
        config(work, topics, tmp_path, seeds=1, num_epochs=0.5, max_seq_length=16, **fields)
    )
    rows = read_metrics(tmp_path / "seed_0")
    assert rows[-1]["step"] == round(0.5 * count(topics) / 32)
    assert report["seeds"][0]["dev"]["accuracy"] > 0.1


def test_a_mistake_does_not_claim_the_folder(work, topics, tmp_path):
    (tmp_path / "dev.jsonl").write_text('{"text": "a horse race", "label": "racing"}\n')
    output, damaged = tmp_path / "run", tmp_path / "damaged"
    shutil.copytree(work.model, damaged)
    (damaged / "model.safetensors").write_bytes(b"")
    for fields, message in (
        ({"init_from": str(damaged)}, "could not read .*model.safetensors"),
        ({"dev": str(tmp_path / "dev.jsonl")}, r"found label 'racing' in .*dev.jsonl"),
        ({"init_from": str(tmp_path)}, "found no model.json"),
        ({"accumulate_steps": 5}, "found --batch_size=32; wanted a multiple of 5"),
        ({"frozen_layers": 9}, "found frozen_layers=9; wanted at most 1"),
        ({"columns": ("text",)}, "found .*text.*wanted"),
        ({"learning_rate": -1.0}, "found --learning_rate=-1.0; wanted a number from 0"),
        ({"seeds": 0}, "found --seeds=0; wanted a number from 1"),
        ({"metric_language": "zh"}, "found --metric_language=zh with --task=classification; wa"),
        ({"word_unit": "characters"}, "found --word_unit=characters with --task=classification"),
        ({"task": "tagging", "balance": True}, "found .*jsonl for tagging; wanted a CoNLL file"),
    ):
        with pytest.raises((InputError, program.FlagError), match=message) as raised:
            finetune.main(config(work, topics, output, **fields))
        assert "\n" not in str(raised.value)
        assert not output.exists()


def test_after_a_stop_other_files_weights_and_evaluations_are_refused(work, tmp_path):
    """Though the paths are the same; other places with the same content are the same run."""
    shutil.copytree(work.model, tmp_path / "model")
    described = json.loads((tmp_path / "model" / "model.json").read_text("utf-8"))
    del described["sha256"]  # as of version 0.2: else the model itself says that it was changed
    (tmp_path / "model" / "model.json").write_text(json.dumps(described), "utf-8")
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.tsv").write_text(f"text\tlabel\n{split} well\tgood\nbad\tbad\n")
    places = {split: str(tmp_path / f"{split}.tsv") for split in ("train", "dev", "test")}
    places |= {"init_from": str(tmp_path / "model"), "output": str(tmp_path / "run")}
    begun = program.make(finetune.Config, **places, patience=2)
    finetune.claim_of(begun).begin(begun.output)
    (tmp_path / "run" / "seed_0").mkdir()
    for name, path in (
        *((split, f"{split}.tsv") for split in ("train", "dev", "test")),
        *(("init_from", f"model/{name}") for name in ("model.safetensors", "vocab.txt")),
    ):
        content = (tmp_path / path).read_bytes()
        (tmp_path / path).write_bytes(content[:-2] + b"X" + content[-1:])
        with pytest.raises(InputError, match=f"found another content of --{name} than the run"):
            finetune.main(begun)
        (tmp_path / path).write_bytes(content)
    for fields, message in (
        ({"evaluate_every": 7}, "found evaluate_every=0; wanted evaluate_every=7"),
        ({"seeds": 5}, "found seeds=3; wanted seeds=5"),
        ({"test": ""}, "found another content of --test"),
    ):
        with pytest.raises(InputError, match=message):
            finetune.main(program.replace(begun, **fields))
    (tmp_path / "train.tsv").rename(tmp_path / "moved.tsv")
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = {
        "train": str(tmp_path / "moved.tsv"),
        "output": str(tmp_path / "moved"),
        "log_every": 9,
    }
    finetune.claim_of(program.replace(begun, **moved)).begin(tmp_path / "moved")


def test_a_flat_start_and_what_is_frozen(work, topics, tmp_path):
    still = {"learning_rate": 0.0, "seeds": 1, "num_epochs": 0.01}
    report = finetune.main(config(work, topics, tmp_path / "a", **still))
    assert report["seeds"][0]["degenerate"]
    finetune.main(config(work, topics, tmp_path / "b", **still, random_init=True))
    moved = {"seeds": 1, "num_epochs": 0.05, "frozen_layers": 1}
    finetune.main(config(work, topics, tmp_path / "c", **moved))
    pretrained = models.load(work.model).encoder
    tuned, random, partly = (models.load(tmp_path / name / "model").encoder for name in "abc")
    for one, same, other, frozen in zip(
        pretrained.variables, tuned.variables, random.variables, partly.variables, strict=True
    ):
        assert (one.numpy() == same.numpy()).all()
        if len(one.shape) == 2:
            assert (one.numpy() != other.numpy()).any()
            below = "embeddings" in one.path or "layer_0" in one.path
            assert (one.numpy() == frozen.numpy()).all() == below, one.path


def test_rates_by_depth():
    sizes = {"hidden_dim": 8, "num_heads": 1, "intermediate_dim": 8, "vocabulary_size": 9}
    model = models.Classifier(models.EncoderConfig(num_layers=2, **sizes), 3)
    rates = models.rate_multipliers(model, 0.5, -1)
    by_part = dict(zip([v.path for v in model.trainable_variables], rates, strict=True))
    assert by_part["encoder/embeddings/token"] == 0.125
    assert by_part["encoder/layer_0/attention/output_kernel"] == 0.25
    assert by_part["encoder/layer_1/expand/kernel"] == 0.5
    assert by_part["pooler/kernel"] == by_part["classes/kernel"] == 1.0
    assert len(models.rate_multipliers(model, 1.0, 2)) == 4  # pooler and classes
    with pytest.raises(InputError, match="found frozen_layers=3; wanted at most 2"):
        models.rate_multipliers(model, 1.0, 3)


def test_patience_keeps_the_best_epoch(work, topics, tmp_path):
    wild = {"seeds": 1, "num_epochs": 6.0, "learning_rate": 3e-2, "patience": 1}
    report = finetune.main(config(work, topics, tmp_path / "a", **wild))
    rows = (tmp_path / "a" / "seed_0" / "metrics.jsonl").read_text().splitlines()
    held_out = [r["accuracy"] for r in map(json.loads, rows) if r["group"] == "held_out"]
    assert len(held_out) < 6
    assert held_out[-1] <= max(held_out[:-1])
    assert report["dev_accuracy"] == pytest.approx(max(held_out))


def test_tags_have_places_and_long_questions_are_refused(
    work, topics, tagged, questions, tmp_path, monkeypatch, capsys
):
    files = {"train": str(tagged), "dev": str(tagged), "test": "", "debug": True}
    finetune.main(config(work, topics, tmp_path / "a", task="tagging", **files))
    path = tmp_path / "new.txt"
    path.write_text("Anna lives in New York.\n")
    (answer,) = answers_of(
        predict.Config(
            model=str(tmp_path / "a" / "model"), input=str(path), output=str(tmp_path / "p.jsonl")
        )
    )
    assert len(answer["tags"]) == 6
    assert json.loads((tmp_path / "p.jsonl").read_text()) == answer
    sent = io.TextIOWrapper(io.BytesIO(b"Anna lives in New York.\r\n\n"))
    monkeypatch.setattr("sys.stdin", sent)
    assert answers_of(predict.Config(model=str(tmp_path / "a" / "model"))) == [answer]
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == answer
    scores = json.loads((tmp_path / "a" / "seed_0" / "scores.json").read_text())["dev"]
    assert scores["word_unit"] == "spaces" and 0 < scores["words_as_in_raw_text"] <= 1
    asking = files | {name: str(questions) for name in ("train", "dev")} | {"max_seq_length": 8}
    with pytest.raises(InputError, match=r"found max_seq_length=8; wanted more than \d+"):
        finetune.main(config(work, topics, tmp_path / "b", task="question_answering", **asking))
