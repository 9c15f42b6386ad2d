"""A second objective, written here, goes through all of `pretrain` and touches nothing else."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import safetensors.numpy
import tensorflow as tf

from pipelines import pretrain
from roots_tf import examples, models, program
from roots_tf.features import Feature
from roots_tf.losses import Scalar, weighted
from roots_tf.objectives import Objective
from roots_tf.storage.files import InputError
from roots_tf.training import loop
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.summaries import TIMED
from tests.pipelines.test_pretrain import config
from tests.training.test_summaries import shown


# The objective: which words of the vocabulary a text holds, from its first half.
class Halves(examples.RowMaker):
    new_features = {"bag": Feature("float32", "B V", "1 on the ids of the second half")}

    def __init__(self, manifest, split, tokenizer, length):
        self.manifest, self.tokenizer, self.length = manifest, tokenizer, length

    def count(self, shard):
        return shard["examples"]

    def rows(self, records):
        return records

    def features(self, rows, chance):
        ids, lengths = examples.decode_ids(chance.of_worker(rows), self.manifest)  # [B, W], [B]
        ids = tf.pad(ids, [[0, 0], [0, self.length - ids.shape[1]]])  # [B, L]
        place = tf.range(self.length)
        first = place < lengths[:, None] // 2
        second = tf.where(first | (place >= lengths[:, None]), -1, ids)
        return {
            "token_ids": tf.where(first, ids, self.tokenizer.pad_id),
            "segment_ids": tf.zeros_like(ids),
            "padding_mask": first,
            "bag": tf.reduce_max(tf.one_hot(second, self.tokenizer.size), 1),
        }


class BagTask:
    scalars = (Scalar("bag_loss", "loss", is_loss=True), Scalar("bag_share", "accuracy"))
    additive = True

    def __init__(self, model):
        self.model = model

    def weights(self, batch):
        return {"bag_loss": tf.reduce_sum(batch["example_weights"])}

    def sums(self, batch, seed=None):
        logits = self.model(batch, seed=seed)  # [B, V]
        loss = tf.nn.sigmoid_cross_entropy_with_logits(batch["bag"], logits)
        best = tf.gather(batch["bag"], tf.argmax(logits, -1), batch_dims=1)
        rows = batch["example_weights"]
        loss = weighted(tf.reduce_sum(loss, -1), rows)
        return {"bag_loss": loss, "bag_share": weighted(best, rows)}


@dataclasses.dataclass(frozen=True)
class BagOfWords:
    name = "bag_of_words"
    of_a_phase = ()
    hops: int = program.flag(1, help="a flag of its own", minimum=1)
    tokenizer_of, model_parts = Objective.tokenizer_of, Objective.model_parts
    finished = Objective.finished

    def check(self, manifest, batch_size, length):
        if self.hops > 1:
            raise InputError("number-out-of-range", f"found hops={self.hops}; wanted 1")

    def rows_an_epoch(self, manifest, length, split="train"):
        return manifest["splits"][split]["examples"]

    def make_rows(self, manifest, split, tokenizer, length):
        return Halves(manifest, split, tokenizer, length)

    def make_model(self, config, *, seed=0, precision="float32", recompute=False):
        return models.Classifier(config, config.vocabulary_size, seed, precision, recompute)

    def make_task(self, model, tokenizer):
        return BagTask(model)

    def step_flops(self, config, batch_size, length):
        return 0.0

    def samples(self, task, batch, tokenizer, count=4):
        best = tf.argmax(task.model(batch), -1).numpy()[:count]
        return {"bags": " ".join(tokenizer.vocabulary[i] for i in best)}


def test_it_trains_evaluates_resumes_and_is_shown(work, tmp_path, monkeypatch):
    bag = config(work, tmp_path / "whole", duration="30", objective=BagOfWords())
    report = pretrain.main(bag)
    rows = [row for row in read_metrics(tmp_path / "whole") if row["group"] == "train"]
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 25, 30]
    assert report["bag_loss"] < 0.5 * rows[0]["bag_loss"]
    assert report["bag_share"] > 0.3  # the most frequent words are in most texts
    held_out = shown(tmp_path / "whole", "held_out")
    assert {"loss/bag_loss", "accuracy/bag_share"} <= set(held_out.Tags()["scalars"])
    assert held_out.Tensors("bags")[0].step == 30
    written = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert (written["objective"], written["hops"]) == ("bag_of_words", 1)
    assert models.load(tmp_path / "whole" / "model").num_labels == 1000

    calls, make_call = itertools.count(1), loop.make_call

    def killed(train_step, step):
        call = make_call(train_step, step)

        def once(iterator, steps):
            if next(calls) == 4:
                raise KeyboardInterrupt
            return call(iterator, steps)

        return once

    again = program.replace(bag, output=str(tmp_path / "killed"))
    with monkeypatch.context() as patch:
        patch.setattr(loop, "make_call", killed)
        try:
            pretrain.main(again)
        except KeyboardInterrupt:
            assert list((tmp_path / "killed" / "checkpoints").glob("ckpt-10.index"))
    assert pretrain.main(again) == report
    weights, curves = zip(*(result(tmp_path / name) for name in ("whole", "killed")), strict=True)
    for name, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][name], err_msg=name)
    assert curves[0] == curves[1]


def result(run: Path):
    """Weights and curve of a run."""
    rows = [{k: v for k, v in row.items() if k not in TIMED} for row in read_metrics(run)]
    return safetensors.numpy.load_file(run / "model" / "model.safetensors"), rows


def test_its_own_check_comes_before_the_folder(work, tmp_path):
    try:
        pretrain.main(config(work, tmp_path / "run", objective=BagOfWords(hops=2)))
    except InputError as error:
        assert str(error) == "found hops=2; wanted 1"
    assert not (tmp_path / "run").exists()
