"""Held-out bits a byte of causal language models beside an n-gram model over the same ids.

    python -m benchmarks.language_model --models=runs/gpt/model --train=runs/documents \
        --held_out=held_out.txt

The n-gram model, which neural ones replaced, is a 5-gram with interpolated Kneser-Ney smoothing
(Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling", section
3), counted in NumPy: exact, about 500 bytes of memory a token of training. All read the same
documents, cut by the tokenizer of the first model; each is scored from its begin to its end of
text, which is predicted. Prints a row a model.
"""

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence

import numpy as np

from roots_tf import models, program, scoring, tokenizers
from roots_tf.corpus import reading
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    models: tuple[str, ...] = program.flag(help="model folders of causal language models")
    train: tuple[str, ...] = program.flag(help="documents that the n-grams are counted in")
    held_out: tuple[str, ...] = program.flag(help="documents that are scored")
    documents: reading.Layout = program.flag("file", help="what a document is in plain text")
    order: int = program.flag(5, help="tokens of an n-gram", minimum=1, maximum=10)
    stride: int = program.flag(0, help="of windows; 0: half of one", minimum=1, maximum=1 << 20)


class KneserNey:
    """An interpolated Kneser-Ney model: each order takes from the one below what it lacks.

        p_n(w | h) = max(c(h w) - D_n, 0) / c(h) + D_n N(h) / c(h) p_n-1(w | h without its first)

    with c the counts of the highest order, and below it those of different tokens before an n-gram;
    N(h) the number of different tokens behind h; D = n1 / (n1 + 2 n2), of n1 and n2 n-grams that
    count once and twice. Below order 1 all ids are alike. Where h did not occur, p_n-1 stands.

    Args:
        order: n.
        vocabulary_size: number of ids.
        documents: ids of each, without its begin.
        begin_id: stands n - 1 times before each document, and is not predicted.
    """

    def __init__(
        self, order: int, vocabulary_size: int, documents: Sequence[np.ndarray], begin_id: int
    ):
        self.order, self.vocabulary_size, self._begin_id = order, vocabulary_size, begin_id
        words, histories = self._places(documents)
        contexts = np.zeros(len(words), np.int64)  # of length 0: the empty one
        self._keys, self._orders, ngrams, suffixes = [], [], [], []
        for length in range(order):
            if length:
                keys = contexts * vocabulary_size + histories[length - 1]
                unique, contexts = np.unique(keys, return_inverse=True)
                self._keys.append(unique)
            keys = contexts * vocabulary_size + words
            unique, first, of_place = np.unique(keys, return_index=True, return_inverse=True)
            ngrams.append((unique, of_place))
            suffixes.append(first)
        for length, (unique, of_place) in enumerate(ngrams):
            if length == order - 1:
                counts = np.bincount(of_place, minlength=len(unique))
            else:  # different tokens before: n-grams one longer, each once
                counts = np.bincount(of_place[suffixes[length + 1]], minlength=len(unique))
            of_context = unique // vocabulary_size
            ones, twos = (int((counts == n).sum()) for n in (1, 2))
            discount = ones / (ones + 2 * twos) if ones + twos else 0.5
            totals = np.bincount(of_context, weights=counts)
            kinds = np.bincount(of_context)
            self._orders.append((unique, counts, totals, kinds, discount))

    def probabilities(self, documents: Sequence[np.ndarray]) -> np.ndarray:
        """Probability of each id of the `documents`, float64, one document after the other."""
        words, histories = self._places(documents)
        found = np.full(len(words), 1 / self.vocabulary_size)
        contexts = np.zeros(len(words), np.int64)
        for length, (unique, counts, totals, kinds, discount) in enumerate(self._orders):
            if length:
                keys = contexts * self.vocabulary_size + histories[length - 1]
                contexts = np.where(contexts < 0, -1, _index(self._keys[length - 1], keys))
            known = contexts >= 0
            context = contexts[known]
            ngram = _index(unique, context * self.vocabulary_size + words[known])
            count = np.where(ngram < 0, 0, counts[ngram])
            kept = np.maximum(count - discount, 0) / totals[context]
            found[known] = kept + discount * kinds[context] / totals[context] * found[known]
        return found

    def _places(self, documents) -> tuple[np.ndarray, list[np.ndarray]]:
        """Each id that is predicted, and those one, two, ... places before it."""
        padding = np.full(self.order - 1, self._begin_id, np.int64)
        stream = np.concatenate([part for document in documents for part in (padding, document)])
        sizes = np.array([len(document) for document in documents])
        starts = np.cumsum(sizes + len(padding)) - sizes
        places = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
        return stream[places], [stream[places - back] for back in range(1, self.order)]


def _index(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Place of each wanted key among the sorted `keys`; -1 where it is not."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)


def main(config: Config) -> None:
    """Prints bits a byte of each model."""
    tokenizer = tokenizers.load(config.models[0])
    held_out = list(_texts(config.held_out, config.documents))
    size = sum(len(text.encode()) for text in held_out)
    print(f"{'':<40} {'bits a byte':>12} {'perplexity':>12} {'seconds':>8}")
    start = time.perf_counter()
    train = _ids(tokenizer, _texts(config.train, config.documents))
    ngrams = KneserNey(config.order, tokenizer.size, train, tokenizer.bos_id)
    nats = -np.log(ngrams.probabilities(_ids(tokenizer, held_out)))
    _show(f"{config.order}-gram, {sum(map(len, train))} tokens", nats.sum(), size, len(nats), start)
    for folder in config.models:
        start = time.perf_counter()
        tokenizer, model = tokenizers.load(folder), models.load(folder)
        room = model.config.max_sequence_length
        scorer = scoring.Scorer(model, tokenizer.pad_id or 0)
        stride = config.stride or room // 2
        found = scoring.of_texts(scorer, held_out, tokenizer, room=room, stride=stride)
        _show(folder[-40:], found.nats, found.num_bytes, found.tokens, start)


def _texts(patterns: Sequence[str], layout) -> Iterator[str]:
    """Documents that are not empty."""
    for document in reading.read_documents(files.expand(patterns), layout):
        if document.text.strip():
            yield document.text


def _ids(tokenizer, texts) -> list[np.ndarray]:
    """Ids of each text, with its end."""
    ids = [tokenizer.encode([text])[0] for text in texts]
    return [np.append(part, tokenizer.eos_id).astype(np.int64) for part in ids]


def _show(name: str, nats: float, num_bytes: int, tokens: int, start: float) -> None:
    bits, seconds = nats / math.log(2) / num_bytes, time.perf_counter() - start
    print(f"{name:<40} {bits:>12.4f} {math.exp(nats / tokens):>12.2f} {seconds:>8.1f}")


if __name__ == "__main__":
    program.run(main, Config)
