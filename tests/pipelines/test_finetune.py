"""`finetune` on real sentences: it learns, it repeats, and mistakes are named."""

import dataclasses
import json

import pytest

from pipelines import finetune
from roots_tf import models
from roots_tf.files import InputError


def config(work, data, output, **fields) -> finetune.Config:
    news = data / "bbc_news"
    return finetune.Config(
        init_from=work.model,
        train=str(news / "train.jsonl"),
        dev=str(news / "dev.jsonl"),
        test=str(news / "test.jsonl"),
        output=str(output),
        **{"max_seq_length": 32, "learning_rate": 5e-3, "num_epochs": 8.0, "seeds": 2} | fields,
    )


def test_it_tells_topics_of_real_news_and_repeats(work, data, tmp_path):
    report = finetune.main(config(work, data, tmp_path / "a"))
    assert [run["seed"] for run in report["seeds"]] == [0, 1]
    assert report["test_majority"] < 0.3
    assert report["test_accuracy"] > report["test_majority"] + 0.12
    assert report["labels"] == ["business", "entertainment", "politics", "sport", "tech"]
    assert models.describe(tmp_path / "a" / "model")["labels"] == report["labels"]
    assert json.loads((tmp_path / "a" / "report.json").read_text()) == report
    assert finetune.main(config(work, data, tmp_path / "a")) == report
    again = finetune.main(config(work, data, tmp_path / "b"))
    assert again["seeds"] == report["seeds"]


def test_pretrained_weights_are_really_loaded(work, data, tmp_path):
    still = {"learning_rate": 0.0, "seeds": 1, "num_epochs": 0.01}
    finetune.main(config(work, data, tmp_path / "a", **still))
    finetune.main(config(work, data, tmp_path / "b", **still, random_init=True))
    pretrained = models.load(work.model).encoder
    tuned, random = (models.load(tmp_path / name / "model").encoder for name in "ab")
    for one, same, other in zip(
        pretrained.variables, tuned.variables, random.variables, strict=True
    ):
        assert (one.numpy() == same.numpy()).all()
        if len(one.shape) == 2:
            assert (one.numpy() != other.numpy()).any()


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
