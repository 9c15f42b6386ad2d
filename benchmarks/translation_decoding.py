"""Speed of writing targets with beams, beside Hugging Face's Marian.

    python -m benchmarks.translation_decoding --batches=1,32 --beams=5,1 \
        --hugging_face=/path/to/python --output=translation_decoding.json

An encoder-decoder of random weights of the sizes of Multi30k's translators: 4 and 4 layers of width
128, and 8,000 ids. As many new tokens for every row. Contenders are processes that stay alive and
take turns, so that drift of the machine hits all alike; figures are medians over `--rounds`. The
peer runs where its flag names a Python that has it. `of ours` is the tokens/s against ours.

Takes two minutes on two processors.
"""

import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
from pathlib import Path

from absl import logging

from benchmarks.train_step import Process
from benchmarks.translation_decoding_scripts import HARNESS, SCRIPTS
from roots_tf import program
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    batches: tuple[str, ...] = program.flag(("1", "32"), help="sources at once")
    beams: tuple[str, ...] = program.flag(("5", "1"), help="beams of a source; 1: greedy")
    source: int = program.flag(16, help="tokens of a source", minimum=1, maximum=500)
    new_tokens: int = program.flag(24, help="tokens of a target", minimum=1, maximum=500)
    layers: int = program.flag(4, help="of the encoder, and of the decoder", **program.LAYERS)
    hidden: int = program.flag(128, help="width", **program.WIDTH)
    heads: int = program.flag(4, help="of attention", **program.WIDTH)
    intermediate: int = program.flag(256, help="width of feed-forward layers", **program.WIDTH)
    vocab_size: int = program.flag(8000, help="ids", minimum=100, maximum=1 << 20)
    hugging_face: str = program.flag("", help="Python with torch and transformers")
    rounds: int = program.flag(5, help="turns of each contender", minimum=1, maximum=100)
    patience: float = program.flag(300.0, help="seconds in which a contender gets ready")
    output: str = program.flag("", help="JSON file for the results; none if empty")


def main(config: Config) -> None:
    """Runs ours and the peer named, a cell after the other."""
    names = ("layers", "hidden", "heads", "intermediate", "vocab_size")
    spec, rows = json.dumps({name: getattr(config, name) for name in names}), []
    pythons = {"roots_tf": sys.executable, "hugging_face": config.hugging_face}
    with tempfile.TemporaryDirectory() as scratch:
        processes = {}
        for name, python in pythons.items():
            if not python:
                continue
            script = HARNESS + SCRIPTS[name]
            process = Process([python, "-c", script, spec], Path(scratch) / f"{name}.txt")
            if reason := process.start(config.patience):
                print(f"{name:<16}left out: {reason[:90]}", flush=True)
            else:
                processes[name] = process
                logging.info("%s is ready", name)
        for batch, beams in itertools.product(config.batches, config.beams):
            cell = {"batch": int(batch), "beams": int(beams)}
            cell |= {"source": config.source, "tokens": config.new_tokens}
            rows += measure(processes, cell, config.rounds)
            if config.output:
                files.write_json(config.output, rows)
        for process in processes.values():
            process.end()


def measure(processes: dict[str, Process], cell: dict, rounds: int) -> list[dict]:
    """Lets all take turns at a cell; prints and gives a row for each."""
    print(
        f"\n{cell['batch']} sources of {cell['source']} tokens, {cell['beams']} beams, "
        f"{cell['tokens']} new\n{'':<16}{'tokens/s':>10}{'spread':>8}{'of ours':>9}{'a step':>12}",
        flush=True,
    )
    seconds = {name: [] for name in processes}
    for _ in range(rounds):
        for name, process in processes.items():
            seconds[name].append(process.ask(json.dumps(cell)))
    rows, written = [], cell["batch"] * cell["tokens"]
    for name, turns in seconds.items():
        median = statistics.median(turns)
        ours = statistics.median(seconds["roots_tf"]) if "roots_tf" in seconds else None
        row = cell | {
            "name": name,
            "tokens_per_second": written / median,
            "spread": (max(turns) - min(turns)) / median,
            "of_ours": ours and ours / median,
        }
        rows.append(row)
        ratio = "-" if ours is None else f"{row['of_ours']:.2f}"
        print(
            f"{name:<16}{row['tokens_per_second']:>10,.0f}{100 * row['spread']:>7.0f}%{ratio:>9}"
            f"{1000 * median / cell['tokens']:>9,.1f} ms",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    program.run(main, Config)
