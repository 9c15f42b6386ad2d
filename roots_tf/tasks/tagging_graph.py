"""Tags of words in TensorFlow: for Python's predictions and the served graph.

Places count characters (code points) from 0, the end is exclusive; bytes that are no UTF-8 count as
the characters U+FFFD that they are read as.
"""

import functools

import tensorflow as tf

from roots_tf.tasks import graph_places
from roots_tf.tasks.served_graph import ServedKind
from roots_tf.tokenizers import graph


def tags_of_words(
    probabilities: tf.Tensor,
    row: tf.Tensor,
    place: tf.Tensor,
    lengths: tf.Tensor,
    word: tf.Tensor,
    count: tf.Tensor,
    outside: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Tag of each word, from the window in which its first piece is farthest from the edge.

    Of windows in which it is equally far, the first one counts. A word without a piece, or one
    beyond the last window, is outside of all entities.

    Args:
        probabilities: of the tags of first pieces, float [N, labels].
        row: int32 [N], the row that a first piece is in.
        place: int32 [N], its place in that row.
        lengths: int32 [R], tokens of the rows.
        word: int32 [N], the word that it is the first piece of.
        count: int32, number of words, W.
        outside: index of the tag "O".

    Returns:
        Indices of the tags, int32 [W], and their probabilities, [W].
    """
    depth = tf.minimum(place, tf.gather(lengths, row) - 1 - place)
    rank = tf.cast(depth, tf.int64) * (1 << 32) - tf.cast(row, tf.int64)
    is_best = rank == tf.gather(tf.math.unsorted_segment_max(rank, word, count), word)
    word = tf.boolean_mask(word, is_best)[:, None]  # [words with a piece, 1]
    probabilities = tf.boolean_mask(probabilities, is_best)
    tags, of_tags = tf.fill([count], outside), tf.ones([count], probabilities.dtype)
    tags = tf.tensor_scatter_nd_update(tags, word, tf.argmax(probabilities, -1, tf.int32))
    return tags, tf.tensor_scatter_nd_update(of_tags, word, tf.reduce_max(probabilities, -1))


class ServedTags(ServedKind):
    """Tags of words, and the entities they make.

    Outputs, rows padded to the longest: `words` int32 [B, W, 2], places of the words (-1); `tags`
    string [B, W] (""); `spans` int32 [B, E, 2], places of the entities (-1), their `types` string
    [B, E] ("") and `scores` [B, E] (0), the mean probability of their words' tags. `ids` gives the
    `probabilities` [B, L, labels] of the tags of every token.

    A word is what the kind's unit says: see `roots_tf.labelled.word_units`.
    """

    by_token = ("probabilities",)

    def __init__(self, kind, model, tokenizer):
        """Arguments as for `ServedKind`."""
        super().__init__(kind, model, tokenizer)
        prefixes, types = zip(*(label.partition("-")[::2] for label in kind.labels), strict=True)
        distinct = sorted(set(types))
        self._labels, self._types = tf.constant(kind.labels), tf.constant(types)
        self._type_ids = tf.constant([distinct.index(name) for name in types])
        self._is_inside = tf.constant([prefix != "O" for prefix in prefixes])
        self._goes_on = tf.constant([prefix == "I" for prefix in prefixes])
        self._outside = kind.outside

    def of_rows(self, features):
        """`probabilities` [R, L, labels]."""
        return self.kind.outputs(self.model, features)

    def answers(self, inputs):
        """Words, tags and entities."""
        text, unit = inputs["text"], self.kind.word_unit
        words = graph_places.words(text, unit)
        if unit != "spaces":
            text, words = graph_places.with_spaces(text, words)
        ids, _, piece_ends = self.graph.tokenize_with_offsets(text)
        rows = self.cut(ids, stride=self.kind.window_stride)
        first_piece_of = graph_places.first_pieces(piece_ends, words)
        tags, probabilities = self._tags(
            rows, ids.row_splits, first_piece_of, tf.shape(words.places)[0]
        )
        return {
            "words": graph.rows(words.places, words.row_splits).to_tensor(-1),
            "tags": graph.rows(tf.gather(self._labels, tags), words.row_splits).to_tensor(""),
        } | self._entities(tags, probabilities, words)

    def _tags(self, rows, piece_splits, first_piece_of, count):
        """Tag of each of `count` words and its probability."""
        probabilities = self.over(rows)["probabilities"]  # [R, L, labels]
        place = tf.range(tf.shape(probabilities)[1])
        row, place = tf.unstack(
            tf.cast(tf.where((place >= 1) & (place < rows.lengths[:, None] - 1)), tf.int32), axis=1
        )  # of every piece in every row
        base = tf.gather(tf.cast(piece_splits, tf.int32), rows.texts) + rows.pieces
        word = tf.gather(first_piece_of, tf.gather(base, row) + place - 1)
        row, place, word = (tf.boolean_mask(part, word >= 0) for part in (row, place, word))
        probabilities = tf.gather_nd(probabilities, tf.stack([row, place], -1))  # [N, labels]
        return tags_of_words(probabilities, row, place, rows.lengths, word, count, self._outside)

    def _entities(self, tags, probabilities, words: graph_places.WordPlaces):
        """Entities as `roots_tf.metrics.tagging.entities` finds them: [B, E]."""
        inside = tf.gather(self._is_inside, tags)
        before = tf.concat([[self._outside], tags], 0)[:-1]
        goes_on = tf.gather(self._goes_on, tags) & tf.gather(self._is_inside, before)
        goes_on &= tf.gather(self._type_ids, tags) == tf.gather(self._type_ids, before)
        goes_on &= ~graph.starts_of(words.row_splits, tf.size(tags))
        begins = inside & ~goes_on
        begun = tf.concat([[0], tf.cumsum(tf.cast(begins, tf.int32))], 0)
        own = functools.partial(tf.boolean_mask, mask=inside)
        number = own(begun[1:]) - 1
        start = tf.math.segment_min(own(words.places[:, 0]), number)
        end = tf.math.segment_max(own(words.places[:, 1]), number)
        entities = {
            "spans": (tf.stack([start, end], -1), -1),
            "types": (tf.gather(self._types, tf.boolean_mask(tags, begins)), ""),
            "scores": (tf.math.segment_mean(own(probabilities), number), 0.0),
        }
        splits = tf.gather(begun, words.row_splits)
        return {
            name: graph.rows(values, splits).to_tensor(padding)
            for name, (values, padding) in entities.items()
        }

    def predictions(self, outputs, texts):
        """`tags` and `entities`."""
        parts = (outputs[name] for name in ("tags", "types", "spans", "scores"))
        return [
            {
                "tags": [tag.decode() for tag in tags if tag],
                "entities": [
                    {
                        "type": entity_type.decode(),
                        "start": int(start),
                        "end": int(end),
                        "text": text[start:end],
                        "score": float(score),
                    }
                    for entity_type, (start, end), score in zip(types, spans, scores, strict=True)
                    if start >= 0
                ],
            }
            for text, tags, types, spans, scores in zip(texts["text"], *parts, strict=True)
        ]
