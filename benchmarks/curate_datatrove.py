"""The steps of `benchmarks.curate` in datatrove: a script for a Python that has it, unlike ours.

    /path/to/python -P benchmarks/curate_datatrove.py \
        '{"input": "documents", "html": false, "work": "scratch", "processes": 2}'

It follows FineWeb's pipeline (examples/fineweb.py of huggingface/datatrove) and its parameters,
with personal data before the duplicates, as `roots curate` has it. It writes `found.json` into the
folder `work`: of each step the `seconds` of all processes together, the `bytes` of text that came
in and the `documents` that went out.
"""

import json
import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import minhash
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader, ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.hashing import HashConfig


class Meter(PipelineStep):
    """Counts what passes, in UTF-8 bytes; datatrove counts letters, and not after every step."""

    type, name = "meter", "bytes"

    def run(self, data, rank=0, world_size=1):
        documents = size = 0
        for document in data:
            documents += 1
            size += len(document.text.encode("utf-8", "surrogatepass"))
            yield document
        self.stat_update("documents", value=documents)
        self.stat_update("bytes", value=size)


def main(spec: dict) -> dict:
    """Runs the five pipelines of a curation, each on the output of the one before."""
    work, processes = spec["work"], spec["processes"]

    def run(name: str, pipeline: list, tasks: int = processes) -> list:
        executor = LocalPipelineExecutor(
            pipeline,
            tasks=tasks,
            workers=min(tasks, processes),
            logging_dir=f"{work}/logs/{name}",
            # Starts them soonest; of its default, a server of forks, no one can count the memory.
            start_method="fork",
        )
        return executor.run().stats

    steps = {"read": JsonlReader(spec["input"])}
    if spec["html"]:
        # By default a page has a second, of which loading the library takes the first one more.
        steps["extract"] = Trafilatura(favour_precision=True, timeout=30)
    steps |= {
        "gopher_repetition": GopherRepetitionFilter(),
        "gopher_quality": GopherQualityFilter(),
        "c4": C4QualityFilter(filter_no_terminal_punct=False),
        "fineweb_quality": FineWebQualityFilter(),
        "personal_data": PIIFormatter(),
    }
    metered = [part for step in steps.values() for part in (step, Meter())]
    cleaned = run("clean", [*metered, ParquetWriter(f"{work}/clean", compression="zstd")])
    found = {}
    for place, name in enumerate(steps):
        before, after = cleaned[max(2 * place - 1, 1)], cleaned[2 * place + 1]
        found[name] = {
            "seconds": seconds(cleaned[2 * place]),
            "bytes": before["bytes"].total,
            "documents": after["documents"].total,
        }

    config = minhash.MinhashConfig(
        n_grams=5,
        num_buckets=14,
        hashes_per_bucket=8,
        hash_config=HashConfig(hash_fc="sha1", precision=64),
    )
    signatures, pairs, gone = f"{work}/signatures", f"{work}/pairs", f"{work}/gone"
    sign = minhash.MinhashDedupSignature(signatures, config)
    signed = run("sign", [ParquetReader(f"{work}/clean"), sign])
    pair = minhash.MinhashDedupBuckets(signatures, pairs, config=config)
    paired = run("pair", [pair], tasks=config.num_buckets)
    grouped = run("group", [minhash.MinhashDedupCluster(pairs, gone, config)], tasks=1)
    last = [ParquetReader(f"{work}/clean"), minhash.MinhashDedupFilter(gone), Meter()]
    kept = run("filter", [*last, ParquetWriter(f"{work}/output", compression="zstd")])
    size, documents = cleaned[-2]["bytes"].total, kept[2]["documents"].total
    # The time of a signature is from when its document is asked for: it includes the reader's.
    spent = [signed[1], *paired, *grouped, *kept[:2]]
    found["duplicates"] = {"seconds": sum(map(seconds, spent)), "bytes": size}
    found["write"] = {"seconds": seconds(cleaned[-1]) + seconds(kept[-1]), "bytes": size}
    for name in ("duplicates", "write"):
        found[name]["documents"] = documents
    return found


def seconds(stats) -> float:
    """Seconds of a block in all tasks."""
    return stats.time_stats.total


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    found = main(spec)
    Path(spec["work"], "found.json").write_text(json.dumps(found))
