"""The whole road on text that every machine with Python holds: docstrings, to a served model.

    roots demo

Takes two to eight minutes on two cores and downloads nothing; its first lines say how long here.
Runs the other programs with the flags a user would give, in one process, and prints their commands.
It ends with a table of what was learned beside what knowing nothing would give, and writes the same
to report.json.
"""

import contextlib
import dataclasses
import hashlib
import json
import shlex
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from absl import logging

from roots_tf import commands, program, stages
from roots_tf.corpus import docstrings, reading
from roots_tf.storage import claims, files, schema

SENTENCES = (
    "Return the [MASK] of the array.",
    "If the file does not [MASK], an error is raised.",
    "The default [MASK] is None.",
)
CLASSES = 8  # packages with the most docstrings
# Measured on two cores, with AMX and with AVX2: what a step of pretraining takes grows with what a
# product takes, and the rest hardly does. See `_preview`.
SECONDS_BESIDE, FLOPS_A_STEP = 60.0, 6e9
PER_CLASS = 500  # labelled documents of each at most
# Shares of them: a few hundred to learn from show what pretraining is for, the rest is for scores.
SPLITS = {"train": (0.0, 0.1), "dev": (0.1, 0.2), "test": (0.2, 1.0)}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `demo`."""

    output: str = program.flag(
        "roots-demo", help="folder for everything the demo writes", role="output_folder"
    )
    num_steps: int = program.flag(2_000, help="pretraining updates", minimum=2, maximum=2**31 - 1)
    finetune_seeds: int = program.flag(1, help="runs of each fine-tuning", minimum=1, maximum=1000)
    debug: bool = program.flag(False, help="a few updates of each kind: does it run at all?")


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """What is shown of the report of `pretrain`."""

    masked_lm_loss: float
    unigram_entropy: float
    masked_lm_accuracy: float


@dataclasses.dataclass(frozen=True)
class Finetuned:
    """What is shown of a report of `finetune`."""

    test_accuracy: float
    test_baseline_accuracy: float


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece of a word that fill-mask names, and its probability."""

    piece: str
    probability: float


@dataclasses.dataclass(frozen=True)
class Filled:
    """What fill-mask says of a sentence."""

    text: str
    masks: tuple[tuple[Piece, ...], ...]


@dataclasses.dataclass(frozen=True)
class Report(Pretrained):
    """What the demo writes, and shows again."""

    seconds: int
    documents: int
    packages: tuple[str, ...]
    finetuned_accuracy: float
    from_scratch_accuracy: float
    majority_accuracy: float
    fill_mask: tuple[Filled, ...]
    saved_model: str
    tensorboard: str


@program.takes_urls
def main(config: Config) -> dict:
    """Runs every stage and returns the report."""
    work, claim = Path(config.output), claims.of(config)
    if report := claim.finished(work):
        logging.info("%s has finished; nothing to do (remove it to run the demo again)", work)
        print(table(report, f"{work}/report.json"))
        return report
    with claim.held(work):
        claim.begin(work)
        return _demonstrate(config, work)


def _demonstrate(config: Config, work: Path) -> dict:
    """Runs every stage, and writes, prints and returns the report."""
    start = time.monotonic()
    print(_preview(config), file=sys.stderr, flush=True)
    with stages.executor(0) as executor:
        found = docstrings.write_docstrings(work / "docstrings", executor)
    logging.info("docstrings: %(documents)d of %(files)d files, %(bytes)d bytes", found)

    packages, filled = _walk(config, work)
    pretrained = _read(work / "pretrained" / "report.json", Pretrained)
    tuned = _read(work / "finetuned" / "report.json", Finetuned)
    from_scratch = _read(work / "from_scratch" / "report.json", Finetuned)
    report = {
        "seconds": round(time.monotonic() - start),
        "documents": found["documents"],
        "packages": packages,
        **dataclasses.asdict(pretrained),
        "finetuned_accuracy": tuned.test_accuracy,
        "from_scratch_accuracy": from_scratch.test_accuracy,
        "majority_accuracy": tuned.test_baseline_accuracy,
        "fill_mask": filled,
        "saved_model": str(work / "served" / "1"),
        "tensorboard": str(work / "pretrained" / "logs"),
    }
    files.write_json(work / "report.json", report)
    print(table(report, f"{work}/report.json"))
    return report


def _preview(config: Config) -> str:
    """What the demo is going to do, and about how long that takes on this machine."""
    steps = 10 if config.debug else config.num_steps
    minutes = (SECONDS_BESIDE + steps * FLOPS_A_STEP / _flops_per_second()) / 60
    return (
        f"About {minutes:.0f} min on this machine: docstrings of the installed packages -> "
        f"documents -> vocabulary -> examples -> {steps:,} steps of pretraining -> fine-tuning, "
        "and from scratch -> a served model. A stopped run goes on with the same command."
    )


def _flops_per_second() -> float:
    """How fast this machine multiplies float32 matrices: the best of a few products."""
    size = 1024
    x = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    took = []
    for _ in range(8):
        began = time.perf_counter()
        x @ x
        took.append(time.perf_counter() - began)
    return 2 * size**3 / min(took)


def _read(path: Path, shape: type):
    return schema.read(path, shape, others_may_stand=True)


