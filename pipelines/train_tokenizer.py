"""Train a vocabulary (WordPiece, byte-level BPE or Unigram) on documents or raw text.

    roots train-tokenizer --input=documents/ --output=vocabulary/ --vocab_size=30522
    roots train-tokenizer --input='udhr/*.txt' --output=vocabulary/ --model=unigram --nolowercase

Reads what the other programs read: Parquet shards of `curate`, text, JSON lines, compressed or not.
Memory holds the number of times each word occurs, not the corpus: 65 MB of novels take half a
minute on a busy machine and 200 MB. Writes `tokenizer.json`, which
Hugging Face `tokenizers` and `transformers` load, `vocab.txt` (WordPiece), `report.json` and
`config.json`, and prints the report, of the novels:

    source                                words      [UNK] %    covered %  tokens/word  bytes/token
    (all)                             3,195,041          0.0        100.0        1.252        4.312
    Morris_Wood_1894.txt                 39,835          0.0        100.0        1.203        4.174
"""

import dataclasses
import itertools
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import files, program
from roots_tf.corpus import reading
from roots_tf.tokenizers import report, training


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `train-tokenizer`."""

    input: tuple[str, ...] = program.flag(help="files, folders or globs of documents or raw text")
    output: str = program.flag(help="folder of the vocabulary")
    model: Literal["wordpiece", "bpe", "unigram"] = program.flag(
        "wordpiece", help="kind of the vocabulary"
    )
    vocab_size: int = program.flag(30_522, help="number of ids, at most")
    multiple_of: int = program.flag(1, help="round the number of ids up to a multiple of this")
    lowercase: bool = program.flag(True, help="lower-case the text")
    strip_accents: Literal["auto", "true", "false"] = program.flag(
        "auto", help="remove accents; auto: where the text is lower-cased, as BERT does"
    )
    min_frequency: int = program.flag(2, help="occurrences that a merged pair needs")
    limit_alphabet: int = program.flag(1000, help="characters, at most, that WordPiece keeps")
    layout: Literal["blank_lines", "file", "line"] = program.flag(
        "line", help="what one document is in plain text files"
    )
    debug: bool = program.flag(False, help="read 1,000 documents only")


def main(config: Config) -> None:
    """Streams the documents through the trainer, then measures the vocabulary on a sample."""
    start = time.monotonic()
    output = Path(config.output)
    documents = reading.read_documents(files.expand(config.input), layout=config.layout)
    if config.debug:
        documents = itertools.islice(documents, 1000)
    sample = report.Sample()
    tokenizer = training.train(
        _texts(documents, sample),
        output,
        model=config.model,
        vocab_size=config.vocab_size,
        lowercase=config.lowercase,
        strip_accents={"auto": None, "true": True, "false": False}[config.strip_accents],
        multiple_of=config.multiple_of,
        min_frequency=config.min_frequency,
        limit_alphabet=config.limit_alphabet,
    )
    measured = {
        "vocab_size": tokenizer.size,
        "fingerprint": tokenizer.fingerprint,
        "seconds": round(time.monotonic() - start, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        **report.measure(tokenizer, sample),
    }
    files.write_json(output / "report.json", measured)
    files.write_text(output / "config.json", program.to_json(config))
    print(report.table(measured))
    logging.info(
        "%s: %d ids in %.1f s, %d MB of memory at most",
        output,
        measured["vocab_size"],
        measured["seconds"],
        measured["peak_memory_mb"],
    )


def _texts(documents: Iterator[reading.Document], sample: report.Sample) -> Iterator[str]:
    """Texts of the documents; keeps some for the report and shows how far it is."""
    interval = 1 if sys.stderr.isatty() else 10  # seconds
    shown, characters, number = time.monotonic(), 0, 0
    for number, document in enumerate(documents, 1):
        characters += len(document.text)
        sample.add(document.text, document.source)
        if time.monotonic() - shown > interval:
            shown = time.monotonic()
            logging.info("read %d documents, %.1f M characters", number, characters / 1e6)
        yield document.text
    logging.info("read %d documents, %.1f M characters; learning", number, characters / 1e6)


if __name__ == "__main__":
    program.run(main, Config)
