"""Latency and throughput of a served encoder, text in and vector out, beside its peers.

    python -m benchmarks.serving --checkpoint=all-MiniLM-L6-v2/ --data=../shared/data \
        --sentence_transformers=/path/to/python --onnx_runtime=/path/to/python \
        --keras_hub=/path/to/python

The checkpoint is a Hugging Face folder of a BERT. The texts are real: the test part of SST-2, the
stories of the dev part of BBC News, cut into sentences, and questions and paragraphs of XQuAD, in
random order, as a server gets them: none is known before its batch. Each becomes the mean over the
vectors of its tokens, scaled to length 1. The contenders, all on the processors:

    roots                   `roots import`, `roots export`, then `tf.saved_model.load` and its
                            signature `serving_default`, in float32 or `--precision` of bfloat16
    roots_onnx              `roots export --format=onnx`, in float32 or `--quantize=int8`, row by
                            row in ONNX Runtime, after `tokenizers`
    roots_litert            `roots export --format=litert`, in float32 or `--quantize=int8`, row by
                            row in `tf.lite.Interpreter`, after `tokenizers`
    sentence_transformers   `encode` on PyTorch, in float32, bfloat16, or by `torch.compile`
    onnx_runtime            `torch.onnx.export`, then all optimisations of ONNX Runtime, in
                            float32 or by `quantize_dynamic` in int8, after `tokenizers`
    keras_hub               `BertTextEmbedder` and its preprocessor in a `tf.function`, less the
                            columns that are padding in every row

A peer runs where its flag names a Python that has it; `--onnx_runtime` also needs torch,
transformers and onnx, to write the files. Every contender is a process that stays alive; they take
turns, each with the same texts: `--singles` one by one, then `--batches` batches. p50 and p99 are
over the singles of all rounds, sentences/s the median over rounds; `spread` is its largest less its
smallest over the median. `cosine` compares the vectors of the first round's batches with those of
sentence_transformers in float32: the mean, and the worst. Allow a quarter of an hour on two
processors.
"""

import dataclasses
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import serving_scripts as scripts
from benchmarks.inference import read_sentences
from benchmarks.train_step import Process
from roots_tf import program
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    checkpoint: str = program.flag(help="Hugging Face folder of a BERT encoder")
    data: str = program.flag(help="folder with sst2/test.tsv, bbc_news/dev.jsonl, xquad/*.en.json")
    sentence_transformers: str = program.flag("", help="Python with sentence-transformers")
    onnx_runtime: str = program.flag("", help="Python with onnxruntime and what writes its files")
    keras_hub: str = program.flag("", help="Python with keras-hub")
    only: tuple[str, ...] = program.flag(
        (), help="comma-separated; only contenders with one of these in their name, beside ours"
    )
    threads: int = program.flag(0, help="of our contenders and ONNX Runtime's; 0: all processors")
    max_seq_length: int = program.flag(256, help="tokens of a text at most")
    batch_size: int = program.flag(32, help="texts in a batch")
    singles: int = program.flag(200, help="texts of a turn that come one by one")
    batches: int = program.flag(10, help="batches of a turn")
    rounds: int = program.flag(5, help="turns of each contender")
    patience: float = program.flag(600.0, help="seconds in which a contender gets ready")
    seed: int = program.flag(0, help="of the order of the texts")
    output: str = program.flag("", help="JSON file for the results; none if empty")

    @property
    def texts_a_round(self) -> int:
        """Texts that a turn is cut from."""
        return max(self.singles, self.batches * self.batch_size)


class Contender(NamedTuple):
    """One way to serve the encoder."""

    library: str
    precision: str = "float32"
    compiled: bool = False

    @property
    def name(self) -> str:
        """As the table shows it."""
        return f"{self.library} {self.precision}{' compiled' * self.compiled}"


OURS = Contender("roots")
REFERENCE = Contender("sentence_transformers")
CONTENDERS = (
    OURS,
    Contender("roots", "bfloat16"),
    Contender("roots_onnx"),
    Contender("roots_onnx", "int8"),
    Contender("roots_litert"),
    Contender("roots_litert", "int8"),
    REFERENCE,
    Contender("sentence_transformers", "bfloat16"),
    Contender("sentence_transformers", compiled=True),
    Contender("onnx_runtime"),
    Contender("onnx_runtime", "int8"),
    Contender("keras_hub"),
)


