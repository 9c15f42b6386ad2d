"""Characters that a vocabulary keeps: those that make up most of a text, as many as have room.

SentencePiece's `character_coverage` (Kudo and Richardson, 2018, arXiv 1808.06226). Chinese needs
some 5,000 for 99.95 % of a text. Where an alphabet is small, rare characters are digits and capital
letters, and a word with one of them is unknown as a whole: the most frequent 1,000 are kept in any
case, while they take no more than half of the vocabulary.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping

from roots_tf.storage import files

COVERAGE = 0.9995
ALL = 0x110000  # code points of Unicode; a limit that limits nothing
LEAST = 1000  # characters that are kept beyond the coverage
USABLE = 0.9  # of a text: a vocabulary that has no room for as much is not made


def occurrences(words: Mapping[str, int], prefix: str = "") -> Counter[str]:
    """How often each character occurs.

    Args:
        words: with the number of times that each occurs.
        prefix: what stands before some of them and is no part of the text, such as "##".
    """
    found: Counter[str] = Counter()
    for word, count in words.items():
        for character in word.removeprefix(prefix) if prefix else word:
            found[character] += count
    return found


def choose(
    found: Counter[str],
    room: int,
    twice: Iterable[str] = (),
    coverage: float = COVERAGE,
    limit: int = ALL,
) -> frozenset[str]:
    """The characters that are kept of a text.

    Args:
        found: how often each character occurs.
        room: ids, at most, that the alphabet may take.
        twice: characters that take two, such as those inside words of WordPiece.
        coverage: share of the text that it makes up at least.
        limit: characters, at most.

    Raises:
        InputError: the room is enough for less than `USABLE` of the text.
    """
    frequent, twice = sorted(found, key=lambda c: (-found[c], c)), set(twice)
    fitting = fitting_half = ids = 0
    for number, character in enumerate(frequent, 1):
        ids += 2 if character in twice else 1
        fitting = number if ids <= room else fitting
        fitting_half = number if ids <= room // 2 else fitting_half
    wanted = min(max(needed(found, coverage), min(LEAST, fitting_half)), limit)
    kept = frequent[: min(wanted, fitting)]
    share = sum(found[character] for character in kept) / max(found.total(), 1)
    if fitting < wanted and share < USABLE:
        raise files.InputError(
            "vocabulary-too-small",
            f"found {wanted:,} characters that make up {100 * coverage:g} % of the text, and room "
            f"for {fitting:,}, which make up {100 * share:.3g} %; wanted a --vocab_size with room "
            "for most, and several times as many ids for words: raise --vocab_size",
        )
    return frozenset(kept)


def needed(found: Counter[str], coverage: float) -> int:
    """How many of the most frequent characters make up a share of a text.

    Args:
        found: how often each character occurs.
        coverage: the share.
    """
    wanted = coverage * found.total()
    covered = itertools.accumulate(sorted(found.values(), reverse=True), initial=0)
    return sum(so_far < wanted for so_far in covered)


def parts_within(words: Mapping[str, int], kept: frozenset[str]) -> Counter[str]:
    """The parts of words between characters that are not kept.

    Args:
        words: with the number of times that each occurs.
        kept: characters.
    """
    found: Counter[str] = Counter()
    for word, count in words.items():
        if kept.issuperset(word):
            found[word] += count
        else:
            for part in "".join(c if c in kept else " " for c in word).split():
                found[part] += count
    return found
