"""Test scores of `roots finetune` beside Hugging Face's `Trainer`, on the same files.

    python -m benchmarks.finetune --data=path/to/data --init_from=path/to/all-MiniLM-L6-v2 \
        --hugging_face=/path/to/python --work=runs/finetune --output=runs/finetune/scores.json

Both start from one checkpoint, a Hugging Face folder that is imported for ours, and read the same
examples with the same hyper-parameters: learning rate with warm-up and linear decay, epochs, batch
size, texts of similar length in a batch, AdamW without decay of vectors, clipping, dropout, length,
and seeds, each with their own draws. Scores of both come from `roots_tf.metrics` and are medians
over the seeds; no run is picked by a dev score. XQuAD, which has only a test file, is cut by
article, so that no context stands on both sides. With `--against=random_init` the other side is
`roots finetune --random_init`, at a learning rate of its own: what pretraining is worth, of a model
folder too.

The data folder holds sst2/*.tsv, bbc_news/*.jsonl, wikiann_en/*.conll, xquad/xquad.en.json. A model
of six layers and hidden size 384 takes some four hours on two processors. Every seed that was
finished is kept in `--work`; run the same command again to go on. `--debug` takes minutes, and its
scores say nothing.
"""

import dataclasses
import importlib
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import program
from roots_tf.labelled import conll, squad, tables, text_files
from roots_tf.metrics import classification, question_answering, tagging
from roots_tf.storage import files

SCRIPT = Path(__file__).with_name("finetune_hugging_face.py")
TRAIN_QUESTIONS = 1_000  # of XQuAD's 1,190, at most
EPSILON = 1e-6  # of AdamW in `roots finetune`

