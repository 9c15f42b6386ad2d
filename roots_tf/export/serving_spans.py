"""Answers that are places in the user's own text: tagged words and entities, answers to questions.

Places count characters (code points) from 0, the end is exclusive; bytes that are no UTF-8 count as
the characters U+FFFD that they are read as.
"""

import functools

import numpy as np
import tensorflow as tf

from roots_tf.export import graph_places, graph_rows
from roots_tf.export.serving import MOST_TOKENS, Serving
from roots_tf.tokenizers import graph

MAX_QUESTION = 64  # pieces of a question, as in training
MAX_ANSWER = 30  # pieces of an answer, as in training


class Tags(Serving):
    """Tags of words, and the entities they make.

    Outputs, rows padded to the longest: `words` int32 [B, W, 2], places of the words (-1); `tags`
    string [B, W] (""); `spans` int32 [B, E, 2], places of the entities (-1), their `types` string
    [B, E] ("") and `scores` [B, E] (0), the mean probability of their words' tags. `ids` gives the
    `probabilities` [B, L, labels] of the tags of every token.

    A word is a run of letters, digits and "_", or one other character that is no space. It has the
    tag of its first piece, from the window in which that is farthest from the edge.

    Args:
        labels: the tags, "O" or of IOB2.
    """

    by_token = ("probabilities",)

    def __init__(self, *args, labels: tuple[str, ...], **kwargs):
        super().__init__(*args, **kwargs)
        prefixes, types = zip(*(label.partition("-")[::2] for label in labels), strict=True)
        kinds = sorted(set(types))
        self._labels, self._types = tf.constant(labels), tf.constant(types)
        self._kinds = tf.constant([kinds.index(name) for name in types])
        self._is_inside = tf.constant([prefix != "O" for prefix in prefixes])
        self._goes_on = tf.constant([prefix == "I" for prefix in prefixes])
        self._outside = labels.index("O")

    def of_rows(self, features):
        """`probabilities` [R, L, labels]."""
        return {"probabilities": tf.nn.softmax(self.model(features))}

    def answers(self, inputs):
        """Words, tags and entities."""
        ids, _, piece_ends = self.graph.tokenize_with_offsets(inputs["text"])
        stride = self.task["stride"] or max(1, (self.length - 2) // 2)
        rows = graph_rows.cut(ids, self.tokenizer, self.length, stride, MOST_TOKENS)
        words = graph_places.words(inputs["text"])
        first_piece_of = graph_places.first_pieces(piece_ends, words)
        tags, chances = self._tags(rows, ids.row_splits, first_piece_of, tf.shape(words.places)[0])
        return {
            "words": graph.rows(words.places, words.row_splits).to_tensor(-1),
            "tags": graph.rows(tf.gather(self._labels, tags), words.row_splits).to_tensor(""),
        } | self._entities(tags, chances, words)

    def _tags(self, rows: graph_rows.Rows, piece_splits, first_piece_of, count):
        """Tag of each of `count` words and its probability."""
        probabilities = self.over(rows)["probabilities"]  # [R, L, labels]
        place = tf.range(tf.shape(probabilities)[1])
        row, place = tf.unstack(
            tf.cast(tf.where((place >= 1) & (place < rows.lengths[:, None] - 1)), tf.int32), axis=1
        )  # of every piece in every row
        base = tf.gather(tf.cast(piece_splits, tf.int32), rows.texts) + rows.pieces
        word = tf.gather(first_piece_of, tf.gather(base, row) + place - 1)
        row, place, word = (tf.boolean_mask(part, word >= 0) for part in (row, place, word))
        depth = tf.minimum(place, tf.gather(rows.lengths, row) - 1 - place)
        # Of equal depths the first row's.
        rank = tf.cast(depth, tf.int64) * (1 << 32) - tf.cast(row, tf.int64)
        best = tf.gather(tf.math.unsorted_segment_max(rank, word, count), word)
        row, place, word = (tf.boolean_mask(part, rank == best) for part in (row, place, word))
        chances = tf.gather_nd(probabilities, tf.stack([row, place], -1))  # [words, labels]
        # Words without a piece, or beyond the last window, are outside.
        tags, highest = tf.fill([count], self._outside), tf.ones([count])
        word = word[:, None]
        tags = tf.tensor_scatter_nd_update(tags, word, tf.argmax(chances, -1, tf.int32))
        return tags, tf.tensor_scatter_nd_update(highest, word, tf.reduce_max(chances, -1))

    def _entities(self, tags, chances, words: graph_places.Words):
        """Entities as `roots_tf.metrics.tagging.entities` finds them: [B, E]."""
        inside = tf.gather(self._is_inside, tags)
        before = tf.concat([[self._outside], tags], 0)[:-1]
        goes_on = tf.gather(self._goes_on, tags) & tf.gather(self._is_inside, before)
        goes_on &= tf.gather(self._kinds, tags) == tf.gather(self._kinds, before)
        goes_on &= ~graph.starts_of(words.row_splits, tf.size(tags))
        begins = inside & ~goes_on
        begun = tf.concat([[0], tf.cumsum(tf.cast(begins, tf.int32))], 0)
        own = functools.partial(tf.boolean_mask, mask=inside)
        number = own(begun[1:]) - 1
        start = tf.math.segment_min(own(words.places[:, 0]), number)
        end = tf.math.segment_max(own(words.places[:, 1]), number)
        found = {
            "spans": (tf.stack([start, end], -1), -1),
            "types": (tf.gather(self._types, tf.boolean_mask(tags, begins)), ""),
            "scores": (tf.math.segment_mean(own(chances), number), 0.0),
        }
        splits = tf.gather(begun, words.row_splits)
        return {
            name: graph.rows(values, splits).to_tensor(padding)
            for name, (values, padding) in found.items()
        }

    def predictions(self, outputs, texts):
        """`tags` and `entities`."""
        parts = (outputs[name] for name in ("tags", "types", "spans", "scores"))
        return [
            {
                "tags": [tag.decode() for tag in tags if tag],
                "entities": [
                    {
                        "type": kind.decode(),
                        "start": int(start),
                        "end": int(end),
                        "text": text[start:end],
                        "score": float(score),
                    }
                    for kind, (start, end), score in zip(types, spans, scores, strict=True)
                    if start >= 0
                ],
            }
            for text, tags, types, spans, scores in zip(texts["text"], *parts, strict=True)
        ]


class Answers(Serving):
    """The likeliest span of a context that answers a question.

    Outputs: `answer` string [B], `spans` int32 [B, 2], its place in the context, and `score` [B],
    its share of the probability of all spans; "" and -1 where there is no answer, with the score
    of that. `ids` gives `start_logits` and `end_logits` [B, L].
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.inputs = {"question": (), "context": ()}

    def rows(self, inputs):
        """Rows of questions and contexts."""
        return self._windows(inputs["question"], self.graph.tokenize(inputs["context"]))

    def of_ids(self, features):
        """`start_logits` and `end_logits`."""
        start, end = tf.unstack(self._logits(features), num=2, axis=1)
        return {"start_logits": start, "end_logits": end}

    def of_rows(self, features):
        """Of each row [R] the best span, the log mass of all its spans, the score of no answer."""
        logits = self._logits(features)  # [R, 2, L]
        length = tf.shape(logits)[-1]
        # The window is the second segment without its [SEP].
        inside = features["segment_ids"] == 1
        inside &= tf.concat([inside[:, 1:], tf.zeros_like(inside[:, :1])], 1)
        start, end = tf.unstack(tf.where(inside[:, None], logits, -np.inf), num=2, axis=1)
        ends = tf.pad(end, [[0, 0], [0, MAX_ANSWER]], constant_values=-np.inf)
        later = tf.range(length)[:, None] + tf.range(MAX_ANSWER)
        spans = start[..., None] + tf.gather(ends, later, axis=1)  # [R, L, MAX_ANSWER]
        spans = tf.reshape(spans, [-1, length * MAX_ANSWER])
        at = tf.argmax(spans, -1, tf.int32)
        return {
            "best": tf.reduce_max(spans, -1),
            "first": at // MAX_ANSWER,
            "last": at // MAX_ANSWER + at % MAX_ANSWER,
            "log_mass": tf.reduce_logsumexp(spans, -1),
            "none": logits[:, 0, 0] + logits[:, 1, 0],
        }

    def _logits(self, features):
        """Logits of start and end, [R, 2, L]."""
        logits = tf.transpose(self.model(features), [0, 2, 1])
        return tf.where(features["padding_mask"][:, None], logits, -1e9)

    def answers(self, inputs):
        """The best span over all windows."""
        context = tf.strings.unicode_transcode(inputs["context"], "UTF-8", "UTF-8")
        ids, starts, ends = self.graph.tokenize_with_offsets(context)
        rows = self._windows(inputs["question"], ids)
        found, texts = self.over(rows), rows.texts
        best = tf.math.segment_max(found["best"], texts)  # [B]
        is_best = found["best"] == tf.gather(best, texts)
        last_row = tf.size(texts) - 1
        # Of equal spans that of the first row.
        row = tf.math.segment_min(tf.where(is_best, tf.range(last_row + 1), last_row), texts)
        mass = tf.math.segment_sum(tf.exp(found["log_mass"] - tf.gather(best, texts)), texts)
        exists = tf.math.is_finite(best)
        chance = tf.where(exists, 1.0 / mass, 0.0)
        if not self.task["answerable"]:
            exists &= tf.math.segment_min(found["none"], texts) <= best
        base = tf.gather(rows.pieces - rows.second, row) + tf.cast(ids.row_splits[:-1], tf.int32)
        start, end = (
            # One more, which stands for no answer: there may be no piece at all.
            tf.gather(
                tf.concat([places.flat_values, [0]], 0),
                tf.where(exists, base + tf.gather(found[name], row), tf.size(places.flat_values)),
            )
            for places, name in ((starts, "first"), (ends, "last"))
        )
        start = tf.minimum(graph_places.next_character(context, start), end)
        answer = tf.strings.substr(context, start, end - start, unit="UTF8_CHAR")
        return {
            "answer": tf.where(exists, answer, ""),
            "spans": tf.where(exists[:, None], tf.stack([start, end], -1), -1),
            "score": tf.where(exists, chance, 1.0 - chance),
        }

    def _windows(self, question, ids) -> graph_rows.Rows:
        """Rows [CLS] question [SEP] window [SEP]."""
        first = self.graph.tokenize(question)[:, : min(MAX_QUESTION, self.length - 4)]
        room = self.length - 3 - tf.cast(first.row_lengths(), tf.int32)  # [B]
        stride = tf.maximum(1, room // 2)
        if self.task["stride"]:
            stride = tf.minimum(self.task["stride"], room)
        return graph_rows.cut(ids, self.tokenizer, self.length, stride, MOST_TOKENS, first)

    def predictions(self, outputs, texts):
        """`answer`, `start`, `end` and `score`."""
        return [
            {
                "answer": answer.decode(),
                "start": int(start),
                "end": int(end),
                "score": float(score),
            }
            for answer, (start, end), score in zip(
                *(outputs[name] for name in ("answer", "spans", "score")), strict=True
            )
        ]
