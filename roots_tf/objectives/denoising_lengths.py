"""Kinds of denoising, and how many tokens each takes, hides and tells. No TensorFlow.

What is counted:

    raw        tokens of text that a row is made of: as many as fill the source
    noise      those of them that are hidden and told by the target
    source     what the encoder reads, of `--max_seq_length` tokens at most
    target     what the decoder tells, T tokens at most
"""

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple

SENTINEL, MODE = "<extra_id_{}>", "<mode_{}>"  # names of tokens: of a span, of a kind of rows


class Denoiser(NamedTuple):
    """One way to hide a part of a text.

    Attributes:
        kind: "spans" become sentinels (Raffel et al. 2020, arXiv:1910.10683, section 3.1.4);
            "infilling": spans, some of no tokens, become [MASK] (Lewis et al. 2019,
            arXiv:1910.13461, section 2.2); "suffix": what follows a random place is hidden.
        rate: share of the text that is hidden; not of a suffix.
        mean: tokens of a span; likewise.
        weight: share of the rows, before they are made to add up to 1.
        mode: name of the token that tells a row of this kind; "" where there is none.
    """

    kind: Literal["spans", "infilling", "suffix"]
    rate: float = 0.0
    mean: float = 0.0
    weight: float = 1.0
    mode: str = ""

    def counts(self, tokens: int) -> tuple[int, int]:
        """Noise and spans of a text, as `random_spans_noise_mask` of T5 has them.

        >>> Denoiser("spans", 0.15, 3.0).counts(568), Denoiser("spans", 0.15, 3.0).counts(1)
        ((85, 28), (0, 0))

        Args:
            tokens: of the text. One token by itself stays: a span stands beside something.
        """
        if self.kind == "suffix":
            return max(1, tokens // 2), 0  # at most
        infilling = self.kind == "infilling"
        most = tokens if infilling else tokens - 1
        noise = min(max(round(tokens * self.rate), 1), most)
        apart = tokens - noise + infilling  # places of which no two touch
        spans = min(max(round(noise / self.mean), 1), apart)
        return noise, spans if infilling else min(spans, noise)

    def source(self, tokens: int, spare: int = 0) -> int:
        """Most tokens of the source of a text, without what begins and ends it.

        Args:
            tokens: of the text.
            spare: spans that there may be beyond `counts`, see `denoising_noise.spans`.
        """
        noise, spans = self.counts(tokens)
        if self.kind == "suffix":
            return tokens - 1
        return tokens - noise + spans + spare * (self.kind == "spans")

    def target(self, tokens: int, spare: int = 0) -> int:
        """Most tokens of the target of a text, without its end; arguments as for `source`."""
        noise, spans = self.counts(tokens)
        if self.kind == "infilling":
            return tokens
        return noise + spans + spare * (self.kind == "spans")


@functools.lru_cache(maxsize=64)
def fill(
    denoisers: Sequence[Denoiser], length: int, marks: int = 2, spare: int = 1
) -> tuple[int, int]:
    """Tokens of text that fill sources of a length, and tokens of their targets, the end counted.

    With one denoiser of spans, an end and nothing spare this is `random_spans_helper` of T5:

    >>> fill((Denoiser("spans", 0.15, 3.0),), 512, marks=1, spare=0)
    (568, 114)

    Args:
        denoisers: of which each row has one.
        length: L, tokens of a source.
        marks: of these, what begins and ends it.
        spare: as for `Denoiser.source`.
    """
    tokens = 1
    while all(each.source(tokens + 1, spare) + marks <= length for each in denoisers):
        tokens += 1
    return tokens, 1 + max(each.target(tokens, spare) for each in denoisers)


def start_of(tokenizer) -> int | None:
    """The id that targets begin with: the begin of a text; the padding, as T5's, without one.

    Args:
        tokenizer: of the rows.
    """
    return tokenizer.pad_id if tokenizer.bos_id is None else tokenizer.bos_id
