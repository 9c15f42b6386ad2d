"""What a training step costs, counted from the sizes alone.

Only matrix products count: beside them everything else is small, and rates of products are what a
device is rated by (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).
"""

import math

from roots_tf.models import weight_shapes
from roots_tf.models.config import EncoderConfig


def step_flops(config: EncoderConfig, batch_size: int, length: int, predictions: int) -> float:
    """Floating-point operations of forward and backward of `Pretrainer` over one batch.

    The backward pass takes two products for each of the forward pass. Recomputation does not count,
    so that a rate made from this is the model FLOP utilisation of Chowdhery et al. 2022
    (arXiv:2204.02311, appendix B). Attention counts in full where a layer sees a window only, since
    all scores are computed. Lookups in embeddings count nothing.

    Args:
        config: sizes of the encoder.
        batch_size: B.
        length: L.
        predictions: P, rows a sequence that are projected to the vocabulary.

    Returns:
        FLOPs; a product of [a, b] and [b, c] is 2 a b c of them.
    """
    hidden, rows = config.hidden_dim, batch_size * length
    wide = config.intermediate_dim * (3 if config.feed_forward == "glu" else 2)
    shared = config.key_value_heads / config.num_heads
    products = (2 + 2 * shared) * rows * hidden * hidden  # query and output, key and value
    products += 2 * rows * length * hidden  # scores, context
    products += rows * hidden * wide
    products *= config.num_layers
    products += batch_size * hidden * (hidden + 2)  # pooler, next sentence
    products += batch_size * predictions * hidden * (hidden + config.vocabulary_size)
    return 3.0 * 2.0 * products


def causal_step_flops(config: EncoderConfig, batch_size: int, length: int) -> float:
    """As `step_flops`, of `CausalLM`, which projects every token to the vocabulary.

    Args:
        config: sizes of the model.
        batch_size: B.
        length: L.
    """
    hidden = config.hidden_dim
    pretraining = step_flops(config, batch_size, length, 0) / 6 - batch_size * hidden * (hidden + 2)
    return 6.0 * (pretraining + batch_size * length * hidden * config.vocabulary_size)


def parameters(config: EncoderConfig) -> int:
    """Weights of a `Pretrainer`; the vocabulary projection shares those of the embedding."""
    return sum(map(math.prod, weight_shapes.pretrainer(config).values()))
