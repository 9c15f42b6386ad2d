"""What finetune reads is read without its answers, and blank cells of pairs are single texts."""

import json

import pytest

from roots_tf.labelled import sampling
from roots_tf.storage.files import InputError
from roots_tf.tasks.classification import Classification
from roots_tf.tasks.multiple_choice import MultipleChoice
from roots_tf.tasks.question_answering import QuestionAnswering
from roots_tf.tasks.tagging import Tagging

CONTEXT = {"question": "Who was?", "context": "It was Anna."}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def squad(*questions):
    paragraphs = [{"context": CONTEXT["context"], "qas": [*questions]}]
    return {"data": [{"title": "t", "paragraphs": paragraphs}]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", squad({"id": "h0", "question": "Who was?"})),
        ("a.json", squad({"id": "h0", "question": "Who was?", "answers": None})),
        ("a.json", squad({"id": "h0", "question": "Who was?", "answers": "hidden"})),
        ("a.json", [CONTEXT | {"id": "h0"}]),
        ("a.json", CONTEXT | {"id": "h0"}),
        ("a.ndjson", CONTEXT | {"id": "h0"}),
        ("a.CSV", "id,question,context\nh0,Who was?,It was Anna.\n"),
    ],
)
def test_questions_without_answers(tmp_path, name, content):
    path = write(tmp_path / name, content)
    (question,) = QuestionAnswering().read(path, {}, labelled=False).questions
    assert question == ("h0", "Who was?", "It was Anna.", (), question.title)
    with pytest.raises(InputError, match="answers|no JSON|no 'data'|UTF-8"):
        QuestionAnswering().read(path, {})


def test_questions_without_ids_have_those_of_their_lines(tmp_path):
    path = write(tmp_path / "a.csv", "id,question,context\n,a,x\n7,b,x\n")
    found = QuestionAnswering().read(path, {}, labelled=False).questions
    assert [question.id for question in found] == ["2", "7"]


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.tsv"])
def test_tagged_words_with_and_without_tags(tmp_path, name):
    tagged = write(tmp_path / name, "Anna\tB-PER\nsang\tO\n\nHere\tO\n")
    for path in [tagged] + [write(tmp_path / "words.conll", "Anna\nsang\n\nHere\n")]:
        found = Tagging().read(path, {}, labelled=False)
        assert found.texts == ["Anna sang", "Here"]
        assert found.tags == [(), ()]
    assert Tagging().read(tagged, {}).tags == [("B-PER", "O"), ("O",)]
    with pytest.raises(InputError, match="found 1 columns in .*words.conll, line 1"):
        Tagging().read(tmp_path / "words.conll", {})
    texts = write(tmp_path / "b.txt", "Anna sang O\nHere\n")
    assert Tagging().read(texts, {}, labelled=False).texts == ["Anna sang O", "Here"]


def test_a_blank_second_text_is_a_single_text(tmp_path, tokenizer):
    path = write(tmp_path / "a.csv", "text,text_pair,label\nwho,anna,1\nwho,,0\n")
    kind = Classification(max_seq_length=16)
    kind = kind.learn(kind.read(path, {}))
    assert kind.pairs
    for labelled in (True, False):
        examples = kind.read(path, {}, labelled)
        rows = kind.rows(examples, tokenizer, labelled)
        pieces = [tokenizer.vocabulary[i] for i in rows.token_ids]
        pair, single = pieces[: rows.row_splits[1]], pieces[rows.row_splits[1] :]
        assert single == ["[CLS]", *pair[1 : pair.index("[SEP]")], "[SEP]", "[SEP]"]
        assert pair.count("[SEP]") == 2
    blank = kind.read(write(tmp_path / "b.csv", "text,text_pair,label\nwho,,1\n"), {})
    assert len(kind.rows(blank, tokenizer)) == 1
    singles = Classification().read(write(tmp_path / "c.csv", "text,label\nwho,1\n"), {})
    with pytest.raises(InputError, match=r"found no text_pair in \S+c.csv, and pairs in the train"):
        kind.rows(singles, tokenizer)


def test_labels_of_another_format_are_the_same(tmp_path, tokenizer):
    train = write(tmp_path / "a.csv", "text,label\nx,True\ny,False\n")
    dev = write(tmp_path / "a.jsonl", '{"text": "x", "label": true}\n{"text": "y", "label": false}')
    kind = Classification(max_seq_length=8)
    kind = kind.learn(kind.read(train, {}))
    assert kind.labels == ("false", "true")
    ids = [kind.targets(kind.read(path, {}))["label_ids"].tolist() for path in (train, dev)]
    assert ids == [[1, 0], [1, 0]]
    before = Classification(labels=("False", "True"))  # of a folder of version 0.2
    assert before.targets(kind.read(dev, {}))["label_ids"].tolist() == [1, 0]
    choice = write(tmp_path / "b.csv", "text,choice_0,choice_1,label\nx,a,b,1.0\n")
    kind = MultipleChoice(num_choices=2)
    assert kind.rows(kind.read(choice, {}), tokenizer).of_rows


def test_a_sample_of_sorted_examples_has_all_labels(tmp_path):
    lines = "".join(f"x{i},{'a' if i < 400 else 'b'}\n" for i in range(402))
    kind = Classification()
    examples = kind.read(write(tmp_path / "a.csv", lines), {})
    some = sampling.sample(examples, 50, kind.labels_of(examples))
    assert kind.learn(some).labels == ("a", "b")
    sentences = "a O\n\n" * 300 + "b B-PER\n\n" + "c B-LOC\n\n"
    examples = Tagging().read(write(tmp_path / "a.conll", sentences), {})
    some = sampling.sample(examples, 50, Tagging().labels_of(examples))
    assert len(some.texts) == len(some.tags) == 50
    assert Tagging().learn(some).labels == ("O", "B-LOC", "B-PER")
    questions = [
        {"id": str(i), "question": "q", "answers": [{"text": "Anna", "answer_start": 7}][i:]}
        for i in range(30)
    ]
    examples = QuestionAnswering().read(write(tmp_path / "b.json", squad(*questions)), {})
    some = sampling.sample(examples, 3, QuestionAnswering().labels_of(examples))
    assert some.questions[0].id == "0" and len(some.questions) == 3
