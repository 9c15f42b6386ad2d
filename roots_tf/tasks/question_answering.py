"""Answers that are spans of a text (SQuAD; Devlin et al. 2019, sections 4.2 and 4.3)."""

import dataclasses
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.metrics import question_answering as metrics
from roots_tf.tasks import squad, tables
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tasks.rows import Rows, cut
from roots_tf.tokenizers.tokenizer import Encoded

MAX_QUESTION = 64  # pieces of a question, as in google-research/bert `run_squad.py`
MAX_ANSWER = 30  # pieces of an answer, likewise


class Questions(NamedTuple):
    """Questions about contexts, and where the pieces of the contexts stand."""

    questions: list[squad.Question]
    pieces: list[Encoded]  # of all contexts together, once they were cut into rows


@dataclasses.dataclass(frozen=True)
class QuestionAnswering(FineTuning):
    """The likeliest span over all windows of a context.

    Attributes:
        answerable: whether every question of the training file has an answer. If not, the answer
            is empty where the model gives the first token more than any span.
    """

    answerable: bool = True

    name = "question_answering"
    score = "f1"
    losses = ("answer_loss",)
    by_token = True

    @property
    def num_outputs(self):
        """Start and end."""
        return 2

    def read(self, path, columns, labelled=True):
        """SQuAD files; unlabelled also tables with columns `question` and `context`."""
        if not labelled and Path(path).suffix in (".jsonl", ".csv", ".tsv", ".parquet"):
            table = tables.read(path, ("question", "context"), ("id",), columns)
            texts = {name: tables.strings(table, name) for name in ("question", "context")}
            return self.unlabelled(texts | {"id": table.columns.get("id", table.lines)})
        return Questions(squad.read(path), [])

    def unlabelled(self, columns):
        """Questions in memory."""
        questions, contexts = columns["question"], columns["context"]
        names = columns.get("id", range(1, len(questions) + 1))
        return Questions(
            [
                squad.Question(str(name), question, context, (), "")
                for name, question, context in zip(names, questions, contexts, strict=True)
            ],
            [],
        )

    def learn(self, examples):
        """This with whether all questions have answers."""
        answerable = all(question.answers for question in examples.questions)
        return dataclasses.replace(self, answerable=answerable)

    def make_model(self, config, seed=0):
        """A model with random weights."""
        return models.TokenClassifier(config, self.num_outputs, seed=seed)

    def rows(self, examples, tokenizer, labelled=True):
        """Rows [CLS] question [SEP] window [SEP] with `spans` int32 [rows, 2].

        A span is the first and the last token of the first answer; [CLS] twice where the answer
        is not in the window.
        """
        ids, splits = tokenizer.encode([question.question for question in examples.questions])
        ids, splits = _cut_off(ids, splits, MAX_QUESTION)
        pieces = tokenizer.encode_with_offsets([each.context for each in examples.questions])
        examples.pieces[:] = [pieces]
        room = self.max_seq_length - 3 - np.diff(splits)
        rows = cut(
            pieces.ids,
            pieces.row_splits,
            tokenizer,
            self.max_seq_length,
            self.stride or np.maximum(1, room // 2),
            first=(ids, splits),
        )
        if labelled:
            rows.of_rows["spans"] = np.stack(
                [
                    self._span(examples.questions[text], pieces, rows, row)
                    for row, text in enumerate(rows.texts)
                ]
            )
        return rows

    def _span(self, question: squad.Question, pieces: Encoded, rows: Rows, row: int) -> np.ndarray:
        """Tokens of the answer in one row, int32 [2]."""
        if not question.answers:
            return np.zeros(2, np.int32)
        answer = question.answers[0]
        begin, end = pieces.row_splits[rows.texts[row] :][:2]
        first = np.searchsorted(pieces.ends[begin:end], answer.start, side="right")
        last = (
            np.searchsorted(pieces.starts[begin:end], answer.start + len(answer.text), side="left")
            - 1
        )
        span = np.array([first, last]) - rows.pieces[row] + rows.second[row]
        inside = rows.second[row] <= span[0] <= span[1] < rows.lengths[row] - 1
        return (span if inside else np.zeros(2)).astype(np.int32)

    def weights(self, batch):
        """Number of rows."""
        return {"answer_loss": tf.cast(tf.shape(batch["spans"])[0], tf.float32)}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `answer_loss`, the mean of those of start and end, in nats."""
        logits = self._logits(model, batch, seed)  # [B, 2, L]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["spans"], logits)  # [B, 2]
        return {"answer_loss": (tf.reduce_sum(loss) / 2, self.weights(batch)["answer_loss"])}

    def outputs(self, model, batch):
        """`logits` float32 [B, L, 2], of start and end."""
        return {"logits": tf.transpose(self._logits(model, batch, None), [0, 2, 1])}

    def _logits(self, model, batch, seed):
        """Logits of start and end, float32 [B, 2, L]."""
        logits = tf.transpose(model(batch, seed=seed), [0, 2, 1])
        return tf.where(batch["padding_mask"][:, None], logits, -1e9)

    def predictions(self, examples, rows, outputs):
        """`answer`, `start` and `end` in characters of the context, and `score`."""
        (pieces,) = examples.pieces
        rows_of = [[] for _ in examples.questions]
        for row, text in enumerate(rows.texts):
            rows_of[text].append(row)
        return [
            self._answer(question, pieces, rows, rows_of[i], outputs["logits"])
            for i, question in enumerate(examples.questions)
        ]

    def _answer(self, question, pieces: Encoded, rows: Rows, own: list[int], logits) -> dict:
        """The best span over the windows of one question."""
        best, place, total = -np.inf, (0, 0), 0.0
        shift = max(logits[row].max(0).sum() for row in own)
        null = min(logits[row][0].sum() for row in own)
        for row in own:
            first = rows.second[row]
            inside = logits[row][first : rows.lengths[row] - 1].astype(np.float64)  # [C, 2]
            spans = inside[:, None, 0] + inside[None, :, 1]  # [C, C]
            spans[~_allowed(len(inside))] = -np.inf
            total += np.exp(spans - shift).sum()
            if inside.size and spans.max() > best:
                best = spans.max()
                at = np.unravel_index(spans.argmax(), spans.shape)
                text = pieces.row_splits[rows.texts[row]]
                place = tuple(int(text + rows.pieces[row] + i) for i in at)
        shown = {"id": question.id, "question": question.question}
        chance = float(np.exp(best - shift) / total) if total else 0.0
        if best == -np.inf or (not self.answerable and null > best):
            return shown | {"answer": "", "start": -1, "end": -1, "score": 1.0 - chance}
        start, end = int(pieces.starts[place[0]]), int(pieces.ends[place[1]])
        start += len(question.context[start:end]) - len(question.context[start:end].lstrip())
        answer = question.context[start:end]
        return shown | {"answer": answer, "start": start, "end": end, "score": chance}

    def scores(self, examples, predictions):
        """Exact match and F1 over words, the better of all answers given."""
        gold = {each.id: [a.text for a in each.answers] for each in examples.questions}
        return metrics.scores({row["id"]: row["answer"] for row in predictions}, gold)

    def baseline(self, train, examples):
        """Scores of the sentence of the context that shares most words with the question."""
        found = []
        for each in examples.questions:
            words = set(re.findall(r"\w+", each.question.lower()))
            sentences = re.split(r"(?<=[.!?])\s+", each.context)
            shared = [len(words & set(re.findall(r"\w+", s.lower()))) for s in sentences]
            found.append({"id": each.id, "answer": sentences[int(np.argmax(shared))]})
        return self.scores(examples, found)


def _allowed(size: int) -> np.ndarray:
    """Spans that end where they start or up to `MAX_ANSWER` pieces on: bool [size, size]."""
    length = np.arange(size)[None, :] - np.arange(size)[:, None] + 1
    return (length >= 1) & (length <= MAX_ANSWER)


def _cut_off(ids: np.ndarray, splits: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `longest` ids of each text."""
    lengths = np.diff(splits)
    kept = np.arange(len(ids)) - np.repeat(splits[:-1], lengths) < longest
    return ids[kept], np.concatenate([[0], np.cumsum(np.minimum(lengths, longest))])
