"""Sentences of tagged words from CoNLL files: a word a line with its tag, a blank line between."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from roots_tf.labelled.text_files import lines_of, read_text
from roots_tf.storage.files import InputError

_TAG = re.compile(r"O|[BIESLU]-\S+")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)*:")  # of WikiANN: "en:", "zh-classical:"


class Sentence(NamedTuple):
    """Words, the IOB2 tag of each, and the line of the first, counted from 1."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    line: int


def read(path: str | Path, labelled: bool = True, encoding: str = "utf-8") -> list[Sentence]:
    """Reads a file of tagged words, such as CoNLL-2003's (Tjong Kim Sang & De Meulder 2003, 2).

        U.N.     B-ORG
        official O          ->  Sentence(("U.N.", "official", "Ekeus"), ("B-ORG", "O", "B-PER"), 1)
        Ekeus    B-PER

    A line has two or more columns, parted by tabs or by spaces: the word is the first, the tag the
    last. `-DOCSTART-` lines end a sentence and are left out, as are comments: lines that start with
    `# ` and do not end in a tag. WikiANN writes the language before each word (`en:Sioux`); where
    every word of the file starts with the same one, it is cut off.

    Tags may be IOB2, IOB1, BIOES or BILOU; they are returned as IOB2.

    Args:
        path: the file.
        labelled: whether tags are read; else there may be words alone, and tags are empty.
        encoding: name of that of the file.

    Raises:
        InputError: the file cannot be read or holds no sentence, a line has another number of
            columns than the first or no word, or a tag is of no such scheme. The message names file
            and line.
    """
    blocks = [[]]  # of (line, word, tag)
    width = 0
    for number, line in enumerate(read_text(path, encoding).split("\n"), 1):
        line = line.rstrip("\r ")
        if not line.strip() or line.startswith("-DOCSTART-"):
            blocks.append([])
            continue
        fields = line.split("\t") if "\t" in line else [part for part in line.split(" ") if part]
        if line.startswith("# ") and not _TAG.fullmatch(fields[-1]):
            continue
        width = width or len(fields)
        narrowest = 2 if labelled else 1
        if len(fields) != width or width < narrowest:
            raise InputError(
                "wrong-row",
                f"found {len(fields)} columns in {path}, line {number}: {line[:80]!r}; wanted "
                f"{max(width, narrowest)}, parted by tabs or spaces, a word first and its tag last",
            )
        if not fields[0].strip():
            raise InputError(
                "wrong-row", f"found no word in {path}, line {number}: {line[:80]!r}; wanted one"
            )
        if labelled:
            check_tags(fields[-1:], f"{path}, line {number}")
        blocks[-1].append((number, fields[0], fields[-1]))
    blocks = [block for block in blocks if block]
    if not blocks:
        raise InputError(
            "empty-input", f"found no sentence in {path}; wanted a word and its tag a line"
        )
    cut = _language_length([word for block in blocks for _, word, _ in block])
    return [
        Sentence(
            tuple(word[cut:] for _, word, _ in block),
            tuple(to_iob2([tag for _, _, tag in block])) if labelled else (),
            block[0][0],
        )
        for block in blocks
    ]


def check_tags(tags: Sequence[str], where: str) -> None:
    """Refuses what is no tag.

    Args:
        tags: any.
        where: they stand, for messages.

    Raises:
        InputError: one is of no scheme.
    """
    for tag in tags:
        if not (isinstance(tag, str) and _TAG.fullmatch(tag)):
            raise InputError(
                "no-such-label",
                f"found tag {tag!r} in {where}; wanted O, B-TYPE or I-TYPE (IOB2, IOB1, BIOES or "
                "BILOU)",
            )


def is_tagged(text) -> bool:
    """Whether a text is such a file: lines of as many columns, two or more, whose last is a tag.

    Args:
        text: of a file, or a `LazyText`, which is read as far as the answer takes.
    """
    width = 0
    for _, line in lines_of(text):
        if line.startswith(("#", "-DOCSTART-")):
            continue
        fields = line.split()
        width = width or len(fields)
        if len(fields) != width or width < 2 or not _TAG.fullmatch(fields[-1]):
            return False
    return width > 0


def to_iob2(tags: list[str]) -> list[str]:
    """Tags of a sentence in IOB2, where each entity begins with B-, from IOB1, BIOES or BILOU.

    >>> to_iob2(["I-PER", "I-PER", "B-PER", "I-LOC", "O", "S-LOC", "B-LOC", "E-LOC"])
    ['B-PER', 'I-PER', 'B-PER', 'B-LOC', 'O', 'B-LOC', 'B-LOC', 'I-LOC']
    """
    converted, inside = [], None  # the type of the entity that may go on
    for tag in tags:
        prefix, _, entity_type = tag.partition("-")
        if prefix == "O":
            inside = None
            converted.append(tag)
            continue
        begins = prefix in "BSU" or entity_type != inside
        converted.append(f"{'B' if begins else 'I'}-{entity_type}")
        inside = None if prefix in "ESLU" else entity_type
    return converted


def _language_length(words: list[str]) -> int:
    """Length of the language code that every word starts with; 0 where there is none."""
    match = _LANGUAGE.match(words[0])
    if match and all(word.startswith(match[0]) and word != match[0] for word in words):
        return match.end()
    return 0
