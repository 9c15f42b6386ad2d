"""How many tokens a script's letters take, and how many of them a vocabulary knows."""

import functools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from roots_tf.tokenizers import bulk
from roots_tf.tokenizers.tokenizer import Tokenizer

NONE = "(none)"  # digits, punctuation, symbols, spaces
MAX_CHARACTERS = 1 << 20  # that are measured; a token's place takes long to find

_HAN = ("Cjk", "Ideographic")
_KANA = ("Hiragana", "Katakana", "Katakana-hiragana")
_NO_SCRIPT = ("", "Letter", "Combining", "Variation", "Feminine", "Masculine", "Micro")


@functools.lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str:
    """The script of a letter or of a vowel sign, as Unicode's names begin; `NONE` of all else.

    >>> [script_of(character) for character in "é京ひカー、ก1"]
    ['Latin', 'Han', 'kana', 'kana', 'kana', '(none)', 'Thai', '(none)']
    """
    if unicodedata.category(character)[0] not in "LM":
        return NONE
    names = unicodedata.name(character, "").split(" ")
    if names[0] in ("FULLWIDTH", "HALFWIDTH", "MODIFIER"):
        names = names[1:]
    name = names[0].capitalize()
    if name in _HAN:
        return "Han"
    if name in _KANA:
        return "kana"
    return NONE if name in _NO_SCRIPT else name


def by_script(counts: Mapping[str, int]) -> Counter[str]:
    """Characters that were counted, by their scripts."""
    found: Counter[str] = Counter()
    for character, count in counts.items():
        found[script_of(character)] += count
    return found


def measure(tokenizer: Tokenizer, texts: Iterable[str]) -> dict[str, Counter[str]]:
    """Counts of texts by script.

    A token belongs to the script of the first letter in its place; of a character that is spelled
    in bytes, each piece does.

    Args:
        tokenizer: encodes the texts.
        texts: such as the first ones of a corpus.

    Returns:
        By script, or `NONE`: "characters"; those that are "known", that is not in an [UNK];
        "tokens" and those of them that are "unknown".
    """
    totals: dict[str, Counter[str]] = {}
    for batch in _batches(texts):
        for name, counts in _measure(tokenizer, batch).items():
            totals.setdefault(name, Counter()).update(counts)
    return totals


def ratios(totals: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, float]]:
    """What `measure` found as a report has it: the largest script first, `NONE` last.

    Args:
        totals: of `measure`.
    """
    order = sorted(totals, key=lambda name: (name == NONE, -totals[name]["characters"], name))
    return {
        name: {
            "characters": totals[name]["characters"],
            "tokens": totals[name]["tokens"],
            "tokens_per_character": _share(totals[name]["tokens"], totals[name]["characters"]),
            "coverage_percent": _share(100 * totals[name]["known"], totals[name]["characters"]),
            "unknown_percent": _share(100 * totals[name]["unknown"], totals[name]["tokens"]),
        }
        for name in order
    }


def _share(part: int, whole: int) -> float:
    return round(part / max(whole, 1), 3)


def _batches(texts: Iterable[str], size: int = 1 << 17) -> Iterator[list[str]]:
    """Texts in lists of about `size` characters, so that few places are held at once."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(bulk.valid_text(text))
        characters += len(text)
        if characters > size:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _measure(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, Counter[str]]:
    """`measure` of some texts."""
    found = tokenizer.encode_with_offsets(texts)
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    points, inverse = np.unique(codes, return_inverse=True)
    names = sorted({script_of(chr(point)) for point in points} | {NONE})
    numbers = {name: i for i, name in enumerate(names)}
    none = numbers[NONE]
    scripts = np.array([numbers[script_of(chr(p))] for p in points], np.int64)[inverse]

    offsets = np.cumsum([0, *map(len, texts)])
    offset = np.repeat(offsets[:-1], np.diff(found.row_splits))
    starts, ends = found.starts + offset, found.ends + offset
    size = len(codes)
    letters = np.where(scripts != none, np.arange(size), size)
    following = np.minimum.accumulate(np.append(letters, size)[::-1])[::-1]  # letter at or behind
    first = following[starts]
    of_tokens = np.where(first < ends, np.append(scripts, none)[first], none)

    unknown = np.zeros(len(found.ids), bool)
    if tokenizer.unk_id is not None:
        unknown = found.ids == tokenizer.unk_id
    depth = np.zeros(size + 1, np.int64)
    np.add.at(depth, starts[unknown], 1)
    np.add.at(depth, ends[unknown], -1)
    known = np.cumsum(depth)[:size] == 0

    columns = {
        "characters": scripts,
        "known": scripts[known],
        "tokens": of_tokens,
        "unknown": of_tokens[unknown],
    }
    table = {key: np.bincount(ids, minlength=len(names)) for key, ids in columns.items()}
    return {
        name: Counter({key: int(counts[i]) for key, counts in table.items()})
        for name, i in numbers.items()
    }
