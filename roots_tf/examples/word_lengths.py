"""How long words are, in tokens and in characters, by the bits that say where they start."""

import numpy as np

from roots_tf.tokenizers.shown import characters

LONGEST = 128  # tokens, or characters, of the longest words that are told apart
QUANTILES = {"half": 0.5, "90 %": 0.9, "99 %": 0.99}
MEASURED_RECORDS = 4096  # of a shard


def measure(tokenizer, ids, counts, starts, seconds) -> dict:
    """Lengths of the words in some records of a shard, evenly chosen.

    Args:
        tokenizer: of the examples.
        ids: of the records, one after the other, [tokens].
        counts: ids of each, [n].
        starts: whether a word starts with each, [tokens].
        seconds: index, in its record, of the first token of a second segment; `counts` without one.

    Returns:
        "tokens" and "characters", numbers of words of 1, 2, ... and LONGEST or more of these, and
        "measured_tokens".
    """
    begins = np.cumsum(counts) - counts
    starts = starts.copy()  # a piece of text starts with a word, or with what is left of one
    starts[begins[counts > 0]] = True
    starts[(begins + seconds)[seconds < counts]] = True
    chosen = np.zeros(len(counts), bool)
    chosen[:: -(-len(counts) // MEASURED_RECORDS) or 1] = True
    chosen = np.repeat(chosen, counts)
    return of_words(tokenizer, ids[chosen], starts[chosen])


def of_words(tokenizer, ids: np.ndarray, starts: np.ndarray) -> dict:
    """As `measure`, of all words of some text; a word ends where the next one starts.

    >>> starts = np.array([True, False, True])
    >>> of_words(tokenizer, np.array([7, 8, 9]), starts)["tokens"][:3]
    [1, 1, 0]

    Args:
        tokenizer: of the ids.
        ids: [tokens].
        starts: bool [tokens]; the first is True.
    """
    places = np.flatnonzero(starts)
    in_tokens = np.diff(np.append(places, len(ids)))
    in_characters = np.add.reduceat(characters(tokenizer)[ids], places) if len(places) else places
    return {
        "tokens": _histogram(in_tokens),
        "characters": _histogram(in_characters[in_characters > 0]),
        "measured_tokens": int(in_tokens.sum()),
    }


def _histogram(lengths: np.ndarray) -> list[int]:
    return np.bincount(np.minimum(lengths, LONGEST), minlength=LONGEST + 1)[1:].tolist()


def figures(histogram: list[int]) -> dict[str, float]:
    """Mean length and quantiles: half of the words have no more than "half", and so on.

    >>> figures([3, 0, 1])
    {'mean': 1.5, 'half': 1, '90 %': 3, '99 %': 3}

    Args:
        histogram: numbers of words of length 1, 2, ...
    """
    counts = np.array(histogram)
    if not (total := counts.sum()):
        return dict.fromkeys(["mean", *QUANTILES], 0)
    upto = np.cumsum(counts)
    mean = float((counts * np.arange(1, len(counts) + 1)).sum() / total)
    at = {name: int(np.searchsorted(upto, q * total)) + 1 for name, q in QUANTILES.items()}
    return {"mean": mean} | at
