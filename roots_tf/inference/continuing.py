"""Prompts and conversations for a causal language model, and its answers as JSON objects."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from roots_tf import models
from roots_tf.labelled import chat
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer


def check_causal(description: dict, folder: str) -> None:
    """Refuses a model that continues no texts.

    Args:
        description: what `models.describe` gives for it.
        folder: of the model, for messages.

    Raises:
        InputError: it is no causal language model.
    """
    if not models.is_causal(description):
        raise InputError(
            "wrong-model-kind",
            f"found a model of kind {description['kind']} in {folder}; wanted a causal_lm, which "
            "pretrain --objective=causal_lm writes; a masked model fills gaps: use fill-mask; an "
            "encoder-decoder writes targets: use predict",
        )


def rendered(
    conversations: Sequence[Sequence[Mapping[str, str]]],
    template: chat.Template,
    tokenizer: Tokenizer,
) -> tuple[list[str], list[np.ndarray], int]:
    """Conversations as the model reads them, up to where its answer begins.

    Args:
        conversations: messages with `role` and `content`, that `chat.check` has passed.
        template: of the model.
        tokenizer: the model's.

    Returns:
        A prompt and ids for each, and the id of the token that ends an answer.
    """
    ids = [found.ids for found in chat.render(template, conversations, tokenizer, reply=True)]
    prompts = [tokenizer.decode(row, skip_special_tokens=False) for row in ids]
    return prompts, ids, chat.end_id(template, tokenizer)


def described(answer, prompt: str) -> dict:
    """An answer as a JSON object.

    Args:
        answer: a `generation.texts.Answer`.
        prompt: as it was given, without examples before it.
    """
    return dataclasses.asdict(answer) | {"prompt": prompt, "tokens": list(answer.tokens)}


def check_samples(num_samples: int, decoding: str) -> None:
    """Refuses several answers where there is one.

    Args:
        num_samples: answers that are asked for.
        decoding: of `generation.Settings`.

    Raises:
        InputError: the decoding draws nothing.
    """
    if num_samples > 1 and decoding != "sample":
        raise InputError(
            "flags-conflict",
            f"found --num_samples={num_samples} with --decoding={decoding}, which gives one "
            "answer; wanted --decoding=sample, or one",
        )


class Asked(NamedTuple):
    """Prompts as a model reads them.

    Attributes:
        prompts: texts.
        ids: of conversations, where the text says less; else None.
        end_id: of the token that ends an answer; None: the tokenizer's end of text.
    """

    prompts: list[str]
    ids: list[np.ndarray] | None = None
    end_id: int | None = None


def asked(loaded, prompts) -> tuple[Asked, bool]:
    """Prompts or conversations in memory, and whether it was one.

    Args:
        loaded: a `LoadedModel`.
        prompts: a text, several, a conversation (a list of messages), or several.

    Raises:
        InputError: the model continues no texts or knows no conversations, or these are neither.
    """
    check_causal(loaded.description, str(loaded.folder))
    if isinstance(prompts, str):
        return Asked([prompts]), True
    listed = list(prompts)
    if all(isinstance(prompt, str) for prompt in listed):
        return Asked(listed), False
    is_one = all(isinstance(message, Mapping) for message in listed)
    conversations, template = [listed] if is_one else listed, chat.of(loaded.description)
    if template is None:
        raise InputError(
            "wrong-model-kind",
            f"found {listed[0]!r:.80} as a prompt of a model that was not fine-tuned on "
            "conversations; wanted a text",
        )
    for number, messages in enumerate(conversations, 1):
        chat.check(messages, template, f"conversation {number}", reply=True)
    return Asked(*rendered(conversations, template, loaded.tokenizer)), is_one


def answers(
    loaded, what: Asked, settings, seed: int = 0, num_samples: int = 1, batch_size: int = 32
) -> list[dict]:
    """Answers as JSON objects, in the order of the prompts, the samples of each together.

    Args:
        loaded: a `LoadedModel`.
        what: is asked.
        settings: a `generation.Settings`.
        seed: of the draws.
        num_samples: answers to each prompt.
        batch_size: rows computed at once.

    Raises:
        InputError: see `generation.texts.Texts`.
    """
    texts = loaded.texts(settings, batch_size, what.end_id)
    found = texts.answers(what.prompts, seed, num_samples, what.ids) if what.prompts else []
    return [described(answer, answer.prompt) for answer in found]