def main(config: Config) -> list[dict]:
    """Lets the contenders take turns and prints a line for each."""
    texts = choose_texts(config)
    characters = np.percentile([len(text) for text in texts], [1, 50, 90, 99])
    print(
        f"{len(texts)} texts; 1, 50, 90 and 99 of a hundred have no more characters than "
        + ", ".join(f"{number:.0f}" for number in characters)
    )
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(config, texts, Path(scratch))
    print(
        f"{'':<39}{'p50 ms':>8}{'of ours':>9}{'p99 ms':>8}{'sentences/s':>13}{'spread':>8}"
        f"{'of ours':>9}"
        f"{'cosine':>10}{'worst':>10}"
    )
    for row in found:
        print(line(row))
    if config.output:
        files.write_json(config.output, found)
    return found


def choose_texts(config: Config) -> list[str]:
    """The texts of all rounds, in random order.

    Raises:
        InputError: the data has fewer than the rounds take.
    """
    texts = read_sentences(Path(config.data))
    for article in files.read_json(Path(config.data, "xquad/xquad.en.json"))["data"]:
        for paragraph in article["paragraphs"]:
            texts += [paragraph["context"], *(qa["question"] for qa in paragraph["qas"])]
    wanted = config.rounds * config.texts_a_round
    if len(texts) < wanted:
        raise files.InputError(
            "empty-input",
            f"found {len(texts)} texts in {config.data}; wanted {config.texts_a_round} for each of "
            f"{config.rounds} rounds: lower --rounds, --singles or --batches",
        )
    order = np.random.default_rng(config.seed).permutation(len(texts))
    return [texts[i] for i in order[:wanted]]


def measure(config: Config, texts: list[str], scratch: Path) -> list[dict]:
    """Rows of the table."""
    files.write_json(scratch / "texts.json", texts)
    spec = {
        "checkpoint": config.checkpoint,
        "saved_model": {kind: str(scratch / kind / "1") for kind in ("float32", "bfloat16")},
        "roots_onnx": {kind: str(scratch / f"onnx {kind}") for kind in ("float32", "int8")},
        "litert": {kind: str(scratch / f"litert {kind}") for kind in ("float32", "int8")},
        "onnx": {kind: str(scratch / f"{kind}.onnx") for kind in ("float32", "int8")},
        "texts": str(scratch / "texts.json"),
        "length": config.max_seq_length,
        "threads": config.threads or os.cpu_count(),
        "batch_size": config.batch_size,
        "warm_up": config.texts_a_round,
    }
    chosen = contenders(config)
    make_exports(config, chosen, scratch)
    if any(c.library == "onnx_runtime" for c in chosen):
        run([config.onnx_runtime, "-c", scripts.MAKE_ONNX, json.dumps(spec)])
    processes, rows = {}, {}
    for contender, python in chosen.items():
        paths = {kind: str(scratch / f"{contender.name} {kind}.npy") for kind in scripts.ARRAYS}
        script = scripts.HARNESS + scripts.SCRIPTS[contender.library]
        arguments = json.dumps(spec | contender._asdict() | paths)
        process = Process([python, "-c", script, arguments], scratch / f"{contender.name}.txt")
        rows[contender] = {"name": contender.name, **contender._asdict()}
        if reason := process.start(config.patience):
            rows[contender]["failed"] = reason
        else:
            processes[contender] = process, paths
    singles, rates = take_turns(config, processes)
    vectors = {contender: np.load(paths["vectors"]) for contender, (_, paths) in processes.items()}
    ours = 1e3 * np.median(np.concatenate(singles[OURS])) if OURS in singles else None
    for contender, turns in rates.items():
        p50, p99 = np.percentile(1e3 * np.concatenate(singles[contender]), [50, 99])
        rate = statistics.median(turns)
        rows[contender] |= {
            "p50_ms": p50,
            "p99_ms": p99,
            "sentences_per_second": rate,
            "spread": (max(turns) - min(turns)) / rate,
            "p50_of_ours": p50 / ours if ours else None,
            "of_ours": rate / statistics.median(rates[OURS]) if OURS in rates else None,
            "turns": turns,
            "turns_p50_ms": [1e3 * statistics.median(seconds) for seconds in singles[contender]],
        }
        if REFERENCE in vectors:
            cosines = np.sum(vectors[contender] * vectors[REFERENCE], axis=1)
            rows[contender] |= {"cosine": float(cosines.mean()), "worst": float(cosines.min())}
    return list(rows.values())


