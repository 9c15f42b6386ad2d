"""How well a vocabulary covers a text, and how many tokens it makes of it."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from roots_tf.tokenizers.tokenizer import Tokenizer

LEAST_PERCENT = 0.1  # of the characters, below which a remark would say little


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


class Spelling(NamedTuple):
    """What a vocabulary cannot spell of the words that it was trained on.

    Attributes:
        long_percent: characters in words above WordPiece's limit, which are [UNK] as a whole.
        limit: that limit, in characters; 0 of the other models, which have none.
        lost_percent: characters that the vocabulary does not have.
        lost: the most frequent of them.
        num_lost: how many there are.
    """

    long_percent: float = 0.0
    limit: int = 0
    lost_percent: float = 0.0
    lost: str = ""
    num_lost: int = 0


def spelling(tokenizer: Tokenizer, words: Mapping[str, int]) -> Spelling:
    """How much of its own corpus a vocabulary cannot spell; byte-level BPE spells everything.

    Args:
        tokenizer: trained on the words.
        words: with the number of times that each occurs.
    """
    if tokenizer.kind == "bpe":
        return Spelling()
    occurrences: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            occurrences[character] += count
    limit = tokenizer.settings["model"].get("max_input_chars_per_word", 0)
    in_long = sum(len(word) * count for word, count in words.items() if 0 < limit < len(word))
    known = set(tokenizer.vocabulary)
    lost = Counter({c: count for c, count in occurrences.items() if c not in known})
    share = 100 / max(occurrences.total(), 1)
    some = "".join(character for character, _ in lost.most_common(10))
    return Spelling(share * in_long, limit, share * lost.total(), some, len(lost))


def remarks(report: dict, spelled: Spelling, wanted_size: int) -> list[str]:
    """What should be known of a vocabulary before something is trained with it, a line each.

    Args:
        report: of `measure`, with `model` and `vocab_size`.
        spelled: of `spelling`.
        wanted_size: ids that were asked for, at most.
    """
    model, found = report["model"], []
    if report["vocab_size"] < wanted_size:
        found.append(
            f"{report['vocab_size']:,} ids, not {wanted_size:,} (--vocab_size): the corpus has no "
            "more pieces that occur often enough; a model needs no more rows than that. More text "
            "gives more" + (", so does --min_frequency=1" if model != "unigram" else "")
        )
    if spelled.long_percent >= LEAST_PERCENT:
        found.append(
            f"{spelled.long_percent:.3g} % of the characters stand in words of more than "
            f"{spelled.limit} characters, which WordPiece makes [UNK]; --model=unigram and "
            "--model=bpe cut words of any length"
        )
    if spelled.lost_percent >= LEAST_PERCENT:
        flag = "a larger --limit_alphabet" if model == "wordpiece" else "a larger --vocab_size"
        found.append(
            f"{spelled.num_lost:,} characters, {spelled.lost_percent:.3g} % of the text "
            f"({spelled.lost} ...), are not in the vocabulary and become [UNK]; {flag} takes in "
            "more, --model=bpe spells all"
        )
    if (unknown := report["sources"]["(all)"]["unknown_percent"]) >= 1:
        covered = report["sources"]["(all)"]["coverage_percent"]
        found.append(
            f"{unknown:.3g} % of the tokens are [UNK], and only {covered:.4g} % of the words are "
            "spelled in full; a model learns nothing of the rest"
        )
    return found


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
