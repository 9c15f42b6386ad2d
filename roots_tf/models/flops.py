"""What a training step costs, counted from the sizes alone.

Only matrix products count: beside them everything else is small, and rates of products are what a
device is rated by (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).
"""

import math

from roots_tf.models import blocks, weight_shapes
from roots_tf.models.config import EncoderConfig, GeneratorConfig


def step_flops(config: EncoderConfig, batch_size: int, length: int, predictions: int) -> float:
    """Floating-point operations of forward and backward of `Pretrainer` over one batch.

    The backward pass takes two products for each of the forward pass. Recomputation does not count,
    so that a rate made from this is the model FLOP utilisation of Chowdhery et al. 2022
    (arXiv:2204.02311, appendix B). Attention within a window counts the pairs that are computed:
    all of a short row, those of `models.blocks` of a long one. Lookups in embeddings count nothing.

    Args:
        config: sizes of the encoder.
        batch_size: B.
        length: L.
        predictions: P, rows a sequence that are projected to the vocabulary.

    Returns:
        FLOPs; a product of [a, b] and [b, c] is 2 a b c of them.
    """
    hidden = config.hidden_dim
    products = _blocks(config, batch_size, length)
    products += batch_size * hidden * (hidden + 2)  # pooler, next sentence
    products += batch_size * predictions * hidden * (hidden + config.vocabulary_size)
    return 3.0 * 2.0 * products


def _blocks(
    config: EncoderConfig, batch_size: int, length: int, context: int = 0, causal: bool = False
) -> float:
    """Products of a stack, forward; with cross-attention to `context` tokens, unless that is 0."""
    rows, mixed = batch_size * length, config.num_heads * config.head_dim
    wide = config.intermediate_dim * (3 if config.feed_forward == "glu" else 2)
    shared = 2 * mixed * config.key_value_heads / config.num_heads  # keys, values
    products = rows * config.hidden_dim * (2 * mixed + shared + wide)  # query and output
    if context:
        products += config.hidden_dim * (2 * rows * mixed + batch_size * context * shared)
        products += 2 * rows * context * mixed
    pairs = sum(blocks.pairs(config, layer, length, causal) for layer in range(config.num_layers))
    return config.num_layers * products + 2 * batch_size * pairs * mixed  # scores, context


def causal_step_flops(config: EncoderConfig, batch_size: int, length: int) -> float:
    """As `step_flops`, of `CausalLM`, which projects every token to the vocabulary.

    Args:
        config: sizes of the model.
        batch_size: B.
        length: L.
    """
    output = batch_size * length * config.hidden_dim * config.vocabulary_size
    return 6.0 * (_blocks(config, batch_size, length, causal=True) + output)


def encoder_decoder_step_flops(
    config: EncoderConfig, decoder: EncoderConfig, batch_size: int, length: int, target_length: int
) -> float:
    """As `step_flops`, of `EncoderDecoder`, which projects every token of a target.

    Args:
        config: sizes of the encoder.
        decoder: of the decoder.
        batch_size: B.
        length: L, tokens of a source.
        target_length: T, of a target.
    """
    products = _blocks(config, batch_size, length)
    products += _blocks(decoder, batch_size, target_length, length)
    products += batch_size * target_length * decoder.hidden_dim * decoder.vocabulary_size
    return 6.0 * products


def orthogonal_flops(config: EncoderConfig, cross_attention: bool = False) -> float:
    """Floating-point operations of an update of a stack by Muon, whatever the batch.

    Five times three products for each matrix of a block: [R, C] by its transpose, that by itself,
    and the sum by [R, C], R being its smaller side.

    Args:
        config: sizes of the stack.
        cross_attention: whether its blocks attend to another stack too.
    """
    hidden, mixed = config.hidden_dim, config.num_heads * config.head_dim
    shared = config.key_value_heads * config.head_dim
    widths = [mixed, mixed, shared, shared] * (2 if cross_attention else 1)
    widths += [config.intermediate_dim] * (3 if config.feed_forward == "glu" else 2)
    sides = [sorted((hidden, width)) for width in widths]
    return config.num_layers * sum(5 * 2.0 * r * r * (2 * c + r) for r, c in sides)


def replaced_tokens_step_flops(
    config: EncoderConfig,
    generator: GeneratorConfig,
    batch_size: int,
    length: int,
    predictions: int,
) -> float:
    """As `step_flops`, of `ReplacedTokens`.

    Args:
        config: sizes of the discriminator.
        generator: of the generator.
        batch_size: B.
        length: L.
        predictions: P, rows a sequence that the generator projects to the vocabulary.
    """
    hidden, narrow = config.hidden_dim, generator.hidden_dim
    width = narrow if generator.embedding_sharing == "separate" else hidden
    rows = batch_size * length
    products = _blocks(config, batch_size, length) + rows * hidden * (hidden + 1)
    products += _blocks(generator, batch_size, length) + rows * width * narrow * (width != narrow)
    products += batch_size * predictions * width * (narrow + config.vocabulary_size)
    return 6.0 * products


def parameters(config: EncoderConfig) -> int:
    """Weights of a `Pretrainer`; the vocabulary projection shares those of the embedding."""
    return sum(map(math.prod, weight_shapes.pretrainer(config).values()))
