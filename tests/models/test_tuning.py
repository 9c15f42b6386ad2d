"""Ways to train little of a model: what is trained, what it adds, and what merging gives."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.models.tuning import TUNINGS, BiasTuning, LowRankTuning
from roots_tf.storage.files import InputError

BERT = models.EncoderConfig(
    vocabulary_size=50, num_layers=2, hidden_dim=16, num_heads=4, intermediate_dim=32,
    max_sequence_length=16, dropout=0.0, initializer_range=0.1,
)  # fmt: skip
# Keys and values have fewer columns than queries, and the wide layer is two.
MODERN = dataclasses.replace(BERT, **models.preset_fields("llama"), num_key_value_heads=2)
FEATURES = {
    "token_ids": tf.constant([[7, 8, 9, 0], [3, 4, 5, 6]]),
    "segment_ids": tf.zeros([2, 4], tf.int32),
    "padding_mask": tf.constant([[True, True, True, False], [True] * 4]),
}
PAIRS = LowRankTuning(lora_rank=3, lora_alpha=12.0)


def both(config, tuning, seed=5):
    """The same model twice, of which the first is prepared."""
    made = [models.Classifier(config, 3, seed=seed) for _ in range(2)]
    tuning.prepare(made[0])
    return made


def draw(model, tuning):
    """Gives what is trained other values, of that size."""
    for i, weight in enumerate(model.variables):
        if tuning.trains(weight.path):
            value = tf.random.stateless_normal(weight.shape, [i, 3], stddev=0.2)
            weight.assign_add(value)


@pytest.mark.parametrize("config", [BERT, MODERN], ids=["bert", "llama"])
def test_pairs_begin_at_nothing_and_their_merged_model_answers_alike(config):
    tuned, plain = both(config, PAIRS)
    np.testing.assert_array_equal(tuned(FEATURES), plain(FEATURES))
    draw(tuned, PAIRS)
    answers = tuned(FEATURES)
    assert np.abs(answers - plain(FEATURES)).max() > 0.1
    PAIRS.merge(plain, PAIRS.learned(tuned))
    np.testing.assert_allclose(plain(FEATURES), answers, atol=1e-5)
    assert {name.rpartition("/")[2] for name in PAIRS.learned(tuned)} >= {"down", "up", "kernel"}


@pytest.mark.parametrize("config", [BERT, MODERN], ids=["bert", "llama"])
def test_each_map_has_a_pair_of_its_own_and_alpha_counts(config):
    """A loop over maps, one at a time, each of which has columns of the matrix to itself."""
    tuning = dataclasses.replace(PAIRS, lora_targets=("value", "expand"))
    tuned, plain = both(config, tuning)
    draw(tuned, tuning)
    learned, before = tuning.learned(tuned), {w.path: w.numpy() for w in plain.variables}
    tuning.merge(plain, learned)
    size = config.key_value_heads * config.head_dim
    values = config.hidden_dim + size
    columns = {"attention/query_key_value_kernel": [(values, values + size)]}
    gates = range(2 if config.feed_forward == "glu" else 1)
    columns["expand/kernel"] = [(32 * gate, 32 * gate + 32) for gate in gates]
    for layer in range(2):
        for name, maps in columns.items():
            path = f"encoder/layer_{layer}/{name}"
            down, up = learned.pop(f"{path}/down"), learned.pop(f"{path}/up")
            assert down.shape == (16, 3 * len(maps))
            assert up.shape == (3, sum(end - begin for begin, end in maps))
            expected, done = before.pop(path).copy(), 0
            for i, (begin, end) in enumerate(maps):
                first, second = down[:, 3 * i : 3 * i + 3], up[:, done : done + end - begin]
                expected[:, begin:end] += 12.0 / 3 * first @ second
                done += end - begin
            found = {w.path: w.numpy() for w in plain.variables}[path]
            np.testing.assert_allclose(found, expected, atol=1e-5)
    head = {"classes/kernel", "classes/bias"}
    assert head < learned.keys() <= head | {"pooler/kernel", "pooler/bias"}
    for weight in plain.variables:
        if weight.path in before.keys() - learned.keys():
            np.testing.assert_array_equal(weight.numpy(), before[weight.path], err_msg=weight.path)


def test_the_same_seed_gives_the_same_pairs_and_another_place_others():
    one, same, other = (both(BERT, PAIRS, seed)[0] for seed in (5, 5, 6))
    names = [name for name in models.named_weights(one) if name.endswith("/down")]
    downs = [[models.named_weights(m)[name].numpy() for name in names] for m in (one, same, other)]
    for first, second, third in zip(*downs, strict=True):
        np.testing.assert_array_equal(first, second)
        assert np.any(first != third)
    assert len({array.tobytes() for array in downs[0]}) == len(names) == 8


@pytest.mark.parametrize(
    ("tuning", "config", "trained"),
    [
        (TUNINGS["all"](), BERT, {"token", "gamma", "beta", "kernel", "bias", "position"}),
        (PAIRS, BERT, {"down", "up", "kernel", "bias"}),
        (BiasTuning(), BERT, {"beta", "kernel", "bias", "query_key_value_bias", "output_bias"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_is_trained_and_no_gradient_of_the_rest(tuning, config, trained):
    model, _ = both(config, tuning)
    rates = models.rate_multipliers(model, 1.0, -1, tuning)
    variables = model.trainable_variables
    assert len(rates) == len(variables)
    names = {variable.path.rpartition("/")[2] for variable in variables}
    assert names >= trained
    if tuning.keeps:
        assert names == trained
        kernels = {v.path for v in variables if v.path.endswith("kernel")}
        assert kernels == {"pooler/kernel", "classes/kernel"}


def test_merging_what_is_of_another_model_is_refused():
    tuned, plain = both(BERT, PAIRS)
    learned = PAIRS.learned(tuned)
    name = "encoder/layer_1/contract/kernel/up"
    wrong = [
        learned | {name: learned[name][:, :1]},
        learned | {"encoder/layer_7/up": learned[name]},
    ]
    wrong.append({key: value for key, value in learned.items() if key != name})
    wrong.append(learned | {"classes/kernel": np.zeros([16, 4], np.float32)})
    for weights in wrong:
        with pytest.raises(InputError, match="found weight .* among what was learned"):
            PAIRS.merge(plain, weights)


def test_what_does_not_apply_is_refused_in_a_line():
    with pytest.raises(InputError, match="found lora_targets=valeu; wanted some of .*value"):
        LowRankTuning(lora_targets=("valeu",)).check(BERT)
    with pytest.raises(InputError, match="found --tune=bias and a model that has no biases"):
        BiasTuning().check(MODERN)
