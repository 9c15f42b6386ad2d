"""Curate a corpus: text, JSON lines, Parquet, HTML, WARC, MediaWiki dumps to clean documents.

    roots curate --input='novels/*.txt' --output=documents/ --documents=file
    roots curate --input=news.jsonl.gz,more/ --output=documents/ --text_field=body
    roots curate --input='crawl/*.warc.gz' --output=trial/ --recipe=web --sample=1000
    roots curate --input=zh='zh/*.txt',en=en/ --output=documents/ --mixture_alpha=0.3

A recipe is a list of steps with their parameters in one TOML file: `books` (the default: repair,
hard-wrapped lines joined, what is no prose out, exact duplicates out), `web` (everything, needs
`pip install 'roots-tf[curation]'`), or the path of your own, best a copy of one of these. Every
step keeps, changes or drops a document, and gives a reason. The output is a folder:

    documents-00000-of-00016.parquet   id, text (a paragraph a line), source, language, metadata
    report.html                        what each step did, to read: counts, histograms, samples
    report.json                        the same, for programs
    config.json                        the flags and the recipe
    _index/                            with --keep_index: what --against of a later run needs
    _dropped/                          with --keep_dropped: what was dropped, by which step and why

Named inputs give documents their names as `source`; with shares, as many bytes of each are kept as
the shares allow without taking a document twice (the step `mixture`, the last one).

The bytes of the shards follow from the set of the documents in the input, the recipe and the number
of shards; not from workers, nor from how the input is divided into files. The same command goes on
where a killed one stopped, and does nothing once it has finished. Memory: 250 MB a worker, or three
times the text of a shard where that is more; by default a shard is of at most 128 MB of input,
however large it is.

With --documents left out, that is with a paragraph a document, the English novels print:

                                documents        MB  seconds    MB/s
    read                          144,233      66.7      1.7    39.1
    extract                       144,233      66.7      0.5   126.3
    repair                        144,233      66.7      2.7    25.0
    join_lines                    144,233      66.6      5.8    11.6
    basic_quality                 144,233      66.6      4.7    14.2
      too_short                   -55,200      -2.8
      repeated_paragraphs              -1      -0.0
    exact_duplicates               89,032      63.8      2.0    32.2
      duplicate                        -3      -0.0
    documents out                  89,029      63.8
    13.0 s; 2.8 MB/s a process
"""

import dataclasses
import time
from pathlib import Path

from absl import logging

from roots_tf import program, stages, words
from roots_tf.corpus import curation, curation_tasks, earlier, reading, recipe, report_page
from roots_tf.storage import claims, encodings, files, ranges, schema, sources

