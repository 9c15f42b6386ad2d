"""Records taken apart, one by one: the oracle of what is encoded all at once."""

import numpy as np

from roots_tf.examples import records


def _number(words: np.ndarray) -> int:
    """The number of 32 bits that one or two words are."""
    if words.dtype == np.uint16:
        return int(words[0]) + (int(words[1]) << 16)
    return int(words[0]) % 2**32


def taken_apart(body: np.ndarray, place: str | None) -> tuple[np.ndarray, list[bool]]:
    """The ids behind a header, and whether a word starts with each."""
    numbers = body.tolist()
    if place is None:
        return body, []
    if place == "words":
        bit = 15 if body.dtype == np.uint16 else 30
        return np.array([n % 2**bit for n in numbers], int), [n >= 2**bit for n in numbers]
    ids, starts = [], []
    for begin in range(0, len(numbers), 17):
        bits, *group = numbers[begin : begin + 17]
        ids += group
        starts += [bool(bits >> i & 1) for i in range(len(group))]
    return np.array(ids, int), starts


def split_pair(words: np.ndarray, place: str | None = "words"):
    """The inverse of `records.encode_pairs` for one record: document hash, ids of A, ids of B."""
    header = records.header_words(words.dtype.name, "pairs")
    length_a = int(words[header - 1])
    ids, _ = taken_apart(words[header:], place)
    return _number(words), ids[:length_a], ids[length_a:]


def split_contiguous(words: np.ndarray, place: str | None = "words"):
    """The inverse of `records.encode_contiguous` for one record: document hash, place, ids.

    The mark that a document ends there is taken off the place.
    """
    header = records.header_words(words.dtype.name, "contiguous")
    ids, _ = taken_apart(words[header:], place)
    return _number(words), _number(words[header // 2 :]) % 2**31, ids
