"""Rows of an encoder-decoder: sources and targets as ids, and batches of few shapes of them.

The shift is made here, and nowhere else. Of a target `a b` that begins with `<s>`, padded to four:

    decoder_token_ids   <s> a   b     <pad>
    target_ids          a   b   </s>  <pad>
    target_weights      1   1   1     0
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from roots_tf.labelled import plain_text
from roots_tf.labelled.batching import Batches, Batching
from roots_tf.labelled.padding import padded_lengths
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer

MOST_SHAPES = 8  # of batches: each is compiled once


class Ragged(NamedTuple):
    """Ids of rows, one after the other: int32 [tokens], and int64 [rows + 1] where each begins."""

    ids: np.ndarray
    row_splits: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 [rows]."""
        return np.diff(self.row_splits)

    def row(self, index: int) -> np.ndarray:
        """The ids of the row of that `index`."""
        return self.ids[self.row_splits[index] : self.row_splits[index + 1]]


@dataclasses.dataclass
class PairRows:
    """Sources and targets of a model.

    Attributes:
        sources: as the encoder reads them, their end among them.
        targets: each with its end, without what stands before its first token; None: there are
            none.
        start_ids: what stands there.
        tokenizer: that made the ids.
    """

    sources: Ragged
    targets: Ragged | None
    start_ids: tuple[int, ...]
    tokenizer: Tokenizer
    group: int = 1

    def __len__(self) -> int:
        return len(self.sources.row_splits) - 1

    @property
    def num_examples(self) -> int:
        """Pairs."""
        return len(self)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of source and target together, int64 [rows]."""
        both = self.sources.lengths
        return both if self.targets is None else both + self.targets.lengths

    @property
    def tokens_an_example(self) -> float:
        """Mean of source and target together."""
        return float(self.lengths.mean())

    def first(self, count: int) -> "PairRows":
        """The first rows, at most `count`."""
        count = min(count, len(self))

        def some(part: Ragged | None) -> Ragged | None:
            if part is None:
                return None
            return Ragged(part.ids[: part.row_splits[count]], part.row_splits[: count + 1])

        return dataclasses.replace(self, sources=some(self.sources), targets=some(self.targets))


def make(
    sources: Sequence[str],
    targets: Sequence[str] | None,
    tokenizer: Tokenizer,
    *,
    lengths: tuple[int, int],
    start_ids: tuple[int, ...] = (),
    source_begins: bool = True,
    path: str = "",
) -> PairRows:
    """Rows of pairs; what spells a special token is a text like any other.

    Args:
        sources: texts.
        targets: as many; or None.
        tokenizer: of the model.
        lengths: tokens of a source and places of a target, at most; longer ones lose their end,
            which a warning counts.
        start_ids: what stands before a target's first token; none: the begin of text.
        source_begins: whether a source begins with the begin of text.
        path: of the file, for messages.

    Raises:
        InputError: the tokenizer has no token that begins or ends a text, a text gives a special
            token all the same, or no room is left beside what begins and ends a row.
    """
    asked = {"eos": True, "bos": source_begins or not start_ids}
    roles = [role for role, needed in asked.items() if needed]
    if missing := [role for role in roles if getattr(tokenizer, f"{role}_id") is None]:
        raise InputError(
            "no-special-token",
            f"found a tokenizer without special tokens for {missing}; wanted {roles}: train one "
            "with train-tokenizer",
        )
    start_ids = tuple(start_ids) or (tokenizer.bos_id,)
    before = (tokenizer.bos_id,) if source_begins else ()
    room = lengths[0] - len(before) - 1, lengths[1] - len(start_ids)
    if min(room) < 1:
        raise InputError(
            "too-short",
            f"found max_seq_length={lengths[0]} and max_target_length={lengths[1]}; wanted more "
            f"than {len(before) + 1} and {len(start_ids)}, which begin and end a row",
        )
    sides = [sources, *([] if targets is None else [targets])]
    cut = []
    for texts, most, begin, name in zip(
        sides, room, (before, ()), ("source", "target"), strict=False
    ):
        of_side = tokenizer if name == "source" else tokenizer.targets
        ids = Ragged(*plain_text.encode(of_side, texts))
        if longer := int((ids.lengths > most).sum()):
            flag = "max_seq_length" if name == "source" else "max_target_length"
            logging.warning(
                "%s: %d of %d %ss are longer than --%s takes, and lose their end",
                *(path or "texts", longer, len(texts), name, flag),
            )
        cut.append(_with_ends(ids, most, begin, tokenizer.eos_id))
    return PairRows(cut[0], cut[1] if len(cut) > 1 else None, start_ids, tokenizer)


def _with_ends(rows: Ragged, most: int, begin: tuple[int, ...], end: int) -> Ragged:
    """Rows of at most so many ids, with what begins and ends each."""
    kept = np.minimum(rows.lengths, most)
    splits = np.concatenate([[0], np.cumsum(kept + len(begin) + 1)]).astype(np.int64)
    ids = np.full(splits[-1], end, np.int32)
    for place, token in enumerate(begin):
        ids[splits[:-1] + place] = token
    inside = np.arange(len(rows.ids)) - np.repeat(rows.row_splits[:-1], rows.lengths)
    is_kept = inside < most
    text = np.repeat(np.arange(len(kept)), rows.lengths)[is_kept]
    ids[splits[text] + len(begin) + inside[is_kept]] = rows.ids[is_kept]
    return Ragged(ids, splits)


class Shape(NamedTuple):
    """Batches of one shape, of pairs of about one length.

    Attributes:
        pairs: indices of those that come in them, int64.
        source: tokens that sources are padded to.
        target: places that targets are padded to.
        batches: an epoch.
        rows: of each batch; some may be empty.
    """

    pairs: np.ndarray
    source: int
    target: int
    batches: int
    rows: int


def shapes(rows: PairRows, how: Batching) -> list[Shape]:
    """Shapes of batches, few and with little padding: each pair is in one of them.

    Pairs begin in a grid of source and target lengths, four a doubling. The two cells whose union
    costs least are made one until there are few, and as long as that costs nothing. What batches
    cost is padded tokens, those of rows that fill a last batch among them.

    Args:
        rows: of all pairs.
        how: batches are made.

    Raises:
        InputError: batches by tokens are to be cut into parts, or one pair is longer than they.
    """
    if how.parts > 1 and how.tokens:
        raise InputError(
            "wrong-batch",
            f"found --tokens_per_batch={how.tokens} and {how.parts} parts of a batch, the devices "
            "times --accumulate_steps; wanted one, as such batches are of any number of pairs: "
            "give --batch_size instead",
        )
    targets = rows.targets.lengths + len(rows.start_ids) - 1
    lengths = np.stack([rows.sources.lengths, targets])  # [2, pairs]
    longest = lengths.max(1)
    if how.tokens and how.tokens < longest.sum():
        raise InputError(
            "wrong-batch",
            f"found --tokens_per_batch={how.tokens}; wanted {longest.sum()} at least, which a pair "
            "may take that is padded to the longest source and the longest target",
        )
    grids = [np.array(padded_lengths(int(n))) for n in longest]
    cells = [np.searchsorted(*each) for each in zip(grids, lengths, strict=True)]
    keys, cell_of = np.unique(np.stack(cells, 1), axis=0, return_inverse=True)
    sizes = np.stack([grid[keys[:, side]] for side, grid in enumerate(grids)], 1)  # [cells, 2]
    counts, groups = np.bincount(cell_of.ravel()), [[cell] for cell in range(len(keys))]
    most = 1 if how.one_length else MOST_SHAPES
    while len(groups) > 1:
        joined = np.maximum(sizes[:, None], sizes[None]), counts[:, None] + counts[None]
        alone = _cost(sizes, counts, how)
        more = _cost(*joined, how) - alone[:, None] - alone[None]
        more[np.tril_indices(len(groups))] = np.inf
        one, other = np.unravel_index(np.argmin(more), more.shape)
        if len(groups) <= most and more[one, other] > 0:
            break
        sizes[one], counts[one] = joined[0][one, other], joined[1][one, other]
        groups[one] += groups.pop(other)
        sizes, counts = np.delete(sizes, other, 0), np.delete(counts, other)
    return [
        _shape(np.flatnonzero(np.isin(cell_of.ravel(), group)), size, how)
        for group, size in zip(groups, sizes, strict=True)
    ]


def _capacity(sizes: np.ndarray, how: Batching) -> np.ndarray:
    """Pairs of a batch that is padded to these sizes, [..., 2]."""
    total = sizes.sum(-1)
    return how.tokens // total if how.tokens else np.full(total.shape, how.batch_size)


def _cost(sizes: np.ndarray, counts: np.ndarray, how: Batching) -> np.ndarray:
    """Padded tokens an epoch of batches of these sizes."""
    capacity = _capacity(sizes, how)
    batches = -(-counts // capacity)
    rows = capacity if how.parts > 1 else -(-counts // batches)
    return (batches * rows * sizes.sum(-1)).astype(np.float64)


def _shape(pairs: np.ndarray, size: np.ndarray, how: Batching) -> Shape:
    """The batches of a group of pairs: as few as can be, of nearly as many pairs each."""
    capacity = int(_capacity(size, how))
    batches = -(-len(pairs) // capacity)
    rows = capacity if how.parts > 1 else -(-len(pairs) // batches)
    return Shape(pairs, int(size[0]), int(size[1]), batches, rows)


class PairBatcher:
    """Gathers batches of pairs in the graph.

    A batch holds of sources `token_ids` and `segment_ids` int32 and `padding_mask` bool, [B, L]; of
    targets, where there are some, `decoder_token_ids` int32, `decoder_padding_mask` bool,
    `target_ids` int32 and `target_weights` float32, [B, T].

    Args:
        rows: of all pairs.
        pad_id: id that stands on padding.
    """

    def __init__(self, rows: PairRows, pad_id: int):
        self._pad_id, self._start_ids = pad_id, rows.start_ids
        sides = [rows.sources, *([] if rows.targets is None else [rows.targets])]
        self._sides = [tf.RaggedTensor.from_row_splits(*side, validate=False) for side in sides]

    def __call__(self, examples: tf.Tensor, size=None, real=None) -> dict[str, tf.Tensor]:
        """The batch of some pairs.

        Args:
            examples: their indices, int64 [B].
            size: what sources and targets are padded to, int32 [2]; None: the longest.
            real: which rows count, bool [B]; None: all.
        """
        places = len(self._start_ids) - 1  # of targets, before that of the first token
        given = [None, None] if size is None else [size[0], size[1] - places]
        sides = [
            self._padded(tf.gather(side, examples), length)
            for side, length in zip(self._sides, given, strict=False)
        ]
        (ids, mask), *target = sides
        batch = {"token_ids": ids, "padding_mask": mask, "segment_ids": tf.zeros_like(ids)}
        return batch | (self._shifted(*target[0], real) if target else {})

    def _padded(self, rows: tf.RaggedTensor, length) -> tuple[tf.Tensor, tf.Tensor]:
        """Ids of rows, padded to a length, and which are none of padding: both [B, length]."""
        lengths = tf.cast(rows.row_lengths(), tf.int32)
        ids = rows.to_tensor(self._pad_id)
        if length is not None:
            ids = tf.pad(
                ids, [[0, 0], [0, length - tf.shape(ids)[1]]], constant_values=self._pad_id
            )
        return ids, tf.range(tf.shape(ids)[1]) < lengths[:, None]

    def _shifted(self, ids, mask, real) -> dict[str, tf.Tensor]:
        """Features of targets, from their ids and their ends."""
        rows, before = tf.shape(ids)[0], len(self._start_ids)
        start = tf.tile(tf.constant([self._start_ids], tf.int32), [rows, 1])
        read = tf.concat([start, ids[:, :-1]], 1)
        follows = tf.pad(ids, [[0, 0], [before - 1, 0]], constant_values=self._pad_id)
        predicted = tf.pad(mask, [[0, 0], [before - 1, 0]])
        is_read = tf.pad(mask, [[0, 0], [before - 1, 0]], constant_values=True)
        weights = tf.cast(predicted, tf.float32)
        if real is not None:
            weights *= tf.cast(real, tf.float32)[:, None]
        return {
            "decoder_token_ids": tf.where(is_read, read, self._pad_id),
            "decoder_padding_mask": is_read,
            "target_ids": follows,
            "target_weights": weights,
        }


def batches(rows: PairRows, pad_id: int, how: Batching) -> Batches:
    """Batches for training; every pair comes once an epoch, in another order each epoch.

    A batch holds pairs of about one length, which are drawn anew each epoch; batches come in random
    order. One that is not full has rows without weight.

    Args:
        rows: of all pairs, with targets.
        pad_id: id that stands on padding.
        how: they are made.

    Raises:
        InputError: as for `shapes`.
    """
    found = shapes(rows, how)
    order = _order(found, how.seed)
    batcher, (worker, workers) = PairBatcher(rows, pad_id), how.worker
    sizes = tf.constant([(shape.source, shape.target) for shape in found], tf.int32)
    counts = tf.constant([shape.rows for shape in found])
    an_epoch = sum(shape.batches for shape in found)

    def gather(examples, shape):
        """A batch of its pairs, of which -1 are none; of several workers, this one's slice."""
        examples = examples[: counts[shape]]
        real = examples >= 0
        batch = batcher(tf.where(real, examples, examples[:1]), sizes[shape], real)
        if how.parts > 1:  # all batches are of as many rows, which the step must know
            share = how.batch_size // workers
            batch = {name: x[worker * share : (worker + 1) * share] for name, x in batch.items()}
            batch = {n: tf.ensure_shape(x, [share, *x.shape[1:]]) for n, x in batch.items()}
        return batch

    def start(step: int) -> tf.data.Dataset:
        epochs = tf.data.Dataset.range(step // an_epoch, 1 << 40)
        steps = epochs.map(order).unbatch().skip(step % an_epoch)
        options = tf.data.Options()
        options.autotune.enabled = False  # taking an iterator down may wait a minute for it
        return steps.map(gather).prefetch(2).with_options(options)

    examples = len(rows) / an_epoch
    return Batches(start, an_epoch, rows.tokens_an_example * examples, examples)


def _order(found: list[Shape], seed: int):
    """A function from the number of an epoch to its batches.

    It gives the pairs of each, int64 [batches, most rows], filled with -1, and each one's shape.
    """
    pairs = tf.constant(np.concatenate([shape.pairs for shape in found]))
    of_pair = tf.constant(np.repeat(np.arange(len(found)), [len(s.pairs) for s in found]))
    # Places of the pairs of each batch, among those of all shapes in a row.
    numbers = [part for s in found for part in np.array_split(np.arange(len(s.pairs)), s.batches)]
    sizes = np.array([len(part) for part in numbers])
    splits = tf.constant(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    of_batch = tf.constant(np.repeat(np.arange(len(found)), [s.batches for s in found]), tf.int32)
    widest = max(shape.rows for shape in found)

    def draw(size, epoch, part):
        seeds = tf.stack([seed, 2 * epoch + part])
        return tf.random.stateless_uniform([size], seeds, None, None, tf.int64, "philox")

    def order(epoch):
        drawn = tf.argsort(draw(len(pairs), epoch, 0))
        drawn = tf.gather(drawn, tf.argsort(tf.gather(of_pair, drawn), stable=True))
        rows = tf.RaggedTensor.from_row_splits(tf.gather(pairs, drawn), splits, validate=False)
        examples = rows.to_tensor(-1, shape=[None, widest])  # [batches, widest]
        places = tf.argsort(draw(len(of_batch), epoch, 1))
        return tf.gather(examples, places), tf.gather(of_batch, places)

    return order
