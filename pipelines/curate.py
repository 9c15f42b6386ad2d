"""Clean text, JSON lines or Parquet into exactly de-duplicated document shards.

    roots curate --input='novels/*.txt' --output=documents/ --documents=file
    roots curate --input=news.jsonl.gz,more/ --output=documents/ --text_field=body

Plain text is cut into documents at blank lines, by file or by line (`--documents`). A document is
repaired (encoding marks, line ends, Unicode NFC, control and invisible characters), hard-wrapped
lines are joined into paragraphs, and it is kept or dropped with a reason; of equal documents the
first is kept. The output is a folder:

    documents-00000-of-00016.parquet   columns id, text (a paragraph a line), source
    report.json                        documents and bytes in and out, dropped by reason, samples
    config.json                        the flags

The bytes of the shards follow from the input and the flags, whatever the number of workers. The
same command goes on where a killed one stopped, and does nothing once it has finished. Memory: at
most 250 MB a worker, whatever the size of the input, and 100 bytes a document of one shard.

Two busy cores read 67 MB of novels in 8 s, 14 MB of docstrings in 2 s. With `--documents` left out,
that is with a paragraph a document, the novels print:

    documents in                144,233      66.7 MB
      too_short                  55,200       2.8 MB
      duplicate                       3       0.0 MB
      repeated_paragraphs             1       0.0 MB
    documents out                89,029      63.8 MB
    8.3 s; 4.4 MB/s a process
"""

import dataclasses
import sys
import time
from pathlib import Path

from absl import logging

from roots_tf import files, program
from roots_tf.corpus import cleaning, curation, reading

# Seconds of work, so that a kill undoes little, yet a terabyte is no more than some thousand tasks.
TASK_BYTES = range(2 << 20, 64 << 20)
TASKS = 64  # as many as the sizes allow; what is cut where decides the output, workers do not
DEBUG_TASKS = 4


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `curate`."""

    input: tuple[str, ...] = program.flag(help="files, folders or globs of text")
    output: str = program.flag(help="folder of the document shards")
    documents: reading.Layout = program.flag(
        "blank_lines", help="what a document is in plain text: parted by blank lines, file or line"
    )
    text_field: str = program.flag("text", help="field (column) of the text in JSON (Parquet)")
    source_field: str = program.flag("source", help="field of the source; else the file's name")
    join_lines: bool = program.flag(True, help="join hard-wrapped lines into paragraphs")
    min_chars: int = program.flag(
        cleaning.Rules().min_chars, help="drop documents of fewer characters"
    )
    max_document_chars: int = program.flag(
        reading.MAX_DOCUMENT_CHARS, help="cut longer documents; bounds the memory"
    )
    num_shards: int = program.flag(16, help="files of the output")
    num_workers: int = program.flag(0, help="processes; 0 is one a processor")
    debug: bool = program.flag(False, help="read the first 8 MB only")


def main(config: Config) -> None:
    """Plans the tasks, runs them, and writes and prints the report."""
    start = time.monotonic()
    output = Path(config.output)
    paths = files.expand(config.input)
    if config.num_shards < 1 or config.max_document_chars < 1000:
        raise files.InputError("wanted --num_shards of 1, --max_document_chars of 1000 or more")
    _refuse_other_folders(output)
    # The workers change nothing in the output, so a run may go on with another number of them.
    identity = {k: v for k, v in dataclasses.asdict(config).items() if k != "num_workers"}
    inputs = {"files": len(paths), "signature": curation.signature(paths)}
    done = files.claim(output, identity)
    _refuse_other_input(output, inputs)
    if done:
        logging.info("%s has finished; nothing to do (see report.json)", output)
        print(_table(done))
        return
    size = sum(Path(path).stat().st_size for path in paths)
    task_bytes = min(max(size // TASKS, TASK_BYTES.start), TASK_BYTES.stop)
    tasks = reading.plan(paths, config.documents, task_bytes)
    plan = curation.Plan(
        tasks[:DEBUG_TASKS] if config.debug else tasks,
        curation.Reading(
            config.documents, config.text_field, config.source_field, config.max_document_chars
        ),
        cleaning.Rules(join_lines=config.join_lines, min_chars=config.min_chars),
        config.num_shards,
    )
    with files.local_executor(config.num_workers) as executor:
        report = curation.curate(plan, output, executor, _progress)
    report = {"inputs": inputs, **report, "seconds": round(time.monotonic() - start, 1)}
    files.write_json(output / "report.json", report)
    curation.forget_work(output)
    print(_table(report))


def _refuse_other_folders(output: Path) -> None:
    """Refuses to write among files that are not a run of this program."""
    if not (output / "config.json").exists() and output.is_dir() and any(output.iterdir()):
        raise files.InputError(
            f"{output} holds files, but no config.json of curate; choose a new folder as --output"
        )


def _refuse_other_input(output: Path, inputs: dict) -> None:
    """Refuses to go on, or to call a run finished, when the input files have changed."""
    path = output / "inputs.json"
    if not path.exists():
        files.write_json(path, inputs)
    elif files.read_json(path) != inputs:
        raise files.InputError(
            f"the input files have changed since {output} was begun; choose another --output, or "
            "remove that folder to begin again"
        )


def _progress(stage: str):
    """Reports finished tasks: on one line of a terminal, else a line every ten seconds."""
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{stage}: {done}/{total} tasks", end=end, file=sys.stderr, flush=True)
        elif time.monotonic() - last >= 10:
            last = time.monotonic()
            logging.info("%s: %d/%d tasks", stage, done, total)

    return report


def _table(report: dict) -> str:
    """The counts of a report as lines for people."""
    rows = [("documents in", report["documents_in"], report["bytes_in"])]
    for reason, dropped in report["dropped"].items():
        rows.append((f"  {reason}", dropped["documents"], dropped["bytes"]))
    rows.append(("documents out", report["documents_out"], report["bytes_out"]))
    lines = [f"{name:<24}{documents:>11,}{size / 1e6:>10.1f} MB" for name, documents, size in rows]
    lines += [f"{note:<24}{times:>11,}" for note, times in report["notes"].items()]
    work = sum(report["task_seconds"].values())
    speed = report["bytes_in"] / 1e6 / max(work, 1e-3)
    lines.append(f"{report['seconds']} s; {speed:.1f} MB/s a process")
    return "\n".join(lines)


if __name__ == "__main__":
    program.run(main, Config)
