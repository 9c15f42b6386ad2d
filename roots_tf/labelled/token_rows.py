"""Rows of tokens of different lengths: cut from texts, and batched with little padding."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from roots_tf.labelled.padding import best_lengths
from roots_tf.storage import files
from roots_tf.tokenizers import Tokenizer, packing

_TEXTS_AT_ONCE = 1024  # so that padding to the full length never stands in memory for all of them


@dataclasses.dataclass
class TokenRows:
    """Rows of token ids, one after the other, and what goes with each row or each token.

    A long text may give several rows, its windows. In some tasks a group of rows is one example:
    the choices of a question, the two texts that are compared.

    Attributes:
        token_ids: int32 [tokens], [CLS] and [SEP] among them, no padding.
        row_splits: int64 [rows + 1].
        second: int32 [rows], where in its row the second segment begins; its end without one.
        texts: int32 [rows], the text that a row is from.
        pieces: int64 [rows], index among the text's pieces of the first one in the row.
        group: rows of one example.
        of_rows: arrays [rows, ...] that become features of a batch, such as `label_ids`.
        of_tokens: arrays [tokens] that become features too, padded with -1.
    """

    token_ids: np.ndarray
    row_splits: np.ndarray
    second: np.ndarray
    texts: np.ndarray
    pieces: np.ndarray
    group: int = 1
    of_rows: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    of_tokens: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    @property
    def num_examples(self) -> int:
        """Groups of rows."""
        return len(self) // self.group

    @property
    def tokens_an_example(self) -> float:
        """Mean over the examples."""
        return len(self.token_ids) / max(1, self.num_examples)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 [rows]."""
        return np.diff(self.row_splits)


def windows(row_splits: np.ndarray, room: int | np.ndarray, stride: int | np.ndarray) -> np.ndarray:
    """Windows of at most `room` ids over texts; the last one of a text ends where the text does.

    >>> windows(np.array([0, 3, 10]), room=4, stride=2)
    array([[ 0,  0,  3],
           [ 1,  3,  7],
           [ 1,  5,  9],
           [ 1,  6, 10]])

    Args:
        row_splits: int64 [texts + 1].
        room: ids in a window, of each text or of all.
        stride: ids from the start of a window to that of the next, of each text or of all; 0 gives
            the first one only.

    Returns:
        int64 [windows, 3]: text, and start and end among the ids of all texts.
    """
    bounds = []
    rooms, strides = (np.broadcast_to(given, len(row_splits) - 1) for given in (room, stride))
    for text, (start, end) in enumerate(itertools.pairwise(row_splits)):
        room, stride = rooms[text], strides[text]
        starts = range(start, end, stride) if stride else [start]
        for at in starts:
            last = at + room >= end
            # A full window at the end gives its tokens more to look at than a short rest would.
            begin = max(start, end - room) if last and stride else at
            bounds.append((text, begin, min(begin + room, end)))
            if last:
                break
        if start == end and stride:
            bounds.append((text, start, end))
    return np.array(bounds, np.int64).reshape(-1, 3)


def cut(
    ids: np.ndarray,
    row_splits: np.ndarray,
    tokenizer: Tokenizer,
    length: int,
    stride: int | np.ndarray = 0,
    first: tuple[np.ndarray, np.ndarray] | None = None,
) -> TokenRows:
    """Rows [CLS] window [SEP], or [CLS] first [SEP] window [SEP].

    Args:
        ids: int32 [total] of all texts.
        row_splits: int64 [texts + 1].
        tokenizer: has the ids of the special tokens.
        length: tokens of a row at most.
        stride: see `windows`; 0 cuts texts off. With a `first`, a stride needs `length` to have
            room beside each first text.
        first: ids and row splits of the texts that stand before each window, as many as texts.
            Without a stride both are cut, the longer one first, as `packing.pack` does.

    Returns:
        Rows without labels.

    Raises:
        InputError: there is no room beside special tokens and a first text, or the stride is
            longer than a window.
    """
    # Tokens of each row that are not the window's: [CLS], [SEP] and the first text.
    before = 2 if first is None else 3 + np.diff(first[1])
    if np.any(stride) and length <= np.max(before, initial=0):
        raise files.InputError(
            "too-short",
            f"found max_seq_length={length}; wanted more than {np.max(before)}, which special "
            "tokens and the longest first text take",
        )
    room = length - before if np.any(stride) else max(1, np.diff(row_splits).max(initial=1))
    if np.any(stride > room):
        raise files.InputError(
            "wrong-window",
            f"found stride={np.max(stride)} and windows of {np.min(room)} tokens; wanted a stride "
            "of at most that, or tokens between two windows are never looked at",
        )
    bounds = windows(row_splits, room, stride)
    parts = []
    for begin in range(0, len(bounds), _TEXTS_AT_ONCE):
        some = bounds[begin : begin + _TEXTS_AT_ONCE]
        second = None
        window = _ragged(ids, some[:, 1], some[:, 2])
        if first is not None:
            starts = first[1][some[:, 0]]
            second, window = window, _ragged(first[0], starts, first[1][some[:, 0] + 1])
        features = packing.pack(window, second, length, tokenizer)
        mask = features["padding_mask"].numpy()
        in_second = features["segment_ids"].numpy()
        lengths = mask.sum(-1)
        parts.append((features["token_ids"].numpy()[mask], lengths, lengths - in_second.sum(-1)))
    token_ids, lengths, seconds = (
        np.concatenate([part[i] for part in parts]) if parts else np.zeros(0, np.int32)
        for i in range(3)
    )
    splits = np.zeros(len(bounds) + 1, np.int64)
    np.cumsum(lengths, out=splits[1:])
    return TokenRows(
        token_ids=token_ids.astype(np.int32),
        row_splits=splits,
        second=seconds.astype(np.int32),
        texts=bounds[:, 0].astype(np.int32),
        pieces=bounds[:, 1] - row_splits[bounds[:, 0]],
    )


