"""Conversations as a causal model reads them: a template, and the ids that it makes of messages.

A template says what stands before and behind the text of each role. What tells the roles apart is
text, but for special tokens, such as the one that ends a text, which are named as such:

    {"roles": {"user": {"before": "User:\\n", "end": "eos"},
               "assistant": {"before": "Assistant:\\n", "end": "eos"}},
     "begin": "bos"}

Every text is encoded by itself, and as a text: a user who writes `<|endoftext|>` has written these
characters, and not the token. So no message can pretend to be another one's turn.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from roots_tf.labelled import plain_text
from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer

ASSISTANT, SYSTEM, USER = "assistant", "system", "user"
_NAMED = ("bos", "eos", "cls", "sep", "pad", "mask")  # what special tokens are called in templates


@dataclasses.dataclass(frozen=True)
class Turn:
    """What stands around the text of a role.

    Attributes:
        begin: special token before all else: "bos", "eos" or its own text, such as `<|im_start|>`;
            "": none.
        before: text before the message.
        after: text behind it.
        end: special token behind all else.
    """

    begin: str = ""
    before: str = ""
    after: str = ""
    end: str = ""


@dataclasses.dataclass(frozen=True)
class Template:
    """How a conversation is written.

    Attributes:
        roles: what stands around the text of each role, "assistant" among them.
        begin: special token before the first turn.
        between: text between two turns.
    """

    roles: dict[str, Turn]
    begin: str = "bos"
    between: str = ""

    def __post_init__(self):
        if ASSISTANT not in self.roles or not self.roles[ASSISTANT].end:
            raise InputError(
                "wrong-conversation",
                f"found a template of the roles {', '.join(self.roles) or 'none'}; wanted "
                f"{ASSISTANT!r} among them, with a special token as its `end`, at which an answer "
                "ends",
            )


PLAIN = Template({USER: Turn(), ASSISTANT: Turn(end="eos")})  # prompt, answer, end of text
CHAT = Template(
    {
        SYSTEM: Turn(before="System:\n", end="eos"),
        USER: Turn(before="User:\n", end="eos"),
        ASSISTANT: Turn(before="Assistant:\n", end="eos"),
    }
)


class Rendered(NamedTuple):
    """A conversation as ids, int32 [n], and which of them the assistant has said, bool [n]."""

    ids: np.ndarray
    is_answer: np.ndarray


class _Part(NamedTuple):
    """A text, or a special token, and whether the assistant has said it."""

    text: str
    is_special: bool
    is_answer: bool


def read(path: str | Path) -> Template:
    """The template in a JSON file.

    Raises:
        InputError: the file holds none.
    """
    return schema.read(path, Template)


def of(described: dict) -> Template | None:
    """The template that a model folder was fine-tuned with; None: with none.

    Args:
        described: what `models.describe` gives for the folder.

    Raises:
        InputError: what the folder holds is no template.
    """
    task = described.get("task", {})
    template = None if isinstance(task.get("template"), str) else task.get("template")  # a cloze's
    return None if template is None else schema.check(template, Template, "the template")


def check(messages: object, template: Template, where: str, *, reply: bool = False) -> None:
    """Refuses messages that are no conversation.

    Args:
        messages: a list of objects with `role` and `content`.
        template: has the roles.
        where: they stand, for messages.
        reply: whether the assistant is to answer next; else it has the last word.

    Raises:
        InputError: a role is unknown or out of order, or a message is no text.
    """
    wanted = "a list of objects with role and content"
    if not isinstance(messages, list | tuple) or not messages:
        raise InputError(
            "wrong-conversation",
            f"found {_short(messages)} as messages in {where}; wanted {wanted}",
        )
    before = ""
    for number, message in enumerate(messages, 1):
        if not isinstance(message, Mapping) or {"role", "content"} - message.keys():
            raise InputError(
                "wrong-conversation",
                f"found {_short(message)} in {where}, message {number}; wanted {wanted}",
            )
        role, content = message["role"], message["content"]
        if not isinstance(role, str) or role not in template.roles:
            raise InputError(
                "wrong-conversation",
                f"found the role {_short(role)} in {where}, message {number}; wanted one of "
                f"{', '.join(template.roles)}, as the template has",
            )
        if not isinstance(content, str) or not content.strip():
            raise InputError(
                "wrong-conversation",
                f"found {_short(content)} as content in {where}, message {number}; wanted a text",
            )
        if role == before or (role == SYSTEM and before) or (role == ASSISTANT and number == 1):
            raise InputError(
                "wrong-conversation",
                f"found the role {role} after {before or 'nothing'} in {where}, message {number}; "
                "wanted turns of user and assistant, a system's before them alone",
            )
        before = role
    if (before == ASSISTANT) == reply:
        raise InputError(
            "wrong-conversation",
            f"found a last message of the role {before} in {where}; wanted "
            + ("one that the assistant can answer" if reply else "the assistant's"),
        )


def render(
    template: Template,
    conversations: Sequence[Sequence[Mapping[str, str]]],
    tokenizer: Tokenizer,
    *,
    reply: bool = False,
) -> list[Rendered]:
    """Ids of conversations.

    Args:
        template: how they are written.
        conversations: messages, objects with `role` and `content`, as `check` lets them pass.
        tokenizer: of the model.
        reply: whether what stands before an assistant's answer comes last, for it to go on from.

    Raises:
        InputError: the tokenizer lacks a special token of the template.
    """
    parts = [list(_parts(template, messages, reply)) for messages in conversations]
    special = plain_text.specials(tokenizer)
    texts = [
        list(plain_text.pieces(part.text, special))
        for of_one in parts
        for part in of_one
        if not part.is_special
    ]
    ids, splits = tokenizer.encode([piece for of_one in texts for piece in of_one])
    if special_token := plain_text.special_among(ids, tokenizer):
        raise InputError(
            "wrong-conversation",
            f"found a text that gives the special token {special_token!r}; wanted texts that give "
            "none: take it out of the text",
        )
    rendered, piece, text = [], 0, 0
    for of_one in parts:
        found, answered = [], []
        for part in of_one:
            if part.is_special:
                new = np.array([special_id(tokenizer, part.text)], np.int32)
            else:
                new = ids[splits[piece] : splits[piece + len(texts[text])]]
                piece, text = piece + len(texts[text]), text + 1
            found.append(new)
            answered.append(np.full(len(new), part.is_answer))
        rendered.append(Rendered(np.concatenate(found), np.concatenate(answered)))
    return rendered


def end_id(template: Template, tokenizer: Tokenizer) -> int:
    """Id of the token that ends an assistant's answer; arguments as for `render`."""
    return special_id(tokenizer, template.roles[ASSISTANT].end)


