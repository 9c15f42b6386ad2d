"""Every variant of a stack in plain NumPy, slow and obvious: a sequence, a head at a time."""

import math

import numpy as np

erf = np.vectorize(math.erf)


def layer_norm(x, weights, name, epsilon):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    normal = (x - mean) / np.sqrt(variance + epsilon)
    return normal * weights[f"{name}/gamma"] + weights.get(f"{name}/beta", 0.0)


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0.0)


def gelu(x):
    return x * 0.5 * (1.0 + erf(x / math.sqrt(2.0)))


def gelu_tanh(x):
    return x * 0.5 * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def relu_squared(x):
    return np.where(x > 0, x * x, 0.0)


def activation(config):
    return {"gelu": gelu, "gelu_tanh": gelu_tanh, "relu_squared": relu_squared}[config.activation]


def of_unit_size(rows, config):
    """Queries or keys of a head, [L, D], by the root of their mean square where the model says."""
    if not config.query_key_norm:
        return rows
    epsilon = config.layer_norm_epsilon
    return np.array([row / math.sqrt((row @ row) / len(row) + epsilon) for row in rows])


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def rotate(x, positions, base):
    """x [L, D] as D/2 complex numbers, each times exp(i * position * frequency)."""
    size = x.shape[1]
    pairs = x[:, : size // 2] + 1j * x[:, size // 2 :]
    frequencies = base ** (-2.0 * np.arange(size // 2) / size)
    turned = pairs * np.exp(1j * np.outer(positions, frequencies))
    return np.concatenate([turned.real, turned.imag], -1)


def attention(x, seen, positions, weights, name, config, local):
    """x [L, H]; seen bool [L, L], query by key; positions [L]."""
    size = x.shape[1] // config.num_heads
    shared = (config.num_key_value_heads or config.num_heads) * size
    mixed = x @ weights[f"{name}/query_key_value_kernel"]
    mixed = mixed + weights.get(f"{name}/query_key_value_bias", 0.0)
    query, key, value = np.split(mixed, [x.shape[1], x.shape[1] + shared], 1)
    if local:
        index = np.arange(len(x))
        seen = seen & (np.abs(np.subtract.outer(index, index)) <= config.window // 2)
    heads = []
    for head in range(config.num_heads):
        part, of_key = parts_of(head, config, size)
        q, k = (of_unit_size(x, config) for x in (query[:, part], key[:, of_key]))
        if config.positions == "rotary":
            base = config.local_rotary_base if local else config.rotary_base
            q, k = rotate(q, positions, base), rotate(k, positions, base)
        heads.append(weigh(q, k, value[:, of_key], seen))
    return output(heads, weights, name)


def parts_of(head, config, size):
    """Columns of a query head, and those of the key that it shares with its neighbours."""
    sharers = config.num_heads // (config.num_key_value_heads or config.num_heads)
    return tuple(slice(i * size, (i + 1) * size) for i in (head, head // sharers))


def weigh(query, key, value, seen):
    """One head: [Lq, D], [Lk, D], [Lk, D], bool [Lq, Lk] -> [Lq, D]."""
    scores = query @ key.T / math.sqrt(query.shape[1])
    return softmax(np.where(seen, scores, scores - 1e9)) @ value


def output(heads, weights, name):
    mixed = np.concatenate(heads, -1)
    return mixed @ weights[f"{name}/output_kernel"] + weights.get(f"{name}/output_bias", 0.0)


def cross_attention(x, context, seen, weights, name, config):
    """x [Lq, H]; context [Lk, H]; seen bool [Lq, Lk]."""
    hidden = x.shape[1]
    size = hidden // config.num_heads
    query = x @ weights[f"{name}/query_kernel"] + weights.get(f"{name}/query_bias", 0.0)
    both = context @ weights[f"{name}/key_value_kernel"]
    both = both + weights.get(f"{name}/key_value_bias", 0.0)
    key, value = np.split(both, 2, 1)
    heads = []
    for head in range(config.num_heads):
        part, of_key = parts_of(head, config, size)
        q, k = (of_unit_size(x, config) for x in (query[:, part], key[:, of_key]))
        heads.append(weigh(q, k, value[:, of_key], seen))
    return output(heads, weights, name)


def feed_forward(x, weights, name, config):
    wide = dense(x, weights, f"{name}/expand")
    if config.feed_forward == "glu":
        wide = (
            activation(config)(wide[:, : config.intermediate_dim])
            * (wide[:, config.intermediate_dim :])
        )
    else:
        wide = activation(config)(wide)
    return dense(wide, weights, f"{name}/contract")


def encode(weights, config, token_ids, segment_ids, seen, positions, stack="encoder", context=None):
    """One sequence: ids [L] to hidden states [L, H].

    A stack with cross-attention has a context: states [Lk, H], and which are seen, bool [L, Lk].
    """
    epsilon, pre = config.layer_norm_epsilon, config.norm == "pre"
    x = (
        weights[f"{stack}/embeddings/token"][token_ids]
        + weights[f"{stack}/embeddings/segment"][segment_ids]
    )
    if config.positions == "learned":
        x = x + weights[f"{stack}/embeddings/position"][positions]
    x = layer_norm(x, weights, f"{stack}/embeddings/norm", epsilon)
    for index in range(config.num_layers):
        name = f"{stack}/layer_{index}"
        local = config.window > 0 and index % config.global_every > 0

        def attend(y, name=name, local=local):
            return attention(y, seen, positions, weights, f"{name}/attention", config, local)

        def attend_to_context(y, name=name):
            return cross_attention(y, *context, weights, f"{name}/cross_attention", config)

        def feed(y, name=name):
            return feed_forward(y, weights, name, config)

        parts = {"attention_norm": attend, "output_norm": feed}
        if context is not None:
            parts = {
                "attention_norm": attend,
                "cross_attention_norm": attend_to_context,
                "output_norm": feed,
            }
        for norm, part in parts.items():
            if pre:
                x = x + part(layer_norm(x, weights, f"{name}/{norm}", epsilon))
            else:
                x = layer_norm(x + part(x), weights, f"{name}/{norm}", epsilon)
    return layer_norm(x, weights, f"{stack}/final_norm", epsilon) if pre else x


def pretraining_loss(weights, config, batch):
    """Sums of both losses over a batch, in nats."""
    masked = sentence = 0.0
    for row in range(len(batch["token_ids"])):
        inside = batch["padding_mask"][row]
        length = len(inside)
        hidden = encode(
            weights,
            config,
            batch["token_ids"][row],
            batch["segment_ids"][row],
            np.broadcast_to(inside, (length, length)),
            np.arange(length),
        )
        for position, token_id, weight in zip(
            batch["masked_lm_positions"][row],
            batch["masked_lm_ids"][row],
            batch["masked_lm_weights"][row],
            strict=True,
        ):
            x = activation(config)(dense(hidden[position], weights, "masked_lm/transform"))
            x = layer_norm(x, weights, "masked_lm/norm", config.layer_norm_epsilon)
            logits = x @ weights["encoder/embeddings/token"].T + weights["masked_lm/bias"]
            if config.masked_logit_cap:
                logits = config.masked_logit_cap * np.tanh(logits / config.masked_logit_cap)
            masked -= weight * np.log(softmax(logits)[token_id])
        pooled = np.tanh(dense(hidden[0], weights, "pooler"))
        logits = dense(pooled, weights, "next_sentence")
        sentence -= np.log(softmax(logits)[batch["next_sentence_labels"][row]])
    return masked, sentence
