"""Vectors of texts, learned from pairs that belong together, or from texts alone.

The vector of a text is to be nearer to that of its positive than to those of all other texts of the
batch (Gao et al. 2021, SimCSE, arXiv:2104.08821). Without positives a text is its own: the two
vectors differ by their dropout masks (section 3 there).
"""

import dataclasses
import itertools
from typing import Literal

import numpy as np
import tensorflow as tf

from roots_tf import losses, models
from roots_tf.labelled import equal_texts, inferences, tables
from roots_tf.labelled.text_files import suffix_of
from roots_tf.labelled.token_rows import cut, ungrouped
from roots_tf.losses import Scalar
from roots_tf.metrics import embeddings as metrics
from roots_tf.models.vectors import Pooling
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number
from roots_tf.tasks.contrast_flags import NEGATIVES
from roots_tf.tasks.contrastive_graph import ServedContrastive
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tasks.per_text import read_unlabelled, texts_of


@dataclasses.dataclass(frozen=True)
class Contrastive(FineTuning):
    """InfoNCE over the texts of a batch.

    Attributes:
        temperature: of the softmax over cosines.
        symmetric: whether texts are sought by their positives too.
        matryoshka_widths: of vectors that are cut and must do by themselves.
        text_prompt, positive_prompt: what stands in front of texts, and of the others.
        pooling: how the vectors of tokens become one.
        positives: whether the training file has them.
        score: "spearman" where the dev file has values, else "accuracy".
    """

    temperature: float = number(0.05, above=0, maximum=100)
    symmetric: bool = False
    matryoshka_widths: tuple[int, ...] = ()
    text_prompt: str = ""
    positive_prompt: str = ""
    pooling: Pooling = "mean"
    positives: bool = True
    score: Literal["accuracy", "spearman"] = "accuracy"

    name = "contrastive"
    scalars = (
        Scalar("contrastive_loss", "loss", is_loss=True),
        Scalar("contrastive_accuracy", "accuracy"),
    )
    additive = False
    texts = ("text", "text_pair")
    answer_column = "value"
    model = "encoder"
    grouped = True
    pipeline_tag = "sentence-similarity"
    use = "turns a text into a vector, near to those of texts that belong to it"

    def read(self, path, columns, labelled=True, encoding="utf-8"):
        """Tables of one of four forms, or, as the last of them, a text a line in `.txt`.

            text, positive, and perhaps negative, negative_0, ...   pairs, for training and scores
            text, text_pair, value                                  pairs with values, for scores
            text, text_pair, label                                  for `inferences.triplets`
            text                                                    for training

        A blank negative is none. The first form that a file has the columns of is taken; without
        answers, `text` and `text_pair`.
        """
        if not labelled:
            return self.source(path, columns, encoding).read()
        if suffix_of(path) == ".txt":
            return read_unlabelled(path, columns, encoding)
        optional = ("positive", *NEGATIVES, "text_pair", "value", "label")
        table = tables.read(path, ("text",), optional, columns, encoding=encoding)
        there = table.columns
        if "positive" in there:
            _refuse_blanks(table, "positive")
            unused = ("text_pair", "value", "label")
        elif {"text_pair", "value"} <= there.keys():
            _refuse_blanks(table, "text_pair")
            unused = (*NEGATIVES, "label")
        elif {"text_pair", "label"} <= there.keys():
            _refuse_blanks(table, "text_pair")
            _refuse_blanks(table, "label")
            return inferences.triplets(table)
        else:
            pair = next((n for n in ("text_pair", *NEGATIVES) if n in there), None)
            if pair:
                raise InputError(
                    "no-such-column",
                    f"found {pair} and no positive in {path}; wanted text and positive, or text, "
                    f"text_pair and value or label; where it holds what belongs to text: --columns="
                    f"positive={pair}",
                )
            unused = ("value", "label")
        return table._replace(columns={n: v for n, v in there.items() if n not in unused})

    def source(self, path, columns, encoding="utf-8"):
        """Pairs, without a value."""
        return tables.source(path, self.texts, (), columns, encoding=encoding)

    def learn(self, examples):
        """This kind with whether the file has texts alone.

        Raises:
            InputError: a stride is given, or the file has values, which are for scores.
        """
        if self.stride:
            raise InputError(
                "flags-conflict",
                f"found stride={self.stride} for {self.name}; wanted 0: a text has one vector",
            )
        if "value" in examples.columns:
            raise InputError(
                "no-such-column",
                f"found text_pair and value in {examples.path}; wanted text and positive to learn "
                "from, of which values are none; --task=similarity learns values",
            )
        return dataclasses.replace(self, positives="positive" in examples.columns)

    def scored_on(self, examples):
        """This kind with the score that the dev file has."""
        _refuse_unscored(examples)
        return dataclasses.replace(
            self, score="spearman" if "value" in examples.columns else "accuracy"
        )

    def of_model(self, described):
        """This kind, whose rows are what a model takes, and whose vectors are made as its are."""
        kind, said = super().of_model(described), described.get("embedding")
        if not said:
            return kind
        return dataclasses.replace(
            kind,
            pooling=said.pooling,
            text_prompt=kind.text_prompt or said.prompt,
            positive_prompt=kind.positive_prompt or said.prompt,
        )

    def with_contrast(self, flags):
        """This kind as flags say it.

        Args:
            flags: `contrast_flags.ContrastFlags`.

        Raises:
            InputError: a width is no number above 0.
        """
        given = dataclasses.asdict(flags)
        widths = given["matryoshka_widths"]
        if not all(width.isdecimal() and int(width) for width in widths):
            raise InputError(
                "wrong-value",
                f"found --matryoshka_widths={','.join(widths)}; wanted numbers above 0, such as "
                "64,128",
            )
        given["matryoshka_widths"] = tuple(sorted({*map(int, widths)}))
        return dataclasses.replace(self, **given)

    def check_model(self, config):
        """Refuses a vector narrower than what is cut from it, and two views that are one."""
        rates = config.dropout, config.attention_dropout, config.activation_dropout
        if not self.positives and max(rates) <= 0:
            raise InputError(
                "flags-conflict",
                "found texts alone and a model without dropout, to which both views of a text are "
                "the same; wanted --dropout=0.1, or a column positive",
            )
        if any(width >= config.hidden_dim for width in self.matryoshka_widths):
            raise InputError(
                "number-out-of-range",
                f"found matryoshka_widths={','.join(map(str, self.matryoshka_widths))}; wanted "
                f"numbers below {config.hidden_dim}, the width of the model, which is trained too",
            )

    def check_batches(self, rows, how):
        """Refuses batches in which a text has nothing beside its positive."""
        if how.batch_size < 2 and rows.group == 2:
            raise InputError(
                "wrong-batch",
                "found batches of one text, to which all other texts of a batch are negatives; "
                "wanted --batch_size=2 at least, and as many texts, or a column of negatives",
            )

    def make_model(self, config, seed=0, precision="float32", recompute=False):
        """An encoder with random weights. Arguments as for `models.PooledEncoder`."""
        pooler = self.pooling == "pooler"
        return models.PooledEncoder(config, pooler, seed, precision, recompute)

    def rows(self, examples, tokenizer, labelled=True):
        """Rows of a text, its positive and its negatives, in groups, with `text_numbers`.

        Without a positive or a pair the text stands twice. Equal texts have equal numbers, by the
        tokens that the model sees of them, and a blank one has -1.
        """
        second = next((n for n in ("positive", "text_pair") if n in examples.columns), "text")
        negatives = [name for name in NEGATIVES if name in examples.columns]
        names = ("text", second, *negatives)
        texts = [*itertools.chain(*zip(*(tables.strings(examples, n) for n in names), strict=True))]
        prompts = (self.text_prompt, *[self.positive_prompt] * (len(names) - 1))
        if second == "text":
            prompts = (self.text_prompt,) * 2
        length = self.max_seq_length
        plain = cut(*tokenizer.encode(texts), tokenizer, length)
        rows = plain
        if any(prompts):
            prompted = [p + t for p, t in zip(itertools.cycle(prompts), texts, strict=False)]
            rows = cut(*tokenizer.encode(prompted), tokenizer, length)
        rows.group = len(names)
        if labelled:
            numbers = np.where(
                [bool(text.strip()) for text in texts], equal_texts.numbers(plain), -1
            )
            numbers = numbers.reshape(-1, rows.group).astype(np.int32)
            rows.of_rows["text_numbers"] = numbers.repeat(rows.group, 0)
        return rows

    def unit_vectors(self, output, rows):
        """A unit vector of each row, float32 [R, H]; arguments as for `models.pool`."""
        vectors = models.pool(output, rows["padding_mask"], self.pooling)
        return tf.math.l2_normalize(vectors, -1)

    def vectors(self, model, batch, seed=None):
        """Vectors of a batch, float32 [B, G, H]; arguments as for `answers_of`."""
        rows = ungrouped(batch)
        output = model(rows, seed=seed)
        return _grouped(models.pool(output, rows["padding_mask"], self.pooling), batch)

    def weights(self, batch):
        """Number of texts that have a positive: all."""
        return {"contrastive_loss": tf.cast(tf.shape(batch["text_numbers"])[0], tf.float32)}

    def sums_of_vectors(self, vectors, batch):
        """(sum, weight) of `contrastive_loss` in nats and of `contrastive_accuracy`.

        Args:
            vectors: of the batch, [B, G, H].
            batch: of the kind's rows.
        """
        total, right = losses.info_nce(
            vectors,
            batch["text_numbers"],
            self.temperature,
            symmetric=self.symmetric,
            widths=self.matryoshka_widths,
        )
        weight = self.weights(batch)["contrastive_loss"]
        return {"contrastive_loss": (total, weight), "contrastive_accuracy": (right, weight)}

    def sums(self, model, batch, seed=None):
        """As `sums_of_vectors`, of the vectors that the model makes."""
        return self.sums_of_vectors(self.vectors(model, batch, seed), batch)

    def answers(self, output, batch):
        """Cosines of each text with its own positive and negatives, [B, G - 1]."""
        vectors = _grouped(self.unit_vectors(output, ungrouped(batch)), batch)
        return tf.reduce_sum(vectors[:, :1] * vectors[:, 1:], -1)

    def answer_weights(self, batch):
        """1 of each cosine."""
        return tf.ones(tf.shape(batch["token_ids"])[:2] - [0, 1])

    def outputs(self, model, batch):
        """Unit `vectors` of each example, float32 [B, G, H]."""
        return {"vectors": tf.math.l2_normalize(self.vectors(model, batch), -1)}

    def predictions(self, examples, rows, outputs):
        """`cosine` of each pair; what scores are made of where the examples have answers.

        These are `potential`, see `metrics.embeddings.potentials`, and, of positives, `rank` and
        `nearest`, the text that is found first.
        """
        vectors = np.stack(outputs["vectors"])  # [B, G, H]
        cosines = np.einsum("bh,bh->b", vectors[:, 0], vectors[:, 1])
        found = [
            texts_of(examples, i) | {"cosine": float(cosine)} for i, cosine in enumerate(cosines)
        ]
        if "text_numbers" not in rows.of_rows:
            return found
        numbers = rows.of_rows["text_numbers"][:: rows.group]  # [B, G]
        of_texts = metrics.potentials(vectors[:, 0], numbers[:, 0])
        for row, potential in zip(found, of_texts, strict=True):
            row["potential"] = float(potential)
        if "positive" in examples.columns:
            names = ["positive", *(n for n in NEGATIVES if n in examples.columns)]
            search = metrics.search(vectors, numbers)
            for at, (row, (place, column)) in enumerate(zip(found, search.nearest, strict=True)):
                nearest = examples.columns[names[column - 1]][place]
                row |= {"positive": examples.columns["positive"][at], "nearest": nearest}
                row["rank"] = int(search.ranks[at])
        return found

    def scores(self, examples, predictions):
        """What is found, or how cosines go with values; alignment and uniformity of the vectors.

        Of positives `accuracy`, the share that is nearer than all positives and negatives of the
        file, and `mean_reciprocal_rank`; of values Spearman's and Pearson's correlation. Alignment
        is over the positives, or over the pairs above four fifths of the range of values (Wang &
        Isola 2020, arXiv:2005.10242; SimCSE, section 5).

        Args:
            examples: a table with positives, or with values.
            predictions: one an example, of this kind.
        """
        _refuse_unscored(examples)
        cosines = np.array([row["cosine"] for row in predictions])
        spread = metrics.uniformity(np.array([row["potential"] for row in predictions]))
        if "value" in examples.columns:
            values = tables.numbers(examples, "value")
            return metrics.of_values(cosines, values) | {"uniformity": spread}
        scores = metrics.retrieval(np.array([row["rank"] for row in predictions]))
        return scores | {"alignment": metrics.alignment(cosines), "uniformity": spread}

    def baseline(self, train, examples):
        """Scores of vectors that are all the same, and of positives sought at random.

        Args:
            train: not looked at.
            examples: the table that is scored.
        """
        _refuse_unscored(examples)
        if "value" in examples.columns:
            scores = {"spearman": 0.0, "pearson": 0.0}
        else:
            names = ("positive", *(n for n in NEGATIVES if n in examples.columns))
            texts = {t for n in names for t in tables.strings(examples, n) if t.strip()}
            scores = metrics.at_random(len(texts))
        return scores | {"alignment": 0.0, "uniformity": 0.0}

    def served(self, model, tokenizer):
        """Cosines of pairs, and vectors of texts."""
        return ServedContrastive(self, model, tokenizer)

    def embedding_settings(self):
        """Unit vectors, pooled and cut as in training, of texts after their prompt."""
        prompts = {"query": self.text_prompt, "document": self.positive_prompt}
        prompts = prompts if any(prompts.values()) else {}
        default = "query" if self.text_prompt else None
        return models.EmbeddingSettings(self.pooling, True, self.max_seq_length, prompts, default)

    def row_output(self, output, features):
        """`embedding` [B, H], unit vectors."""
        return {"embedding": self.unit_vectors(output, features)}


def _grouped(vectors: tf.Tensor, batch) -> tf.Tensor:
    """Vectors of rows by example: [B * G, H] -> [B, G, H]."""
    return tf.reshape(vectors, [-1, batch["token_ids"].shape[1], tf.shape(vectors)[-1]])


def _refuse_blanks(table: tables.Table, name: str) -> None:
    """Refuses a column with an empty cell."""
    for row, value in enumerate(table.columns[name]):
        if value is None:
            raise InputError(
                "wrong-row",
                f"found no {name} in {table.where(row)}; wanted one in every row, or in none",
            )


def _refuse_unscored(examples: tables.Table) -> None:
    """Refuses examples of which nothing says what is near to what."""
    if "value" not in examples.columns and "positive" not in examples.columns:
        raise InputError(
            "no-such-column",
            f"found text alone in {examples.path}; wanted text, text_pair and value, or text and "
            "positive, to score vectors on",
        )
