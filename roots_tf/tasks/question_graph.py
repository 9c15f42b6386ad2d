"""Answers that are spans of a text, in TensorFlow: for Python's predictions and the served graph.

A row is [CLS] question [SEP] window [SEP]; an answer is a span of the window. Places count
characters (code points) from 0, the end is exclusive; bytes that are no UTF-8 count as the
characters U+FFFD that they are read as.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf.tasks import graph_places, graph_rows
from roots_tf.tasks.served_graph import ServedKind

MAX_QUESTION = 64  # pieces of a question, as in google-research/bert `run_squad.py`
MAX_ANSWER = 30  # pieces of an answer, likewise


def best_span(logits: tf.Tensor, segment_ids: tf.Tensor) -> dict[str, tf.Tensor]:
    """The best span of each row: of 1 to `MAX_ANSWER` tokens of the window.

    Args:
        logits: of the first and of the last token of the answer, float32 [R, 2, L].
        segment_ids: int32 [R, L], 1 on the window and on the [SEP] behind it.

    Returns:
        [R] each: `best`, the sum of both logits, -inf of an empty window; `first` and `last`, the
        tokens of the row; `log_mass`, the logarithm of the sum of exp(sum of logits) over all
        spans; `none`, the sum of both logits of [CLS], which says that there is no answer.
    """
    length = tf.shape(logits)[-1]
    inside = segment_ids == 1
    # The last token of the segment is its [SEP].
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


class BestSpan(NamedTuple):
    """The answer to each question, from the best of its windows.

    Attributes:
        row: int32 [B], the row that has it; the first one of equals.
        exists: bool [B], whether there is an answer.
        score: float32 [B], its share of the probability of all spans; where there is none, 1
            minus the share of the best span.
    """

    row: tf.Tensor
    exists: tf.Tensor
    score: tf.Tensor


def best_of_windows(spans: dict[str, tf.Tensor], texts, answerable: bool) -> BestSpan:
    """The best span over all windows of each context.

    Args:
        spans: of rows [R], as `best_span` gives them.
        texts: int32 [R], the context that a row is from, in order; no context is without a row.
        answerable: whether every question has an answer; if not, one has none where [CLS] has more
            than any span.
    """
    best = tf.math.segment_max(spans["best"], texts)  # [B]
    is_best = spans["best"] == tf.gather(best, texts)
    last_row = tf.size(texts) - 1
    row = tf.math.segment_min(tf.where(is_best, tf.range(last_row + 1), last_row), texts)
    mass = tf.math.segment_sum(tf.exp(spans["log_mass"] - tf.gather(best, texts)), texts)
    exists = tf.math.is_finite(best)
    share = tf.where(exists, 1.0 / mass, 0.0)
    if not answerable:
        exists &= tf.math.segment_min(spans["none"], texts) <= best
    return BestSpan(row, exists, tf.where(exists, share, 1.0 - share))


class ServedAnswers(ServedKind):
    """The likeliest span of a context that answers a question.

    Outputs: `answer` string [B], `spans` int32 [B, 2], its place in the context, and `score` [B],
    its share of the probability of all spans; "" and -1 where there is no answer, with the score
    of that. `ids` gives `start_logits` and `end_logits` [B, L].
    """

    def __init__(self, kind, model, tokenizer):
        """Arguments as for `ServedKind`."""
        super().__init__(kind, model, tokenizer)
        self.inputs = {"question": (), "context": ()}

    def rows(self, inputs):
        """Rows of questions and contexts."""
        return self._windows(inputs["question"], self.graph.tokenize(inputs["context"]))

    def of_rows(self, features):
        """The best span of each row."""
        return self.kind.outputs(self.model, features)

    def of_ids(self, features):
        """`start_logits` and `end_logits`."""
        start, end = tf.unstack(self.kind.answers_of(self.model, features), num=2, axis=1)
        return {"start_logits": start, "end_logits": end}

    def answers(self, inputs):
        """The best span over all windows."""
        context = tf.strings.unicode_transcode(inputs["context"], "UTF-8", "UTF-8")
        ids, starts, ends = self.graph.tokenize_with_offsets(context)
        rows = self._windows(inputs["question"], ids)
        spans = self.over(rows)
        row, exists, score = best_of_windows(spans, rows.texts, self.kind.answerable)
        base = tf.gather(rows.pieces - rows.second, row) + tf.cast(ids.row_splits[:-1], tf.int32)
        start, end = (
            # One more, which stands for no answer: there may be no piece at all.
            tf.gather(
                tf.concat([places.flat_values, [0]], 0),
                tf.where(exists, base + tf.gather(spans[name], row), tf.size(places.flat_values)),
            )
            for places, name in ((starts, "first"), (ends, "last"))
        )
        start = tf.minimum(graph_places.next_character(context, start), end)
        start, end = graph_places.whole_letters(context, start, end)
        answer = tf.strings.substr(context, start, end - start, unit="UTF8_CHAR")
        return {
            "answer": tf.where(exists, answer, ""),
            "spans": tf.where(exists[:, None], tf.stack([start, end], -1), -1),
            "score": score,
        }

    def _windows(self, question, ids) -> graph_rows.GraphRows:
        """Rows [CLS] question [SEP] window [SEP]."""
        first = self.graph.tokenize(question)[:, : min(MAX_QUESTION, self.length - 4)]
        room = self.length - 3 - tf.cast(first.row_lengths(), tf.int32)  # [B]
        stride = tf.minimum(self.stride, room) if self.stride else tf.maximum(1, room // 2)
        return self.cut(ids, first, stride)

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
