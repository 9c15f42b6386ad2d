"""Speed of `roots curate`, each step and the whole, beside datatrove's same steps.

    python -m benchmarks.curate --novels='../shared/data/novels_en/*.txt' \
        --datatrove=/path/to/python

There are two inputs, in JSON lines, a file a process:

    novels   cut into documents of about 2,000 characters at the ends of paragraphs
    html     the same, each in a page with menus, links, a footer, styles and scripts

One document in twenty is there again, and one in twenty with a word in a hundred left out.
`--datatrove` names a Python, 3.11 or later, that has `datatrove`, `orjson`, `pyarrow`, `spacy`,
`tokenizers` and `trafilatura`; ours needs `pip install 'roots-tf[curation]'`.
Both libraries run FineWeb's steps, with the parameters of FineWeb's pipeline:

    extract             resiliparse           Trafilatura
    language            the step `language`   left out: its model has to be downloaded
    gopher_repetition   repetition            GopherRepetitionFilter
    gopher_quality      length, symbols, stop_words    GopherQualityFilter
    c4                  sentence_lines        C4QualityFilter; lines without a full stop stay
    fineweb_quality     lines                 FineWebQualityFilter
    personal_data       six kinds             PIIFormatter: e-mail and IP addresses
    duplicates          exact, then MinHash, 14 bands of 8 rows of 5-grams; ours are verified
    write               Parquet with zstd, before and after the duplicates

What they keep differs most after `gopher_quality`: datatrove's words are spaCy's, where each comma
is one, so that dialogue falls below the share of words with a letter; ours are parted by spaces.
`tasks` and `whole` of ours include the language.

The libraries take turns, `--rounds` of them; shown are medians. The speed of a step is the text
that comes into it, pages before `extract`, by the seconds of all processes together: MB/s of one
process; `kept` are the documents that leave it. `tasks` is the input by the seconds of all steps,
and `whole` by the time from the start to the end of the command, of `--processes`, the start of
Python included; `spread` is of these times, the largest less the smallest over the median.
`CPU` is processor seconds a megabyte, `RSS` the largest process. Allow half an hour.
"""

import dataclasses
import html
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.build_examples import RUN
from roots_tf import program
from roots_tf.storage import files

DOCUMENT_CHARS = 2000
ONE_IN = 20  # documents that are there again
DEBUG_MEGABYTES = 0.3

# Where both libraries have a parameter, it is datatrove's default; where only we have it, ours.
RECIPE = """
[[steps]]
name = "language"

[[steps]]
name = "repetition"

[[steps]]
name = "length"
max_words = 100_000

[[steps]]
name = "symbols"

[[steps]]
name = "stop_words"

[[steps]]
name = "sentence_lines"
terminal_marks = false
min_sentences = 5
min_line_words = 3

[[steps]]
name = "lines"
max_duplicate_line_chars = 0.01

[[steps]]
name = "personal_data"

[[steps]]
name = "exact_duplicates"

[[steps]]
name = "near_duplicates"
ngram = 5
bands = 14
rows = 8
"""
EXTRACT = '[[steps]]\nname = "extract"\nmain_content = true\n'

