"""A served graph as a SavedModel, written once it answers in a fresh process as Python does."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf import progress
from roots_tf.export import operations, requests
from roots_tf.storage import files, leftovers
from roots_tf.storage.files import InputError
from roots_tf.tasks.served_graph import ServedGraph

# Loads a SavedModel as a server does: nothing but TensorFlow and the ops of tensorflow-text. Asks
# each signature by its texts; with ids also by serialised examples of the same texts, and by ids.
_LOAD_AND_RUN = """
import json, sys
import numpy as np, tensorflow as tf, tensorflow_text
folder, texts, ids, answers = sys.argv[1:]
texts, ids = json.load(open(texts, encoding="utf-8")), dict(np.load(ids))
def feature(value):
    values = [text.encode() for text in (value if isinstance(value, list) else [value])]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
def serialised(row):
    row = {name: feature(value) for name, value in zip(texts["serving_default"], row)}
    return tf.train.Example(features=tf.train.Features(feature=row)).SerializeToString()
sent = {signature: {name: tf.constant(value) for name, value in columns.items()}
        for signature, columns in texts.items()}
if ids:
    rows = [serialised(row) for row in zip(*texts["serving_default"].values())]
    sent["examples"] = {"examples": tf.constant(rows)}
    sent["ids"] = {name: tf.constant(value) for name, value in ids.items()}
signatures = tf.saved_model.load(folder).signatures
found = {f"{name}/{key}": output.numpy() for name in sent
         for key, output in signatures[name](**sent[name]).items()}
