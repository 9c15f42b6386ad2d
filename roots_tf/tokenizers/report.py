"""How well a vocabulary covers a text, and how many tokens it makes of it."""

import itertools
import json
from collections import defaultdict

import numpy as np

from roots_tf.tokenizers.tokenizer import Tokenizer


class SourceTexts:
    """The first texts of each source, up to a number of characters of each.

    Args:
        chars_per_source: characters kept of a source.
        max_sources: sources counted by themselves; the rest together are "(other)".
    """

    def __init__(self, chars_per_source: int = 200_000, max_sources: int = 200):
        self.texts: dict[str, list[str]] = defaultdict(list)
        self._sizes: dict[str, int] = defaultdict(int)
        self._chars_per_source = chars_per_source
        self._max_sources = max_sources

    def merge(self, texts: dict[str, list[str]]) -> None:
        """Adds the texts of a sample of a later part of the corpus."""
        for source, some in texts.items():
            for text in some:
                self.add(text, source)

    def add(self, text: str, source: str) -> None:
        """Keeps a `text` of a `source`, or the start of it, if there is room."""
        if source not in self.texts and len(self.texts) >= self._max_sources:
            source = "(other)"
        room = self._chars_per_source - self._sizes[source]
        if room > 0:
            self.texts[source].append(text[:room])
            self._sizes[source] += min(len(text), room)


def measure(tokenizer: Tokenizer, sample: SourceTexts) -> dict:
    """Coverage, fertility and length by source, over all, and the longest tokens.

    Args:
        tokenizer: encodes the texts.
        sample: the texts.

    Returns:
        "sources": for each source, and "(all)",
            characters, words (at whitespace), bytes and tokens of the sample;
            unknown_percent: [UNK] of the tokens, in per cent;
            coverage_percent: whitespace-separated words without [UNK], in per cent;
            tokens_per_word (fertility) and bytes_per_token;
        "longest_tokens": the twenty longest tokens of the vocabulary;
        "used_percent": ids that occur in the sample, of all, in per cent.
    """
    sources, used = {}, np.zeros(tokenizer.size, bool)
    totals: dict[str, int] = defaultdict(int)
    for source, texts in sorted(sample.texts.items()):
        counts = _count(tokenizer, texts, used)
        for key, value in counts.items():
            totals[key] += value
        sources[source] = _ratios(counts)
    sources["(all)"] = _ratios(totals)
    ordinary = [t for i, t in enumerate(tokenizer.vocabulary) if i not in tokenizer.special_ids]
    return {
        "sources": sources,
        "longest_tokens": sorted(ordinary, key=len, reverse=True)[:20],
        "used_percent": round(100 * float(used.mean()), 2),
    }


def _count(tokenizer: Tokenizer, texts: list[str], used: np.ndarray) -> dict[str, int]:
    words = list(itertools.chain.from_iterable(text.split() for text in texts))
    ids, splits = tokenizer.encode(texts)
    used[ids] = True
    unknown = unknown_words = 0
    if tokenizer.unk_id is not None:
        unknown = int(np.count_nonzero(ids == tokenizer.unk_id))
    if unknown:
        word_ids, word_splits = tokenizer.encode(words)
        is_unknown = np.concatenate([[0], np.cumsum(word_ids == tokenizer.unk_id)])
        unknown_words = int(np.count_nonzero(np.diff(is_unknown[word_splits])))
    return {
        "characters": sum(map(len, texts)),
        "words": len(words),
        "bytes": sum(len(text.encode("utf-8", "surrogatepass")) for text in texts),
        "tokens": len(ids),
        "unknown": unknown,
        "unknown_words": unknown_words,
    }


def _ratios(counts: dict[str, int]) -> dict[str, float]:
    words, tokens = max(counts["words"], 1), max(counts["tokens"], 1)
    return {
        **{key: counts[key] for key in ("characters", "words", "bytes", "tokens")},
        "unknown_percent": round(100 * counts["unknown"] / tokens, 3),
        "coverage_percent": round(100 - 100 * counts["unknown_words"] / words, 3),
        "tokens_per_word": round(counts["tokens"] / words, 3),
        "bytes_per_token": round(counts["bytes"] / tokens, 3),
    }


SHOWN_SOURCES = 12


def table(report: dict) -> str:
    """A report to read: a line for each of the largest sources, then the longest tokens."""
    columns = ("words", "unknown_percent", "coverage_percent", "tokens_per_word", "bytes_per_token")
    heads = ("words", "[UNK] %", "covered %", "tokens/word", "bytes/token")
    width = max(map(len, report["sources"]))
    lines = [f"{'source':<{width}} " + " ".join(f"{head:>12}" for head in heads)]
    by_words = sorted(report["sources"].items(), key=lambda item: -item[1]["words"])
    shown = dict(by_words[:SHOWN_SOURCES])  # the sum over all comes first
    for source, values in shown.items():
        cells = " ".join(f"{values[column]:>12,}" for column in columns)
        lines.append(f"{source:<{width}} {cells}")
    if hidden := len(by_words) - len(shown):
        lines.append(f"... and {hidden} more sources, see report.json")
    longest = " ".join(json.dumps(token, ensure_ascii=False) for token in report["longest_tokens"])
    return "\n".join([*lines, f"longest tokens: {longest}"])