# Rows of the table, and our steps that each puts together.
STEPS = {
    "read": ["read"],
    "extract": ["extract"],
    "language": ["language"],
    "gopher_repetition": ["repetition"],
    "gopher_quality": ["length", "symbols", "stop_words"],
    "c4": ["sentence_lines"],
    "fineweb_quality": ["lines"],
    "personal_data": ["personal_data"],
    "duplicates": ["exact_duplicates", "near_duplicates"],
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    novels: tuple[str, ...] = program.flag(help="text files, a paragraph a line")
    datatrove: str = program.flag("", help="Python with datatrove; none if empty")
    inputs: tuple[str, ...] = program.flag(("novels", "html"), help="of novels, html")
    megabytes: float = program.flag(16.0, help="text of the novels that is curated")
    processes: int = program.flag(2, help="of each library")
    rounds: int = program.flag(3, help="runs of each library on each input")
    output: str = program.flag("", help="JSON file for the results; none if empty")
    debug: bool = program.flag(False, help=f"{DEBUG_MEGABYTES} MB, one round")


def main(config: Config) -> list[dict]:
    """Lets the libraries take turns on each input and prints its table."""
    if unknown := set(config.inputs) - {"novels", "html"}:
        raise files.InputError(
            "no-such-choice", f"found {sorted(unknown)} in --inputs; wanted novels, html or both"
        )
    if config.debug:
        config = dataclasses.replace(config, megabytes=DEBUG_MEGABYTES, rounds=1)
    texts = make_texts(config)
    found = []
    for name in config.inputs:
        with tempfile.TemporaryDirectory() as scratch:
            size = write_input(name, texts, config.processes, Path(scratch, "input"))
            print(
                f"{name}: {len(texts):,} documents, {size / 1e6:.1f} MB; "
                f"{config.processes} processes, {config.rounds} rounds"
            )
            rows = measure(config, name, size, Path(scratch))
        print_table(rows)
        found += rows
    if config.output:
        files.write_json(config.output, found)
    return found


def make_texts(config: Config) -> list[str]:
    """Documents of the size wanted, with the copies, in random order.

    Raises:
        InputError: the novels have less text.
    """
    texts, size = [], 0
    for text in passages(files.expand(config.novels)):
        if size > config.megabytes * 1e6:
            break
        texts.append(text)
        size += len(text.encode())
    else:
        raise files.InputError(
            "empty-input",
            f"found {size / 1e6:.1f} MB in {len(texts)} documents of the novels; wanted "
            f"{config.megabytes}: give more files or lower --megabytes",
        )
    draw = random.Random(0)
    same, near = (draw.sample(texts, len(texts) // ONE_IN) for _ in range(2))
    texts += same
    for text in near:
        lines = [
            " ".join(word for word in line.split() if draw.random() >= 0.01)
            for line in text.split("\n")
        ]
        texts.append("\n".join(lines))
    draw.shuffle(texts)
    return texts


def passages(paths: list[str]) -> Iterator[str]:
    """Paragraphs of novels, together as long as a document."""
    for path in paths:
        held, size = [], 0
        for line in Path(path).read_text("utf-8-sig").splitlines():
            held.append(line)
            size += len(line)
            if size >= DOCUMENT_CHARS:
                yield "\n".join(held)
                held, size = [], 0


def write_input(name: str, texts: list[str], processes: int, folder: Path) -> int:
    """Writes the files that both libraries read, as many as processes; tells the bytes of text."""
    folder.mkdir()
    draw, size = random.Random(0), 0
    headlines = [" ".join(text.split()[:7]) for text in texts]
    for part in range(processes):
        with Path(folder, f"{part:05d}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(part, len(texts), processes):
                record = {"text": texts[number], "source": f"{name}/{number}", "language": "en"}
                if name == "html":
                    related = draw.sample(headlines, min(12, len(headlines)))
                    layout = PAGES[number % len(PAGES)]
                    record["text"] = layout(headlines[number], texts[number].split("\n"), related)
                    record["markup"] = "html"
                size += len(record["text"].encode())
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return size


TOPICS = ["Politics", "Business", "Science", "Health", "Travel", "Books", "Music", "Film", "Sport"]
MENU = ["Home", "News", *TOPICS, "Weather", "Archive", "About us", "Contact", "Jobs", "Log in"]
FOOTER = (
    "Copyright Example Media Ltd. All rights reserved. Reproduction in whole or in part without "
    "permission is prohibited. Terms of use. Privacy policy. Cookie settings."
)
STYLE = "".join(
    f".c{number} > li {{ margin: {number}px; color: #{number:06x} }}\n" for number in range(40)
)
SCRIPT = "".join(
    f"window.q.push(['{item}', {number}, '<p>' + (1 < {number}) + '</p>']);\n"
    for number, item in enumerate(MENU)
)


def article(title: str, paragraphs: list[str], related: list[str]) -> str:
    """A page whose elements say what they are."""
    return page(
        title,
        f"<header><nav><ul>{links(MENU, 'li')}</ul></nav></header>"
        f"<main><article><h1>{html.escape(title)}</h1>{elements(paragraphs)}</article></main>"
        f"<aside><h2>Read next</h2><ul>{links(related, 'li')}</ul></aside>"
        f"<footer><p>{FOOTER}</p></footer>",
    )


def boxes(title: str, paragraphs: list[str], related: list[str]) -> str:
    """A page of boxes with class names."""
    return page(
        title,
        f'<div id="header"><div class="menu">{links(MENU, "div")}</div></div>'
        f'<div class="sidebar"><h3>Related posts</h3>{links(related, "div")}</div>'
        f'<div id="content"><div class="post"><h1 class="entry-title">{html.escape(title)}</h1>'
        f'<div class="entry-content">{elements(paragraphs)}</div></div></div>'
        f'<div id="footer" class="footer">{FOOTER}</div>',
    )


PAGES = (article, boxes)


def page(title: str, body: str) -> str:
    """A page with its styles and scripts."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)} - Example</title><style>{STYLE}</style>"
        f"<script>{SCRIPT}</script></head><body>{body}<script>{SCRIPT}</script></body></html>"
    )


def elements(paragraphs: list[str]) -> str:
    """Paragraphs in HTML."""
    return "\n".join(f"<p>{html.escape(text, quote=False)}</p>" for text in paragraphs)


def links(labels: list[str], tag: str) -> str:
    """Links in HTML, each in an element."""
    return "".join(
        f'<{tag} class="item"><a href="/p?a={number}&amp;b=1">{html.escape(label)}</a></{tag}>\n'
        for number, label in enumerate(labels)
    )


def measure(config: Config, name: str, size: int, scratch: Path) -> list[dict]:
    """Rows of the table of an input."""
    Path(scratch, "recipe.toml").write_text(EXTRACT * (name == "html") + RECIPE)
    runs = {"roots": []} | ({"datatrove": []} if config.datatrove else {})
    for number in range(config.rounds):
        for library, done in runs.items():
            work = scratch / f"{library}-{number}"
            if library == "roots":
                command = [sys.executable, "-m", "pipelines.curate", f"--output={work}"]
                command += [f"--input={scratch}/input/*.jsonl", f"--recipe={scratch}/recipe.toml"]
                used = run([*command, f"--num_workers={config.processes}"], scratch)
                used["steps"] = our_steps(files.read_json(work / "report.json"))
            else:
                script = str(Path(__file__).with_name("curate_datatrove.py"))
                spec = {"input": f"{scratch}/input", "html": name == "html", "work": str(work)}
                spec["processes"] = config.processes
                # -P, or `tokenizers` would be the file beside the script.
                used = run([config.datatrove, "-P", script, json.dumps(spec)], scratch)
                used["steps"] = files.read_json(work / "found.json")
            done.append(used)
    return [row for library, done in runs.items() for row in summarise(name, library, size, done)]


def run(command: list[str], scratch: Path) -> dict:
    """Runs a command and tells its seconds, those of the processor, and its largest process.

    Raises:
        InputError: it failed.
    """
    began = time.monotonic()
    with Path(scratch, "said.txt").open("w+") as said:
        timed = [sys.executable, "-c", RUN, *command]
        done = subprocess.run(timed, stdout=subprocess.PIPE, stderr=said, text=True)
        seconds = time.monotonic() - began
        said.seek(0)
        lines = said.read().strip().splitlines() or ["nothing"]
    status, cpu_seconds, peak = json.loads(done.stdout or "[1, 0, 0]")  # nothing: no such Python
    if status:
        raise files.InputError(
            "step-failed", f"{command[:3]} ended with {status} and said: {lines[-1][:200]}"
        )
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_megabytes": peak}


def our_steps(report: dict) -> dict[str, dict]:
    """What `curate_datatrove` tells of a run, from the report of ours."""
    steps = {step["name"]: step for step in report["steps"]}
    found = {}
    for name, parts in STEPS.items():
        if parts[0] in steps:
            found[name] = {
                "seconds": sum(steps[part]["seconds"] for part in parts),
                "bytes": steps[parts[0]]["bytes_in"],
                "documents": steps[parts[-1]]["documents_out"],
            }
    tasks = sum(report["task_seconds"].values())
    found["write"] = {
        "seconds": tasks - sum(step["seconds"] for step in found.values()),
        "bytes": steps["exact_duplicates"]["bytes_in"],
        "documents": report["documents_out"],
    }
    return found


def summarise(name: str, library: str, size: int, runs: list[dict]) -> list[dict]:
    """Medians over the runs of a library on an input: a row for each step, the tasks, the whole."""
    rows = []
    for step, last in runs[-1]["steps"].items():
        turns = [used["steps"][step]["seconds"] for used in runs]
        rows.append({"step": step, **last, "turns": turns})
    tasks = [sum(step["seconds"] for step in used["steps"].values()) for used in runs]
    kept = {"bytes": size, "documents": rows[-1]["documents"]}
    rows.append({"step": "tasks", **kept, "turns": tasks})
    rows.append({"step": "whole", **kept, "turns": [used["seconds"] for used in runs]})
    for row in rows:
        row["seconds"] = statistics.median(row["turns"])
        row["spread"] = (max(row["turns"]) - min(row["turns"])) / max(row["seconds"], 1e-9)
    for kind in ("cpu_seconds", "peak_megabytes"):
        rows[-1][kind] = statistics.median(used[kind] for used in runs)
    return [{"input": name, "library": library, **row} for row in rows]


def print_table(rows: list[dict]) -> None:
    """A line for each step: MB/s and documents kept of each library, and their ratio."""
    libraries = list(dict.fromkeys(row["library"] for row in rows))
    print(f"{'':<18}" + "".join(f"{name:>12} MB/s{'kept':>9}" for name in libraries) + "   times")
    for step in dict.fromkeys(row["step"] for row in rows):
        line, speeds = f"{step:<18}", []
        for library in libraries:
            row = next((r for r in rows if (r["library"], r["step"]) == (library, step)), None)
            if row is None:
                line += f"{'-':>17}{'-':>9}"
                continue
            speeds.append(row["bytes"] / 1e6 / max(row["seconds"], 1e-9))
            line += f"{speeds[-1]:>17.2f}{row['documents']:>9,}"
        print(line + (f"{speeds[0] / speeds[1]:>8.1f}" if len(speeds) == 2 else ""))
    for row in rows:
        if row["step"] == "whole":
            print(
                f"{row['library']}: {row['seconds']:.1f} s, spread {100 * row['spread']:.0f}%, "
                f"CPU {row['cpu_seconds'] / row['bytes'] * 1e6:.2f} s/MB, "
                f"RSS {row['peak_megabytes']:,.0f} MB"
            )


if __name__ == "__main__":
    program.run(main, Config)
