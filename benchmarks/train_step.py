"""Speed of a full training step, beside Hugging Face, keras-hub and tf-models-official.

    python -m benchmarks.train_step --sizes=mini,base --lengths=128,512 \
        --hugging_face=/path/to/python --keras_hub=/path/to/python --tf_models=/path/to/python
    python -m benchmarks.train_step --objective=causal_lm --sizes=mini --vocab_size=50257 \
        --hugging_face=/path/to/python --keras_hub=/path/to/python --nanogpt=/path/to/clone

The step: BERT with both heads, dropout 0.1, forward and backward, gradients clipped to norm 1,
AdamW. All see the same batches in the same order. A peer runs where its flag names a Python that
has it (`torch` and `transformers`; `keras-hub`; `tf-models-official`), in float32 and bfloat16,
plain and compiled. Hugging Face computes the vocabulary for every position, as
`BertForPreTraining` does; "predictions only" gathers the predicted ones first, as the others do.
With `--objective=causal_lm` it is GPT-2, which predicts every token; nanoGPT, a clone of which
`--nanogpt` names, runs in Hugging Face's Python.

Every contender is a process that stays alive and takes turns of `--seconds`, so that drift of the
machine hits all alike; tokens/s (positions, padding included) are medians over `--rounds`. What
does not fit into memory at once runs in groups of `--together` peers, ours in each. `of ours` is
against ours, not compiled, at the same precision in the same group; `of peak` is the FLOP/s that
the work needs (counted once, so that wasted work lowers it) over the best matrix product measured
in the same rounds. A contender that has not made two steps after `--patience` seconds is left out:
some are that slow in bfloat16 on processors without instructions for it. Allow a minute for each
contender, size and length, and for base several.
"""

import dataclasses
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from absl import logging

from benchmarks import causal_step_scripts
from benchmarks import train_step_scripts as scripts
from roots_tf import models, program
from roots_tf.models import flops
from roots_tf.storage import files

# Sequences a batch: a step takes below ten seconds on two processors.
BATCHES = {
    128: {"tiny": 32, "mini": 32, "small": 16, "medium": 8, "base": 8, "large": 4},
    512: {"tiny": 8, "mini": 8, "small": 4, "medium": 4, "base": 2, "large": 1},
}
SCRIPTS = {"masked_lm": scripts.SCRIPTS, "causal_lm": causal_step_scripts.SCRIPTS}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    objective: Literal["masked_lm", "causal_lm"] = program.flag("masked_lm", help="of the step")
    sizes: tuple[str, ...] = program.flag(("tiny", "mini", "small", "base"), help="model sizes")
    lengths: tuple[str, ...] = program.flag(("128", "512"), help="sequence lengths")
    batch_size: int = program.flag(0, help="sequences; 0: by size and length, as two cores bear")
    max_predictions_per_seq: int = program.flag(20, help="predictions in a sequence")
    vocab_size: int = program.flag(30_522, help="vocabulary")
    hugging_face: str = program.flag("", help="Python with torch and transformers")
    keras_hub: str = program.flag("", help="Python with keras-hub")
    tf_models: str = program.flag("", help="Python with tf-models-official")
    nanogpt: str = program.flag("", help="clone of karpathy/nanoGPT")
    only: tuple[str, ...] = program.flag(
        (), help="comma-separated; only peers with one of these in their name; ours is always there"
    )
    seconds: float = program.flag(5.0, help="a turn")
    rounds: int = program.flag(3, help="turns of each contender")
    together: int = program.flag(
        3, help="peers alive at once, beside ours; a process of base takes 3.5 GB"
    )
    patience: float = program.flag(300.0, help="seconds in which a contender makes its first steps")
    seed: int = program.flag(0, help="of the batches")
    output: str = program.flag("", help="JSON file for the results; none if empty")


class Contender(NamedTuple):
    """One way to run the step."""

    library: str
    precision: str  # "float32" or "bfloat16"
    compiled: bool = False
    predictions_only: bool = False

    @property
    def name(self) -> str:
        """As the table shows it."""
        parts = [self.library, self.precision, "compiled" * self.compiled]
        return " ".join(filter(None, [*parts, "predictions only" * self.predictions_only]))


