"""Rows of denoising: text with parts hidden, and a target that tells them.

A row takes the same number of tokens whatever is hidden, so that its source is full: records of a
shard, in the epoch's order, are one stream that is cut every so many tokens, as T5's
`reduce_concat_tokens` and `split_tokens` do. Only a shard's last row is padded. Records as long as
a row, or several of its lengths, have rows to themselves; shorter ones share a row and see one
another. For the text a b c d e f, whose b and e f are hidden (X, Y are sentinels, M the mask):

    span_corruption   <bos> a X c d Y <eos>     X b Y e f <eos>
    text_infilling    <bos> a M c d M <eos>     a b c d e f <eos>
    prefix            <bos> a b c d <eos>       e f <eos>

This is the only place where targets are shifted: `decoder_token_ids` are <bos> and `target_ids`
but the last. Without a begin of text, as in T5's tokenizers, sources begin with their text and
targets with the padding.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from roots_tf.examples import decoding, packing
from roots_tf.examples.row_maker import Chance, RowMaker
from roots_tf.features import Feature
from roots_tf.objectives import denoising_noise as noising
from roots_tf.objectives.denoising_lengths import MODE, SENTINEL, start_of
from roots_tf.storage import files
from roots_tf.tokenizers.shown import shown

TARGETS = {
    "decoder_token_ids": Feature("int32", "B T", "what a target's tokens are told from"),
    "decoder_padding_mask": Feature("bool", "B T", "True on tokens, False on padding"),
    "target_ids": Feature("int32", "B T", "what is told at each place; 0 where nothing is"),
    "target_weights": Feature("float32", "B T", "1 where it is told, else 0"),
}
# Uses of chance.
KIND, SEGMENTS, TURN, PLACES, LENGTHS = "denoiser", "segments", "turn", "places", "lengths"
SUFFIX, IS_PERMUTED, ORDER = "suffix", "permuted", "sentences"
ENDS, CLOSING = tuple(".!?。！？…"), "\"'”’»)]」』）"


def ends_sentence(tokenizer) -> np.ndarray:
    """Whether a piece ends a sentence, bool [V]: with one of .!?。！？…, quotes behind it or not.

    Args:
        tokenizer: of the examples.
    """
    pieces = shown(tokenizer, range(tokenizer.size))
    ends = np.array([piece.rstrip(CLOSING).endswith(ENDS) for piece in pieces])
    ends[list(tokenizer.special_ids)] = False
    return ends


@dataclasses.dataclass(frozen=True)
class DenoisingRows(RowMaker):
    """Sources and targets.

    Attributes:
        objective: the flags, a `denoising.Denoising`.
        manifest: of the examples.
        split: "train" or "held_out".
        tokenizer: with sentinels, as `Denoising.tokenizer_of` gives it.
        length: L.
    """

    objective: object
    manifest: dict
    split: str
    tokenizer: object
    length: int
    new_features = TARGETS

    def __post_init__(self):
        """Refuses a tokenizer that lacks a special token.

        Raises:
            InputError: what ends a text, begins a target or stands for a span is missing.
        """
        roles = ("eos", *("mask",) * (self.objective.denoising == "text_infilling"))
        missing = [r for r in roles if getattr(self.tokenizer, f"{r}_id") is None]
        if start_of(self.tokenizer) is None:
            missing.append("bos")
        if missing:
            raise files.InputError(
                "no-special-token",
                f"found a tokenizer without special tokens for {missing}; wanted "
                f"{[*roles, 'bos']}: train one with train-tokenizer",
            )

    def count(self, shard):
        """Rows of a shard."""
        return self.objective.rows_of(shard, self.length)

    def rows(self, records):
        """All text of a shard, cut into rows: int32 [rows, N], PAD behind the last token."""
        text = decoding.decode_contiguous(records, self.manifest)
        tokens, _ = self.objective.tokens(self.length)
        return packing.pack_columns({"tokens": text.ids}, text.lengths, tokens)["tokens"]

    def features(self, rows, chance):
        """Features of the worker's rows; a row that only fills the batch tells nothing."""
        tokens = chance.of_worker(rows)
        inside = tokens != packing.PAD
        infills = self.objective.denoising == "text_infilling"
        make = self._infilled if infills else self._corrupted
        source, target = make(tokens, inside, chance)
        pad, eos = self.tokenizer.causal_pad_id, self.tokenizer.eos_id
        begin = [] if self.tokenizer.bos_id is None else [self.tokenizer.bos_id]
        target_length = self.objective.target_length(self.length)
        token_ids, padding_mask = joined([*begin, *source, eos], self.length, pad)
        target_ids, told = joined([*target, eos], target_length, 0)
        shifted = tf.where(told, target_ids, pad)[:, :-1]
        start = tf.fill([tokens.shape[0], 1], start_of(self.tokenizer))
        return {
            "token_ids": token_ids,
            "segment_ids": tf.zeros_like(token_ids),
            "padding_mask": padding_mask,
            "decoder_token_ids": tf.where(told, tf.concat([start, shifted], 1), pad),
            "decoder_padding_mask": told,
            "target_ids": target_ids,
            "target_weights": tf.cast(told, tf.float32) * chance.example_weights[:, None],
        }

    def _counts(self, inside) -> tf.Tensor:
        """Noise and spans of each row, were it of each denoiser, int32 [B, denoisers, 2]."""
        table = [
            [each.counts(size) if size else (0, 0) for each in self.objective.denoisers]
            for size in range(inside.shape[1] + 1)
        ]
        return tf.gather(tf.constant(table), tf.math.count_nonzero(inside, 1))

    def _corrupted(self, tokens, inside, chance: Chance):
        """Sources and targets of spans and suffixes, as parts for `joined`."""
        width, denoisers = tokens.shape[1], self.objective.denoisers
        bounds = np.cumsum([each.weight for each in denoisers])[:-1].astype(np.float32)
        kind = chance.uniform_of_rows(KIND, [])
        kind = tf.reduce_sum(tf.cast(kind[:, None] >= bounds, tf.int32), 1)  # [B]
        noise, count = tf.unstack(tf.gather(self._counts(inside), kind, batch_dims=1), axis=1)
        sizes = tf.math.count_nonzero(inside, 1, dtype=tf.int32)
        hidden = noising.spans(
            *(sizes, noise, count),
            chance.uniform_of_rows(SEGMENTS, [width]),
            chance.uniform_of_rows(TURN, []),
        )
        drawn = chance.uniform_of_rows(SUFFIX, [])
        is_suffix = tf.gather(tf.constant([each.kind == "suffix" for each in denoisers]), kind)
        behind = noising.suffix(sizes, noise, drawn, width)
        hidden = tf.where(is_suffix[:, None], behind, hidden)
        first = hidden & ~tf.pad(hidden, [[0, 0], [1, 0]])[:, :-1] & ~is_suffix[:, None]
        number = tf.maximum(tf.cumsum(tf.cast(first, tf.int32), axis=1) - 1, 0)
        sentinel = tokens
        if self.objective.has_sentinels:
            names = [SENTINEL.format(i) for i in range(self.objective.num_sentinels)]
            sentinel = tf.gather(self._ids(names), number)
        modes = []
        if all(each.mode for each in denoisers):
            modes.append(tf.gather(self._ids([MODE.format(each.mode) for each in denoisers]), kind))
        source = (tf.where(first, sentinel, tokens), inside & (first | ~hidden))
        return [*modes, source], [between((sentinel, first), (tokens, hidden))]

    def _infilled(self, tokens, inside, chance: Chance):
        """Sources and targets of text infilling, as parts for `joined`."""
        text, width, mask_id = tokens, tokens.shape[1], self.tokenizer.mask_id
        if share := self.objective.permute_sentences:
            ends = tf.gather(tf.constant(ends_sentence(self.tokenizer)), tf.maximum(tokens, 0))
            scores = chance.uniform_of_rows(ORDER, [width])
            other = noising.permuted(tokens, inside, ends & inside, scores)
            permutes = chance.uniform_of_rows(IS_PERMUTED, []) < share
            text = tf.where(permutes[:, None], other, tokens)
        noise, count = tf.unstack(self._counts(inside)[:, 0], axis=1)
        sizes = tf.math.count_nonzero(inside, 1, dtype=tf.int32)
        hidden, masks = noising.infilling(
            *(sizes, noise, count),
            chance.uniform_of_rows(PLACES, [width + 1]),
            chance.uniform_of_rows(LENGTHS, [width]),
        )
        stays = inside & ~hidden
        number = tf.cumsum(tf.cast(stays, tf.int32), axis=1, exclusive=True)
        before = stays & tf.gather(masks, number, batch_dims=1)
        last = tf.gather(masks, sizes - noise, batch_dims=1)[:, None]
        mask = tf.fill(tf.shape(tokens), mask_id)
        source = [between((mask, before), (text, stays)), (mask[:, :1], last)]
        return source, [(tokens, inside)]

    def _ids(self, names: list[str]) -> tf.Tensor:
        """Ids of tokens, int32."""
        ids = {token: i for i, token in enumerate(self.tokenizer.vocabulary)}
        return tf.constant([ids[name] for name in names], tf.int32)


