"""Tags of words: named entities, parts of speech. Entities are in IOB2."""

import collections
import dataclasses
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.files import InputError
from roots_tf.metrics import classification
from roots_tf.metrics import tagging as metrics
from roots_tf.tasks import conll, tables
from roots_tf.tasks.finetuning import Charts, FineTuning
from roots_tf.tasks.rows import cut, ragged_range

_TABLES = (".jsonl", ".json", ".csv", ".parquet")
_TEXTS = (*_TABLES, ".tsv", ".txt")


class Words(NamedTuple):
    """Texts, where their words stand in them, in characters [start, end), and the words' tags."""

    texts: list[str]
    starts: list[np.ndarray]
    ends: list[np.ndarray]
    tags: list[tuple[str, ...]]  # empty tuples where there are none
    lines: list[int]
    path: str


@dataclasses.dataclass(frozen=True)
class Tagging(FineTuning):
    """One tag a word, read at the word's first piece (Devlin et al. 2019, section 5.3).

    A word in several windows gets its tag from the one in which it is farthest from the edge.
    """

    name = "tagging"
    score = "f1"
    losses = ("tagging_loss",)
    by_token = True

    def read(self, path, columns, labelled=True):
        """CoNLL files; unlabelled also texts, whose words are cut at spaces and punctuation."""
        suffix = Path(path).suffix
        if labelled and suffix in _TABLES:
            raise InputError(
                f"found {path} for tagging; wanted a CoNLL file: a word and its tag a line, an "
                "empty line between sentences"
            )
        if not labelled and suffix in _TEXTS:
            table = super().read(path, columns, labelled=False)
            words = self.unlabelled({"text": tables.strings(table, "text")})
            return words._replace(lines=table.lines, path=table.path)
        sentences = conll.read(path)
        parts = [conll.text_of(sentence) for sentence in sentences]
        texts, starts, ends = (list(part) for part in zip(*parts, strict=True))
        tags = [sentence.tags if labelled else () for sentence in sentences]
        lines = [sentence.line for sentence in sentences]
        return Words(
            texts, list(map(np.array, starts)), list(map(np.array, ends)), tags, lines, str(path)
        )

    def unlabelled(self, columns):
        """Texts in memory, whose words are cut at spaces and punctuation."""
        texts = columns["text"]
        spans = [np.array([m.span() for m in re.finditer(r"\w+|[^\w\s]", t)]) for t in texts]
        spans = [found.reshape(-1, 2) for found in spans]
        starts, ends = ([found[:, i] for found in spans] for i in range(2))
        lines = list(range(1, len(texts) + 1))
        return Words(texts, starts, ends, [()] * len(texts), lines, "memory")

    def learn(self, examples):
        """This with the tags of the training file, "O" first."""
        names = {tag for tags in examples.tags for tag in tags}
        labels = tuple(sorted(names | {"O"}, key=lambda tag: (tag != "O", tag)))
        return dataclasses.replace(self, labels=labels)

    def make_model(self, config, seed=0):
        """A model with random weights."""
        return models.TokenClassifier(config, self.num_outputs, seed=seed)

    def rows(self, examples, tokenizer, labelled=True):
        """Rows with `words`, the word that starts at a token, or -1; and `tag_ids` likewise."""
        pieces = tokenizer.encode_with_offsets(examples.texts)
        stride = self.stride or max(1, (self.max_seq_length - 2) // 2)
        rows = cut(pieces.ids, pieces.row_splits, tokenizer, self.max_seq_length, stride)
        words, tag_ids = np.full(len(pieces.ids), -1, np.int32), None
        for i, (start, end) in enumerate(
            zip(pieces.row_splits[:-1], pieces.row_splits[1:], strict=True)
        ):
            words[start:end] = first_pieces(
                pieces.ends[start:end], examples.starts[i], examples.ends[i]
            )
        if labelled:
            ids = self._tag_ids(examples)
            first_word = np.cumsum([0, *map(len, ids)])[:-1]
            text_of = np.repeat(np.arange(len(ids)), np.diff(pieces.row_splits))
            flat = np.concatenate([*ids, [-1]]).astype(np.int32)
            tag_ids = np.where(words >= 0, flat[first_word[text_of] + words], -1)
        # A row is [CLS], its pieces, [SEP].
        inside = ragged_range(rows.row_splits[:-1] + 1, rows.row_splits[1:] - 1)
        begin = pieces.row_splits[rows.texts] + rows.pieces
        source = ragged_range(begin, begin + rows.lengths - 2)
        for name, values in (("words", words), ("tag_ids", tag_ids)):
            if values is not None:
                rows.of_tokens[name] = np.full(len(rows.token_ids), -1, np.int32)
                rows.of_tokens[name][inside] = values[source]
        return rows

    def weights(self, batch):
        """Number of words."""
        return {"tagging_loss": tf.reduce_sum(tf.cast(batch["tag_ids"] >= 0, tf.float32))}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `tagging_loss`, in nats a word, and of `tagging_accuracy`."""
        logits, tag_ids = model(batch, seed=seed), batch["tag_ids"]  # [B, L, labels], [B, L]
        kept = tf.cast(tag_ids >= 0, tf.float32)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(tag_ids, 0), logits)
        right = tf.cast(tf.argmax(logits, -1, tf.int32) == tag_ids, tf.float32)
        weight = tf.reduce_sum(kept)
        return {
            "tagging_loss": (tf.reduce_sum(loss * kept), weight),
            "tagging_accuracy": (tf.reduce_sum(right), weight),
        }

    def outputs(self, model, batch):
        """`probabilities` float32 [B, L, labels]."""
        return {"probabilities": tf.nn.softmax(model(batch))}

    def predictions(self, examples, rows, outputs):
        """`tags` of the words, and `entities` with type, place in the text, and score."""
        tags = [["O"] * len(starts) for starts in examples.starts]
        chances = [np.ones(len(starts)) for starts in examples.starts]
        depths = [np.full(len(starts), -1) for starts in examples.starts]
        for row, probabilities in enumerate(outputs["probabilities"]):
            text = rows.texts[row]
            words = rows.of_tokens["words"][rows.row_splits[row] : rows.row_splits[row + 1]]
            for place in np.flatnonzero(words >= 0):
                word, depth = words[place], min(place, len(words) - 1 - place)
                if depth > depths[text][word]:
                    depths[text][word] = depth
                    best = int(probabilities[place].argmax())
                    tags[text][word] = self.labels[best]
                    chances[text][word] = probabilities[place, best]
        return [
            {"text": text, "tags": tags[i], "entities": _entities(examples, i, tags[i], chances[i])}
            for i, text in enumerate(examples.texts)
        ]

    def scores(self, examples, predictions):
        """Precision, recall and F1 of whole entities, all and by type, and accuracy of words."""
        return metrics.scores(
            [list(tags) for tags in examples.tags], [row["tags"] for row in predictions]
        )

    def baseline(self, train, examples):
        """Scores of giving each word the tag that it has most often in training, or "O"."""
        counts = collections.defaultdict(collections.Counter)
        for word, tag in _tagged_words(train):
            counts[word][tag] += 1
        frequent = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
        found = [
            {"tags": [frequent.get(text[a:b], "O") for a, b in zip(starts, ends, strict=True)]}
            for text, starts, ends in zip(
                examples.texts, examples.starts, examples.ends, strict=True
            )
        ]
        return self.scores(examples, found)

    def charts(self, examples, predictions):
        """Confusion matrix of the tags of words."""
        index = {name: i for i, name in enumerate(self.labels)}
        found = [index[tag] for row in predictions for tag in row["tags"]]
        wanted = [tag for tags in self._tag_ids(examples) for tag in tags]
        matrix = classification.confusion(np.array(wanted), np.array(found), len(self.labels))
        return Charts(matrix, {})

    def _tag_ids(self, examples: Words) -> list[list[int]]:
        """Index of the tag of each word."""
        index = {name: i for i, name in enumerate(self.labels)}
        for tags, line in zip(examples.tags, examples.lines, strict=True):
            for place, tag in enumerate(tags):
                if tag not in index:
                    raise InputError(
                        f"found tag {tag!r} in {examples.path}, line {line + place}; wanted one of "
                        f"the training file: {', '.join(self.labels[:20])}"
                    )
        return [[index[tag] for tag in tags] for tags in examples.tags]


def first_pieces(piece_ends: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The word that each piece of a text is the first piece of, or -1.

    A piece belongs to the word that holds its last character: pieces may begin with the space
    before a word.

    >>> first_pieces(np.array([2, 5, 6, 11]), starts=np.array([0, 6]), ends=np.array([5, 11]))
    array([ 0, -1, -1,  1])

    Args:
        piece_ends: where pieces end, in characters.
        starts: where words start.
        ends: where words end, exclusive.
    """
    if not len(starts):
        return np.full(len(piece_ends), -1, np.int32)
    last = piece_ends - 1
    word = np.minimum(np.searchsorted(ends, last, side="right"), len(starts) - 1)
    word = np.where((starts[word] <= last) & (last < ends[word]), word, -1)
    first = np.ones(len(word), bool)
    first[np.flatnonzero(word >= 0)[1:]] = np.diff(word[word >= 0]) != 0
    return np.where(first, word, -1).astype(np.int32)


def _tagged_words(examples: Words):
    """Every word and its tag."""
    for text, starts, ends, tags in zip(*examples[:4], strict=True):
        for start, end, tag in zip(starts, ends, tags, strict=True):
            yield text[start:end], tag


def _entities(examples: Words, index: int, tags: list[str], chances: np.ndarray) -> list[dict]:
    """Entities of one text, in characters."""
    text, starts, ends = (part[index] for part in examples[:3])
    return [
        {
            "type": kind,
            "start": int(starts[first]),
            "end": int(ends[last - 1]),
            "text": text[starts[first] : ends[last - 1]],
            "score": float(chances[first:last].mean()),
        }
        for kind, first, last in metrics.entities(tags)
    ]