np.savez(answers, **found)
assert not any(name.startswith("roots_tf") for name in sys.modules)
"""

CHECKED_TEXTS = (
    "",
    "A short one.",
    "Return the number of times that the value occurs.",
    "Ünïcödé — “quotes”, ﬁ ligature, ½, 漢字, emoji 👩‍👧.",
    "\u202eright to left\u202c, \u0000 NUL and \ufffd.",
    "[MASK] and [SEP] in the text",
    "word " * 2_000,
    "x" * 5_000,
)
TOLERANCES = {"float32": 1e-5, "mixed_bfloat16": 3e-2}


class Expected(NamedTuple):
    """Texts, and the answers to them that Python gives.

    Attributes:
        texts: columns of texts, by the names of the inputs.
        answers: an object a text, as `ServedGraph.predictions` gives them.
    """

    texts: dict[str, list]
    answers: list[dict]


def checked_texts(served: ServedGraph) -> dict[str, list]:
    """Columns of texts to check a model with, by the names of its inputs."""
    if own := served.checked_texts():
        return own
    columns = {}
    for place, (name, shape) in enumerate(served.inputs.items()):
        texts = list(CHECKED_TEXTS[place:] + CHECKED_TEXTS[:place])  # another one in each column
        if shape:
            texts = [[CHECKED_TEXTS[i], *texts][: shape[0]] for i in range(len(texts))]
        columns[name] = texts
    return columns


def export(
    served: ServedGraph,
    expected: Expected,
    folder: str | Path,
    version: int,
    write_beside: Callable[[Path], None],
) -> Path:
    """Writes `<folder>/<version>`, after a fresh process has given the expected answers from it.

    Args:
        served: what to save.
        expected: answers that do not come from the graph.
        folder: as for `write`.
        version: likewise.
        write_beside: likewise.

    Returns:
        Path of the SavedModel.

    Raises:
        InputError: as `write`; or the saved model answers differently.
    """

    def checked(saved_model: Path, signatures: dict) -> dict:
        ids = _ids(served, expected.texts)
        check(served, saved_model, expected, ids)
        return _requests(served, signatures, expected.texts, ids)

    return write(served, served.signatures, checked, folder, version, write_beside)


def write(
    root: tf.Module,
    make_signatures: Callable[[], dict],
    checked: Callable[[Path, dict], dict],
    folder: str | Path,
    version: int,
    write_beside: Callable[[Path], None],
) -> Path:
    """Writes `<folder>/<version>`, once what was saved under another name is checked.

    Args:
        root: what to save; holds the variables.
        make_signatures: gives concrete functions by name.
        checked: is given the saved model and these functions, refuses it, or gives an example of a
            request to each signature.
        folder: the model's folder; its name is the model's to TensorFlow Serving.
        version: number of the version.
        write_beside: writes what else belongs into the folder that it is given.

    Returns:
        Path of the SavedModel.

    Raises:
        InputError: that version stands there already or cannot be written.
    """
    target = new_version(folder, version)
    temporary = leftovers.temporary_path(target)
    leftovers.sweep_once(target.parent)
    try:
        with files.writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with progress.Progress("export", 4, "steps") as shown:
                signatures = make_signatures()
                shown.add()
                tf.saved_model.save(root, str(temporary), signatures=signatures)
                operations.write(temporary)
                shown.add()
                examples = checked(temporary, signatures)
                shown.add()
                requests.write(temporary, target.parent.name, examples)
                write_beside(temporary)
                temporary.rename(target)
                shown.add()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def new_version(folder: str | Path, version: int) -> Path:
    """The path of a version of a model, where nothing is yet.

    Args:
        folder: the model's.
        version: its number.

    Raises:
        InputError: something is there.
    """
    target = Path(folder, str(version)).resolve()
    if target.exists():
        raise InputError(
            "folder-taken", f"found {target}; wanted a new version: remove it or give --version"
        )
    return target


def check(served: ServedGraph, saved_model: Path, expected: Expected, ids: dict) -> None:
    """Compares a saved model, loaded in a fresh process, with what is expected.

    Args:
        served: what was saved.
        saved_model: its folder.
        expected: answers that do not come from the graph.
        ids: inputs of the signature `ids`, by name.

    Raises:
        InputError: an answer differs by more than the tolerance of the precision.
    """
    outputs = outputs_of(saved_model, {"serving_default": expected.texts}, ids)
    precise = served.model.dtype_policy.name == "float32"
    tolerance = TOLERANCES[served.model.dtype_policy.name]
    for signature in ("serving_default", "examples"):
        check_answers(served, signature, outputs[signature], expected)
    for name, value in served.of_ids(_features(ids)).items():
        given, right = outputs["ids"][name].tolist(), value.numpy().tolist()
        if where := difference(given, right, tolerance, precise):
            raise InputError(
                "export-differs",
                f"the saved model's ids give another {name} than Python ({where}): nothing was "
                "exported",
            )


def check_answers(
    served: ServedGraph, signature: str, outputs: dict[str, np.ndarray], expected: Expected
) -> None:
    """Compares what a signature gave for texts with what is expected.

    Args:
        served: whose answers the signature gives.
        signature: its name.
        outputs: by name.
        expected: answers that do not come from the graph.

    Raises:
        InputError: an answer differs by more than the tolerance of the precision.
    """
    precise = served.model.dtype_policy.name == "float32"
    tolerance = TOLERANCES[served.model.dtype_policy.name]
    given = served.predictions(outputs, expected.texts)
    for text, (a, b) in enumerate(zip(given, expected.answers, strict=True)):
        if where := difference(a, b, tolerance, precise):
            raise InputError(
                "export-differs",
                f"the saved model's {signature} answers text {text} another way than Python "
                f"({where}): nothing was exported",
            )


def outputs_of(saved_model: Path, texts: dict[str, dict[str, list]], ids: dict) -> dict[str, dict]:
    """Outputs of a saved model by signature and name, from a fresh process.

    Args:
        saved_model: its folder.
        texts: by the name of a signature, the columns of texts that it is asked.
        ids: inputs of the signature `ids`; with them `examples` is asked too, the texts of
            `serving_default`. None: neither is asked.

    Raises:
        InputError: it does not load there, or does not run.
    """
    outputs: dict[str, dict] = {name: {} for name in (*texts, *(["examples", "ids"] * bool(ids)))}
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch, name) for name in ("texts.json", "ids.npz", "answers.npz")]
        paths[0].write_text(json.dumps(texts), "utf-8")
        np.savez(paths[1], **ids)
        run = subprocess.run(
            [sys.executable, "-c", _LOAD_AND_RUN, *map(str, (saved_model, *paths))],
            capture_output=True,
            text=True,
            cwd=scratch,
        )
        if run.returncode:
            last = "".join(run.stderr.strip().splitlines()[-1:]) or f"status {run.returncode}"
            raise InputError(
                "export-differs",
                f"the saved model does not load in a fresh process ({last}): nothing was exported",
            )
        for name, values in np.load(paths[2], allow_pickle=True).items():
            signature, _, output = name.partition("/")
            outputs[signature][output] = values
    return outputs


def difference(found, wanted, tolerance: float, precise: bool) -> str:
    """Where two JSON values differ first; "" if they do not.

    Args:
        found: a JSON value.
        wanted: another one.
        tolerance: by how much numbers may differ, absolutely or relatively.
        precise: whether other values must be the same; of a model in bfloat16 a class may change
            with the last bits.
    """
    if isinstance(found, dict):
        parts = [(name, found[name], wanted[name]) for name in found]
    elif isinstance(found, list):
        if len(found) != len(wanted):
            return f"found {len(found)}; wanted {len(wanted)} values" if precise else ""
        parts = [(str(i), a, b) for i, (a, b) in enumerate(zip(found, wanted, strict=True))]
    elif isinstance(wanted, float):
        same = abs(found - wanted) <= tolerance * max(1.0, abs(wanted))  # not of NaN
        return "" if same else f"found {found}; wanted {wanted}"
    else:
        return "" if found == wanted or not precise else f"found {found!r}; wanted {wanted!r}"
    for name, a, b in parts:
        if where := difference(a, b, tolerance, precise):
            return f"{name}: {where}"
    return ""


def _ids(served: ServedGraph, texts: dict[str, list]) -> dict[str, np.ndarray]:
    """Inputs of the signature `ids` for texts, with ids that do not exist on the padding."""
    features = served.features({name: tf.constant(column) for name, column in texts.items()})
    inside = features["padding_mask"].numpy()
    ids = {"token_ids": np.where(inside, features["token_ids"], 2**31 - 1)}
    if served.has_segments:
        ids["segment_ids"] = np.where(inside, features["segment_ids"], 7)
    return {name: value.astype(np.int32) for name, value in ids.items()} | {
        "padding_mask": inside.astype(np.int32)
    }


def _features(ids: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    """Features of the inputs of `ids`."""
    inside = ids["padding_mask"] != 0
    zeros = np.zeros_like(ids["token_ids"])
    return {
        "token_ids": tf.constant(np.where(inside, ids["token_ids"], 0)),
        "segment_ids": tf.constant(np.where(inside, ids.get("segment_ids", zeros), 0)),
        "padding_mask": tf.constant(inside),
    }


def _requests(served: ServedGraph, signatures, texts: dict[str, list], ids: dict) -> dict:
    """An example of a request to each signature: the second and third text."""
    few = {name: column[1:3] for name, column in texts.items()}
    rows = ids["padding_mask"][1:3]
    length = rows.sum(-1).max()
    inside = rows[..., :length]
    sent = {
        "serving_default": few,
        "examples": {"examples": [_serialised(few, i) for i in range(2)]},
        "ids": {name: value[1:3, ..., :length] * inside for name, value in ids.items()},
    }
    further = sorted(signatures.keys() - sent.keys())
    return sent | {name: served.example(name, few["text"]) for name in further}


def _serialised(texts: dict[str, list], row: int) -> bytes:
    """One row of texts as a tf.Example."""
    features = {}
    for name, column in texts.items():
        values = column[row] if isinstance(column[row], list) else [column[row]]
        listed = tf.train.BytesList(value=[text.encode() for text in values])
        features[name] = tf.train.Feature(bytes_list=listed)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
