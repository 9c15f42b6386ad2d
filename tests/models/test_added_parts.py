"""Soft prompts, prefixes and bottlenecks: where they stand, and that nothing else has changed."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.generation.loop import generate
from roots_tf.generation.settings import Settings
from roots_tf.models import weight_shapes
from roots_tf.models.bottleneck import Bottleneck
from roots_tf.models.inspection import attention_maps
from roots_tf.models.soft_prompt import SoftPrompt
from roots_tf.models.soft_prompt import drawn as drawn_ids
from roots_tf.models.tuning import AdapterTuning, PrefixTuning, PromptTuning
from roots_tf.seeds import Place
from roots_tf.storage.files import InputError

SIZES = {
    **{"vocabulary_size": 50, "num_layers": 3, "hidden_dim": 16, "num_heads": 4, "dropout": 0.0},
    **{"intermediate_dim": 32, "max_sequence_length": 16, "initializer_range": 0.2},
}
LLAMA = {**models.preset_fields("llama"), "num_key_value_heads": 2}
STACKS = {
    "bert": {},
    "one_segment": {"num_segments": 1},
    "modern": {**models.preset_fields("modern"), "window": 4},
    "gpt2": {**models.preset_fields("gpt2"), "causal": True},
    "llama": {**LLAMA, "causal": True},
    "sinusoidal": {**models.preset_fields("transformer"), "activation": "gelu"},
    "relative": models.preset_fields("t5"),
}
MASK = tf.constant([[True, True, True, True, True], [True, True, True, False, False]])
FEATURES = {
    "token_ids": tf.constant([[7, 8, 9, 4, 2], [3, 4, 5, 0, 0]]),
    "segment_ids": tf.constant([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]]),
    "padding_mask": MASK,
}
PROMPT, PREFIX, ADAPTER = PromptTuning(3), PrefixTuning(3), AdapterTuning(4)


def config_of(name: str, **fields) -> models.EncoderConfig:
    return models.EncoderConfig(**SIZES | STACKS[name] | fields)


def with_weights_of(plain, model, tuning):
    """The model of grown sizes, with the weights of a plain one, and what it adds at its start."""
    weights = models.named_weights(plain)
    for name, weight in models.named_weights(model).items():
        if not tuning.is_new(name):
            weight.assign(weights[name])
    tuning.prepare(model)
    return model


def both(config, tuning, make=models.PooledEncoder):
    """A plain model, and the one that it begins as."""
    plain = make(config, seed=3)
    drawn([weight for weight in plain.variables if len(weight.shape) == 1])  # biases and norms
    return plain, with_weights_of(plain, make(tuning.grown(config), seed=4), tuning)


def states(model, features, seed=None) -> np.ndarray:
    return model.encoder(features, seed=seed).numpy()


def drawn(weights) -> None:
    """Gives weights other values."""
    for i, weight in enumerate(weights):
        weight.assign(tf.random.stateless_normal(weight.shape, [i, 3], stddev=0.3))


@pytest.mark.parametrize("name", STACKS)
def test_a_prompt_has_the_first_positions_and_the_text_those_behind(name):
    """The plain model over P + L embeddings, of which the first are given and not looked up."""
    plain, model = both(config_of(name), PROMPT)
    vectors = model.encoder.prompt.vectors
    drawn([vectors])
    embedded = tf.gather(plain.encoder.embeddings.token, FEATURES["token_ids"])
    whole = {n: tf.pad(x, [[0, 0], [3, 0]], constant_values=n == "padding_mask")
             for n, x in FEATURES.items()}  # fmt: skip
    whole["token_embeddings"] = tf.concat(
        [tf.stack([tf.convert_to_tensor(vectors)] * 2), embedded], 1
    )
    expected = states(plain, whole)[:, 3:]
    found = states(model, FEATURES)
    assert found.shape == (2, 5, 16)
    np.testing.assert_allclose(found[MASK], expected[MASK], atol=1e-5)
    assert np.abs(found - states(plain, FEATURES))[MASK].max() > 0.01
    given = {"position_ids": tf.constant([[0, 1, 2, 3, 4]] * 2)}
    np.testing.assert_allclose(states(model, FEATURES | given), found, atol=1e-5)


def test_a_prompt_begins_as_rows_of_the_vocabulary_that_the_seed_draws():
    config = PROMPT.grown(config_of("bert"))
    table = tf.random.stateless_normal([50, 16], [1, 2])
    found = []
    for seed in (1, 1, 2):
        prompt = SoftPrompt(config, place=Place(seed, "encoder/soft_prompt"))
        prompt.begin(table)
        found.append(prompt.vectors.numpy())
    np.testing.assert_array_equal(found[0], found[1])
    assert np.any(found[0] != found[2])
    for row in found[0]:
        assert (table.numpy() == row).all(1).sum() == 1


def test_the_longest_text_is_shorter_by_the_prompt():
    config = config_of("bert")
    plain, model = both(config, PROMPT)
    assert model.config.max_sequence_length == 13
    assert model.encoder.embeddings.position.shape == plain.encoder.embeddings.position.shape
    row = tf.ones([1, 13], tf.int32)
    features = {"token_ids": row, "segment_ids": row - 1, "padding_mask": row == 1}
    assert np.isfinite(states(model, features)).all()
    with pytest.raises(tf.errors.InvalidArgumentError):
        states(model, {n: tf.concat([x, x[:, :1]], 1) for n, x in features.items()})


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_prefix_is_what_tokens_before_the_text_leave_in_the_cache(name):
    """Nothing before the text sees it: the plain model over both, each counted from position 0."""
    plain, model = both(config_of(name), PREFIX)
    seed = model.encoder.stack.blocks[0].attention.prefix.place.initial()
    ids = tf.repeat(drawn_ids(seed, 3, 50)[None], 2, 0)
    whole = {
        "token_ids": tf.concat([ids, FEATURES["token_ids"]], 1),
        "padding_mask": tf.pad(MASK, [[0, 0], [3, 0]], constant_values=True),
        "position_ids": tf.constant([[0, 1, 2, 0, 1, 2, 3, 4]] * 2),
    }
    found = states(model, FEATURES)
    np.testing.assert_allclose(found[MASK], states(plain, whole)[:, 3:][MASK], atol=1e-5)
    assert np.abs(found - states(plain, FEATURES))[MASK].max() > 0.01
    assert model.config.max_sequence_length == 16


@pytest.mark.parametrize("name", STACKS)
def test_every_token_takes_some_of_a_prefix_in_every_layer(name):
    plain, model = both(config_of(name), PREFIX)
    np.testing.assert_allclose(
        tf.reduce_sum(attention_maps(plain.encoder, FEATURES), -1), 1, atol=1e-5
    )
    drawn([w for n, w in models.named_weights(model).items() if PREFIX.is_new(n)])
    sums = tf.reduce_sum(attention_maps(model.encoder, FEATURES), -1).numpy()  # [3, B, N, L]
    assert sums.shape == (3, 2, 4, 5)
    assert (sums < 1 - 1e-4).all()
    prompted = both(config_of(name), PROMPT)[1]
    maps = attention_maps(prompted.encoder, FEATURES)
    assert maps.shape == (3, 2, 4, 5, 5)


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_a_bottleneck_stands_between_sub_layer_and_residual_sum(name):
    """What it adds is added by the bias of the sub-layer's last product too, where there is one."""
    config = config_of(name, dropout=0.2, bias=True)
    plain, model = both(config, ADAPTER)
    seed = tf.constant([5, 6])
    for at in (None, seed):  # near the identity, and with the same dropout
        np.testing.assert_allclose(
            states(model, FEATURES, at), states(plain, FEATURES, at), atol=0.01
        )
    config = dataclasses.replace(config, dropout=0.0)
    plain, model = both(config, ADAPTER)
    added, weights = tf.range(16.0) / 10, models.named_weights(plain)
    for name, weight in models.named_weights(model).items():
        if name.endswith("_bottleneck/up/kernel"):
            weight.assign(tf.zeros_like(weight))
        if name.endswith("_bottleneck/up/bias"):
            weight.assign(added)
            ours = {"attention": "attention/output_bias", "output": "contract/bias"}
            block, layer = name.split("/")[1:3]
            weights[f"encoder/{block}/{ours[layer.removesuffix('_bottleneck')]}"].assign_add(added)
    np.testing.assert_allclose(states(model, FEATURES), states(plain, FEATURES), atol=1e-4)


