"""Encoders with one linear layer on top, for fine-tuning (Devlin et al. 2019, section 4)."""

import keras
import tensorflow as tf

from roots_tf.models.config import EncoderConfig
from roots_tf.models.encoder import HEAD_SEEDS, SEEDS_A_MODEL, Encoder, Pooler
from roots_tf.models.layers import Dense, dropout, fold_in, keep_mask

PLACE = 1_000_003  # of the dropout before the last layer; blocks have 0 to 4 * layers


class Headed(keras.Model):
    """An encoder and a linear layer of `num_labels` outputs; other arguments as for `Encoder`."""

    def __init__(
        self,
        config: EncoderConfig,
        num_labels: int,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ):
        super().__init__(name=self.kind, dtype=precision)
        self.config, self.num_labels = config, num_labels
        self.description = {"num_labels": num_labels}  # what `model.json` says besides its sizes
        first = seed * SEEDS_A_MODEL + HEAD_SEEDS
        common = {"scale": config.initializer_range, "dtype": precision}
        self.encoder = Encoder(config, seed, precision, recompute)
        self.pooler = Pooler(config, seed=first + 1, dtype=precision) if self.pooled else None
        self.output_layer = Dense(
            config.hidden_dim, num_labels, name="classes", seed=first + 3, **common
        )
        self.built = True

    def project(self, x, seed):
        """Logits, float32 [R, labels], of rows [R, H] after dropout."""
        rate = self.config.dropout
        x = dropout(x, rate, keep_mask(x, rate, fold_in(seed, PLACE)))
        return tf.cast(self.output_layer(x), tf.float32)


class Classifier(Headed):
    """An encoder, its pooler and one linear layer over classes: one answer a sequence."""

    kind, pooled = "classifier", True

    def call(self, features, seed=None):
        """Logits, float32 [B, labels]; arguments as for `Encoder.call`."""
        return self.head(self.encoder(features, seed=seed), seed)

    def head(self, hidden_states, seed=None):
        """Logits from the encoder's output: [B, L, H] -> [B, labels]."""
        return self.project(self.pooler(hidden_states), seed)


class TokenClassifier(Headed):
    """An encoder and one linear layer over classes: one answer a token."""

    kind, pooled = "token_classifier", False

    def call(self, features, seed=None):
        """Logits, float32 [B, L, labels]; arguments as for `Encoder.call`."""
        return self.head(self.encoder(features, seed=seed), seed)

    def head(self, hidden_states, seed=None):
        """Logits from the encoder's output: [B, L, H] -> [B, L, labels]."""
        rows = tf.reshape(hidden_states, [-1, self.config.hidden_dim])  # [B*L, H]
        logits = self.project(rows, seed)  # [B*L, labels]
        shape = tf.concat([tf.shape(hidden_states)[:2], [-1]], 0)
        return tf.reshape(logits, shape)  # [B, L, labels]
