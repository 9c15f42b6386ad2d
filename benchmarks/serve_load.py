"""Requests a second of `roots serve`, its latencies and its memory, under many clients at once.

    python -m benchmarks.serve_load --model=work/served --texts=../shared/data/sst2/test.tsv
    python -m benchmarks.serve_load --model=... --texts=... --requests=100000 --concurrencies=16

Starts the server on a free port of this machine, so client and server share its processors. Each
of `--concurrencies` clients has a connection of its own and sends its next request when the last is
answered. The texts are the lines of a file, up to the first tab, in turns. For each number of
clients it prints requests a second, the median and the 99th percentile of the time from sending a
request to having read its answer, the rows computed at once on average, the server's memory at
the end, and the answers by status. The first requests, `--warm_up` of them, are not counted.
"""

import asyncio
import collections
import dataclasses
import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import aiohttp
import numpy as np
from prometheus_client import parser

from roots_tf import program
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    model: str = program.flag(help="folder of a model's versions, as export writes it")
    texts: str = program.flag(help="file with a text a line")
    signature: str = program.flag("serving_default", help="one that takes texts alone")
    concurrencies: tuple[str, ...] = program.flag(("1", "4", "16", "64"), help="clients at once")
    requests: int = program.flag(2_000, help="requests for each number of clients")
    rows: int = program.flag(1, help="texts in a request")
    warm_up: int = program.flag(200, help="requests before the first that counts")
    server_flags: tuple[str, ...] = program.flag((), help="of serve, such as --max_batch_size=64")
    output: str = program.flag("", help="JSON file for the results; none if empty")


def main(config: Config) -> dict:
    """Starts the server, loads it, and prints a line for each number of clients."""
    lines = Path(config.texts).read_text("utf-8").splitlines()
    texts = [text for line in lines if (text := line.partition("\t")[0].strip())]
    if not texts:
        raise files.InputError("empty-input", f"found no text in {config.texts}; wanted one a line")
    process, url = start(config)
    try:
        found = asyncio.run(load(config, url, texts))
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait()
    found["exit_status"] = status
    print(f"the server ended with exit status {status}")
    if config.output:
        files.write_json(config.output, found)
    return found


def start(config: Config) -> tuple[subprocess.Popen, str]:
    """A server that is ready, and its address.

    Raises:
        InputError: it ended before.
    """
    command = [sys.executable, "-m", "pipelines.serve", "--name=model", "--port=0"]
    command += [f"--model={config.model}", *config.server_flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    url, line = "", ""
    for line in process.stderr:
        if match := re.search(r"serving at (http://[^/]+)/", line):
            url = match[1]
        if " is ready" in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, url
    raise files.InputError("step-failed", f"the server did not get ready and said: {line}")


async def load(config: Config, url: str, texts: list[str]) -> dict:
    """Results of every number of clients, one after another."""
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
        before = await metrics(session)
        await send(config, session, texts, 4, config.warm_up)
        found = {"memory_at_start": before["process_resident_memory_bytes"], "rows": []}
        print(f"the server begins with {found['memory_at_start'] / 2**20:,.0f} MiB")
        print(
            f"{'clients':>8}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'rows/batch':>12}"
            f"{'MiB':>8}  answers by status"
        )
        for concurrency in map(int, config.concurrencies):
            before = await metrics(session)
            row = await send(config, session, texts, concurrency, config.requests)
            after = await metrics(session)
            row["memory"] = after["process_resident_memory_bytes"]
            rows, batches = (
                after[name] - before[name]
                for name in ("roots_serving_batch_rows_sum", "roots_serving_batch_rows_count")
            )
            row["rows_per_batch"] = rows / max(batches, 1)
            found["rows"].append(row)
            print(line(row), flush=True)
    return found


async def send(
    config: Config, session: aiohttp.ClientSession, texts: list[str], concurrency: int, count: int
) -> dict:
    """Sends `count` requests from `concurrency` clients."""
    turns, seconds, statuses = iter(range(count)), [], collections.Counter()
    path = "/v1/models/model:predict"

    async def client():
        for turn in turns:  # the clients share it
            first = turn * config.rows
            instances = [texts[(first + i) % len(texts)] for i in range(config.rows)]
            body = json.dumps({"signature_name": config.signature, "instances": instances})
            began = time.perf_counter()
            try:
                async with session.post(path, data=body) as response:
                    await response.read()
                    status = str(response.status)
            except aiohttp.ClientError as error:
                status = type(error).__name__
            seconds.append(time.perf_counter() - began)
            statuses[status] += 1

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(concurrency)))
    elapsed = time.perf_counter() - began
    return {
        "concurrency": concurrency,
        "requests": count,
        "requests_per_second": count / elapsed,
        "p50_seconds": float(np.quantile(seconds, 0.5)) if seconds else None,
        "p99_seconds": float(np.quantile(seconds, 0.99)) if seconds else None,
        "statuses": dict(statuses),
    }


async def metrics(session: aiohttp.ClientSession) -> dict[str, float]:
    """Values of the server's metrics that have no labels."""
    async with session.get("/monitoring/prometheus/metrics") as response:
        families = parser.text_string_to_metric_families(await response.text())
    samples = itertools.chain.from_iterable(family.samples for family in families)
    return {sample.name: sample.value for sample in samples if not sample.labels}


def line(row: dict) -> str:
    """A row of the table."""
    statuses = ", ".join(f"{status}: {n:,}" for status, n in sorted(row["statuses"].items()))
    return (
        f"{row['concurrency']:>8}{row['requests_per_second']:>12,.1f}"
        f"{1000 * row['p50_seconds']:>9,.1f}{1000 * row['p99_seconds']:>9,.1f}"
        f"{row['rows_per_batch']:>12.1f}{row['memory'] / 2**20:>8,.0f}  {statuses}"
    )


if __name__ == "__main__":
    program.run(main, Config)
