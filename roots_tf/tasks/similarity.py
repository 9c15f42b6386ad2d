"""How alike two texts are, by the angle between their embeddings (Reimers & Gurevych 2019,
Sentence-BERT, arXiv:1908.10084, section 3): each text is encoded once, whatever it is held against.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.labelled import tables
from roots_tf.labelled.token_rows import cut, ungrouped
from roots_tf.losses import Scalar
from roots_tf.storage.files import InputError
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tasks.per_text import texts_of
from roots_tf.tasks.regression import Valued
from roots_tf.tasks.served_graph import ServedKind, concrete


def unit_vectors(output: dict[str, tf.Tensor], rows: dict[str, tf.Tensor]) -> tf.Tensor:
    """Mean of each row's tokens, scaled to length 1: float32 [R, H].

    Args:
        output: of a `models.PooledEncoder`, with `hidden_states` [R, L, H].
        rows: features of the rows, with `padding_mask` [R, L].
    """
    return tf.nn.l2_normalize(models.mean_pool(output["hidden_states"], rows["padding_mask"]), -1)


@dataclasses.dataclass(frozen=True)
class Similarity(Valued, FineTuning):
    """Cosine of mean embeddings, trained to the value of a pair by squared error.

    Attributes:
        lowest, highest: values of the training file that cosines of 0 and 1 stand for.
    """

    lowest: float = 0.0
    highest: float = 1.0

    name = "similarity"
    texts = ("text", "text_pair")
    model = "encoder"
    scalars = (Scalar("similarity_loss", "loss", is_loss=True),)
    grouped = True
    pipeline_tag = "sentence-similarity"
    use = "says how alike two texts are"

    def __post_init__(self):
        if self.lowest >= self.highest:
            raise InputError(
                "wrong-json",
                f"found lowest={self.lowest} and highest={self.highest} of similarity; wanted a "
                "lowest value below the highest",
            )

    def read(self, path, columns, labelled=True, encoding="utf-8"):
        """Tables with `text`, `text_pair` and `value`."""
        answer = (self.answer_column,) if labelled else ()
        return tables.read(path, ("text", "text_pair", *answer), (), columns, encoding=encoding)

    def source(self, path, columns, encoding="utf-8"):
        """Pairs, without a value."""
        return tables.source(path, self.texts, (), columns, encoding=encoding)

    def learn(self, examples):
        """This kind with the range of the values."""
        if self.stride:
            raise InputError(
                "flags-conflict",
                f"found stride={self.stride} for similarity; wanted 0: a text has one embedding",
            )
        values = tables.numbers(examples, self.answer_column)
        lowest, highest = float(values.min()), float(values.max())
        if lowest == highest:
            raise InputError(
                "too-few-labels",
                f"found the one value {lowest} in {examples.path}; wanted values that differ",
            )
        return dataclasses.replace(self, lowest=lowest, highest=highest)

    def make_model(self, config, seed=0, precision="float32", recompute=False):
        """An encoder with random weights. Arguments as for `models.PooledEncoder`."""
        return models.PooledEncoder(config, False, seed, precision, recompute)

    def rows(self, examples, tokenizer, labelled=True):
        """Two rows a pair, in groups, with `cosines`."""
        columns = (tables.strings(examples, name) for name in ("text", "text_pair"))
        texts = [text for pair in zip(*columns, strict=True) for text in pair]
        rows = cut(*tokenizer.encode(texts), tokenizer, self.max_seq_length)
        rows.group = 2
        if labelled:
            values = tables.numbers(examples, self.answer_column)
            cosines = (values - self.lowest) / (self.highest - self.lowest)
            rows.of_rows["cosines"] = np.repeat(cosines, 2).astype(np.float32)
        return rows

    def cosine(self, first, second):
        """Cosine of the angle between unit vectors `first` and `second`: [B, H] -> [B]."""
        return tf.reduce_sum(first * second, -1)

    def in_unit(self, cosines):
        """Values in the unit of the training file."""
        return self.lowest + cosines * (self.highest - self.lowest)

    def answers(self, output, batch):
        """Cosine between the two texts of each pair, [B]."""
        vectors = unit_vectors(output, ungrouped(batch))  # [B * 2, H]
        return self.cosine(vectors[0::2], vectors[1::2])

    def weights(self, batch):
        """Number of pairs."""
        return {"similarity_loss": tf.cast(tf.shape(batch["cosines"])[0], tf.float32)}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `similarity_loss`, the squared error of the cosine."""
        error = self.answers_of(model, batch, seed) - batch["cosines"]  # [B]
        return {"similarity_loss": (tf.reduce_sum(error**2), *self.weights(batch).values())}

    def outputs(self, model, batch):
        """`cosines` float32 [B]."""
        return {"cosines": self.answers_of(model, batch)}

    def predictions(self, examples, rows, outputs):
        """`cosine` of each pair, and `value` in the unit of the training file."""
        return [
            texts_of(examples, i) | {"cosine": float(cosine), "value": float(self.in_unit(cosine))}
            for i, cosine in enumerate(outputs["cosines"])
        ]

    def served(self, model, tokenizer):
        """Cosines of pairs, and vectors of texts."""
        return ServedSimilarity(self, model, tokenizer)

    def embedding_settings(self):
        """Unit vectors of the mean, of as many tokens as in training."""
        return models.EmbeddingSettings("mean", True, self.max_seq_length)

    def unit_vectors(self, output, rows):
        """A unit vector of each row; arguments `output` and `rows` as for the module's function."""
        return unit_vectors(output, rows)

    def row_output(self, output, features):
        """`embedding` [B, H], unit vectors."""
        return {"embedding": self.unit_vectors(output, features)}


class ServedSimilarity(ServedKind):
    """`cosine` [B] of two texts, and `value` [B] in the unit of the training file.

    Further signatures: `embedding` gives the unit vector of one text, as `ids` does; `tokens` a
    vector a token.
    """

    has_segments = False  # each text is a row of its own

    def __init__(self, kind, model, tokenizer):
        """Arguments as for `ServedKind`."""
        super().__init__(kind, model, tokenizer)
        self.inputs = {"text": (), "text_pair": ()}

    def answers(self, inputs):
        """The cosine of each pair; the vectors of both texts are computed together."""
        texts = tf.concat([inputs["text"], inputs["text_pair"]], 0)  # [2 * B]
        vectors = self._embedding({"text": texts})["embedding"]
        cosine = self.kind.cosine(*tf.split(vectors, 2))
        return {"cosine": cosine, "value": self.kind.in_unit(cosine)}

    def of_rows(self, features):
        """`embedding` [R, H]."""
        return {"embedding": self.kind.unit_vectors(self.model(features), features)}

    def features(self, inputs):
        """Features of the first text of each pair, as `of_ids` takes them."""
        return super().features({"text": inputs["text"]})

    def further(self):
        """`embedding` and `tokens`."""
        text = {"text": tf.TensorSpec([None], tf.string, "text")}
        return self.of_tokens() | {"embedding": concrete(self._embedding, text)}

    def _embedding(self, inputs):
        return self.over(self.rows(inputs))

    def predictions(self, outputs, texts):
        """`cosine` and `value`."""
        pairs = zip(outputs["cosine"], outputs["value"], strict=True)
        return [{"cosine": float(cosine), "value": float(value)} for cosine, value in pairs]
