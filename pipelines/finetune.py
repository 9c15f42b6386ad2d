"""Fine-tune a pretrained encoder on a task, over several seeds.

    roots finetune --task=classification --init_from=work/pretrained/model \
        --train=train.tsv --dev=dev.tsv --output=work/task

Tasks and what their files hold:

    classification      TSV, CSV, JSON lines, Parquet: text, label; pairs also have text_pair
    regression          the same with value instead of label
    similarity          text, text_pair, value: the cosine of two embeddings is trained
    multiple_choice     text, choices (or choice_0, choice_1, ...), label: index of the right one
    tagging             CoNLL: a word and its IOB2 tag a line, an empty line between sentences
    question_answering  SQuAD JSON, version 1.1 or 2

Takes minutes to hours; a run that was stopped goes on, run again, with the seed it was at. Prints a
table of scores (median over the seeds, lowest, highest, and what a trivial answer scores) and
writes report.json and, of the seed that is best on the dev file, a model folder `model/` and
`dev_predictions.jsonl`, with `--test` also `test_predictions.jsonl`. `--random_init` trains the
same model from random weights: what pretraining is worth.
"""

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Literal

import tensorflow as tf
from absl import logging

from roots_tf import files, models, program, tasks, tokenizers
from roots_tf.labelled import tables
from roots_tf.labelled.token_rows import RowBatcher, TokenRows, padded_lengths, train_batches
from roots_tf.metrics import plots
from roots_tf.training import loop, memory, optimizers, schedules, step, summaries


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `finetune`. The defaults are in the ranges of BERT's appendix A.3."""

    init_from: str = program.flag(help="model folder to start from, with its tokenizer")
    train: str = program.flag(help="labelled file to learn from")
    dev: str = program.flag(help="labelled file that picks the best epoch and the best seed")
    output: str = program.flag(help="folder of the run")
    task: Literal[tuple(tasks.KINDS)] = program.flag("classification", help="what is learned")
    test: str = program.flag("", help="labelled file for a last score; none: dev scores only")
    columns: tuple[str, ...] = program.flag(
        (), help="names of columns that differ: text=sentence,label=gold"
    )
    random_init: bool = program.flag(False, help="start from random weights of the same sizes")
    max_seq_length: int = program.flag(128, help="tokens of a row, [CLS] and [SEP] among them")
    stride: int = program.flag(
        0,
        help="tokens between the starts of two windows of a long text; 0: classes and numbers "
        "come from the start of a text alone, tags and answers from windows that overlap by half",
    )
    batch_size: int = program.flag(32, help="examples in a batch")
    num_epochs: float = program.flag(3.0, help="times over the training file")
    patience: int = program.flag(
        0, help="stop after so many epochs without a better dev score, and keep the best; 0: never"
    )
    learning_rate: float = program.flag(5e-5, help="highest learning rate")
    layer_decay: float = program.flag(
        1.0, help="learning rate of a block over that of the next one up (ELECTRA: 0.8 to 0.9)"
    )
    frozen_layers: int = program.flag(
        -1, help="0: embeddings stay as they are; n: so do the first n blocks; -1: all is trained"
    )
    warmup_share: float = program.flag(0.1, help="share of the updates with a rising rate")
    weight_decay: float = program.flag(0.01, help="decay of matrices, none of biases and norms")
    max_grad_norm: float = program.flag(1.0, help="clip gradients to this global norm; 0: do not")
    dropout: float = program.flag(-1.0, help="dropout rate; -1: that of the pretrained model")
    balance: bool = program.flag(False, help="weigh classes so that each counts alike")
    seeds: int = program.flag(3, help="runs, of seeds 0, 1, ...")
    debug: bool = program.flag(False, help="256 examples, one epoch, one seed")


@dataclasses.dataclass(frozen=True)
class Data:
    """What every seed learns from and is scored on.

    Attributes:
        kind: of task, with what it learned from the training file.
        examples: by split, as `kind.read` gives them.
        rows: the same as rows of tokens.
        baselines: scores of a trivial answer, of every split but "train".
        tokenizer: that of the pretrained model.
    """

    kind: tasks.FineTuning
    examples: dict
    rows: dict[str, TokenRows]
    baselines: dict[str, dict]
    tokenizer: tokenizers.Tokenizer

    def predict(self, model, split: str, batch_size: int) -> list[dict]:
        """Predictions of a split."""
        rows = self.rows[split]
        outputs = tasks.predict(self.kind, model, rows, batch_size, self.tokenizer.pad_id)
        return self.kind.predictions(self.examples[split], rows, outputs)

    def score(self, split: str, predictions: list[dict]) -> dict:
        """Scores of predictions."""
        return self.kind.scores(self.examples[split], predictions)


