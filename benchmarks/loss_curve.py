"""Held-out loss of the same training by this package and by Hugging Face on PyTorch, side by side.

    python -m benchmarks.loss_curve --examples=runs/examples --hugging_face=/path/to/python

Both start from the same weights, copied by name, and see the same batches of real text, saved as
files: BERT's two losses, no dropout, AdamW without decay of vectors, gradients clipped to norm 1,
warm-up and linear decay, float32. Prints the held-out masked_lm_loss of both every
`--evaluate_every` updates and the largest relative difference, which comes from the order of sums
alone and grows with the steps; the goal is one percent. Two hundred updates of BERT-mini take about
a quarter of an hour on two processors, most of it Hugging Face's vocabulary for every position.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from roots_tf import examples, models, objectives, program, tokenizers
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from roots_tf.storage import files
from roots_tf.training import loop, optimizers, schedules, step, strategies

WEIGHT_DECAY, MAX_GRAD_NORM, EPSILON = 0.01, 1.0, 1e-6

HUGGING_FACE = """
import json, os, sys
import numpy as np
import torch, transformers

folder = sys.argv[1]
spec = json.load(open(f"{folder}/spec.json"))
torch.set_num_threads(len(os.sched_getaffinity(0)))
model = transformers.BertForPreTraining(transformers.BertConfig(
    vocab_size=spec["vocabulary_size"], hidden_size=spec["hidden_dim"],
    num_hidden_layers=spec["num_layers"], num_attention_heads=spec["num_heads"],
    intermediate_size=spec["intermediate_dim"], type_vocab_size=spec["num_segments"],
    max_position_embeddings=spec["max_sequence_length"],
    layer_norm_eps=spec["layer_norm_epsilon"],
    hidden_act="gelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)).train()

ours = dict(np.load(f"{folder}/weights.npz"))
theirs = {}

def dense(source, target):
    theirs[f"{target}.weight"] = ours.pop(f"{source}/kernel").T
    theirs[f"{target}.bias"] = ours.pop(f"{source}/bias")

def norm(source, target):
    theirs[f"{target}.weight"] = ours.pop(f"{source}/gamma")
    theirs[f"{target}.bias"] = ours.pop(f"{source}/beta")

for source, target in (("token", "word"), ("position", "position"), ("segment", "token_type")):
    name = f"bert.embeddings.{target}_embeddings.weight"
    theirs[name] = ours.pop(f"encoder/embeddings/{source}")
norm("encoder/embeddings/norm", "bert.embeddings.LayerNorm")
for index in range(spec["num_layers"]):
    source, target = f"encoder/layer_{index}", f"bert.encoder.layer.{index}"
    kernels = np.split(ours.pop(f"{source}/attention/query_key_value_kernel"), 3, axis=1)
    biases = np.split(ours.pop(f"{source}/attention/query_key_value_bias"), 3)
    for part, kernel, bias in zip(("query", "key", "value"), kernels, biases):
        theirs[f"{target}.attention.self.{part}.weight"] = kernel.T
        theirs[f"{target}.attention.self.{part}.bias"] = bias
    output = f"{target}.attention.output.dense"
    theirs[f"{output}.weight"] = ours.pop(f"{source}/attention/output_kernel").T
    theirs[f"{output}.bias"] = ours.pop(f"{source}/attention/output_bias")
    norm(f"{source}/attention_norm", f"{target}.attention.output.LayerNorm")
    dense(f"{source}/expand", f"{target}.intermediate.dense")
    dense(f"{source}/contract", f"{target}.output.dense")
    norm(f"{source}/output_norm", f"{target}.output.LayerNorm")
dense("pooler", "bert.pooler.dense")
dense("masked_lm/transform", "cls.predictions.transform.dense")
norm("masked_lm/norm", "cls.predictions.transform.LayerNorm")
theirs["cls.predictions.bias"] = ours.pop("masked_lm/bias")
dense("next_sentence", "cls.seq_relationship")

parameters = dict(model.named_parameters())
assert not ours and theirs.keys() == parameters.keys(), (ours.keys(), theirs.keys() ^ parameters)
with torch.no_grad():
    for name, value in theirs.items():
        parameters[name].copy_(torch.from_numpy(np.ascontiguousarray(value)))

optimizer = torch.optim.AdamW(
    [{"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": spec["decay"]},
     {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0}],
    eps=spec["epsilon"])

def read(path):
    batch = np.load(path)
    ids = torch.from_numpy(batch["token_ids"]).long()
    rows, columns = batch["masked_lm_weights"].nonzero()
    labels = torch.full_like(ids, -100)
    labels[rows, batch["masked_lm_positions"][rows, columns]] = torch.from_numpy(
        batch["masked_lm_ids"][rows, columns]).long()
    return labels, {
        "input_ids": ids, "labels": labels,
        "attention_mask": torch.from_numpy(batch["padding_mask"]).long(),
        "token_type_ids": torch.from_numpy(batch["segment_ids"]).long(),
        "next_sentence_label": torch.from_numpy(batch["next_sentence_labels"]).long()}

@torch.no_grad()
def held_out_loss():
    total = count = 0.0
    for path in spec["held_out"]:
        labels, inputs = read(path)
        logits = model(**inputs).prediction_logits
        total += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), reduction="sum").item()
        count += (labels != -100).sum().item()
    return total / count

losses = [held_out_loss()]
for number, (path, rate) in enumerate(zip(spec["train"], spec["rates"]), 1):
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    model(**read(path)[1]).loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), spec["max_grad_norm"])
    optimizer.step()
    if number % spec["evaluate_every"] == 0:
        losses.append(held_out_loss())
        print("hugging face: step", number, losses[-1], file=sys.stderr, flush=True)
