"""BERT as google-research/bert writes it: a TensorFlow 1 graph with its names and its optimizer's.

An oracle for names and layouts, written from that repository's `modeling.py`, `run_pretraining.py`
and `optimization.py`; inference only.
"""

import json
import math
from pathlib import Path

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def variable(name, *shape):
    """A weight, and the two slots that AdamWeightDecayOptimizer keeps for it."""
    made = v1.get_variable(name, shape, initializer=v1.random_normal_initializer(stddev=0.3))
    for slot in ("adam_m", "adam_v"):
        v1.get_variable(f"{name}/{slot}", shape, initializer=v1.ones_initializer())
    return made


def dense(x, size):
    with v1.variable_scope("dense"):
        return tf.matmul(x, variable("kernel", x.shape[-1], size)) + variable("bias", size)


def layer_norm(x):
    with v1.variable_scope("LayerNorm"):
        beta, gamma = variable("beta", x.shape[-1]), variable("gamma", x.shape[-1])
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-12) * gamma + beta


def gelu(x):
    return x * 0.5 * (1.0 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attention(x, mask, heads):
    """[B, L, H] -> [B, L, H]."""
    hidden = x.shape[-1]
    projected = {}
    with v1.variable_scope("self"):
        for name in ("query", "key", "value"):
            with v1.variable_scope(name):
                y = tf.matmul(x, variable("kernel", hidden, hidden)) + variable("bias", hidden)
            y = tf.reshape(y, [*x.shape[:2], heads, hidden // heads])
            projected[name] = tf.transpose(y, [0, 2, 1, 3])  # [B, N, L, D]
    scores = tf.matmul(projected["query"], projected["key"], transpose_b=True)
    scores = scores / math.sqrt(hidden // heads) + (1.0 - mask[:, None, None]) * -10000.0
    context = tf.matmul(tf.nn.softmax(scores), projected["value"])
    return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), x.shape)


def write(folder: Path, config: dict, vocabulary: list[str], features: dict, heads: str = ""):
    """Writes a checkpoint of random weights; gives its outputs for `features` (numpy, [B, L]).

    `heads` are those of "pretraining", of "classes" (`run_classifier.py`) or of "squad".
    """
    hidden, vocabulary_size = config["hidden_size"], config["vocab_size"]
    graph = tf.Graph()
    with graph.as_default():
        v1.set_random_seed(3)
        ids, segments = features["token_ids"], features["segment_ids"]
        mask = tf.constant(features["padding_mask"].astype("float32"))
        with v1.variable_scope("bert"):
            with v1.variable_scope("embeddings"):
                table = variable("word_embeddings", vocabulary_size, hidden)
                types = variable("token_type_embeddings", config["type_vocab_size"], hidden)
                places = variable("position_embeddings", config["max_position_embeddings"], hidden)
                x = tf.gather(table, ids) + tf.gather(types, segments) + places[: ids.shape[1]]
                x = layer_norm(x)
            for i in range(config["num_hidden_layers"]):
                with v1.variable_scope(f"encoder/layer_{i}"):
                    with v1.variable_scope("attention"):
                        context = attention(x, mask, config["num_attention_heads"])
                        with v1.variable_scope("output"):
                            x = layer_norm(x + dense(context, hidden))
                    with v1.variable_scope("intermediate"):
                        wide = gelu(dense(x, config["intermediate_size"]))
                    with v1.variable_scope("output"):
                        x = layer_norm(x + dense(wide, hidden))
            with v1.variable_scope("pooler"):
                pooled = tf.tanh(dense(x[:, 0], hidden))
        outputs = {"hidden_states": x, "pooled": pooled}
        if heads == "pretraining":
            at = tf.gather(x, features["masked_lm_positions"], batch_dims=1)
            with v1.variable_scope("cls/predictions"):
                with v1.variable_scope("transform"):
                    at = layer_norm(gelu(dense(at, hidden)))
                bias = variable("output_bias", vocabulary_size)
                outputs["masked_lm_logits"] = tf.tensordot(at, table, [[2], [1]]) + bias
            with v1.variable_scope("cls/seq_relationship"):
                weights, bias = variable("output_weights", 2, hidden), variable("output_bias", 2)
                logits = tf.matmul(pooled, weights, transpose_b=True) + bias
                outputs["next_sentence_logits"] = logits
        if heads == "classes":
            weights, bias = variable("output_weights", 3, hidden), variable("output_bias", 3)
            outputs["logits"] = tf.matmul(pooled, weights, transpose_b=True) + bias
        if heads == "squad":
            weights = variable("cls/squad/output_weights", 2, hidden)
            bias = variable("cls/squad/output_bias", 2)
            outputs["logits"] = tf.tensordot(x, weights, [[2], [1]]) + bias
        v1.get_variable("beta1_power", (), initializer=v1.ones_initializer())
        v1.train.get_or_create_global_step()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            found = session.run(outputs)
            v1.train.Saver().save(session, str(folder / "bert_model.ckpt"))
    (folder / "bert_config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary))
    return {name: np.asarray(value) for name, value in found.items()}