def _walk(config: Config, work: Path) -> tuple[list[str], list[dict]]:
    """Runs the programs; gives the packages to tell apart, and what fill-mask answered."""
    _run(config, "curate", input=work / "docstrings", output=work / "documents")
    packages = _split(work / "documents", work / "unlabelled", work / "labelled")
    _run(
        config,
        "train_tokenizer",
        input=work / "unlabelled",
        output=work / "tokenizer",
        vocab_size=4096,
    )
    _run(
        config,
        "build_examples",
        input=work / "unlabelled",
        tokenizer=work / "tokenizer",
        output=work / "examples",
        max_seq_length=64,
        held_out=0.02,
    )
    _run(
        config,
        "pretrain",
        examples=work / "examples",
        output=work / "pretrained",
        sentence_objective="none",
        size="tiny",
        batch_size=32,
        phases=_phases(config.num_steps),
        preset="modern",
        optimizer="muon",
        learning_rate=6e-3,
        initializer_range=0.06,
        dropout=0.0,
        log_every=100,
    )
    model = work / "pretrained" / "model"
    tuned, from_scratch = (
        _run(
            config,
            "finetune",
            init_from=model,
            train=work / "labelled" / "train.jsonl",
            dev=work / "labelled" / "dev.jsonl",
            test=work / "labelled" / "test.jsonl",
            output=work / folder,
            random_init=random_init,
            num_epochs=12,
            learning_rate=2e-3,
            dropout=0.1,
            seeds=config.finetune_seeds,
        )
        for folder, random_init in (("finetuned", False), ("from_scratch", True))
    )
    _run(config, "export", model=work / "finetuned" / "model", output=work / "served")
    filled = _run(config, "fill_mask", model=model, text="\n".join(SENTENCES))
    return packages, filled


def _phases(num_steps: int) -> str:
    """Half of the steps with many tokens masked at a high rate, then fewer while the rate falls."""
    first = num_steps // 2
    return (
        f"duration={first} mask_rate=0.3 schedule=constant warmup_share=0.2,"
        f"duration={num_steps - first} mask_rate=0.15 schedule=linear warmup_share=0"
    )


def _run(config: Config, name: str, **flags):
    """Prints the command of a program and runs it in this process; gives what its `main` does.

    TensorFlow so starts once instead of once a program, which takes 2 to 5 s each time.
    """
    flags = {k: str(v) if isinstance(v, Path) else v for k, v in flags.items()}
    shown = [
        f"--{'' if value else 'no'}{flag}" if isinstance(value, bool) else f"--{flag}={value}"
        for flag, value in flags.items()
    ]
    shown += ["--debug"] * config.debug
    line = shlex.join(["roots", name.replace("_", "-"), *shown])
    print(f"\n$ {line}", file=sys.stderr, flush=True)
    with contextlib.redirect_stdout(sys.stderr):
        return commands.call(name, **flags, debug=config.debug)


def _split(documents: Path, unlabelled: Path, labelled: Path) -> list[str]:
    """Sets some documents of the most frequent packages aside, with the package as the label.

    They are never pretrained on. Which ones follows from the hash of their text.

    Returns:
        The packages.
    """
    shards = files.expand([str(documents)])
    counts = Counter(document.source for document in reading.read_documents(shards))
    packages = [name for name, _ in counts.most_common(CLASSES)]
    room = dict.fromkeys(packages, PER_CLASS)
    picked: list[tuple[str, str]] = []
    for shard in shards:
        table = pq.read_table(shard)
        keep = []
        for text, source in zip(
            table["text"].to_pylist(), table["source"].to_pylist(), strict=True
        ):
            pick = room.get(source, 0) > 0 and _hash(text) % 4 == 0
            keep.append(not pick)
            if pick:
                room[source] -= 1
                picked.append((text, source))
        with files.atomic_path(unlabelled / Path(shard).name) as temporary:
            pq.write_table(table.filter(pa.array(keep)), temporary)
    picked.sort(key=lambda example: _hash(example[0]))
    for split, (first, last) in SPLITS.items():
        part = picked[round(first * len(picked)) : round(last * len(picked))]
        rows = [json.dumps({"text": t, "label": s}, ensure_ascii=False) + "\n" for t, s in part]
        files.write_text(labelled / f"{split}.jsonl", "".join(rows))
    return packages


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def table(report: dict, source: str) -> str:
    """What was learned, beside what knowing nothing would give.

    Args:
        report: as `report.json` has it.
        source: path of that file, for messages.

    Raises:
        InputError: it is no report.
    """
    schema.check(report, Report, source)
    rows = [
        ("", "model", "baseline"),
        (
            "held-out masked-LM loss, nats",
            f"{report['masked_lm_loss']:.3f}",
            f"{report['unigram_entropy']:.3f}  unigram entropy",
        ),
        ("held-out masked-LM accuracy", f"{report['masked_lm_accuracy']:.3f}", ""),
        (
            f"which of {len(report['packages'])} packages, pretrained",
            f"{report['finetuned_accuracy']:.3f}",
            f"{report['majority_accuracy']:.3f}  most frequent package",
        ),
        ("    the same from scratch", f"{report['from_scratch_accuracy']:.3f}", ""),
    ]
    lines = [f"{name:<38}{value:>8}   {baseline}".rstrip() for name, value, baseline in rows]
    for answer in report["fill_mask"]:
        lines += ["", answer["text"]]
        for pieces in answer["masks"]:
            lines.append("    " + "  ".join(f"{p['piece']} {p['probability']:.2f}" for p in pieces))
    minutes, seconds = divmod(report["seconds"], 60)
    lines += [
        "",
        f"{minutes} min {seconds} s. The served model is in {report['saved_model']}:",
        f"    saved_model_cli show --dir {report['saved_model']} --all",
        "Curves of the pretraining:",
        f"    tensorboard --logdir {report['tensorboard']}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    program.run(main, Config)
