"""The table of weight names: complete, unambiguous, and the same there and back."""

import numpy as np
import pytest

from roots_tf import models
from roots_tf.export import weight_names
from roots_tf.storage.files import InputError

CONFIG = models.EncoderConfig(
    vocabulary_size=11, num_layers=2, hidden_dim=4, num_heads=2, intermediate_dim=6
)
LAYOUTS = ("hugging_face", "tensorflow1", "keras_hub")


def random_weights(*kinds) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    variables = {n: v for model in kinds for n, v in models.named_weights(model).items()}
    return {n: random.normal(size=v.shape).astype("float32") for n, v in variables.items()}


def test_literal_names_and_layouts():
    kernel = np.arange(6, dtype="float32").reshape(1, 6)  # of H = 1 it would be [1, 3]
    found = weight_names.from_ours(
        "hugging_face", {"encoder/layer_1/attention/query_key_value_kernel": kernel}, 2
    )
    stem = "encoder.layer.1.attention.self"
    assert {name: array.tolist() for name, array in found.items()} == {
        f"{stem}.query.weight": [[0], [1]],
        f"{stem}.key.weight": [[2], [3]],
        f"{stem}.value.weight": [[4], [5]],
    }
    tf1 = weight_names.weights_of("tensorflow1", 1)
    assert tf1["next_sentence/kernel"] == (("cls/seq_relationship/output_weights",), True)
    assert tf1["masked_lm/transform/kernel"] == (("cls/predictions/transform/dense/kernel",), False)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_name_stands_for_two_weights(layout):
    names = [
        name for weight in weight_names.weights_of(layout, 3).values() for name in weight.names
    ]
    assert len(names) == len(set(names))


def test_every_weight_of_every_kind_has_its_names():
    ours = random_weights(models.Pretrainer(CONFIG), models.Classifier(CONFIG, 3))
    detection = {n for n in random_weights(models.Discriminator(CONFIG)) if "detection" in n}
    assert set(weight_names.weights_of("hugging_face", 2)) == set(ours) | detection
    assert set(weight_names.weights_of("tensorflow1", 2)) == set(ours)
    heads = {"next_sentence/kernel", "next_sentence/bias"}
    assert set(weight_names.weights_of("keras_hub", 2)) == set(ours) - heads


@pytest.mark.parametrize("layout", LAYOUTS)
def test_there_and_back_is_bit_equal(layout):
    ours = random_weights(models.Pretrainer(CONFIG))
    theirs = weight_names.from_ours(layout, ours, 2)
    known = {name: array for name, array in ours.items() if "next_sentence" not in name}
    shapes = {name: array.shape for name, array in known.items()}
    back = weight_names.to_ours(layout, theirs, shapes, 2, "here")
    for name, array in known.items():
        np.testing.assert_array_equal(back[name], array)


def test_a_missing_and_a_misshapen_weight_are_named():
    ours = random_weights(models.PooledEncoder(CONFIG))
    shapes = {name: array.shape for name, array in ours.items()}
    theirs = weight_names.from_ours("hugging_face", ours, 2)
    name = "encoder.layer.1.intermediate.dense.weight"
    wrong = theirs | {name: theirs[name].T}
    with pytest.raises(InputError, match=rf"{name} of shape \(4, 6\) in a/b; wanted \(6, 4\)"):
        weight_names.to_ours("hugging_face", wrong, shapes, 2, "a/b")
    del theirs[name]
    with pytest.raises(InputError, match=rf"found no weight {name} in a/b; wanted one \(6, 4\)"):
        weight_names.to_ours("hugging_face", theirs, shapes, 2, "a/b")
