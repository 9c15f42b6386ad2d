"""How much memory a training step takes, part by part, counted from sizes alone.

Counted are the arrays that `models.stack`, `models.layers`, `losses` and `training.step` keep, one
after the other, in bytes; nothing is fitted. Between two products a block is one compiled function,
whose gradient starts from its inputs, so that inputs of such functions and of products are what is
kept for the backward pass. The letters are those of `roots_tf.features`: tokens of a row L, hidden
size H, heads N, of keys and values K, each of size D, feed-forward width I, vocabulary V.
"""

import dataclasses
import math

from roots_tf.models import blocks, weight_shapes
from roots_tf.models.config import DecoderConfig, EncoderConfig, GeneratorConfig
from roots_tf.storage.files import InputError

FLOAT = 4  # bytes of float32
BLOCK_BYTES = 1 << 27  # as `losses.BLOCK_BYTES`, which a test compares: logits of a causal model
ORTHOGONALISED_BYTES = 1 << 27  # as `training.optimizers` has it, likewise

# What a process takes besides its arrays, on the processor: Python, TensorFlow and the package once
# they are imported; and the graph of a step with its compiled kernels. Both were measured, as
# docs/plan.md tells; an accelerator's own memory holds neither.
IMPORTED = 648 << 20
COMPILED = 190 << 20
# What lies between arrays, as a share of them; measured, see there: in TensorFlow's own pool, which
# it has where oneDNN multiplies, and in the heap of the C library, which is cut into more pieces.
HOLES = 1 / 8
HOLES_OF_HEAP = 0.55

SHAPES = {
    "masked_lm": weight_shapes.pretrainer,
    "causal_lm": weight_shapes.causal_lm,
    "masked_and_causal": weight_shapes.masked_and_causal_lm,
    "replaced_tokens": weight_shapes.replaced_tokens,
    "denoising": weight_shapes.encoder_decoder,
    "contrastive": weight_shapes.encoder,
}


