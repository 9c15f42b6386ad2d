"""Counting words before a vocabulary is learnt from them.

The trainers of `tokenizers` normalise every occurrence of every word, and hold memory that grows
with the text. Here text is cut where that changes no word, equal stretches are counted, and each
distinct stretch is normalised and pre-tokenised once: half the time, and memory that only grows
with the number of distinct words.
"""

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

from roots_tf import files
from roots_tf.tokenizers import bulk

MAX_STRETCHES = 1 << 18  # distinct ones that are counted before they are normalised; some 30 MB


def count_words(
    texts: Iterable[str], backend: tokenizers.Tokenizer, cut: Callable[[str], list[str]]
) -> Counter[str]:
    """Number of times the tokenizer's model would see each word.

    Args:
        texts: the corpus, read once.
        backend: its normaliser and pre-tokenizer are used.
        cut: cuts a text into stretches whose words do not depend on the other stretches.
    """
    words: Counter[str] = Counter()
    stretches: Counter[str] = Counter()

    def settle():
        for stretch, count in stretches.items():
            text = bulk.valid_text(stretch)
            normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
            for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal):
                words[word] += count
        stretches.clear()

    for text in texts:
        stretches.update(cut(text))
        if len(stretches) > MAX_STRETCHES:
            settle()
    settle()
    return words


def save(words: Counter[str], path: str | Path) -> None:
    """Writes the counts `words` to the Arrow file `path`, for `load`."""
    table = pyarrow.table({"word": list(words), "count": list(words.values())})
    with files.atomic_path(path) as temporary:
        pyarrow.feather.write_feather(table, str(temporary), compression="zstd")


def load(path: str | Path) -> dict[str, int]:
    """Reads what `save` wrote."""
    table = pyarrow.feather.read_table(str(path), memory_map=False)
    return dict(zip(*(column.to_pylist() for column in table.columns), strict=True))


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
