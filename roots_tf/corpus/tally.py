"""Counts of the documents that a step keeps, changes and drops, with histograms and samples."""

import bisect
import collections
import hashlib
import json
import math
from collections.abc import Callable

from roots_tf.corpus.documents import Document

SAMPLES = 20  # kept and as many dropped; enough to see what a step does without opening the corpus
SAMPLE_CHARS = 300


class Tally:
    """What one step did: documents and UTF-8 bytes in and out, dropped by reason, and measures.

    Tallies of tasks merge to the same whole in any order.

    Args:
        on_drop: is given every dropped document and the reason.

    >>> tally = Tally()
    >>> tally.read("Hello."), tally.drop("too_short", "Hello.", "greetings.txt")
    (None, None)
    >>> tally.to_json()["dropped"]
    {'too_short': {'documents': 1, 'bytes': 6}}
    """

    def __init__(self, on_drop: Callable[[Document, str], None] | None = None):
        self.documents_in = 0
        self.bytes_in = 0
        self.documents_out = 0
        self.bytes_out = 0
        self.seconds = 0.0
        self.dropped: dict[str, list[int]] = {}  # reason: [documents, bytes]
        self.notes: collections.Counter[str] = collections.Counter()
        self.languages: dict[str, list[int]] = {}  # of the output: [documents, bytes]
        # (measure, language): lower edge of a bin: documents
        self.measures: dict[tuple[str, str], dict[float, int]] = {}
        # Each [rank, reason, source, language, text, measured as JSON], in order.
        self.samples: dict[str, list[list[str]]] = {"kept": [], "dropped": []}
        self._on_drop = on_drop

    def read(self, text: str) -> None:
        """Counts a document that comes in."""
        self.documents_in += 1
        self.bytes_in += size(text)

    def keep(self, text: str) -> None:
        """Counts a document that goes out."""
        self.documents_out += 1
        self.bytes_out += size(text)

    def drop(self, reason: str, text: str, source: str) -> None:
        """Counts a document that came in and is not kept, and may hold it as a sample.

        Args:
            reason: why it is dropped.
            text: of the document.
            source: where it comes from.
        """
        self.drop_document(reason, Document(text, source))

    def drop_document(self, reason: str, document: Document) -> None:
        """As `drop`, with the `reason` and a whole `document`."""
        self._drop(reason, document, size(document.text), {}, order(document.text))

    def note(self, what: str, times: int = 1) -> None:
        """Counts something that changed documents without dropping them.

        Args:
            what: its name in the report.
            times: how often it happened.
        """
        if times:
            self.notes[what] += times

    def see(
        self,
        before: Document,
        after: Document | str,
        measured: dict[str, float],
        rank: str,
        sizes: tuple[int, int],
    ) -> None:
        """Counts what a step did to a document.

        Args:
            before: the document that came in.
            after: the one that goes out, or the reason why none does.
            measured: what the step measured.
            rank: `order` of the text as it was read; the documents of lowest rank are the samples.
            sizes: bytes in, and out if it is kept.
        """
        self.documents_in += 1
        self.bytes_in += sizes[0]
        kept = not isinstance(after, str)
        language = (after if kept else before).language
        for name, value in measured.items():
            self._count(name, language, edge(value), 1)
        if not kept:
            self._drop(after, before, sizes[0], measured, rank)
            return
        self.documents_out += 1
        self.bytes_out += sizes[1]
        counts = self.languages.setdefault(language, [0, 0])
        counts[0] += 1
        counts[1] += sizes[1]
        held = self.samples["kept"]
        if len(held) < SAMPLES or rank <= held[-1][0]:
            self.sample("kept", "", after, measured, rank)

    def _count(self, name: str, language: str, low: float, documents: int) -> None:
        histogram = self.measures.get((name, language))
        if histogram is None:
            histogram = self.measures[name, language] = {}
        histogram[low] = histogram.get(low, 0) + documents

    def _drop(
        self, reason: str, document: Document, num_bytes: int, measured: dict, rank: str
    ) -> None:
        counts = self.dropped.setdefault(reason, [0, 0])
        counts[0] += 1
        counts[1] += num_bytes
        self.sample("dropped", reason, document, measured, rank)
        if self._on_drop:
            self._on_drop(document, reason)

    def sample(self, kind: str, reason: str, document: Document, measured: dict, rank: str) -> None:
        """Keeps a document as a sample if its rank is among the lowest.

        The choice is random and does not depend on the order of the input.

        Args:
            kind: `kept` or `dropped`.
            reason: why it was dropped, else "".
            document: of which the beginning is held.
            measured: what the step measured.
            rank: see `see`.
        """
        held = self.samples[kind]
        if len(held) == SAMPLES and rank > held[-1][0]:
            return
        values = {name: float(f"{value:.4g}") for name, value in sorted(measured.items())}
        text = document.text[:SAMPLE_CHARS]
        where = [document.source[:SAMPLE_CHARS], document.language]
        _insert(held, [rank, reason, *where, text, json.dumps(values)])

    def merge(self, saved: dict) -> None:
        """Adds the counts of another tally of the same step, as `to_json` gave them."""
        for name in ("documents_in", "bytes_in", "documents_out", "bytes_out", "seconds"):
            setattr(self, name, getattr(self, name) + saved[name])
        for held, more in ((self.dropped, saved["dropped"]), (self.languages, saved["languages"])):
            for name, counts in more.items():
                pair = held.setdefault(name, [0, 0])
                pair[0] += counts["documents"]
                pair[1] += counts["bytes"]
        self.notes.update(saved["notes"])
        for name, languages in saved["measures"].items():
            for language, histogram in languages.items():
                for low, documents in histogram:
                    self._count(name, language, low, documents)
        for kind, samples in saved["samples"].items():
            for sample in samples:
                _insert(self.samples[kind], list(sample))

    def to_json(self) -> dict:
        """The counts as a JSON value: reasons and languages in order of documents."""
        measures = {}
        for (name, language), histogram in sorted(self.measures.items()):
            bins = [[low, documents] for low, documents in sorted(histogram.items())]
            measures.setdefault(name, {})[language] = bins
        return {
            "documents_in": self.documents_in,
            "bytes_in": self.bytes_in,
            "documents_out": self.documents_out,
            "bytes_out": self.bytes_out,
            "seconds": self.seconds,
            "dropped": _by_count(self.dropped),
            "notes": dict(sorted(self.notes.items())),
            "languages": _by_count(self.languages),
            "measures": measures,
            "samples": self.samples,
        }

    def check(self) -> None:
        """Fails unless every document that came in was either kept or dropped with a reason.

        Raises:
            RuntimeError: it does not balance, which is a bug and not the user's doing.
        """
        dropped = sum(documents for documents, _ in self.dropped.values())
        if self.documents_in != self.documents_out + dropped:
            raise RuntimeError(
                f"documents do not balance: {self.documents_in} in, {self.documents_out} kept "
                f"and {dropped} dropped"
            )


