"""Perplexity of texts under a causal model: over every token exactly once, documents apart."""

import dataclasses
import math
from collections.abc import Iterable, Iterator

import numpy as np

from roots_tf.scoring.model_rows import Scorer, causal_rows
from roots_tf.storage.files import InputError

_CHARS_AT_ONCE = 1 << 20  # of texts that are encoded together


@dataclasses.dataclass
class Perplexity:
    """What was found of texts so far.

    Attributes:
        documents: how many.
        tokens: of them, the end of each text among them.
        unknown: tokens that stand for what the vocabulary lacks.
        num_bytes: of the texts, in UTF-8, before the tokenizer changed them.
        nats: sum of the negative log-probabilities.
    """

    documents: int = 0
    tokens: int = 0
    unknown: int = 0
    num_bytes: int = 0
    nats: float = 0.0

    def report(self) -> dict[str, float]:
        """Perplexity a token, bits a token and a byte, and what they are of."""
        mean = self.nats / self.tokens
        return {
            "perplexity": math.exp(mean) if mean < 700 else math.nan,
            "bits_per_token": mean / math.log(2),
            "bits_per_byte": self.nats / math.log(2) / self.num_bytes,
            "nats": self.nats,
            "tokens": self.tokens,
            "unknown_tokens": self.unknown,
            "bytes": self.num_bytes,
            "documents": self.documents,
        }


def of_texts(
    scorer: Scorer, texts: Iterable[str], tokenizer, *, room: int, stride: int
) -> Perplexity:
    """Perplexity of texts, each read after a begin of text and up to its end, which is predicted.

    Memory is bounded whatever there is: texts are taken as they come.

    Args:
        scorer: of a causal language model.
        texts: a document each; empty ones are passed over.
        tokenizer: the model's.
        room: tokens of a window.
        stride: tokens that are new in each window of a long text after the first.

    Raises:
        InputError: the tokenizer has no begin or end of text, or there is no text.
    """
    if tokenizer.bos_id is None or tokenizer.eos_id is None:
        raise InputError(
            "no-special-token",
            "found a tokenizer without a begin or an end of text; wanted both, as a causal model "
            "is trained with",
        )
    found = Perplexity()
    ends = np.array([tokenizer.bos_id], np.int32), np.array([tokenizer.eos_id], np.int32)

    def rows():
        for some in _some(texts):
            ids, splits = tokenizer.encode(some)
            found.documents += len(some)
            found.num_bytes += sum(len(text.encode()) for text in some)
            if tokenizer.unk_id is not None:
                found.unknown += int((ids == tokenizer.unk_id).sum())
            for start, end in zip(splits[:-1], splits[1:], strict=True):
                document = np.concatenate([ends[0], ids[start:end], ends[1]])
                yield from causal_rows(document, 1, room, stride)

    for _, chances in scorer.log_probabilities(rows()):
        found.tokens += len(chances)
        found.nats -= float(chances.sum(dtype=np.float64))
    if not found.documents:
        raise InputError(
            "empty-input", "found no text; wanted at least one document that is not empty"
        )
    return found


def _some(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts that are not empty, in lists of about `_CHARS_AT_ONCE` characters."""
    some, chars = [], 0
    for text in texts:
        if not text.strip():
            continue
        some.append(text)
        chars += len(text)
        if chars >= _CHARS_AT_ONCE:
            yield some
            some, chars = [], 0
    if some:
        yield some