def shapes_of(
    objective: str, config: EncoderConfig, other: DecoderConfig | GeneratorConfig | None = None
) -> weight_shapes.Shapes:
    """Names and shapes of the weights of the model that an objective trains.

    Args:
        objective: name of it.
        config: sizes of the model.
        other: of the decoder of an encoder-decoder, None: as the encoder's; or of the generator
            beside a discriminator, None: as the flags have it by default.

    Raises:
        InputError: nobody has said here which model the objective trains.
    """
    if objective not in SHAPES:
        raise InputError(
            "no-such-choice",
            f"found --objective={objective}; wanted one of {', '.join(SHAPES)}, whose models can "
            "be counted",
        )
    return SHAPES[objective](config, *(() if other is None else (other,)))


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Bytes of a step by what they are for.

    Attributes:
        weights: float32.
        moments: of the optimizer: two for each weight; of Muon one for each of its matrices.
        average: of the weights, where one is kept.
        casts: weights in the type of the products.
        gradients: of all weights.
        update: what the optimizer makes beside these.
        activations: kept for the backward pass, of one micro-batch.
        logits: of the vocabulary, with their gradient, where they are largest.
        in_flight: gradients of activations that are there at once.
        checkpoint: what is held until it is written, while steps go on: weights, moments, average;
            an accelerator's own memory holds none of it, but that of its host does.
        allocator: holes between arrays, on the processor.
        runtime: the process itself.
        peak: the most that is there at once, `runtime` included.
        peak_at: when that is.
    """

    weights: int
    moments: int
    average: int
    casts: int
    gradients: int
    update: int
    activations: int
    logits: int
    in_flight: int
    checkpoint: int
    allocator: int
    runtime: int
    peak: int
    peak_at: str


@dataclasses.dataclass(frozen=True)
class Step:
    """What decides the memory of a step.

    Attributes:
        config: sizes of the model, dropout among them.
        objective: name of it.
        rows: of a micro-batch on one device.
        length: tokens of a row, L.
        predictions: of a row that are projected to the vocabulary, where not all are.
        precision: a Keras dtype policy.
        recompute: whether blocks are computed again in the backward pass.
        optimizer: as the flag has it.
        averaged: whether a moving average is kept.
        micro_batches: that a step is cut into.
        threads: that start operations; a processor has one for each core. 0: an accelerator,
            which does one after the other and whose memory holds no process.
        pooled: of a processor, whether arrays come from TensorFlow's own pool, and not the heap.
        decoder: sizes of the decoder of an encoder-decoder, else None.
        target_length: tokens of a target, T; likewise, else 0.
        generator: sizes of the generator beside a discriminator, else None.
    """

    config: EncoderConfig
    objective: str
    rows: int
    length: int
    predictions: int
    precision: str = "float32"
    recompute: bool = False
    optimizer: str = "adamw"
    averaged: bool = False
    micro_batches: int = 1
    threads: int = 0
    pooled: bool = True
    decoder: DecoderConfig | None = None
    target_length: int = 0
    generator: GeneratorConfig | None = None

    @property
    def told(self) -> "Step":
        """What the stack sees that is projected to the vocabulary: of an encoder-decoder, the
        decoder over its targets, as the step of a causal model."""
        if self.decoder is None:
            return self
        new = {"config": self.decoder, "length": self.target_length, "decoder": None}
        return dataclasses.replace(self, objective="causal_lm", **new)

    @property
    def item(self) -> int:
        """Bytes of a number in the type of the products."""
        return FLOAT if self.precision == "float32" else 2

    @property
    def tokens(self) -> int:
        """Of a micro-batch on one device."""
        return self.rows * self.length


def _feed_forward(step: Step) -> int:
    """Bytes a token that the products and the activation of a feed-forward layer keep."""
    config = step.config
    gates = 2 if config.feed_forward == "glu" else 1
    return (gates + 1) * config.intermediate_dim * step.item


def _attention(step: Step) -> int:
    """Bytes a token of a layer's softmax over keys, and of what dropout leaves of it.

    Those of the mean layer: one with a window has fewer in long rows.
    """
    layers = range(step.config.num_layers)
    pairs = sum(blocks.pairs(step.config, layer, step.length, causal=False) for layer in layers)
    keys = step.config.num_heads * pairs // (len(layers) * step.length)
    return _weights(step, keys)


def _weights(step: Step, keys: int) -> int:
    """Bytes of the softmax over so many keys, and of what dropout leaves of it."""
    return (2 if step.config.attention_rate else 1) * keys * step.item


def layer_bytes(step: Step) -> int:
    """Bytes a token that a block keeps for the backward pass.

    Its input, what attention gives and that times its matrix, the sum and what the feed-forward
    layer gives: 5 H; queries, keys and values before and after they are parted by head:
    2 (N + 2 K) D; before a norm that comes first, one more H each.

    Args:
        step: of the run.
    """
    config, hidden = step.config, step.config.hidden_dim
    mixed = (config.num_heads + 2 * config.key_value_heads) * config.head_dim
    numbers = 5 * hidden + 2 * mixed + (2 * hidden if config.norm == "pre" else 0)
    return numbers * step.item + _feed_forward(step) + _attention(step)


def crossed_bytes(step: Step, length: int) -> int:
    """Bytes of a micro-batch that a block's attention to another stack keeps.

    What attention gives, that times its matrix and the sum: 3 H; queries before and after they are
    parted by head, 2 N D, and keys and values, 4 K D for each token of the other stack.

    Args:
        step: of the stack that attends.
        length: tokens of a row of the other one.
    """
    config, hidden = step.config, step.config.hidden_dim
    numbers = 3 * hidden + 2 * config.num_heads * config.head_dim
    numbers += hidden if config.norm == "pre" else 0
    keys = config.num_heads * length
    of_token = numbers * step.item + _weights(step, keys)
    others = 4 * config.key_value_heads * config.head_dim * step.item
    return step.tokens * of_token + step.rows * length * others


def _stack(step: Step, attended: int = 0) -> int:
    """Bytes that a stack keeps, with attention to `attended` tokens of another one if not 0."""
    config, hidden = step.config, step.config.hidden_dim
    embedded = hidden * step.item if config.embedding_norm else 0
    last = hidden * step.item * (2 if config.norm == "pre" else 1)
    crossed = crossed_bytes(step, attended) if attended else 0
    block = step.tokens * layer_bytes(step) + crossed
    if step.recompute:  # inputs alone, and one block in full
        layers = step.tokens * config.num_layers * hidden * step.item + block
    else:
        layers = config.num_layers * block
    return step.tokens * (embedded + last) + layers


def _activations(step: Step) -> int:
    """Bytes that are kept for the backward pass when the forward pass ends."""
    if step.decoder is not None:
        return _stack(step) + _stack(step.told, step.length)
    if step.generator is not None:
        return _stack(step) + _of_generator(step)
    head = 0
    if step.objective != "causal_lm":  # gathered, transformed, activated, normalised
        head = 4 * step.rows * step.predictions * step.config.hidden_dim * step.item
    return _stack(step) + head


def _of_generator(step: Step) -> int:
    """Bytes that a generator keeps, and the head of the discriminator beside it.

    The generator's head keeps what it gathers, of the generator's width, and three rows of the
    embedding's; the discriminator's a row before and after its activation, for all tokens.
    """
    narrow = step.generator.hidden_dim
    width = narrow if step.generator.embedding_sharing == "separate" else step.config.hidden_dim
    gathered = step.rows * step.predictions * (narrow + 3 * width) * step.item
    heads = gathered + 2 * step.tokens * step.config.hidden_dim * step.item
    return _stack(dataclasses.replace(step, config=step.generator)) + heads


def _logits(step: Step) -> int:
    """Bytes of the largest logits and of what is there beside them.

    Of masked tokens: all logits and their gradient, in float32. Of a causal model: a block of each
    in the type of the products for each thread, since blocks do not wait for one another; and the
    gradient of the output table: the sum so far and the next one, and that of each block, in lower
    precision also in float32.
    """
    step = step.told
    vocabulary = step.config.vocabulary_size
    masked = 2 * FLOAT * step.rows * step.predictions * vocabulary
    every = step.tokens * vocabulary
    blocks = -(-FLOAT * every // BLOCK_BYTES)
    at_once = min(blocks, max(1, step.threads))
    table = vocabulary * step.config.hidden_dim
    of_block = table * (step.item + (FLOAT if step.item < FLOAT else 0))
    causal = 2 * FLOAT * table + at_once * (2 * every * step.item // blocks + of_block)
    by_objective = {"masked_lm": masked, "causal_lm": causal, "replaced_tokens": masked}
    by_objective["contrastive"] = 0  # what is compared is one vector a row
    return by_objective.get(step.objective, max(masked, causal))


def _in_flight(step: Step) -> int:
    """Bytes of gradients while the last block goes backward: of attention, or of what follows it.

    By the time attention's turn comes, the feed-forward layer's own activations are gone.
    """
    hidden = 2 * step.config.hidden_dim * step.item
    wide = _feed_forward(step)
    scores = 2 * step.config.num_heads * step.length * step.item
    bytes_ = step.tokens * (hidden + max(wide, scores - wide))
    if step.decoder is None:
        return bytes_
    of_states = step.tokens * step.config.hidden_dim * step.item  # of the encoder, so far
    return max(bytes_, of_states + _in_flight(step.told))


def footprint(step: Step) -> Footprint:
    """What a step takes, and when it takes most.

    The moments that are compared: the end of the forward pass, when all activations and the logits
    are there; the last block's backward pass, with the gradient of the table; the end of the
    backward pass, when the table's gradient as the output is added to that as the input; and the
    update, in which norms of the weights are measured against a copy of them.

    Args:
        step: of the run.
    """
    if step.objective == "contrastive":  # two views of each row
        step = dataclasses.replace(step, rows=2 * step.rows)
    on_processor = step.threads > 0
    shapes = shapes_of(step.objective, step.config, step.decoder or step.generator)
    count = sum(map(math.prod, shapes.values()))
    table = FLOAT * step.config.vocabulary_size * step.config.hidden_dim
    matrices = sum(math.prod(shape) for shape in shapes.values() if len(shape) > 1)
    weights = gradients = FLOAT * count
    casts = 0 if step.item == FLOAT else step.item * matrices
    own, one_moment = 0, 0
    if step.optimizer == "lamb":
        own = 3 * table  # mean, square, direction of the largest
    if step.optimizer == "scaled_adamw":
        own = table  # squares of the largest
    if step.optimizer == "muon":
        blocks = (FLOAT * math.prod(s) for n, s in shapes.items() if "/layer_" in n and len(s) > 1)
        one_moment = sum(blocks)
        # Directions, what is made of them, that before, its square, and their product.
        own = 5 * min(one_moment, ORTHOGONALISED_BYTES)
    activations, logits, in_flight = _activations(step), _logits(step), _in_flight(step)
    added = gradients if step.micro_batches > 1 else 0  # the sum over those before
    held = weights * (4 if step.averaged else 3) - one_moment
    moments = {
        "the end of the forward pass": casts + activations + logits + added,
        "the last block's backward pass": casts + activations + table + in_flight + added,
        "the end of the backward pass": casts + gradients + 2 * table + added,
        "the update": 2 * gradients + weights + own,
    }
    peak_at = max(moments, key=moments.get)
    checkpoint = held if on_processor else 0
    arrays = held + moments[peak_at]
    holes = HOLES if step.pooled else HOLES_OF_HEAP
    allocator = round(holes * arrays) if on_processor else 0
    runtime = IMPORTED + COMPILED if on_processor else 0
    return Footprint(
        weights=weights,
        moments=2 * weights - one_moment,
        average=weights if step.averaged else 0,
        casts=casts,
        gradients=gradients,
        update=gradients + own,
        activations=activations,
        logits=logits,
        in_flight=in_flight,
        checkpoint=checkpoint,
        allocator=allocator,
        runtime=runtime,
        peak=runtime + arrays + checkpoint + allocator,
        peak_at=peak_at,
    )