def size(text: str) -> int:
    """Bytes of the text in UTF-8; a lone surrogate, which JSON can spell, counts three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def order(text: str) -> str:
    """A random rank that follows from the text: sixteen hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def edge(value: float) -> float:
    """Lower edge of a value's bin: hundredths up to 1, two significant digits above.

    >>> [edge(value) for value in (0.29, 0.299, 1, 1.29, 4567, 0, -0.001, math.inf)]
    [0.29, 0.29, 1.0, 1.2, 4500.0, 0.0, -0.01, inf]
    """
    if -1 <= value <= 1:
        return math.floor(value * 100 + 1e-6) / 100  # 0.29 * 100 is 28.999999999999996
    if not math.isfinite(value):
        return value
    power = math.floor(math.log10(abs(value))) - 1
    if power > 0:
        return float(math.floor(value / 10**power) * 10**power)
    return math.floor(value * 10**-power + 1e-6) / 10**-power


def _insert(held: list[list[str]], sample: list[str]) -> None:
    """Keeps a sorted list of the `SAMPLES` smallest, each once."""
    place = bisect.bisect_left(held, sample)
    if held[place : place + 1] != [sample]:
        held.insert(place, sample)
        del held[SAMPLES:]


def _by_count(counts: dict[str, list[int]]) -> dict[str, dict[str, int]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
    return {name: {"documents": n, "bytes": size} for name, (n, size) in ordered}
