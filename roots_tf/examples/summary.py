"""What a build has to say of itself: the manifest, and the table for people."""

import numpy as np

from roots_tf.examples import building, manifest, planning, records, word_lengths, word_starts
from roots_tf.examples.layouts import LAYOUTS


def describe(
    build: str,
    settings: planning.BuildSettings,
    tokenizer,
    encoded: list[dict],
    shards: dict[str, list[dict]],
    unigrams: dict[str, np.ndarray],
) -> dict:
    """Composes the manifest.

    Args:
        build: digits that stand for it.
        settings: what the user chose.
        tokenizer: the tokenizer of the build.
        encoded: what every encode task returned.
        shards: what every gather task returned, by split.
        unigrams: counts of ids by split, [V].
    """
    totals = {
        key: sum(counts[key] for counts in encoded)
        for key in encoded[0]
        if key not in building.BY_LANGUAGE
    }
    layout, length = LAYOUTS[settings.layout], settings.max_seq_length
    every = [shard for parts in shards.values() for shard in parts]
    # An older version, whose build goes on here, did not count all of it.
    counted = [k for k in layout.of_shard if all(k in shard for shard in every)]
    of_shard = ["examples", "tokens", *counted]
    splits = {
        split: {
            "documents": totals[f"{split}_documents"],
            **{k: totals[f"{split}_{k}"] for k in layout.of_split},
            **{k: sum(shard[k] for shard in parts) for k in [*of_shard, "bytes"]},
            "shards": [{k: s[k] for k in ("name", "bytes", "sha256", *of_shard)} for s in parts],
        }
        for split, parts in shards.items()
    }
    total = {k: sum(shard[k] for shard in every) for k in [*of_shard, "unknown", "bytes"]}
    described = {
        "format": manifest.FORMAT,
        "layout": settings.layout,
        "build": build,
        "word": records.word_dtype(tokenizer.size),
        "word_starts": records.place_of_starts(tokenizer.size),
        "max_seq_length": length,
        "tokenizer": {"fingerprint": tokenizer.fingerprint, "size": tokenizer.size},
        "splits": splits,
        "documents": totals["documents"],
        "text_bytes": totals["text_bytes"],
        "dropped": {"no tokens": totals["dropped_empty"]},
        **{k: totals[k] for k in layout.of_corpus},
        "disk_bytes_per_text_byte": _ratio(total["bytes"], totals["text_bytes"]),
        "unknown_percent": 100 * _ratio(total["unknown"], total["tokens"]),
        "length_histogram": {
            str((i + 1) * length // building.HISTOGRAM_BINS): count
            for i, count in enumerate(np.sum([s["histogram"] for s in every], axis=0).tolist())
        },
        "unigram_entropy": building.unigram_entropy(unigrams["train"], unigrams["held_out"]),
        "settings": settings.deciding(),
        "words": _words(settings, tokenizer, encoded, shards["train"], unigrams["train"]),
    }
    if settings.layout != manifest.CONTIGUOUS:  # whose records are no rows
        filled = total["tokens"] + 3 * total["examples"] - total.get("singles", 0)
        described["padding_percent"] = 100 * (1 - _ratio(filled, total["examples"] * length))
    return described


def _words(settings, tokenizer, encoded, train: list[dict], counts: np.ndarray) -> dict:
    """What the manifest says of words: see `manifest.Words`."""
    languages, undeclared, cut = (
        word_starts.summed(encoded, name) for name in building.BY_LANGUAGE
    )
    measured = [shard["words"] for shard in train]
    return {
        "segmentation": settings.word_segmentation,
        "segmenters": word_starts.segmenters(cut),
        "remarks": word_starts.remarks(cut),
        "languages": languages,
        "undeclared": undeclared,
        **{
            name: np.sum([words[name] for words in measured], axis=0).tolist()
            for name in ("tokens", "characters", "measured_tokens")
        },
        "unspaced_percent": word_starts.unspaced_percent(tokenizer, counts),
    }


def check_encoded(encoded: list[dict], pairs: bool) -> None:
    """Refuses a corpus as soon as the encode tasks show that nothing can be learned from it.

    Args:
        encoded: what every encode task returned.
        pairs: whether it must give sentence pairs.

    Raises:
        InputError: there are no examples; or see `manifest.check_pairs`.
    """
    prefix = "train_"
    part = {
        key.removeprefix(prefix): sum(counts[key] for counts in encoded)
        for key in encoded[0]
        if key.startswith(prefix)
    }
    described = {"splits": {"train": part}}
    manifest.split_of(described, "train")
    if pairs:
        manifest.check_pairs(described, "train")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def unknown_remark(described: dict) -> str:
    """A line on tokens that are [UNK], with what to do about them; "" where there are next to none.

    Args:
        described: the manifest.
    """
    if (percent := described.get("unknown_percent", 0.0)) < 1.0:
        return ""
    return (
        f"{percent:.1f} % of the tokens are [UNK]: the text behind them is lost, and a model would "
        "learn to predict [UNK]. Train a vocabulary on this text (train-tokenizer says what it "
        "lacks: long words and many characters want --model=unigram or bpe), or extend-vocab, and "
        "build again"
    )


def _words_row(described: dict) -> str:
    """How long words are, and what cut those without spaces."""
    words = described["words"]
    cut = ", ".join(f"{code} by {name}" for code, name in words["segmenters"].items())
    return f"{word_lengths.figures(words['tokens'])['mean']:.2f} tokens each" + (
        f"; {cut}" if cut else ""
    )


def _languages_row(described: dict) -> str:
    """Documents by language, and how many of them say nothing."""
    words = described["words"]
    listed = ", ".join(f"{n:,} {code or 'spaced'}" for code, n in words["languages"].items())
    default = described["settings"].get("language", "")
    taken = words["undeclared"].get(default, 0) if default else 0
    told = sum(words["undeclared"].values()) - taken
    said = [f"{taken:,} that do not say theirs: --language={default}"] if taken else []
    said += [f"{told:,} told by their letters"] if told else []
    return listed + (f" ({'; '.join(said)})" if said else "")


def table(described: dict) -> str:
    """The manifest as a short table for a terminal."""
    train, held_out = described["splits"]["train"], described["splits"]["held_out"]
    entropy = described["unigram_entropy"]
    pairs = described["layout"] == manifest.PAIRS
    are_rows = described["layout"] != manifest.CONTIGUOUS
    rows = [
        ("documents", f"{described['documents']:,} ({described['text_bytes'] / 1e6:,.1f} MB)"),
        ("  dropped", ", ".join(f"{n:,} {why}" for why, n in described["dropped"].items())),
        ("examples", f"{train['examples']:,} + {held_out['examples']:,} held out"),
        ("tokens", f"{train['tokens']:,} + {held_out['tokens']:,} held out"),
        ("  unknown", f"{described['unknown_percent']:.3f} %"),
        ("words", _words_row(described)),
        ("  languages", _languages_row(described)),
        ("shards", f"{len(train['shards'])} + {len(held_out['shards'])} held out"),
        ("disk", f"{described['disk_bytes_per_text_byte']:.3f} bytes a byte of text"),
        ("unigram entropy", "-" if entropy is None else f"{entropy:.3f} nats, held out"),
    ]
    if pairs:
        rows.insert(2, ("  one sentence", f"{described['one_sentence_documents']:,}"))
        rows.insert(4, ("  no second segment", f"{train['singles'] + held_out['singles']:,}"))
    if described["layout"] == manifest.TRANSLATION:
        rows.insert(2, ("  one side only", f"{described['one_sided']:,}"))
        rows.insert(3, ("  cut", f"{described['cut_pairs']:,} longer than a row"))
    if are_rows:
        at = next(place for place, (name, _) in enumerate(rows) if name == "  unknown")
        rows.insert(at + 1, ("  padding", f"{described['padding_percent']:.1f} %"))
    lines = [f"  {name:<20} {value}" for name, value in rows]
    histogram = described["length_histogram"]
    highest = max(max(histogram.values()), 1)
    lines += ["", f"  tokens a {'row' if are_rows else 'record'}, up to"]
    lines += [
        f"  {length:>8} {count:>12,} {'#' * round(40 * count / highest)}"
        for length, count in histogram.items()
    ]
    return "\n".join(lines)