# Splits by file, task, and what is not the same for all; the questions are few.
DATASETS = {
    "sst2": ("classification", "sst2/{}.tsv", {"max_seq_length": 64}),
    "bbc": ("classification", "bbc_news/{}.jsonl", {"max_seq_length": 128, "batch_size": 16}),
    # No test sentence is longer: ours reads windows of those, the peer would cut them off.
    "wikiann": ("tagging", "wikiann_en/{}.conll", {"max_seq_length": 512}),
    "xquad": (
        "question_answering",
        "xquad/{}.json",
        {"max_seq_length": 384, "batch_size": 16, "num_epochs": 5.0},
    ),
}
SHARED = {
    "batch_size": 32,
    "num_epochs": 3.0,
    "warmup_share": 0.1,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "dropout": 0.1,
}
STRIDE = 128  # between windows of a context (Devlin et al.'s doc_stride); few are longer than one
SCORES = {
    "classification": ("accuracy",),
    "tagging": ("f1",),
    "question_answering": ("exact_match", "f1"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    data: str = program.flag(help="folder of the data sets")
    init_from: str = program.flag(
        help="pretrained BERT to start from: a Hugging Face folder, or a model folder of ours"
    )
    against: Literal["hugging_face", "random_init"] = program.flag(
        "hugging_face", help="who is the other side"
    )
    hugging_face: str = program.flag(
        sys.executable, help="Python with torch, transformers and accelerate"
    )
    only: tuple[str, ...] = program.flag(tuple(DATASETS), help="comma-separated data sets")
    learning_rate: float = program.flag(
        # Of all-MiniLM-L6-v2, .867 is right on SST-2's dev file at 5e-5, .875 here, .874 at 2e-4.
        1e-4,
        help="highest learning rate",
    )
    random_init_learning_rate: float = program.flag(
        0.0, help="that of --against=random_init, which needs another one; 0: the same"
    )
    seeds: int = program.flag(3, help="runs of each, of seeds 0, 1, ...")
    work: str = program.flag("runs/finetune", help="folder of the runs")
    output: str = program.flag("", help="JSON file for the results; none if empty")
    debug: bool = program.flag(False, help="256 examples, one epoch, one seed")


def main(config: Config) -> list[dict]:
    """Fine-tunes both on every data set, prints the table and returns its rows."""
    if unknown := sorted(set(config.only) - set(DATASETS)):
        raise files.InputError(
            "no-such-choice", f"found --only={unknown[0]}; wanted some of {', '.join(DATASETS)}"
        )
    if config.random_init_learning_rate and config.against != "random_init":
        raise files.InputError(
            "flags-conflict",
            "found --random_init_learning_rate; wanted --against=random_init beside it",
        )
    work = Path(config.work)
    imported = work / "imported"
    if Path(config.init_from, "model.json").exists():
        imported = Path(config.init_from)
        if config.against == "hugging_face":
            raise files.InputError(
                "wrong-model-kind",
                f"found a model folder of ours, {config.init_from}; wanted a Hugging Face folder, "
                "which Trainer can read, or --against=random_init",
            )
    elif not (imported / "model.json").exists():
        importer = importlib.import_module("pipelines.import")  # no name for an import statement
        importer.main(importer.Config(from_=config.init_from, output=str(imported)))
    rows = []
    for name in config.only:
        task, pattern, own = DATASETS[name]
        settings = SHARED | own | {"learning_rate": config.learning_rate}
        if config.debug:
            settings["num_epochs"] = 1.0
        paths = {
            split: Path(config.data, pattern.format(split)) for split in ("train", "dev", "test")
        }
        if name == "xquad":
            paths = split_questions(Path(config.data, pattern.format("xquad.en")), work / name)
        ours = ours_on(config, imported, task, paths, settings, work / name / "ours")
        if config.against == "random_init":
            settings["random_init"] = True
            settings["learning_rate"] = config.random_init_learning_rate or config.learning_rate
            theirs = ours_on(config, imported, task, paths, settings, work / name / "random_init")
        else:
            theirs = theirs_on(config, task, paths, settings, work / name)
        for score in SCORES[task]:
            row = {"data": name, "score": score, "ours": ours[score], config.against: theirs[score]}
            logging.info("%s", line(row))
            rows.append(row)
        if config.output:
            files.write_json(config.output, rows)
    against = config.against.replace("_", " ")
    print(f"\n{'test score':<24}{'roots':>8}{'':16}{against:>16}{'':16}{'difference':>12}")
    for row in rows:
        print(line(row))
    return rows


def line(row: dict) -> str:
    """A row of the table: medians and, in brackets, the lowest and the highest."""
    cells, medians = [], []
    _, _, ours, theirs = row.values()
    for scores, width in ((ours, 8), (theirs, 16)):
        medians.append(statistics.median(scores))
        cells.append(f"{medians[-1]:>{width}.3f} ({min(scores):.3f} to {max(scores):.3f})")
    name, difference = f"{row['data']} {row['score']}", medians[0] - medians[1]
    return f"{name:<24}{cells[0]}{cells[1]}{difference:>+12.3f}"


def split_questions(path: Path, folder: Path) -> dict[str, Path]:
    """Cuts a SQuAD file by article: the first ones up to `TRAIN_QUESTIONS` train, the rest test."""
    content = text_files.parse_json(text_files.read_text(path), str(path))
    parts, count = {"train": [], "test": []}, 0
    for article in content["data"]:
        count += sum(len(paragraph["qas"]) for paragraph in article["paragraphs"])
        parts["train" if count <= TRAIN_QUESTIONS else "test"].append(article)
    paths = {split: folder / f"{split}.json" for split in parts}
    for split, articles in parts.items():
        files.write_json(paths[split], content | {"data": articles})
    # finetune wants a dev file, which here decides only what model is kept.
    return paths | {"dev": paths["test"]}


def ours_on(config: Config, imported, task: str, paths, settings, output: Path) -> dict:
    """Test scores of each seed of `roots finetune`, by name of the score."""
    flags = settings | {
        "task": task,
        "init_from": imported,
        "train": paths["train"],
        "dev": paths["dev"],
        "test": paths["test"],
        "output": output,
        "stride": STRIDE if task == "question_answering" else 0,
        "seeds": config.seeds,
        "debug": config.debug,
    }
    # A process of its own gives its memory back before the other side needs as much.
    run([sys.executable, "-m", "pipelines.finetune", *(f"--{k}={v}" for k, v in flags.items())])
    seeds = files.read_json(output / "report.json")["seeds"]
    return {name: [seed["test"][name] for seed in seeds] for name in SCORES[task]}


def theirs_on(config: Config, task: str, paths, settings, folder: Path) -> dict:
    """The same of Hugging Face, in its own Python."""
    examples, names = examples_of(task, paths, 256 if config.debug else None)
    spec = settings | examples | {"task": task, "init_from": str(Path(config.init_from).absolute())}
    spec |= {"num_labels": max(len(names), 2), "overlap": STRIDE, "epsilon": EPSILON}
    files.write_json(folder / "spec.json", spec)
    scores = []
    for seed in range(1 if config.debug else config.seeds):
        found = folder / f"hugging_face-{files.fingerprint(spec)}-{seed}.json"
        if not found.exists():
            with files.atomic_path(found) as temporary:
                # Not as a file: it would take benchmarks/tokenizers.py for that library.
                command = [config.hugging_face, "-c", SCRIPT.read_text("utf-8")]
                command += [folder / "spec.json", str(seed), temporary]
                run(command)
            logging.info("hugging face: seed %d done", seed)
        scores.append(score(task, spec["test"], names, files.read_json(found)))
    return {name: [of_seed[name] for of_seed in scores] for name in SCORES[task]}


def run(command: list) -> None:
    """Runs one side to its end."""
    if status := subprocess.run(command).returncode:
        raise files.InputError(
            "step-failed", f"training in {command[0]} ended with status {status}; see above"
        )


def examples_of(task: str, paths, count: int | None) -> tuple[dict, list[str]]:
    """The first `count` examples of train and test as JSON values, and the names of labels."""
    splits = {}
    for split in ("train", "test"):
        if task == "classification":
            table = tables.read(paths[split], ("text", "label"))
            texts, labels = (tables.strings(table, name)[:count] for name in ("text", "label"))
            splits[split] = {"texts": texts, "labels": labels}
        elif task == "tagging":
            sentences = conll.read(paths[split])[:count]
            splits[split] = {
                "words": [sentence.words for sentence in sentences],
                "tags": [sentence.tags for sentence in sentences],
            }
        else:
            questions = squad.read(paths[split])[:count]
            splits[split] = {
                "ids": [each.id for each in questions],
                "questions": [each.question for each in questions],
                "contexts": [each.context for each in questions],
                "answers": [each.answers[0].text for each in questions],
                "starts": [each.answers[0].start for each in questions],
                "gold": [[answer.text for answer in each.answers] for each in questions],
            }
    if task == "classification":
        names = sorted(set(splits["train"]["labels"]))
        for found in splits.values():
            found["labels"] = [names.index(label) for label in found["labels"]]
    elif task == "tagging":
        names = sorted({tag for tags in splits["train"]["tags"] for tag in tags} - {"O"})
        names = ["O", *names]
        for found in splits.values():
            found["tags"] = [[names.index(tag) for tag in tags] for tags in found["tags"]]
    else:
        names = []
    return splits, names


def score(task: str, examples: dict, names: list[str], predictions) -> dict[str, float]:
    """Scores of one seed's predictions of the test file."""
    if task == "classification":
        return classification.scores(examples["labels"], predictions, len(names))
    if task == "tagging":
        gold, found = (
            [[names[tag] for tag in tags] for tags in side]
            for side in (examples["tags"], predictions)
        )
        return tagging.scores(gold, found)
    gold = dict(zip(examples["ids"], examples["gold"], strict=True))
    return question_answering.scores(predictions, gold)


if __name__ == "__main__":
    program.run(main, Config)
