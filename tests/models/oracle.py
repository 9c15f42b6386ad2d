"""BERT in plain NumPy, as slow and obvious as the paper: one sequence, one head at a time."""

import math

import numpy as np

erf = np.vectorize(math.erf)


def layer_norm(x, weights, name, epsilon):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    normal = (x - mean) / np.sqrt(variance + epsilon)
    return normal * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def gelu(x):
    return x * 0.5 * (1.0 + erf(x / math.sqrt(2.0)))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attention(x, seen, weights, name, num_heads):
    """x [L, H]; seen bool [L, L], query by key."""
    hidden = x.shape[1]
    size = hidden // num_heads
    kernel = weights[f"{name}/query_key_value_kernel"]
    bias = weights[f"{name}/query_key_value_bias"]
    query, key, value = (
        x @ kernel[:, i * hidden : (i + 1) * hidden] + bias[i * hidden : (i + 1) * hidden]
        for i in range(3)
    )
    heads = []
    for head in range(num_heads):
        part = slice(head * size, (head + 1) * size)
        scores = query[:, part] @ key[:, part].T / math.sqrt(size)
        scores = np.where(seen, scores, scores - 1e9)
        heads.append(softmax(scores) @ value[:, part])
    context = np.concatenate(heads, -1)
    return context @ weights[f"{name}/output_kernel"] + weights[f"{name}/output_bias"]


def encode(weights, config, token_ids, segment_ids, seen, positions):
    """One sequence: ids [L] to hidden states [L, H]."""
    epsilon, pre = config.layer_norm_epsilon, config.norm == "pre"
    x = (
        weights["encoder/embeddings/token"][token_ids]
        + weights["encoder/embeddings/position"][positions]
        + weights["encoder/embeddings/segment"][segment_ids]
    )
    x = layer_norm(x, weights, "encoder/embeddings/norm", epsilon)
    for index in range(config.num_layers):
        name = f"encoder/layer_{index}"

        def attend(y, name=name):
            return attention(y, seen, weights, f"{name}/attention", config.num_heads)

        def feed_forward(y, name=name):
            wide = gelu(dense(y, weights, f"{name}/expand"))
            return dense(wide, weights, f"{name}/contract")

        def norm(y, which, name=name):
            return layer_norm(y, weights, f"{name}/{which}", epsilon)

        if pre:
            x = x + attend(norm(x, "attention_norm"))
            x = x + feed_forward(norm(x, "output_norm"))
        else:
            x = norm(x + attend(x), "attention_norm")
            x = norm(x + feed_forward(x), "output_norm")
    return layer_norm(x, weights, "encoder/final_norm", epsilon) if pre else x


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
            x = gelu(dense(hidden[position], weights, "masked_lm/transform"))
            x = layer_norm(x, weights, "masked_lm/norm", config.layer_norm_epsilon)
            logits = x @ weights["encoder/embeddings/token"].T + weights["masked_lm/bias"]
            masked -= weight * np.log(softmax(logits)[token_id])
        pooled = np.tanh(dense(hidden[0], weights, "pooler"))
        logits = dense(pooled, weights, "next_sentence")
        sentence -= np.log(softmax(logits)[batch["next_sentence_labels"][row]])
    return masked, sentence
