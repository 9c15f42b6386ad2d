"""Spans: from characters to tokens of windows and back."""

import json

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import tasks
from roots_tf.labelled import sampling, squad, word_units
from roots_tf.storage.files import InputError
from roots_tf.tasks import graph_places, question_graph
from roots_tf.tasks.question_answering import QuestionAnswering, Questions
from roots_tf.tokenizers.tokenizer import wordpiece


def write(path, context: str, question: str, answer: str | None):
    answers = [] if answer is None else [{"text": answer, "answer_start": context.index(answer)}]
    qas = [{"id": "1", "question": question, "answers": answers}]
    article = {"title": "t", "paragraphs": [{"context": context, "qas": qas}]}
    path.write_text(json.dumps({"version": "1.1", "data": [article]}))
    return path


def certain(rows) -> dict[str, list]:
    """Outputs of a model that is sure of the right span of each window."""
    longest = max(rows.lengths)
    logits = np.zeros([len(rows), 2, longest], np.float32)
    for row, span in enumerate(rows.of_rows["spans"]):
        logits[row, [0, 1], span] = 9.0
    place = np.arange(longest)
    in_second = (place >= rows.second[:, None]) & (place < rows.lengths[:, None])
    spans = question_graph.best_span(tf.constant(logits), tf.constant(in_second, tf.int32))
    return {name: list(values.numpy()) for name, values in spans.items()}


def test_the_span_of_an_answer(tmp_path, tokenizer):
    kind = QuestionAnswering(max_seq_length=24)
    examples = kind.read(write(tmp_path / "a.json", "It was Anna.", "Who was?", "Anna"), {})
    rows = kind.rows(examples, tokenizer)
    pieces = [tokenizer.vocabulary[i] for i in rows.token_ids]
    assert " ".join(pieces) == "[CLS] who was ? [SEP] i ##t was a ##n ##n ##a . [SEP]"
    assert rows.of_rows["spans"].tolist() == [[8, 11]]
    (answer,) = kind.predictions(examples, rows, certain(rows))
    assert (answer["answer"], answer["start"], answer["end"]) == ("Anna", 7, 11)


def test_a_window_without_the_answer_points_at_cls(tmp_path, tokenizer):
    context = "x " * 30 + "Anna " + "y " * 30
    kind = QuestionAnswering(max_seq_length=24)
    examples = kind.read(write(tmp_path / "a.json", context, "Who was?", "Anna"), {})
    rows = kind.rows(examples, tokenizer)
    spans = rows.of_rows["spans"]
    assert len(rows) > 3
    assert spans[0].tolist() == spans[-1].tolist() == [0, 0]
    for row in np.flatnonzero(spans[:, 0]):
        own = rows.token_ids[rows.row_splits[row] :][spans[row, 0] : spans[row, 1] + 1]
        assert [tokenizer.vocabulary[i] for i in own] == ["a", "##n", "##n", "##a"]
    assert (spans[:, 0] > 0).any()


@pytest.mark.parametrize("length", [128, 384])
def test_what_is_certain_comes_back_from_real_questions(questions, tokenizer, length):
    kind = QuestionAnswering(max_seq_length=length)
    examples = kind.read(questions, {})
    examples = sampling.first(examples, 200)
    rows = kind.rows(examples, tokenizer)
    predictions = kind.predictions(examples, rows, certain(rows))
    # Answers of more than 30 pieces, here letters, are out of reach, and so are those that start
    # within a word.
    reachable = [
        (question, row)
        for question, row in zip(examples.questions, predictions, strict=True)
        if len(question.answers[0].text) <= 30
    ]
    assert len(reachable) > 150
    same = [row["answer"] == question.answers[0].text for question, row in reachable]
    assert np.mean(same) > 0.98
    for question, row in zip(examples.questions, predictions, strict=True):
        assert question.context[row["start"] : row["end"]] == row["answer"]
    assert 0.0 < kind.baseline(examples, examples)["f1"] < 0.5


