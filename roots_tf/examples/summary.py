"""What a build has to say of itself: the manifest, and the table for people."""

import dataclasses

import numpy as np

from roots_tf.examples import building, manifest, planning, records


def describe(
    plan: planning.Plan,
    settings: planning.Settings,
    tokenizer,
    encoded: list[dict],
    shards: dict[str, list[dict]],
    unigrams: dict[str, np.ndarray],
) -> dict:
    """Composes the manifest.

    Args:
        plan: what was to be done.
        settings: what the user chose.
        tokenizer: the tokenizer of the build.
        encoded: what every encode task returned.
        shards: what every gather task returned, by split.
        unigrams: counts of ids by split, [V].
    """
    totals = {key: sum(counts[key] for counts in encoded) for key in encoded[0]}
    splits = {
        split: {
            "documents": totals[f"{split}_documents"],
            "sentences": totals[f"{split}_sentences"],
            **{k: sum(s[k] for s in parts) for k in ("examples", "tokens", "singles", "bytes")},
            "shards": [
                {k: s[k] for k in ("name", "bytes", "sha256", "examples", "tokens", "singles")}
                for s in parts
            ],
        }
        for split, parts in shards.items()
    }
    every = [shard for parts in shards.values() for shard in parts]
    examples, tokens, singles, unknown = (
        sum(shard[key] for shard in every) for key in ("examples", "tokens", "singles", "unknown")
    )
    length = settings.max_seq_length
    return {
        "format": manifest.FORMAT,
        "build": plan.build,
        "word": records.word_dtype(tokenizer.size),
        "max_seq_length": length,
        "tokenizer": {"fingerprint": tokenizer.fingerprint, "size": tokenizer.size},
        "splits": splits,
        "documents": totals["documents"],
        "text_bytes": totals["text_bytes"],
        "dropped": {"no tokens": totals["dropped_empty"]},
        "one_sentence_documents": totals["one_sentence_documents"],
        "cut_sentences": totals["cut_sentences"],
        "disk_bytes_per_text_byte": _ratio(sum(s["bytes"] for s in every), totals["text_bytes"]),
        "unknown_percent": 100 * _ratio(unknown, tokens),
        "padding_percent": 100 * (1 - _ratio(tokens + 3 * examples - singles, examples * length)),
        "length_histogram": {
            str((i + 1) * length // building.HISTOGRAM_BINS): count
            for i, count in enumerate(np.sum([s["histogram"] for s in every], axis=0).tolist())
        },
        "unigram_entropy": building.unigram_entropy(unigrams["train"], unigrams["held_out"]),
        "settings": dataclasses.asdict(settings),
    }


def check_pairs(encoded: list[dict], sentence_objective: str) -> None:
    """Refuses sentence pairs as soon as the encode tasks show that the corpus cannot give them.

    Raises:
        InputError: see `manifest.check_objective`.
    """
    part = {
        what: sum(counts[f"train_{what}"] for counts in encoded)
        for what in ("documents", "sentences", "examples", "singles")
    }
    manifest.check_objective({"splits": {"train": part}}, "train", sentence_objective)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def table(described: dict) -> str:
    """The manifest as a short table for a terminal."""
    train, held_out = described["splits"]["train"], described["splits"]["held_out"]
    entropy = described["unigram_entropy"]
    rows = [
        ("documents", f"{described['documents']:,} ({described['text_bytes'] / 1e6:,.1f} MB)"),
        ("  dropped", ", ".join(f"{n:,} {why}" for why, n in described["dropped"].items())),
        ("  one sentence", f"{described['one_sentence_documents']:,}"),
        ("examples", f"{train['examples']:,} + {held_out['examples']:,} held out"),
        ("  no second segment", f"{train['singles'] + held_out['singles']:,}"),
        ("tokens", f"{train['tokens']:,} + {held_out['tokens']:,} held out"),
        ("  unknown", f"{described['unknown_percent']:.3f} %"),
        ("  padding", f"{described['padding_percent']:.1f} %"),
        ("shards", f"{len(train['shards'])} + {len(held_out['shards'])} held out"),
        ("disk", f"{described['disk_bytes_per_text_byte']:.3f} bytes a byte of text"),
        ("unigram entropy", "-" if entropy is None else f"{entropy:.3f} nats, held out"),
    ]
    lines = [f"  {name:<20} {value}" for name, value in rows]
    histogram = described["length_histogram"]
    highest = max(max(histogram.values()), 1)
    lines += ["", "  tokens a row, up to"]
    lines += [
        f"  {length:>8} {count:>12,} {'#' * round(40 * count / highest)}"
        for length, count in histogram.items()
    ]
    return "\n".join(lines)
