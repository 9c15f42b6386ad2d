"""`finetune` on real sentences: it learns, it repeats, and mistakes are named."""

import dataclasses
import json

import pytest
from tensorboard.backend.event_processing import event_accumulator

from pipelines import evaluate, finetune, predict
from roots_tf import models, program
from roots_tf.files import InputError


def config(work, data, output, **fields) -> finetune.Config:
    news = data / "bbc_news"
    settings = {
        "init_from": work.model,
        "output": str(output),
        **{split: str(news / f"{split}.jsonl") for split in ("train", "dev", "test")},
        **{"max_seq_length": 32, "learning_rate": 5e-3, "num_epochs": 8.0, "seeds": 2},
    }
    return program.make(finetune.Config, **settings | fields)


def test_it_tells_topics_of_real_news_and_repeats(work, data, tmp_path):
    report = finetune.main(config(work, data, tmp_path / "a"))
    assert [run["seed"] for run in report["seeds"]] == [0, 1]
    assert report["test_baseline_accuracy"] < 0.3
    # Seeds of this small model score .36 to .60, the trivial answer .23 with a deviation of .03.
    assert report["test_accuracy"] > report["test_baseline_accuracy"] + 0.1
    assert report["labels"] == ["business", "entertainment", "politics", "sport", "tech"]
    assert models.describe(tmp_path / "a" / "model")["labels"] == report["labels"]
    assert json.loads((tmp_path / "a" / "report.json").read_text()) == report
    assert finetune.main(config(work, data, tmp_path / "a")) == report
    again = finetune.main(config(work, data, tmp_path / "b"))
    assert again["seeds"] == report["seeds"]
    assert not any(run["degenerate"] for run in report["seeds"])
    events = event_accumulator.EventAccumulator(str(tmp_path / "a" / "seed_0" / "logs" / "dev"))
    tags = events.Reload().Tags()
    assert tags["images"] == ["confusion"]
    assert {f"precision_recall/{label}" for label in report["labels"]} <= set(tags["tensors"])
    model = str(tmp_path / "a" / "model")
    test = str(data / "bbc_news" / "test.jsonl")
    scores = evaluate.main(
        evaluate.Config(model=model, input=test, output=str(tmp_path / "scores.json"))
    )
    best = max(report["seeds"], key=lambda run: run["dev"]["accuracy"])
    by_class = scores.pop("by_class"), best["test"].pop("by_class")
    assert scores == pytest.approx(best["test"], abs=1e-6)
    assert by_class[0].keys() == by_class[1].keys() == set(report["labels"])
    for label in report["labels"]:
        assert by_class[0][label] == pytest.approx(by_class[1][label], abs=1e-6)
    answers = predict.main(
        predict.Config(model=model, input=test, output=str(tmp_path / "answers.jsonl"))
    )
    lines = (tmp_path / "a" / "test_predictions.jsonl").read_text().splitlines()
    assert [row["label"] for row in answers] == [json.loads(line)["label"] for line in lines]


def test_a_run_that_was_stopped_goes_on_with_the_seed_it_was_at(work, data, tmp_path, monkeypatch):
    short = {"num_epochs": 1.0, "seeds": 3}
    whole = finetune.main(config(work, data, tmp_path / "whole", **short))
    trained, train = [], finetune.train

    def stopped_at_seed_2(config, data, model, seed, written):
        trained.append(seed)
        if trained == [0, 1, 2]:
            raise KeyboardInterrupt
        train(config, data, model, seed, written)

    monkeypatch.setattr(finetune, "train", stopped_at_seed_2)
    with pytest.raises(KeyboardInterrupt):
        finetune.main(config(work, data, tmp_path / "stopped", **short))
    assert finetune.main(config(work, data, tmp_path / "stopped", **short)) == whole
    assert trained == [0, 1, 2, 2]
    for name in ("model/model.safetensors", "test_predictions.jsonl"):
        one, other = ((tmp_path / run / name).read_bytes() for run in ("whole", "stopped"))
        assert one == other


def test_a_flat_start_and_what_is_frozen(work, data, tmp_path):
    still = {"learning_rate": 0.0, "seeds": 1, "num_epochs": 0.01}
    report = finetune.main(config(work, data, tmp_path / "a", **still))
    assert report["seeds"][0]["degenerate"]
    finetune.main(config(work, data, tmp_path / "b", **still, random_init=True))
    moved = {"seeds": 1, "num_epochs": 0.05, "frozen_layers": 1}
    finetune.main(config(work, data, tmp_path / "c", **moved))
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


def test_patience_keeps_the_best_epoch(work, data, tmp_path):
    wild = {"seeds": 1, "num_epochs": 6.0, "learning_rate": 3e-2, "patience": 1}
    report = finetune.main(config(work, data, tmp_path / "a", **wild))
    rows = (tmp_path / "a" / "seed_0" / "metrics.jsonl").read_text().splitlines()
    held_out = [r["accuracy"] for r in map(json.loads, rows) if r["group"] == "held_out"]
    # The epoch that ended the run is not among the rows.
    assert len(held_out) < 6
    assert report["dev_accuracy"] == pytest.approx(max(held_out))


def test_tags_have_places_and_long_questions_are_refused(work, data, tmp_path):
    real = str(data / "wikiann_en" / "dev.conll")
    files = {"train": real, "dev": real, "test": "", "debug": True}
    finetune.main(config(work, data, tmp_path / "a", task="tagging", **files))
    path = tmp_path / "new.txt"
    path.write_text("Anna lives in New York.\n")
    (answer,) = predict.main(
        predict.Config(
            model=str(tmp_path / "a" / "model"), input=str(path), output=str(tmp_path / "p.jsonl")
        )
    )
    assert len(answer["tags"]) == 6
    assert json.loads((tmp_path / "p.jsonl").read_text()) == answer
    asking = files | {name: str(data / "xquad" / "xquad.en.json") for name in ("train", "dev")}
    with pytest.raises(InputError, match=r"found max_seq_length=32; wanted more than \d+"):
        finetune.main(config(work, data, tmp_path / "b", task="question_answering", **asking))


def test_a_label_unseen_in_training_is_named(work, data, tmp_path):
    (tmp_path / "dev.jsonl").write_text('{"text": "a horse race", "label": "racing"}\n')
    wrong = dataclasses.replace(
        config(work, data, tmp_path / "run"), dev=str(tmp_path / "dev.jsonl")
    )
    with pytest.raises(InputError, match=r"found label 'racing' in .*dev.jsonl"):
        finetune.main(wrong)


def test_a_folder_without_a_model_is_named(work, data, tmp_path):
    wrong = dataclasses.replace(config(work, data, tmp_path / "run"), init_from=str(tmp_path))
    with pytest.raises(InputError, match=r"found no model.json"):
        finetune.main(wrong)
    assert not (tmp_path / "run").exists()
