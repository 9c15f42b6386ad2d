"""Records taken apart, one by one: the oracle of what is encoded all at once."""

import numpy as np

from roots_tf.examples import records


def _number(words: np.ndarray) -> int:
    """The number of 32 bits that one or two words are."""
    if words.dtype == np.uint16:
        return int(words[0]) + (int(words[1]) << 16)
    return int(words[0]) % 2**32


def split_pair(words: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """The inverse of `records.encode_pairs` for one record: document hash, ids of A, ids of B."""
    header = records.header_words(words.dtype.name, "pairs")
    end = header + int(words[header - 1])
    return _number(words), words[header:end], words[end:]


def split_contiguous(words: np.ndarray) -> tuple[int, int, np.ndarray]:
    """The inverse of `records.encode_contiguous` for one record: document hash, place, ids."""
    header = records.header_words(words.dtype.name, "contiguous")
    return _number(words), _number(words[header // 2 :]), words[header:]
