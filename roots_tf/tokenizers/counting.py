"""Counting words before a vocabulary is learnt from them.

The trainers of `tokenizers` normalise every occurrence of every word, and hold memory that grows
with the text. Here text is cut where that changes no word, equal stretches are counted, and each
distinct stretch is normalised and pre-tokenised once: half the time, and memory that only grows
with the number of distinct words. Clauses of scripts without spaces are cut further: `unspaced`.
"""

import dataclasses
import functools
import itertools
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.feather
import tokenizers

from roots_tf import words as words_of
from roots_tf.storage import files
from roots_tf.tokenizers import bulk, marks, unspaced

# What is counted before it is normalised: distinct stretches, some 30 MB; and characters of texts
# without spaces, whose stretches hardly repeat.
MAX_STRETCHES = 1 << 18
MAX_CHARACTERS = 1 << 21
LONG = "long"  # key of `Counted.characters`


@dataclasses.dataclass
class Counted:
    """Words of a corpus, counted so that it stays open whether marks are taken off its letters.

    Counts of parts of a corpus add up to those of the whole: `update`.

    Attributes:
        words: of the stretches of text that are the same either way.
        kept: of the others, with their marks.
        stripped: likewise, without.
        letters: that lose marks there, see `marks.letters`.
        characters: of all the text but whitespace, under the key ""; of texts in a language without
            spaces, under its code, such as "zh"; under `LONG`, of such words that WordPiece gives
            up on.
    """

    words: Counter[str] = dataclasses.field(default_factory=Counter)
    kept: Counter[str] = dataclasses.field(default_factory=Counter)
    stripped: Counter[str] = dataclasses.field(default_factory=Counter)
    letters: Counter[str] = dataclasses.field(default_factory=Counter)
    characters: Counter[str] = dataclasses.field(default_factory=Counter)

    def update(self, other: "Counted") -> None:
        """Adds the counts of another part."""
        for field in dataclasses.fields(self):
            getattr(self, field.name).update(getattr(other, field.name))

    def of(self, strips: bool) -> Counter[str]:
        """All words: without the marks if it `strips` them, else with them."""
        others = self.stripped if strips else self.kept
        return self.words + others if others else self.words


def count_words(
    texts: Iterable[str],
    backend: tokenizers.Tokenizer,
    cut: Callable[[str], list[str]],
    stripping: tokenizers.Tokenizer | None = None,
    rules: unspaced.Rules | None = None,
) -> Counted:
    """Number of times the tokenizer's model would see each word.

    Args:
        texts: the corpus, read once.
        backend: its normaliser and pre-tokenizer are used.
        cut: cuts a text into stretches whose words do not depend on the other stretches.
        stripping: the same with a normaliser that also takes marks off; None: that is not wanted.
        rules: by which words of scripts without spaces are cut; None: they are not cut.
    """
    counted = Counted()
    waiting: dict[str, Counter[str]] = defaultdict(Counter)  # stretches by language
    unsettled = 0

    def settle():
        for language, stretches in waiting.items():
            _Settling(counted, language, backend, stripping, rules).settle(stretches)
        waiting.clear()

    for text in texts:
        language = words_of.language_of(text)
        waiting[language].update(cut(text))
        if language:
            counted.characters[language] += len(text)
            unsettled += len(text)
        if unsettled > MAX_CHARACTERS or len(waiting[language]) > MAX_STRETCHES:
            settle()
            unsettled = 0
    settle()
    return counted


