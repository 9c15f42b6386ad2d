"""Minimal pairs of language models beside an n-gram model of their text, by phenomenon.

    python -m benchmarks.blimp --pairs=path/to/blimp/pairs.jsonl --models=runs/pretrained/model \
        --train='runs/documents/*.parquet' --output=blimp.json

A pair is right where the good sentence has the higher score, as `roots score` gives it: of a causal
model the log-probability, of a masked one the pseudo-log-likelihood, both with the later pieces of
a word masked (Kauf & Ivanova 2023, arXiv:2305.10588) and without. Chance is a half. The n-grams are
those of `benchmarks.language_model`, counted in the text that the models learned from, over the
ids of the first model's tokenizer. Prints a row for each phenomenon and one for all, with the
standard error of a share of so many pairs.
"""

import dataclasses
import math
import tempfile

import numpy as np

from benchmarks.language_model import KneserNey
from pipelines import score
from roots_tf import models, program, tokenizers
from roots_tf.corpus import reading
from roots_tf.labelled import scored_texts
from roots_tf.storage import files

ALL, GROUP = "all", "phenomenon"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    pairs: str = program.flag(help="file of pairs: good, bad, phenomenon")
    models: tuple[str, ...] = program.flag(help="model folders of language models")
    train: tuple[str, ...] = program.flag(help="documents that the n-grams are counted in")
    documents: reading.Layout = program.flag("file", help="what a document is in plain text")
    order: int = program.flag(5, help="tokens of an n-gram", minimum=1, maximum=10)
    output: str = program.flag("", help="JSON file for the results; none if empty")
    debug: bool = program.flag(False, help="the first 16 pairs, as `roots score --debug`")


def main(config: Config) -> dict[str, dict[str, float]]:
    """Prints the table and returns its columns: shares of right pairs, by name."""
    _, questions = scored_texts.read(config.pairs, groups=(GROUP,))
    questions = questions[: 16 if config.debug else None]
    counts = {ALL: len(questions)}
    for question in questions:
        group = question.groups[GROUP]
        counts[group] = counts.get(group, 0) + 1
    columns = {f"{config.order}-gram": of_ngrams(config, questions)}
    for folder in config.models:
        masked = models.describe(folder)["kind"] == "pretrainer"
        for masking in ("word", "token") if masked else ("word",):
            name = f"{folder}, {masking}" if masked else folder
            columns[name] = of_model(config, folder, masking)
    print(f"{'':<32}{'pairs':>7}{'chance':>9}" + "".join(f"{name[-16:]:>18}" for name in columns))
    for group in sorted(counts, key=lambda group: (group == ALL, group)):
        shares = "".join(f"{column[group]:>18.3f}" for column in columns.values())
        print(f"{group:<32}{counts[group]:>7}{0.5:>9.3f}{shares}")
    print(f"standard error of all: {math.sqrt(0.25 / len(questions)):.3f} at most")
    if config.output:
        files.write_json(config.output, {"counts": counts, "right": columns})
    return columns


def of_model(config: Config, folder: str, masking: str) -> dict[str, float]:
    """Shares of right pairs of a model, by group."""
    with tempfile.TemporaryDirectory() as scratch:
        flags = {"model": folder, "input": config.pairs, "output": f"{scratch}/scores.jsonl"}
        flags |= {"groups": (GROUP,), "masking": masking, "debug": config.debug}
        report = score.main(program.make(score.Config, **flags))
    return {
        name.removeprefix(f"{GROUP}: "): values["accuracy"]
        for name, values in report.items()
        if name == ALL or name.startswith(GROUP)
    }


def of_ngrams(config: Config, questions: list[scored_texts.Question]) -> dict[str, float]:
    """The same of n-grams; of texts that are equally likely neither is right."""
    tokenizer = tokenizers.load(config.models[0])
    # A tokenizer of masked models has no begin of text: its first special token stands for it.
    begin = tokenizer.cls_id if tokenizer.bos_id is None else tokenizer.bos_id
    found = reading.read_documents(files.expand(config.train), config.documents)
    train = [ids_of(tokenizer, document.text) for document in found]
    ngrams = KneserNey(config.order, tokenizer.size, [ids for ids in train if len(ids)], begin)
    texts = [ids_of(tokenizer, text) for question in questions for text in question.texts]
    nats = np.log(ngrams.probabilities(texts))
    ends = np.cumsum([len(text) for text in texts])
    sums = [part.sum() for part in np.split(nats, ends[:-1])]
    rights = {ALL: []}
    for question, good, bad in zip(questions, sums[::2], sums[1::2], strict=True):
        for group in (ALL, question.groups[GROUP]):
            rights.setdefault(group, []).append(good > bad)
    return {group: float(np.mean(of_group)) for group, of_group in rights.items()}


def ids_of(tokenizer, text: str) -> np.ndarray:
    """Ids of a text, without an end."""
    return tokenizer.encode([text])[0].astype(np.int64)


if __name__ == "__main__":
    program.run(main, Config)
