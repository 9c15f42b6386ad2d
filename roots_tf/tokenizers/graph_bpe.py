"""Byte-level BPE in the graph: GPT-2's pattern by table, merges by rank in a loop over all words.

Radford et al., Language Models are Unsupervised Multitask Learners, 2019, section 2.2; the pattern
is 's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+
"""

import numpy as np
import tensorflow as tf

from roots_tf.storage import files
from roots_tf.tokenizers import characters, graph, graph_words
from roots_tf.tokenizers.graph_words import shifted
from roots_tf.tokenizers.shown import byte_letters

_LETTER, _NUMBER, _OTHER, _SPACE = range(4)
_CONTRACTIONS = ("s", "t", "re", "ve", "m", "ll", "d")
_NEVER = np.iinfo(np.int32).max  # rank of a pair that is not merged


class GraphBpe(graph_words.GraphWords):
    """Byte-level BPE.

    Args:
        tokenizer: `roots_tf.tokenizers.Tokenizer` of the kind "bpe".

    Raises:
        InputError: it is not byte-level, or does something to text that has no counterpart here.
    """

    def __init__(self, tokenizer):
        _check(tokenizer.settings)
        super().__init__(tokenizer, np.zeros(characters.NUM_CODE_POINTS, np.int8))
        classes = np.full(characters.NUM_CODE_POINTS, _OTHER, np.int32)
        for pattern, value in ((r"\p{L}", _LETTER), (r"\p{N}", _NUMBER), (r"\s", _SPACE)):
            classes[characters.matching(pattern)] = value
        self._classes = characters.paged(classes)
        vocab = tokenizer.settings["model"]["vocab"]
        letters = byte_letters()
        if missing := [letter for letter in letters if letter not in vocab]:
            raise files.InputError(
                "unsupported-tokenizer",
                f"found byte-level BPE without {len(missing)} of the 256 bytes, such as "
                f"{missing[0]!r}; wanted all: train with the whole byte alphabet",
            )
        self._byte_ids = np.array([vocab[letter] for letter in letters], np.int32)
        self._load_merges(tokenizer.settings["model"], letters)

    def _load_merges(self, model: dict, letters: list[str]) -> None:
        """Arrays of the merges: sorted pairs, their ranks and results."""
        vocab = model["vocab"]
        self._size = max(vocab.values()) + 1
        merges = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        left = np.array([vocab[a] for a, _ in merges] or [0], np.int64)
        right = np.array([vocab[b] for _, b in merges] or [0], np.int64)
        result = np.array([vocab[a + b] for a, b in merges] or [0], np.int32)
        rank = np.arange(len(left), dtype=np.int32) if merges else np.array([_NEVER], np.int32)
        keys = left * self._size + right
        # A pair given twice has its last rank in `tokenizers`, which fills a map in order.
        keys, last = np.unique(keys[::-1], return_index=True)
        order = len(left) - 1 - last
        self._keys, self._ranks, self._results = keys, rank[order], result[order]
        # Where every pair with a new token ranks after the merge that made it, as training
        # guarantees, all places of the lowest pair can be merged at once.
        made = np.full(self._size, -1, np.int64)
        np.maximum.at(made, self._results, self._ranks.astype(np.int64))
        self._at_once = bool(
            np.all(made[keys // self._size] < self._ranks)
            and np.all(made[keys % self._size] < self._ranks)
        )
        # Bytes that never stand together inside a token are never merged across.
        byte_of = {letter: byte for byte, letter in enumerate(letters)}
        self._joined = np.zeros(256 * 256, bool)
        for token in {a + b for a, b in merges}:
            values = [byte_of[letter] for letter in token]
            for a, b in zip(values[:-1], values[1:], strict=True):
                self._joined[a * 256 + b] = True

    def _words(self, text):
        classes = graph.look_up(self._classes, text.codes)
        opens = graph_words.segment_starts(text)
        special = text.classes > characters.SEPARATOR
        is_space = (classes == _SPACE) & ~special
        before = shifted(classes, _OTHER)
        closes = tf.concat([opens[1:], [True]], 0)[: tf.size(opens)]  # last of its segment
        word_follows = ~closes & ~tf.concat([is_space[1:], [False]], 0)[: tf.size(opens)]
        blank_before = shifted(text.codes, 0) == ord(" ")
        space_before = before == _SPACE
        # Of several spaces before a word, the last is a word of its own or the start of that word.
        starts = tf.where(
            is_space,
            opens | ~space_before | word_follows,
            opens | tf.where(space_before, ~blank_before, before != classes),
        )
        starts = self._with_contractions(text.codes, starts, opens)
        starts = tf.where(special, opens, starts)
        return graph_words.WordBatch(text.codes, text.sources, *graph_words.cut(text, starts))

    def _with_contractions(self, codes, starts, opens):
        """Makes 's, 're and so on words of their own where they start a word."""
        quotes = starts & (codes == ord("'"))

        def join():
            at = tf.cast(tf.where(quotes)[:, 0], tf.int32)  # [Q]
            size = tf.size(codes)
            padded = tf.concat([codes, [-1, -1, -1]], 0)
            ends = tf.concat([opens, [True, True, True]], 0)
            first, second = tf.gather(padded, at + 1), tf.gather(padded, at + 2)
            first = tf.where(tf.gather(ends, at + 1), -1, first)
            second = tf.where(tf.gather(ends, at + 2), -1, second)
            length = tf.zeros_like(at)
            for letters in _CONTRACTIONS:
                same = first == ord(letters[0])
                if len(letters) == 2:
                    same &= second == ord(letters[1])
                length = tf.where(same, len(letters), length)
            found = length > 0
            at, length = tf.boolean_mask(at, found), tf.boolean_mask(length, found)
            longer = tf.concat([starts, [True, True, True]], 0)
            longer = tf.tensor_scatter_nd_update(
                longer, (at + 1)[:, None], tf.zeros_like(at, tf.bool)
            )
            longer = tf.tensor_scatter_nd_update(
                longer, (at + 1 + length)[:, None], tf.ones_like(at, tf.bool)
            )
            return longer[:size]

        return tf.cond(tf.reduce_any(quotes), join, lambda: starts)

    def _units(self, codes):
        return 1 + sum(tf.cast(codes >= least, tf.int32) for least in (0x80, 0x800, 0x10000))

    def _pieces(self, words):
        lengths = tf.strings.length(words)  # in bytes
        splits = tf.concat([[0], tf.cumsum(lengths)], 0)
        content = tf.io.decode_raw(tf.strings.reduce_join(words), tf.uint8)
        content = tf.cast(tf.reshape(content, [-1]), tf.int32)  # [S]
        size = tf.size(content)
        opens = graph.starts_of(splits, size)
        opens |= ~tf.gather(self._joined, shifted(content, 0) * 256 + content)
        run = tf.cumsum(tf.cast(opens, tf.int32)) - 1
        ids = tf.gather(self._byte_ids, content)
        merged = self._merge(ids, run)  # [S] id of the token that starts at each byte, or -1
        kept = merged >= 0
        place = tf.cast(tf.where(kept)[:, 0], tf.int32)
        ends = tf.concat([place, [size]], 0)[1:] - tf.gather(
            splits, tf.gather(graph.row_of(splits, size), place)
        )
        before = tf.concat([[0], tf.cumsum(tf.cast(kept, tf.int32))], 0)
        return graph_words.Pieces(tf.boolean_mask(merged, kept), ends, tf.gather(before, splits))

    def _rank(self, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Ranks of pairs of ids, _NEVER for those that are not merged, and the merged ids."""
        key = tf.cast(left, tf.int64) * self._size + tf.cast(right, tf.int64)
        at = tf.minimum(tf.searchsorted(self._keys, key), len(self._keys) - 1)
        known = tf.gather(self._keys, at) == key
        return tf.where(known, tf.gather(self._ranks, at), _NEVER), tf.gather(self._results, at)

    def _merge(self, ids: tf.Tensor, run: tf.Tensor) -> tf.Tensor:
        """Merges symbols within runs until no pair of a run has a rank.

        Each round merges, in every run, all places of the pair of lowest rank, from left to right.
        A symbol takes part in one merge a round. A run in which no pair has a rank is finished.

        Args:
            ids: symbols [S].
            run: the run of each, ascending.

        Returns:
            [S]: the symbol that starts at each place, -1 where none does.
        """
        size = tf.size(ids)

        def ranked(ids, run):
            following = tf.concat([ids[1:], [0]], 0)[: tf.size(ids)]
            together = tf.concat([run[1:] == run[:-1], [False]], 0)[: tf.size(ids)]
            rank, result = self._rank(ids, following)
            return tf.where(together, rank, _NEVER), result

        def body(place, ids, run, rank, result, done):
            lowest = tf.gather(tf.math.segment_min(rank, run), run)
            active = lowest < _NEVER
            # Runs without a merge are written to the result; the others stay, numbered anew.
            finished = ~active
            done = tf.tensor_scatter_nd_update(
                done, tf.boolean_mask(place, finished)[:, None], tf.boolean_mask(ids, finished)
            )
            place, ids, run, rank, result, lowest = (
                tf.boolean_mask(x, active) for x in (place, ids, run, rank, result, lowest)
            )
            opens = tf.concat([[True], run[1:] != run[:-1]], 0)[: tf.size(run)]
            run = tf.cumsum(tf.cast(opens, tf.int32)) - 1
            merges = self._without_overlaps(rank == lowest, run)
            merged_away = shifted(merges, False)
            ids = tf.where(merges, result, ids)
            place, ids, run = (tf.boolean_mask(x, ~merged_away) for x in (place, ids, run))
            rank, result = ranked(ids, run)
            return place, ids, run, rank, result, done

        rank, result = ranked(ids, run)
        unknown = tf.TensorShape([None])
        state = (tf.range(size), ids, run, rank, result, tf.fill([size], -1))
        return tf.while_loop(
            lambda place, *_: tf.size(place) > 0,
            body,
            state,
            shape_invariants=(unknown,) * len(state),
            parallel_iterations=1,
        )[-1]

    def _without_overlaps(self, merges: tf.Tensor, run: tf.Tensor) -> tf.Tensor:
        """Keeps every second one, from the first, of neighbouring places that are to merge.

        If the merges are not in an order that training gives, only the first place of each run: the
        new symbol may be part of a pair of even lower rank.
        """
        at = tf.range(tf.size(merges))
        opens = merges & ~shifted(merges, False)
        first = tf.gather(
            tf.concat([[0], tf.cast(tf.where(opens)[:, 0], tf.int32)], 0),
            tf.cumsum(tf.cast(opens, tf.int32)),
        )
        merges &= (at - first) % 2 == 0
        if self._at_once:
            return merges
        order = tf.where(merges, at, _NEVER)
        return merges & (at == tf.gather(tf.math.segment_min(order, run), run))


def _check(settings: dict) -> None:
    """Raises InputError where the graph has no counterpart."""
    pre_tokenizer = settings["pre_tokenizer"] or {}
    if (
        pre_tokenizer.get("type") != "ByteLevel"
        or pre_tokenizer["add_prefix_space"]
        or not pre_tokenizer["use_regex"]
    ):
        raise files.InputError(
            "unsupported-tokenizer",
            f"found BPE with the pre-tokenizer {pre_tokenizer}, which has no counterpart in the "
            "graph; wanted ByteLevel as GPT-2 has it, without add_prefix_space",
        )
    model = settings["model"]
    odd = [
        key
        for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")
        if model.get(key)
    ]
    if odd:
        raise files.InputError(
            "unsupported-tokenizer",
            f"found BPE with {' and '.join(odd)}, which has no counterpart in the graph; wanted "
            "plain byte-level BPE",
        )
