"""Train a vocabulary (WordPiece, byte-level BPE, Unigram, characters) on documents or raw text.

    roots train-tokenizer --input=documents/ --output=vocabulary/ --vocab_size=30522
    roots train-tokenizer --input='udhr/*.txt' --output=vocabulary/ --model=unigram --nolowercase
    roots train-tokenizer --input=zh=zh/,en=en/ --mixture_alpha=0.3 --output=vocabulary/

Reads what the other programs read: Parquet shards of `curate`, text, JSON lines, compressed or not.
Words are counted by one process a processor, or with `--scheduler=tcp://...` by the workers of a
Dask cluster that see the same files (see `stages.executor`); then one process learns from the
counts. A killed run counts on from what was counted. Memory holds the number of times each word
occurs, not the corpus: 65 MB of novels take 16 s on two cores and 220 MB a process.
Of named sources the counts are scaled to the shares of a mixture, by bytes; no text is copied.
Writes `tokenizer.json`, which Hugging Face `tokenizers` and `transformers` load, `vocab.txt`
(WordPiece), `report.json` and `config.json`, and prints the report, of the novels:

    source                                words      [UNK] %    covered %  tokens/word  bytes/token
    (all)                             3,195,041          0.0        100.0        1.252        4.312
    Morris_Wood_1894.txt                 39,835          0.0        100.0        1.203        4.174
"""

import dataclasses
import itertools
import resource
import shutil
import time
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import program, stages, words
from roots_tf.corpus import reading
from roots_tf.storage import claims, files, ranges, sources
from roots_tf.tokenizers import alphabet, counting, marks, mixing, report, training

