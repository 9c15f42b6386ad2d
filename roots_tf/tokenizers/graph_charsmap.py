"""SentencePiece's character maps in the graph, applied as `tokenizers` applies them.

The rule (huggingface/tokenizers, normalizers/precompiled.rs, and huggingface/spm_precompiled): text
is cut into extended grapheme clusters. Of a cluster below six bytes the shortest beginning that is
a key counts, and its replacement takes the place of the whole cluster: U+FB01 with an acute accent
becomes "fi" and loses the accent. Any other cluster is taken character by character. SentencePiece
itself follows the longest key from each place on; where the two differ, the former holds here.
"""

import numpy as np
import tensorflow as tf

from roots_tf.tokenizers import characters, charsmap, graph, graph_added_tokens, graphemes

_KEY = 1 << 26  # flag of entries: the code point is a key
_COMBINES = 1 << 27  # flag of entries: it may be in one cluster with a neighbour
_PAIR, _TRIPLE = 42, 21  # shifts of the first and second of three code points in one int64


class CharsmapNormalizer(graph.Normalizer):
    """The normaliser `Precompiled` in the graph, with special tokens kept whole.

    Args:
        content: the precompiled_charsmap.
        classes: class of each normalised code point, [NUM_CODE_POINTS].
        added_tokens: the added tokens of a `tokenizer.json`.

    Raises:
        InputError: the map is damaged, or an added token cannot be found in raw text.
    """

    def __init__(self, content: bytes, classes: np.ndarray, added_tokens):
        keys = charsmap.read(content)
        single = {ord(key): output for key, output in keys.items() if len(key) == 1}
        # Clusters below six bytes hold at most three characters: only ASCII has one byte, and of
        # two ASCII characters only CR LF are one cluster.
        sequences = {
            _packed(*map(ord, key)): output
            for key, output in keys.items()
            if 1 < len(key) <= 3 and not any(key[:end] in keys for end in range(1, len(key)))
        }
        self._sequences = np.array(sorted(sequences) or [-1], np.int64)
        outputs = [sequences.get(key, "") for key in self._sequences.tolist()]
        self._table = graph.CodePointTable(single, classes, isolate_spaced=False, more=outputs)
        self._table.flag(single, _KEY)
        self._table.flag(graphemes.combines(), _COMBINES)
        self._properties = characters.paged(graphemes.properties())
        graph_added_tokens.check(added_tokens, normalized=False)
        self._raw = graph_added_tokens.AddedTokens([token["content"] for token in added_tokens])
        self._normalized = graph_added_tokens.AddedTokens([])

    def _expanded(self, entries, codes, special, row_splits):
        opens = graph.starts_of(row_splits, tf.size(codes))  # of stretches between special tokens
        opens |= (special > 0) | _shifted(special > 0, False)
        entries, first, lengths = tf.cond(
            tf.reduce_any(graph.has(entries, _COMBINES)),
            lambda: self._units(entries, codes, opens),
            lambda: (entries, tf.range(tf.size(codes)), tf.ones_like(codes)),
        )
        opens = tf.gather(opens, first)
        entries, unit = self._table.expand(entries)
        return entries, _sources(unit, first, lengths, opens)

    def _units(self, entries, codes, opens) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What is replaced as one: entries, first characters and numbers of characters, [U]."""
        starts = ~self._joined(codes, opens)
        first, lengths = _runs(starts)  # [C] of clusters
        widths = 1 + sum(tf.cast(codes >= least, tf.int32) for least in (0x80, 0x800, 0x10000))
        cluster = tf.cumsum(tf.cast(starts, tf.int32)) - 1  # [N]
        num_bytes = tf.math.unsorted_segment_sum(widths, cluster, tf.size(first))
        padded = tf.cast(tf.concat([codes, [0, 0]], 0), tf.int64)
        one, two, three = (tf.gather(padded, first + i) for i in range(3))
        pair, is_pair = self._find(_packed(one, two))
        triple, is_triple = self._find(_packed(one, two, three))
        is_triple &= lengths > 2
        entry = tf.gather(entries, first)
        is_key = graph.has(entry, _KEY)
        whole = (lengths > 1) & (num_bytes <= charsmap.MAX_BYTES) & (is_key | is_pair | is_triple)
        entry = tf.where(whole & ~is_key, tf.where(is_pair, pair, triple), entry)
        entries = tf.where(starts, tf.gather(entry, cluster), entries)
        starts |= ~tf.gather(whole, cluster)
        return tf.boolean_mask(entries, starts), *_runs(starts)

    def _find(self, sequences: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Entries of sequences, and whether they are keys."""
        at = tf.minimum(tf.searchsorted(self._sequences, sequences), len(self._sequences) - 1)
        return tf.gather(self._table.more, at), tf.gather(self._sequences, at) == sequences

    def _joined(self, codes, opens) -> tf.Tensor:
        """Whether each character is in one cluster with the one before it: bool [N]."""
        properties = graph.look_up(self._properties, codes)
        before = _shifted(properties, 0)
        sorts = tf.bitwise.right_shift(properties, graphemes.SORTS)
        joined = graph.has(before & sorts, graphemes.BINDS)
        # GB9c: a consonant after a consonant, marks of conjuncts, and one linker or more.
        is_consonant = graph.has(properties, graphemes.CONSONANT)
        last = _last(opens | ~graph.has(properties, graphemes.IN_CONJUNCT))
        linkers = tf.cumsum(tf.cast(graph.has(properties, graphemes.LINKER), tf.int32))
        linked = tf.gather(is_consonant, last) & (linkers > tf.gather(linkers, last))
        joined |= is_consonant & _shifted(linked, False)
        # GB11: a pictograph after a pictograph, marks, and a joiner.
        is_pictograph = graph.has(properties, graphemes.PICTOGRAPH)
        last = _last(opens | ~graph.has(properties, graphemes.IN_EMOJI))
        in_emoji = _shifted(tf.gather(is_pictograph, last), False)
        in_emoji &= (codes == graphemes.JOINER) & ~opens
        joined |= is_pictograph & _shifted(in_emoji, False)
        return joined & ~opens


