"""Speed of records -> masked batches, beside keras-hub's preprocessor and Hugging Face's collator.

    python -m benchmarks.read_examples --examples=runs/examples128,runs/examples512

For every folder and masking: tokens a second, processor milliseconds a batch and the time to a
first batch, of step 0 and of step 1,000,000. The peers start from what they take: keras-hub's
`BertMaskedLMPreprocessor` from text (it tokenises anew each epoch), in tf.data; Hugging Face's
`DataCollatorForLanguageModeling` from lists of ids, in this process. Neither makes sentence pairs.
Peers that are not installed are left out. About a minute a folder. Prints a table.
"""

import dataclasses
import functools
import importlib.util
import itertools
import json
import os
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from roots_tf import examples, objectives, program, tokenizers
from roots_tf.examples import manifest, records


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    examples: tuple[str, ...] = program.flag(help="folders that build-examples wrote")
    tokens_a_batch: int = program.flag(32768, help="rows of a batch, times their length")
    seconds: float = program.flag(5.0, help="of each measurement")
    output: str = program.flag("", help="JSON file for the results; none if empty")


def main(config: Config) -> None:
    """Measures every folder."""
    found = []
    for folder in config.examples:
        length = manifest.load(folder)["max_seq_length"]
        rows = config.tokens_a_batch // length
        predictions = round(0.16 * length)
        for objective, masking in [
            ("nsp", "token"), ("nsp", "whole_word"), ("nsp", "span"), ("sop", "token"),
            ("none", "token"),
        ]:  # fmt: skip
            how = objectives.MaskedLM(
                objective, masking=masking, max_predictions_per_seq=predictions
            )
            flags = {"batch_size": rows, "seed": 0}
            make = functools.partial(examples.pipeline, folder, how.make_rows, **flags)
            near, far = first_batch(make), first_batch(make, start_step=1_000_000)
            name = f"roots {objective}, {masking}"
            found.append(
                measure(
                    name,
                    iter(make()),
                    rows,
                    length,
                    config.seconds,
                    near,
                    far,
                )
            )
        for name, batches in peers(folder, rows, length, predictions):
            found.append(measure(name, batches, rows, length, config.seconds))
    print(f"\n{'':<44}{'L':>5}{'Mtokens/s':>11}{'CPU ms/batch':>14}{'first, s':>10}{'far, s':>8}")
    for row in found:
        times = "".join(
            f"{row[key]:>{width}.2f}" if row[key] else " " * width
            for key, width in [("first_seconds", 10), ("far_seconds", 8)]
        )
        print(
            f"{row['name']:<44}{row['length']:>5}{row['tokens_per_second'] / 1e6:>11.2f}"
            f"{row['cpu_milliseconds']:>14.1f}{times}"
        )
    if config.output:
        Path(config.output).write_text(json.dumps(found, indent=2) + "\n")


def first_batch(make, **flags) -> float:
    """Seconds to the first batch, the making of the pipeline included."""
    began = time.monotonic()
    next(iter(make(**flags)))
    return time.monotonic() - began


def measure(name, batches, rows, length, seconds, first=None, far=None) -> dict:
    """Draws batches for some seconds, after a few to start with."""
    for _ in range(3):
        next(batches)
    used = os.times()
    began, count = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        next(batches)
        count += 1
    elapsed, after = time.monotonic() - began, os.times()
    cpu = after.user + after.system - used.user - used.system
    return {
        "name": name,
        "length": length,
        "tokens_per_second": count * rows * length / elapsed,
        "cpu_milliseconds": 1000 * cpu / count,
        "first_seconds": first,
        "far_seconds": far,
    }


def peers(folder: str, rows: int, length: int, predictions: int):
    """Names and endless batches of the peers that are installed."""
    described = manifest.load(folder)
    tokenizer = tokenizers.load(Path(folder, manifest.TOKENIZER))
    shard = Path(folder, described["splits"]["train"]["shards"][0]["name"])
    found = [np.frombuffer(record, described["word"]) for record in records.read(shard)[1:]]
    header = records.header_words(described["word"], manifest.layout_of(described))
    lengths = np.array([len(record) for record in found])
    flat, counts, _ = records.split(
        np.concatenate(found), lengths, header, described.get("word_starts")
    )
    ids = [part.tolist() for part in np.split(flat, np.cumsum(counts)[:-1])]
    if importlib.util.find_spec("keras_hub") and tokenizer.kind == "wordpiece":
        yield (
            "keras-hub BertMaskedLMPreprocessor, text",
            keras_hub_batches(
                tokenizer, [tokenizer.decode(row) for row in ids[:4096]], rows, length, predictions
            ),
        )
    if importlib.util.find_spec("transformers") and importlib.util.find_spec("torch"):
        yield (
            "DataCollatorForLanguageModeling, ids",
            collator_batches(Path(folder, manifest.TOKENIZER), tokenizer, ids, rows),
        )


def keras_hub_batches(tokenizer, texts, rows, length, predictions):
    """Masked batches from text."""
    import keras_hub

    preprocessor = keras_hub.models.BertMaskedLMPreprocessor(
        keras_hub.models.BertTokenizer(vocabulary=tokenizer.vocabulary, lowercase=True),
        sequence_length=length,
        mask_selection_length=predictions,
    )
    dataset = tf.data.Dataset.from_tensor_slices(texts).repeat().batch(rows, drop_remainder=True)
    dataset = dataset.map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE)
    return iter(dataset.prefetch(tf.data.AUTOTUNE))


def collator_batches(folder, tokenizer, ids, rows):
    """Masked batches from lists of ids."""
    import transformers

    names = {
        f"{role}_token": tokenizer.vocabulary[getattr(tokenizer, f"{role}_id")]
        for role in ("pad", "unk", "cls", "sep", "mask")
    }
    peer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), **names
    )
    collate = transformers.DataCollatorForLanguageModeling(peer, mlm_probability=0.15)
    ends = [tokenizer.cls_id], [tokenizer.sep_id]
    feed = itertools.cycle([{"input_ids": ends[0] + row + ends[1]} for row in ids])
    while True:
        yield collate(list(itertools.islice(feed, rows)))


if __name__ == "__main__":
    program.run(main, Config)
