"""Train a classifier of texts for curate's step `classifier`: what is kept and what is dropped.

    roots train-classifier --input=kept='novels/*.txt',dropped=news.jsonl --output=work/classifier

Each named input is a label: two or more. The classifier is a logistic regression over hashed words
and pairs of words, `classifier.npz`: numbers, no code. A tenth of the documents, chosen by a hash
of their texts, is held out, and the accuracy on it is printed. What a run of curate drops serves
too: `--keep_dropped` leaves it in `_dropped/`. 5,000 documents take three seconds of processor. In
a recipe then

    [[steps]]
    name = "classifier"
    model = "work/classifier"
    keep = ["kept"]
    min_score = 0.5
"""

import collections
import dataclasses
import heapq
from pathlib import Path

from absl import logging

from roots_tf import program
from roots_tf.corpus import linear_classifier, reading
from roots_tf.corpus.tally import order
from roots_tf.storage import claims, encodings, files, sources

HELD_OUT = 10  # one document in so many


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `train-classifier`."""

    input: tuple[str, ...] = program.flag(
        help="documents by label: kept=FOLDER,dropped=FILE", role="input"
    )
    output: str = program.flag(
        help="folder of classifier.npz and report.json", role="output_folder"
    )
    documents: reading.Layout = program.flag(
        "blank_lines", help="what a document is in plain text: parted by blank lines, file or line"
    )
    encoding: str = program.flag(
        "utf-8",
        help="of plain text and JSON lines without a byte order mark: GB18030, Big5, Latin-1, ...",
    )
    text_field: str = program.flag("text", help="field (column) of the text in JSON (Parquet)")
    max_documents: int = program.flag(
        20_000,
        help="of a label, those of lowest hash; what is held in memory",
        minimum=20,
        maximum=10**7,
    )
    min_chars: int = program.flag(
        20, help="shorter documents are left out", minimum=1, maximum=10**6
    )
    ngram: int = program.flag(2, help="words in the longest n-gram", minimum=1, maximum=5)
    bits: int = program.flag(18, help="2^bits weights a label", minimum=8, maximum=24)
    debug: bool = program.flag(False, help="learn from 100 documents a label only")
    strength: float = program.flag(
        10.0, help="the larger, the closer to the examples", above=0, maximum=1e6
    )


@program.takes_urls
def main(config: Config) -> None:
    """Reads the documents, trains, and prints how many held-out ones are told right."""
    program.check(config)
    named = sources.split(config.input)
    if not named:
        raise files.InputError(
            "wrong-value",
            f"found --input={','.join(config.input)}; wanted documents by label, such as "
            "kept=FOLDER,dropped=FILE",
        )
    expanded, claim = sources.expand(named), claims.of(config)
    examples = {label: _documents(config, paths) for label, paths in expanded.items()}
    for label, texts in examples.items():
        if len(texts) < 2 * HELD_OUT:
            raise files.InputError(
                "too-few-examples",
                f"found {len(texts)} documents of {config.min_chars} characters for the label "
                f"{label}; wanted {2 * HELD_OUT} or more",
            )
    held_out = [(t, label) for label, texts in examples.items() for t in texts[::HELD_OUT]]
    learnt = [
        (text, label)
        for label, texts in examples.items()
        for place, text in enumerate(texts)
        if place % HELD_OUT
    ]
    texts, labels = zip(*learnt, strict=True)
    classifier = linear_classifier.train(texts, labels, config.ngram, config.bits, config.strength)
    output = Path(config.output)
    with claim.held(output):
        claim.begin(output, replaces=True)
        classifier.save(output / linear_classifier.NAME)
        report = _report(classifier, held_out, len(learnt))
        files.write_json(output / "report.json", report)
    print(table(report))
    logging.info("%s", output / linear_classifier.NAME)


def _documents(config: Config, paths: list[str]) -> list[str]:
    """Different texts of some files, those of lowest hash, in the order of their hashes."""
    found = reading.read_documents(
        paths,
        config.documents,
        text_field=config.text_field,
        encoding=encodings.python_name(config.encoding),
    )
    texts = (document.text for document in found if len(document.text) >= config.min_chars)
    most = min(config.max_documents, 100) if config.debug else config.max_documents
    ranked = heapq.nsmallest(most, ((order(text), text) for text in texts))
    return list(dict.fromkeys(text for _, text in ranked))


def _report(classifier, held_out: list[tuple[str, str]], learnt: int) -> dict:
    """Of each label the held-out documents, and those of them that are told right."""
    counts = collections.Counter(label for _, label in held_out)
    right = collections.Counter(
        label
        for text, label in held_out
        if classifier.labels[int(classifier.probabilities(text).argmax())] == label
    )
    return {
        "learnt_documents": learnt,
        "held_out_documents": len(held_out),
        "accuracy": round(right.total() / len(held_out), 4),
        "most_frequent": round(max(counts.values()) / len(held_out), 4),
        "labels": {
            label: {"held_out": counts[label], "right": right[label]} for label in sorted(counts)
        },
    }


def table(report: dict) -> str:
    """A report as lines for people."""
    lines = [f"{'':<20}{'held out':>10}{'right':>10}"]
    lines += [
        f"{label:<20}{counts['held_out']:>10,}{counts['right']:>10,}"
        for label, counts in report["labels"].items()
    ]
    lines.append(
        f"accuracy {report['accuracy']:.4f}, of the most frequent label "
        f"{report['most_frequent']:.4f}; learnt from {report['learnt_documents']:,} documents"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    program.run(main, Config)
