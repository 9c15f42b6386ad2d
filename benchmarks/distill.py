"""Size, speed and test score of distilled students, beside their teacher and beside no teacher.

    python -m benchmarks.distill --data=path/to/data --init_from=path/to/all-MiniLM-L6-v2 \
        --work=runs/distill --output=runs/distill/students.json

On SST-2. The teacher is the encoder of `--init_from`, a Hugging Face folder of a BERT, fine-tuned;
of six layers and hidden size 384 it is all-MiniLM-L6-v2. Its students:

    half the layers       starts with every second block
    half the width        starts with random weights

Each is trained twice: by `roots distill` from the teacher, and by `roots finetune` on the labels
alone, for as many epochs. Without a teacher the one of half the layers starts with every second
block of the encoder as it was before fine-tuning. Students see the labels in both cases, the
distilled ones through `--hard_weight`. The teacher and its students are also written for LiteRT,
with weights in float16 or int8, and run there a sentence at a time.

Prints megabytes of weights, sentences a second from text to probabilities (test sentences, those
of similar length together; the models take turns, median over `--rounds`), and accuracy on the
test file, of seed 0. A model takes some ten minutes on two processors. What was finished is kept
in `--work`; run the same command again to go on. `--debug` takes minutes, and its scores say
nothing.
"""

import dataclasses
import importlib
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines import distill, evaluate, finetune
from roots_tf import models, program, tasks, tokenizers
from roots_tf.export import litert
from roots_tf.labelled import token_rows
from roots_tf.storage import files
from roots_tf.tasks import distillation

SHARED = {"max_seq_length": 64, "batch_size": 32}
FINETUNE = SHARED | {"learning_rate": 5e-5, "num_epochs": 3.0}  # as in benchmarks/finetune.py
# From random weights a model learns at a higher rate and for longer.
STUDENTS = {
    "half the layers": {"learning_rate": 1e-4, "num_epochs": 6.0},
    "half the width": {"learning_rate": 5e-4, "num_epochs": 6.0},
}
LITERT = (
    ("teacher", "float16"),
    ("teacher", "int8"),
    ("half the layers, distilled", "int8"),
    ("half the width, distilled", "int8"),
)
PARTS = {"soft_weight": 1.0, "hard_weight": 0.5, "hidden_weight": 1.0}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    data: str = program.flag(help="folder with sst2/train.tsv, dev.tsv and test.tsv")
    init_from: str = program.flag(help="Hugging Face folder of a pretrained BERT")
    rounds: int = program.flag(5, help="turns of each model, for the speed")
    work: str = program.flag("runs/distill", help="folder of the runs")
    output: str = program.flag("", help="JSON file for the results; none if empty")
    debug: bool = program.flag(False, help="256 examples, one epoch, one turn")