def special_id(tokenizer: Tokenizer, name: str) -> int:
    """Id of a special token.

    Args:
        tokenizer: that has it.
        name: "bos", "eos" and so on, or the token's own text.

    Raises:
        InputError: the tokenizer has no such token.
    """
    if name in _NAMED and (token_id := getattr(tokenizer, f"{name}_id")) is not None:
        return token_id
    names = [tokenizer.vocabulary[i] for i in tokenizer.special_ids]
    if name in names:
        return tokenizer.special_ids[names.index(name)]
    raise InputError(
        "wrong-conversation",
        f"found the special token {name!r} in a template, which the tokenizer lacks; wanted one of "
        f"{', '.join(names) or 'none'}, or {', '.join(_NAMED[:2])}",
    )


def jinja(template: Template, tokenizer: Tokenizer) -> str:
    """The template in the language of transformers' `chat_template`.

    Args:
        template: of a model.
        tokenizer: the model's.
    """

    def quoted(*texts: str) -> str:
        return json.dumps("".join(texts))

    def special(name: str) -> str:
        return tokenizer.vocabulary[special_id(tokenizer, name)] if name else ""

    lines = ["{{ " + quoted(special(template.begin)) + " }}{% for message in messages %}"]
    lines.append("{% if not loop.first %}{{ " + quoted(template.between) + " }}{% endif %}")
    for number, (role, turn) in enumerate(template.roles.items()):
        head = quoted(special(turn.begin), turn.before)
        tail = quoted(turn.after, special(turn.end))
        lines.append(
            "{% " + ("elif" if number else "if") + f" message['role'] == {quoted(role)} %}}"
        )
        lines.append("{{ " + f"{head} + message['content'] + {tail}" + " }}")
    wrong = quoted(f"wanted the roles {', '.join(template.roles)}")
    lines.append("{% else %}{{ raise_exception(" + wrong + ") }}{% endif %}{% endfor %}")
    turn = template.roles[ASSISTANT]
    head = quoted(template.between, special(turn.begin), turn.before)
    lines.append("{% if add_generation_prompt %}{{ " + head + " }}{% endif %}")
    return "".join(lines)


def _parts(template: Template, messages, reply: bool) -> Iterator[_Part]:
    """Texts and special tokens of a conversation, in order."""
    if template.begin:
        yield _Part(template.begin, True, False)
    for number, message in enumerate(messages):
        turn, said = template.roles[message["role"]], message["role"] == ASSISTANT
        yield from _head(template, turn, number > 0)
        yield _Part(message["content"], False, said)
        yield _Part(turn.after, False, said)
        if turn.end:
            yield _Part(turn.end, True, said)
    if reply:
        yield from _head(template, template.roles[ASSISTANT], bool(messages))


def _head(template: Template, turn: Turn, follows: bool) -> Iterator[_Part]:
    """What stands before the text of a turn."""
    if follows:
        yield _Part(template.between, False, False)
    if turn.begin:
        yield _Part(turn.begin, True, False)
    yield _Part(turn.before, False, False)


def _short(value) -> str:
    """A value for a message."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}..."
