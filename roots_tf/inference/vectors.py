"""Texts to vectors, those of similar length together."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from roots_tf import labelled
from roots_tf.models import EmbeddingSettings, EncoderConfig, pooling
from roots_tf.tokenizers import Tokenizer


def compiled(model, how: str, l2_normalize: bool):
    """A compiled function from features [B, L] to vectors float32 [B, H].

    Args:
        model: of `roots_tf.models`.
        how: the pooling, as for `roots_tf.models.pooling.embed`.
        l2_normalize: whether vectors are scaled to length 1.
    """
    features = {
        "token_ids": tf.TensorSpec([None, None], tf.int32),
        "segment_ids": tf.TensorSpec([None, None], tf.int32),
        "padding_mask": tf.TensorSpec([None, None], tf.bool),
    }
    return tf.function(
        lambda given: pooling.embed(model, given, how, l2_normalize),
        input_signature=[features],
        autograph=False,
    )


class Embedder:
    """Makes vectors of texts.

    Args:
        embed: from features to vectors, as `compiled` gives it.
        sizes: of the model.
        tokenizer: the model's.
        settings: how a text becomes a vector.
        batch_size: texts computed at once.
    """

    def __init__(
        self,
        embed,
        sizes: EncoderConfig,
        tokenizer: Tokenizer,
        settings: EmbeddingSettings,
        batch_size: int = 64,
    ):
        self._embed, self._tokenizer, self._batch_size = embed, tokenizer, batch_size
        self.settings, self.hidden_dim = settings, sizes.hidden_dim
        self.length = settings.length(sizes.max_sequence_length)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, float32 [B, H]."""
        vectors = np.empty([len(texts), self.hidden_dim], np.float32)
        if not len(texts):
            return vectors
        rows = self.rows([self.settings.prompt + text for text in texts])
        batcher = labelled.RowBatcher(rows, self._tokenizer.pad_id)
        for examples in labelled.batches_by_length(rows, self._batch_size):
            vectors[examples] = self._embed(batcher(examples)).numpy()
        return vectors

    def rows(self, texts: Sequence[str]) -> labelled.TokenRows:
        """Tokens of texts without their prompt, as many of each as a vector is made of."""
        return labelled.cut(*self._tokenizer.encode(texts), self._tokenizer, self.length)