def _ragged(ids: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tf.RaggedTensor:
    """The ids from each start to its end."""
    index = ragged_range(starts, ends)
    splits = np.concatenate([[0], np.cumsum(ends - starts)])
    return tf.RaggedTensor.from_row_splits(ids[index], splits, validate=False)


def ragged_range(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The numbers from each start up to its end, exclusive, one range after the other.

    Args:
        starts: integers [ranges].
        ends: integers [ranges], none below its start.

    >>> ragged_range(np.array([5, 0]), np.array([8, 2]))
    array([5, 6, 7, 0, 1])
    """
    lengths = ends - starts
    first = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - first, lengths)


class RowBatcher:
    """Gathers batches of rows in the graph.

    A batch holds `token_ids` and `segment_ids` int32 and `padding_mask` bool, [B, L], or [B, group,
    L] where an example is a group of rows; the arrays of tokens, of the same shape; and the arrays
    of rows, [B, ...], of which an example has those of its first row. L is the length of the
    longest row, rounded up to one of the padded lengths where there are some.

    Args:
        rows: of all examples.
        pad_id: id that stands on padding.
        padded_lengths: the lengths that batches may have, in order, the longest row's among them;
            none: any.
    """

    def __init__(self, rows: TokenRows, pad_id: int, padded_lengths: Sequence[int] = ()):
        self._group, self._pad_id = rows.group, pad_id
        self.padded_lengths = tf.constant(padded_lengths, tf.int32)
        ragged = {"token_ids": rows.token_ids} | rows.of_tokens
        self._ragged = {
            name: tf.RaggedTensor.from_row_splits(values, rows.row_splits, validate=False)
            for name, values in ragged.items()
        }
        self._second = tf.constant(rows.second)
        self._of_rows = {name: tf.constant(values) for name, values in rows.of_rows.items()}

    def __call__(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """The batch of some examples, by their indices, int32 or int64 [B]."""
        group = tf.range(self._group, dtype=examples.dtype)
        rows = tf.reshape(examples[:, None] * self._group + group, [-1])  # [B * group]
        ragged = {name: tf.gather(tensor, rows) for name, tensor in self._ragged.items()}
        lengths = tf.cast(ragged["token_ids"].row_lengths(), tf.int32)  # [B * group]
        longest = tf.reduce_max(lengths)
        if len(self.padded_lengths):
            longest = self.padded_lengths[tf.searchsorted(self.padded_lengths, [longest])[0]]
        place = tf.range(longest)
        padding_mask = place < lengths[:, None]
        in_second = (place >= tf.gather(self._second, rows)[:, None]) & padding_mask
        batch = {"padding_mask": padding_mask, "segment_ids": tf.cast(in_second, tf.int32)}
        for name, tensor in ragged.items():
            padding = tf.constant(self._pad_id if name == "token_ids" else -1, tensor.dtype)
            dense = tensor.to_tensor(padding)  # [B * group, longest of these rows]
            missing = longest - tf.shape(dense)[1]
            batch[name] = tf.pad(dense, [[0, 0], [0, missing]], constant_values=padding)
        shape = [self._group, longest] if self._group > 1 else [longest]
        # The number of examples, where it is known, is known of every feature too.
        count = -1 if examples.shape[0] is None else examples.shape[0]
        batch = {name: tf.reshape(feature, [count, *shape]) for name, feature in batch.items()}
        first = examples * self._group
        return batch | {name: tf.gather(array, first) for name, array in self._of_rows.items()}


def ungrouped(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The features of a model, of each row of a group: [B, group, L] -> [B * group, L].

    Those of a batch without groups, [B, L], stay as they are.
    """
    return {
        name: tf.reshape(batch[name], [-1, tf.shape(batch[name])[-1]])
        for name in ("token_ids", "segment_ids", "padding_mask")
    }


def train_batches(
    rows: TokenRows,
    batcher: RowBatcher,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    num_workers: int = 1,
    worker_index: int = 0,
) -> tf.data.Dataset:
    """Endless batches; that of a step is a pure function of (rows, seed, step).

    Every example comes once an epoch, in another order each epoch. A batch holds examples of
    similar length, so that little of it is padding: random ones of those that are padded to one
    length. All batches of an epoch come in random order.

    Args:
        rows: of all examples.
        batcher: gathers batches of these rows.
        batch_size: examples of a batch of all workers together.
        seed: of the order.
        start_step: step of the first batch.
        num_workers: workers that train together, each on an equal slice of every batch, padded as
            the whole batch would be.
        worker_index: which of them this is, from 0.

    Raises:
        InputError: a batch has no equal slices.
    """
    if batch_size % num_workers:
        raise files.InputError(
            "wrong-batch",
            f"found batches of {batch_size} examples and {num_workers} workers; wanted a multiple "
            "of the number of workers",
        )
    start, share = start_step * batch_size, batch_size // num_workers
    count = rows.num_examples

    def of_worker(examples):
        """This worker's slice of a batch."""
        begin = worker_index * share
        return {name: x[begin : begin + share] for name, x in batcher(examples).items()}

    epochs = tf.data.Dataset.range(start // count, 1 << 40)
    orders = epochs.map(_order_of_epoch(rows, batcher, batch_size, seed))
    examples = orders.unbatch().skip(start % count)
    batches = examples.batch(batch_size, drop_remainder=True)
    batches = batches.map(batcher if num_workers == 1 else of_worker).prefetch(2)
    options = tf.data.Options()
    options.autotune.enabled = False  # taking an iterator down may wait a minute for it
    return batches.with_options(options)


def batches_from(
    rows: TokenRows,
    pad_id: int,
    batch_size: int,
    seed: int,
    *,
    longest: int,
    one_length: bool = False,
    worker: tuple[int, int] = (0, 1),
) -> Callable[[int], tf.data.Dataset]:
    """A function from a step to the batches from there on, for training.

    Args:
        rows: of all examples.
        pad_id: id of [PAD].
        batch_size: examples of a batch of all workers together.
        seed: of the order.
        longest: tokens of a row at most.
        one_length: pad every batch to `longest`, where a further length is compiled for minutes.
        worker: index of this worker, and how many there are.
    """
    of_rows = _longest_of_groups(rows)
    lengths = [longest] if one_length else best_lengths(of_rows, batch_size, longest)
    index, count = worker
    return functools.partial(
        train_batches,
        rows,
        RowBatcher(rows, pad_id, lengths),
        batch_size,
        seed,
        num_workers=count,
        worker_index=index,
    )


def _order_of_epoch(rows: TokenRows, batcher: RowBatcher, batch_size: int, seed: int):
    """A function from the number of an epoch to the order of its examples, int64 [examples]."""
    count = rows.num_examples
    lengths = tf.constant(_longest_of_groups(rows), tf.int32)
    if len(batcher.padded_lengths):
        lengths = tf.searchsorted(batcher.padded_lengths, lengths)

    def draw(size, epoch, part):
        """A random order."""
        seeds = tf.stack([seed, 2 * epoch + part])
        return tf.argsort(
            tf.random.stateless_uniform([size], seeds, None, None, tf.int64, "philox")
        )

    def order(epoch):
        drawn = draw(count, epoch, 0)
        # The first ones fill the batch that the last epoch began, the last ones begin another.
        rest = tf.cast(-epoch * count % batch_size, tf.int32)
        full = tf.maximum(count - rest, 0) // batch_size
        rest = tf.minimum(rest, count)
        first, body, last = tf.split(drawn, [rest, full * batch_size, -1])
        by_length = tf.argsort(tf.gather(lengths, body), stable=True)
        batches = tf.reshape(tf.gather(body, by_length), [full, batch_size])
        body = tf.reshape(tf.gather(batches, draw(full, epoch, 1)), [-1])
        return tf.concat([first, body, last], 0)

    return order


def batches_by_length(rows: TokenRows, batch_size: int) -> Iterator[np.ndarray]:
    """Indices of examples of similar length; each example once, longest first.

    Args:
        rows: of all examples.
        batch_size: examples of a batch.

    Yields:
        int64 [batch_size]; the last ones may be fewer.
    """
    order = np.argsort(-_longest_of_groups(rows), kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _longest_of_groups(rows: TokenRows) -> np.ndarray:
    """Tokens of the longest row of each example, int64 [examples]."""
    return rows.lengths.reshape(-1, rows.group).max(-1)
