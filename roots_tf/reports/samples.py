"""What a model said of held-out rows at its last evaluation, from the files for TensorBoard."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from absl import logging

from roots_tf.pages.page import text

MOST_BYTES = 1 << 28  # of the files that are looked through, the newest first
_LINE = re.compile(r"  ([+ ]) (.+)$")
_GUESS = re.compile(r"(\S+) ([01]\.\d{3})$")
_MASK = re.compile(r"(\[MASK\]|<mask>)")


class Sample(NamedTuple):
    """A text of an evaluation.

    Attributes:
        name: such as "masked_lm_samples"; of a mixture behind that of the source.
        step: of the evaluation.
        text: Markdown.
    """

    name: str
    step: int
    text: str


def read(logs: str | Path) -> list[Sample]:
    """The texts of the last evaluation.

    Args:
        logs: folder of the run's files for TensorBoard; [] where it is not there.
    """
    from tensorboard.compat.proto import event_pb2
    from tensorboard.util import tensor_util

    newest: dict[str, Sample] = {}
    paths = sorted(Path(logs, "held_out").glob("events.out.tfevents.*"), reverse=True)
    room = MOST_BYTES
    for path in paths:
        room -= path.stat().st_size
        if room < 0:
            break
        for data in _records(path):
            try:
                event = event_pb2.Event.FromString(data)
                for value in event.summary.value:
                    if value.metadata.plugin_data.plugin_name == "text":
                        found = tensor_util.make_ndarray(value.tensor).reshape(-1)[0]
                        name, known = value.tag, newest.get(value.tag)
                        if known is None or event.step > known.step:
                            newest[name] = Sample(name, event.step, found.decode("utf-8"))
            except (ValueError, TypeError, IndexError, AttributeError) as error:
                logging.warning("%s: a damaged event is passed over: %s", path, error)
                break
    last = max((sample.step for sample in newest.values()), default=0)
    return [sample for sample in newest.values() if sample.step == last]


def _records(path: Path) -> Iterator[bytes]:
    """Records of a file as TensorFlow writes them; a last one that a kill cut is left out."""
    with path.open("rb") as file:
        size = path.stat().st_size
        while len(head := file.read(12)) == 12:
            (length,) = struct.unpack("<Q", head[:8])
            if length > size - file.tell():
                return
            data = file.read(length)
            file.read(4)  # checksum
            yield data


def shown(sample: Sample, most: int = 6) -> str:
    """A sample as HTML: each row of text, and a table of what the model says at its places.

    Args:
        sample: text and lines as the objectives write them; what is neither stays as it is.
        most: rows of text that are shown.
    """
    lines = [line.removeprefix("    ") for line in sample.text.split("\n")]
    articles, row, guesses = [], [], []

    def close() -> None:
        if guesses:
            words = _MASK.sub(r"<mark>\1</mark>", text(" ".join(row).strip()))
            shown_row = f'<div class="text whole" dir="auto">{words}</div>'
            articles.append(f"<article>{shown_row}{_table(guesses)}</article>")
            row.clear()
            guesses.clear()

    for line in lines:
        if (guess := _guess(line)) is not None:
            guesses.append(guess)
        elif line.strip():
            close()
            row.append(line)
    close()
    if row or not articles:
        articles.append(f'<div class="text whole" dir="auto">{text(sample.text)}</div>')
    return "".join(articles[:most])


def _guess(line: str) -> tuple[bool, str, list[tuple[str, float]]] | None:
    """Whether a line was guessed right, the right piece, and the guesses; None of another line."""
    if not (match := _LINE.match(line)):
        return None
    rest, guesses = match[2], []
    while found := _GUESS.search(rest):
        guesses.insert(0, (found[1], float(found[2])))
        rest = rest[: found.start()]
        if not rest.endswith("  "):
            break
        rest = rest[:-2] if _GUESS.search(rest[:-2]) else rest
    return (match[1] == "+", rest.strip(), guesses) if guesses and rest.strip() else None


def _table(guesses: list[tuple[bool, str, list[tuple[str, float]]]]) -> str:
    """Right pieces beside the guesses, each with its probability."""
    rows = "".join(
        f"<tr><td>{'✓' if is_right else '✗'}</td><td><bdi>{text(piece)}</bdi></td><td>"
        + " ".join(
            f'<span class="guess"><bdi>{text(guess)}</bdi> {100 * chance:.0f} %</span>'
            for guess, chance in guessed
        )
        + "</td></tr>"
        for is_right, piece, guessed in guesses
    )
    return (
        '<div class="scroll"><table class="guesses"><thead><tr><th scope="col"></th>'
        '<th scope="col">right</th><th scope="col">the model says</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
