"""Sentences a second of an encoder, text in and vectors out, beside Hugging Face on PyTorch.

    python -m benchmarks.inference --checkpoint=all-MiniLM-L6-v2/ --data=../shared/data \
        --hugging_face=/path/to/python --sentence_transformers --precisions=float32 --processor=1

The checkpoint is a Hugging Face folder of a BERT. The sentences are real and of mixed length: the
test part of SST-2 and the stories of the dev part of BBC News, cut into sentences, in that order.
Ours does what `roots embed` does: sentences of similar length together, padded to the longest.
Hugging Face's BertModel under `torch.inference_mode` pads each batch to its longest sentence, with
the sentences as they come, or longest first, as sentence-transformers does; with
`--sentence_transformers` that library takes turns too. All tokenise, and take the mean over the
tokens. A bfloat16 is `--precision=mixed_bfloat16` of ours, and autocast there.

Every contender is a process that stays alive; all encode all sentences in turns, with a tokenizer
loaded anew each time, outside the clock. Prints the median over `--rounds`, the spread (largest
less smallest over the median), the ratio to ours in float32, and the largest difference between a
vector, scaled to length 1, and that of ours in float32. A turn of all sentences takes minutes on
two processors; `--sentences` takes fewer, spread over all. With `--processor` all are on that one,
with one thread for products, and what counts is the time that it worked, so that other programs may
run at the same time; without it time is the clock's.
"""

import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import sentencex

from benchmarks.train_step import Process
from roots_tf import program
from roots_tf.storage import files

HARNESS = """
import json, os, sys, time
spec = json.loads(sys.argv[1])
clock = time.perf_counter
if spec["processor"] >= 0:  # before libraries count processors
    clock = time.process_time
    os.sched_setaffinity(0, {spec["processor"]})
    for name in ("OMP", "MKL", "TF"):
        threads = ("INTRAOP_THREADS", "INTEROP_THREADS") if name == "TF" else ("THREADS",)
        os.environ.update({f"{name}_NUM_{which}": "1" for which in threads})
import numpy as np

replies = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what libraries print is not a reply
sentences = json.load(open(spec["sentences"]))

def serve(load_tokenizer, encode):
    vectors = encode(load_tokenizer(), sentences)  # traces, compiles, allocates
    np.save(spec["vectors"], vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    print("ready", file=replies)
    for _ in sys.stdin:
        tokenizer = load_tokenizer()
        began = clock()
        encode(tokenizer, sentences)
        print(len(sentences) / (clock() - began), file=replies)
"""

OURS = """
from roots_tf import models, tokenizers
from roots_tf.inference.vectors import compiled
from roots_tf.labelled import token_rows
import tensorflow as tf

model = models.load(spec["model"], spec["policy"])
embed = compiled(model, "mean", False)

def encode(tokenizer, sentences):
    some = token_rows.cut(*tokenizer.encode(sentences), tokenizer, spec["length"])
    vectors = np.empty([len(sentences), model.config.hidden_dim], np.float32)
    batcher = token_rows.RowBatcher(some, tokenizer.pad_id)
    for examples in token_rows.batches_by_length(some, spec["batch_size"]):
        vectors[examples] = embed(batcher(tf.constant(examples))).numpy()
    return vectors

serve(lambda: tokenizers.load(spec["model"]), encode)
"""

HUGGING_FACE = """
import torch, transformers

torch.set_num_threads(len(os.sched_getaffinity(0)))
device = "cuda" if torch.cuda.is_available() else "cpu"
model = transformers.BertModel.from_pretrained(
    spec["checkpoint"], add_pooling_layer=False).eval().to(device)

def encode(tokenizer, sentences):
    order = np.arange(len(sentences))
    if spec["sorts"]:
        order = np.argsort([-len(sentence) for sentence in sentences], kind="stable")
    vectors = np.empty([len(sentences), model.config.hidden_size], np.float32)
    for start in range(0, len(order), spec["batch_size"]):
        at = order[start : start + spec["batch_size"]]
        batch = tokenizer([sentences[i] for i in at], padding=True, truncation=True,
                          max_length=spec["length"], return_tensors="pt").to(device)
        with torch.inference_mode(), torch.autocast(
            device, torch.bfloat16, enabled=spec["policy"] != "float32"
        ):
            hidden = model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"][..., None].float()
        vectors[at] = ((hidden * mask).sum(1) / mask.sum(1)).cpu().numpy()
    return vectors

serve(lambda: transformers.AutoTokenizer.from_pretrained(spec["checkpoint"]), encode)
"""

SENTENCE_TRANSFORMERS = """
import torch
from sentence_transformers import SentenceTransformer

torch.set_num_threads(len(os.sched_getaffinity(0)))
model = SentenceTransformer(spec["checkpoint"], device="cpu")
model.max_seq_length = spec["length"]

def encode(tokenizer, sentences):
    return model.encode(sentences, batch_size=spec["batch_size"], show_progress_bar=False)

serve(lambda: None, encode)
"""

