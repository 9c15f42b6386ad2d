"""Texts, and continuations of prompts, as ids of which some are scored."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from roots_tf.storage.files import InputError


class Asked(NamedTuple):
    """A text as ids, and what of it is scored.

    Attributes:
        ids: int32 [n], without special tokens.
        first: index of the first id that is scored.
        start: character of the text at which that one begins.
        text: all of it.
    """

    ids: np.ndarray
    first: int
    start: int
    text: str

    @property
    def num_bytes(self) -> int:
        """Bytes of what is scored, in UTF-8."""
        return len(self.text[self.start :].encode())


def whole(tokenizer, texts: Sequence[str]) -> list[Asked]:
    """Texts of which every token is scored.

    Args:
        tokenizer: of the model.
        texts: any.

    Raises:
        InputError: a text has no token.
    """
    ids, splits = tokenizer.encode(texts)
    for text, count in zip(texts, np.diff(splits), strict=True):
        if not count:
            raise InputError(
                "empty-text", f"found the text {text[:80]!r}, which has no tokens; wanted some"
            )
    return [Asked(ids[splits[i] : splits[i + 1]], 0, 0, text) for i, text in enumerate(texts)]


def continued(tokenizer, prompt: str, continuations: Sequence[str]) -> list[Asked]:
    """Continuations of a prompt, each encoded with it, as one text.

    Spaces at the end of the prompt belong to the continuations: most tokenizers keep a space with
    the word behind it. A token is never cut: one that holds the end of the prompt and the begin of
    a continuation is scored with it. Then the others are scored from there on too, so that the
    log-probabilities are those of texts that begin at one place.

    Args:
        tokenizer: of the model.
        prompt: that all have in common; may be empty.
        continuations: of the prompt.

    Raises:
        InputError: a continuation has no token.
    """
    texts = [prompt + continuation for continuation in continuations]
    encoded = tokenizer.encode_with_offsets(texts)
    spans = [
        slice(*pair) for pair in zip(encoded.row_splits[:-1], encoded.row_splits[1:], strict=True)
    ]
    boundary, found = len(prompt.rstrip(" ")), None
    while found != boundary:
        found = boundary
        firsts = [int(np.searchsorted(encoded.ends[span], boundary, "right")) for span in spans]
        for text, span, first in zip(continuations, spans, firsts, strict=True):
            if first == span.stop - span.start:
                raise InputError(
                    "empty-text", f"found the text {text[:80]!r}, which has no tokens; wanted some"
                )
            boundary = min(boundary, int(encoded.starts[span][first]))
    return [
        Asked(encoded.ids[span], first, int(encoded.starts[span][first]), text)
        for text, span, first in zip(texts, spans, firsts, strict=True)
    ]
