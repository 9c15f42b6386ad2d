"""Unigram in the graph: words by table, pieces from a trie, the best path by a loop over all words.

Kudo, Subword Regularization, 2018 (arXiv 1804.10959). The search adds the same float64 scores in
the same order as `tokenizers` and settles ties as it does, so paths do not differ in the last bit.
"""

import re

import numpy as np
import tensorflow as tf
from tokenizers import pre_tokenizers

from roots_tf.storage import files
from roots_tf.tokenizers import characters, graph, graph_words

_SPACE = ord("▁")
_UNKNOWN_PENALTY = 10.0  # below the lowest score; kUnkPenalty of sentencepiece unigram_model.cc


class GraphUnigram(graph_words.GraphWords):
    """Unigram on words that start with "▁".

    Args:
        tokenizer: `roots_tf.tokenizers.Tokenizer` of the kind "unigram".

    Raises:
        InputError: its pre-tokenizer has no counterpart here.
    """

    def __init__(self, tokenizer):
        settings = tokenizer.settings
        self._splits, self._max_chars = _pre_tokenizer(settings["pre_tokenizer"])
        classes = np.zeros(characters.NUM_CODE_POINTS, np.int8)
        if self._splits:
            classes[characters.removed_by(pre_tokenizers.WhitespaceSplit())] = characters.SEPARATOR
        super().__init__(tokenizer, classes)
        model = settings["model"]
        if model.get("byte_fallback") or model["unk_id"] is None:
            raise files.InputError(
                "unsupported-tokenizer",
                "found a Unigram model with byte_fallback or without an unknown token, which has "
                "no counterpart in the graph; wanted one without bytes and with an unknown token",
            )
        self._unk_id = model["unk_id"]
        self._load_trie([piece for piece, _ in model["vocab"]])
        scores = [score for _, score in model["vocab"]]
        # After the scores: that of an unknown character, and that of no piece.
        self._scores = np.array([*scores, min(scores) - _UNKNOWN_PENALTY, -np.inf], np.float64)
        self._unknown, self._no_piece = len(scores), len(scores) + 1

    def _load_trie(self, pieces: list[str]) -> None:
        """Arrays of the trie of all pieces: sorted (node, character) pairs and where they lead."""
        alphabet = {c: i for i, c in enumerate(sorted(set("".join(pieces))), 1)}
        letters = np.zeros(characters.NUM_CODE_POINTS, np.int32)
        letters[[ord(c) for c in alphabet]] = list(alphabet.values())
        self._letters = characters.paged(letters)
        self._base = len(alphabet) + 1
        children: dict[int, int] = {}
        ends = [-1]
        for piece_id, piece in enumerate(pieces):
            node = 0
            for c in piece:
                key = node * self._base + alphabet[c]
                node = children.setdefault(key, len(ends))
                if node == len(ends):
                    ends.append(-1)
            ends[node] = piece_id
        self._keys = np.array(sorted(children), np.int64)
        self._children = np.array([children[key] for key in sorted(children)], np.int32)
        self._ends = np.array(ends, np.int32)
        self._longest = max(map(len, pieces))

    def _words(self, text):
        opens = graph_words.segment_starts(text)
        special = text.classes > characters.SEPARATOR
        codes, sources, classes = text.codes, text.sources, text.classes
        row_splits = text.row_splits
        if self._splits:
            is_space = classes == characters.SEPARATOR
            opens |= graph_words.shifted(is_space, False)
            kept = ~is_space
            before = tf.concat([[0], tf.cumsum(tf.cast(kept, tf.int32))], 0)
            row_splits = tf.gather(before, row_splits)
            codes, sources, classes, opens, special = (
                tf.boolean_mask(x, kept) for x in (codes, sources, classes, opens, special)
            )
            if self._max_chars:
                size = tf.size(codes)
                first = tf.cast(tf.where(opens)[:, 0], tf.int32)
                within = tf.range(size) - tf.gather(first, graph.row_of(first, size))
                opens |= ~special & (within % self._max_chars == 0)
        else:
            codes = tf.where(~special & (codes == ord(" ")), _SPACE, codes)
        is_mark = ~special & (codes == _SPACE)
        text = graph.Characters(codes, classes, sources, row_splits)
        bounds, row_words, is_special = graph_words.cut(text, opens | is_mark)
        # "▁" goes before each word that has none, in the place of its first character.
        wants_mark = opens & ~is_mark & ~special
        copies = 1 + tf.cast(wants_mark, tf.int32)
        source = tf.repeat(tf.range(tf.size(codes)), copies)
        is_copy = tf.concat([source[1:] == source[:-1], [False]], 0)[: tf.size(source)]
        codes = tf.where(is_copy, _SPACE, tf.gather(codes, source))
        bounds = tf.gather(tf.concat([[0], tf.cumsum(copies)], 0), bounds)
        return graph_words.WordBatch(
            codes, tf.gather(sources, source), bounds, row_words, is_special
        )

    def _units(self, codes):
        return tf.ones_like(codes)

    def _pieces(self, words):
        splits, codes = tf.raw_ops.UnicodeDecode(
            input=words, input_encoding="UTF-8", Tsplits=tf.int32
        )
        lengths = splits[1:] - splits[:-1]  # [U]
        order = tf.argsort(lengths, direction="DESCENDING", stable=True)
        lengths, bases = tf.gather(lengths, order), tf.gather(splits, order)
        matches = self._matches(codes, splits)  # [S, K]
        longest = tf.reduce_max(tf.concat([lengths, [0]], 0))
        active = tf.cumsum(tf.math.bincount(lengths, minlength=longest + 1), reverse=True)[1:]
        best = self._search(matches, bases, active)  # [S]
        ends, sizes = _path(best, bases, lengths, active)
        pieces = tf.gather_nd(matches, tf.stack([ends, self._longest - sizes], 1))
        ids = tf.where(pieces == self._unknown, self._unk_id, pieces)
        # Neighbouring unknown characters of a word become one unknown piece.
        word = tf.gather(graph.row_of(splits, tf.size(codes)), ends)
        unknown = ids == self._unk_id
        more = tf.concat([unknown[1:] & (word[1:] == word[:-1]), [False]], 0)[: tf.size(ids)]
        kept = ~(unknown & more)
        ids, ends, word = (tf.boolean_mask(x, kept) for x in (ids, ends, word))
        counts = tf.math.bincount(word, minlength=tf.size(words), maxlength=tf.size(words))
        return graph_words.Pieces(
            ids, ends + 1 - tf.gather(splits, word), tf.concat([[0], tf.cumsum(counts)], 0)
        )

    def _matches(self, codes: tf.Tensor, splits: tf.Tensor) -> tf.Tensor:
        """Pieces by the place of their last character: int32 [S, K], the longest piece first.

        Column k holds the piece of K - k characters that ends there; where there is none, the
        number of the score -inf, and for one character that of the unknown character.
        """
        size = tf.size(codes)
        letters = graph.look_up(self._letters, codes)
        limit = tf.gather(splits, graph.row_of(splits, size) + 1)  # end of each place's word

        def body(length, start, node, columns):
            end = start + length  # exclusive
            inside = end <= tf.gather(limit, start)
            start, node, end = (tf.boolean_mask(x, inside) for x in (start, node, end))
            letter = tf.cast(tf.gather(letters, end - 1), tf.int64)
            key = tf.cast(node, tf.int64) * self._base + letter
            at = tf.minimum(tf.searchsorted(self._keys, key), len(self._keys) - 1)
            known = (tf.gather(self._keys, at) == key) & (letter > 0)
            start, at, end = (tf.boolean_mask(x, known) for x in (start, at, end))
            node = tf.gather(self._children, at)
            piece = tf.gather(self._ends, node)
            found = piece >= 0
            none = tf.where(length == 1, self._unknown, self._no_piece)
            column = tf.tensor_scatter_nd_update(
                tf.fill([size], none),
                tf.boolean_mask(end, found)[:, None] - 1,
                tf.boolean_mask(piece, found),
            )
            return length + 1, start, node, columns.write(self._longest - length, column)

        columns = tf.TensorArray(tf.int32, self._longest, element_shape=[None])
        unknown = tf.TensorShape([None])
        columns = tf.while_loop(
            lambda length, *_: length <= self._longest,
            body,
            (1, tf.range(size), tf.zeros([size], tf.int32), columns),
            shape_invariants=(tf.TensorShape([]), unknown, unknown, tf.TensorShape(None)),
            parallel_iterations=1,
        )[-1]
        return tf.transpose(tf.reshape(columns.stack(), [self._longest, size]))

    def _search(self, matches: tf.Tensor, bases: tf.Tensor, active: tf.Tensor) -> tf.Tensor:
        """Length of the last piece of the best path to each place of each word.

        Args:
            matches: see `_matches`.
            bases: first place of each word, the longest word first [U].
            active: number of words that have a first, second ... character.

        Returns:
            int32 [S]: of all first characters in the order of `bases`, of all second ones ...
        """
        lengths = tf.range(self._longest, 0, -1)

        def body(place, window, best):
            # Column k of the window: score of the best path that ends K - k characters before.
            count = active[place]
            scores = tf.gather(self._scores, tf.gather(matches, bases[:count] + place))
            scores += window[:count]  # [n, K]
            highest = tf.reduce_max(scores, 1, keepdims=True)
            # `tokenizers` keeps the first of equal paths, whose last piece is the longest.
            length = tf.reduce_max(tf.where(scores == highest, lengths, 0), 1)
            window = tf.concat([window[:count, 1:], highest], 1)
            return place + 1, window, best.write(place, length)

        window = tf.concat(
            [
                tf.fill([tf.size(bases), self._longest - 1], tf.constant(-np.inf, tf.float64)),
                tf.zeros([tf.size(bases), 1], tf.float64),
            ],
            1,
        )
        steps = tf.size(active)
        best = _array(steps + 1).write(steps, tf.zeros([0], tf.int32))
        shapes = (tf.TensorShape([]), tf.TensorShape([None, None]), tf.TensorShape(None))
        best = tf.while_loop(
            lambda place, *_: place < steps,
            body,
            (0, window, best),
            shape_invariants=shapes,
            parallel_iterations=1,
        )[-1]
        return best.concat()


