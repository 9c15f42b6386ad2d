"""Adapters: narrow layers between those of a model (Houlsby et al. 2019, arXiv:1902.00751).

    x + activation(x W + b) U + c,    W [H, A], U [A, H]

One stands behind each sub-layer of a block, before its residual sum (section 2.1, figure 2): behind
self-attention, the feed-forward layer and, where there is one, cross-attention.
"""

import keras
import tensorflow as tf

from roots_tf.models.config import EncoderConfig
from roots_tf.models.layers import Dense, Weights, activation


class Bottleneck(Weights):
    """One of them, over rows [R, H]; nearly the identity at first.

    Args:
        config: of the model, whose activation it has.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(**kwargs)
        self.kind = config.activation
        # The deviation is `init_scale` in the authors' google-research/adapter-bert.
        how = {"scale": 1e-3, "dtype": self.dtype_policy}
        wide, narrow = config.hidden_dim, config.adapter_dim
        with keras.name_scope(self.name):
            self.down = Dense(wide, narrow, place=self.place / "down", **how)
            self.up = Dense(narrow, wide, place=self.place / "up", **how)

    def call(self, x) -> tuple[tf.Tensor, tf.Tensor]:
        """[R, H] -> [R, H] without the last bias c, and that, for a function that adds it."""
        product, bias = self.up(activation(self.down(x), self.kind), product=True)
        return x + product, bias
