"""Find texts that a model takes for what belongs to a query: negatives to train it with.

    roots mine-negatives --model=work/minilm --input=sts/train.jsonl --corpus=notes.txt \\
        --output=hard.jsonl --relative_margin=0.05
    roots finetune --task=contrastive --init_from=work/minilm --train=hard.jsonl \\
        --dev=sts/dev.tsv --output=work/harder

Reads pairs of text and positive, and a corpus: plain text with a text a line, JSON lines or Parquet
with a column `text`; without --corpus the positives of the pairs. Writes JSON lines with the same
pairs, in their order, and `negative_0`, `negative_1`, ...: the texts of the corpus that are nearest
to the text by their vectors, but for its positives, in whatever row they stand, and itself. Equal
texts, by the tokens that the model sees, are one. The search is exact and takes the time of
embedding the corpus, and a product of each query with each text; memory does not grow with the
corpus. Where few texts are left by the flags a row has fewer negatives.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from roots_tf import inference, labelled, models, program, progress, spelling
from roots_tf.corpus import text_chunks
from roots_tf.inference.hard_negatives import MiningFlags, Nearest
from roots_tf.inference.vector_flags import CorpusVectorFlags
from roots_tf.labelled import equal_texts, tables, text_files
from roots_tf.storage import files, inputs
from roots_tf.tasks.contrast_flags import NEGATIVES

JSON_LINES = (".jsonl", ".ndjson")
DEBUG_ROWS, DEBUG_TEXTS = 256, 1000


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `mine-negatives`."""

    model: str = program.flag(
        help="model folder that pretrain, finetune or import wrote", role="input"
    )
    input: str = program.flag(help="table of text and positive", role="input")
    output: str = program.flag(help="file to write: .jsonl", role="output_file")
    corpus: tuple[str, ...] = program.flag(
        (), help="files, folders or globs of texts; none: the positives of --input", role="input"
    )
    mining: MiningFlags = program.group(MiningFlags(), "mining")
    vectors: CorpusVectorFlags = program.group(CorpusVectorFlags(), "vectors")
    columns: tuple[str, ...] = program.flag(
        (), help="names of columns of --input that differ: text=question,positive=answer"
    )
    text_field: str = program.flag(
        "text", help="field of JSON lines, column of Parquet that holds a text of the corpus"
    )
    encoding: str = program.flag(
        "utf-8", help="of text files without a byte order mark: GB18030, Big5, Latin-1, ..."
    )
    batch_size: int = program.flag(64, help="texts computed at once", **program.ROWS)
    debug: bool = program.flag(
        False, help=f"the first {DEBUG_ROWS} pairs and {DEBUG_TEXTS} texts of the corpus only"
    )


@program.takes_urls
def main(config: Config) -> dict:
    """Writes the pairs with their negatives, and returns how many there are."""
    program.check(config)
    config.mining.check()
    inputs.check(config, "input", "corpus")
    if (suffix := Path(config.output).suffix) not in JSON_LINES:
        meant = spelling.suggestion(suffix, JSON_LINES)
        raise files.InputError(
            "cannot-write", f"found --output={config.output}; wanted a .jsonl{meant}"
        )
    models.describe(config.model)
    check_corpus(config.corpus)
    texts, positives = pairs(config)

    def chunks() -> Iterable[list[str]]:
        if not config.corpus:
            return [positives]
        most = DEBUG_TEXTS if config.debug else 0
        return text_chunks.text_chunks(config.corpus, config.text_field, config.encoding, most)

    start = time.monotonic()
    places, seen = mine(config, texts, positives, chunks)
    found = texts_at(chunks(), places)
    lines = []
    for row, (text, positive) in enumerate(zip(texts, positives, strict=True)):
        negatives = [found[place] for place in places[row].tolist() if place >= 0]
        names = {f"negative_{i}": negative for i, negative in enumerate(negatives)}
        lines.append(json.dumps({"text": text, "positive": positive} | names, ensure_ascii=False))
    files.write_text(config.output, "".join(f"{line}\n" for line in lines))
    logging.info("%d texts were searched in %.0f s", seen, time.monotonic() - start)
    of_rows = (places >= 0).sum(1)
    if short := int((of_rows < config.mining.num_negatives).sum()):
        logging.warning(
            "%d of %d rows have fewer than %d negatives, %d of them none: the corpus, --range_max "
            "and the margins leave no more",
            *(short, len(texts), config.mining.num_negatives, int((of_rows == 0).sum())),
        )
    return {"rows": len(texts), "negatives": int(of_rows.sum()), "texts": seen}