def contenders(config: Config) -> dict[Contender, str]:
    """Every contender with its Python, ours first."""
    causal = config.objective == "causal_lm"
    pythons = {
        scripts.OURS: sys.executable,
        "hugging_face": config.hugging_face,
        "keras_hub": config.keras_hub,
        "tf_models": "" if causal else config.tf_models,
        "nanogpt": config.hugging_face if causal and config.nanogpt else "",
    }
    gathers = {"hugging_face": (False, True)} if not causal else {}
    found = {
        Contender(library, precision, compiled, gathered): python
        for library, python in pythons.items()
        if python
        for gathered in gathers.get(library, (False,))
        for compiled in (False, True)
        for precision in ("float32", "bfloat16")
    }
    wanted = config.only or ("",)
    return {
        c: p for c, p in found.items() if is_reference(c) or any(part in c.name for part in wanted)
    }


def is_reference(contender: Contender) -> bool:
    """Whether others are compared with it."""
    return contender.library == scripts.OURS and not contender.compiled


class Process:
    """A script that answers lines with numbers; its messages go to a file."""

    def __init__(self, command: list[str], messages: Path):
        self._messages = messages
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages.open("w"),
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        )

    def start(self, patience: float) -> str:
        """Waits until it is ready; otherwise ends it and gives the reason."""
        timer = threading.Timer(patience, self._process.kill)
        timer.start()
        began = time.monotonic()
        ready = self._process.stdout.readline().strip() == "ready"
        timer.cancel()
        if ready:
            return ""
        self._process.wait()
        if time.monotonic() - began >= patience:
            return f"not ready in {patience:.0f} s"
        return self._last_words()

    def _last_words(self) -> str:
        lines = self._messages.read_text().strip().splitlines()
        errors = [line for line in lines if re.match(r"\S*(Error|Exception)\b", line)]
        return (errors or lines or ["it said nothing"])[-1]

    def ask(self, question) -> float:
        """The answer to a line.

        Raises:
            InputError: the process has ended.
        """
        print(question, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            said = self._last_words()
            raise files.InputError(
                "step-failed", f"a contender ended during its turn and said: {said}"
            )
        return float(answer)

    def end(self) -> None:
        """Closes its input and waits."""
        self._process.stdin.close()
        self._process.wait()


def main(config: Config) -> None:
    """Runs ours and the peers named, for every size and length."""
    found = []
    for length, size in itertools.product(map(int, config.lengths), config.sizes):
        spec, work = asked(config, size, length)
        every = contenders(config)
        ours = [c for c in every if is_reference(c)]
        peers = [c for c in every if not is_reference(c)]
        for first in range(0, max(len(peers), 1), config.together):
            group = {c: every[c] for c in ours + peers[first : first + config.together]}
            with tempfile.TemporaryDirectory() as scratch:
                rows = measure(config, spec, group, work, Path(scratch))
            for row in rows:
                print(line(row), flush=True)
            found += [row | {"group": first // config.together} for row in rows]
            if config.output:
                files.write_json(config.output, found)


def asked(config: Config, size: str, length: int) -> tuple[dict, float]:
    """What the scripts are told, and the FLOPs of a token; prints the head of the table."""
    causal, batch_size = config.objective == "causal_lm", config.batch_size
    encoder = models.EncoderConfig.of_size(
        size,
        preset="gpt2" if causal else "bert",
        vocabulary_size=config.vocab_size,
        max_sequence_length=length,
    )
    batch_size = batch_size or BATCHES.get(length, BATCHES[512])[size]
    predictions = length if causal else config.max_predictions_per_seq
    if causal:
        work = flops.causal_step_flops(encoder, batch_size, length)
    else:
        work = flops.step_flops(encoder, batch_size, length, predictions)
    print(
        f"\n{size}, {batch_size} sequences of {length} tokens with {predictions} predictions: "
        f"{work / 1e9:,.0f} GFLOP a step\n"
        f"{'':<46}{'tokens/s':>10}{'spread':>8}{'of ours':>9}{'of peak':>9}",
        flush=True,
    )
    spec = {"size": size, "length": length, "batch_size": batch_size}
    spec |= {"predictions": predictions, "vocab_size": config.vocab_size}
    spec |= {"nanogpt": config.nanogpt, "objective": config.objective}
    spec |= {k: v for k, v in dataclasses.asdict(encoder).items() if k not in spec}
    return spec, work / (batch_size * length)


def measure(config: Config, spec: dict, group: dict, flops_a_token: float, scratch: Path) -> list:
    """Lets a group take turns; a row for each contender."""
    batches = write_batches(spec, config.seed, scratch)
    peak = Process([sys.executable, "-c", scripts.PEAK], scratch / "peak.txt")
    if reason := peak.start(config.patience):
        raise files.InputError("step-failed", f"the measurement of matrix products ended: {reason}")
    processes, failed = {}, {}
    for number, (contender, python) in enumerate(group.items()):
        arguments = json.dumps(spec | contender._asdict() | {"batches": batches})
        script = scripts.HARNESS + SCRIPTS[spec["objective"]][contender.library]
        process = Process([python, "-c", script, arguments], scratch / f"{number}.txt")
        began = time.monotonic()
        reason = process.start(config.patience)
        logging.info("%s took %.0f s to start", contender.name, time.monotonic() - began)
        if reason:
            failed[contender] = reason
        else:
            processes[contender] = process
    speeds = {contender: [] for contender in processes}
    peaks = {"float32": [], "bfloat16": []}
    for _ in range(config.rounds):
        for dtype, rates in peaks.items():
            rates.append(peak.ask(dtype))
        for contender, process in processes.items():
            speeds[contender].append(process.ask(config.seconds))
    for process in [peak, *processes.values()]:
        process.end()
    medians = {contender: statistics.median(turns) for contender, turns in speeds.items()}
    reference = {c.precision: median for c, median in medians.items() if is_reference(c)}
    rows = []
    for contender in group:
        row = {k: spec[k] for k in ("size", "length", "batch_size", "predictions")}
        row |= {"name": contender.name, **contender._asdict()}
        if contender in failed:
            rows.append(row | {"failed": failed[contender]})
            continue
        median, turns = medians[contender], speeds[contender]
        best = statistics.median(peaks[contender.precision])
        ours = reference.get(contender.precision)
        rows.append(
            row
            | {
                "tokens_per_second": median,
                "spread": (max(turns) - min(turns)) / median,
                "of_ours": median / ours if ours else None,
                "peak_flops": best,
                "of_peak": median * flops_a_token / best,
            }
        )
    return rows


def write_batches(spec: dict, seed: int, scratch: Path, count: int = 4) -> list[str]:
    """Random batches; rows end in up to a tenth of padding, so that no mask is all true."""
    rng = np.random.default_rng(seed)
    rows, length, predictions = spec["batch_size"], spec["length"], spec["predictions"]
    paths = []
    for number in range(count):
        if spec["objective"] == "causal_lm":  # the ids and, one further, what each predicts
            ids = rng.integers(1000, spec["vocab_size"], [rows, length + 1]).astype("int32")
            paths.append(str(scratch / f"batch-{number}.npz"))
            np.savez(paths[-1], token_ids=ids)
            continue
        tokens = rng.integers(length - length // 10, length, rows)
        tokens[0] = length - 1
        inside = np.arange(length) < tokens[:, None]  # [B, L]
        chosen = [rng.permutation(length - length // 10 - 1)[:predictions] for _ in range(rows)]
        drawn = rng.integers(1000, spec["vocab_size"], [2, rows, length])
        batch = {
            "token_ids": np.where(inside, drawn[0], 0).astype("int32"),
            "segment_ids": (inside & (np.arange(length) > length // 2)).astype("int32"),
            "padding_mask": inside,
            "masked_lm_positions": np.sort(chosen, axis=1).astype("int32"),
            "masked_lm_ids": drawn[1, :, :predictions].astype("int32"),
            "masked_lm_weights": np.ones([rows, predictions], "float32"),
            "next_sentence_labels": rng.integers(0, 2, rows).astype("int32"),
        }
        paths.append(str(scratch / f"batch-{number}.npz"))
        np.savez(paths[-1], **batch)
    return paths


def line(row: dict) -> str:
    """A row of the table."""
    if "failed" in row:
        return f"{row['name']:<46}left out: {row['failed'][:90]}"
    ratio = f"{row['of_ours']:.2f}" if row["of_ours"] else "-"
    return (
        f"{row['name']:<46}{row['tokens_per_second']:>10,.0f}{100 * row['spread']:>7.0f}%"
        f"{ratio:>9}{100 * row['of_peak']:>8.0f}%"
    )


if __name__ == "__main__":
    program.run(main, Config)