def test_answers_in_scripts_without_spaces_begin_and_end_anywhere(tmp_path):
    context = "国家主席江泽民" * 30 + "今天在北京会见了克林顿。"
    letters = sorted({*context, "谁"})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    tokenizer = wordpiece(tokens, lowercase=True)
    kind = QuestionAnswering(max_seq_length=32, stride=9)
    for answer in ("北京", "天", "林顿。", context[-30:]):
        examples = kind.read(write(tmp_path / "a.json", context, "谁", answer), {})
        rows = kind.rows(examples, tokenizer)
        if answer == context[-30:]:  # longer than a window has room for
            assert not rows.of_rows["spans"].any()
            continue
        (found,) = kind.predictions(examples, rows, certain(rows))
        assert found["answer"] == answer == context[found["start"] : found["end"]]
        assert kind.scores(examples, [found]) == {"exact_match": 1.0, "f1": 1.0}
        assert kind.conditions(examples) == {"metric_language": "zh"}
    baseline = kind.baseline(examples, examples)
    assert baseline["f1"] > 0  # of characters that question and sentence share


def test_an_answer_parts_no_letter_from_its_marks():
    context = "กินน้ำ"
    start, end = graph_places.whole_letters(
        tf.constant([context, "e\u0301e", "\u0301a", "a"]),
        tf.constant([4, 1, 0, 1]),
        tf.constant([5, 2, 1, 1]),
    )
    assert start.numpy().tolist() == [3, 0, 0, 1]
    assert end.numpy().tolist() == [6, 2, 1, 1]
    assert [word_units.whole_letters(context, 4, 5), word_units.whole_letters("a", 1, 1)] == [
        *[(3, 6), (1, 1)]
    ]


def test_the_language_of_scores_is_that_of_each_context_or_the_one_that_is_said():
    def asked(name, context, answer):
        return squad.Question(name, "q", context, (squad.Answer(answer, 0),), "")

    examples = Questions(
        [
            asked("1", "他今天在北京会见了很多人", "北京会见"),
            asked("2", "The train is on the platform of the station.", "The train"),
        ],
        [],
    )
    predictions = [{"id": "1", "answer": "北京会"}, {"id": "2", "answer": "train"}]
    kind = QuestionAnswering()
    assert kind.conditions(examples) == {"metric_language": "zh, en"}
    scores = kind.scores(examples, predictions)
    assert scores == {"exact_match": 0.5, "f1": pytest.approx((6 / 7 + 1) / 2)}
    said = kind.with_metric_language("de")
    assert said.conditions(examples) == {"metric_language": "de"}
    assert said.scores(examples, predictions)["f1"] == pytest.approx((0 + 2 / 3) / 2)
    with pytest.raises(InputError, match="found --metric_language=de with --task=tagging; wanted"):
        tasks.KINDS["tagging"]().with_metric_language("de")


def test_no_answer_where_training_had_such_questions(tmp_path, tokenizer):
    kind = QuestionAnswering(max_seq_length=24)
    examples = kind.read(write(tmp_path / "a.json", "It was Anna.", "Why?", None), {})
    kind = kind.learn(examples)
    assert not kind.answerable
    rows = kind.rows(examples, tokenizer)
    assert rows.of_rows["spans"].tolist() == [[0, 0]]
    (answer,) = kind.predictions(examples, rows, certain(rows))
    assert (answer["answer"], answer["start"]) == ("", -1)
    assert kind.scores(examples, [answer])["exact_match"] == 1.0


def test_the_loss_is_the_mean_of_start_and_end():
    logits = tf.constant([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]])  # the last token is padding
    batch = {
        "padding_mask": tf.constant([[True, True, False]]),
        "spans": tf.constant([[0, 1]]),
    }
    sums = QuestionAnswering().sums(lambda batch, seed: logits, batch)
    loss = (np.log1p(np.exp(-1.0)) + np.log1p(np.exp(-2.0))) / 2
    assert [float(x) for x in sums["answer_loss"]] == pytest.approx([loss, 1.0])
