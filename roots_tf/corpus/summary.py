"""The counts of all steps together: checks that they balance, and makes the report."""

import json
import math
from collections.abc import Sequence

from roots_tf.corpus import recipe
from roots_tf.corpus.tally import Tally
from roots_tf.storage import files

# In the report a step's own findings are named by the step, but for one that has a plainer name.
_FINDINGS = {"sample": "sample_groups"}


class StepTallies:
    """The tally of the reader, of each step of a recipe in order, and of what is written."""

    def __init__(self, steps: Sequence[recipe.Step]):
        self._steps = list(steps)
        self._read, self._unique, self._written = Tally(), Tally(), Tally()
        self._document = [Tally() for step in steps if step.name in recipe.DOCUMENT_STEPS]
        later = [*recipe.CORPUS_STEPS][1:]
        self._later = [Tally() for step in steps if step.name in later]

    def merge_documents(self, saved: list[dict]) -> None:
        """Adds what a task of the document steps counted: the reader's tally and each step's."""
        for tally, counts in zip([self._read, *self._document], saved, strict=True):
            tally.merge(counts)

    def merge_unique(self, saved: dict) -> None:
        """Adds the tally of a shard's exact de-duplication."""
        self._unique.merge(saved)

    def merge_written(self, saved: list[dict]) -> None:
        """Adds what was counted as a shard was written: each later step's tally and the last."""
        for tally, counts in zip([*self._later, self._written], saved, strict=True):
            tally.merge(counts)

    def check_some(self) -> None:
        """Refuses an input without documents, or of which the document steps keep none.

        Raises:
            InputError: there are none.
        """
        if not self._read.documents_in:
            raise files.InputError(
                "empty-input",
                "found no document in the input: every file is empty; give files that hold text",
            )
        if not [self._read, *self._document][-1].documents_out:
            reasons = {name: counts["documents"] for name, counts in self._dropped().items()}
            text = ", ".join(f"{reason} {documents}" for reason, documents in reasons.items())
            raise files.InputError(
                "nothing-kept",
                f"kept none of {self._read.documents_in} documents, dropped as {text}; look at the "
                "input (is --documents right?) or loosen the rule in a copy of the recipe",
            )

    def _dropped(self) -> dict[str, dict[str, int]]:
        whole = Tally()
        for tally in [self._read, *self._document, self._unique, *self._later]:
            whole.merge({**Tally().to_json(), "dropped": tally.to_json()["dropped"]})
        return whole.to_json()["dropped"]

    def check(self) -> None:
        """Fails unless what leaves a step, to the byte, enters the next one, and each balances.

        Raises:
            RuntimeError: it does not, which is a bug.
        """
        tallies = [self._read, *self._document, self._unique, *self._later, self._written]
        names = ["read", *(step.name for step in self._steps), "write"]
        for tally in tallies:
            tally.check()
        for number, (before, after) in enumerate(zip(tallies, tallies[1:], strict=False)):
            given, taken = (
                (before.documents_out, before.bytes_out),
                (after.documents_in, after.bytes_in),
            )
            if given != taken:
                raise RuntimeError(
                    f"{given[0]} documents of {given[1]} bytes left step {number} of {names}, but "
                    f"{taken[0]} of {taken[1]} entered the next"
                )

    def report(self, found: dict[str, dict], seconds: dict[str, float], sample: int) -> dict:
        """The report as a JSON value.

        Args:
            found: what each corpus step returned, by name.
            seconds: spent in the tasks of each stage.
            sample: documents that the run was restricted to; 0 for none.

        Returns:
            Documents and bytes in and out, `dropped` by reason, `notes` of the reader, `languages`
            of the output; `steps`, each with these counts, its parameters, `seconds`, `samples` and
            `measures`: by name a list of the histograms of languages that share limits.
        """
        self.check()
        read, written = self._read.to_json(), self._written.to_json()
        corpus = [*self._later]
        if any(step.name == "exact_duplicates" for step in self._steps):
            corpus = [self._unique, *corpus]
        entries = [_entry(recipe.Step("read", {}), None, self._read)]
        for step, tally in zip(self._steps, [*self._document, *corpus], strict=True):
            if step.name in found:
                tally.seconds = found[step.name].get("seconds", 0.0)
            entries.append(_entry(step, recipe.build(step), tally))
        return {
            "sample": sample,
            **{name: read[name] for name in ("documents_in", "bytes_in")},
            **{name: written[name] for name in ("documents_out", "bytes_out", "languages")},
            "dropped": self._dropped(),
            "notes": read["notes"],
            "steps": entries,
            **{_FINDINGS.get(name, name): finding for name, finding in found.items()},
            "task_seconds": seconds,
        }


def _entry(step: recipe.Step, built, tally: Tally) -> dict:
    """What the report says of a step."""
    counts = tally.to_json()
    del counts["languages"]
    counts["seconds"] = round(counts["seconds"], 3)
    limits = getattr(built, "limits", lambda language: {})
    counts["measures"] = {
        name: _by_limits(name, histograms, limits)
        for name, histograms in counts["measures"].items()
    }
    counts["samples"] = {
        kind: [_sample(kind, *sample) for sample in samples]
        for kind, samples in counts["samples"].items()
    }
    return {**step._asdict(), **counts}


def _by_limits(name: str, histograms: dict[str, list], limits) -> list[dict]:
    """One histogram for all the languages whose limits of a measure are equal."""
    groups: dict[tuple, dict] = {}
    for language, histogram in histograms.items():
        bounds = limits(language).get(name, (-math.inf, math.inf))
        lowest, highest = (None if math.isinf(bound) else bound for bound in bounds)
        group = groups.setdefault(
            bounds, {"languages": [], "lowest": lowest, "highest": highest, "histogram": {}}
        )
        group["languages"].append(language)
        for value, documents in histogram:
            group["histogram"][value] = group["histogram"].get(value, 0) + documents
    for group in groups.values():
        group["histogram"] = [list(pair) for pair in sorted(group["histogram"].items())]
    return list(groups.values())


def _sample(
    kind: str, rank: str, reason: str, source: str, language: str, text: str, measured: str
) -> dict:
    del rank
    sample = {"source": source, "language": language, "text": text}
    sample["measured"] = json.loads(measured)
    return {"reason": reason, **sample} if kind == "dropped" else sample