def between(first: tuple[tf.Tensor, tf.Tensor], second: tuple[tf.Tensor, tf.Tensor]):
    """Two sequences in one, token by token in turn.

    Args:
        first, second: ids and which of them count, [B, N].
    """
    return tuple(
        tf.reshape(tf.stack(pair, -1), [pair[0].shape[0], 2 * pair[0].shape[1]])
        for pair in zip(first, second, strict=True)
    )


def joined(parts, width: int, pad: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Parts of rows one after the other, without what does not count.

    >>> joined([2, (tf.constant([[7, 8, 9]]), tf.constant([[True, False, True]])), 3], 5, 0)
    ([[2, 7, 9, 3, 0]], [[True, True, True, True, False]])

    Args:
        parts: ids and which of them count, [B, n]; ids that all count, [B]; or one id of all rows.
        width: of what is given.
        pad: what stands behind.

    Returns:
        Ids, int32 [B, width], and True where there are some, bool [B, width].
    """
    batch = next(part[0].shape[0] for part in parts if isinstance(part, tuple))

    def column(part):
        if isinstance(part, tuple):
            return part
        ids = tf.fill([batch, 1], part) if isinstance(part, int) else part[:, None]
        return ids, tf.ones([batch, 1], tf.bool)

    ids, counts = (tf.concat(each, 1) for each in zip(*map(column, parts), strict=True))
    place = tf.cumsum(tf.cast(counts, tf.int32), axis=1, exclusive=True)
    place = tf.where(counts, place, width)  # a column that is cut off again
    rows = tf.broadcast_to(tf.range(batch)[:, None], tf.shape(place))
    found = tf.fill([batch, width + 1], pad)
    found = tf.tensor_scatter_nd_update(found, tf.stack([rows, place], -1), ids)[:, :width]
    total = tf.math.count_nonzero(counts, 1, dtype=tf.int32)
    return found, tf.range(width) < total[:, None]
