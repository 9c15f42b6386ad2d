"""A small SavedModel with signatures of every kind, and a server process of it."""

import asyncio
import http.client
import json
import re
import signal
import time
from pathlib import Path

import aiohttp
import numpy as np
import tensorflow as tf
from prometheus_client import parser

from tests.processes import Started

STRINGS = tf.TensorSpec([None], tf.string)
NUMBERS = tf.TensorSpec([None], tf.float32, name="x")
IDS = tf.TensorSpec([None, None], tf.int32)


class Tiny(tf.Module):
    """Signatures by name."""

    def __init__(self):
        super().__init__()
        generator = np.random.default_rng(0)
        self.table = tf.Variable(generator.normal(size=(10, 4)), dtype=tf.float32)
        self.large = tf.Variable(generator.normal(size=(600, 600)), dtype=tf.float32)

    @tf.function(input_signature=[STRINGS])
    def describe(self, text):
        bucket = tf.strings.to_hash_bucket_fast(text, 10)
        vector = tf.nn.softmax(tf.gather(self.table, bucket) @ self.table[:4])
        return {"length": tf.strings.length(text), "upper": tf.strings.upper(text), "v": vector}

    @tf.function(input_signature=[IDS, IDS])
    def ids(self, token_ids, padding_mask):
        mask = tf.cast(padding_mask, tf.float32)[:, :, None]
        summed = tf.reduce_sum(tf.gather(self.table, token_ids) * mask, 1)
        return {"embedding": summed / tf.reduce_sum(mask, 1)}

    @tf.function(input_signature=[STRINGS])
    def pieces(self, text):
        return {"pieces": tf.strings.split(text).to_tensor()}  # as wide as the longest

    @tf.function(input_signature=[NUMBERS])
    def half_plus_three(self, x):
        return {"y": x / 2 + 3}

    @tf.function(input_signature=[STRINGS])
    def same(self, data):
        return {"same_bytes": data}

    @tf.function(input_signature=[NUMBERS])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[STRINGS])
    def joined(self, text):
        return {"joined": tf.strings.reduce_join(text)}  # a scalar

    @tf.function(input_signature=[NUMBERS])
    def twice(self, x):
        return {"repeated": tf.repeat(x, 2)}  # which its shape does not tell from one a row

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.int64, name="pair")])
    def pair(self, pair):
        return {"sum": tf.reduce_sum(pair, 1)}

    @tf.function(input_signature=[STRINGS])
    def slow(self, text):
        state = tf.identity(self.large)
        for _ in tf.range(10):
            state = tf.tanh(state @ self.large / 600)
        noise = tf.fill(tf.shape(text), tf.reduce_mean(state))
        return {"length": tf.strings.length(text), "noise": noise}


def save(path: Path) -> None:
    """Writes the SavedModel at `path`."""
    tiny = Tiny()
    signatures = {
        "serving_default": tiny.describe.get_concrete_function(text=STRINGS),
        "ids": tiny.ids.get_concrete_function(token_ids=IDS, padding_mask=IDS),
        "pieces": tiny.pieces.get_concrete_function(text=STRINGS),
        "half_plus_three": tiny.half_plus_three,
        "same": tiny.same.get_concrete_function(data=STRINGS),
        "total": tiny.total,
        "joined": tiny.joined.get_concrete_function(text=STRINGS),
        "twice": tiny.twice,
        "pair": tiny.pair,
        "slow": tiny.slow.get_concrete_function(text=STRINGS),
    }
    tf.saved_model.save(tiny, str(path), signatures=signatures)


class Served:
    """A process of `serve` on a free port, once it has said `until`."""

    def __init__(self, model: Path, *flags: str, until: str = " is ready"):
        flags = [f"--model={model}", "--port=0", *flags]
        self.process = Started("pipelines.serve", flags)
        while until not in self.process.printed():
            assert self.process.poll() is None, self.process.printed()
            time.sleep(0.02)
        said = self.process.printed()
        self.port = int(re.search(r"serving at http://127.0.0.1:(\d+)/", said)[1])

    def ask(self, method: str, path: str, body=None, headers=()) -> tuple[int, dict]:
        """Status and JSON of an answer; a body that is not bytes is sent as JSON."""
        status, answer = self.fetch(method, path, body, headers)
        return status, json.loads(answer)

    def fetch(self, method: str, path: str, body=None, headers=()) -> tuple[int, bytes]:
        """Status and bytes of an answer."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """Values by the metric's name; of counters by status, all routes together."""
        _, text = self.fetch("GET", "/monitoring/prometheus/metrics")
        found = {}
        for family in parser.text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                if "le" not in sample.labels:
                    name = " ".join([sample.name, *filter(None, [sample.labels.get("status")])])
                    found[name] = found.get(name, 0) + sample.value
        return found

    async def post_all(self, path: str, bodies: list, at_once: int) -> list[tuple[int, dict]]:
        """Statuses and JSON of the answers to many requests, `at_once` of them at a time."""
        turn = asyncio.Semaphore(at_once)
        timeout = aiohttp.ClientTimeout(total=300)

        async def post(session, body):
            url = f"http://127.0.0.1:{self.port}{path}"
            async with turn, session.post(url, json=body) as response:
                return response.status, await response.json()

        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            return await asyncio.gather(*(post(session, body) for body in bodies))

    def stop(self) -> int:
        """Sends SIGTERM and returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)
