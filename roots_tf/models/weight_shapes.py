"""Names and shapes of the weights of a model, from its sizes alone: nothing is allocated."""

from roots_tf.models.config import DecoderConfig, EncoderConfig, GeneratorConfig

Shapes = dict[str, tuple[int, ...]]


def encoder(
    config: EncoderConfig,
    name: str = "encoder",
    cross_attention: bool = False,
    shares_tokens: bool = False,
) -> Shapes:
    """Those of an `Encoder`, by name as `named_weights` gives them.

    >>> encoder(EncoderConfig.of_size("base", vocabulary_size=30522))["encoder/embeddings/token"]
    (30522, 768)

    Args:
        config: its sizes.
        name: of the stack.
        cross_attention: as for `Stack`.
        shares_tokens: whether the token embedding is another stack's.
    """
    hidden, wide = config.hidden_dim, config.intermediate_dim
    gates = 2 if config.feed_forward == "glu" else 1
    shapes = {} if shares_tokens else {f"{name}/embeddings/token": (config.vocabulary_size, hidden)}
    if config.positions == "learned":
        places = config.prompt_length + config.max_sequence_length
        shapes[f"{name}/embeddings/position"] = (places, hidden)
    if config.num_segments:
        shapes[f"{name}/embeddings/segment"] = (config.num_segments, hidden)
    if config.embedding_norm:
        shapes |= _norm(config, f"{name}/embeddings/norm")
    if config.prompt_length:
        shapes[f"{name}/soft_prompt/vectors"] = (config.prompt_length, hidden)
    if config.positions == "relative":
        shapes[f"{name}/relative_positions"] = (config.relative_buckets, config.num_heads)
    mixed = config.num_heads * config.head_dim
    shared = 2 * config.key_value_heads * config.head_dim
    for layer in range(config.num_layers):
        block = f"{name}/layer_{layer}"
        shapes |= _dense(config, f"{block}/attention/query_key_value_", hidden, mixed + shared)
        shapes |= _dense(config, f"{block}/attention/output_", mixed, hidden)
        shapes |= _norm(config, f"{block}/attention_norm")
        if cross_attention:
            shapes |= _dense(config, f"{block}/cross_attention/query_", hidden, mixed)
            shapes |= _dense(config, f"{block}/cross_attention/key_value_", hidden, shared)
            shapes |= _dense(config, f"{block}/cross_attention/output_", mixed, hidden)
            shapes |= _norm(config, f"{block}/cross_attention_norm")
        shapes |= _dense(config, f"{block}/expand/", hidden, gates * wide)
        shapes |= _dense(config, f"{block}/contract/", wide, hidden)
        shapes |= _norm(config, f"{block}/output_norm")
        shapes |= _added(config, block, cross_attention)
    return shapes | (_norm(config, f"{name}/final_norm") if config.norm == "pre" else {})


def output_table(config: EncoderConfig) -> Shapes:
    """That of the output embedding of a `CausalLM`; none where it is the input's."""
    return {} if config.tied else {"head/table": (config.vocabulary_size, config.hidden_dim)}


def pretrainer(config: EncoderConfig) -> Shapes:
    """Those of a `Pretrainer`; the vocabulary projection shares the table of tokens."""
    hidden = config.hidden_dim
    shapes = encoder(config) | {"masked_lm/bias": (config.vocabulary_size,)}
    shapes |= _dense(config, "masked_lm/transform/", hidden, hidden)
    shapes |= _norm(config, "masked_lm/norm") | _dense(config, "pooler/", hidden, hidden)
    return shapes | {"next_sentence/kernel": (hidden, 2), "next_sentence/bias": (2,)}


def causal_lm(config: EncoderConfig) -> Shapes:
    """Those of a `CausalLM`."""
    return encoder(config) | output_table(config)


def masked_and_causal_lm(config: EncoderConfig) -> Shapes:
    """Those of a `MaskedAndCausalLM`: of a `CausalLM`, and of the head for masked tokens."""
    masked = {n: s for n, s in pretrainer(config).items() if n.startswith("masked_lm/")}
    return causal_lm(config) | masked


