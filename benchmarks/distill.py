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
distilled ones through `--hard_weight`.

Prints megabytes of weights, sentences a second from text to probabilities (test sentences, those
of similar length together; the models take turns, median over `--rounds`), and accuracy on the
test file, of seed 0. A model takes some ten minutes on two processors. What was finished is kept
in `--work`; run the same command again to go on. `--debug` takes minutes, and its scores say
nothing.
"""

import dataclasses
import importlib
import statistics
import time
from pathlib import Path

import tensorflow as tf

from pipelines import distill, evaluate, finetune
from roots_tf import files, models, program, tasks, tokenizers
from roots_tf.tasks import distillation, rows

SHARED = {"max_seq_length": 64, "batch_size": 32}
FINETUNE = SHARED | {"learning_rate": 5e-5, "num_epochs": 3.0}  # as in benchmarks/finetune.py
# From random weights a model learns at a higher rate and for longer.
STUDENTS = {
    "half the layers": {"learning_rate": 1e-4, "num_epochs": 6.0},
    "half the width": {"learning_rate": 5e-4, "num_epochs": 6.0},
}
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
            distill.Config(
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
    rates = speeds(config, trained, data / "test.tsv")
    print(f"\n{'':<30}{'MB':>8}{'sentences/s':>14}{'test accuracy':>16}")
    for row in table:
        row["sentences_per_second"] = rates[row["model"]]
        print(
            f"{row['model']:<30}{row['megabytes']:>8.1f}{row['sentences_per_second']:>14.0f}"
            f"{row['accuracy']:>16.3f}"
        )
    if config.output:
        files.write_json(config.output, table)
    return table


def finetuned(config: Config, data: Path, start: Path, output: Path, settings: dict) -> Path:
    """Model folder of `roots finetune`."""
    finetune.main(
        finetune.Config(
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


def speeds(config: Config, trained: dict[str, Path], test: Path) -> dict[str, float]:
    """Sentences a second of each model, the median over turns that they take one after another."""
    sentences = [line.split("\t")[0] for line in test.read_text("utf-8").split("\n") if line]
    sentences = sentences[:256] if config.debug else sentences
    run = {name: make_run(path, sentences) for name, path in trained.items()}
    found = {name: [] for name in trained}
    for turn in range(1 + (1 if config.debug else config.rounds)):
        for name in trained:
            rate = run[name]()
            if turn:  # the first one traces and allocates
                found[name].append(rate)
    return {name: statistics.median(rates) for name, rates in found.items()}


def make_run(folder: Path, sentences: list[str]):
    """A function that gives the speed of a model over the sentences, from text to probabilities."""
    kind, model = tasks.restore(models.describe(folder)), models.load(folder)
    ids = tf.TensorSpec([None, None], tf.int32)
    features = {"token_ids": ids, "segment_ids": ids}
    features["padding_mask"] = tf.TensorSpec([None, None], tf.bool)
    outputs = tf.function(lambda batch: kind.outputs(model, batch), input_signature=[features])

    def run() -> float:
        tokenizer = tokenizers.load(folder)  # anew: it remembers words
        began = time.perf_counter()
        cut = kind.rows(kind.unlabelled({"text": sentences}), tokenizer, labelled=False)
        batcher = rows.Batcher(cut, kind.max_seq_length, tokenizer.pad_id, rows.PREDICT_MULTIPLE)
        for examples in rows.batches_by_length(cut, 64):
            outputs(batcher(tf.constant(examples)))["probabilities"].numpy()
        return len(sentences) / (time.perf_counter() - began)

    return run


if __name__ == "__main__":
    program.run(main, Config)
