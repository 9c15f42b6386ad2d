"""Classes told by the words that a masked language model fills in: pattern-exploiting training.

A template puts a text beside a [MASK], a verbalizer gives each label words that may stand there,
and the label whose words are likeliest is the answer (Schick & Schütze 2021, arXiv:2001.07676,
section 3). The head of pretraining answers, so that no weight is new.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.labelled import tables
from roots_tf.labelled.token_rows import ungrouped
from roots_tf.losses import Scalar
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number
from roots_tf.tasks import graph_rows
from roots_tf.tasks.classification import Classification, ServedClasses
from roots_tf.tasks.cloze_rows import Filled, parse
from roots_tf.tasks.leaving import TransformersHead
from roots_tf.tasks.of_flags import OfFlags
from roots_tf.tasks.prediction import predict
from roots_tf.tasks.served_graph import TOKENS_AT_ONCE

CONTENT_FREE = ("", "N/A")  # Zhao et al. 2021, section 5, with [MASK], which texts cannot hold


@dataclasses.dataclass(frozen=True)
class Cloze(Classification):
    """The label whose words a masked language model likes best where a template has its [MASK].

    A word of n pieces has n masks, and the mean of its pieces' log-probabilities; a text has a row
    for each number of pieces that words have. A label has the mean over its words (section 3.1
    there, of logits), less `priors`.

    Attributes:
        template: see `cloze_rows.parse`.
        words: of each label, as `labels` has them; none until they are given or learned.
        pieces: ids of the pieces of each word of each label.
        mask_id: id of [MASK].
        priors: log-probabilities of the labels that are taken off, or none: what a template alone
            says (Zhao et al. 2021, arXiv:2102.09690, section 5).
    """

    template: str = "{text} [MASK]."
    words: tuple[tuple[str, ...], ...] = ()
    pieces: tuple[tuple[tuple[int, ...], ...], ...] = number((), minimum=0)
    mask_id: int = number(0, minimum=0)
    priors: tuple[float, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        found = [len(self.words), len(self.pieces), len(self.priors)]
        words, pieces = ([*map(len, of_labels)] for of_labels in (self.words, self.pieces))
        if {*found} - {0, len(self.labels)} or (pieces and pieces != words):
            raise InputError(
                "wrong-json",
                f"found words, pieces and priors of {found} labels; wanted them of the "
                f"{len(self.labels)}, and pieces of every word",
            )

    name = "cloze"
    scalars = (
        Scalar("cloze_loss", "loss", is_loss=True),
        Scalar("cloze_accuracy", "accuracy"),
    )
    model = "pretrainer"
    of_decoders = False
    answers_untrained = True
    distilled = False
    with_soft_labels = OfFlags.with_soft_labels  # refused
    rows_read = 1  # by the model, of a row
    use = "gives a text one of {labels}, by the words that it would write into a template"
    transformers = TransformersHead(problem_types=(None,))

    @property
    def masks(self) -> tuple[int, ...]:
        """Numbers of [MASK] that rows have, in order."""
        return tuple(sorted({len(word) for word in itertools.chain(*self.pieces)})) or (1,)

    @property
    def grouped(self) -> bool:
        """Whether words differ in their number of pieces."""
        return len(self.masks) > 1

    def with_template(self, path):
        """This kind with a template, in place of the `path` of a file."""
        parts = parse(path)
        pairs = any(part.name == "text_pair" for part in parts)
        return dataclasses.replace(self, template=path, pairs=pairs)

    def with_verbalizer(self, verbalizer):
        """This kind with words of its labels."""
        return dataclasses.replace(self, **words_of(verbalizer))

    def learn(self, examples):
        """This kind with the labels of the file, each its own word, unless words were given.

        Raises:
            InputError: a label has no words, or a stride is given.
        """
        if self.stride:
            raise InputError(
                "flags-conflict",
                f"found stride={self.stride} for {self.name}; wanted 0: a text is one row",
            )
        found = sorted(set(tables.labels(examples, self.answer_column)))
        if not self.words:
            labels = {"labels": tuple(found), "words": tuple((label,) for label in found)}
            return dataclasses.replace(self, **labels)
        if lacking := [label for label in found if label not in self.labels]:
            raise InputError(
                "wrong-template",
                f"found the label {lacking[0]!r} in {examples.path} without words; wanted "
                f"--verbalizer to have {lacking[0]}=WORD, beside {', '.join(self.labels)}",
            )
        return self

    def filled(self, tokenizer) -> Filled:
        """The template as a `tokenizer` writes it."""
        return Filled(self.template, tokenizer, self.max_seq_length)

    def of_tokenizer(self, tokenizer):
        """This kind with the pieces of its words.

        Raises:
            InputError: the tokenizer cannot write a word, writes two labels alike, or has no
                [MASK]; or the template leaves no room.
        """
        filled, not_words = self.filled(tokenizer), {*tokenizer.special_ids, tokenizer.unk_id}
        flat = [filled.spaces["mask"] + word for word in itertools.chain(*self.words)]
        ids, splits = tokenizer.encode(flat)
        pieces = [tuple(part.tolist()) for part in np.split(ids, splits[1:-1])]
        labels = [
            label for label, words in zip(self.labels, self.words, strict=True) for _ in words
        ]
        owner = {}
        for word, label, part in zip(flat, labels, pieces, strict=True):
            if not part or not_words & {*part}:
                raise InputError(
                    "wrong-template",
                    f"found the word {word.strip()!r} of the label {label!r}, which the vocabulary "
                    "cannot write; wanted another word in --verbalizer",
                )
            if owner.setdefault(part, label) != label:
                raise InputError(
                    "wrong-template",
                    f"found the word {word.strip()!r} of the labels {owner[part]!r} and {label!r}, "
                    "to this vocabulary the same; wanted words that tell them apart",
                )
        filled.check(max(map(len, pieces)))
        rest = iter(pieces)
        by_label = tuple(tuple(itertools.islice(rest, len(words))) for words in self.words)
        return dataclasses.replace(self, pieces=by_label, mask_id=filled.mark)

    def rows(self, examples, tokenizer, labelled=True):
        """Rows of the template, a group for every text where words differ in length."""
        filled = self.filled(tokenizer)
        texts = {name: tables.strings(examples, name) for name in filled.texts}
        rows = filled.rows(texts, self.masks)
        if labelled:
            rows.of_rows |= {
                name: values[rows.texts] for name, values in self.targets(examples).items()
            }
        return rows

    def make_model(self, config, seed=0, precision="float32", recompute=False):
        """A masked language model with random weights; arguments as for `models.Pretrainer`."""
        return models.Pretrainer(config, seed, precision, recompute)

    def features(self, batch):
        """Rows, with `masked_lm_positions` int32 [R, P], the first places of [MASK]."""
        rows = ungrouped(batch)
        is_mask = (rows["token_ids"] == self.mask_id) & rows["padding_mask"]
        # Of equals the first come first; a row of fewer masks goes on with places not looked at.
        places = tf.argsort(tf.cast(~is_mask, tf.int32), stable=True)[:, : self.masks[-1]]
        return rows | {"masked_lm_positions": places}

    def scores_of_words(self, logits) -> tf.Tensor:
        """Log-probability of a piece of each word, in the mean, of each row.

        Args:
            logits: float32 [R * P, V].

        Returns:
            float32 [R, words]: each word as if it had the row's masks.
        """
        most, vocabulary = self.masks[-1], logits.shape[-1]
        words = [*itertools.chain(*self.pieces)]
        places = [[p * vocabulary + i for p, i in enumerate(word)] for word in words]
        padded = tf.constant([place + [0] * (most - len(place)) for place in places])
        share = [[1 / len(w)] * len(w) + [0.0] * (most - len(w)) for w in words]  # [words, P]
        flat = tf.reshape(tf.nn.log_softmax(logits), [-1, most * vocabulary])
        return tf.reduce_sum(tf.gather(flat, padded, axis=1) * tf.constant(share), -1)

    def word_scores(self, model, batch, seed=None) -> tf.Tensor:
        """What a model says of the words, float32 [R, words], as `of_words` takes it.

        Args:
            model: as `make_model` gives it.
            batch: of the kind's rows.
            seed: int32 [2] for dropout, or None.
        """
        output = model(self.features(batch), seed=seed)
        return self.scores_of_words(output["masked_lm_logits"])

    def of_texts(self, scores) -> tf.Tensor:
        """The score of each word in the row that has its masks: [R, words] -> [B, words]."""
        masks, words = self.masks, [*itertools.chain(*self.pieces)]
        row = tf.one_hot([masks.index(len(word)) for word in words], len(masks), axis=0)
        scores = tf.reshape(scores, [-1, len(masks), len(words)])  # [B, group, words]
        return tf.reduce_sum(scores * row, 1)

    def of_words(self, scores) -> tf.Tensor:
        """Logits of the labels [B, labels], from `scores` [R, words], as `word_scores` has them."""
        labels = [index for index, words in enumerate(self.pieces) for _ in words]
        share = tf.one_hot(labels, len(self.pieces)) / [[len(self.pieces[i])] for i in labels]
        return tf.matmul(self.of_texts(scores), share) - (self.priors or 0.0)

    def answers(self, output, batch):
        """Logits of the labels [B, labels], from the model's output."""
        return self.of_words(self.scores_of_words(output["masked_lm_logits"]))

    def with_priors(self, model, tokenizer):
        """This kind with the log-probabilities that a model gives to labels of empty texts.

        Args:
            model: as `make_model` gives it.
            tokenizer: its own.
        """
        without = dataclasses.replace(self, priors=())
        filled = self.filled(tokenizer)
        rows = filled.rows(dict.fromkeys(filled.texts, list(CONTENT_FREE)), self.masks)
        found = predict(without, model, rows, len(CONTENT_FREE), tokenizer.causal_pad_id)
        mean = np.mean(found["probabilities"], axis=0, dtype=np.float64)
        least = np.finfo(np.float32).tiny  # of a label that is all but impossible
        return dataclasses.replace(self, priors=tuple(np.log(np.maximum(mean, least)).tolist()))

    def weights(self, batch):
        """Weight of the labels."""
        return {"cloze_loss": super().weights(batch)["classification_loss"]}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `cloze_loss`, in nats over the labels alone, and of `cloze_accuracy`."""
        found = super().sums(model, batch, seed)
        return {name.replace("classification", "cloze"): value for name, value in found.items()}

    def served(self, model, tokenizer):
        """Label and probabilities of texts."""
        return ServedCloze(self, model, tokenizer)

    def row_output(self, output, features):
        """Logits of the labels."""
        return {"logits": self.answers(output, features)}

    def text_settings(self):
        """The template and the masks in it."""
        return {"template": self.template, "masks": list(self.masks)}


class ServedCloze(ServedClasses):
    """`label`, `score` and `probabilities` as of classes, from rows of a template."""

    def __init__(self, kind, model, tokenizer):
        """Arguments as for `ServedKind`."""
        super().__init__(kind, model, tokenizer)
        self.ids_rank = 3 if kind.grouped else 2
        self._filled = kind.filled(tokenizer)
        self._filled.check(kind.masks[-1])

    def features(self, inputs):
        """Features [B, L], or [B, group, L]."""
        ids = {}
        for name in self._filled.texts:
            texts = tf.strings.unicode_transcode(inputs[name], "UTF-8", "UTF-8")
            texts = tf.strings.join([self._filled.spaces[name], texts])
            ids[name] = graph_rows.plain_ids(texts, self.tokenizer, self.graph)
        made = [self._filled.features(ids, number) for number in self.kind.masks]
        if len(made) == 1:
            return made[0]
        return {name: tf.stack([one[name] for one in made], 1) for name in made[0]}

    def of_rows(self, features):
        """`words` [R, words]: `Cloze.word_scores`."""
        return {"words": self.kind.word_scores(self.model, features)}

    def answers(self, inputs):
        """The label of each text."""
        rows = ungrouped(self.features(inputs))
        lengths = tf.reduce_sum(tf.cast(rows["padding_mask"], tf.int32), 1)
        at_once = TOKENS_AT_ONCE // self.kind.rows_read
        return self._of_words(graph_rows.by_length(self.of_rows, rows, lengths, at_once))

    def of_ids(self, features):
        """The label of each row, or group of rows."""
        return self._of_words(self.of_rows(features))

    def _of_words(self, outputs):
        return self._best(tf.nn.softmax(self.kind.of_words(outputs["words"])))


def words_of(verbalizer: Sequence[str]) -> dict[str, tuple]:
    """Fields `labels` and `words` of a verbalizer.

    >>> words_of(["positive=great|good", "negative=bad"])
    {'labels': ('negative', 'positive'), 'words': (('bad',), ('great', 'good'))}

    Args:
        verbalizer: `label=word|word` of each label.

    Raises:
        InputError: it is not of this form, has a label or a word of a label twice, or one label.
    """
    found = {}
    for given in verbalizer:
        label, equals, listed = (part.strip() for part in given.rpartition("="))
        words = tuple(word.strip() for word in listed.split("|"))
        if not (label and equals and all(words)):
            raise InputError(
                "wrong-template",
                f"found {given!r} in --verbalizer; wanted LABEL=WORD or LABEL=WORD|WORD, and "
                "commas between labels",
            )
        if label in found or len(set(words)) < len(words):
            twice = label if label in found else max(words, key=words.count)
            raise InputError(
                "named-twice", f"found {twice!r} twice in --verbalizer; wanted it once"
            )
        found[label] = words
    if len(found) < 2:
        raise InputError(
            "too-few-labels", f"found {len(found)} label in --verbalizer; wanted two or more"
        )
    labels = tuple(sorted(found))
    return {"labels": labels, "words": tuple(found[label] for label in labels)}