def discriminator(config: EncoderConfig) -> Shapes:
    """Those of a `Discriminator`."""
    hidden = config.hidden_dim
    shapes = encoder(config) | _dense(config, "detection/transform/", hidden, hidden)
    return shapes | {"detection/output/kernel": (hidden, 1), "detection/output/bias": (1,)}


def replaced_tokens(config: EncoderConfig, generator: GeneratorConfig | None = None) -> Shapes:
    """Those of `ReplacedTokens`.

    Args:
        config: sizes of its discriminator.
        generator: sizes of its generator; None: a quarter of the discriminator's width.
    """
    generator = generator or GeneratorConfig.of_share(config, 0.25)
    sharing, narrow = generator.embedding_sharing, generator.hidden_dim
    embedded = generator if sharing == "separate" else config
    table = (config.vocabulary_size, embedded.hidden_dim)
    own = encoder(embedded, "generator", shares_tokens=sharing != "separate")
    own = {n: s for n, s in own.items() if "/embeddings/" in n and sharing != "tied"}
    stack = encoder(generator, "generator")
    own |= {n: s for n, s in stack.items() if "/embeddings/" not in n}
    if embedded.hidden_dim != narrow:
        own |= _dense(config, "generator/projection/", embedded.hidden_dim, narrow)
    own |= _dense(config, "generator/masked_lm/transform/", narrow, embedded.hidden_dim)
    own |= _norm(embedded, "generator/masked_lm/norm") | {"generator/masked_lm/bias": table[:1]}
    if sharing == "gradient_disentangled":
        own["difference/token"] = table
    return discriminator(config) | own


def encoder_decoder(config: EncoderConfig, decoder: DecoderConfig | None = None) -> Shapes:
    """Those of an `EncoderDecoder`.

    Args:
        config: sizes of its encoder.
        decoder: sizes of its decoder, and how the two are joined; None: as the encoder's.
    """
    decoder = DecoderConfig.like(config) if decoder is None else decoder
    shapes = encoder(config) | encoder(decoder, "decoder", True, decoder.shares_tokens)
    if decoder.output_bias:
        shapes["output/bias"] = (decoder.vocabulary_size,)
    return shapes | output_table(decoder)


def classes(config: EncoderConfig, num_labels: int) -> Shapes:
    """Those of the last layer of a classifier.

    Args:
        config: of its encoder.
        num_labels: its outputs.
    """
    return {"classes/kernel": (config.hidden_dim, num_labels), "classes/bias": (num_labels,)}


def _dense(config: EncoderConfig, prefix: str, inputs: int, outputs: int) -> Shapes:
    bias = {f"{prefix}bias": (outputs,)} if config.bias else {}
    return {f"{prefix}kernel": (inputs, outputs)} | bias


def _added(config: EncoderConfig, block: str, cross_attention: bool) -> Shapes:
    """Those that `finetune --tune` has added to a block."""
    shapes, hidden, narrow = {}, config.hidden_dim, config.adapter_dim
    for name in ("keys", "values") if config.prefix_length else ():
        size = config.prefix_length, config.key_value_heads * config.head_dim
        shapes[f"{block}/attention/prefix/{name}"] = size
    sub_layers = ("attention", "output", *("cross_attention",) * cross_attention)
    for name in sub_layers if narrow else ():
        down, up = (f"{block}/{name}_bottleneck/{end}" for end in ("down", "up"))
        shapes |= {f"{down}/kernel": (hidden, narrow), f"{down}/bias": (narrow,)}
        shapes |= {f"{up}/kernel": (narrow, hidden), f"{up}/bias": (hidden,)}
    return shapes


def _norm(config: EncoderConfig, prefix: str) -> Shapes:
    names = ("gamma", "beta") if config.bias and config.normalization == "layer" else ("gamma",)
    return {f"{prefix}/{name}": (config.hidden_dim,) for name in names}
