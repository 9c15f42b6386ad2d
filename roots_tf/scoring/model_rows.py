"""Log-probabilities of some tokens of rows, by a causal or by a masked language model."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from roots_tf import progress
from roots_tf.scoring.windows import windows

TOKENS_AT_ONCE = 4096  # that the model reads together, padding among them
LOGITS_AT_ONCE = 1 << 24  # numbers: 64 MB in float32
ROWS_SORTED = 1024  # whose lengths are compared, so that a batch has little padding


class Row(NamedTuple):
    """What a model reads, and what it is asked.

    Attributes:
        token_ids: int32 [n].
        places: int32 [k], places of the row whose states predict.
        labels: int32 [k], the ids that they are to predict.
        text: index of the text that the row is from.
    """

    token_ids: np.ndarray
    places: np.ndarray
    labels: np.ndarray
    text: int = 0


class Scorer:
    """A model that is asked for log-probabilities.

    Args:
        model: `logits(states)` as a `models.CausalLM` has it, or a `models.Pretrainer`'s
            `masked_lm`, and an `encoder`.
        pad_id: id of the padding.
        tokens_at_once: tokens that are read together; a longer row is read alone.
    """

    def __init__(self, model: keras.Model, pad_id: int, tokens_at_once: int = TOKENS_AT_ONCE):
        self.model, self._pad_id, self._tokens_at_once = model, pad_id, tokens_at_once
        self._block = max(1, LOGITS_AT_ONCE // model.config.vocabulary_size)
        integers = tf.TensorSpec([None, None], tf.int32)
        self._states = tf.function(
            self._states_of,
            input_signature=[integers, tf.TensorSpec([None], tf.int32)],
            autograph=False,
        )
        states = tf.TensorSpec([None, model.config.hidden_dim], model.encoder.compute_dtype)
        self._chances = tf.function(
            self._chances_of,
            input_signature=[states, tf.TensorSpec([None], tf.int32)],
            autograph=False,
        )

    def log_probabilities(
        self, rows: Iterable[Row], num_texts: int | None = None
    ) -> Iterator[tuple[Row, np.ndarray]]:
        """Each row with those of its labels, float32 [k], in nats, in the order of the rows.

        Args:
            rows: any number of them; some are held at a time.
            num_texts: that they are of, where it is known, which tells how long it will take.
        """
        rows = iter(rows)
        unit = "rows" if num_texts is None else "texts"
        with progress.Progress("score", num_texts, unit) as shown:
            while some := list(itertools.islice(rows, ROWS_SORTED)):
                yield from zip(some, self._of_some(some, shown, num_texts), strict=True)

    def _of_some(self, some: list[Row], shown: progress.Progress, num_texts: int | None) -> list:
        """Log-probabilities of rows that are sorted by length together."""
        found: list = [None] * len(some)
        finished, before = 0, shown.done
        # Batches are not in the order of the texts: a share of the rows is that of their texts.
        units = len(some) if num_texts is None else some[-1].text + 1 - before
        for batch in _batches([len(row.token_ids) for row in some], self._tokens_at_once):
            found_in_batch = self._of_batch([some[i] for i in batch])
            for place, chances in zip(batch, found_in_batch, strict=True):
                found[place] = chances
            finished += len(batch)
            shown.reach(before + units * finished // len(some))
        return found

    def _of_batch(self, rows: Sequence[Row]) -> list[np.ndarray]:
        """Log-probabilities of a few rows that are read together."""
        lengths = np.array([len(row.token_ids) for row in rows], np.int32)
        ids = np.full((len(rows), lengths.max()), self._pad_id, np.int32)
        for i, row in enumerate(rows):
            ids[i, : lengths[i]] = row.token_ids
        states = self._states(ids, lengths)  # [B * L, H]
        places = np.concatenate([i * ids.shape[1] + row.places for i, row in enumerate(rows)])
        labels = np.concatenate([row.labels for row in rows]).astype(np.int32)
        blocks = [slice(at, at + self._block) for at in range(0, len(places), self._block)]
        chances = np.concatenate(
            [self._chances(tf.gather(states, places[b]), labels[b]).numpy() for b in blocks]
        )
        return np.split(chances, np.cumsum([len(row.places) for row in rows])[:-1])

    def _states_of(self, token_ids, lengths):
        features = {
            "token_ids": token_ids,
            "segment_ids": tf.zeros_like(token_ids),
            "padding_mask": tf.range(tf.shape(token_ids)[1]) < lengths[:, None],
        }
        states = self.model.encoder(features)
        return tf.reshape(states, [-1, self.model.config.hidden_dim])

    def _chances_of(self, states, labels):
        if hasattr(self.model, "masked_lm"):
            table, places = self.model.encoder.embeddings.token, tf.range(tf.shape(states)[0])
            logits = self.model.masked_lm(states[None], places[None], table)
        else:
            logits = self.model.logits(states)
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def causal_rows(
    ids: np.ndarray, first: int, room: int, stride: int, text: int = 0
) -> Iterator[Row]:
    """Rows of a text, whose tokens from `first` on are each predicted once from those before.

    >>> rows = causal_rows(np.array([1, 7, 8, 9]), 1, 2, 1)
    >>> [(row.token_ids.tolist(), row.places.tolist(), row.labels.tolist()) for row in rows]
    [([1, 7], [0, 1], [7, 8]), ([7, 8], [1], [9])]

    Args:
        ids: int32 [n], with the begin of text.
        first: the first one that is scored, 1 or more.
        room: tokens that the model reads at once.
        stride: tokens that are new in each window after the first.
        text: index of the text.
    """
    for window in windows(len(ids) - 1, room, stride, first - 1):  # of what predicts
        places = np.arange(window.scored - window.start, window.end - window.start, dtype=np.int32)
        labels = ids[window.scored + 1 : window.end + 1]
        yield Row(ids[window.start : window.end], places, labels, text)


def _batches(lengths: Sequence[int], tokens_at_once: int) -> Iterator[list[int]]:
    """Indices of rows that are read together, longest first."""
    order = np.argsort(-np.asarray(lengths), kind="stable").tolist()
    start = 0
    while start < len(order):
        count = max(1, tokens_at_once // max(1, lengths[order[start]]))
        yield order[start : start + count]
        start += count
