"""Examples a second of `roots finetune`, start-up included, beside Hugging Face's `Trainer`.

    python -m benchmarks.finetune_speed --data=path/to/data --checkpoint=path/to/all-MiniLM-L6-v2 \
        --hugging_face=/path/to/python --work=runs/finetune_speed

Classes of SST-2, entities of WikiANN and answers of XQuAD, each from the checkpoint, a Hugging Face
folder, which is imported for ours first. Both do the same work in a process of their own: read the
training file, train on it as `benchmarks.finetune` says, in batches of similar length
(`train_sampling_strategy="group_by_length"` there), and answer the dev file. Products are in
float32. With `--compiled` the peer takes turns under `torch_compile` too.

Each process is on one processor, with one thread for products, and what counts is the time that
processor worked for it, user and system: so other programs may run at the same time. Contenders
take turns. Prints the median of examples over seconds, and the ratio of medians to ours. An epoch
of all takes some ten minutes of a processor for each side. `--num_epochs` of a fraction takes
less, and weighs the start more.
"""

import dataclasses
import importlib
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import finetune
from roots_tf import program
from roots_tf.storage import files

THREADS = {
    name: "1"
    for name in (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS"),
        *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    )
}
DATASETS = ("sst2", "wikiann", "xquad")
OURS = "roots"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    data: str = program.flag(help="folder of the data sets")
    checkpoint: str = program.flag(help="Hugging Face folder of a BERT encoder")
    hugging_face: str = program.flag("", help="Python with torch, transformers and accelerate")
    compiled: bool = program.flag(False, help="let the peer take turns under torch.compile too")
    only: tuple[str, ...] = program.flag(DATASETS, help="comma-separated data sets")
    num_epochs: float = program.flag(3.0, help="times over each training file", above=0)
    rounds: int = program.flag(3, help="turns of each contender", minimum=1)
    processor: int = program.flag(0, help="number of the processor that all take turns on")
    work: str = program.flag("runs/finetune_speed", help="folder of the runs")
    output: str = program.flag("", help="JSON file for the results; none if empty")


def main(config: Config) -> list[dict]:
    """Lets the contenders take turns on each data set, and prints a line for each."""
    if unknown := sorted(set(config.only) - set(DATASETS)):
        raise files.InputError(
            "no-such-choice", f"found --only={unknown[0]}; wanted some of {', '.join(DATASETS)}"
        )
    work = Path(config.work)
    imported = work / "imported"
    if not (imported / "model.json").exists():
        importer = importlib.import_module("pipelines.import")  # no name for an import statement
        importer.main(importer.Config(from_=config.checkpoint, output=str(imported)))
    rows = []
    for name in config.only:
        commands, examples = contenders(config, name, imported, work / name)
        seconds = {contender: [] for contender in commands}
        for turn in range(config.rounds):
            for contender, command in commands.items():
                out = work / name / f"{contender.replace(' ', '-')}-{turn}"
                seconds[contender].append(processor_seconds(command(out), config.processor))
        ours = statistics.median(seconds[OURS])
        for contender, turns in seconds.items():
            median = statistics.median(turns)
            rows.append({
                "data": name,
                "name": contender,
                "examples_per_second": examples / median,
                "of_ours": ours / median,
                "spread": (max(turns) - min(turns)) / median,
                "seconds": turns,
            })  # fmt: skip
    print(f"{'':<32}{'examples/s':>12}{'of ours':>9}{'spread':>8}")
    for row in rows:
        print(
            f"{row['data'] + ' ' + row['name']:<32}{row['examples_per_second']:>12.1f}"
            f"{row['of_ours']:>9.2f}{100 * row['spread']:>7.0f}%"
        )
    if config.output:
        files.write_json(config.output, rows)
    return rows


def contenders(config: Config, name: str, imported: Path, folder: Path):
    """Functions from the place for its output to the command of each contender; and the examples.

    Args:
        config: of the benchmark.
        name: of the data set.
        imported: model folder that ours starts from.
        folder: for files that the contenders read.
    """
    task, pattern, own = finetune.DATASETS[name]
    shared = finetune.SHARED | own | {"learning_rate": 1e-4, "num_epochs": config.num_epochs}
    paths = {split: Path(config.data, pattern.format(split)) for split in ("train", "dev")}
    if name == "xquad":
        paths = finetune.split_questions(Path(config.data, pattern.format("xquad.en")), folder)
    examples, names = finetune.examples_of(task, paths | {"test": paths["dev"]}, None)
    spec = shared | examples | {"task": task, "num_labels": max(len(names), 2)}
    spec |= {"init_from": str(Path(config.checkpoint).absolute())}
    spec |= {"overlap": finetune.STRIDE, "epsilon": finetune.EPSILON}
    flags = shared | {
        **{"task": task, "init_from": imported, "train": paths["train"], "dev": paths["dev"]},
        "stride": finetune.STRIDE if task == "question_answering" else 0,
        **{"seeds": 1, "precision": "float32", "checkpoint_every": 0},
    }
    ours = [sys.executable, "-m", "pipelines.finetune", *(f"--{k}={v}" for k, v in flags.items())]
    commands = {OURS: lambda output: [*ours, f"--output={output}"]}
    modes = [False, True] if config.compiled else [False]
    for compiled in modes if config.hugging_face else []:
        path = folder / f"spec-{int(compiled)}.json"
        files.write_json(path, spec | {"compile": compiled})
        # Not as a file: it would take benchmarks/tokenizers.py for that library.
        theirs = [config.hugging_face, "-c", finetune.SCRIPT.read_text("utf-8"), str(path), "0"]
        title = "hugging face" + " compiled" * compiled
        commands[title] = lambda output, theirs=theirs: [*theirs, f"{output}.json"]
    train = examples["train"]
    count = len(train.get("texts") or train.get("words") or train["questions"])
    return commands, config.num_epochs * count


def processor_seconds(command: list[str], processor: int) -> float:
    """Seconds that a processor worked for a command, in user and system time.

    Args:
        command: that must end with status 0.
        processor: that it runs on.

    Raises:
        InputError: it ended with another status.
    """
    process = subprocess.Popen(
        command,
        env=os.environ | THREADS,
        preexec_fn=lambda: os.sched_setaffinity(0, {processor}),
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise files.InputError(
            "step-failed",
            f"training in {command[0]} ended with status {process.returncode}; see above",
        )
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    program.run(main, Config)
