"""Add words to a vocabulary that exists, keeping every old id.

    roots extend-vocab --vocabulary=bert/vocab.txt --words=drugs.txt --output=vocabulary/
    roots extend-vocab --vocabulary=vocabulary/ --input=documents/ --count=1000 --output=larger/

Words come from a file with a word a line, or are the most frequent ones of documents that the
vocabulary cuts into many pieces. Takes seconds, and for documents half a minute for 65 MB. Prints
each new word with the pieces it had, and writes a folder like `train-tokenizer`. A model that is
to use it needs as many more rows in its embedding: `vocab_size` of `report.json`.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import program, tokenizers
from roots_tf.corpus import reading
from roots_tf.storage import claims, files
from roots_tf.tokenizers import extending
from roots_tf.tokenizers.shown import shown


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `extend-vocab`."""

    vocabulary: str = program.flag(
        help="tokenizer folder, tokenizer.json, vocab.txt or .model", role="input"
    )
    output: str = program.flag(help="folder of the extended vocabulary", role="output_folder")
    words: tuple[str, ...] = program.flag((), help="files with a word a line", role="input")
    input: tuple[str, ...] = program.flag((), help="documents to find words in", role="input")
    count: int = program.flag(
        1000, help="words to take from the documents, at most", minimum=1, maximum=1_000_000
    )
    min_pieces: int = program.flag(
        3, help="pieces that a word of the documents must have now", minimum=2, maximum=100
    )
    layout: Literal["blank_lines", "file", "line"] = program.flag(
        "line", help="what one document is in plain text files"
    )
    encoding: str = program.flag(
        "utf-8",
        help="of plain text and JSON lines without a byte order mark: GB18030, Big5, Latin-1, ...",
    )
    debug: bool = program.flag(False, help="read 1,000 documents only")


@program.takes_urls
def main(config: Config) -> None:
    """Gathers the words, adds them and says what became of each."""
    if bool(config.words) == bool(config.input):
        raise files.InputError(
            "flags-conflict",
            "found both or neither of --words and --input; wanted one source of new words",
        )
    old = tokenizers.load(config.vocabulary)
    if config.words:
        lines = reading.read_documents(
            files.expand(config.words), layout="line", encoding=config.encoding
        )
        words = [line.text.strip() for line in lines]
    else:
        documents = reading.read_documents(
            files.expand(config.input), layout=config.layout, encoding=config.encoding
        )
        texts = (document.text for document in documents)
        if config.debug:
            texts = itertools.islice(texts, 1000)
        words = extending.split_words(old, texts, config.min_pieces, config.count)
    new = extending.extend(old, words)
    if new.vocabulary[: old.size] != old.vocabulary:
        raise AssertionError("an old id changed its token")
    output = Path(config.output)
    report = {"old_vocab_size": old.size, "vocab_size": new.size}
    report |= {"fingerprint": new.fingerprint, "words": words}
    claim = claims.of(config)
    with claim.held(output):
        claim.begin(output, replaces=True)
        new.save(output)
        files.write_json(output / "report.json", report)
    for word in words:
        ids, _ = old.encode([f" {word}"])
        print(f"{word}\t{' '.join(shown(old, ids))}")
    logging.info("%s: %d ids, %d more than before", output, new.size, new.size - old.size)


if __name__ == "__main__":
    program.run(main, Config)