def main(config: Config) -> list[dict]:
    """Trains what is not trained yet, prints the table and returns its rows."""
    work, data = Path(config.work), Path(config.data, "sst2")
    imported = work / "imported"
    if not (imported / "model.json").exists():
        importer = importlib.import_module("pipelines.import")  # no name for an import statement
        importer.main(importer.Config(from_=config.init_from, output=str(imported)))
    trained = {"teacher": finetuned(config, data, imported, work / "teacher", FINETUNE)}
    encoder = models.describe(imported)["encoder"]
    sizes = {
        "half the layers": {"num_layers": encoder.num_layers // 2},
        "half the width": {"hidden_dim": encoder.hidden_dim // 2},
    }
    for name, settings in STUDENTS.items():
        folder = work / name.replace(" ", "_")
        learning = SHARED | settings
        distill.main(
            program.make(
                distill.Config,
                teacher=str(trained["teacher"]),
                input=str(data / "train.tsv"),
                dev=str(data / "dev.tsv"),
                output=str(folder / "distilled"),
                debug=config.debug,
                **sizes[name],
                **PARTS,
                **learning,
            )
        )
        trained[f"{name}, distilled"] = folder / "distilled" / "model"
        start = start_of(imported, sizes[name], folder / "start")
        trained[f"{name}, no teacher"] = finetuned(
            config, data, start, folder / "no_teacher", learning
        )
    table = [
        {"model": name, "megabytes": (path / "model.safetensors").stat().st_size / 1e6}
        | {"accuracy": accuracy(config, path, data / "test.tsv")}
        for name, path in trained.items()
    ]
    sentences, labels = read_test(config, data / "test.tsv")
    runs = {name: make_run(path, sentences) for name, path in trained.items()}
    for name, quantize in LITERT:
        folder = trained[name].parent / f"litert_{quantize}"
        if not folder.exists():
            litert.write(folder, trained[name], quantize)
        row = {"model": f"{name}, LiteRT {quantize}"}
        run = runs[row["model"]] = make_litert_run(folder, trained[name], sentences)
        right = np.mean([found == label for found, label in zip(run(), labels, strict=True)])
        size = (folder / "model.tflite").stat().st_size / 1e6
        table.append(row | {"megabytes": size, "accuracy": float(right)})
    rates = speeds(config, runs, len(sentences))
    print(f"\n{'':<44}{'MB':>8}{'sentences/s':>14}{'test accuracy':>16}")
    for row in table:
        row["sentences_per_second"] = rates[row["model"]]
        print(
            f"{row['model']:<44}{row['megabytes']:>8.1f}{row['sentences_per_second']:>14.0f}"
            f"{row['accuracy']:>16.3f}"
        )
    if config.output:
        files.write_json(config.output, table)
    return table


def finetuned(config: Config, data: Path, start: Path, output: Path, settings: dict) -> Path:
    """Model folder of `roots finetune`."""
    finetune.main(
        program.make(
            finetune.Config,
            init_from=str(start),
            train=str(data / "train.tsv"),
            dev=str(data / "dev.tsv"),
            output=str(output),
            seeds=1,
            debug=config.debug,
            **settings,
        )
    )
    return output / "model"


def start_of(imported: Path, sizes: dict[str, int], folder: Path) -> Path:
    """Model folder of a student that has not learned yet and never had a teacher."""
    if not (folder / "model.json").exists():
        encoder = models.load(imported)
        task = distillation.Texts()
        wide = encoder.config.intermediate_dim
        if "hidden_dim" in sizes:
            wide = wide * sizes["hidden_dim"] // encoder.config.hidden_dim
        config = dataclasses.replace(encoder.config, intermediate_dim=wide, **sizes)
        model = task.make_model(config)
        if distillation.is_cut(config, encoder.config):
            distillation.copy_weights(encoder, model)
        tokenizers.load(imported).save(folder)
        models.save(folder, model)
    return folder


def accuracy(config: Config, model: Path, test: Path) -> float:
    """Of a model on the test file."""
    output = model.parent / "test_scores.json"
    scores = evaluate.main(
        evaluate.Config(model=str(model), input=str(test), output=str(output), debug=config.debug)
    )
    return scores["accuracy"]


def read_test(config: Config, test: Path) -> tuple[list[str], list[str]]:
    """Sentences and labels of the test file."""
    lines = [line.split("\t") for line in test.read_text("utf-8").split("\n") if line]
    sentences, labels = zip(*(lines[:256] if config.debug else lines), strict=True)
    return [*sentences], [*labels]


def speeds(config: Config, runs: dict[str, Callable], count: int) -> dict[str, float]:
    """Sentences a second of each model, the median over turns that they take one after another."""
    found = {name: [] for name in runs}
    for turn in range(1 + (1 if config.debug else config.rounds)):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if turn:  # the first one traces and allocates
                found[name].append(count / (time.perf_counter() - began))
    return {name: statistics.median(rates) for name, rates in found.items()}


def make_run(folder: Path, sentences: list[str]):
    """A function that takes the sentences from text to probabilities."""
    kind, model = tasks.restore(models.describe(folder)), models.load(folder)
    ids = tf.TensorSpec([None, None], tf.int32)
    features = {"token_ids": ids, "segment_ids": ids}
    features["padding_mask"] = tf.TensorSpec([None, None], tf.bool)
    outputs = tf.function(lambda batch: kind.outputs(model, batch), input_signature=[features])

    def run() -> None:
        tokenizer = tokenizers.load(folder)  # anew: it remembers words
        cut = kind.rows(kind.unlabelled({"text": sentences}), tokenizer, labelled=False)
        batcher = token_rows.RowBatcher(cut, tokenizer.pad_id)
        for examples in token_rows.batches_by_length(cut, 64):
            outputs(batcher(tf.constant(examples)))["probabilities"].numpy()

    return run


def make_litert_run(folder: Path, model: Path, sentences: list[str]):
    """A function that gives the label of each sentence, one after another."""
    kind = tasks.restore(models.describe(model))
    path = str(folder / "model.tflite")
    interpreter = tf.lite.Interpreter(path, num_threads=os.cpu_count())
    signature = interpreter.get_signature_runner(litert.SIGNATURE)

    def run() -> list[str]:
        tokenizer = tokenizers.load(folder)
        cut = kind.rows(kind.unlabelled({"text": sentences}), tokenizer, labelled=False)
        found = []
        for ids in np.split(cut.token_ids[None], cut.row_splits[1:-1], axis=1):
            ones = np.ones_like(ids)
            answer = signature(token_ids=ids, segment_ids=0 * ones, padding_mask=ones)
            found.append(kind.labels[answer["logits"].argmax()])
        return found

    return run


if __name__ == "__main__":
    program.run(main, Config)
