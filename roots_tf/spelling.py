"""The known words that are nearest to one that nobody knows: a flag, a program, a column, a label.

Nearest is, in this order: the same but for case, hyphens and underscores (`--learning-rate`); the
same but for a third of the letters at most (`fintune`); of the same words, but for some that one of
them has more (`epochs`, `num_epochs`); its initials (`lr`).
"""

import re
from collections.abc import Iterable

MOST = 3  # words that are named; a longer list is no suggestion


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The known words that may have been meant, `MOST` at most; none where nothing is near.

    >>> nearest("--batchsize", ["--batch_size", "--seed"])
    ['--batch_size']

    Args:
        word: what was found.
        known: what could have stood there, spelt as it is to be shown.
    """
    ranks = {}
    for candidate in dict.fromkeys(known):
        if rank := _rank(word, candidate):
            ranks[candidate] = rank
    best = min(ranks.values(), default=None)
    return [candidate for candidate, rank in ranks.items() if rank == best][:MOST]


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message: `"; did you mean --batch_size?"`, or "" where nothing is near.

    Args:
        word: as for `nearest`.
        known: as for `nearest`.
    """
    found = nearest(word, known)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _rank(word: str, candidate: str) -> tuple[int, int] | None:
    """How far the candidate is: the kind of nearness, then how much; None is too far."""
    one, other = _letters(word), _letters(candidate)
    if one == other:
        return (0, 0)
    allowed = max(len(one), len(other)) // 3
    if (distance := _distance(one, other, allowed)) <= allowed:
        return (1, distance)
    words, others = _words(word), _words(candidate)
    fewer, more = sorted((words, others), key=len)
    if fewer and all(any(_begins(a, b) for b in more) for a in fewer):
        return (2, len(more) - len(fewer))
    if len(one) > 1 and one == "".join(part[0] for part in others):
        return (3, 0)
    return None


def _letters(word: str) -> str:
    """Letters and digits, lower-cased; a word of signs alone is itself."""
    return "".join(filter(str.isalnum, word.casefold())) or word


def _words(word: str) -> list[str]:
    """What signs part: `["num", "epochs"]` of `--num_epochs`."""
    return re.findall(r"[^\W_]+", word.casefold())


def _begins(one: str, other: str) -> bool:
    """Whether two words are one, or one with an ending: `epoch` and `epochs`."""
    shorter, longer = sorted((one, other), key=len)
    return shorter == longer or (len(shorter) > 2 and longer.startswith(shorter))


def _distance(one: str, other: str, most: int) -> int:
    """Letters to put in, leave out, change, or swap with their neighbour; beyond `most` inexact.

    Optimal string alignment (Damerau 1964; Wagner and Fischer 1974), a row a letter of `one`.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before, row = [], list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, other_letter in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != other_letter))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == other_letter:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
