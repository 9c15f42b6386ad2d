"""Questions about texts from SQuAD's JSON, versions 1.1 and 2.0."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from roots_tf.labelled import parquet_rows
from roots_tf.labelled.text_files import parse_json, read_text, suffix_of
from roots_tf.storage.files import InputError


class Answer(NamedTuple):
    """A span of a context: its text and its first character."""

    text: str
    start: int


class Question(NamedTuple):
    """A question, the text that holds its answers (none: the text has no answer), the article."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    title: str


def read(path: str | Path, labelled: bool = True, encoding: str = "utf-8") -> list[Question]:
    """Reads questions in the layout of SQuAD 1.1 (Rajpurkar et al. 2016, arXiv:1606.05250) or 2.0
    (Rajpurkar et al. 2018, arXiv:1806.03822), whose unanswerable questions have no answers.

    Args:
        path: the file.
        labelled: whether answers are read; else they may be missing, and are not looked at.
        encoding: name of that of the file.

    A Parquet file has the columns of the data sets of the Hugging Face hub: id, question, context,
    `answers` with lists of text and answer_start, which are empty where there is no answer.

    Raises:
        InputError: the file cannot be read, is no JSON of that layout or holds no question; two
            questions have the same id; an answer does not stand in its context where it is said to.
            The message names the file and the question.
    """
    if suffix_of(path) == ".parquet":
        return questions_of({"data": list(_articles(str(path), labelled))}, path, labelled)
    return questions_of(parse_json(read_text(path, encoding), str(path)), path, labelled)


def _articles(path: str, labelled: bool) -> Iterator[dict]:
    """The rows of a Parquet file, in the layout of the JSON."""
    names = {name: name for name in ("id", "question", "context", "title")}
    names |= {"answers": "answers"} if labelled else {}
    for number, row in parquet_rows.rows(path, names, [n for n in names if n != "title"]):
        item = {"id": row["id"], "question": row["question"]}
        if labelled:
            texts, starts = _of_answers(row["answers"])
            if not (isinstance(texts, list) and isinstance(starts, list)):
                raise InputError(
                    "wrong-row",
                    f"found no lists of text and answer_start as answers in {path}, row {number}; "
                    "wanted both, empty where there is no answer",
                )
            pairs = itertools.zip_longest(texts, starts)
            item["answers"] = [{"text": text, "answer_start": start} for text, start in pairs]
            item["is_impossible"] = not item["answers"]
        paragraph = {"context": row["context"], "qas": [item]}
        yield {"title": row.get("title") or "", "paragraphs": [paragraph]}


def _of_answers(answers) -> tuple:
    """Texts and starts of a cell: of lists in an object, or of objects in a list."""
    names = ("text", "answer_start")
    if isinstance(answers, list):
        return tuple([answer.get(name) for answer in answers] for name in names)
    return tuple((answers or {}).get(name) for name in names)


def questions_of(content, path: str | Path, labelled: bool = True) -> list[Question]:
    """The questions in the JSON `content` of a file; other arguments and errors as for `read`."""
    questions = []
    for i, article in enumerate(_get(content, "data", list, f"{path}")):
        at = f"{path}, data[{i}]"
        paragraphs = _get(article, "paragraphs", list, at)
        title = _get(article, "title", str, at) if "title" in article else ""
        for j, paragraph in enumerate(paragraphs):
            where = f"{at}.paragraphs[{j}]"
            context = _get(paragraph, "context", str, where)
            for k, item in enumerate(_get(paragraph, "qas", list, where)):
                questions.append(
                    _question(item, context, title, path, f"{where}.qas[{k}]", labelled)
                )
    if not questions:
        raise InputError(
            "empty-input", f"found no question in {path}; wanted SQuAD's layout with questions"
        )
    seen = set()
    for question in questions:
        if question.id in seen:
            raise InputError(
                "named-twice",
                f"found two questions {question.id} in {path}; wanted ids of their own",
            )
        seen.add(question.id)
    return questions


def _question(item, context: str, title: str, path, where: str, labelled: bool) -> Question:
    name = _get(item, "id", str | int, where)
    where = f"question {name} of {path}"
    question = _get(item, "question", str, where)
    if not question.strip():
        raise InputError("wrong-row", f"found an empty question in {where}; wanted its text")
    if not labelled:
        return Question(str(name), question, context, (), title)
    if item.get("answers") is None and not item.get("is_impossible"):
        raise InputError(
            "wrong-row",
            f"found no answers in {where}; wanted those that are right, to learn from or to score "
            "by: `answers` with text and answer_start, or is_impossible; predict needs none",
        )
    answers = []
    for answer in [] if item.get("is_impossible") else _get(item, "answers", list, where):
        text = _get(answer, "text", str, where)
        start = _get(answer, "answer_start", int, where)
        if not text.strip():
            raise InputError(
                "wrong-row", f"found an empty answer in {where}; wanted words of its context"
            )
        if start < 0 or not context.startswith(text, start):
            raise InputError(
                "wrong-row",
                f"found answer {text[:80]!r} in {where}, which is not at its answer_start {start} "
                f"({_places(context, text)}); wanted the offset in characters of its context",
            )
        answers.append(Answer(text, start))
    return Question(str(name), question, context, tuple(answers), title)


def _places(context: str, text: str) -> str:
    """Says where a text stands in a context."""
    first, last = context.find(text), context.rfind(text)
    if first < 0:
        return "nor anywhere in the context"
    return f"it is at {first}" + (f" and up to {last}" if last > first else "")


def _get(value, name: str, json_type, where: str):
    """A field of a JSON object, of the type that the layout has there."""
    if not isinstance(value, dict) or not isinstance(value.get(name), json_type):
        names = {list: "a list", str: "a string", int: "a whole number"}
        raise InputError(
            "wrong-json",
            f"found no {name!r} that is {names.get(json_type, 'a string')} in {where}; wanted "
            "SQuAD's layout: data, paragraphs, context, qas, id, question, answers, text, "
            "answer_start",
        )
    return value[name]
