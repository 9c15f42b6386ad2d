"""WordPiece in the graph: words by table, pieces by tensorflow-text's fast WordPiece op.

The op takes words one by one (`no_pretokenization`), so that its own idea of spaces, punctuation
and Unicode plays no part. Song et al., Fast WordPiece Tokenization, 2020 (arXiv 2012.15524).
"""

import tensorflow as tf
import tensorflow_text as tf_text

from roots_tf.storage import files
from roots_tf.tokenizers import characters, graph


class GraphWordpiece(graph.GraphTokenizer):
    """WordPiece with BERT's normaliser and pre-tokenizer.

    Args:
        tokenizer: `roots_tf.tokenizers.Tokenizer` of the kind "wordpiece".

    Raises:
        InputError: its pre-tokenizer is not BERT's.
    """

    def __init__(self, tokenizer):
        super().__init__(tokenizer)
        settings = tokenizer.settings
        pre_tokenizer = (settings["pre_tokenizer"] or {}).get("type")
        if pre_tokenizer != "BertPreTokenizer":
            raise files.InputError(
                "unsupported-tokenizer",
                f"found WordPiece with the pre-tokenizer {pre_tokenizer}, which has no counterpart "
                "in the graph; wanted BertPreTokenizer",
            )
        model = settings["model"]
        known = set().union(*map(set, tokenizer.vocabulary))
        private = (chr(code) for code in (*range(0xE000, 0xF900), *range(0xF0000, 0xFFFFE)))
        unused = (character for character in private if character not in known)
        self._unknown_code = ord(next(unused))
        # The model knows an added token by a name that no text holds: where "[DRUG]" is looked for
        # in lower-cased text, "[drug]" is found; and no ordinary word becomes an added token.
        stand_ins = {
            token["content"]: next(unused)
            for token in tokenizer.added_tokens
            if token["normalized"] or token["content"] not in model["vocab"]
        }
        self._normalize = graph.Normalizer(
            settings["normalizer"],
            tokenizer.backend.normalizer,
            characters.bert_classes(),
            tokenizer.added_tokens,
            stand_ins,
        )
        vocabulary = [self._normalize.stand_ins.get(word, word) for word in tokenizer.vocabulary]
        self._max_chars = model["max_input_chars_per_word"]
        self._pieces = tf_text.FastWordpieceTokenizer(
            vocab=vocabulary,
            suffix_indicator=model["continuing_subword_prefix"],
            max_bytes_per_word=4 * self._max_chars,
            unknown_token=model["unk_token"],
            token_out_type=tf.int32,
            no_pretokenization=True,
        )

    def _ragged(self, texts, with_offsets):
        text, original_splits = self._normalize(texts)
        in_word = text.classes != characters.SEPARATOR  # [M]
        isolated = text.classes >= characters.ISOLATED
        breaks = tf.concat([[True], (~in_word | isolated)[:-1]], 0)[: tf.size(in_word)]
        breaks |= (text.classes == characters.ISOLATED) | graph.starts_of(
            text.row_splits, tf.size(in_word)
        )
        starts = in_word & (text.classes != characters.CONTINUES) & breaks
        places = tf.cast(tf.where(in_word)[:, 0], tf.int32)  # of the M, those in words
        codes = tf.gather(text.codes, places)
        first = tf.cast(tf.where(tf.gather(starts, places))[:, 0], tf.int32)  # [W]
        bounds = tf.concat([first, [tf.size(places)]], 0)  # [W + 1] of words, among `codes`
        words_before = tf.concat([[0], tf.cumsum(tf.cast(starts, tf.int32))], 0)
        row_words = tf.gather(words_before, text.row_splits)  # [B + 1] of texts, among words
        lengths = bounds[1:] - bounds[:-1]
        is_long = lengths > self._max_chars
        codes, word_splits = tf.cond(
            tf.reduce_any(is_long),
            lambda: self._without(is_long, lengths, codes, first),
            lambda: (codes, bounds),
        )
        words = tf.raw_ops.UnicodeEncode(
            input_values=codes, input_splits=word_splits, output_encoding="UTF-8"
        )
        if not with_offsets:
            pieces = self._pieces.tokenize(words)  # [W, None]
            piece_splits = tf.cast(pieces.row_splits, tf.int32)
            return (graph.rows(pieces.flat_values, tf.gather(piece_splits, row_words)),)
        pieces, start_bytes, end_bytes = self._pieces.tokenize_with_offsets(words)
        piece_splits = tf.cast(pieces.row_splits, tf.int32)
        row_splits = tf.gather(piece_splits, row_words)
        num_pieces = tf.size(pieces.flat_values)
        word = graph.row_of(piece_splits, num_pieces)
        # From bytes of a word to characters of all words.
        widths = 1 + sum(tf.cast(codes >= least, tf.int32) for least in (0x80, 0x800, 0x10000))
        char_of_byte = tf.repeat(tf.range(tf.size(codes)), widths)
        byte_of_char = tf.concat([[0], tf.cumsum(widths)], 0)
        base = tf.gather(tf.gather(byte_of_char, word_splits), word)
        shift = tf.gather(bounds - word_splits, word)
        first_char = tf.gather(char_of_byte, base + tf.cast(start_bytes.flat_values, tf.int32))
        last_char = tf.gather(char_of_byte, base + tf.cast(end_bytes.flat_values, tf.int32) - 1)
        last_char = tf.where(
            tf.gather(is_long, word), tf.gather(bounds, word + 1) - 1, last_char + shift
        )
        source = tf.gather(text.sources, places)
        text_start = tf.gather(original_splits, graph.row_of(row_splits, num_pieces))
        starts = tf.gather(source, first_char + shift) - text_start
        ends = tf.gather(source, last_char) + 1 - text_start
        return tuple(
            graph.rows(values, row_splits) for values in (pieces.flat_values, starts, ends)
        )

    def _without(self, is_long, lengths, codes, first):
        """Words with one unknown character in the place of each long word: codes and splits."""
        codes = tf.tensor_scatter_nd_update(
            codes,
            tf.boolean_mask(first, is_long)[:, None],
            tf.fill([tf.math.count_nonzero(is_long)], self._unknown_code),
        )
        is_first = tf.scatter_nd(first[:, None], tf.ones_like(first), tf.shape(codes))
        word = tf.cumsum(is_first) - 1
        kept = tf.boolean_mask(codes, (is_first > 0) | ~tf.gather(is_long, word))
        splits = tf.cumsum(tf.where(is_long, 1, lengths))
        return kept, tf.concat([[0], splits], 0)
