"""What a stack begins with: ids in, the sum of their embeddings out."""

import math

import keras
import tensorflow as tf

from roots_tf.models.config import EncoderConfig
from roots_tf.models.layers import Norm, Weights, dropped
from roots_tf.models.sinusoidal import sinusoidal


class Embeddings(Weights):
    """Sum of token, segment and position embeddings: [B, L] -> [B*L, H].

    Segments, positions and the norm of the sum are there as `config` has them.

    Args:
        config: sizes and parts.
        token: the token embedding [V, H] of another stack, which this one shares; None: its own.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, token: keras.Variable | None = None, **kwargs):
        super().__init__(scale=config.initializer_range, **kwargs)
        hidden = config.hidden_dim
        self.config = config
        if token is None:
            token = self.matrix("token", config.vocabulary_size, hidden, table=True)
        self.token = token
        self.position = None
        if config.positions == "learned":
            rows = config.prompt_length + config.max_sequence_length
            self.position = self.matrix("position", rows, hidden, table=True)
        self.segment = None
        if config.num_segments:
            self.segment = self.matrix("segment", config.num_segments, hidden, table=True)
        with keras.name_scope(self.name):
            self.norm = None
            if config.embedding_norm:
                self.norm = Norm(config, place=self.place / "norm", dtype=self.dtype_policy)

    def call(self, features, seed=None):
        """Ids to rows; `features` and `seed` as for `Encoder.call`."""
        token_ids = features["token_ids"]
        length = tf.shape(token_ids)[1]
        if "token_embeddings" in features:
            x = tf.cast(features["token_embeddings"], tf.float32)  # [B, L, H]
        else:
            x = tf.gather(self.token, token_ids)  # [B, L, H]
        if self.config.embedding_scale:
            x *= math.sqrt(self.config.hidden_dim)
        if self.config.positions == "sinusoidal":
            places = features.get("position_ids", tf.range(length)[None])
            x += sinusoidal(places, self.config.hidden_dim)
        elif self.position is not None and "position_ids" in features:
            x += tf.gather(self.position, features["position_ids"])
        elif self.position is not None:
            x += self.position[:length]
        if self.config.num_segments == 1:  # a second text is of the same segment as the first
            x += tf.convert_to_tensor(self.segment)[0]
        elif self.segment is not None:
            # A product with one-hot rows: the gradient of a gather over two rows is a slow scatter.
            segments = tf.one_hot(features["segment_ids"], self.config.num_segments)
            x += tf.tensordot(segments, tf.convert_to_tensor(self.segment), 1)
        rows = tf.reshape(x, [-1, self.config.hidden_dim])  # [B*L, H]
        x = rows if self.norm is None else self.norm(rows, training=seed is not None)
        return dropped(x, rate=self.config.dropout, seed=self.place.dropout(seed))