def main(config: Config) -> dict:
    """Trains once a seed and returns the report."""
    if config.debug:
        config = dataclasses.replace(config, num_epochs=1.0, seeds=1)
    memory.keep_freed_memory()
    output = Path(config.output)
    encoder = models.describe(config.init_from)["encoder"]
    tokenizer = tokenizers.load(config.init_from)
    if report := files.claim(output, dataclasses.asdict(config)):
        logging.info("%s has finished; nothing to do", output)
        return report
    if config.dropout >= 0:
        encoder = dataclasses.replace(encoder, dropout=config.dropout)
    data = read(config, min(config.max_seq_length, encoder.max_sequence_length), tokenizer)
    kind, runs = data.kind, []
    for seed in range(config.seeds):
        if (scores := output / f"seed_{seed}" / "scores.json").exists():  # before a run was stopped
            runs.append(files.read_json(scores))
            continue
        model = kind.make_model(encoder, seed)
        if not config.random_init and not models.load_encoder(config.init_from, model):
            logging.warning("%s has no pooler; it starts at random", config.init_from)
        written = summaries.Summaries(output / f"seed_{seed}", 0)
        train(config, data, model, seed, written)
        found = {split: data.predict(model, split, config.batch_size) for split in data.baselines}
        draw(kind, data.examples["dev"], found["dev"], written)
        run = {"seed": seed} | {split: data.score(split, rows) for split, rows in found.items()}
        score = run["dev"][kind.score]
        run["degenerate"] = score <= data.baselines["dev"][kind.score]
        logging.info("seed %d: dev %s %.4f", seed, kind.score, score)
        if score > max((before["dev"][kind.score] for before in runs), default=float("-inf")):
            save(output, data, model, found)
        files.write_json(scores, run)
        runs.append(run)
    report = {"task": kind.name, "labels": list(kind.labels), "seeds": runs}
    report |= summarise(runs, data.baselines)
    show(report, sorted(data.baselines))
    files.write_json(output / "report.json", report)
    return report


def read(config: Config, length: int, tokenizer: tokenizers.Tokenizer) -> Data:
    """Reads the files; the kind of task learns its labels from the training file.

    Raises:
        InputError: something is wrong with a file, or a flag does not go with the task.
    """
    columns = tables.column_names(config.columns)
    kind = tasks.KINDS[config.task](max_seq_length=length, stride=config.stride)
    paths = {"train": config.train, "dev": config.dev}
    paths |= {"test": config.test} if config.test else {}
    examples = {split: kind.read(path, columns) for split, path in paths.items()}
    if config.debug:
        examples = {split: tables.first(found, 256) for split, found in examples.items()}
    kind = kind.learn(examples["train"])
    if config.balance:
        kind = kind.with_balance(examples["train"])
    rows = {split: kind.rows(found, tokenizer) for split, found in examples.items()}
    scored = [split for split in ("dev", "test") if split in examples]
    baselines = {split: kind.baseline(examples["train"], examples[split]) for split in scored}
    return Data(kind, examples, rows, baselines, tokenizer)


def save(output: Path, data: Data, model, found: dict[str, list[dict]]) -> None:
    """Writes the model folder and the predictions of a seed."""
    kind = data.kind
    models.save(
        output / "model",
        model,
        labels=kind.labels,
        task=tasks.describe(kind),
    )
    data.tokenizer.save(output / "model")
    for split, rows in found.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        files.write_text(output / f"{split}_predictions.jsonl", "".join(lines))


class _NoBetterError(Exception):
    """The dev score has not grown for as many epochs as patience lasts."""


