"""What a model is fine-tuned on and scored on: files as examples, rows, trivial answers."""

import dataclasses
import json
from pathlib import Path

from roots_tf import labelled, models, tasks
from roots_tf.labelled import delimited, tables
from roots_tf.storage import files
from roots_tf.storage.files import InputError
from roots_tf.tasks import soft_labels
from roots_tf.tasks.contrast_flags import ContrastFlags
from roots_tf.tasks.start import Start
from roots_tf.tasks.target_flags import TargetFlags


@dataclasses.dataclass(frozen=True)
class Data:
    """What every seed learns from and is scored on.

    Attributes:
        kind: of task, with what it learned from the training file.
        examples: by split, as `kind.read` gives them.
        rows: the same as rows of tokens.
        baselines: scores of a trivial answer, of every split but "train".
        conditions: of the same splits, what their scores depend on, such as a language.
        start: what the model starts from.
    """

    kind: "tasks.FineTuning"
    examples: dict
    rows: dict
    baselines: dict[str, dict]
    conditions: dict[str, dict]
    start: Start

    def with_demonstrations(self, num_shots: int, seed: int) -> "Data":
        """The same, scored behind labelled examples of the training file.

        Args:
            num_shots: how many.
            seed: of the draw.

        Raises:
            InputError: the file has too few of a label.
        """
        kind = self.kind.with_demonstrations(self.examples["train"], num_shots, seed)
        rows = {s: kind.rows(self.examples[s], self.start.tokenizer) for s in self.baselines}
        return dataclasses.replace(self, kind=kind, rows=rows)

    def scored(self, model, batch_size: int, seed: int) -> tuple[dict, dict]:
        """A model's predictions of every split but "train", and its scores as a report has them.

        Args:
            model: in float32.
            batch_size: rows computed at once.
            seed: of the run that made the model.
        """
        predictor, predictions, scores = tasks.Predictor(self.kind, model), {}, {"seed": seed}
        for split in self.baselines:
            examples, rows = self.examples[split], self.rows[split]
            outputs = predictor(rows, batch_size, self.start.pad_id)
            predictions[split] = self.kind.predictions(examples, rows, outputs)
            found = self.kind.scores(examples, predictions[split])
            scores[split] = found | self.conditions[split]
        score = self.kind.score
        scores["degenerate"] = scores["dev"][score] <= self.baselines["dev"][score]
        return predictions, scores

    def save(self, output: Path, model, predictions: dict[str, list[dict]]) -> None:
        """Writes the model folder and the predictions of a seed.

        Args:
            output: folder of the run.
            model: in float32.
            predictions: by split.
        """
        models.save(output / "model", model, **self.kind.description())
        self.start.tokenizer.save(output / "model")
        for split, rows in predictions.items():
            if golds := self.kind.golds(self.examples[split]):
                rows = [row | {"gold": gold} for row, gold in zip(rows, golds, strict=True)]
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            files.write_text(output / f"{split}_predictions.jsonl", "".join(lines))


def learns(config) -> bool:
    """Whether the run of a `config` of `finetune` trains anything."""
    return bool(config.train) and not config.objective.num_shots


def check_learns(config) -> None:
    """Refuses flags of training, or examples for a prompt, where there is no file for them.

    Args:
        config: of `finetune`.

    Raises:
        InputError: there is none.
    """
    shots = config.objective.num_shots
    if shots and not config.train:
        raise InputError(
            "missing-flag",
            f"found --num_shots={shots} and no --train; wanted one, from which they are drawn",
        )
    if config.tune.keeps and not learns(config):
        found = f"--num_shots={shots}" if shots else "no --train"
        raise InputError(
            "flags-conflict",
            f"found --tune={config.tune.name} and {found}; wanted a file to learn from, or none "
            "of the two",
        )


def read(config, start: Start) -> Data:
    """Reads the files; the kind of task learns its labels from the training file.

    Without one it learns them from the dev file, from which then come trivial answers too.

    Args:
        config: of `finetune`.
        start: what the model starts from.

    Raises:
        InputError: something is wrong with a file, or a flag does not go with the task.
    """
    flags, tokenizer = config.objective, start.tokenizer
    cls = tasks.class_of(flags.task, start.kind)
    kind = cls(max_seq_length=flags.max_seq_length, stride=flags.stride)
    if kind.decodes or config.targets != TargetFlags():
        kind = kind.with_targets(config.targets, config.optimization.batch_size)
    if config.contrast != ContrastFlags():
        kind = kind.with_contrast(config.contrast)
    kind = kind.of_model(start.described)
    kind = kind.with_characters() if flags.word_unit == "characters" else kind
    kind = kind.with_template(flags.template) if flags.template else kind
    kind = kind.with_verbalizer(flags.verbalizer) if flags.verbalizer else kind
    kind = kind.with_soft_labels() if flags.soft_labels else kind
    paths = {name: getattr(config, name) for name in ("train", "dev", "test")}
    examples = {split: _examples(kind, split, path, flags) for split, path in paths.items() if path}
    learned_from = examples.get("train", examples["dev"])
    kind = kind.learn(learned_from).scored_on(examples["dev"]).of_tokenizer(tokenizer)
    kind.check_model(start.encoder)
    if config.debug:
        examples = {
            split: labelled.sample(part, 256, kind.labels_of(part))
            for split, part in examples.items()
        }
    learned_from = examples.get("train", examples["dev"])
    if flags.balance:
        kind = kind.with_balance(learned_from)
    if flags.metric_language != "auto":
        kind = kind.with_metric_language(flags.metric_language)
    rows = {}
    if not flags.num_shots:  # else they stand behind demonstrations, of another draw each seed
        rows = {split: kind.rows(part, tokenizer) for split, part in examples.items()}
    scored = [split for split in ("dev", "test") if split in examples]
    baselines = {split: kind.baseline(learned_from, examples[split]) for split in scored}
    conditions = {split: kind.conditions(examples[split]) for split in scored}
    return Data(kind, examples, rows, baselines, conditions, start)


def _examples(kind, split: str, path: str, flags):
    """The examples of a file; `--soft_labels` is about the training file alone."""
    if not flags.soft_labels:
        return labelled.read_examples(kind, path, flags)
    columns = tables.column_names(flags.columns)
    if split == "train":
        return soft_labels.read(path, columns, flags.encoding)
    if not isinstance(columns, delimited.ColumnOrder):
        columns = {name: own for name, own in columns.items() if name != soft_labels.COLUMN}
    return kind.read(path, columns, True, flags.encoding)
