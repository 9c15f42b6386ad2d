"""Fine-tune a pretrained encoder to tell classes of text, over several seeds.

    roots finetune --init_from=work/pretrained/model \
        --train=train.tsv --dev=dev.tsv --output=work/task

Files hold a line an example: text TAB label, or JSON with "text" and "label". Prints a table of
accuracies (median over the seeds, each seed, and always answering the most frequent class) and
writes report.json and, of the seed that is best on the dev file, a model folder `model/`.
`--random_init` trains the same model from random weights: what pretraining is worth.
"""

import dataclasses
import statistics
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from roots_tf import files, models, program, tokenizers
from roots_tf.metrics import classification as scores
from roots_tf.tasks import classification
from roots_tf.training import loop, memory, optimizers, schedules, step, summaries


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `finetune`. The defaults are in the ranges of BERT's appendix A.3."""

    init_from: str = program.flag(help="model folder to start from, with its tokenizer")
    train: str = program.flag(help="labelled file: .tsv (text TAB label) or .jsonl (text, label)")
    dev: str = program.flag(help="labelled file that picks the best seed")
    output: str = program.flag(help="folder of the run")
    test: str = program.flag("", help="labelled file for a last score; none: dev scores only")
    random_init: bool = program.flag(False, help="start from random weights of the same sizes")
    max_seq_length: int = program.flag(128, help="tokens of a text, [CLS] and [SEP] among them")
    batch_size: int = program.flag(32, help="texts in a batch")
    num_epochs: float = program.flag(3.0, help="times over the training file")
    learning_rate: float = program.flag(5e-5, help="highest learning rate")
    warmup_share: float = program.flag(0.1, help="share of the updates with a rising rate")
    weight_decay: float = program.flag(0.01, help="decay of matrices, none of biases and norms")
    max_grad_norm: float = program.flag(1.0, help="clip gradients to this global norm; 0: do not")
    dropout: float = program.flag(-1.0, help="dropout rate; -1: that of the pretrained model")
    seeds: int = program.flag(3, help="runs, of seeds 0, 1, ...")
    debug: bool = program.flag(False, help="256 examples, one epoch, one seed")


def main(config: Config) -> dict:
    """Trains once a seed and returns the report."""
    if config.debug:
        config = dataclasses.replace(config, num_epochs=1.0, seeds=1)
    memory.keep_freed_memory()
    output = Path(config.output)
    described = models.describe(config.init_from)
    tokenizer = tokenizers.load(config.init_from)
    if report := files.claim(output, dataclasses.asdict(config)):
        logging.info("%s has finished; nothing to do", output)
        return report
    encoder = described["encoder"]
    length = min(config.max_seq_length, encoder.max_sequence_length)
    if config.dropout >= 0:
        encoder = dataclasses.replace(encoder, dropout=config.dropout)

    paths = {"train": config.train, "dev": config.dev}
    paths |= {"test": config.test} if config.test else {}
    examples = {split: classification.read(path) for split, path in paths.items()}
    if config.debug:
        examples = {
            split: classification.Labelled(texts[:256], labels[:256])
            for split, (texts, labels) in examples.items()
        }
    names = tuple(sorted(set(examples["train"].labels)))
    features = {
        split: classification.encode(found.texts, tokenizer, length)
        | {"label_ids": classification.label_ids(found, names, paths[split])}
        for split, found in examples.items()
    }
    labels = {split: of_split["label_ids"] for split, of_split in features.items()}

    runs, best = [], -1.0
    for seed in range(config.seeds):
        model = models.Classifier(encoder, len(names), seed=seed)
        if not config.random_init:
            pretrained = models.named_weights(model.encoder) | models.named_weights(model.pooler)
            models.load_weights(config.init_from, pretrained)
        _train(config, model, features["train"], seed, output / f"seed_{seed}")
        run = {"seed": seed}
        for split in features.keys() - {"train"}:
            batches = classification.batches_in_order(features[split], config.batch_size)
            predictions = classification.predict(model, batches).argmax(-1)
            run[f"{split}_accuracy"] = scores.accuracy(labels[split], predictions)
        logging.info("%s", "  ".join(f"{name} {value:.4g}" for name, value in run.items()))
        runs.append(run)
        if run["dev_accuracy"] > best:
            best = run["dev_accuracy"]
            models.save(output / "model", model, labels=names)
            tokenizer.save(output / "model")

    report = {"labels": list(names), "seeds": runs}
    for split in sorted(features.keys() - {"train"}):
        accuracies = [run[f"{split}_accuracy"] for run in runs]
        report[f"{split}_accuracy"] = statistics.median(accuracies)
        report[f"{split}_accuracy_range"] = [min(accuracies), max(accuracies)]
        report[f"{split}_majority"] = scores.majority_baseline(labels["train"], labels[split])
        print(
            f"{split}: accuracy {report[f'{split}_accuracy']:.3f} (median of {len(runs)}: "
            f"{min(accuracies):.3f} to {max(accuracies):.3f}), "
            f"most frequent class {report[f'{split}_majority']:.3f}, {len(names)} classes"
        )
    files.write_json(output / "report.json", report)
    return report


def _train(config: Config, model, features: dict[str, np.ndarray], seed: int, folder: Path) -> None:
    """One run of fine-tuning."""
    count = len(features["label_ids"])
    batch_size = min(config.batch_size, count)
    total = max(1, round(config.num_epochs * count / batch_size))
    task = classification.Classification(model)
    weights = [variable.value for variable in model.trainable_variables]
    train_step = step.make_train_step(
        task,
        optimizers.AdamW(weights, config.weight_decay),
        lambda at: schedules.linear(
            at,
            peak=config.learning_rate,
            warmup_steps=round(config.warmup_share * total),
            total_steps=total,
        ),
        seed=seed,
        max_grad_norm=config.max_grad_norm,
    )
    loop.train(
        train_step,
        lambda start: classification.train_batches(features, batch_size, seed, start),
        tf.Variable(0, dtype=tf.int64, trainable=False),
        total_steps=total,
        tokens_per_step=features["token_ids"].shape[1] * batch_size,
        summaries=summaries.Summaries(folder, 0),
    )


if __name__ == "__main__":
    program.run(main, Config)
