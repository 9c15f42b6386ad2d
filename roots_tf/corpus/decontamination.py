"""Documents that share word n-grams with evaluation sets are dropped, or cut where they do."""

import csv
import dataclasses
import functools
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from roots_tf.corpus import shingles
from roots_tf.corpus.documents import Document
from roots_tf.corpus.text_size import text_size
from roots_tf.storage import encodings, files, ranges, urls
from roots_tf.words import language_of

_WORD_CHARS = 40  # within which a cut looks for a space
# In scripts without spaces a word is hashed from each of its letters on (`shingles`): so many are a
# word of `roots_tf.words`, in the Declaration of Human Rights. Lao, Khmer and Burmese as Thai.
_HASHES_PER_WORD = {"zh": 1.8, "ja": 1.6, "th": 5, "lo": 5, "km": 5, "my": 5, "und": 5}
_TABLE_BITS = 22  # of hashes that are looked up before the sorted array is searched: 4 MB


@dataclasses.dataclass(frozen=True)
class Decontaminate:
    """Drops or cuts documents that hold word n-grams of evaluation sets.

    The rule is that of GPT-3 (Brown et al. 2020, appendix C): case and punctuation do not matter;
    an n-gram has 13 words, and an example that is shorter counts as a whole if it has 8. Where it
    cuts, 200 characters on either side of what is shared go as well; pieces of less than 200 are
    left out, and a document in more than 10 pieces is dropped. What is left is joined by a line
    end.

    Measures `contaminated_ngrams`: n-grams of the document, however often, that are in the sets.

    Drops with the reason `contaminated`.

    Raises:
        InputError: a value is out of range; a file is missing or cannot be read.
    """

    # Text (an example a line), TSV and CSV (an example a field), JSON and JSON lines (each string).
    evaluation_files: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()  # of JSON objects; none: all
    action: Literal["drop", "cut"] = "drop"
    ngram: int = 13  # GPT-3, appendix C: 8 to 13 words, by the length of the examples
    min_words: int = 8  # of an example shorter than an n-gram; same
    max_ngrams: int = 0  # that a document may share, for example quotations
    window: int = 200  # characters of English (`text_size`); GPT-3, appendix C
    min_piece: int = 200  # characters; same
    max_pieces: int = 10  # same
    encoding: str = "utf-8"  # of evaluation files

    def __post_init__(self):
        object.__setattr__(self, "evaluation_files", tuple(self.evaluation_files))
        object.__setattr__(self, "fields", tuple(self.fields))
        sizes = (self.ngram, self.min_words, self.max_ngrams + 1, self.window + 1, self.min_piece)
        if not self.evaluation_files or self.action not in ("drop", "cut") or min(sizes) < 1:
            raise files.InputError(
                "wrong-recipe",
                f"found action = {self.action!r}, {len(self.evaluation_files)} evaluation_files "
                f"and a least size of {min(sizes)}; wanted evaluation_files, an action drop "
                "or cut, "
                "and sizes of 1 or more; correct the step decontaminate of the recipe",
            )

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """See `documents.DocumentStep`."""
        texts = (self.evaluation_files, self.fields, self.encoding)
        index = _index(texts, self.ngram, self.min_words)
        words = shingles.word_hashes([document.text])[0]
        first, last = shared(words, index)
        measured["contaminated_ngrams"] = len(first)
        if len(first) <= self.max_ngrams:
            return document
        if self.action == "drop":
            return "contaminated"
        words, starts, ends = shingles.word_places(document.text)
        first, last = shared(words, index)
        pieces = self._pieces(document.text, starts[first], ends[last])
        if not 0 < len(pieces) <= self.max_pieces:
            return "contaminated"
        return document._replace(text="\n".join(pieces))

    def limits(self, language: str) -> dict[str, tuple[float, float]]:
        """Lowest and highest value kept of each measure."""
        return {"contaminated_ngrams": (0, self.max_ngrams)}

    def _pieces(self, text: str, starts: np.ndarray, ends: np.ndarray) -> list[str]:
        """What is left of a text without the windows around shared n-grams."""
        window = round(self.window * len(text) / max(text_size(text), 1))
        pieces, left = [], 0
        for start, end in sorted(zip(starts.tolist(), ends.tolist(), strict=True)):
            right = start - window
            if right > left:
                pieces.append(text[_space_after(text, left) : _space_before(text, right)])
            left = max(left, end + window)
        pieces.append(text[_space_after(text, left) :])
        return [piece for piece in map(str.strip, pieces) if text_size(piece) >= self.min_piece]


def _space_after(text: str, place: int) -> int:
    """The next place where a word begins, or this one where no space is near."""
    return text.find(" ", place, place + _WORD_CHARS) + 1 or place if place else 0


def _space_before(text: str, place: int) -> int:
    """The last place where a word has ended, or this one where no space is near."""
    space = text.rfind(" ", max(place - _WORD_CHARS, 0), place + 1)
    return place if space < 0 else space


