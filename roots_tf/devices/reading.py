"""How fast batches are read and masked, beside what the steps that were measured take."""

import shutil
import time

import pyarrow as pa
import pyarrow.parquet as pq

from roots_tf import commands, examples, objectives
from roots_tf.devices.place import Place
from roots_tf.devices.results import Finding
from roots_tf.devices.texts import sentences
from roots_tf.tokenizers import training

LENGTH, ROWS = 128, 256


def run(place: Place, needed: dict[str, float], seconds: float) -> Finding:
    """Builds examples of made-up text and reads them as `pretrain` does.

    Args:
        place: any.
        needed: tokens/s of the fastest step of each size.
        seconds: to read for.
    """
    length, rows, count = (16, 8, 200) if place.debug else (LENGTH, ROWS, 20_000)
    texts = sentences(count, place.seed)
    root = place.folder / "reading"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    documents = ["\n".join(texts[i : i + 10]) for i in range(0, count, 10)]
    table = {
        "id": [f"{number}" for number in range(len(documents))],
        "text": documents,
        "source": ["made up"] * len(documents),
    }
    (root / "documents").mkdir()
    pq.write_table(pa.table(table), root / "documents" / "documents-00000-of-00001.parquet")
    training.train(iter(texts[:1000]), root / "tokenizer", vocab_size=200)
    commands.call(
        "build-examples",
        **{"input": [root / "documents"], "tokenizer": root / "tokenizer"},
        **{"output": root / "examples", "max_seq_length": length, "num_workers": 1},
    )
    batches = iter(
        examples.pipeline(
            root / "examples",
            objectives.MaskedLM().make_rows,
            batch_size=rows,
            seed=place.seed,
        )
    )
    for _ in range(3):
        next(batches)
    began, made = time.monotonic(), 0
    while not made or time.monotonic() - began < seconds:
        next(batches)
        made += 1
    return beside(made * rows * length / (time.monotonic() - began), needed)


def beside(rate: float, needed: dict[str, float]) -> Finding:
    """What a rate means for the steps that were measured; none is wrong.

    Args:
        rate: tokens/s that are read.
        needed: tokens/s of the fastest step of each size.
    """
    numbers = {"tokens_per_second": rate}
    numbers |= {f"needed_{size}": need for size, need in needed.items()}
    waits = [f"{size} ({need:,.0f})" for size, need in needed.items() if need > rate]
    said = f"{rate:,.0f} tokens/s"
    if waits:
        said += f"; steps that take more wait for their input: {', '.join(waits)}"
    elif needed:
        said += f", at least {rate / max(needed.values()):.1f} times what a step takes"
    return Finding(True, said, numbers)
