"""Counts of what happened to documents, which must balance, with samples of what was dropped."""

import collections
import hashlib
import heapq

SAMPLES = 5  # a reason; enough to see what a filter does without opening the corpus
SAMPLE_CHARS = 300


class Tally:
    """Documents and UTF-8 bytes in and out, dropped by reason, and notes such as repaired bytes.

    >>> tally = Tally()
    >>> tally.read("Hello."), tally.drop("too_short", "Hello.", "greetings.txt")
    (None, None)
    >>> tally.to_json()["dropped"]
    {'too_short': {'documents': 1, 'bytes': 6}}
    """

    def __init__(self):
        self.documents_in = 0
        self.bytes_in = 0
        self.documents_out = 0
        self.bytes_out = 0
        self.dropped: dict[str, list[int]] = {}  # reason: [documents, bytes]
        self.notes: collections.Counter[str] = collections.Counter()
        self.samples: dict[str, list[list[str]]] = {}  # reason: [[order, source, text]]

    def read(self, text: str) -> None:
        """Counts a document that was found in the input."""
        self.documents_in += 1
        self.bytes_in += size(text)

    def keep(self, text: str) -> None:
        """Counts a document that is in the output."""
        self.documents_out += 1
        self.bytes_out += size(text)

    def drop(self, reason: str, text: str, source: str) -> None:
        """Counts a document that was read and is not kept, and may hold it as a sample."""
        counts = self.dropped.setdefault(reason, [0, 0])
        counts[0] += 1
        counts[1] += size(text)
        self._sample(reason, [_order(text), source, text[:SAMPLE_CHARS]])

    def note(self, what: str, times: int = 1) -> None:
        """Counts something that changed documents without dropping them."""
        if times:
            self.notes[what] += times

    def _sample(self, reason: str, sample: list[str]) -> None:
        """Keeps the few of lowest hash: a random choice that no order of the input changes."""
        kept = self.samples.setdefault(reason, [])
        if sample not in kept:
            kept.append(sample)
            self.samples[reason] = heapq.nsmallest(SAMPLES, kept)

    def merge(self, saved: dict) -> None:
        """Adds the counts of another tally, as `to_json` gave them."""
        for name in ("documents_in", "bytes_in", "documents_out", "bytes_out"):
            setattr(self, name, getattr(self, name) + saved[name])
        for reason, counts in saved["dropped"].items():
            held = self.dropped.setdefault(reason, [0, 0])
            held[0] += counts["documents"]
            held[1] += counts["bytes"]
        self.notes.update(saved["notes"])
        for reason, samples in saved["samples"].items():
            for sample in samples:
                self._sample(reason, [sample["order"], sample["source"], sample["text"]])

    def to_json(self) -> dict:
        """The counts as a JSON value, reasons in order of documents dropped."""
        by_count = sorted(self.dropped.items(), key=lambda item: (-item[1][0], item[0]))
        return {
            "documents_in": self.documents_in,
            "bytes_in": self.bytes_in,
            "documents_out": self.documents_out,
            "bytes_out": self.bytes_out,
            "dropped": {r: {"documents": n, "bytes": size} for r, (n, size) in by_count},
            "notes": dict(sorted(self.notes.items())),
            "samples": {
                reason: [
                    {"order": order, "source": source, "text": text}
                    for order, source, text in self.samples[reason]
                ]
                for reason, _ in by_count
            },
        }

    def check(self) -> None:
        """Fails unless every document that was read was either kept or dropped with a reason.

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


def _order(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