def _array(size: tf.Tensor | int) -> tf.TensorArray:
    """For parts of a vector. One is written empty: nothing at all could not be concatenated."""
    return tf.TensorArray(
        tf.int32, size, dynamic_size=True, element_shape=[None], infer_shape=False
    )


def _path(best, bases, lengths, active) -> tuple[tf.Tensor, tf.Tensor]:
    """Last characters of the pieces of the best paths, ascending, and the lengths of the pieces."""
    before = tf.cumsum(active, exclusive=True)  # [longest word]
    size = tf.size(best)

    def body(step, word, left, ends, sizes):
        length = tf.gather(best, tf.gather(before, left - 1) + word)
        ends = ends.write(step, tf.gather(bases, word) + left - 1)
        sizes = sizes.write(step, length)
        left -= length
        more = left > 0
        return step + 1, tf.boolean_mask(word, more), tf.boolean_mask(left, more), ends, sizes

    arrays = [_array(1).write(0, tf.zeros([0], tf.int32)) for _ in range(2)]
    word = tf.cast(tf.where(lengths > 0)[:, 0], tf.int32)
    unknown = tf.TensorShape([None])
    *_, ends, sizes = tf.while_loop(
        lambda step, word, *_: tf.size(word) > 0,
        body,
        (1, word, tf.gather(lengths, word), *arrays),
        shape_invariants=(tf.TensorShape([]), unknown, unknown, *[tf.TensorShape(None)] * 2),
        parallel_iterations=1,
    )
    # Each place is the end of at most one piece: in order of place without sorting.
    lengths_at = tf.scatter_nd(ends.concat()[:, None], sizes.concat(), [size])
    ends = tf.cast(tf.where(lengths_at > 0)[:, 0], tf.int32)
    return ends, tf.gather(lengths_at, ends)


def _pre_tokenizer(settings: dict | None) -> tuple[bool, int]:
    """Whether words end at whitespace, and how many characters they may have (0: any number).

    Raises:
        InputError: the pre-tokenizer does something else.
    """
    settings = settings or {}
    steps = settings.get("pretokenizers", [settings])
    kinds = [step.get("type") for step in steps]
    last = steps[-1]
    if kinds[-1] == "Metaspace" and (
        last["replacement"],
        last["prepend_scheme"],
        last["split"],
    ) == ("▁", "always", True):
        if kinds[:-1] == []:
            return False, 0
        if kinds[:-1] == ["WhitespaceSplit"]:
            return True, 0
        if kinds[:-1] == ["WhitespaceSplit", "Split"]:
            limit = re.fullmatch(r"\.\{(\d+)\}", steps[1]["pattern"].get("Regex", ""))
            if limit and steps[1]["behavior"] == "Isolated" and not steps[1]["invert"]:
                return True, int(limit[1])
    raise files.InputError(
        "unsupported-tokenizer",
        f"found Unigram with the pre-tokenizer {settings}, which has no counterpart in the graph; "
        "wanted Metaspace that always prepends and splits, alone or after WhitespaceSplit",
    )
