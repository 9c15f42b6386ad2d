"""Answers that are spans of a text (SQuAD; Devlin et al. 2019, sections 4.2 and 4.3)."""

import dataclasses
import json
import re
from collections import Counter
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf import models, words
from roots_tf.labelled import squad, tables, word_units
from roots_tf.labelled.text_files import TABLES, read_text, suffix_of
from roots_tf.labelled.token_rows import TokenRows, cut
from roots_tf.losses import Scalar
from roots_tf.metrics import answer_words
from roots_tf.metrics import question_answering as metrics
from roots_tf.tasks import question_graph
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tasks.leaving import TransformersHead
from roots_tf.tasks.question_graph import MAX_QUESTION
from roots_tf.tokenizers import Encoded


class Questions(NamedTuple):
    """Questions about contexts, and where the pieces of the contexts stand."""

    questions: list[squad.Question]
    pieces: list[Encoded]  # of all contexts together, once they were cut into rows


NO_ANSWER = {"answer": "", "start": -1, "end": -1}
# Behind a mark that ends one, after which scripts without spaces have none.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？｡።។။།])\s*")


@dataclasses.dataclass(frozen=True)
class QuestionAnswering(FineTuning):
    """The likeliest span over all windows of a context.

    Attributes:
        answerable: whether every question of the training file has an answer. If not, the answer
            is empty where the model gives the first token more than any span.
        metric_language: that answers are compared in when they are scored; "auto": told from the
            contexts.
    """

    answerable: bool = True
    metric_language: answer_words.Language = "auto"

    name = "question_answering"
    texts = ("question", "context")
    score = "f1"
    scalars = (Scalar("answer_loss", "loss", is_loss=True),)
    model = "token_classifier"
    num_outputs = 2  # logits of start and end
    in_windows = True
    agrees_on = "answer"
    pipeline_tag = "question-answering"
    use = "finds the answer to a question in a text that is given with it"
    transformers = TransformersHead("BertForQuestionAnswering")

    def read(self, path, columns, labelled=True, encoding="utf-8"):
        """SQuAD files; unlabelled also tables with columns `question` and `context`."""
        if not labelled and (source := self.source(path, columns, encoding)):
            return self.of_table(source.read())
        tables.refuse_columns(columns, path)
        return Questions(squad.read(path, labelled, encoding), [])

    def source(self, path, columns, encoding="utf-8"):
        """A table of questions and contexts."""
        if suffix_of(path) not in TABLES or _is_squad(path, encoding):
            return None
        names = ("question", "context")
        return tables.source(path, names, ("id",), columns, encoding=encoding)

    def of_table(self, table):
        """Questions, by their lines where a row has no id."""
        texts = {name: tables.strings(table, name) for name in ("question", "context")}
        names = table.columns.get("id", table.lines)
        texts["id"] = [
            line if name is None else name for name, line in zip(names, table.lines, strict=True)
        ]
        return self.unlabelled(texts)

    def labels_of(self, examples):
        """Whether each question has an answer."""
        return [(bool(question.answers),) for question in examples.questions]

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
        """This kind with whether all questions have answers."""
        answerable = all(question.answers for question in examples.questions)
        return dataclasses.replace(self, answerable=answerable)

    def make_model(self, config, seed=0, precision="float32", recompute=False):
        """A model with random weights: two logits a token. As for `models.TokenClassifier`."""
        return models.TokenClassifier(config, self.num_outputs, seed, precision, recompute)

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

    def _span(
        self, question: squad.Question, pieces: Encoded, rows: TokenRows, row: int
    ) -> np.ndarray:
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

    def answers(self, output, batch):
        """Logits of the first and of the last token of the answer, [B, 2, L]; -1e9 on padding."""
        return tf.where(batch["padding_mask"][:, None], tf.transpose(output, [0, 2, 1]), -1e9)

    def answer_weights(self, batch):
        """1 of first and last token."""
        return tf.ones([tf.shape(batch["padding_mask"])[0], 2])

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `answer_loss`, the mean of those of start and end, in nats."""
        logits = self.answers_of(model, batch, seed)  # [B, 2, L]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["spans"], logits)  # [B, 2]
        return {"answer_loss": (tf.reduce_sum(loss) / 2, self.weights(batch)["answer_loss"])}

    def outputs(self, model, batch):
        """The best span of each row, [B], as `question_graph.best_span` gives it."""
        return question_graph.best_span(self.answers_of(model, batch), batch["segment_ids"])

    def predictions(self, examples, rows, outputs):
        """`answer`, `start` and `end` in characters of the context, and `score`."""
        (pieces,) = examples.pieces
        spans = {name: tf.constant(np.stack(values)) for name, values in outputs.items()}
        best = question_graph.best_of_windows(spans, rows.texts, self.answerable)
        answers = zip(*(part.numpy() for part in best), strict=True)
        return [
            {"id": question.id, "question": question.question}
            | (self._place(question, pieces, rows, row, outputs) if exists else NO_ANSWER)
            | {"score": float(score)}
            for question, (row, exists, score) in zip(examples.questions, answers, strict=True)
        ]

    def _place(self, question, pieces: Encoded, rows: TokenRows, row: int, outputs) -> dict:
        """The answer to a question and its place, from the best span of one row."""
        base = pieces.row_splits[rows.texts[row]] + rows.pieces[row] - rows.second[row]
        start = int(pieces.starts[base + outputs["first"][row]])
        end = int(pieces.ends[base + outputs["last"][row]])
        context = question.context
        start += len(context[start:end]) - len(context[start:end].lstrip())
        start, end = word_units.whole_letters(context, start, end)
        return {"answer": context[start:end], "start": start, "end": end}

    def with_metric_language(self, language):
        """This kind, whose answers are compared in a language."""
        return dataclasses.replace(self, metric_language=language)

    def scores(self, examples, predictions):
        """Exact match and F1 over words, or characters, the better of all answers given."""
        gold = {each.id: [a.text for a in each.answers] for each in examples.questions}
        answers = {row["id"]: row["answer"] for row in predictions}
        return metrics.scores(answers, gold, self._languages(examples))

    def golds(self, examples):
        """All right answers to each question; none where the context has no answer."""
        return [[answer.text for answer in question.answers] for question in examples.questions]

    def conditions(self, examples):
        """The languages that answers were compared in, the most frequent first."""
        found = Counter(self._languages(examples).values())
        return {"metric_language": ", ".join(language for language, _ in found.most_common())}

    def _languages(self, examples: Questions) -> dict[str, str]:
        """The language of the answers to each question, by its id.

        A file may mix scripts with and without spaces, and each context says which it is. Which
        language of spaces it is, all such contexts say together.
        """
        questions = examples.questions
        if self.metric_language != "auto":
            return {each.id: self.metric_language for each in questions}
        contexts = dict.fromkeys(each.context for each in questions)
        unspaced = {text: words.language_of(text) for text in contexts}
        spaced = answer_words.language_of(text for text in contexts if not unspaced[text])
        told = {
            text: answer_words.language_of([text]) if unspaced[text] else spaced
            for text in contexts
        }
        return {each.id: told[each.context] for each in questions}

    def baseline(self, train, examples):
        """Scores of the sentence of the context that shares most words with the question."""
        languages, answers = self._languages(examples), []
        for each in examples.questions:
            asked = _words(each.question, languages[each.id])
            sentences = [text for text in _SENTENCE_END.split(each.context) if text]
            shared = [len(asked & _words(text, languages[each.id])) for text in sentences]
            answers.append({"id": each.id, "answer": sentences[int(np.argmax(shared))]})
        return self.scores(examples, answers)

    def served(self, model, tokenizer):
        """Answers to questions."""
        return question_graph.ServedAnswers(self, model, tokenizer)


def _words(text: str, language: str) -> set[str]:
    """The words of a text, or its characters where no spaces part them."""
    if words.has_unspaced(text):
        return {*answer_words.tokens(text, language)}
    return {*re.findall(r"\w+", text.lower())}


def _is_squad(path, encoding: str) -> bool:
    """Whether a `.json` is one object in SQuAD's layout, and no table."""
    if suffix_of(path) != ".json":
        return False
    text = read_text(path, encoding)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return not text.lstrip().startswith("{") or '"paragraphs"' in text
    return isinstance(content, dict) and "question" not in content


def _cut_off(ids: np.ndarray, splits: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `longest` ids of each text."""
    lengths = np.diff(splits)
    kept = np.arange(len(ids)) - np.repeat(splits[:-1], lengths) < longest
    return ids[kept], np.concatenate([[0], np.cumsum(np.minimum(lengths, longest))])