# Makes the model folder in a process of its own: what it allocates is then not in ours.
IMPORT = """
import sys
from roots_tf import models
from roots_tf.export import hugging_face

found = hugging_face.read(sys.argv[1])
found.tokenizer.save(sys.argv[2])
models.save(sys.argv[2], found.model, **found.description)
print("ready", flush=True)
"""
REFERENCE = "roots float32"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    checkpoint: str = program.flag(help="Hugging Face folder of a BERT encoder")
    data: str = program.flag(help="folder with sst2/test.tsv and bbc_news/dev.jsonl")
    hugging_face: str = program.flag("", help="Python with torch and transformers")
    sentence_transformers: bool = program.flag(
        False, help="whether it takes turns too, in float32: the same Python has it"
    )
    precisions: tuple[str, ...] = program.flag(("float32", "bfloat16"), help="of the products")
    batch_size: int = program.flag(64, help="sentences in a batch")
    max_seq_length: int = program.flag(256, help="tokens of a sentence at most")
    sentences: int = program.flag(0, help="this many, spread over all; 0: all of them")
    rounds: int = program.flag(5, help="turns of each contender")
    processor: int = program.flag(
        -1, help="number of the one that all take turns on, by its time; -1: all, by the clock"
    )
    patience: float = program.flag(600.0, help="seconds in which a contender gets ready")
    output: str = program.flag("", help="JSON file for the results; none if empty")


def main(config: Config) -> list[dict]:
    """Lets the contenders take turns and prints a line for each."""
    sentences = read_sentences(Path(config.data))
    if 0 < config.sentences < len(sentences):
        sentences = sentences[:: len(sentences) // config.sentences][: config.sentences]
    characters = sum(map(len, sentences))
    print(f"{len(sentences)} sentences of {characters / len(sentences):.0f} characters on average")
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(config, sentences, Path(scratch))
    print(f"{'':<40}{'sentences/s':>12}{'spread':>8}{'of ours':>9}{'difference':>12}")
    for row in found:
        print(line(row))
    if config.output:
        files.write_json(config.output, found)
    return found


def read_sentences(data: Path) -> list[str]:
    """The sentences, in the order of their files."""
    lines = (data / "sst2/test.tsv").read_text("utf-8").splitlines()
    stories = (data / "bbc_news/dev.jsonl").read_text("utf-8").splitlines()
    cut = (sentencex.segment("en", json.loads(story)["text"]) for story in stories)
    found = [line.split("\t")[0] for line in lines] + list(itertools.chain.from_iterable(cut))
    return [sentence.strip() for sentence in found if sentence.strip()]


def measure(config: Config, sentences: list[str], scratch: Path) -> list[dict]:
    """Rows of the table, ours in float32 first."""
    files.write_json(scratch / "sentences.json", sentences)
    contenders = {}
    for precision in config.precisions:
        contenders[f"roots {precision}"] = (sys.executable, OURS, precision, True)
    if config.hugging_face:
        for sorts, precision in itertools.product((False, True), config.precisions):
            name = f"hugging_face {precision}, {'longest first' if sorts else 'as they come'}"
            contenders[name] = (config.hugging_face, HUGGING_FACE, precision, sorts)
    if config.sentence_transformers:
        script = SENTENCE_TRANSFORMERS
        contenders["sentence-transformers"] = (config.hugging_face, script, "float32", True)
    model = scratch / "model"
    start([sys.executable, "-c", IMPORT, config.checkpoint, str(model)], "import", config, scratch)
    processes = {}
    for name, (python, script, precision, sorts) in contenders.items():
        spec = {
            "checkpoint": config.checkpoint,
            "model": str(model),
            "sentences": str(scratch / "sentences.json"),
            "vectors": str(scratch / f"{name}.npy"),
            "policy": "float32" if precision == "float32" else "mixed_bfloat16",
            "sorts": sorts,
            "length": config.max_seq_length,
            "batch_size": config.batch_size,
            "processor": config.processor,
        }
        command = [python, "-c", HARNESS + script, json.dumps(spec)]
        processes[name] = start(command, name, config, scratch)
    rates = {name: [] for name in processes}
    for _ in range(config.rounds):
        for name, process in processes.items():
            rates[name].append(process.ask("again"))
    for process in processes.values():
        process.end()
    medians = {name: statistics.median(turns) for name, turns in rates.items()}
    ours = medians.get(REFERENCE)
    vectors = {name: np.load(scratch / f"{name}.npy") for name in processes}
    expected = vectors.get(REFERENCE)
    return [
        {
            "name": name,
            "sentences_per_second": medians[name],
            "spread": (max(turns) - min(turns)) / medians[name],
            "of_ours": medians[name] / ours if ours else None,
            "difference": None if ours is None else float(np.abs(vectors[name] - expected).max()),
            "turns": turns,
        }
        for name, turns in rates.items()
    ]


def start(command: list[str], name: str, config: Config, scratch: Path) -> Process:
    """A contender that is ready.

    Raises:
        InputError: it ended before.
    """
    process = Process(command, scratch / f"{name}.txt")
    if reason := process.start(config.patience):
        raise files.InputError("step-failed", f"{name} did not get ready and said: {reason}")
    return process


def line(row: dict) -> str:
    """A row of the table."""
    ratio, difference = "-", "-"
    if row["of_ours"] is not None:
        ratio, difference = f"{row['of_ours']:.2f}", f"{row['difference']:.1e}"
    return (
        f"{row['name']:<40}{row['sentences_per_second']:>12,.0f}{100 * row['spread']:>7.0f}%"
        f"{ratio:>9}{difference:>12}"
    )


if __name__ == "__main__":
    program.run(main, Config)