def _sources(unit, first, lengths, opens) -> tf.Tensor:
    """Original characters of normalised ones, as `tokenizers` counts them: int32 [M].

    The characters of a replacement stand for those of its unit in order; if there are more of
    them, the rest stand for the unit's last one. Where a unit is replaced by nothing, the character
    before it may stand for the first character of that unit too. At the start of a stretch there is
    no character before, and all that follow in the stretch move to the left instead.

    Args:
        unit: int32 [M] of each normalised character.
        first, lengths: int32 [U] of units, in characters.
        opens: bool [U] whether a unit is the first of a stretch.
    """
    size = tf.size(first)
    counts = tf.math.bincount(unit, minlength=size, maxlength=size)
    vanishes = counts == 0
    before = tf.cumsum(counts, exclusive=True)  # normalised characters before each unit
    next_vanishes = tf.concat([(vanishes & ~opens)[1:], [False]], 0)[:size]
    stretch = tf.cumsum(tf.cast(opens, tf.int32)) - 1
    leading = vanishes & (before == tf.gather(before, _last(opens)))
    shift = tf.math.unsorted_segment_sum(tf.where(leading, lengths, 0), stretch, size)
    within = tf.range(tf.size(unit)) - tf.gather(before, unit)
    is_last = within == tf.gather(counts, unit) - 1
    most = tf.gather(lengths, unit) - 1
    most += tf.cast(is_last & tf.gather(next_vanishes, unit), tf.int32)
    start = tf.gather(first - tf.gather(shift, stretch), unit)
    return start + tf.minimum(within, most)


def _runs(starts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """First places and lengths of runs."""
    first = tf.cast(tf.where(starts)[:, 0], tf.int32)
    return first, tf.concat([first[1:], [tf.size(starts)]], 0)[: tf.size(first)] - first


def _last(flags: tf.Tensor) -> tf.Tensor:
    """The last place with a flag, up to each place; the first place has one."""
    return tf.gather(_runs(flags)[0], tf.cumsum(tf.cast(flags, tf.int32)) - 1)


def _shifted(values: tf.Tensor, first) -> tf.Tensor:
    """Moves `values` one place to the right, with `first` at place 0."""
    return tf.concat([tf.constant([first], values.dtype), values[:-1]], 0)[: tf.size(values)]


def _packed(one, two, three=0):
    """Two or three code points in one integer."""
    return one * (1 << _PAIR) + two * (1 << _TRIPLE) + three