# Seconds of work, so that a kill undoes little, yet a terabyte is no more than some thousand tasks.
TASK_BYTES = range(2 << 20, 64 << 20)
TASKS = 64  # as many as the sizes allow
SAMPLE_PLACES = 256
DEBUG_TASKS = 4


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `curate`."""

    input: tuple[str, ...] = program.flag(
        help="files, folders or globs of text, or their URLs; or named: zh=FOLDER,en=FOLDER",
        role="input",
        streams=True,
    )
    output: str = program.flag(help="folder of the document shards", role="output_folder")
    recipe: str = program.flag(
        "books", help="books, web, verbatim or the path of a TOML file of steps", role="input"
    )
    sample: int = program.flag(
        0,
        help="try the recipe on at most so many documents, evenly from the input; 0 is all",
        minimum=0,
        maximum=10**9,
    )
    keep_dropped: bool = program.flag(
        False, help="keep dropped documents, with step and reason, in the folder _dropped"
    )
    against: tuple[str, ...] = program.flag(
        (),
        help="outputs of earlier runs with --keep_index: duplicates of what they kept are dropped",
        role="input",
    )
    keep_index: bool = program.flag(
        False, help="keep in the folder _index what --against of a later run needs"
    )
    documents: reading.Layout = program.flag(
        "blank_lines", help="what a document is in plain text: parted by blank lines, file or line"
    )
    encoding: str = program.flag(
        "utf-8",
        help="of plain text and JSON lines without a byte order mark: GB18030, Big5, Latin-1, ...",
    )
    text_field: str = program.flag("text", help="field (column) of the text in JSON (Parquet)")
    source_field: str = program.flag("source", help="field of the source; else the file's name")
    max_document_chars: int = program.flag(
        reading.MAX_DOCUMENT_CHARS,
        help="cut longer documents; bounds the memory",
        minimum=1000,
        maximum=10**9,
    )
    num_shards: int = program.flag(
        0, help="files of the output; 0 follows from the input's size", minimum=0, maximum=99_999
    )
    mixing: sources.Mixing = program.group(sources.Mixing(), "mixture")
    mixture_bytes: int = program.flag(
        0,
        help="of named sources: most bytes of text in all; 0 is as many as the shares allow",
        group="mixture",
        minimum=0,
        maximum=10**15,
    )
    num_workers: int = program.flag(
        0, help="processes; 0 is one a processor", role="free", **program.WORKERS
    )
    scheduler: str = program.flag(
        "",
        help="of Dask: tcp://host:port, tls://host:port or a scheduler file; else this machine",
        role="free",
    )
    debug: bool = program.flag(False, help="read the first 8 MB only")


@dataclasses.dataclass(frozen=True)
class Counts:
    """Documents and bytes that a step drops for one reason."""

    documents: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class StepCounts:
    """What a report says of a step, as far as it is printed."""

    name: str
    documents_in: int
    bytes_in: int
    seconds: float
    dropped: dict[str, Counts]
    notes: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Report:
    """What of `report.json` is printed."""

    steps: tuple[StepCounts, ...]
    documents_out: int
    bytes_in: int
    bytes_out: int
    sample: int
    seconds: float
    task_seconds: dict[str, float]


@program.takes_urls
def main(config: Config) -> None:
    """Plans the tasks, runs them, and writes and prints the report."""
    start = time.monotonic()
    program.check(config)
    config = dataclasses.replace(config, encoding=encodings.python_name(config.encoding))
    output = Path(config.output).absolute()  # workers of a cluster stand in another folder
    named = sources.split(config.input)
    by_source = sources.expand(named or {"": config.input})
    paths = [path for listed in by_source.values() for path in listed]
    reading.check_encoding(paths, config.encoding)
    steps = recipe.load(config.recipe)
    steps += _mixture(config, list(named), steps)
    against = _against(config, steps)
    _refuse_other_folders(output)
    known = [files.sha256(Path(path, earlier.FOLDER, "index.json")) for path in against]
    claim = claims.of(config, recipe=[_content(step) for step in steps], against=known)
    if done := claim.finished(output):
        logging.info("%s has finished; nothing to do (see report.html)", output)
        print(table(done, f"{output}/report.json"))
        return
    with claim.held(output):
        claim.begin(output)
        print(table(_curate(config, output, by_source, steps, start), f"{output}/report.json"))


def _mixture(config: Config, names: list[str], others: list[recipe.Step]) -> list[recipe.Step]:
    """The step that follows from the flags; none where the input has no names."""
    config.mixing.check(names)
    if config.mixture_bytes and not names:
        raise files.InputError(
            "flags-conflict",
            "found --mixture_bytes without named sources; wanted it left out, or sources such as "
            "zh=FOLDER,en=FOLDER",
        )
    if not names:
        return []
    if any(step.name == "mixture" for step in others):
        raise files.InputError(
            "flags-conflict",
            f"found the step mixture in the recipe {config.recipe} and named sources; wanted one "
            "of them: the flags say the same",
        )
    alpha, weights = config.mixing.mixture_alpha, config.mixing.weights(names)
    parameters = {"alpha": 1.0 if alpha is None else alpha, "names": names, "weights": weights}
    return [recipe.Step("mixture", parameters | {"most_bytes": config.mixture_bytes})]


def _against(config: Config, steps: list[recipe.Step]) -> tuple[str, ...]:
    """Folders of earlier runs, which have been looked at; none where the flag is left out."""
    has_step = any(step.name == "exact_duplicates" for step in steps)
    if config.against and not has_step:
        raise files.InputError(
            "flags-conflict",
            f"found --against and no step exact_duplicates in the recipe {config.recipe}; wanted "
            "that step too: without it copies of earlier documents are no more dropped than others",
        )
    folders = tuple(str(Path(path).expanduser().absolute()) for path in config.against)
    for folder in folders:
        earlier.load(folder, steps)
    if twice := [folder for folder in set(folders) if folders.count(folder) > 1]:
        raise files.InputError(
            "flags-conflict", f"found {twice[0]} twice in --against; wanted each folder once"
        )
    return folders


def _content(step: recipe.Step) -> dict:
    """A step of the recipe, with the content of the files that it reads in place of their paths."""
    parameters = {
        name: claims.content(value) if name in ("evaluation_files", "model") else value
        for name, value in step.parameters.items()
    }
    return step._replace(parameters=parameters)._asdict()


def _curate(
    config: Config, output: Path, by_source: dict[str, list[str]], steps: list, start: float
) -> dict:
    """Runs the tasks, and writes and returns the report."""
    paths = [path for listed in by_source.values() for path in listed]
    size = sum(map(ranges.size, paths))
    task_bytes = min(max(size // TASKS, TASK_BYTES.start), TASK_BYTES.stop)
    if config.sample:  # from the midst of files too, which often begin with a title page
        task_bytes = max(size // SAMPLE_PLACES, 1 << 16)
    tasks = [
        [span._replace(source=name) for span in spans]
        for name, listed in by_source.items()
        for spans in reading.plan(listed, config.documents, task_bytes, config.encoding)
    ]
    plan = curation.CurationPlan(
        tasks[:DEBUG_TASKS] if config.debug else tasks,
        curation_tasks.Reading(
            config.documents,
            config.text_field,
            config.source_field,
            config.max_document_chars,
            config.encoding,
        ),
        steps,
        config.num_shards or curation.shards_for(paths),
        config.sample,
        config.keep_dropped,
        _against(config, steps),
        config.keep_index,
    )
    with stages.executor(config.num_workers, config.scheduler, output) as executor:
        report = curation.curate(plan, output, executor, program.progress)
    seconds = round(time.monotonic() - start, 1)
    signature = curation.signature([*paths, *recipe.files_read(steps)])
    inputs = {"files": len(paths), "signature": signature}
    segmenters = {
        language: words.segmenter(language) for language in report["languages"] if language
    }
    for remark in filter(None, map(words.remark, segmenters)):
        logging.warning("%s", remark)
    report = {
        **{"inputs": inputs, "recipe": config.recipe, **report, "segmenters": segmenters},
        "seconds": seconds,
    }
    files.write_text(output / "report.html", report_page.render(report))
    files.write_json(output / "report.json", report)
    curation.forget_work(output)
    return report


def _refuse_other_folders(output: Path) -> None:
    """Refuses to write among files that are not a run of this program."""
    names = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if "config.json" not in names and names - {claims.LOCK}:
        raise files.InputError(
            "folder-taken",
            f"found files in {output}, but no config.json of curate; wanted a new folder: choose "
            "another --output",
        )


def table(report: dict, source: str) -> str:
    """The counts of a report as lines for people.

    Args:
        report: as `report.json` has it.
        source: path of that file, for messages.

    Raises:
        InputError: it is no report.
    """
    schema.check(report, Report, source, others_may_stand=True)
    lines = [f"{'':<26}{'documents':>11}{'MB':>10}{'seconds':>9}{'MB/s':>8}"]
    for step in report["steps"]:
        size, seconds = step["bytes_in"] / 1e6, step["seconds"]
        speed = f"{size / seconds:>8.1f}" if seconds >= 0.01 else ""
        lines.append(
            f"{step['name']:<26}{step['documents_in']:>11,}{size:>10.1f}{seconds:>9.1f}{speed}"
        )
        for reason, dropped in step["dropped"].items():
            lines.append(
                f"  {reason:<24}{-dropped['documents']:>11,}{-dropped['bytes'] / 1e6:>10.1f}"
            )
        lines += [f"  {note:<24}{times:>11,}" for note, times in step["notes"].items()]
    for part in report.get("mixture", {}).get("sources", []):
        lines.append(
            f"  {part['source']:<24}{part['kept']:>11,}{part['kept_bytes'] / 1e6:>10.1f}"
            f"   of {part['bytes'] / 1e6:.1f} MB; wanted {100 * part['share']:.2f} % of the mixture"
        )
    size = report["bytes_out"] / 1e6
    lines.append(f"{'documents out':<26}{report['documents_out']:>11,}{size:>10.1f}")
    work = sum(report["task_seconds"].values())
    speed = report["bytes_in"] / 1e6 / max(work, 1e-3)
    sample = f"a sample of {report['sample']} documents; " if report["sample"] else ""
    lines.append(f"{sample}{report['seconds']} s; {speed:.1f} MB/s a process")
    return "\n".join(lines)


if __name__ == "__main__":
    program.run(main, Config)
