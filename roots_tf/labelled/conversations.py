"""Prompts with answers, and conversations, from JSON lines and Parquet."""

from pathlib import Path
from typing import NamedTuple

from roots_tf.labelled import chat, tables
from roots_tf.labelled.text_files import suffix_of
from roots_tf.storage.files import InputError

FORMATS = (".jsonl", ".ndjson", ".json", ".parquet")


class Conversations(NamedTuple):
    """Conversations and where each stands in its file.

    Attributes:
        messages: of each, objects with `role` and `content`.
        lines: places in the file.
        path: of the file.
        pairs: whether each is a prompt and its answer.
    """

    messages: list[list[dict]]
    lines: list[int | str]
    path: str
    pairs: bool


def read(
    path: str | Path,
    columns: dict[str, str] | None = None,
    template: chat.Template | None = None,
    encoding: str = "utf-8",
) -> Conversations:
    """Reads a file of `prompt` and `answer`, or of `messages`.

        {"prompt": "2 + 2 =", "answer": " 4"}
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]}

    Args:
        path: JSON lines, an array of objects, or Parquet.
        columns: what the file calls some columns, by their names here.
        template: has the roles that may occur; None: that of pairs, or the usual one of messages.
        encoding: name of that of a text without a byte order mark.

    Raises:
        InputError: the file cannot be read, holds neither, or an answer is missing or empty; names
            the line.
    """
    if suffix_of(path) not in FORMATS or not Path(path).is_file():
        raise InputError(
            "unknown-suffix",
            f"found {path}; wanted a file of {', '.join(FORMATS)} with prompt and answer, or with "
            "messages, in each row",
        )
    optional = ("prompt", "answer", "messages")
    table = tables.read(path, (), optional, columns, encoding=encoding)
    if pairs := "messages" not in table.columns:
        given = [table.columns.get(name) for name in ("prompt", "answer")]
        for name, values in zip(("prompt", "answer"), given, strict=True):
            for row in range(len(table.lines)):
                if values is None or values[row] is None:
                    raise InputError(
                        "wrong-row",
                        f"found no {name} in {table.where(row)}; wanted prompt and answer, or "
                        "messages, in every row",
                    )
        prompts, answers = (tables.strings(table, name) for name in ("prompt", "answer"))
        found = [
            [{"role": chat.USER, "content": prompt}, {"role": chat.ASSISTANT, "content": answer}]
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
    else:
        found = table.columns["messages"]
    template = template or (chat.PLAIN if pairs else chat.CHAT)
    for row, messages in enumerate(found):
        chat.check(messages, template, table.where(row))
    return Conversations(found, table.lines, str(path), pairs)
