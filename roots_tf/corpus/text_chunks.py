"""Texts of files some at a time, for what needs many at once and never all."""

import itertools
from collections.abc import Iterator, Sequence

from roots_tf.corpus import reading
from roots_tf.corpus.tally import Tally
from roots_tf.storage import files

TEXTS_AT_ONCE = 8192
CHARS_AT_ONCE = 1 << 26


def text_chunks(
    patterns: Sequence[str], text_field: str = "text", encoding: str = "utf-8", most: int = 0
) -> Iterator[list[str]]:
    """Texts of plain text with a text a line, JSON lines and Parquet, in order.

    Args:
        patterns: files, folders or globs.
        text_field: field of JSON lines, column of Parquet.
        encoding: of plain text and JSON lines without a byte order mark.
        most: texts that are read; 0: all.

    Yields:
        At least one text each; none of no files' texts.

    Raises:
        InputError: a file is missing or damaged; a record has no text, or one is longer than a
            reader holds: places among the texts would not be those of the records.
    """
    tally = Tally()
    documents = reading.read_documents(
        files.expand(patterns), "line", text_field=text_field, tally=tally, encoding=encoding
    )
    chunk, chars = [], 0
    for document in itertools.islice(documents, most or None):
        chunk.append(document.text)
        chars += len(document.text)
        if len(chunk) == TEXTS_AT_ONCE or chars > CHARS_AT_ONCE:
            yield chunk
            chunk, chars = [], 0
    if chunk:
        yield chunk
    problems = {reason: count for reason, (count, _) in tally.dropped.items()}
    if "documents_cut_at_max_chars" in tally.notes:
        problems["too_long"] = tally.notes["documents_cut_at_max_chars"]
    if problems:
        raise files.InputError(
            "empty-text",
            f"found records that have no vector: {problems}; wanted a text in each of at most "
            f"{reading.MAX_DOCUMENT_CHARS} characters: mend or remove them",
        )
