"""Pseudo-log-likelihood: what a masked model believes of each token, given all others.

Salazar et al. 2020, "Masked Language Model Scoring", arXiv:1910.14659, section 2: each token is
masked in turn, and the log-probabilities add up. Kauf and Ivanova 2023, "A Better Way to Do Masked
Language Model Scoring", arXiv:2305.10588, section 3: the later pieces of a token's word are masked
with it; else they give the earlier ones away, and rare words, which have more pieces, score too
high.
"""

from collections.abc import Iterator

import numpy as np

from roots_tf.scoring.model_rows import Row
from roots_tf.scoring.windows import windows


def masked_rows(
    ids: np.ndarray,
    first: int,
    starts_word: np.ndarray,
    special: tuple[int, int, int],
    room: int,
    stride: int,
    within_word: bool = True,
    text: int = 0,
) -> Iterator[Row]:
    """Rows [CLS] text [SEP] with one token masked each, from the `first` on.

    >>> starts = np.array([True, False, False, True])
    >>> rows = masked_rows(np.array([7, 8, 9, 6]), 0, starts, (2, 3, 4), 10, 5)
    >>> [row.token_ids.tolist() for row in rows]
    [[2, 4, 4, 4, 6, 3], [2, 7, 4, 4, 6, 3], [2, 7, 8, 4, 6, 3], [2, 7, 8, 9, 4, 3]]

    Args:
        ids: int32 [n], without special tokens.
        first: the first one that is scored.
        starts_word: bool [n], whether an id starts a word.
        special: ids of [CLS], [SEP] and [MASK].
        room: tokens that the model reads at once, [CLS] and [SEP] among them.
        stride: tokens that are new in each window after the first.
        within_word: whether the later pieces of a word are masked too.
        text: index of the text.
    """
    cls_id, sep_id, mask_id = special
    for window in windows(len(ids), room - 2, stride, first):
        inside = ids[window.start : window.end]
        starts = starts_word[window.start : window.end]
        row = np.concatenate([[cls_id], inside, [sep_id]]).astype(np.int32)
        for place in range(window.scored - window.start, len(inside)):
            end = place + 1
            while within_word and end < len(inside) and not starts[end]:
                end += 1
            masked = row.copy()
            masked[place + 1 : end + 1] = mask_id
            yield Row(masked, np.array([place + 1], np.int32), inside[place : place + 1], text)
