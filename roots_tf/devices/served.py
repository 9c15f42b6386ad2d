"""An exported SavedModel, from text to answers, beside its answers on the processor."""

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (its ops are in the graph)

from roots_tf import models, tokenizers
from roots_tf.devices.place import LeftOut, Place, load_arrays, save_arrays
from roots_tf.devices.results import Finding
from roots_tf.devices.texts import sentences
from roots_tf.export import answering
from roots_tf.tokenizers import training

EXPECTED, FOLDER, SAVED = "served.npz", "classifier", "saved_model"
TEXTS = ("", "The old captain opened the door.", "Ünïcödé, 漢字 and emoji 👩‍👧.", "door " * 300)
TOLERANCE = 1e-5
LABELS = ("no", "perhaps", "yes")


def reference(place: Place) -> None:
    """Leaves a SavedModel of a classifier, and the processor's answers.

    Args:
        place: the processor.
    """
    folder, saved = place.folder / FOLDER, str(place.folder / SAVED)
    with place.strategy.scope():
        training.train(iter(sentences(100)), folder, vocab_size=200)
        tokenizer = tokenizers.load(folder)
        config = place.shape.config(vocabulary_size=tokenizer.size, initializer_range=0.5)
        model = models.Classifier(config, len(LABELS), seed=place.seed)
        models.save(folder, model, LABELS)
        served, _ = answering.answering(
            models.describe(folder),
            str(folder),
            *(model, tokenizer, models.EmbeddingSettings(), answering.Limits()),
        )
        tf.saved_model.save(served, saved, signatures=served.signatures())
    save_arrays(place.folder / EXPECTED, _answers(saved))


def _answers(saved: str) -> list[np.ndarray]:
    """Outputs of the signature of texts, in the order of their names."""
    loaded = tf.saved_model.load(saved)
    outputs = loaded.signatures["serving_default"](text=tf.constant(TEXTS))
    found = [outputs[name].numpy() for name in sorted(outputs)]
    return [each.astype("S") if each.dtype == object else each for each in found]  # of strings


def run(place: Place) -> Finding:
    """Loads the same SavedModel on the device.

    Args:
        place: of the device.
    """
    if place.accelerator == "TPU":
        raise LeftOut("a SavedModel of texts is served on GPUs and processors")
    if not (place.folder / EXPECTED).exists():
        raise LeftOut("it compares with the processor's answers, which were not made")
    wanted = load_arrays(place.folder / EXPECTED)
    with place.strategy.scope():
        found = _answers(str(place.folder / SAVED))
    return compare(found, wanted)


def compare(found: list[np.ndarray], wanted: list[np.ndarray]) -> Finding:
    """Whether outputs are the same, numbers but for rounding.

    Args:
        found: of the device.
        wanted: of the processor.
    """
    most = 0.0
    for one, other in zip(found, wanted, strict=True):
        if one.dtype.kind == "f":
            most = max(most, float(np.max(np.abs(one - other), initial=0.0)))
            most = most if np.all(np.isfinite(one)) else float("inf")
        elif not np.array_equal(one, other):
            return Finding(
                False, f"found answers {one.tolist()!s:.80}; wanted {other.tolist()!s:.80}"
            )
    if not most <= TOLERANCE:
        said = (
            f"found answers that differ by {most:.1e} from the processor's; wanted {TOLERANCE:.0e}"
        )
        return Finding(False, said)
    return Finding(True, f"{len(TEXTS)} texts, answers within {most:.0e} of the processor's")
