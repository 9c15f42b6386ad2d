"""Tags of words: named entities, parts of speech. Entities are in IOB2."""

import collections
import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from roots_tf import models, spelling, words
from roots_tf.labelled import conll, lazy_text, tables, tagged_tables, word_units
from roots_tf.labelled.text_files import TABLES, suffix_of
from roots_tf.labelled.token_rows import cut, ragged_range
from roots_tf.losses import Scalar
from roots_tf.metrics import classification
from roots_tf.metrics import tagging as metrics
from roots_tf.storage.files import InputError
from roots_tf.tasks import tagging_graph
from roots_tf.tasks.finetuning import Charts, FineTuning
from roots_tf.tasks.leaving import TransformersHead
from roots_tf.tasks.per_text import right_answers, unlabelled_source

_AGREES = 0.99  # share of the words of a file from which a cut of raw text is like them
_EITHER = (".tsv", ".txt")  # of tagged words, or of texts without tags


class TaggedTexts(NamedTuple):
    """Texts, the places of their words in characters [start, end), and the words' tags.

    Words are those of a file, or cut from raw texts: `is_raw`.
    """

    texts: list[str]
    starts: list[np.ndarray]
    ends: list[np.ndarray]
    tags: list[tuple[str, ...]]  # empty tuples where there are none
    lines: list  # of raw texts the line of each, else those of its words
    path: str
    is_raw: bool = False