def contenders(config: Config) -> dict[Contender, str]:
    """The contenders wanted whose library has a Python, with that Python."""
    pythons = {
        "roots": sys.executable,
        "roots_onnx": sys.executable if importlib.util.find_spec("onnxruntime") else "",
        "roots_litert": sys.executable,
        "sentence_transformers": config.sentence_transformers,
        "onnx_runtime": config.onnx_runtime,
        "keras_hub": config.keras_hub,
    }
    wanted = config.only or ("",)
    return {
        c: pythons[c.library]
        for c in CONTENDERS
        if pythons[c.library] and (c == OURS or any(part in c.name for part in wanted))
    }


def take_turns(config: Config, processes: dict) -> tuple[dict, dict]:
    """Seconds of the single texts, and sentences/s in batches, of each contender and round."""
    singles = {contender: [] for contender in processes}
    rates = {contender: [] for contender in processes}
    for number in range(config.rounds):
        first = number * config.texts_a_round
        for contender, (process, paths) in processes.items():
            process.ask(json.dumps([first, config.singles, 1]))
            singles[contender].append(np.load(paths["seconds"]))
            texts = config.batches * config.batch_size
            seconds = process.ask(json.dumps([first, texts, config.batch_size]))
            rates[contender].append(texts / seconds)
    for process, _ in processes.values():
        process.end()
    return singles, rates


def make_exports(config: Config, contenders: Iterable[Contender], scratch: Path) -> None:
    """Runs the commands that a user runs."""
    commands = [["import", f"--from={config.checkpoint}", f"--output={scratch / 'model'}"]]
    for library, precision, _ in contenders:
        command = ["export", f"--model={scratch / 'model'}"]
        if library == "roots":
            policy = "float32" if precision == "float32" else "mixed_bfloat16"
            command += [f"--output={scratch / precision}", "--l2_normalize"]
            command += [f"--precision={policy}", f"--max_seq_length={config.max_seq_length}"]
        elif library in ("roots_litert", "roots_onnx"):
            name = library.removeprefix("roots_")
            quantize = "none" if precision == "float32" else precision
            command += [f"--output={scratch / f'{name} {precision}'}", f"--format={name}"]
            command += [f"--quantize={quantize}"]
        else:
            continue
        commands.append(command)
    for name, *arguments in commands:
        run([sys.executable, "-m", f"pipelines.{name}", *arguments])


def run(command: list[str]) -> None:
    """Runs a command to its end.

    Raises:
        InputError: it failed.
    """
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise files.InputError(
            "step-failed", f"{command[1:3]} ended with {done.returncode} and said: {said}"
        )


def line(row: dict) -> str:
    """A row of the table."""
    if "failed" in row:
        return f"{row['name']:<39}left out: {row['failed'][:90]}"
    ratio, of_p50 = (
        "-" if row[name] is None else f"{row[name]:.2f}" for name in ("of_ours", "p50_of_ours")
    )
    quality = [f"{row[kind]:.6f}" if kind in row else "-" for kind in ("cosine", "worst")]
    return (
        f"{row['name']:<39}{row['p50_ms']:>8.1f}{of_p50:>9}{row['p99_ms']:>8.1f}"
        f"{row['sentences_per_second']:>13,.0f}{100 * row['spread']:>7.0f}%{ratio:>9}"
        f"{quality[0]:>10}{quality[1]:>10}"
    )


if __name__ == "__main__":
    program.run(main, Config)
