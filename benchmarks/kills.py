"""Kill tiny trainings again and again, and compare what they end with: no byte may differ.

    python -m benchmarks.kills --kills=30

Takes ten minutes on two processors. Pretraining and fine-tuning, in float32 and in what `auto` is
here; half of the kills come while a checkpoint is written. Prints a line a kill with what it left.
A process is forked from this one, which has imported TensorFlow and computed nothing with it.
"""

import dataclasses
import functools
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipelines import build_examples, curate, finetune, pretrain, train_tokenizer
from roots_tf import program
from roots_tf.corpus import docstrings
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.summaries import TIMED

FORK = multiprocessing.get_context("fork")
CADENCE = {"checkpoint_every": 4, "log_every": 6, "steps_per_call": 2}
SIZES = {"size": "custom", "num_layers": 1, "hidden_dim": 32, "num_heads": 2}
WORDS = {"good": "great warm bright kind fine", "bad": "dull cold dark cruel poor"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the script."""

    kills: int = program.flag(30, help="how many, over four runs", minimum=4)
    seed: int = program.flag(0, help="of when they come")


def prepare(folder: Path) -> None:
    """Writes examples and labelled files."""
    sources = [f for f in docstrings.installed_files() if f.source == docstrings.STANDARD_LIBRARY]
    docstrings.write_docstrings(str(folder / "texts"), sources=sources[:150])
    names = ("texts", "documents", "tokenizer", "examples")
    texts, documents, tokenizer, examples = (str(folder / name) for name in names)
    curate.main(curate.Config(input=(texts,), output=documents, num_workers=1))
    train_tokenizer.main(
        train_tokenizer.Config(input=(documents,), output=tokenizer, vocab_size=500)
    )
    build_examples.main(
        build_examples.Config(
            input=(documents,),
            tokenizer=tokenizer,
            output=examples,
            max_seq_length=32,
            held_out=0.05,
            num_workers=1,
        )
    )
    draw = random.Random(0)
    for name, count in (("train", 200), ("dev", 40)):
        rows = ["text\tlabel"]
        for _ in range(count):
            label = draw.choice(sorted(WORDS))
            rows.append(" ".join(draw.choices(WORDS[label].split(), k=5)) + f"\t{label}")
        (folder / f"{name}.tsv").write_text("\n".join(rows) + "\n")


def pretraining(folder: Path, output: Path, precision: str):
    """Pretrains a tiny model for 60 steps."""
    flags = {"examples": str(folder / "examples"), "output": str(output), "duration": "60"}
    flags |= {"batch_size": 8, "evaluate_every": 12, "evaluate_batches": 1, "dropout": 0.1}
    flags |= {
        "sentence_objective": "none",
        "peak_flops": 1e11,
        "intermediate_dim": 64,
        "precision": precision,
    }
    return pretrain.main(program.make(pretrain.Config, **flags | SIZES | CADENCE))


def fine_tuning(folder: Path, output: Path, precision: str):
    """Fine-tunes it for 30 steps, two seeds."""
    flags = {name: str(folder / f"{name}.tsv") for name in ("train", "dev")}
    flags |= {"init_from": str(folder / "pretrained" / "model"), "output": str(output)}
    flags |= {"batch_size": 20, "num_epochs": 3.0, "seeds": 2, "evaluate_every": 10}
    flags |= {"max_seq_length": 16, "precision": precision, "patience": 9, "dropout": 0.1}
    return finetune.main(program.make(finetune.Config, **flags | CADENCE))


def start(work: Callable, log: Path, killed_at: tuple[int, int] | None = None):
    """A process that does the work.

    Args:
        work: a function without arguments.
        log: where the process prints.
        killed_at: checkpoint, counted from 1, and operation on files in it, likewise, before which
            the process kills itself; None: never.
    """

    def run():
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        if killed_at:
            kill_itself(*killed_at)
        work()

    process = FORK.Process(target=run)
    process.start()
    return process


def kill_itself(checkpoint: int, at: int) -> None:
    """Makes this process kill itself before an operation on files.

    Args:
        checkpoint: that it writes then, counted from 1.
        at: number of the operation, likewise; later ones of the same checkpoint count too.
    """
    from roots_tf.training.checkpoints import Checkpoints

    save, saves, done = Checkpoints.save, 0, 0

    def counted(operation):
        def call(*arguments, **options):
            nonlocal done
            done += 1
            if done >= at:
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(*arguments, **options)

        return call

    def counting(*arguments, **options):
        nonlocal saves
        saves += 1
        if saves == checkpoint:
            for name in ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir"):
                setattr(os, name, counted(getattr(os, name)))
        return save(*arguments, **options)

    Checkpoints.save = counting


def kill(work: Callable, output: Path, how: str, draw: random.Random) -> str:
    """Starts the work, kills it, and says what that left.

    Args:
        work: a function without arguments.
        output: folder of the run.
        how: "operation" of Python's in a checkpoint; "writing": while a checkpoint is written, seen
            from outside, and so inside TensorFlow; "any" time after a checkpoint.
        draw: when exactly.
    """
    log = output.with_suffix(".log")
    if how == "operation":
        process = start(work, log, (2, draw.randint(1, 30)))
        process.join()
        return state(output)
    before, process = newest(output), start(work, log)
    while process.is_alive() and newest(output) <= before:
        time.sleep(0.002)
    while how == "writing" and process.is_alive() and not hidden(output):
        time.sleep(0)
    time.sleep(draw.uniform(0.0, 0.003 if how == "writing" else 0.5))
    process.kill()
    process.join()
    return state(output) if process.exitcode < 0 else "the run had ended"


def newest(output: Path) -> tuple[str, int]:
    """Folder and step of the last checkpoint of a run, in the order in which they are written."""
    indexes = [path for folder in folders(output) for path in folder.glob("ckpt-*.index")]
    return max(((str(path.parent), int(path.stem[5:])) for path in indexes), default=("", 0))


def folders(output: Path) -> list[Path]:
    """Folders of checkpoints of a run; those in them come and go while it is looked at."""
    return [output / "checkpoints", *output.glob("seed_*/checkpoints")]


def hidden(output: Path) -> list[Path]:
    """Folders in which a checkpoint is being written."""
    return [path for folder in folders(output) for path in folder.glob(".ckpt-*.tmp")]


def state(output: Path) -> str:
    """What a kill left of checkpoints, in words."""
    found = [f"hidden: {' '.join(sorted(p.name for p in f.rglob('*')))}" for f in hidden(output)]
    for notes in (path for folder in folders(output) for path in folder.glob("ckpt-*.json")):
        if not notes.with_suffix(".index").exists():
            found.append(f"without an index: {notes.stem}")
    return f"{newest(output)[1]:>4}  " + ("; ".join(found) or "whole checkpoints alone")


def outcome(output: Path) -> dict:
    """What must be the same of two runs: weights, scores, rows without their times."""
    kept = ("model.safetensors", "scores.json", "dev_predictions.jsonl", "best.json")
    held = {str(p.relative_to(output)): p.read_bytes() for p in output.rglob("*") if p.name in kept}
    for path in output.rglob("metrics.jsonl"):
        held[str(path.relative_to(output))] = [
            {name: value for name, value in row.items() if name not in TIMED}
            for row in read_metrics(path.parent)
        ]
    held["temporary"] = [path.name for path in output.rglob("*.tmp")]
    return held


def matrix(work: Callable, precision: str, folder: Path, kills: int, seed: int) -> None:
    """Trains once without a kill and once with `kills`, prints each, and compares.

    Args:
        work: `pretraining` or `fine_tuning`.
        precision: of its products.
        folder: with what `prepare` wrote.
        kills: how many.
        seed: of when they come.

    Raises:
        AssertionError: the two runs differ, or one of them failed.
    """
    title, draw = (
        f"{work.__name__} {precision}",
        random.Random(f"{seed} {work.__name__} {precision}"),
    )
    whole, killed = (folder / f"{title} {how}" for how in ("whole", "killed"))
    done(start(functools.partial(work, folder, whole, precision), whole.with_suffix(".log")))
    again = functools.partial(work, folder, killed, precision)
    for number in range(kills):
        how = ("operation", "any", "writing", "any")[number % 4]
        print(f"{title:<20} {how:<10}", kill(again, killed, how, draw), flush=True)
    done(start(again, killed.with_suffix(".log")))
    same = outcome(killed) == outcome(whole) and not outcome(killed)["temporary"]
    print(f"{title:<20} {'the same bytes' if same else 'OTHER BYTES'}", flush=True)
    assert same


def main(config: Config) -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done(start(functools.partial(prepare, folder), folder / "prepare.log"))
        pretrained = functools.partial(pretraining, folder, folder / "pretrained", "float32")
        done(start(pretrained, folder / "pretrained.log"))
        works = [(work, how) for how in ("float32", "auto") for work in (pretraining, fine_tuning)]
        processes = []
        for number, (work, how) in enumerate(works):
            kills = config.kills * (number + 1) // 4 - config.kills * number // 4
            arguments = (work, how, folder, kills, config.seed)
            processes.append(FORK.Process(target=matrix, args=arguments))
            processes[-1].start()
        for process in processes:
            done(process)


def done(process) -> None:
    """Waits for a process that must succeed."""
    process.join()
    assert process.exitcode == 0, "see the log beside the output"


if __name__ == "__main__":
    program.run(main, Config)
