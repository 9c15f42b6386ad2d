"""Linear classifiers of texts by their words and word n-grams, and the step that applies one.

A text is a vector with a place for each range of hashes: the logarithm of 1 + how often n-grams of
that range are in it, scaled to length 1 (Joulin et al. 2016, "Bag of Tricks for Efficient Text
Classification", hash them likewise). A logistic regression tells labels apart. The file is numpy's
`.npz` of arrays of numbers and JSON: reading it runs no code. Models of fastText are read too
(`fasttext_model`).
"""

import dataclasses
import functools
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import scipy.sparse

from roots_tf import spelling
from roots_tf.corpus import fasttext_model, shingles
from roots_tf.corpus.documents import Document, share
from roots_tf.storage import files

FORMAT = 1
NAME = "classifier.npz"
SUFFIXES = (".bin", ".ftz")  # of fastText
_LANGUAGE = re.compile("[a-z]{2,3}")


@dataclasses.dataclass(frozen=True)
class LinearClassifier:
    """A logistic regression over hashed n-grams of words.

    Attributes:
        labels: their names, L of them.
        ngram: words in the longest n-gram.
        weights: float32 [L, 2^bits].
        bias: float32 [L].
    """

    labels: tuple[str, ...]
    ngram: int
    weights: np.ndarray
    bias: np.ndarray

    def probabilities(self, text: str) -> np.ndarray:
        """The probability of each label [L], which add up to 1."""
        places, values = features(text, self.ngram, self.weights.shape[1].bit_length() - 1)
        scores = self.weights[:, places] @ values + self.bias
        scores = np.exp(scores - scores.max())
        return scores / scores.sum()

    def save(self, path: str | Path) -> None:
        """Writes the file at a `path`; of equal classifiers equal bytes."""
        about = {"format": FORMAT, "labels": list(self.labels), "ngram": self.ngram}
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        with files.atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, about=text, weights=self.weights, bias=self.bias)


def load(path: str | Path) -> LinearClassifier | fasttext_model.FastText:
    """A classifier from its file: `.npz` of `train-classifier`, `.bin` or `.ftz` of fastText.

    Raises:
        InputError: there is no such file, or it is damaged or of another kind.
    """
    path = Path(path, NAME) if Path(path).is_dir() else Path(path)
    if path.suffix in SUFFIXES:
        return fasttext_model.FastText(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            weights, bias = file["weights"], file["bias"]
        found = LinearClassifier(tuple(about["labels"]), about["ngram"], weights, bias)
        size = weights.shape[1]
        shaped = weights.shape == (len(found.labels), 1 << size.bit_length() - 1)
        if about["format"] == FORMAT and shaped and bias.shape == weights.shape[:1]:
            return found
    except OSError as error:
        if error.errno is not None:
            raise files.InputError(
                "no-such-file",
                f"could not read {path} ({error.strerror}); wanted a file or folder of "
                "train-classifier, or a .bin or .ftz of fastText: correct `model` of the step "
                "classifier",
            ) from error
    except (ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile):
        pass
    raise files.InputError(
        "file-damaged",
        f"found no classifier of this version in {path}; wanted a file of train-classifier (.npz) "
        "or of fastText (.bin, .ftz): train it anew",
    )


def features(text: str, ngram: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of a text's vector that are not 0, ascending, and their values, float32.

    Args:
        text: any text.
        ngram: words in the longest n-gram.
        bits: the vector has 2^bits places.
    """
    words, offsets = shingles.word_hashes([text])
    found = [shingles.ngram_hashes(words, offsets, n)[0] for n in range(1, ngram + 1)]
    places = np.concatenate(found) >> np.uint64(64 - bits)
    places, counts = np.unique(places.astype(np.int64), return_counts=True)
    values = np.log1p(counts.astype(np.float32))
    return places, values / max(float(np.linalg.norm(values)), 1e-9)


def train(
    texts: Iterable[str], labels: Sequence[str], ngram: int, bits: int, strength: float
) -> LinearClassifier:
    """Learns to tell labels apart; the same texts in the same order give the same classifier.

    Args:
        texts: of the examples.
        labels: of each.
        ngram: words in the longest n-gram.
        bits: the vectors have 2^bits places.
        strength: the larger, the closer to the examples; scikit-learn's `C`.
    """
    from sklearn.linear_model import LogisticRegression

    rows = [features(text, ngram, bits) for text in texts]
    borders = np.cumsum([0, *(len(places) for places, _ in rows)])
    columns = np.concatenate([places for places, _ in rows])
    values = np.concatenate([values for _, values in rows]).astype(np.float64)
    table = scipy.sparse.csr_array((values, columns, borders), (len(rows), 1 << bits))
    fitted = LogisticRegression(C=strength, max_iter=200).fit(table, list(labels))
    weights, bias = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # the second label against the first
        weights, bias = np.concatenate([-weights, weights]) / 2, np.append(-bias, bias) / 2
    names = tuple(map(str, fitted.classes_))
    return LinearClassifier(names, ngram, weights.astype(np.float32), bias.astype(np.float32))


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Drops documents to which a classifier gives too little probability of the wanted labels.

    Measures `classifier_score`, the sum of the probabilities of the labels `keep`, or that of the
    likeliest label where all are kept. Drops with the reason `low_classifier_score`.

    Attributes:
        model: file of `train-classifier`, its folder, or a `.bin` or `.ftz` of fastText.
        keep: the wanted labels, without `__label__`; empty for all.
        min_score: least probability of these.
        name_language: whether the likeliest label becomes the document's language, as with
            fastText's lid.176.

    Raises:
        InputError: there is no such file, or the classifier has no such label.
    """

    model: str = ""
    keep: tuple[str, ...] = ()
    min_score: float = share(0.5)
    name_language: bool = False

    def __post_init__(self):
        if not self.model:
            raise files.InputError(
                "wrong-recipe",
                "found no model in the step classifier; wanted the path of a file of "
                "train-classifier, or of a .bin or .ftz of fastText",
            )
        labels = _loaded(self.model).labels
        for label in self.keep:
            if label not in labels:
                raise files.InputError(
                    "no-such-label",
                    f"found the label {label!r} in keep of the step classifier; wanted one of "
                    f"{', '.join(labels[:20])}{spelling.suggestion(label, labels)}",
                )
        odd = [label for label in labels if not _LANGUAGE.fullmatch(label)]
        if self.name_language and odd:
            raise files.InputError(
                "wrong-recipe",
                f"found name_language in the step classifier and the label {odd[0]!r}; wanted a "
                "model whose labels are codes of languages, such as en: leave name_language out",
            )

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document, with its language if that is asked for; or `low_classifier_score`."""
        classifier = _loaded(self.model)
        found = classifier.probabilities(document.text)
        best = int(found.argmax())
        places = [classifier.labels.index(label) for label in self.keep] or [best]
        score = min(float(found[places].sum()), 1.0)
        measured["classifier_score"] = score
        if score < self.min_score:
            return "low_classifier_score"
        return (
            document._replace(language=classifier.labels[best]) if self.name_language else document
        )

    def limits(self, language: str) -> dict[str, tuple[float, float]]:
        """Lowest and highest value kept of each measure."""
        return {"classifier_score": (self.min_score, 1.0)}


@functools.lru_cache(4)
def _loaded(path: str) -> LinearClassifier | fasttext_model.FastText:
    return load(path)