class _Settling(NamedTuple):
    """Counts the words of stretches of texts in one language."""

    counted: Counted
    language: str
    backend: tokenizers.Tokenizer
    stripping: tokenizers.Tokenizer | None
    rules: unspaced.Rules | None

    def settle(self, stretches: Counter[str]) -> None:
        """Adds the words of the `stretches` to what is counted."""
        counted, stripping = self.counted, self.stripping
        clauses: dict[str, Counter[str]] = defaultdict(Counter)  # by fields of `Counted`
        for stretch, count in stretches.items():
            text = bulk.valid_text(stretch)
            counted.characters[""] += count * len(text)
            normal, field = _normalized(self.backend, text), "words"
            if stripping and not text.isascii() and _normalized(stripping, text) != normal:
                field = "kept"
                other = _normalized(stripping, text)
                self._add("stripped", stripping, other, count, clauses["stripped"])
                for letter in marks.letters(normal):
                    counted.letters[letter] += count
            self._add(field, self.backend, normal, count, clauses[field])
        self._cut(clauses)

    def _add(
        self,
        field: str,
        backend: tokenizers.Tokenizer,
        normal: str,
        count: int,
        clauses: Counter[str],
    ) -> None:
        """Counts the words of a normal text, or puts them by as clauses to cut."""
        found = backend.pre_tokenizer.pre_tokenize_str(normal)
        if self.rules and words_of.has_unspaced(normal):
            for word, (start, end) in found:
                clauses[normal[start:end] if self.rules.in_bytes else word] += count
        else:
            words = getattr(self.counted, field)
            for word, _ in found:
                words[word] += count

    def _cut(self, clauses: dict[str, Counter[str]]) -> None:
        """Counts the words of clauses."""
        for field, found in clauses.items():
            pieces: Counter[str] = Counter()
            for clause, count in found.items():
                if not words_of.has_unspaced(clause):
                    pieces[clause] += count
                    continue
                if 0 < self.rules.longest < len(clause) and field != "stripped":
                    self.counted.characters[LONG] += count * len(clause)
                for piece in unspaced.pieces(clause, self.language, self.rules):
                    pieces[piece] += count
            words = getattr(self.counted, field)
            for piece, count in pieces.items():
                words[self.rules.spelled(piece)] += count


def _normalized(backend: tokenizers.Tokenizer, text: str) -> str:
    return backend.normalizer.normalize_str(text) if backend.normalizer else text


def save(counted: Counted, path: str | Path) -> None:
    """Writes the counts `counted` to the Arrow file `path`, for `load`."""
    rows = [
        (field.name, word, count)
        for field in dataclasses.fields(counted)
        for word, count in getattr(counted, field.name).items()
    ]
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    table = pyarrow.table(
        dict(zip(("part", "word", "count"), columns, strict=True)),
        pyarrow.schema(
            [("part", pyarrow.string()), ("word", pyarrow.string()), ("count", pyarrow.int64())]
        ),
    )
    with files.atomic_path(path) as temporary:
        pyarrow.feather.write_feather(table, str(temporary), compression="zstd")


def load(path: str | Path) -> Counted:
    """Reads what `save` wrote."""
    table = pyarrow.feather.read_table(str(path), memory_map=False)
    counted = Counted()
    for part, word, count in zip(*(c.to_pylist() for c in table.columns), strict=True):
        getattr(counted, part)[word] = count
    return counted


def repeated(words: Counter[str]) -> Iterator[str]:
    """Each word as often as it was counted, in texts of some kilobytes, parted by spaces."""
    for word in sorted(words):
        count = words[word]
        for start in range(0, count, 1000):
            yield " ".join([word] * min(1000, count - start))


def before_spaces(text: str) -> list[str]:
    """Cuts a text before spaces that always start a word of byte-level BPE.

    >>> before_spaces("We're  off to see")
    ["We're  off", ' to', ' see']
    """
    # Python looks a character up in a large class five times as slowly.
    return (_ASCII_BEFORE_SPACES if text.isascii() else _before_spaces()).split(text)


def behind_spaces(text: str) -> list[str]:
    """Cuts a text behind each space or line feed, so that words come again with what follows them.

    >>> behind_spaces("To be,\\nor  not")
    ['To ', 'be,\\n', 'or ', ' ', 'not']
    """
    return _BEHIND_SPACES.findall(text)


_BEHIND_SPACES = re.compile(r"[^ \n]+[ \n]?|[ \n]")
_ASCII_BEFORE_SPACES = re.compile("(?<=[!-~])(?= [!-~])")


@functools.cache
def _before_spaces() -> re.Pattern:
    """A space between letters, numbers, punctuation or symbols, which no normaliser removes."""
    visible = ""
    codes = range(sys.maxunicode + 1)
    for is_visible, run in itertools.groupby(
        codes, lambda code: unicodedata.category(chr(code))[0] in "LNPS"
    ):
        if is_visible:
            members = list(run)
            visible += f"\\U{members[0]:08x}-\\U{members[-1]:08x}"
    return re.compile(f"(?<=[{visible}])(?= [{visible}])")