def check_corpus(corpus: Sequence[str]) -> None:
    """Refuses tables of several columns, whose lines are no texts.

    Args:
        corpus: files, folders or globs; none is fine.

    Raises:
        InputError: a file is missing, or such a table.
    """
    for path in files.expand(corpus) if corpus else ():
        if text_files.suffix_of(path) in (".tsv", ".csv"):
            raise files.InputError(
                "unknown-suffix",
                f"found {path} as a corpus; wanted a text a line (.txt), JSON lines or Parquet "
                "with a column text: write its texts as one of them",
            )


def pairs(config: Config) -> tuple[list[str], list[str]]:
    """Texts and positives of the input.

    Args:
        config: of the program.

    Raises:
        InputError: something is wrong with the file; names the line.
    """
    columns = labelled.column_names(config.columns)
    wanted = ("text", "positive")
    table = tables.read(config.input, wanted, NEGATIVES, columns, encoding=config.encoding)
    if had := [name for name in NEGATIVES if name in table.columns]:
        logging.warning("%s is not taken over from %s", ", ".join(had), config.input)
    table = labelled.first(table, DEBUG_ROWS) if config.debug else table
    return tables.strings(table, "text"), tables.strings(table, "positive")


def mine(
    config: Config,
    texts: list[str],
    positives: list[str],
    chunks: Callable[[], Iterable[list[str]]],
) -> tuple[np.ndarray, int]:
    """Places in the corpus of the negatives of each row, and how many texts were searched.

    Args:
        config: of the program.
        texts: of each row.
        positives: of each row.
        chunks: gives the corpus, some texts at a time.

    Raises:
        InputError: the model makes no vectors, or something is wrong with the corpus.
    """
    from roots_tf.inference import searching

    model = inference.load(config.model)
    of_queries, of_corpus = searching.embedders(model, config.vectors, config.batch_size)
    numbers = equal_texts.numbers(of_queries.rows(texts))  # [R]
    _, first = np.unique(numbers, return_index=True)
    queries = of_queries([texts[row] for row in first])  # [Q, H]
    cosines = np.einsum("rh,rh->r", queries[numbers], of_corpus(positives))
    own = [equal_texts.digests(of_corpus.rows(column)) for column in (texts, positives)]
    both = np.concatenate([numbers, numbers])
    nearest = Nearest(queries, config.mining.range_max, both, np.concatenate(own))
    for chunk in progress.track(chunks(), "search", None, "texts", len):
        nearest.add(of_corpus(chunk), equal_texts.digests(of_corpus.rows(chunk)))
    if not nearest.seen:
        raise files.InputError(
            "empty-input", f"found no text in {', '.join(config.corpus)}; wanted at least one"
        )
    return nearest.chosen(numbers, cosines, config.mining), nearest.seen


def texts_at(chunks: Iterable[list[str]], places: np.ndarray) -> dict[int, str]:
    """Texts of the corpus by their places.

    Args:
        chunks: of the corpus.
        places: of texts, from 0; -1 is none.
    """
    wanted, found, begin = np.unique(places), {}, 0
    for chunk in chunks:
        here = wanted[(wanted >= begin) & (wanted < begin + len(chunk))]
        found |= {place: chunk[place - begin] for place in here.tolist()}
        begin += len(chunk)
    return found


if __name__ == "__main__":
    program.run(main, Config)