@dataclasses.dataclass(frozen=True)
class Tagging(FineTuning):
    """One tag a word, read at the word's first piece (Devlin et al. 2019, section 5.3).

    A word in several windows gets its tag from the one in which it is farthest from the edge.

    Attributes:
        labels: the tags, "O" first.
        word_unit: how the words of the training file were made, and raw text is cut.
        language: by whose segmenter words are cut, of the unit "segmented".
        segmenter: what that was in training, with its version.
    """

    labels: tuple[str, ...] = ()
    word_unit: word_units.Unit = "spaces"
    language: str = ""
    segmenter: str = ""

    name = "tagging"
    score = "f1"
    scalars = (
        Scalar("tagging_loss", "loss", is_loss=True),
        Scalar("tagging_accuracy", "accuracy"),
    )
    model = "token_classifier"
    by_token = True
    in_windows = True
    agrees_on = "tags"
    pipeline_tag = "token-classification"
    use = "gives the words of a text one of {labels} each"
    transformers = TransformersHead("BertForTokenClassification")

    @property
    def window_stride(self) -> int:
        """Tokens from the start of a window to that of the next."""
        return self.stride or max(1, (self.max_seq_length - 2) // 2)

    @property
    def outside(self) -> int:
        """Index of the tag "O".

        Raises:
            InputError: the labels lack it, as those of parts of speech do.
        """
        if "O" not in self.labels:
            raise InputError(
                "wrong-model-kind",
                f'found no tag "O" among the {len(self.labels)} labels of the model; wanted tags '
                "such as O, B-X and I-X, as `finetune --task=tagging` learns them",
            )
        return self.labels.index("O")

    def read(self, path, columns, labelled=True, encoding="utf-8"):
        """CoNLL files; unlabelled also texts, whose words are cut as those of the training file."""
        suffix = suffix_of(path)
        if not labelled and (source := self.source(path, columns, encoding)):
            return self.of_table(source.read())
        if labelled and suffix in TABLES and suffix not in (*_EITHER, tagged_tables.SUFFIX):
            raise InputError(
                "unknown-suffix",
                f"found {path} for tagging; wanted a CoNLL file: a word and its tag a line, an "
                "empty line between sentences; or .parquet with tokens and tags",
            )
        if suffix == tagged_tables.SUFFIX:
            sentences = tagged_tables.read(str(path), columns, labelled)
        else:
            tables.refuse_columns(columns, path)
            sentences = conll.read(path, labelled, encoding)
        unit = word_units.told_from(sentence.words for sentence in sentences).unit
        columns = [_columns(sentence, self.word_unit) for sentence in sentences]
        parts = [word_units.join(sentence, unit) for sentence, _, _ in columns]
        texts, starts, ends = (list(part) for part in zip(*parts, strict=True))
        tags = [tags if labelled else () for _, tags, _ in columns]
        return TaggedTexts(texts, starts, ends, tags, [at for *_, at in columns], str(path))

    def source(self, path, columns, encoding="utf-8"):
        """Texts, where the file has no words of its own."""
        has_words = (suffix := suffix_of(path)) not in TABLES
        if suffix == tagged_tables.SUFFIX:
            has_words = tagged_tables.has_tokens(str(path), columns)
        elif suffix in _EITHER:
            has_words = conll.is_tagged(lazy_text.text_of(path, encoding))
        return None if has_words else unlabelled_source(path, columns, encoding)

    def of_table(self, table):
        """Texts, whose words are cut as those of the training file."""
        words = self.unlabelled({"text": tables.strings(table, "text")})
        return words._replace(lines=table.lines, path=table.path)

    def labels_of(self, examples):
        """The tags of each text."""
        return [*examples.tags]

    def unlabelled(self, columns):
        """Texts in memory, whose words are cut as those of the training file."""
        texts = columns["text"]
        self._warn_of_other_words(texts)
        spans = [word_units.places(text, self.word_unit, self.language) for text in texts]
        starts, ends = ([places[:, i] for places in spans] for i in range(2))
        lines = list(range(1, len(texts) + 1))
        return TaggedTexts(texts, starts, ends, [()] * len(texts), lines, "memory", is_raw=True)

    def _warn_of_other_words(self, texts: list[str]) -> None:
        """Says where raw texts cannot be cut into words such as the tagger has learned."""
        if self.word_unit == "segmented" and self.segmenter != words.segmenter(self.language):
            logging.warning(
                "words are cut here by %s, and those of training by %s: tags may differ",
                *(words.segmenter(self.language), self.segmenter),
            )
        unspaced = sum(bool(words.language_of(text)) for text in texts)
        if self.word_unit == "spaces" and unspaced:
            logging.warning(
                "%d of %d texts are of scripts without spaces, and this tagger learned words "
                "between spaces: each clause is one word. Train one on a file of such a script",
                *(unspaced, len(texts)),
            )

    def with_characters(self):
        """This kind, which parts the words of scripts without spaces into characters."""
        return dataclasses.replace(self, word_unit="characters_and_words")

    def learn(self, examples):
        """This kind with the tags of the training file, "O" first, and how its words were made."""
        names = {tag for tags in examples.tags for tag in tags}
        labels = tuple(sorted(names | {"O"}, key=lambda tag: (tag != "O", tag)))
        unit, language = word_units.told_from(_words(examples))
        segmenter = words.segmenter(language) if language else ""
        if remark := words.remark(language):
            logging.warning(remark)
        return dataclasses.replace(
            self, labels=labels, word_unit=unit, language=language, segmenter=segmenter
        )

    def make_model(self, config, seed=0, precision="float32", recompute=False):
        """A model with random weights: logits of each token. As for `models.TokenClassifier`."""
        return models.TokenClassifier(config, self.num_outputs, seed, precision, recompute)

    def rows(self, examples, tokenizer, labelled=True):
        """Rows with `words`, the word that starts at a token, or -1; and `tag_ids` likewise."""
        texts, starts, ends = examples[:3]
        if self.word_unit != "spaces" or not examples.is_raw:
            # Each word has pieces of its own, with every tokenizer.
            parts = [word_units.join(sentence, "spaces") for sentence in _words(examples)]
            texts, starts, ends = zip(*parts, strict=True) if parts else ((), (), ())
        pieces = tokenizer.encode_with_offsets(list(texts))
        rows = cut(
            pieces.ids, pieces.row_splits, tokenizer, self.max_seq_length, self.window_stride
        )
        word_ids, tag_ids = np.full(len(pieces.ids), -1, np.int32), None
        for i, (start, end) in enumerate(itertools.pairwise(pieces.row_splits)):
            word_ids[start:end] = first_pieces(pieces.ends[start:end], starts[i], ends[i])
        if labelled:
            ids = self._tag_ids(examples)
            first_word = np.cumsum([0, *map(len, ids)])[:-1]
            text_of = np.repeat(np.arange(len(ids)), np.diff(pieces.row_splits))
            flat = np.concatenate([*ids, [-1]]).astype(np.int32)
            tag_ids = np.where(word_ids >= 0, flat[first_word[text_of] + word_ids], -1)
        # A row is [CLS], its pieces, [SEP].
        inside = ragged_range(rows.row_splits[:-1] + 1, rows.row_splits[1:] - 1)
        begin = pieces.row_splits[rows.texts] + rows.pieces
        source = ragged_range(begin, begin + rows.lengths - 2)
        for name, values in (("words", word_ids), ("tag_ids", tag_ids)):
            if values is not None:
                rows.of_tokens[name] = np.full(len(rows.token_ids), -1, np.int32)
                rows.of_tokens[name][inside] = values[source]
        return rows

    def answer_weights(self, batch):
        """1 where a word starts."""
        return tf.cast(batch["words"] >= 0, tf.float32)

    def weights(self, batch):
        """Number of words."""
        return {"tagging_loss": tf.reduce_sum(tf.cast(batch["tag_ids"] >= 0, tf.float32))}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `tagging_loss`, in nats a word, and of `tagging_accuracy`."""
        logits, tag_ids = self.answers_of(model, batch, seed), batch["tag_ids"]
        kept = tf.cast(tag_ids >= 0, tf.float32)  # [B, L]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(tag_ids, 0), logits)
        weight = tf.reduce_sum(kept)
        return {
            "tagging_loss": (tf.reduce_sum(loss * kept), weight),
            "tagging_accuracy": (tf.reduce_sum(right_answers(logits, tag_ids)), weight),
        }

    def outputs(self, model, batch):
        """`probabilities` float32 [B, L, labels]."""
        return {"probabilities": tf.nn.softmax(self.answers_of(model, batch))}

    def predictions(self, examples, rows, outputs):
        """`tags` of the words, and `entities` with type, place in the text, and score."""
        splits = np.cumsum([0, *map(len, examples.starts)])  # of texts among their words
        row = np.repeat(np.arange(len(rows)), rows.lengths)
        place = np.arange(len(row)) - rows.row_splits[row]
        word_ids = rows.of_tokens["words"]
        starts = word_ids >= 0
        tags, probabilities = tagging_graph.tags_of_words(
            tf.constant(np.concatenate(outputs["probabilities"])[starts]),
            tf.constant(row[starts], tf.int32),
            tf.constant(place[starts], tf.int32),
            tf.constant(rows.lengths, tf.int32),
            tf.constant((word_ids + splits[rows.texts[row]])[starts], tf.int32),
            tf.constant(splits[-1], tf.int32),
            outside=self.outside,
        )
        names = [self.labels[tag] for tag in tags.numpy()]
        probabilities = probabilities.numpy().astype(np.float64)
        return [
            {
                "text": text,
                "tags": names[start:end],
                "entities": _entities(examples, i, names[start:end], probabilities[start:end]),
            }
            for i, (text, start, end) in enumerate(
                zip(examples.texts, splits[:-1], splits[1:], strict=True)
            )
        ]

    def scores(self, examples, predictions):
        """Precision, recall and F1 of whole entities, all and by type, and accuracy of words."""
        return metrics.scores(
            [list(tags) for tags in examples.tags], [row["tags"] for row in predictions]
        )

    def golds(self, examples):
        """The tags of the words of each text."""
        return [list(tags) for tags in examples.tags]

    def conditions(self, examples):
        """How raw text is cut, and the share of the file's words that such a cut gives."""
        told = word_units.Told(self.word_unit, self.language)
        share = word_units.agreement(*examples[:3], told)
        if share < _AGREES:
            logging.warning(
                "%s: raw text is cut into words by the unit %s, which gives %.1f %% of the file's "
                "own words: on raw text the tagger does worse than its scores here say",
                *(examples.path, self.word_unit, 100 * share),
            )
        return {"word_unit": self.word_unit, "words_as_in_raw_text": share}

    def baseline(self, train, examples):
        """Scores of giving each word the tag that it has most often in training, or "O"."""
        counts = collections.defaultdict(collections.Counter)
        for word, tag in _tagged_words(train):
            counts[word][tag] += 1
        frequent = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
        answers = [
            {"tags": [frequent.get(word, "O") for word in sentence]}
            for sentence in _words(examples)
        ]
        return self.scores(examples, answers)

    def charts(self, examples, predictions):
        """Confusion matrix of the tags of words."""
        index = {name: i for i, name in enumerate(self.labels)}
        predicted = [index[tag] for row in predictions for tag in row["tags"]]
        right = [tag for tags in self._tag_ids(examples) for tag in tags]
        matrix = classification.confusion(np.array(right), np.array(predicted), len(self.labels))
        return Charts(matrix, {})

    def served(self, model, tokenizer):
        """Tags and entities of texts.

        Raises:
            InputError: words are segmented by a library, which no graph holds.
        """
        if self.word_unit == "segmented":
            raise InputError(
                "cannot-export",
                f"found a tagger of segmented words ({self.segmenter}), which no graph can cut; "
                "wanted one of characters: finetune it with --word_unit=characters. `roots "
                "predict` answers as it is",
            )
        return tagging_graph.ServedTags(self, model, tokenizer)

    def text_settings(self):
        """How texts are cut into words, which are tokenized with a space between."""
        return {"word_unit": self.word_unit, "language": self.language}

    def _tag_ids(self, examples: TaggedTexts) -> list[list[int]]:
        """Index of the tag of each word."""
        index = {name: i for i, name in enumerate(self.labels)}
        for tags, lines in zip(examples.tags, examples.lines, strict=True):
            for tag, line in zip(tags, lines, strict=True):
                if tag not in index:
                    raise InputError(
                        "no-such-label",
                        f"found tag {tag!r} in {examples.path}, line {line}; wanted one of "
                        f"the training file: {', '.join(self.labels[:20])}"
                        f"{spelling.suggestion(tag, self.labels)}",
                    )
        return [[index[tag] for tag in tags] for tags in examples.tags]


def first_pieces(piece_ends: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The word that each piece of a text is the first piece of, or -1: int32 [pieces].

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


def _columns(sentence: conll.Sentence, unit: word_units.Unit) -> list[tuple]:
    """Words, tags and lines of a sentence, its words parted where a tagger knows characters."""
    tags = sentence.tags or ("",) * len(sentence.words)
    rows = [
        (*part, sentence.line + place)
        for place, tagged in enumerate(zip(sentence.words, tags, strict=True))
        for part in word_units.parted(*tagged, unit)
    ]
    return [*zip(*rows, strict=True)]


def _words(examples: TaggedTexts):
    """The words of each text."""
    for text, starts, ends in zip(*examples[:3], strict=True):
        yield [text[start:end] for start, end in zip(starts, ends, strict=True)]


def _tagged_words(examples: TaggedTexts):
    """Every word and its tag."""
    for sentence, tags in zip(_words(examples), examples.tags, strict=True):
        yield from zip(sentence, tags, strict=True)


def _entities(
    examples: TaggedTexts, index: int, tags: list[str], probabilities: np.ndarray
) -> list[dict]:
    """Entities of one text, in characters."""
    text, starts, ends = (part[index] for part in examples[:3])
    return [
        {
            "type": entity_type,
            "start": int(starts[first]),
            "end": int(ends[last - 1]),
            "text": text[starts[first] : ends[last - 1]],
            "score": float(probabilities[first:last].mean()),
        }
        for entity_type, first, last in metrics.entities(tags)
    ]
