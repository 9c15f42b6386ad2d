"""The most similar text of others, by the words that both have."""

from collections.abc import Sequence

import numpy as np

from roots_tf.metrics import pieces

_CELLS = 1 << 22  # of similarities that are held at once: 32 MB


def nearest(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """The place of the text of `others` that is most similar to each of `texts`.

    >>> nearest(["a red car", "Boats!"], ["two boats", "the car is red", "a dog"])
    array([1, 0])

    Similar is what has a high cosine of counts of words, rare ones weighing more (TF-IDF as
    scikit-learn has it).

    Args:
        texts: whose likes are sought.
        others: among which they are sought, at least one.

    Returns:
        Integers [texts]; the first of those that are as similar, and so the first of all where no
        word is shared.

    Raises:
        ValueError: there are no others.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second, where it is needed

    if not len(others):
        raise ValueError("found no texts; wanted at least one")
    found = np.zeros(len(texts), np.int64)
    vectors = TfidfVectorizer(analyzer=pieces.tokens)
    try:
        known = vectors.fit_transform(others).T.tocsr()  # [words, others]
    except ValueError:  # none of the others has a word
        return found
    block = max(1, _CELLS // len(others))
    for begin in range(0, len(texts), block):
        asked = vectors.transform(texts[begin : begin + block])  # [block, words]
        found[begin : begin + block] = (asked @ known).toarray().argmax(axis=1)
    return found