def test_a_bottleneck_literally():
    sizes = {"hidden_dim": 2, "num_heads": 1, "adapter_dim": 1, "activation": "relu"}
    layer = Bottleneck(config_of("bert", **sizes), place=Place(0, "narrow"))
    layer.down.kernel.assign([[1.0], [-2.0]])
    layer.down.bias.assign([0.5])
    layer.up.kernel.assign([[10.0, 20.0]])
    layer.up.bias.assign([1.0, 0.0])
    found, bias = layer(tf.constant([[3.0, 1.0], [0.0, 4.0]]))  # 1.5 and -7.5 in between
    np.testing.assert_allclose(found + bias, [[3 + 15 + 1, 1 + 30], [1, 4]])


@pytest.mark.parametrize("decoding", ["greedy", "beam"])
@pytest.mark.parametrize("tuning", [PROMPT, PREFIX, ADAPTER], ids=lambda t: t.name)
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_continuing_a_text_gives_what_the_whole_text_gives(name, tuning, decoding):
    """Caches of prompts of three lengths; then each text again, whole and by itself."""
    model = both(config_of(name, causal=False), tuning, models.CausalLM)[1]
    drawn([w for n, w in models.named_weights(model).items() if tuning.is_new(n)])
    prompts = tf.constant([[7, 8, 9, 4], [5, 0, 0, 0], [3, 6, 0, 0]])
    lengths, settings = tf.constant([4, 1, 2]), Settings(decoding=decoding, max_new_tokens=6)
    seeds = tf.zeros([3, 2], tf.int32)
    found = generate(model, prompts, lengths, seeds, settings, eos_id=49, pad_id=0)
    for row, length in enumerate(lengths):
        new = found.ids[row, : found.lengths[row]]
        text = tf.concat([prompts[row, :length], new], 0)[None]
        hidden = model({"token_ids": text, "padding_mask": tf.ones_like(text, tf.bool)})
        logits = model.logits(hidden)[0, length - 1 : -1]
        chances = tf.gather(tf.nn.log_softmax(logits), new, batch_dims=1)
        if decoding == "greedy":
            np.testing.assert_array_equal(tf.argmax(logits, -1), new)
        np.testing.assert_allclose(found.log_probabilities[row, : len(new)], chances, atol=1e-4)


