"""Attention maps are the weights that the encoder uses; attributions sum to what they explain."""

import importlib
import types

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models, tokenizers
from roots_tf.models import inspection
from roots_tf.storage.files import InputError
from tests.batches import pretraining_batch
from tests.export import conftest as checkpoints
from tests.models import oracle
from tests.models.test_encoder import CONFIG, model_and_weights, of_variants, packed_rows

minilm = checkpoints.minilm  # the fixture

PAD, CLS, SEP = 0, 2, 3
TOKENIZER = types.SimpleNamespace(pad_id=PAD, cls_id=CLS, sep_id=SEP)
SENTENCES = [
    "The film is a charming and often affecting journey.",
    "It never quite finds the tone it is looking for, and ends too late!",
    "Unflinchingly bleak.",
]


def normalised(x, weights, name, config):
    return oracle.layer_norm(x, weights, name, config.layer_norm_epsilon)


def encode_with(maps, x, weights, config):
    """A row's hidden states from its embeddings [L, H], with attention weights that are given."""
    pre, hidden = config.norm == "pre", config.hidden_dim
    size, shared = hidden // config.num_heads, config.num_heads // config.key_value_heads
    first = hidden + size * config.key_value_heads  # of the columns that make values
    for layer, heads in enumerate(maps):
        name = f"encoder/layer_{layer}"
        normal = normalised(x, weights, f"{name}/attention_norm", config) if pre else x
        kernel = weights[f"{name}/attention/query_key_value_kernel"][:, first:]
        bias = weights.get(
            f"{name}/attention/query_key_value_bias", np.zeros(kernel.shape[1] + first)
        )
        value = np.split(normal @ kernel + bias[first:], config.key_value_heads, -1)
        context = np.concatenate(
            [heads[n] @ value[n // shared] for n in range(config.num_heads)], -1
        )
        x = x + context @ weights[f"{name}/attention/output_kernel"]
        x = x + weights.get(f"{name}/attention/output_bias", 0.0)
        if pre:
            normal = normalised(x, weights, f"{name}/output_norm", config)
            x = x + oracle.feed_forward(normal, weights, name, config)
        else:
            x = normalised(x, weights, f"{name}/attention_norm", config)
            x = x + oracle.feed_forward(x, weights, name, config)
            x = normalised(x, weights, f"{name}/output_norm", config)
    return normalised(x, weights, "encoder/final_norm", config) if pre else x


@of_variants()
def test_maps_are_the_weights_that_the_encoder_uses(config):
    model, weights = model_and_weights(config)
    features = pretraining_batch(0, 4, 16, 50, 3)
    maps = inspection.attention_maps(model.encoder, features).numpy()
    assert maps.dtype == np.float32
    assert maps.shape == (config.num_layers, 4, config.num_heads, 16, 16)
    inside = features["padding_mask"].numpy()
    embedded = model.encoder.embeddings(features).numpy().reshape(4, 16, config.hidden_dim)
    states = model.encoder(features).numpy()
    for row in range(4):
        tokens = inside[row].sum()
        used = maps[:, row, :, :tokens]  # [layers, N, tokens, L]
        np.testing.assert_allclose(used.sum(-1), 1, atol=1e-6)
        assert not used[..., tokens:].any()
        found = encode_with(
            used[..., :tokens].astype("float64"), embedded[row, :tokens], weights, config
        )
        np.testing.assert_allclose(found, states[row, :tokens], atol=1e-4)


def test_maps_of_packed_rows_and_windows_are_zero_on_what_is_not_seen():
    config = models.EncoderConfig(
        vocabulary_size=50, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20,
        max_sequence_length=8, window=2, global_every=2, initializer_range=0.3,
    )  # fmt: skip
    token_ids = np.arange(10, 18)[None]
    features = packed_rows(token_ids, [[1, 1, 1, 2, 2, 2, 2, 0]], [[0, 1, 2, 0, 1, 2, 3, 0]])
    whole, local = inspection.attention_maps(models.Encoder(config), features).numpy()
    document = np.array([1, 1, 1, 2, 2, 2, 2])
    documents = document[:, None] == document
    near = np.abs(np.subtract.outer(np.arange(7), np.arange(7))) <= 1
    for head in range(3):
        np.testing.assert_array_equal(whole[0, head, :7, :7] > 0, documents)
        np.testing.assert_array_equal(local[0, head, :7, :7] > 0, documents & near)
        assert not whole[0, head, :7, 7].any()
        assert not local[0, head, :7, 7].any()


def test_maps_of_a_model_in_bfloat16_are_float32():
    encoder = models.Encoder(CONFIG, precision="mixed_bfloat16")
    maps = inspection.attention_maps(encoder, pretraining_batch(0, 4, 16, 50, 3))
    assert maps.dtype == tf.float32
    np.testing.assert_allclose(tf.reduce_sum(maps, -1), 1, atol=0.02)


@pytest.mark.slow
def test_maps_of_a_real_checkpoint_are_those_of_hugging_face(minilm, tmp_path):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    program = importlib.import_module("pipelines.import")
    program.main(program.Config(from_=str(minilm), output=str(tmp_path / "ours")))
    tokenizer = tokenizers.load(tmp_path / "ours")
    features = checkpoints.features_of(SENTENCES, tokenizer, 64)
    found = inspection.attention_maps(models.load(tmp_path / "ours").encoder, features)
    theirs = transformers.AutoModel.from_pretrained(minilm, attn_implementation="eager").eval()
    with torch.no_grad():
        wanted = theirs(**checkpoints.torch_inputs(features), output_attentions=True).attentions
    np.testing.assert_allclose(found, torch.stack(wanted).numpy(), atol=1e-5)


def test_baseline_keeps_the_frame_of_a_row():
    token_ids = tf.constant([[CLS, 7, 8, SEP, 9, SEP, PAD], [CLS, SEP, 9, 9, 9, SEP, PAD]])
    assert inspection.baseline_ids(token_ids, TOKENIZER).numpy().tolist() == [
        [CLS, PAD, PAD, SEP, PAD, SEP, PAD],
        [CLS, SEP, PAD, PAD, PAD, SEP, PAD],
    ]


def framed(features: dict) -> dict:
    """The rows with [CLS] at their first and [SEP] at their last token."""
    inside = features["padding_mask"].numpy()
    token_ids = features["token_ids"].numpy()
    token_ids[:, 0] = CLS
    token_ids[np.arange(len(inside)), inside.sum(1) - 1] = SEP
    return features | {"token_ids": tf.constant(token_ids)}


def class_of_row(logits):
    """A class that differs by row, so that a mix-up of rows shows."""
    return tf.gather(logits, [0, 1, 2, 1], batch_dims=1)


@of_variants("bert", "modern")
def test_attributions_sum_to_the_difference_from_the_baseline(config):
    model = models.Classifier(config, 3, seed=1)
    features = framed(pretraining_batch(0, 4, 16, 50, 3))
    found = inspection.integrated_gradients(model, features, class_of_row, TOKENIZER, 200).numpy()
    emptied = inspection.baseline_ids(features["token_ids"], TOKENIZER)
    differences = class_of_row(model(features)) - class_of_row(
        model(features | {"token_ids": emptied})
    )
    assert found.dtype == np.float32
    assert found.shape == (4, 16)
    assert np.abs(differences).max() > 0.1  # else a sum of zeros would pass
    np.testing.assert_allclose(found.sum(1), differences, atol=1e-3)
    assert not found[features["token_ids"].numpy() == emptied.numpy()].any()


def test_attributions_equal_finite_differences():
    model = models.Classifier(CONFIG, 3, seed=2)
    features = framed(pretraining_batch(1, 4, 6, 50, 2))
    steps, small = 4, 1e-2
    table = model.encoder.embeddings.token.numpy()
    start = table[inspection.baseline_ids(features["token_ids"], TOKENIZER)]
    change = table[features["token_ids"]] - start

    def score(shares):
        """With each token so far from its baseline; shares is [L]."""
        point = start + change * shares[None, :, None]
        return class_of_row(model(features | {"token_embeddings": tf.constant(point)})).numpy()

    wanted = np.zeros([4, 6])
    for middle in (np.arange(steps) + 0.5) / steps:
        for token in range(6):
            bump = small * np.eye(6, dtype="float32")[token]
            slope = (score(middle + bump) - score(middle - bump)) / (2 * small)
            wanted[:, token] += slope / steps
    found = inspection.integrated_gradients(model, features, class_of_row, TOKENIZER, steps)
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    assert np.abs(wanted).max() > 0.05


def test_vocabulary_logits_can_be_explained_too():
    model, _ = model_and_weights(CONFIG)
    features = framed(pretraining_batch(0, 4, 16, 50, 1))

    def target(outputs):
        return outputs["masked_lm_logits"][:, 9]

    found = inspection.integrated_gradients(model, features, target, TOKENIZER, 200)
    emptied = inspection.baseline_ids(features["token_ids"], TOKENIZER)
    differences = target(model(features)) - target(model(features | {"token_ids": emptied}))
    np.testing.assert_allclose(tf.reduce_sum(found, 1), differences, atol=5e-3)


def test_mistakes_are_named():
    features = pretraining_batch(0, 4, 16, 50, 3)
    model = models.Classifier(CONFIG, 3)
    with pytest.raises(InputError, match="found steps=0; wanted 1 or more"):
        inspection.integrated_gradients(model, features, class_of_row, TOKENIZER, 0)
    model = models.Classifier(CONFIG, 3, precision="mixed_bfloat16")
    with pytest.raises(InputError, match="computes in bfloat16.*precision='float32'"):
        inspection.integrated_gradients(model, features, class_of_row, TOKENIZER)