class Index(NamedTuple):
    """N-grams of evaluation sets, and their heads: the words that even the shortest one has."""

    hashes: np.ndarray  # sorted, each once
    lengths: tuple[int, ...]  # in words, that n-grams have
    heads: np.ndarray  # their hashes, sorted, each once
    head_words: int
    table: np.ndarray  # whether the hash of any head begins with these bits


def index_of(examples: Iterable[str], ngram: int, min_words: int) -> Index:
    """The n-grams of evaluation examples.

    Args:
        examples: their texts.
        ngram: words in an n-gram; an example of fewer words is one n-gram.
        min_words: examples of fewer words are left out.
    """
    head_words = min(ngram, min_words)
    hashes, heads, lengths = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)], set()
    for example in examples:
        words = shingles.word_hashes([example])[0]
        each = _HASHES_PER_WORD.get(language_of(example), 1)
        length = min(round(ngram * each), len(words))
        if length >= max(head_words, round(min(ngram, min_words) * each)):
            lengths.add(length)
            hashes.append(_ngrams(words, length))
            heads.append(_ngrams(words, head_words)[: len(words) - length + 1])
    heads = np.unique(np.concatenate(heads))
    table = np.zeros(1 << _TABLE_BITS, bool)
    table[heads >> np.uint64(64 - _TABLE_BITS)] = True
    hashes = np.unique(np.concatenate(hashes))
    return Index(hashes, tuple(sorted(lengths)), heads, head_words, table)


def _ngrams(words: np.ndarray, length: int) -> np.ndarray:
    """Hashes of all n-grams of a length."""
    number = max(len(words) - length + 1, 0)
    sums = np.zeros(number, np.uint64)
    for place, factor in enumerate(shingles.powers(length)):
        sums += words[place : place + number] * factor
    return shingles.mix(sums)


def shared(words: np.ndarray, index: Index) -> tuple[np.ndarray, np.ndarray]:
    """N-grams of a document that are in evaluation sets.

    Args:
        words: hashes of the document's words.
        index: of the evaluation sets.

    Returns:
        The number of the first and of the last word of each.
    """
    heads = _ngrams(words, index.head_words)
    likely = np.flatnonzero(index.table[heads >> np.uint64(64 - _TABLE_BITS)])
    likely = likely[shingles.among(heads[likely], index.heads)]
    firsts, lasts = [likely[:0]], [likely[:0]]
    for length in index.lengths if len(likely) else ():
        here = likely[likely <= len(words) - length]
        common = here[shingles.among(_ngrams(words, length)[here], index.hashes)]
        firsts.append(common)
        lasts.append(common + length - 1)
    return np.concatenate(firsts), np.concatenate(lasts)


@functools.lru_cache(4)
def _index(texts: tuple, ngram: int, min_words: int) -> Index:
    return index_of(examples(*texts), ngram, min_words)


def examples(
    patterns: tuple[str, ...], fields: tuple[str, ...], encoding: str = "utf-8"
) -> Iterator[str]:
    """Texts of evaluation files.

    Args:
        patterns: files, folders or globs; `.json`, `.jsonl`, `.ndjson`, `.tsv`, `.csv` or any text.
        fields: names of the fields of JSON objects to read, at any depth; none means all.
        encoding: name of that of the files.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    encoding = encodings.python_name(encoding).replace("utf-8", "utf-8-sig")
    for path in files.expand(patterns):
        suffix = Path(urls.name_of(path)).suffix.lower()
        try:
            with io.TextIOWrapper(ranges.opened(path), encoding, newline="") as file:
                if suffix == ".json":
                    yield from _strings(json.load(file), fields, not fields)
                elif suffix in (".jsonl", ".ndjson"):
                    for line in filter(str.strip, file):
                        yield from _strings(json.loads(line), fields, not fields)
                elif suffix == ".csv":
                    for row in csv.reader(file):
                        yield from row
                else:
                    for line in file:
                        yield from line.split("\t") if suffix == ".tsv" else [line]
        except UnicodeDecodeError as error:
            with ranges.opened(path) as file:
                content = file.read()
            raise files.InputError(
                "not-text",
                f"found bytes that are not {encodings.shown_name(encoding)} in {path}; "
                f"{encodings.advice(path, content)}; or name it in the step "
                "decontaminate of the recipe",
            ) from error
        except files.InputError:
            raise
        except (ValueError, RecursionError, OSError, csv.Error) as error:
            raise files.InputError(
                "unreadable-file",
                f"could not read {path} ({error}); wanted an evaluation set as text, TSV, "
                "CSV, JSON or JSON lines; correct the step decontaminate of the recipe",
            ) from error


def _strings(value, fields: tuple[str, ...], wanted: bool) -> Iterator[str]:
    """The strings in a JSON value, or those in its fields of these names."""
    if isinstance(value, str):
        if wanted:
            yield value
    elif isinstance(value, dict):
        for name, inside in value.items():
            yield from _strings(inside, fields, wanted or name in fields)
    elif isinstance(value, list):
        for inside in value:
            yield from _strings(inside, fields, wanted)
