"""Probabilities of labels are learned from as labels are: read, refused, and in the loss."""

import csv
import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipelines import finetune, predict
from roots_tf import models, program, tasks
from roots_tf.storage.files import InputError
from roots_tf.tasks import soft_labels
from roots_tf.tasks.classification import Classification
from tests.answering import answers_of
from tests.tasks.test_finetuning import REVIEWS

SOFT = [(0.25, 0.75), (1.0, 0.0), (0.5, 0.5), (0.9, 0.1)]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def rows_of(soft=SOFT):
    texts = [text for text, _ in REVIEWS]
    return [
        {"text": text, "probabilities": {"bad": bad, "good": good}, "label": 3, "score": 0.5}
        for text, (bad, good) in zip(texts, soft, strict=True)
    ]


def test_objects_are_read_from_json_parquet_and_csv(tmp_path):
    pq.write_table(pa.Table.from_pylist(rows_of()), tmp_path / "a.parquet")
    with open(tmp_path / "a.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "probabilities"])
        writer.writerows([row["text"], json.dumps(row["probabilities"])] for row in rows_of())
    write(tmp_path / "a.jsonl", rows_of())
    for name in ("a.jsonl", "a.parquet", "a.csv"):
        examples = soft_labels.read(str(tmp_path / name), {"label": "of another file"})
        assert examples.columns["label"] == ["good", "bad", "bad", "bad"]
        kind = Classification().with_soft_labels().learn(examples)
        assert kind.labels == ("bad", "good")
        targets = kind.targets(examples)
        np.testing.assert_allclose(targets["label_probabilities"], SOFT, atol=1e-7)
        assert targets["label_ids"].tolist() == [1, 0, 0, 0]


def test_a_label_that_is_never_likeliest_is_learned_too(tmp_path):
    path = write(tmp_path / "a.jsonl", rows_of([(0.6, 0.4)] * 4))
    kind = Classification().learn(soft_labels.read(path, {}))
    assert kind.labels == ("bad", "good")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bad": 0.5, "good": 0.4}, "found probabilities that sum to 0.9 in .*, line 2; wanted 1"),
        ({"bad": 0.5, "god": 0.5}, "found a probability of 'god' in .*, line 2; .*bad, good.*good"),
        ({"bad": 1.0}, "found no probability of 'good' in .*, line 2; wanted one of each label"),
        ({"bad": -0.5, "good": 1.5}, "found -0.5 as the probability of bad in .*, line 2; wanted"),
        ({"bad": "1", "good": 0}, "found '1' as the probability of bad in .*, line 2; wanted a"),
        ({"bad": True, "good": 0}, "found True as the probability of bad in .*line 2; wanted a"),
        ({"bad": 0.5, "good": None}, "found None as the probability of good in .*, line 2"),
        ({"bad": 0.5, " bad": 0.5}, "found a label twice in probabilities of .*, line 2"),
        ([0.5, 0.5], "found .*0.5, 0.5.* as probabilities in .*, line 2; wanted an object"),
        ("good", "found 'good' as probabilities in .*, line 2; wanted an object of labels"),
        ({}, "found no probabilities in .*, line 2"),
    ],
)
def test_what_is_no_distribution_over_the_labels_is_refused(tmp_path, given, message):
    rows = rows_of()
    rows[1]["probabilities"] = given
    with pytest.raises(InputError, match=message) as raised:
        soft_labels.read(write(tmp_path / "a.jsonl", rows), {})
    assert "\n" not in str(raised.value)


def test_a_file_of_labels_alone_and_one_label_are_refused(tmp_path):
    rows = [{"text": text, "label": label} for text, label in REVIEWS]
    with pytest.raises(InputError, match="found no column 'probabilities'"):
        soft_labels.read(write(tmp_path / "a.jsonl", rows), {})
    one = [{"text": text, "probabilities": {"good": 1.0}} for text, _ in REVIEWS]
    with pytest.raises(InputError, match="found one label, 'good'"):
        Classification().learn(soft_labels.read(write(tmp_path / "b.jsonl", one), {}))


@pytest.mark.parametrize("weights", [(), (3.0, 0.5)])
def test_the_loss_is_the_cross_entropy_by_a_loop(weights):
    logits = np.float32([[2.0, 0.0], [0.0, 1.0], [3.0, -1.0], [0.5, 0.5]])
    batch = {"label_ids": tf.constant([1, 0, 0, 0]), "label_probabilities": tf.constant(SOFT)}
    kind = Classification(labels=("bad", "good"), label_weights=weights)
    loss = weight = 0.0
    for row, shares in zip(logits, SOFT, strict=True):
        own = sum(share * w for share, w in zip(shares, weights or (1, 1), strict=True))
        logs = row - np.log(np.exp(row).sum())
        loss -= own * sum(share * log for share, log in zip(shares, logs, strict=True))
        weight += own
    sums = kind.sums(lambda batch, seed: tf.constant(logits), batch)
    np.testing.assert_allclose(sums["classification_loss"], [loss, weight], rtol=1e-5)
    np.testing.assert_allclose(kind.weights(batch)["classification_loss"], weight, rtol=1e-6)
    assert sums["classification_accuracy"][0] == 2.0  # of a tie the first


