"""How alike two texts are, by the angle between their embeddings (Reimers & Gurevych 2019,
Sentence-BERT, arXiv:1908.10084, section 3): each text is encoded once, whatever it is held against.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.files import InputError
from roots_tf.tasks import tables
from roots_tf.tasks.finetuning import shown
from roots_tf.tasks.regression import Valued
from roots_tf.tasks.rows import cut, ungrouped


@dataclasses.dataclass(frozen=True)
class Similarity(Valued):
    """Cosine of mean embeddings, trained to the value of a pair by squared error.

    Attributes:
        lowest, highest: values of the training file that cosines of 0 and 1 stand for.
    """

    lowest: float = 0.0
    highest: float = 1.0

    name = "similarity"
    losses = ("similarity_loss",)

    def read(self, path, columns, labelled=True):
        """Tables with `text`, `text_pair` and `value`."""
        answer = (self.answer,) if labelled else ()
        return tables.read(path, ("text", "text_pair", *answer), (), columns)

    def learn(self, examples):
        """This with the range of the values."""
        if self.stride:
            raise InputError(
                f"found stride={self.stride} for similarity; wanted 0: a text has one embedding"
            )
        values = tables.numbers(examples, self.answer)
        lowest, highest = float(values.min()), float(values.max())
        if lowest == highest:
            raise InputError(
                f"found the one value {lowest} in {examples.path}; wanted values that differ"
            )
        return dataclasses.replace(self, lowest=lowest, highest=highest)

    def make_model(self, config, seed=0):
        """An encoder with random weights."""
        return models.PooledEncoder(config, pooler=False, seed=seed)

    def rows(self, examples, tokenizer, labelled=True):
        """Two rows a pair, in groups, with `cosines`."""
        columns = (tables.strings(examples, name) for name in ("text", "text_pair"))
        texts = [text for pair in zip(*columns, strict=True) for text in pair]
        rows = cut(*tokenizer.encode(texts), tokenizer, self.max_seq_length)
        rows.group = 2
        if labelled:
            values = tables.numbers(examples, self.answer)
            cosines = (values - self.lowest) / (self.highest - self.lowest)
            rows.of_rows["cosines"] = np.repeat(cosines, 2).astype(np.float32)
        return rows

    def weights(self, batch):
        """Number of pairs."""
        return {"similarity_loss": tf.cast(tf.shape(batch["cosines"])[0], tf.float32)}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `similarity_loss`, the squared error of the cosine."""
        error = self._cosines(model, batch, seed) - batch["cosines"]
        return {
            "similarity_loss": (tf.reduce_sum(error**2), self.weights(batch)["similarity_loss"])
        }

    def outputs(self, model, batch):
        """`cosines` float32 [B]."""
        return {"cosines": self._cosines(model, batch, None)}

    def predictions(self, examples, rows, outputs):
        """`cosine` of each pair, and `value` in the unit of the training file."""
        return [
            shown(examples, i)
            | {
                "cosine": float(cosine),
                "value": float(self.lowest + cosine * (self.highest - self.lowest)),
            }
            for i, cosine in enumerate(outputs["cosines"])
        ]

    def _cosines(self, model, batch, seed):
        """Cosine between the two rows of each pair, float32 [B]."""
        rows = ungrouped(batch)
        hidden_states = model(rows, seed=seed)["hidden_states"]
        pooled = models.mean_pool(hidden_states, rows["padding_mask"])  # [B*2, H]
        unit = tf.nn.l2_normalize(pooled, -1)
        return tf.reduce_sum(unit[0::2] * unit[1::2], -1)