json.dump(losses, open(f"{folder}/theirs.json", "w"))
"""


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    examples: str = program.flag(help="folder that build-examples wrote")
    hugging_face: str = program.flag(sys.executable, help="Python with torch and transformers")
    size: str = program.flag("mini", help="model size")
    num_steps: int = program.flag(200, help="updates")
    batch_size: int = program.flag(32, help="sequences")
    learning_rate: float = program.flag(5e-4, help="highest learning rate")
    warmup_steps: int = program.flag(20, help="updates of rising learning rate")
    evaluate_every: int = program.flag(20, help="updates between two held-out losses")
    evaluate_batches: int = program.flag(4, help="held-out batches")
    seed: int = program.flag(0, help="of initial weights, order, masks and pairs")
    output: str = program.flag("", help="JSON file for the results; none if empty")


def main(config: Config) -> list[dict]:
    """Trains both, prints the table and returns its rows."""
    manifest = examples.load(config.examples)
    tokenizer = tokenizers.load(Path(config.examples, "tokenizer"))
    sizes = models.EncoderConfig.of_size(
        config.size,
        vocabulary_size=tokenizer.size,
        max_sequence_length=manifest["max_seq_length"],
        dropout=0.0,
    )

    def batches(split: str, seed: int, count: int) -> list[dict]:
        make_rows = objectives.MaskedLM().make_rows
        dataset = examples.pipeline(
            config.examples, make_rows, split=split, batch_size=config.batch_size, seed=seed
        )
        return list(dataset.take(count).as_numpy_iterator())

    rates = [
        float(
            schedules.linear(
                tf.constant(at),
                peak=config.learning_rate,
                warmup_steps=config.warmup_steps,
                total_steps=config.num_steps,
            )
        )
        for at in range(config.num_steps)
    ]
    ours, theirs = curves(
        sizes,
        batches("train", config.seed, config.num_steps),
        batches("held_out", 0, config.evaluate_batches),
        rates,
        evaluate_every=config.evaluate_every,
        python=config.hugging_face,
        seed=config.seed,
    )
    found = [
        {
            "step": number * config.evaluate_every,
            "ours": a,
            "hugging_face": b,
            "relative": b / a - 1,
        }
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True))
    ]
    print(f"\n{'step':>6}{'roots':>10}{'hugging face':>14}{'difference':>12}")
    for row in found:
        print(
            f"{row['step']:>6}{row['ours']:>10.5f}{row['hugging_face']:>14.5f}"
            f"{100 * row['relative']:>11.4f}%"
        )
    worst = max(abs(row["relative"]) for row in found)
    print(f"largest relative difference {100 * worst:.4f} %")
    if config.output:
        files.write_json(config.output, found)
    return found


def curves(
    sizes: models.EncoderConfig,
    train: Sequence[dict[str, np.ndarray]],
    held_out: Sequence[dict[str, np.ndarray]],
    rates: Sequence[float],
    *,
    evaluate_every: int,
    python: str,
    seed: int = 0,
) -> tuple[list[float], list[float]]:
    """Held-out masked_lm_loss of both, before training and every so many updates.

    Args:
        sizes: of the encoder; the parts of BERT.
        train: a batch for each update; features as arrays.
        held_out: batches to evaluate on.
        rates: learning rate of each update.
        evaluate_every: updates between two evaluations.
        python: one with torch and transformers.
        seed: of the initial weights.

    Raises:
        InputError: Hugging Face's part failed.
    """
    model = models.Pretrainer(sizes, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        weights = {name: v.numpy() for name, v in models.named_weights(model).items()}
        np.savez(Path(folder, "weights.npz"), **weights)
        paths = {"train": [], "held_out": []}
        for split, batches in (("train", train), ("held_out", held_out)):
            for number, batch in enumerate(batches):
                paths[split].append(str(Path(folder, f"{split}-{number}.npz")))
                np.savez(paths[split][-1], **batch)
        spec = dataclasses.asdict(sizes) | paths
        spec |= {"rates": list(rates), "decay": WEIGHT_DECAY, "max_grad_norm": MAX_GRAD_NORM}
        spec |= {"epsilon": EPSILON, "evaluate_every": evaluate_every}
        Path(folder, "spec.json").write_text(json.dumps(spec))
        ours = our_curve(model, train, held_out, rates, evaluate_every)
        status = subprocess.run([python, "-c", HUGGING_FACE, folder], env=os.environ).returncode
        if status:
            raise files.InputError(
                "step-failed",
                f"Hugging Face's training in {python} ended with status {status}; see above",
            )
        theirs = json.loads(Path(folder, "theirs.json").read_text())
    return ours, theirs


def our_curve(model, train, held_out, rates, evaluate_every: int) -> list[float]:
    """Trains the model and gives its held-out masked_lm_loss, before and every so many updates."""
    task = MaskedLMTask(model)
    with strategies.make_strategy("one_device").scope():
        train_step = step.TrainStep(
            task,
            optimizers.AdamW(
                [v.value for v in model.trainable_variables], WEIGHT_DECAY, epsilon=EPSILON
            ),
            lambda at: tf.gather(tf.constant(rates, tf.float32), at),
            seed=0,
            max_grad_norm=MAX_GRAD_NORM,
        )
        call = tf.function(train_step)
        evaluate = loop.make_evaluate(task, held_out)
        losses = [evaluate()["masked_lm_loss"]]
        for at, batch in enumerate(train):
            tensors = {name: tf.constant(value) for name, value in batch.items()}
            call(tensors, tf.constant(at, tf.int64))
            if (at + 1) % evaluate_every == 0:
                losses.append(evaluate()["masked_lm_loss"])
                logging.info("roots: step %d %f", at + 1, losses[-1])
    return losses


if __name__ == "__main__":
    program.run(main, Config)
