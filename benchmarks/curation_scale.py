"""What a curation reads, writes, opens and holds, by the size of the corpus; and 100 TB by counts.

    python -m benchmarks.curation_scale /data/novels_en --megabytes=100,300 --folder=/tmp/scale
    python -m benchmarks.curation_scale --terabytes=0.001,0.1,1,10,100

The first line makes corpora of sentences of the texts, recombined by a seed so that most documents
are new: one in ten is a copy of an earlier one, one in ten a copy with a sentence more. It curates
each with two processes and prints bytes read and written by calls a byte of input (`/proc/self/io`;
what is read by memory map is not in it), seconds of processor, the peak of one process. The second
line counts tasks, blocks and opens of a corpus of plain text, without running anything.
"""

import argparse
import json
import random
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from roots_tf.corpus import exchange
from roots_tf.corpus.curation import SHARD_BYTES
from roots_tf.corpus.near_duplicates import ROWS_IN_MEMORY

TASK_BYTES = 64 << 20
DOCUMENT_BYTES = 2_200  # of text, as web pages have
BANDS = 40
RECIPE = "".join(
    f'[[steps]]\nname = "{name}"\n'
    for name in (
        *("repair", "basic_quality", "exact_duplicates", "near_duplicates"),
        "repeated_paragraphs",
    )
)


def write_corpus(texts: Path, folder: Path, megabytes: int) -> int:
    """Writes JSON lines of recombined sentences; their number of documents."""
    chance, sentences, documents = random.Random(megabytes), [], 0
    for path in sorted(texts.glob("*.txt")):
        text = " ".join(path.read_text("utf-8-sig").split())
        sentences += [s for s in re.split(r"(?<=[.!?]) ", text) if 20 < len(s) < 400]
    folder.mkdir(parents=True)
    made: list[str] = []
    for number in range(max(megabytes // 10, 1)):
        with (folder / f"{number:05d}.jsonl").open("w", encoding="utf-8") as file:
            size = 0
            while size < megabytes * 1e6 / max(megabytes // 10, 1):
                kind = chance.random()
                if made and kind < 0.2:
                    text = chance.choice(made) + (" " + chance.choice(sentences)) * (kind < 0.1)
                else:
                    text = " ".join(chance.choices(sentences, k=18))
                if len(made) < 10_000:
                    made.append(text)
                line = json.dumps({"text": text}, ensure_ascii=False) + "\n"
                size += len(line.encode())
                file.write(line)
                documents += 1
    return documents


def measure(folder: Path, output: Path, workers: int) -> dict:
    """Curates; bytes by calls, seconds of processor, and the largest process in MB."""
    recipe = folder.parent / "recipe.toml"
    recipe.write_text(RECIPE)
    flags = [f"--input={folder}", f"--output={output}", f"--recipe={recipe}"]
    before, bytes_before = resource.getrusage(resource.RUSAGE_CHILDREN), _bytes()
    command = [sys.executable, "-m", "pipelines.curate", *flags, f"--num_workers={workers}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    read, written = (now - then for now, then in zip(_bytes(), bytes_before, strict=True))
    return {
        "read": read,
        "written": written,
        "seconds": seconds,
        "peak": after.ru_maxrss / 1e3,
        "report": json.loads((output / "report.json").read_text()),
    }


def _bytes() -> tuple[int, int]:
    """Bytes that this process and those it has waited for have read and written by calls."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"]), int(lines["wchar"])


def opens(runs: int, targets: int) -> tuple[int, int]:
    """Files that are opened on the way from runs to targets, and without levels between them."""
    way = exchange.route(runs, targets)
    read = sum(way.sources(level) * way.buckets(level) for level in range(1, way.levels + 1))
    return read, runs * targets


def print_counts(terabytes: list[float]) -> None:
    """A table: tasks, shards and opens of a corpus of plain text."""
    print(
        f"{'TB':>8}{'tasks':>11}{'shards':>11}{'parts':>9}{'levels':>8}{'opens':>15}{'a task':>8}"
        f"{'without levels':>20}"
    )
    for size in terabytes:
        tasks = max(int(size * 1e12 / TASK_BYTES), 1)
        shards = max(16, 1 << int(size * 1e12 // SHARD_BYTES).bit_length())
        parts = max(int(size * 1e12 / DOCUMENT_BYTES * BANDS / ROWS_IN_MEMORY), 16)
        ways = (
            (tasks, shards),
            (shards, parts),
            (parts, shards),
            (shards, shards),
            (shards, shards),
        )
        found = [opens(*way) for way in ways]
        total, direct = (sum(counts) for counts in zip(*found, strict=True))
        levels = exchange.route(tasks, shards).levels
        print(
            f"{size:>8g}{tasks:>11,}{shards:>11,}{parts:>9,}{levels:>8}{total:>15,}"
            f"{total // tasks:>8,}{direct:>20,}"
        )


def main() -> None:
    """Runs what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", nargs="?", type=Path)
    parser.add_argument("--megabytes", default="100,300")
    parser.add_argument("--terabytes", default="")
    parser.add_argument("--folder", type=Path, default=Path("scale"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.terabytes:
        print_counts(list(map(float, arguments.terabytes.split(","))))
        return
    print(
        f"{'MB':>6}{'documents':>11}{'kept':>10}{'read':>7}{'written':>9}"
        f"{'CPU s/MB':>10}{'peak MB':>9}"
    )
    for megabytes in map(int, arguments.megabytes.split(",")):
        folder, output = (arguments.folder / f"{kind}-{megabytes}" for kind in ("in", "out"))
        documents = write_corpus(arguments.texts, folder, megabytes)
        found, size = measure(folder, output, arguments.workers), megabytes * 1e6
        print(
            f"{megabytes:>6}{documents:>11,}{found['report']['documents_out']:>10,}"
            f"{found['read'] / size:>7.2f}{found['written'] / size:>9.2f}"
            f"{found['seconds'] / megabytes:>10.3f}{found['peak']:>9.0f}",
            flush=True,
        )
        shutil.rmtree(folder)
        shutil.rmtree(output)


if __name__ == "__main__":
    main()
