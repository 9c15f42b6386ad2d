"""How well a vocabulary covers a text, and how many tokens it makes of it."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from roots_tf import words as words_of
from roots_tf.tokenizers import alphabet, scripts, vocabulary
from roots_tf.tokenizers.shown import shown
from roots_tf.tokenizers.tokenizer import Tokenizer

LEAST_PERCENT = 0.1  # of the characters, below which a remark would say little
LOUD_PERCENT = 1  # of the tokens


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

    def heads(self, chars_per_source: int) -> Iterator[str]:
        """The first texts of each source, up to so many characters of each."""
        for _, texts in sorted(self.texts.items()):
            room = chars_per_source
            for text in texts:
                yield text[: max(room, 0)]
                room -= len(text)


def measure(tokenizer: Tokenizer, sample: SourceTexts) -> dict:
    """Coverage, fertility and length by source, over all, and the longest tokens.

    Args:
        tokenizer: encodes the texts.
        sample: the texts.

    Returns:
        "sources": for each source, and "(all)",
            characters, words (of `words.words`), bytes and tokens of the sample;
            unknown_percent: [UNK] of the tokens, in per cent;
            coverage_percent: words without [UNK], in per cent;
            tokens_per_word (fertility) and bytes_per_token;
        "scripts": likewise, for each script and "(none)", of a million characters of the sample,
            characters, tokens, tokens_per_character, coverage_percent (characters that stand in no
            [UNK]) and unknown_percent (tokens);
        "longest_tokens": the twenty longest tokens of the vocabulary, as text;
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
    special = {tokenizer.vocabulary[i] for i in tokenizer.special_ids}
    ordinary = [token for token in tokenizer.vocabulary if token not in special]
    room = scripts.MAX_CHARACTERS // max(len(sample.texts), 1)
    return {
        "sources": sources,
        "scripts": scripts.ratios(scripts.measure(tokenizer, sample.heads(room))),
        "longest_tokens": shown(tokenizer, sorted(ordinary, key=len, reverse=True)[:20]),
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
        lost_by_script: characters that it does not have, of those of each script, in per cent.
        num_needed: how many characters make up the share of the text that was wanted.
    """

    long_percent: float = 0.0
    limit: int = 0
    lost_percent: float = 0.0
    lost: str = ""
    num_lost: int = 0
    lost_by_script: Mapping[str, float] = MappingProxyType({})
    num_needed: int = 0


def spelling(
    tokenizer: Tokenizer,
    words: Mapping[str, int],
    in_long: int = 0,
    coverage: float = alphabet.COVERAGE,
) -> Spelling:
    """How much of its own corpus a vocabulary cannot spell; byte-level BPE spells everything.

    Args:
        tokenizer: trained on the words.
        words: with the number of times that each occurs.
        in_long: characters in words above WordPiece's limit that were cut into `words`.
        coverage: share of the text that its characters were to make up.
    """
    if tokenizer.kind == "bpe":
        return Spelling()
    found = alphabet.occurrences(words, vocabulary.SUFFIX_PREFIX * (tokenizer.kind == "wordpiece"))
    limit = tokenizer.settings["model"].get("max_input_chars_per_word", 0)
    in_long += sum(len(word) * count for word, count in words.items() if 0 < limit < len(word))
    known = set(tokenizer.vocabulary)
    lost = Counter({c: count for c, count in found.items() if c not in known})
    share = 100 / max(found.total(), 1)
    of_scripts = scripts.by_script(found)
    return Spelling(
        share * in_long,
        limit,
        share * lost.total(),
        "".join(character for character, _ in lost.most_common(10)),
        len(lost),
        {n: 100 * c / of_scripts[n] for n, c in scripts.by_script(lost).most_common()},
        alphabet.needed(found, coverage),
    )


def remarks(report: dict, spelled: Spelling, wanted_size: int) -> list[str]:
    """What should be known of a vocabulary before something is trained with it, a line each.

    Args:
        report: of `measure`, with `model` and `vocab_size`.
        spelled: of `spelling`.
        wanted_size: ids that were asked for, at most.
    """
    model, found = report["model"], []
    if report["vocab_size"] < wanted_size and model != "character":
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
        found.append(_on_lost(spelled, model, report["vocab_size"]))
    if (unknown := report["sources"]["(all)"]["unknown_percent"]) >= LOUD_PERCENT:
        found.append(_on_unknown(report, unknown))
    return found


def _on_lost(spelled: Spelling, model: str, size: int) -> str:
    """On characters that are not in the vocabulary."""
    parts = ", ".join(f"{name} {part:.3g} %" for name, part in spelled.lost_by_script.items())
    line = (
        f"{spelled.num_lost:,} characters, {spelled.lost_percent:.3g} % of the text "
        f"({spelled.lost} ...; of each script {parts}), are not in the vocabulary and become "
        "[UNK]; "
    )
    if size < 2 * spelled.num_needed and model != "character":
        return line + (
            f"{size:,} ids are too few for {spelled.num_needed:,} characters and words of them: "
            f"wanted a --vocab_size of {4 * spelled.num_needed:,} or so; --model=bpe spells all"
        )
    flags = "a larger --character_coverage or --limit_alphabet"
    return f"{line}{flags} takes in more, --model=bpe spells all"


def _on_unknown(report: dict, unknown: float) -> str:
    """On tokens that are [UNK], as loud as such a vocabulary deserves."""
    covered = report["sources"]["(all)"]["coverage_percent"]
    by_script = {
        name: values["unknown_percent"]
        for name, values in report.get("scripts", {}).items()
        if values["unknown_percent"] > 0
    }
    parts = ", ".join(f"{name} {part:.3g} %" for name, part in by_script.items())
    return (
        f"{unknown:.3g} % OF THE TOKENS ARE [UNK]" + (f" ({parts})" if parts else "") + ", and "
        f"only {covered:.4g} % of the words are spelled in full; a model learns nothing of the "
        "rest, and its loss looks better than it is. A larger --vocab_size, --character_coverage "
        "or --limit_alphabet takes in more characters; --model=bpe spells all"
    )


def _count(tokenizer: Tokenizer, texts: list[str], used: np.ndarray) -> dict[str, int]:
    words = list(itertools.chain.from_iterable(map(words_of.words, texts)))
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


SHOWN = 12  # sources, or scripts


def table(report: dict) -> str:
    """A report to read: a line for each of the largest sources and scripts, the longest tokens."""
    by_words = sorted(report["sources"].items(), key=lambda item: -item[1]["words"])
    columns = {
        "words": "words",
        "[UNK] %": "unknown_percent",
        "covered %": "coverage_percent",
        "tokens/word": "tokens_per_word",
        "bytes/token": "bytes_per_token",
    }
    lines = _rows("source", columns, by_words)  # the sum over all comes first
    columns = {
        "characters": "characters",
        "[UNK] %": "unknown_percent",
        "covered %": "coverage_percent",
        "tokens/char": "tokens_per_character",
    }
    lines += ["", *_rows("script", columns, list(report["scripts"].items()))]
    longest = " ".join(json.dumps(token, ensure_ascii=False) for token in report["longest_tokens"])
    return "\n".join([*lines, "", f"longest tokens: {longest}"])


def _rows(what: str, columns: dict[str, str], rows: list[tuple[str, dict]]) -> list[str]:
    """Lines of a table: heads and keys of its columns, names and values of its rows."""
    width = max(len(name) for name, _ in [(what, {}), *rows])
    lines = [f"{what:<{width}} " + " ".join(f"{head:>12}" for head in columns)]
    for name, values in rows[:SHOWN]:
        cells = " ".join(f"{values[column]:>12,}" for column in columns.values())
        lines.append(f"{name:<{width}} {cells}")
    if hidden := len(rows) - SHOWN:
        lines += [f"... and {hidden} more, see report.json"] * (hidden > 0)
    return lines