def test_certain_probabilities_are_labels():
    """Of one label each, loss and weights are those of `label_ids` alone."""
    logits = tf.random.stateless_normal([4, 2], [1, 2])
    ids = tf.constant([1, 0, 0, 1])
    hard, soft = {"label_ids": ids}, {"label_probabilities": tf.one_hot(ids, 2)}
    kind = Classification(labels=("bad", "good"), label_weights=(3.0, 0.5))
    one, other = (kind.sums(lambda b, seed: logits, batch) for batch in (hard, hard | soft))
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-6)


def test_classes_are_balanced_by_their_probabilities(tmp_path):
    examples = soft_labels.read(write(tmp_path / "a.jsonl", rows_of()), {})
    kind = Classification().learn(examples).with_balance(examples)
    np.testing.assert_allclose(kind.label_weights, [4 / (2 * 2.65), 4 / (2 * 1.35)], rtol=1e-6)


@pytest.fixture(scope="module")
def base(tmp_path_factory, tokenizer, encoder):
    folder = tmp_path_factory.mktemp("base")
    sizes = dataclasses.replace(encoder, initializer_range=0.3)
    models.save(folder, models.Pretrainer(sizes, seed=1))
    tokenizer.save(folder)
    return folder


def config(base, train, dev, output, **fields) -> finetune.Config:
    settings = {
        **{"init_from": str(base), "train": train, "dev": dev, "output": str(output), "seeds": 1},
        **{"max_seq_length": 64, "learning_rate": 0.01, "batch_size": 4, "num_epochs": 30.0},
        **{"precision": "float32", "warmup_steps": 1, "soft_labels": True, "dropout": 0.0},
    }
    return program.make(finetune.Config, **settings | fields)


def test_a_classifier_learns_what_an_ensemble_of_templates_says(base, tmp_path):
    labelled = write(tmp_path / "dev.jsonl", [{"text": t, "label": y} for t, y in REVIEWS])
    texts = write(tmp_path / "texts.jsonl", [{"text": t} for t, _ in REVIEWS])
    folders = []
    for name, template in {"one": "{text} it was [MASK]", "two": "[MASK]: {text}"}.items():
        asked = {"task": "cloze", "template": template, "verbalizer": ("good=the", "bad=of")}
        asked |= {"soft_labels": False}
        finetune.main(config(base, "", labelled, tmp_path / name, **asked))
        folders.append(str(tmp_path / name / "model"))
    soft = tmp_path / "soft.jsonl"
    asked = {"model": folders[0], "ensemble": (folders[1],), "input": texts}
    told = answers_of(predict.Config(**asked, output=str(soft)))
    report = finetune.main(config(base, str(soft), labelled, tmp_path / "learned"))
    assert report["labels"] == ["bad", "good"]
    folder = str(tmp_path / "learned" / "model")
    kind = tasks.restore(models.describe(folder))
    assert kind.labels == ("bad", "good")
    found = answers_of(
        predict.Config(model=folder, input=texts, output=str(tmp_path / "answers.jsonl"))
    )
    for ours, wanted in zip(found, told, strict=True):
        assert ours["probabilities"]["good"] == pytest.approx(
            wanted["probabilities"]["good"], abs=0.1
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"task": "regression"},
            "found --soft_labels with --task=regression; wanted it with ",
        ),
        ({"task": "cloze"}, "found --soft_labels with --task=cloze; wanted it with classification"),
        ({"columns": ("probabilities=other",)}, "found no column 'other'"),
    ],
)
def test_what_does_not_go_together_is_refused(base, tmp_path, fields, message):
    file = write(tmp_path / "a.jsonl", rows_of())
    with pytest.raises(InputError, match=message):
        finetune.main(config(base, file, file, tmp_path / "run", **fields))


def test_a_dev_label_that_has_no_probabilities_is_refused(base, tmp_path):
    file = write(tmp_path / "a.jsonl", rows_of())
    dev = write(tmp_path / "dev.jsonl", [{"text": "a", "label": "fine"}])
    with pytest.raises(InputError, match="found label 'fine' in .*dev.jsonl, line 1; wanted one"):
        finetune.main(config(base, file, dev, tmp_path / "run"))
