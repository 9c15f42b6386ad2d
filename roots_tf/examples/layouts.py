"""The layouts of a build: how the ids of a document become records. No TensorFlow.

    pairs        segments A and B of sentences, by BERT's algorithm: see `segments`
    contiguous   the whole text, cut into records of max_seq_length tokens, each with its place
    translation  segment A is a sentence and B its translation, from documents of two lines

From contiguous records every document can be put together again; pairs lose what truncation cuts.
"""

import random
from typing import NamedTuple

import numpy as np
import sentencex

from roots_tf.examples import manifest, records, segments

LONGEST_PARAGRAPH = 10_000  # characters split into sentences at once
LONGEST_TEXT = 1 << 20  # characters tokenised as one text


class Cut(NamedTuple):
    """What a layout makes of one document.

    Attributes:
        spans: where each record's tokens lie in the flat array of ids; columns by layout.
        of_split: what the manifest counts in each split, besides examples and documents.
        of_corpus: what it counts over both.
    """

    spans: list[tuple[int, ...]]
    of_split: dict[str, int]
    of_corpus: dict[str, int]


class PairsLayout:
    """Records [document hash, length of A, ids of A, ids of B]; B is empty where A is alone."""

    columns = 4  # of a span: starts and ends of A and B
    of_split = ("sentences", "singles")
    of_shard = ("singles",)  # what `measure` counts
    of_corpus = ("one_sentence_documents", "cut_sentences")

    @staticmethod
    def pieces(text: str, language: str) -> list[str]:
        """What of `text` is tokenised apart: its sentences, by the rules of `language`."""
        return sentences(text, language)

    @staticmethod
    def cut(ends: np.ndarray, settings, rng: random.Random) -> Cut:
        """Pairs of one document.

        Args:
            ends: where the document begins in the flat array of ids, and where each sentence ends.
            settings: `planning.BuildSettings`.
            rng: the source of chance.
        """
        offset, length = int(ends[0]), settings.max_seq_length
        sentence_ends = (ends[1:] - offset).tolist()
        pairs = segments.pairs(sentence_ends, length, settings.short_seq_prob, rng)
        return Cut(
            [tuple(place + offset for place in pair) for pair in pairs],
            {
                "sentences": len(ends) - 1,
                "singles": sum(pair.start_b == pair.end_b for pair in pairs),
            },
            {
                "one_sentence_documents": int(len(ends) == 2),
                "cut_sentences": int((np.diff(ends) > segments.capacity(length)).sum()),
            },
        )

    @staticmethod
    def encode(ids, spans, hashes, dtype):
        """Records of `spans`, [n, 4]; other arguments as for `records.encode_pairs`."""
        start_a, end_a, start_b, end_b = spans.T
        return records.encode_pairs(
            ids, start_a, end_a - start_a, start_b, end_b - start_b, hashes, dtype
        )

    @staticmethod
    def measure(numbers: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
        """Tokens of the row that each record makes, and what is counted of a shard.

        Args:
            numbers: last word of each record's header, the length of A, [n].
            lengths: ids of each record, [n].
        """
        single = numbers == lengths
        # [CLS] A [SEP], and B [SEP] where there is one
        return lengths + np.where(single, 2, 3), {"singles": int(single.sum())}


class ContiguousLayout:
    """Records [document hash, place of the first token, ids]; a document's last may be shorter."""

    columns = 3  # of a span: start, length, and place in the document
    of_split = of_corpus = ()
    of_shard = ("ends",)

    @staticmethod
    def pieces(text: str, language: str) -> list[str]:
        """What of `text` is tokenised apart: all of it at once, whatever the `language`.

        A text beyond LONGEST_TEXT is cut at the ends of lines, for the memory it takes.
        """
        del language
        return cut_text(text, LONGEST_TEXT, "\n")

    @staticmethod
    def cut(ends: np.ndarray, settings, rng: random.Random) -> Cut:
        """Records of one document; arguments as for `PairsLayout.cut`, but no use of `rng`."""
        del rng
        start, stop, length = int(ends[0]), int(ends[-1]), settings.max_seq_length
        spans = [(i, min(length, stop - i), i - start) for i in range(start, stop, length)]
        begin, size, place = spans[-1]
        return Cut([*spans[:-1], (begin, size, place + records.ENDS)], {}, {})

    @staticmethod
    def encode(ids, spans, hashes, dtype):
        """Records of `spans`, [n, 3]; other arguments as for `records.encode_contiguous`."""
        starts, lengths, places = spans.T
        return records.encode_contiguous(ids, starts, lengths, hashes, places, dtype)

    @staticmethod
    def measure(numbers: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
        """Tokens of each record, and how many end a document.

        Args:
            numbers: last word of each record's header, which has the bit `records.ENDS`, [n].
            lengths: ids of each record, [n].
        """
        ends = numbers >> (8 * numbers.itemsize - 1) & 1
        return lengths, {"ends": int(ends.sum())}


class TranslationLayout(PairsLayout):
    """Records as those of pairs: A is a sentence, B its translation; both are there in each."""

    of_split = of_shard = ()
    of_corpus = ("one_sided", "cut_pairs")

    @staticmethod
    def pieces(text: str, language: str) -> list[str]:
        """What of `text` is tokenised apart: its two lines, whatever the `language`."""
        del language
        return text.split("\n")

    @staticmethod
    def cut(ends: np.ndarray, settings, rng: random.Random) -> Cut:
        """The record of a pair; arguments as for `PairsLayout.cut`, but no use of `rng`.

        Of a pair that is too long the longer side is cut, at its end, as BERT cuts pairs.
        """
        del rng
        if len(ends) != 3:  # one side has no tokens
            return Cut([], {}, {"one_sided": 1, "cut_pairs": 0})
        begin, middle, end = map(int, ends)
        capacity, half = settings.max_seq_length - 3, (settings.max_seq_length - 3) // 2
        first, second = middle - begin, end - middle
        too_long = first + second > capacity
        if too_long:
            first, second = (
                min(first, max(capacity - second, capacity - half)),
                min(second, max(capacity - first, half)),
            )
        span = (begin, begin + first, middle, middle + second)
        return Cut([span], {}, {"one_sided": 0, "cut_pairs": int(too_long)})

    @staticmethod
    def measure(numbers: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
        """Tokens of the row of each record; arguments as for `PairsLayout.measure`."""
        del numbers
        return lengths + 3, {}


LAYOUTS = {
    manifest.PAIRS: PairsLayout,
    manifest.CONTIGUOUS: ContiguousLayout,
    manifest.TRANSLATION: TranslationLayout,
}


def sentences(text: str, language: str) -> list[str]:
    """Sentences of a document whose paragraphs are lines.

    A paragraph longer than any that a person wrote is cut first: splitting takes quadratic time
    where there are no spaces, half a minute for 200,000 characters.

    Args:
        text: of the document.
        language: ISO 639-1 code.
    """
    split = []
    for paragraph in text.split("\n"):
        for piece in cut_text(paragraph, LONGEST_PARAGRAPH, " "):
            split.extend(s for s in sentencex.segment(language, piece) if s and not s.isspace())
    return split


def cut_text(text: str, longest: int, separator: str) -> list[str]:
    """The text in pieces of at most `longest` characters, that joined give it again.

    >>> cut_text("to be or not", longest=8, separator=" ")
    ['to be ', 'or not']

    Args:
        text: what is cut.
        longest: characters of a piece.
        separator: a piece ends with the last one in its second half, if there is one.
    """
    pieces, begin = [], 0
    while len(text) - begin > longest:
        end = begin + longest
        end = text.rfind(separator, end - longest // 2, end) + 1 or end
        pieces.append(text[begin:end])
        begin = end
    return [*pieces, text[begin:]]
