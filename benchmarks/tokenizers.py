"""Speed of the tokenizers beside their peers, on real novels; prints tables.

    python -m benchmarks.tokenizers                       # some ten minutes on two cores
    python -m benchmarks.tokenizers --parts=bulk,graph --megabytes=10

Novels come from `ROOTS_DATA` (shared/data). Peers that are not installed are left out. The memory
part starts a process for each measurement, since a process only knows its own peak.
"""

import argparse
import concurrent.futures
import itertools
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tokenizers as hugging_face
from tokenizers import models, normalizers, pre_tokenizers, trainers

from roots_tf import tokenizers
from roots_tf.tokenizers import training

DATA = Path(os.environ.get("ROOTS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
VOCAB_SIZE = 30_000
CHUNK = 2000  # paragraphs a call


def paragraphs(megabytes: float) -> list[str]:
    """Paragraphs of the novels, each on a line, up to a size."""
    found, size = [], 0
    for path in sorted((DATA / "novels_en").glob("*.txt")):
        for block in path.read_text("utf-8-sig").split("\n\n"):
            if paragraph := " ".join(block.split()):
                found.append(paragraph)
                size += len(paragraph.encode())
                if size > megabytes * 1e6:
                    return found
    return found


def megabytes_of(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def row(name: str, *values: str) -> None:
    print(f"{name:<52} " + " ".join(f"{value:>12}" for value in values), flush=True)


def timed(function, *args) -> float:
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def bare_training(texts, model: str) -> None:
    """The trainer of `tokenizers` with the settings that `training.train` uses."""
    if model == "wordpiece":
        backend = hugging_face.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        backend.normalizer = normalizers.BertNormalizer()
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(
            vocab_size=VOCAB_SIZE, min_frequency=2, limit_alphabet=1000, show_progress=False
        )
    elif model == "bpe":
        backend = hugging_face.Tokenizer(models.BPE())
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=False, handle_chinese_chars=False
        )
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=VOCAB_SIZE,
            min_frequency=2,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        backend = hugging_face.Tokenizer(models.Unigram())
        backend.normalizer = normalizers.BertNormalizer(handle_chinese_chars=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.WhitespaceSplit(),
                pre_tokenizers.Split(hugging_face.Regex(".{100}"), "isolated"),
                pre_tokenizers.Metaspace(),
            ]
        )
        trainer = trainers.UnigramTrainer(
            vocab_size=VOCAB_SIZE, unk_token="[UNK]", special_tokens=["[UNK]"], show_progress=False
        )
    backend.train_from_iterator(iter(texts), trainer)


def our_training(texts, model: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        training.train(iter(texts), folder, model=model, vocab_size=VOCAB_SIZE)


def bench_training(texts: list[str]) -> None:
    row(f"training, {megabytes_of(texts):.0f} MB, {VOCAB_SIZE} ids", "s", "of bare")
    for model in ("wordpiece", "bpe", "unigram"):
        bare = timed(bare_training, texts, model)
        ours = timed(our_training, texts, model)
        row(f"{model}: bare tokenizers", f"{bare:.1f}")
        row(f"{model}: train-tokenizer", f"{ours:.1f}", f"{ours / bare:.2f}")


def peak_memory_of_training(megabytes: float, times: int, model: str) -> int:
    """Peak memory of a process of its own, in MB."""
    command = [
        *(sys.executable, "-m", "benchmarks.tokenizers", "--parts=one-training"),
        *(f"--megabytes={megabytes}", f"--times={times}", f"--model={model}"),
    ]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(printed.split()[-1])


def one_training(megabytes: float, times: int, model: str) -> None:
    texts = paragraphs(megabytes)
    repeated = itertools.chain.from_iterable(itertools.repeat(texts, times))
    our_training(repeated, model)
    # Not `ru_maxrss`, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text("utf-8")
    print(int(status.split("VmHWM:")[1].split()[0]) // 1024)


def bench_memory(megabytes: float) -> None:
    row("peak memory of training, MB", f"{megabytes:g} MB", f"{10 * megabytes:g} MB", "new text")
    for model in ("wordpiece", "bpe", "unigram"):
        row(
            f"{model}",
            str(peak_memory_of_training(megabytes, 1, model)),
            str(peak_memory_of_training(megabytes, 10, model)),
            str(peak_memory_of_training(10 * megabytes, 1, model)),
        )


_worker_tokenizer = None


def _encode_lines(folder: str, path: str, start: int, end: int) -> int:
    """Encodes the lines of a byte range of a file into a file of ids."""
    global _worker_tokenizer
    if _worker_tokenizer is None:
        _worker_tokenizer = tokenizers.load(folder)
    with open(path, "rb") as file:
        file.seek(start)
        lines = file.read(end - start).decode("utf-8").splitlines()
    with open(f"{path}.{start}.ids", "wb") as file:
        for at in range(0, len(lines), CHUNK):
            ids, splits = _worker_tokenizer.encode(lines[at : at + CHUNK])
            splits.tofile(file)
            ids.tofile(file)
    return len(lines)


def bench_bulk(texts: list[str], folder: str) -> None:
    size = megabytes_of(texts)
    row(f"bulk, {size:.0f} MB, text file to id file", "MB/s", "of bare")
    tokenizer = tokenizers.load(folder)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "text"
        path.write_text("\n".join(texts) + "\n", "utf-8")

        def bare():
            lines = path.read_text("utf-8").splitlines()
            with open(path.with_suffix(".bare"), "wb") as file:
                for at in range(0, len(lines), CHUNK):
                    batch = lines[at : at + CHUNK]
                    for encoding in tokenizer.backend.encode_batch_fast(
                        batch, add_special_tokens=False
                    ):
                        file.write(np.array(encoding.ids, np.int32).tobytes())

        bare_speed = size / timed(bare)
        row("tokenizers.encode_batch_fast, all cores", f"{bare_speed:.2f}")
        total = path.stat().st_size
        speed = size / timed(_encode_lines, folder, str(path), 0, total)
        row("Tokenizer.encode, one process", f"{speed:.2f}", f"{speed / bare_speed:.1f}")
        cores = os.cpu_count()
        ranges = line_ranges(path, cores)

        def all_cores():
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(cores, context) as pool:
                futures = [pool.submit(_encode_lines, folder, str(path), *r) for r in ranges]
                return sum(future.result() for future in futures)

        speed = size / timed(all_cores)
        row(
            f"Tokenizer.encode, {cores} processes, their start included",
            f"{speed:.2f}",
            f"{speed / bare_speed:.1f}",
        )


def line_ranges(path: Path, count: int) -> list[tuple[int, int]]:
    """Byte ranges of about equal size that end with lines."""
    bounds = [0]
    with path.open("rb") as file:
        for part in range(1, count):
            file.seek(path.stat().st_size * part // count)
            file.readline()
            bounds.append(file.tell())
    bounds.append(path.stat().st_size)
    return list(itertools.pairwise(bounds))


def bench_graph(texts: list[str], folders: dict[str, str]) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tensorflow_text as tf_text

    size = megabytes_of(texts)
    batches = [tf.constant(texts[at : at + 500]) for at in range(0, len(texts), 500)]

    def speed(tokenize) -> str:
        function = tf.function(tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
        function(batches[0])
        return f"{size / timed(lambda: [function(batch) for batch in batches]):.2f}"

    row(f"in the graph, {size:.0f} MB, batches of 500", "MB/s")
    for model, folder in folders.items():
        graph = tokenizers.load(folder).graph()
        row(f"{model}: ours", speed(graph.tokenize))
        row(f"{model}: ours with offsets", speed(graph.tokenize_with_offsets))
    vocabulary = tokenizers.load(folders["wordpiece"]).vocabulary
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(vocabulary), tf.range(len(vocabulary), dtype=tf.int64)
        ),
        num_oov_buckets=1,
    )
    fast = tf_text.FastBertTokenizer(vocabulary, lower_case_nfd_strip_accents=True)
    row("wordpiece: tensorflow-text FastBertTokenizer", speed(fast.tokenize))
    slow = tf_text.BertTokenizer(table, lower_case=True)
    row("wordpiece: tensorflow-text BertTokenizer", speed(slow.tokenize))
    try:
        import keras_hub
    except ImportError:
        return
    peer = keras_hub.tokenizers.WordPieceTokenizer(
        vocabulary=vocabulary, lowercase=True, strip_accents=True, split_on_cjk=True
    )
    row("wordpiece: keras-hub WordPieceTokenizer", speed(peer.tokenize))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="training,memory,bulk,graph")
    parser.add_argument("--megabytes", type=float, default=66)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--model", default="wordpiece")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if parts == ["one-training"]:
        one_training(arguments.megabytes, arguments.times, arguments.model)
        return
    texts = paragraphs(arguments.megabytes)
    if "training" in parts:
        bench_training(texts)
    if "memory" in parts:
        bench_memory(arguments.megabytes / 10)
    if {"bulk", "graph"} & set(parts):
        with tempfile.TemporaryDirectory() as scratch:
            folders = {model: f"{scratch}/{model}" for model in ("wordpiece", "bpe", "unigram")}
            for model, folder in folders.items():
                sample = iter(texts[:20_000])
                training.train(sample, folder, model=model, vocab_size=VOCAB_SIZE)
            if "bulk" in parts:
                for model, folder in folders.items():
                    print(model)
                    bench_bulk(texts, folder)
            if "graph" in parts:
                bench_graph(texts[:20_000], folders)


if __name__ == "__main__":
    main()
