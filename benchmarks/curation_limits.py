"""Quantiles of what the quality rules measure, by which their limits by language were set.

    python -m benchmarks.curation_limits /data --documents=300

The folder holds `novels_en`, `histories_zh`, `udhr` and `chnsenticorp`. Prose is cut into documents
of whole paragraphs that say as much as 1,000 characters of English; reviews of 50 words and more
are documents. For each rule it prints what one document in two hundred is beyond, the limit in
force, and the share of the documents that it drops. The method is in docs/curate.md.
"""

import argparse
import math
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from roots_tf.corpus.cleaning import BasicQuality, JoinLines, Repair
from roots_tf.corpus.documents import Document
from roots_tf.corpus.lines import Lines
from roots_tf.corpus.quality import Length, Symbols
from roots_tf.corpus.repetition import Repetition
from roots_tf.corpus.text_size import text_size
from roots_tf.words import words

STEPS = (BasicQuality(), Length(), Symbols(), Lines(), Repetition())
CODES = {"eng": "en", "cmn_hans": "zh", "jpn": "ja", "tha": "th", "kor": "ko"}
SIZE = 1000
TAIL = 0.005


def cleaned(text: str) -> str:
    """Text as the first steps of a recipe leave it."""
    document = Document(text, "")
    for step in (Repair(), JoinLines()):
        document = step(document, {})
    return document.text


def pieces(text: str) -> Iterator[str]:
    """Whole paragraphs that together say as much as `SIZE` characters of English."""
    held, size = [], 0.0
    for line in text.split("\n"):
        held.append(line)
        size += text_size(line)
        if size >= SIZE:
            yield "\n".join(held)
            held, size = [], 0.0


def corpora(folder: Path, number: int) -> Iterator[tuple[str, str, list[str]]]:
    """Name, language and documents of each corpus, `number` of them drawn from it."""
    draw = random.Random(0)
    for name in ("novels_en", "histories_zh"):
        paths = draw.sample(sorted((folder / name).glob("*.txt")), 12)
        texts = [cleaned(path.read_text("utf-8-sig")[:300_000]) for path in paths]
        documents = [piece for text in texts for piece in pieces(text)]
        yield name, name[-2:], draw.sample(documents, min(number, len(documents)))
    rows = (folder / "chnsenticorp" / "train.tsv").read_text("utf-8").split("\n")[1:]
    reviews = [cleaned(row.split("\t")[1]) for row in draw.sample(rows, 4 * number) if "\t" in row]
    yield "reviews_zh", "zh", [text for text in reviews if len(words(text)) >= 50][:number]
    for name, code in CODES.items():
        text = cleaned((folder / "udhr" / f"{name}.txt").read_text("utf-8-sig"))
        yield f"udhr {name}", code, list(pieces(text))


def main() -> None:
    """Prints a table for each corpus."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("folder", type=Path)
    flags.add_argument("--documents", type=int, default=300)
    arguments = flags.parse_args()
    english = cleaned((arguments.folder / "udhr/eng.txt").read_text("utf-8-sig"))
    for name in CODES:
        text = cleaned((arguments.folder / "udhr" / f"{name}.txt").read_text("utf-8-sig"))
        print(f"{name}: English takes {len(english) / len(text):.2f} characters for one")
    for name, language, documents in corpora(arguments.folder, arguments.documents):
        print(f"\n{name}, {len(documents)} documents\n{'':>28}  lowest highest   limits   dropped")
        found: dict[str, list[float]] = {}
        limits = {}
        for text in documents:
            for step in STEPS:
                measured: dict[str, float] = {}
                step(Document(text, "", language), measured)
                for measure, value in measured.items():
                    found.setdefault(measure, []).append(value)
                limits |= step.limits(language)
        for measure, values in found.items():
            low, high = np.quantile(values, [TAIL, 1 - TAIL])
            least, most = limits[measure]
            out = np.mean([not least <= value <= most for value in values])
            bounds = f"{least if least > -math.inf else '':>5} {most if most < math.inf else '':>5}"
            print(f"{measure:>28} {low:7.3f} {high:7.3f}  {bounds} {out:8.3f}")


if __name__ == "__main__":
    main()