# As in `curate`: seconds of work each, as many as the sizes allow.
TASK_BYTES = range(2 << 20, 64 << 20)
TASKS = 64
WORK = ".work"  # folder of the counts of the parts
SAMPLED_TASKS = 64  # the texts for the report come from the first 4 GB of the input at most


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `train-tokenizer`."""

    input: tuple[str, ...] = program.flag(
        help="files, folders or globs of documents or raw text, or their URLs; or named: "
        "zh=FOLDER,en=FOLDER",
        role="input",
        streams=True,
    )
    output: str = program.flag(help="folder of the vocabulary", role="output_folder")
    model: Literal["wordpiece", "bpe", "unigram", "character"] = program.flag(
        "wordpiece", help="kind of the vocabulary"
    )
    vocab_size: int = program.flag(
        30_522, help="number of ids, at most", minimum=6, maximum=1 << 24
    )
    multiple_of: int = program.flag(
        1, help="round the number of ids up to a multiple of this", minimum=1, maximum=65_536
    )
    lowercase: bool = program.flag(True, help="lower-case the text")
    strip_accents: Literal["auto", "true", "false"] = program.flag(
        "auto",
        help="take marks off letters; auto: of lower-cased text, as BERT does, where they are "
        "accents (Latin, Greek) and no letters (Thai vowels, kana, й)",
    )
    min_frequency: int = program.flag(
        2, help="occurrences that a merged pair needs", minimum=1, maximum=10**9
    )
    character_coverage: float = program.flag(
        alphabet.COVERAGE,
        help="share of the text that is made up, at least, by the characters that WordPiece, "
        "Unigram and characters keep; the others become [UNK]",
        above=0,
        maximum=1,
    )
    limit_alphabet: int = program.flag(
        alphabet.ALL,
        help="characters, at most, that they keep, whatever share that is",
        minimum=1,
        maximum=alphabet.ALL,
    )
    layout: Literal["blank_lines", "file", "line"] = program.flag(
        "line", help="what one document is in plain text files"
    )
    encoding: str = program.flag(
        "utf-8",
        help="of plain text and JSON lines without a byte order mark: GB18030, Big5, Latin-1, ...",
    )
    num_workers: int = program.flag(
        0, help="processes that count; 0: one a processor", role="free", **program.WORKERS
    )
    scheduler: str = program.flag(
        "",
        help="Dask scheduler of a cluster, tcp://, tls:// or its file; empty: this machine",
        role="free",
    )
    mixing: sources.Mixing = program.group(sources.Mixing(), "mixture")
    debug: bool = program.flag(False, help="read 1,000 documents only, in this process")


@program.takes_urls
def main(config: Config) -> None:
    """Counts the words, learns from them, then measures the vocabulary on a sample."""
    output = Path(config.output).absolute()  # workers of a cluster have another working folder
    named = sources.split(config.input)
    config.mixing.check(list(named))
    paths = sources.expand(named or {"": config.input})
    claim = claims.of(config)
    with claim.held(output):
        claim.begin(output, replaces=True)
        _train(config, paths, output)


def _train(config: Config, paths: dict[str, list[str]], output: Path) -> None:
    """Trains and measures the vocabulary, and prints what was measured."""
    start = time.monotonic()
    settings = {
        "model": config.model,
        "lowercase": config.lowercase,
        "strip_accents": {"auto": None, "true": True, "false": False}[config.strip_accents],
    }
    counted, sample, mixture = _count(config, paths, settings, output)
    strips = training.is_stripped(
        counted, lowercase=config.lowercase, strip_accents=settings["strip_accents"]
    )
    tokenizer = training.train(
        counted,
        output,
        **settings | {"strip_accents": strips},
        vocab_size=config.vocab_size,
        multiple_of=config.multiple_of,
        min_frequency=config.min_frequency,
        character_coverage=config.character_coverage,
        limit_alphabet=config.limit_alphabet,
    )
    languages = sorted(counted.characters.keys() - {"", counting.LONG})
    peaks = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    measured = {
        "model": config.model,
        "vocab_size": tokenizer.size,
        "strip_accents": strips,
        "words_cut_by": {language: words.segmenter(language) for language in languages},
        "fingerprint": tokenizer.fingerprint,
        "seconds": round(time.monotonic() - start, 1),
        "peak_memory_mb": max(peaks) // 1024,  # of the largest process on this machine
        **report.measure(tokenizer, sample),
    }
    if len(mixture) > 1:
        measured["mixture"] = mixture
    in_long = counted.characters[counting.LONG]
    spelled = report.spelling(
        tokenizer, counted.of(strips), in_long, coverage=config.character_coverage
    )
    remarks = [marks.describe(counted.letters, strips), *map(words.remark, languages)]
    remarks += report.remarks(measured, spelled, config.vocab_size)
    measured["remarks"] = list(filter(None, remarks))
    files.write_json(output / "report.json", measured)
    shutil.rmtree(output / WORK)
    print(report.table(measured))
    for name, part in measured.get("mixture", {}).items():
        size, share = part["bytes"] / 1e6, 100 * part["share"]
        logging.info("%s: %.1f MB, %.2f %% of the mixture", name, size, share)
    for remark in measured["remarks"]:
        logging.warning("%s", remark)
    logging.info(
        "%s: %d ids in %.1f s, %d MB of memory at most",
        output,
        measured["vocab_size"],
        measured["seconds"],
        measured["peak_memory_mb"],
    )


def _count(
    config: Config, paths: dict[str, list[str]], settings: dict, output: Path
) -> tuple[counting.Counted, report.SourceTexts, dict[str, dict]]:
    """Counts of the words of all documents, texts of them for the report, and of each source its
    bytes, its share of the mixture, and the factor of its counts.
    """
    states = [ranges.state(path) for listed in paths.values() for path in listed]
    # The names stand for what is in the counts: a run of an older version counts anew, and so does
    # one with other segmenters.
    cut_by = [words.segmenter(language) for language in ("zh", "ja", "th", "und")]
    inputs = files.fingerprint(["pieces", *cut_by, *states])
    share = sum(size for size, _ in states) // TASKS
    task_bytes = min(max(share, TASK_BYTES.start), TASK_BYTES.stop)
    plans = {
        name: reading.plan(listed, config.layout, task_bytes, config.encoding)
        for name, listed in paths.items()
    }
    plan = [
        (name, spans)
        for name, tasks in plans.items()
        for spans in (tasks[:1] if config.debug else tasks)
    ]
    limit = 1000 if config.debug else None
    tasks = [
        (
            [list(span) for span in spans],
            [config.layout, config.encoding],
            settings,
            limit,
            inputs,
            str(output / WORK),
            i,
        )
        for i, (_, spans) in enumerate(plan)
    ]
    where = (1, "") if config.debug else (config.num_workers, config.scheduler)
    with stages.executor(*where, output) as executor:
        counted = stages.run_stage(
            count_part, tasks, output / WORK, executor, program.progress("count")
        )
    logging.info(
        "read %d documents, %.1f M characters; learning",
        sum(part["documents"] for part in counted),
        sum(part["characters"] for part in counted) / 1e6,
    )
    by_source, sample = {name: counting.Counted() for name in paths}, report.SourceTexts()
    sizes = dict.fromkeys(paths, 0)
    for (name, _), part in zip(plan, counted, strict=True):
        by_source[name].update(counting.load(part["words"]))
        sample.merge(stages.read_result(part["sample"]))
        sizes[name] += part["bytes"]
    if len(paths) == 1:
        return by_source.popitem()[1], sample, {}
    shares = config.mixing.shares(sizes)
    factors = {name: shares[name] * sum(sizes.values()) / size for name, size in sizes.items()}
    mixture = {
        name: {"bytes": sizes[name], "share": shares[name], "factor": factors[name]}
        for name in paths
    }
    return mixing.mixed(by_source, factors), sample, mixture


def count_part(
    spans: list[list],
    how: list[str],
    settings: dict,
    limit: int | None,
    inputs: str,
    work: str,
    index: int,
) -> dict:
    """Counts the words of some spans of the input; a stage's task.

    Args:
        spans: `reading.Span`s.
        how: what one document is in plain text, and the encoding of that.
        settings: of `training.count`.
        limit: documents at most; None: all.
        inputs: stands for the sizes and times of the files; other files make it another task.
        work: folder of what it writes.
        index: number of the task.

    Returns:
        `documents`, `characters` and `bytes` (UTF-8) that were read, paths of the `words` and of
        the `sample`.
    """
    del inputs
    sample = report.SourceTexts() if index < SAMPLED_TASKS else report.SourceTexts(0, 0)
    counts = {"documents": 0, "characters": 0, "bytes": 0}

    def texts():
        documents = (
            document
            for span in spans
            for document in reading.read_span(reading.Span(*span), how[0], encoding=how[1])
        )
        for document in itertools.islice(documents, limit):
            counts["documents"] += 1
            counts["characters"] += len(document.text)
            counts["bytes"] += len(document.text.encode("utf-8", "surrogatepass"))
            sample.add(document.text, document.source)
            yield document.text

    paths = {name: str(Path(work, f"{name}-{index:06d}")) for name in ("words", "sample")}
    counting.save(training.count(texts(), **settings), paths["words"])
    stages.write_result(paths["sample"], sample.texts)
    return {**counts, **paths}


if __name__ == "__main__":
    program.run(main, Config)
