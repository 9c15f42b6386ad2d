"""Tokenizers inside the TensorFlow graph: core ops, and tensorflow-text's fast WordPiece op.

What becomes of a character is looked up in tables that `characters` makes by applying the
normaliser of Hugging Face `tokenizers` to every code point.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf.storage import files
from roots_tf.tokenizers import characters, graph_added_tokens, graph_decoding

# An entry is what a code point becomes, in one int32: a code point and its class, or flags.
_CODE_BITS = 21
_CODE_MASK = (1 << _CODE_BITS) - 1
_CLASS_UNIT = 1 << _CODE_BITS
_REMOVED = 1 << 23  # becomes nothing
_SEVERAL = 1 << 24  # becomes a sequence, whose number stands in the place of the code point
_REORDERS = 1 << 25  # becomes a combining mark that stays

BYTES_AT_ONCE = 1 << 22  # of text; the arrays of a tokenizer take some forty times as much


class Characters(NamedTuple):
    """Normalised characters of a batch, flat over its texts."""

    codes: tf.Tensor  # int32 [M] code points
    classes: tf.Tensor  # int32 [M] classes of `characters`
    sources: tf.Tensor  # int32 [M] index of the original character, flat over the batch
    row_splits: tf.Tensor  # int32 [B + 1] bounds of the texts in the above


class GraphTokenizer(tf.Module):
    """Text to ids in the graph, and back; see `Tokenizer.graph`.

    The arrays, made of a `Tokenizer`, are constants of the graph: nothing to initialise, nothing to
    look for on disk.
    """

    def __init__(self, tokenizer):
        super().__init__(name="tokenizer")
        self._tokenizer = tokenizer
        self._decoder: graph_decoding.GraphDecoder | None = None

    # AutoGraph would take seconds to rewrite code that needs none of it.
    @tf.autograph.experimental.do_not_convert
    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids of texts.

        Args:
            texts: strings of UTF-8 [B]; what is not valid is read as U+FFFD.

        Returns:
            int32 [B, None], without special tokens around.
        """
        return self._in_parts(texts, with_offsets=False)[0]

    @tf.autograph.experimental.do_not_convert
    def tokenize_with_offsets(
        self, texts: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        """Ids of texts and the characters of each: ids, starts, ends (exclusive).

        Args:
            texts: strings of UTF-8 [B].

        Returns:
            Three int32 [B, None]; starts and ends count code points of the text as given.
        """
        return self._in_parts(texts, with_offsets=True)

    @tf.autograph.experimental.do_not_convert
    def decode(self, ids, skip_special_tokens: bool = True) -> tf.Tensor:
        """Strings [B] of `ids` int32 [B, T] or ragged [B, None], as `Tokenizer.decode` gives them.

        `graph_decoding.GraphDecoder` says more, also of `skip_special_tokens`.
        """
        if self._decoder is None:
            self._decoder = graph_decoding.GraphDecoder(self._tokenizer)
        return self._decoder(ids, skip_special_tokens)

    def _in_parts(self, texts: tf.Tensor, with_offsets: bool) -> list[tf.RaggedTensor]:
        """Calls `_ragged` on about `BYTES_AT_ONCE` of text at a time, which bounds the memory."""
        sizes = tf.strings.length(texts)
        part = tf.cumsum(sizes, exclusive=True) // BYTES_AT_ONCE  # [B]
        arrays = [
            tf.TensorArray(tf.int32, 0, dynamic_size=True, infer_shape=False)
            for _ in range(4 if with_offsets else 2)
        ]

        def body(index, start, arrays):
            # A batch without texts still has one part: a concatenation of no parts has no shape.
            end = tf.reduce_sum(tf.searchsorted(part, part[start : start + 1], side="right"))
            outputs = self._ragged(texts[start:end], with_offsets)
            lengths = tf.cast(outputs[0].row_lengths(), tf.int32)
            values = [lengths, *(ragged.flat_values for ragged in outputs)]
            arrays = [array.write(index, v) for array, v in zip(arrays, values, strict=True)]
            return index + 1, end, arrays

        _, _, arrays = tf.while_loop(
            lambda index, start, arrays: (index == 0) | (start < tf.size(part)),
            body,
            (tf.constant(0), tf.constant(0), arrays),
            parallel_iterations=1,
        )
        lengths, *values = (tf.ensure_shape(array.concat(), [None]) for array in arrays)
        splits = tf.concat([[0], tf.cumsum(lengths)], 0)
        return [rows(flat, splits) for flat in values]

    def _ragged(self, texts: tf.Tensor, with_offsets: bool) -> tuple[tf.RaggedTensor, ...]:
        """Ids, and with offsets starts and ends, of texts [B]: int32 [B, None] each."""
        raise NotImplementedError


class CodePointTable:
    """Entries of all code points, and the sequences that some become.

    Args:
        changes: code points that do not stay as they are, and what they become.
        classes: class of each resulting code point.
        isolate_spaced: whether " c " becomes one isolated c; the spaces are separators anyway.
        more: further strings that need entries; `self.more` holds them.
    """

    def __init__(self, changes: dict[int, str], classes: np.ndarray, isolate_spaced: bool, more=()):
        def entry(code: int) -> int:
            return code | int(classes[code]) << _CODE_BITS

        def entry_of(output: str) -> int:
            if not output:
                return _REMOVED
            if len(output) == 1:
                return entry(ord(output))
            return _SEVERAL | sequences.setdefault(output, len(sequences))

        entries = np.arange(characters.NUM_CODE_POINTS, dtype=np.int32)
        entries |= classes.astype(np.int32) << _CODE_BITS
        sequences: dict[str, int] = {}
        for code, output in changes.items():
            if isolate_spaced and len(output) == 3 and output[0] == output[2] == " ":
                entries[code] = ord(output[1]) | characters.ISOLATED << _CODE_BITS
            else:
                entries[code] = entry_of(output)
        self.more = np.array([entry_of(output) for output in more], np.int32)
        self._entries = entries
        sequences.setdefault("\0", len(sequences))  # an empty table cannot be gathered from
        self.counts = np.array([len(sequence) for sequence in sequences], np.int32)
        self.firsts = np.cumsum(self.counts, dtype=np.int32) - self.counts
        self.values = np.array([entry(ord(c)) for s in sequences for c in s], np.int32)
        self._differences = _differences(entries)

    def flag(self, code_points, flag: int) -> None:
        """Sets the bit `flag` in the entries of `code_points`."""
        self._entries[list(code_points)] |= flag
        self._differences = _differences(self._entries)

    def look_up(self, codes: tf.Tensor) -> tf.Tensor:
        """Entries of code points: int32 [N] to int32 [N]."""
        return look_up(self._differences, codes) + codes

    def expand(self, entries: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Entries without flags, and the index of the entry that each came from."""
        flagged = has(entries, _REMOVED | _SEVERAL)

        def each():
            several = has(entries, _SEVERAL)
            number = tf.where(several, entries & _CODE_MASK, 0)
            count = tf.where(several, tf.gather(self.counts, number), 1)
            count = tf.where(has(entries, _REMOVED), 0, count)
            source = tf.repeat(tf.range(tf.size(entries)), count)
            within = tf.range(tf.size(source)) - tf.gather(tf.cumsum(count, exclusive=True), source)
            from_sequence = tf.gather(several, source)
            index = tf.gather(tf.gather(self.firsts, number), source) + within
            value = tf.gather(self.values, tf.where(from_sequence, index, 0))
            return tf.where(from_sequence, value, tf.gather(entries, source)), source

        return tf.cond(tf.reduce_any(flagged), each, lambda: (entries, tf.range(tf.size(entries))))


def _differences(entries: np.ndarray) -> characters.PagedTable:
    """Entries minus their code points, as a table.

    Most characters stay as they are. Their entries all differ, but these differences are equal (to
    0, or to a class), so that whole pages are equal and are stored once.
    """
    return characters.paged(entries - np.arange(len(entries), dtype=np.int32))


class Normalizer:
    """A character-wise normaliser of `tokenizers` in the graph, with special tokens kept whole.

    Args:
        settings: the normalizer of a `tokenizer.json`.
        normalizer: the same as an object.
        classes: class of each normalised code point, [NUM_CODE_POINTS].
        added_tokens: the added tokens of a `tokenizer.json`.
        stand_ins: by content, the character whose repetition is put in the place of an added token
            that the model does not know as a word; None where the model knows all of them, and
            none may be searched for in normalised text.

    Raises:
        InputError: the normaliser does not act on characters one by one, or an added token is found
            by rules which the graph lacks.
    """

    def __init__(
        self,
        settings: dict | None,
        normalizer,
        classes: np.ndarray,
        added_tokens,
        stand_ins: Mapping[str, str] | None = None,
    ):
        if settings is not None and settings["type"] != "BertNormalizer":
            raise files.InputError(
                "unsupported-tokenizer",
                f"found the normaliser {settings['type']}; wanted BertNormalizer or none",
            )
        changes = {} if settings is None else characters.changes(normalizer)
        self._table = CodePointTable(changes, classes, isolate_spaced=True)
        graph_added_tokens.check(added_tokens, normalized=stand_ins is not None)
        found = {  # what is looked for, by content
            token["content"]: _as_in_graph(token["content"], normalizer, changes)
            if token["normalized"]
            else token["content"]
            for token in added_tokens
        }
        self.stand_ins = {
            content: stand_ins[content] * len(text) if content in (stand_ins or ()) else text
            for content, text in found.items()
        }
        self._raw, self._normalized = (
            graph_added_tokens.AddedTokens(
                [found[token["content"]] for token in tokens],
                [self.stand_ins[token["content"]] for token in tokens],
            )
            for tokens in (
                [token for token in added_tokens if not token["normalized"]],
                [token for token in added_tokens if token["normalized"]],
            )
        )
        self._strips = False
        if settings is not None:
            strips = settings["strip_accents"]
            self._strips = settings["lowercase"] if strips is None else strips
        if self._strips:
            self._prepare_reordering(settings, classes)

    def _prepare_reordering(self, settings: dict, classes: np.ndarray) -> None:
        """Tables of the two halves of the normaliser, before and after marks are sorted."""
        from tokenizers import normalizers

        marks = characters.combining_classes()
        cleans = {key: settings[key] for key in ("clean_text", "handle_chinese_chars")}
        before = normalizers.Sequence(
            [
                normalizers.BertNormalizer(**cleans, strip_accents=False, lowercase=False),
                normalizers.NFD(),
            ]
        )
        after = normalizers.BertNormalizer(
            clean_text=False,
            handle_chinese_chars=False,
            strip_accents=True,
            lowercase=settings["lowercase"],
        )
        decomposed = characters.changes(before)
        finished = characters.changes(after)
        kept = {c for c in np.flatnonzero(marks).tolist() if finished.get(c, chr(c))}
        self._table.flag(
            [c for c in kept if c not in decomposed]
            + [c for c, output in decomposed.items() if kept & set(map(ord, output))],
            _REORDERS,
        )
        self._before = CodePointTable(decomposed, np.zeros_like(classes), isolate_spaced=False)
        self._after = CodePointTable(finished, classes, isolate_spaced=False)
        self._marks = characters.paged(marks.astype(np.int32))

    def __call__(self, texts: tf.Tensor) -> tuple[Characters, tf.Tensor]:
        """Normalises texts [B]: their characters, and the row splits [B + 1] of the original."""
        original_splits, codes = tf.raw_ops.UnicodeDecode(
            input=texts,
            input_encoding="UTF-8",
            errors="replace",
            replacement_char=0xFFFD,
            Tsplits=tf.int32,
        )
        entries = self._table.look_up(codes)
        codes, special = self._raw(codes, original_splits)
        entries = tf.where(special > 0, codes + special * _CLASS_UNIT, entries)
        entries, sources = self._expanded(entries, codes, special, original_splits)
        splits = tf.searchsorted(sources, original_splits)
        codes, classes = entries & _CODE_MASK, _class(entries)
        if self._normalized:
            is_added = tf.gather(special, sources) > 0
            found, again = self._normalized(tf.where(is_added, -1, codes), splits)
            codes = tf.where(again > 0, found, codes)
            classes = tf.where(again > 0, again, classes)
        return Characters(codes, classes, sources, splits), original_splits

    def _expanded(self, entries, codes, special, row_splits) -> tuple[tf.Tensor, tf.Tensor]:
        """Entries of normalised characters, and the index of the original that each came from."""
        if not self._strips:
            return self._table.expand(entries)
        return tf.cond(
            tf.reduce_any(has(entries, _REORDERS)),
            lambda: self._reordered(codes, special, row_splits),
            lambda: self._table.expand(entries),
        )

    def _reordered(self, codes, special, row_splits) -> tuple[tf.Tensor, tf.Tensor]:
        """Entries and their sources where combining marks that stay may have to be sorted."""
        overridden = codes + special * _CLASS_UNIT
        entries = tf.where(special > 0, overridden, self._before.look_up(codes))
        entries, sources = self._before.expand(entries)
        codes = entries & _CODE_MASK
        mark = look_up(self._marks, codes)
        opens = (mark == 0) | starts_of(tf.searchsorted(sources, row_splits), tf.size(sources))
        run = tf.cumsum(tf.cast(opens, tf.int64))
        order = tf.argsort(run * 256 + tf.cast(mark, tf.int64), stable=True)
        # Offsets as in `tokenizers`: in sorted order, each character that was the first of its
        # decomposition stands for the next original character.
        is_first = tf.concat([[True], sources[1:] != sources[:-1]], 0)[: tf.size(sources)]
        slot = tf.cumsum(tf.cast(tf.gather(is_first, order), tf.int32)) - 1
        sources = tf.gather(tf.boolean_mask(sources, is_first), tf.maximum(slot, 0))
        entries = tf.gather(entries, order)
        finished = tf.where(_class(entries) > 0, entries, self._after.look_up(entries & _CODE_MASK))
        finished, kept = self._after.expand(finished)
        return finished, tf.gather(sources, kept)


def _as_in_graph(content: str, normalizer, changes: dict[int, str]) -> str:
    """An added token as the normaliser leaves it, and as `CodePointTable` writes " c ".

    Raises:
        InputError: nothing is left of it.
    """
    normal = normalizer.normalize_str(content) if normalizer else content
    for character in set(normal):
        if (spaced := f" {character} ") == changes.get(ord(character)):
            normal = normal.replace(spaced, character)
    if not normal:
        raise files.InputError(
            "unsupported-tokenizer",
            f"found the added token {content!r}, which the normaliser deletes; wanted another one",
        )
    return normal


def look_up(table: characters.PagedTable, codes: tf.Tensor) -> tf.Tensor:
    """What a `table` holds for each of the code points `codes`: [N] to [N]."""
    page = tf.gather(table.page_of, codes // characters.PAGE)
    return tf.gather(table.pages, page * characters.PAGE + codes % characters.PAGE)


def rows(values: tf.Tensor, row_splits: tf.Tensor) -> tf.RaggedTensor:
    """Ragged rows [B, None] of flat `values` between `row_splits` [B + 1].

    Their splits become int64, as tensorflow-text and Keras expect them.
    """
    return tf.RaggedTensor.from_row_splits(values, tf.cast(row_splits, tf.int64), validate=False)


def row_of(row_splits: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Row of each of `size` values between `row_splits` int32 [B + 1]: int32 [size].

    In place of `RaggedTensor.value_rowids` and `tf.repeat`, which allocate a matrix of rows by the
    longest row.

    >>> row_of(tf.constant([0, 2, 2, 3]), 3)     # rows of 2, 0 and 1
    [0, 0, 2]
    """
    return tf.cumsum(_row_starts(row_splits, size)) - 1


def starts_of(row_splits: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Whether each of `size` places is the first of a row of `row_splits`: bool [size].

    >>> starts_of(tf.constant([0, 2, 2, 3]), 3)     # rows of 2, 0 and 1
    [True, False, True]
    """
    return _row_starts(row_splits, size) > 0


def _row_starts(row_splits: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Number of rows that start at each of `size` places: int32 [size]."""
    counts = tf.scatter_nd(row_splits[:, None], tf.ones_like(row_splits), [size + 1])
    return counts[:-1]


def _class(entries: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(entries, _CODE_BITS), 3)


def has(entries: tf.Tensor, flags: int) -> tf.Tensor:
    """Whether `entries` have at least one of the bits `flags`: bool, one for each."""
    return tf.bitwise.bitwise_and(entries, flags) != 0