def test_a_text_fills_the_window_that_the_prompt_leaves():
    model = both(config_of("gpt2", causal=False), PROMPT, models.CausalLM)[1]
    settings = Settings(decoding="greedy", max_new_tokens=60)
    found = generate(
        *(model, tf.constant([[7, 8, 9]]), tf.constant([3]), tf.zeros([1, 2], tf.int32), settings),
        **{"eos_id": 49, "pad_id": 0, "forbidden": (49,)},
    )
    assert found.lengths.numpy() == [10]  # 16 positions, 3 of them the prompt's
    assert found.full.numpy() == [True]


@pytest.mark.parametrize("tuning", [PROMPT, PREFIX, ADAPTER], ids=lambda t: t.name)
def test_encoder_decoders_have_the_parts_too(tuning, tmp_path):
    config = config_of("bert")
    decoder = models.DecoderConfig.like(config)
    plain = models.EncoderDecoder(config, decoder, seed=3)
    model = models.EncoderDecoder(tuning.grown(config), tuning.grown(decoder), seed=4)
    with_weights_of(plain, model, tuning)
    shapes = {name: tuple(w.shape) for name, w in models.named_weights(model).items()}
    assert shapes == weight_shapes.encoder_decoder(model.config, model.decoder_config)
    features = FEATURES | {"decoder_token_ids": FEATURES["token_ids"], "decoder_padding_mask": MASK}
    found = model(features)
    assert np.isfinite(found.numpy()).all()
    drawn([w for n, w in models.named_weights(model).items() if tuning.is_new(n)])
    assert np.abs(model(features) - found).max() > 0.01
    models.save(tmp_path, model)
    np.testing.assert_array_equal(models.load(tmp_path)(features), model(features))
    read = models.DecoderConfig.like(model.config)
    assert (read.prompt_length, read.max_sequence_length) == (0, 16)


@pytest.mark.parametrize("name", STACKS)
def test_all_parts_together_are_saved_and_what_is_trained_has_a_gradient(name, tmp_path):
    config = config_of(name)
    for tuning in (PROMPT, PREFIX, ADAPTER):
        config = tuning.grown(config)
    model = models.Classifier(config, 3, seed=2)
    shapes = {n: tuple(w.shape) for n, w in models.named_weights(model).items() if "encoder/" in n}
    assert shapes == weight_shapes.encoder(config)
    models.save(tmp_path, model)
    np.testing.assert_array_equal(models.load(tmp_path)(FEATURES), model(FEATURES))
    for tuning in (PROMPT, PREFIX, ADAPTER):
        models.rate_multipliers(model, 1.0, -1, tuning)
        names = [w.path for w in model.trainable_variables]
        assert all(tuning.is_own(n) or n.startswith(("pooler/", "classes/")) for n in names)
        assert any(map(tuning.is_new, names))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(FEATURES, seed=tf.constant([1, 2])) ** 2)
        gradients = tape.gradient(loss, [w.value for w in model.trainable_variables])
        for weight_name, gradient in zip(names, gradients, strict=True):
            assert np.abs(gradient).max() > 0, weight_name


def test_recomputing_a_block_gives_the_gradients_of_its_parts():
    config = ADAPTER.grown(PREFIX.grown(PROMPT.grown(config_of("relative"))))
    found = []
    for recompute in (False, True):
        model = models.Classifier(config, 3, seed=2, recompute=recompute)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(FEATURES, seed=tf.constant([1, 2])) ** 2)
        found.append(tape.gradient(loss, [w.value for w in model.trainable_variables]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(one), tf.convert_to_tensor(other), atol=1e-4
        )


def test_what_does_not_apply_is_refused_in_a_line():
    cases = [
        (lambda: PROMPT.check(PREFIX.grown(PROMPT.grown(config_of("bert")))),
         "found --tune=prompt and a model with prompt_length=3, which"),
        (lambda: PREFIX.check(config_of("bert"), PREFIX.grown(config_of("bert"))),
         "found --tune=prefix and a model with prefix_length=3"),
        (lambda: PromptTuning(14).check(config_of("bert")),
         "found --prompt_length=14 and a model of 16 positions; wanted 3 at least"),
        (lambda: PrefixTuning(17).check(config_of("bert")), "found --prefix_length=17 and a model"),
        (lambda: PROMPT.check(config_of("relative", causal=True)), "found --tune=prompt and a"),
    ]  # fmt: skip
    for call, message in cases:
        with pytest.raises(InputError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
