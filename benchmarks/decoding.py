"""Speed of decoding, beside Hugging Face's `generate` and keras-hub's.

    python -m benchmarks.decoding --sizes=mini,small --batches=1,8,32 --prompts=16,256 \
        --hugging_face=/path/to/python --keras_hub=/path/to/python --output=decoding.json

A GPT-2 of random weights, as many new tokens for every row, greedy and by top-p. Contenders are
processes that stay alive and take turns, so that drift of the machine hits all alike; figures are
medians over `--rounds`. The first token's time is that of a call for one token, prompt included.
A peer runs where its flag names a Python that has it; Hugging Face with its dynamic and its static
cache. `of ours` is the tokens/s against ours, not compiled. Random weights make nearly every token
as likely as another, so that a nucleus holds most of a vocabulary: the slowest case of all.

mini, batch 1, prompt 16, takes two minutes on two processors; all cells take an hour.
"""

import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from absl import logging

from benchmarks.decoding_scripts import HARNESS, SCRIPTS
from benchmarks.train_step import Process
from roots_tf import models, program
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    sizes: tuple[str, ...] = program.flag(("mini", "small"), help="model sizes")
    batches: tuple[str, ...] = program.flag(("1", "8", "32"), help="prompts at once")
    prompts: tuple[str, ...] = program.flag(("16", "256"), help="tokens of a prompt")
    decodings: tuple[str, ...] = program.flag(("greedy", "sample"), help="greedy, sample (top-p)")
    top_p: float = program.flag(0.9, help="of sampling")
    new_tokens: int = program.flag(128, help="tokens after the prompt", minimum=2, maximum=512)
    vocab_size: int = program.flag(50_257, help="vocabulary")
    precision: str = program.flag("float32", help="float32 or mixed_bfloat16")
    hugging_face: str = program.flag("", help="Python with torch and transformers")
    keras_hub: str = program.flag("", help="Python with keras-hub")
    compiled: bool = program.flag(False, help="ours and keras-hub's under XLA too")
    rounds: int = program.flag(3, help="turns of each contender", minimum=1, maximum=100)
    patience: float = program.flag(300.0, help="seconds in which a contender gets ready")
    output: str = program.flag("", help="JSON file for the results; none if empty")


class Contender(NamedTuple):
    """One way to decode."""

    library: str
    cache: str = ""
    compiled: bool = False

    @property
    def name(self) -> str:
        """As the table shows it."""
        return " ".join(filter(None, [self.library, self.cache, "compiled" * self.compiled]))


OURS = Contender("roots_tf")


def contenders(config: Config) -> dict[Contender, str]:
    """Every contender with its Python, ours first."""
    found = {OURS: sys.executable}
    found |= {
        Contender("hugging_face", kind): config.hugging_face for kind in ("dynamic", "static")
    }
    found[Contender("keras_hub")] = config.keras_hub
    if config.compiled:
        found[OURS._replace(compiled=True)] = sys.executable
        found[Contender("keras_hub", compiled=True)] = config.keras_hub
    return {contender: python for contender, python in found.items() if python}


def main(config: Config) -> None:
    """Runs ours and the peers named, a size after the other."""
    rows = []
    for size in config.sizes:
        layers, hidden = models.SIZES[size]
        spec = {"layers": layers, "hidden": hidden, "vocab_size": config.vocab_size}
        spec |= {"precision": config.precision}
        with tempfile.TemporaryDirectory() as scratch:
            processes = start(config, spec, Path(scratch))
            for cell in itertools.product(config.batches, config.prompts, config.decodings):
                rows += measure(config, processes, size, cell)
                if config.output:
                    files.write_json(config.output, rows)
            for process in processes.values():
                process.end()


def start(config: Config, spec: dict, scratch: Path) -> dict[Contender, Process]:
    """The processes that got ready; the reasons of the others are printed."""
    processes = {}
    for number, (contender, python) in enumerate(contenders(config).items()):
        arguments = json.dumps(spec | contender._asdict())
        script = HARNESS + SCRIPTS[contender.library]
        process = Process([python, "-c", script, arguments], scratch / f"{number}.txt")
        if reason := process.start(config.patience):
            print(f"{contender.name:<26}left out: {reason[:90]}", flush=True)
        else:
            processes[contender] = process
            logging.info("%s is ready", contender.name)
    return processes


def measure(config: Config, processes: dict, size: str, cell: tuple[str, str, str]) -> list[dict]:
    """Lets all take turns at a cell; prints and gives a row for each."""
    batch, prompt, decoding = int(cell[0]), int(cell[1]), cell[2]
    asked = {"batch": batch, "prompt": prompt, "decoding": decoding, "top_p": config.top_p}
    print(
        f"\n{size}, {decoding}, {batch} prompts of {prompt} tokens, {config.new_tokens} new\n"
        f"{'':<26}{'tokens/s':>10}{'spread':>8}{'of ours':>9}{'first token':>13}",
        flush=True,
    )
    speeds = {contender: [] for contender in processes}
    firsts = {contender: [] for contender in processes}
    for _ in range(config.rounds):
        for contender, process in processes.items():
            firsts[contender].append(process.ask(json.dumps(asked | {"tokens": 1})))
            seconds = process.ask(json.dumps(asked | {"tokens": config.new_tokens}))
            speeds[contender].append(batch * config.new_tokens / seconds)
    rows = []
    for contender, turns in speeds.items():
        median = statistics.median(turns)
        row = asked | {
            "size": size,
            "name": contender.name,
            "tokens_per_second": median,
            "spread": (max(turns) - min(turns)) / median,
            "of_ours": median / statistics.median(speeds[OURS]) if OURS in speeds else None,
            "first_token_seconds": statistics.median(firsts[contender]),
        }
        rows.append(row)
        ratio = "-" if row["of_ours"] is None else f"{row['of_ours']:.2f}"
        print(
            f"{row['name']:<26}{median:>10,.0f}{100 * row['spread']:>7.0f}%{ratio:>9}"
            f"{1000 * row['first_token_seconds']:>10,.1f} ms",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    program.run(main, Config)