def train(config: Config, data: Data, model, seed: int, written: summaries.Summaries) -> None:
    """One run of fine-tuning; with patience it leaves the weights of the best epoch."""
    kind, rows = data.kind, data.rows["train"]
    count = len(rows) // rows.group
    batch_size = min(config.batch_size, count)
    total = max(1, round(config.num_epochs * count / batch_size))
    multipliers = rate_multipliers(model, config.layer_decay, config.frozen_layers)
    weights = [variable.value for variable in model.trainable_variables]
    train_step = step.make_train_step(
        tasks.KindTask(kind, model),
        optimizers.AdamW(weights, config.weight_decay, multipliers=multipliers),
        lambda at: schedules.linear(
            at,
            peak=config.learning_rate,
            warmup_steps=round(config.warmup_share * total),
            total_steps=total,
        ),
        seed=seed,
        max_grad_norm=config.max_grad_norm,
    )
    scores, kept = [], []

    def evaluate_epoch() -> dict[str, float]:
        found = data.score("dev", data.predict(model, "dev", config.batch_size))
        scores.append(found[kind.score])
        if scores[-1] > max(scores[:-1], default=float("-inf")):
            kept[:] = [variable.numpy() for variable in weights]
        elif len(scores) - 1 - scores.index(max(scores)) >= config.patience:
            raise _NoBetterError
        return {name: value for name, value in found.items() if isinstance(value, float)}

    batcher = RowBatcher(rows, data.tokenizer.pad_id, padded_lengths(kind.max_seq_length))
    try:
        loop.train(
            train_step,
            lambda start: train_batches(rows, batcher, batch_size, seed, start),
            tf.Variable(0, dtype=tf.int64, trainable=False),
            total_steps=total,
            tokens_per_step=round(rows.lengths.mean() * rows.group * batch_size),
            evaluate_every=round(count / batch_size),
            evaluate_now=evaluate_epoch if config.patience else None,
            summaries=written,
        )
    except _NoBetterError:
        logging.info("no better %s for %d epochs: stopped", kind.score, config.patience)
    for variable, value in zip(weights, kept, strict=False):
        variable.assign(value)


def draw(kind, examples, predictions: list[dict], written: summaries.Summaries) -> None:
    """Confusion matrix and curves of precision and recall for TensorBoard, where there are some."""
    if (charts := kind.charts(examples, predictions)) is None:
        return
    table = plots.confusion_markdown(charts.confusion, kind.labels)
    written.write_image("dev", 0, "confusion", plots.confusion_image(charts.confusion))
    written.write_texts("dev", 0, {"confusion": table})
    written.write_pr_curves("dev", 0, charts.curves)


def rate_multipliers(model, decay: float, frozen: int) -> list[float]:
    """Freezes what is not to be trained; multiplier of the learning rate of what is.

    The head has 1, the last block `decay`, the one below it `decay` squared, and so on down to the
    embeddings (Clark et al. 2020, ELECTRA, arXiv:2003.10555, appendix B).

    Returns:
        One a trainable variable, in the order of `model.trainable_variables`.

    Raises:
        InputError: there are fewer blocks than are to be frozen.
    """
    layers = model.config.num_layers
    if frozen > layers:
        raise files.InputError(
            f"found frozen_layers={frozen}; wanted at most {layers}, the blocks of the model"
        )

    def depth(variable) -> int:
        """0 for embeddings, 1 for the first block, blocks + 1 above them."""
        parts = variable.path.split("/")
        if parts[:2] == ["encoder", "embeddings"]:
            return 0
        if parts[0] == "encoder" and parts[1].startswith("layer_"):
            return int(parts[1].removeprefix("layer_")) + 1
        return layers + 1

    for variable in model.variables:
        variable.trainable = depth(variable) > frozen
    return [decay ** (layers + 1 - depth(v)) for v in model.trainable_variables]


def summarise(runs: list[dict], baselines: dict[str, dict]) -> dict:
    """Median, range and baseline of every score: `test_f1`, `test_f1_range`, `test_baseline_f1`."""
    found = {}
    for split, baseline in sorted(baselines.items()):
        for name, value in baseline.items():
            if isinstance(value, dict):
                continue
            values = [run[split][name] for run in runs]
            found[f"{split}_{name}"] = statistics.median(values)
            found[f"{split}_{name}_range"] = [min(values), max(values)]
            found[f"{split}_baseline_{name}"] = value
    return found


def show(report: dict, splits: list[str]) -> None:
    """Prints the table of scores, and names seeds that learned nothing."""
    print(f"{'':<28} {'median':>8} {'lowest':>8} {'highest':>8} {'trivial':>8}")
    for split in splits:
        for name in (key for key in report["seeds"][0][split] if f"{split}_{key}" in report):
            lowest, highest = report[f"{split}_{name}_range"]
            values = (report[f"{split}_{name}"], lowest, highest)
            numbers = " ".join(
                f"{value:>8.3f}" for value in (*values, report[f"{split}_baseline_{name}"])
            )
            print(f"{split + ' ' + name:<28} {numbers}")
    if failed := [run["seed"] for run in report["seeds"] if run["degenerate"]]:
        print(f"no better on dev than a trivial answer: seeds {failed}")


if __name__ == "__main__":
    program.run(main, Config)
