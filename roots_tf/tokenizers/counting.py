"""Counting words before a vocabulary is learnt from them.

The trainers of `tokenizers` normalise every occurrence of every word, and hold memory that grows
with the text. Here text is cut where that changes no word, equal stretches are counted, and each
distinct stretch is normalised and pre-tokenised once: half the time, and memory that only grows
with the number of distinct words.
"""

import dataclasses
import functools
import itertools
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.feather
import tokenizers

from roots_tf.storage import files
from roots_tf.tokenizers import bulk, marks

MAX_STRETCHES = 1 << 18  # distinct ones that are counted before they are normalised; some 30 MB


@dataclasses.dataclass
class Counted:
    """Words of a corpus, counted so that it stays open whether marks are taken off its letters.

    Counts of parts of a corpus add up to those of the whole: `update`.

    Attributes:
        words: of the stretches of text that are the same either way.
        kept: of the others, with their marks.
        stripped: likewise, without.
        letters: that lose marks there, see `marks.letters`.
        characters: of all the text but whitespace, under the key "".
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
) -> Counted:
    """Number of times the tokenizer's model would see each word.

    Args:
        texts: the corpus, read once.
        backend: its normaliser and pre-tokenizer are used.
        cut: cuts a text into stretches whose words do not depend on the other stretches.
        stripping: the same with a normaliser that also takes marks off; None: that is not wanted.
    """
    counted = Counted()
    stretches: Counter[str] = Counter()

    def settle():
        for stretch, count in stretches.items():
            text = bulk.valid_text(stretch)
            counted.characters[""] += count * len(text)
            normal, words = _normalized(backend, text), counted.words
            if stripping and not text.isascii() and _normalized(stripping, text) != normal:
                words = counted.kept
                for word, _ in _words(stripping, _normalized(stripping, text)):
                    counted.stripped[word] += count
                for letter in marks.letters(normal):
                    counted.letters[letter] += count
            for word, _ in _words(backend, normal):
                words[word] += count
        stretches.clear()

    for text in texts:
        stretches.update(cut(text))
        if len(stretches) > MAX_STRETCHES:
            settle()
    settle()
    return counted


def _normalized(backend: tokenizers.Tokenizer, text: str) -> str:
    return backend.normalizer.normalize_str(text) if backend.normalizer else text


def _words(backend: tokenizers.Tokenizer, normal: str) -> list[tuple[str, tuple[int, int]]]:
    return backend.pre_tokenizer.pre_tokenize_str(normal)


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
