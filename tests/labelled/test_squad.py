"""Questions of SQuAD's two versions, and what is said of a bad file."""

import copy
import json

import pytest

from roots_tf.labelled import squad
from roots_tf.storage.files import InputError

CONTEXT = "The “Broncos” won 24–10. The Panthers lost."
FILE = {
    "version": "v2.0",
    "data": [
        {
            "title": "Super_Bowl_50",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {
                            "id": "q1",
                            "question": "Who won?",
                            "answers": [
                                {"text": "Broncos", "answer_start": 5},
                                {"text": "The “Broncos”", "answer_start": 0},
                            ],
                            "is_impossible": False,
                        },
                        {
                            "id": "q2",
                            "question": "Who sang?",
                            "answers": [],
                            "plausible_answers": [{"text": "Panthers", "answer_start": 29}],
                            "is_impossible": True,
                        },
                    ],
                }
            ],
        }
    ],
}


def read(folder, content):
    path = folder / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return squad.read(path)


def test_answers_and_questions_without(tmp_path):
    answers = (squad.Answer("Broncos", 5), squad.Answer("The “Broncos”", 0))
    assert read(tmp_path, FILE) == [
        squad.Question("q1", "Who won?", CONTEXT, answers, "Super_Bowl_50"),
        squad.Question("q2", "Who sang?", CONTEXT, (), "Super_Bowl_50"),
    ]


def test_version_1_has_neither_title_nor_is_impossible_for_us_to_want(tmp_path):
    content = copy.deepcopy(FILE)
    del content["data"][0]["title"]
    for question in content["data"][0]["paragraphs"][0]["qas"]:
        del question["is_impossible"]
    found = read(tmp_path, content)
    assert [(question.title, len(question.answers)) for question in found] == [("", 2), ("", 0)]


@pytest.mark.parametrize("language", ["en", "de"])
def test_real_files(data, language):
    found = squad.read(data / "xquad" / f"xquad.{language}.json")
    assert len(found) == len({question.id for question in found}) == 1_190
    assert len({question.context for question in found}) == 240
    assert len({question.title for question in found}) == 48
    for question in found:
        (answer,) = question.answers
        assert question.context[answer.start :].startswith(answer.text)
    first = {"en": "How many points did the Panthers defense surrender?"}
    assert language not in first or found[0].question == first[language]


def changed(change):
    content = copy.deepcopy(FILE)
    paragraph = content["data"][0]["paragraphs"][0]
    change(content, paragraph, paragraph["qas"][0])
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c, p, q: q["answers"][0].update(answer_start=7),
            r"found answer 'Broncos' in question q1 of \S+, which is not at its answer_start 7 "
            r"\(it is at 5\)",
        ),
        (lambda c, p, q: q["answers"][0].update(text="broncos"), r"nor anywhere in the context"),
        (
            lambda c, p, q: q["answers"][0].update(text="The ", answer_start=1),
            r"answer_start 1 \(it is at 0 and up to 25\)",
        ),
        (
            lambda c, p, q: q["answers"][0].update(text="lost.", answer_start=-5),
            rf"answer_start -5 \(it is at {CONTEXT.find('lost.')}\)",
        ),
        (lambda c, p, q: q["answers"][0].update(text=" "), "an empty answer in question q1 of"),
        (lambda c, p, q: q.update(question=" "), "an empty question in question q1 of"),
        (lambda c, p, q: q.update(answers={}), "found no 'answers' that is a list in question q1"),
        (lambda c, p, q: q.pop("answers"), "found no answers in question q1 .*predict needs none"),
        (lambda c, p, q: q.update(answers=None), "found no answers in question q1 of"),
        (lambda c, p, q: q["answers"].append("x"), "found no 'text' that is a string in question"),
        (
            lambda c, p, q: q["answers"][0].update(answer_start="5"),
            "found no 'answer_start' that is a whole number in question q1",
        ),
        (lambda c, p, q: q.pop("id"), r"found no 'id' .* data\[0\].paragraphs\[0\].qas\[0\]"),
        (lambda c, p, q: q.update(id="q2"), "found two questions q2 in"),
        (lambda c, p, q: p.pop("context"), r"no 'context' .* in \S+, data\[0\].paragraphs\[0\]; w"),
        (lambda c, p, q: p.update(qas=[]), "found no question in"),
        (lambda c, p, q: c.update(data={}), r"found no 'data' that is a list in \S+a.json; wanted"),
        (lambda c, p, q: c["data"].append(3), r"found no 'paragraphs' .* in \S+, data\[1\]"),
        (lambda c, p, q: p.update(context=CONTEXT + "\ud83d"), "found half a surrogate pair"),
    ],
)
def test_a_bad_question_is_named(tmp_path, change, message):
    with pytest.raises(InputError, match=message) as raised:
        read(tmp_path, changed(change))
    assert str(tmp_path / "a.json") in str(raised.value)


@pytest.mark.parametrize("content", ["", '{"data": [', "data", "[1]"])
def test_what_is_no_squad_is_named(tmp_path, content):
    with pytest.raises(InputError, match=r"found .* in \S+a.json.*wanted (JSON|SQuAD's layout)"):
        read(tmp_path, content)
