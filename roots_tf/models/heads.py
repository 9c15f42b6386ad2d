"""Encoders with one linear layer on top, for fine-tuning (Devlin et al. 2019, section 4)."""

import keras
import tensorflow as tf

from roots_tf.models.config import EncoderConfig
from roots_tf.models.encoder import Encoder, Pooler
from roots_tf.models.layers import Dense, dropped
from roots_tf.models.pooling import last_token
from roots_tf.seeds import Place


class Headed(keras.Model):
    """An encoder and a linear layer: what the two classifiers share.

    Class attributes:
        kind: name of the model, and its `kind` in `model.json`.
        pooled: whether the layer reads the pooler's vector, and not those of the tokens.

    Args:
        config: sizes of the encoder.
        num_labels: outputs of the linear layer.
        seed: as for `Encoder`.
        precision: likewise.
        recompute: likewise.
    """

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
        self.encoder = Encoder(config, seed, precision, recompute)
        self.pooler = None
        if self.pooled and not config.causal:
            self.pooler = Pooler(config, seed, dtype=precision)
        self.output_layer = Dense(
            config.hidden_dim,
            num_labels,
            place=Place(seed, "classes"),
            scale=config.initializer_range,
            dtype=precision,
        )
        self.built = True

    def project(self, x, seed):
        """Logits, float32 [R, labels], of the rows `x` [R, H]; dropout where `seed` is given."""
        rate, seed = self.config.dropout, self.output_layer.place.dropout(seed)
        x = dropped(x, rate=rate, seed=seed)
        return tf.cast(self.output_layer(x), tf.float32)


class Classifier(Headed):
    """An encoder, its pooler and one linear layer over classes: one answer a sequence.

    Of a causal encoder the last token is read, which alone has seen the whole text, without a
    pooler (Radford et al. 2018, section 3.2).
    """

    kind, pooled = "classifier", True

    def call(self, features, seed=None):
        """Logits, float32 [B, labels]; `features` and `seed` as for `Encoder.call`."""
        return self.head(self.encoder(features, seed=seed), seed, features["padding_mask"])

    def head(self, hidden_states, seed=None, padding_mask=None):
        """Logits, [B, labels], of an encoder's output.

        Args:
            hidden_states: [B, L, H].
            seed: as for `call`.
            padding_mask: bool [B, L], which a causal encoder's needs.
        """
        if self.config.causal:
            return self.project(last_token(hidden_states, padding_mask), seed)
        return self.project(self.pooler(hidden_states), seed)


class TokenClassifier(Headed):
    """An encoder and one linear layer over classes: one answer a token."""

    kind, pooled = "token_classifier", False

    def call(self, features, seed=None):
        """Logits, float32 [B, L, labels]; `features` and `seed` as for `Encoder.call`."""
        return self.head(self.encoder(features, seed=seed), seed)

    def head(self, hidden_states, seed=None):
        """Logits, [B, L, labels], from `hidden_states` [B, L, H]; `seed` as for `call`."""
        rows = tf.reshape(hidden_states, [-1, self.config.hidden_dim])  # [B*L, H]
        logits = self.project(rows, seed)  # [B*L, labels]
        shape = tf.concat([tf.shape(hidden_states)[:2], [-1]], 0)
        return tf.reshape(logits, shape)  # [B, L, labels]
