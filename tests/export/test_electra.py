"""ELECTRA of Hugging Face in and out: the numbers of PyTorch, from `electra.json`."""

import importlib
import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from pipelines import export
from roots_tf import models, tokenizers
from roots_tf.storage.files import InputError
from tests.export import theirs_electra

import_checkpoint = importlib.import_module("pipelines.import")
THEIRS = json.loads(theirs_electra.PATH.read_text())
ENCODER = {n: s for n, s in THEIRS["shapes"].items() if n.startswith("electra.")}


def take_in(folder, output) -> dict:
    return import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))


@pytest.fixture(scope="module")
def features():
    kinds = {"padding_mask": tf.bool}
    return {n: tf.constant(x, kinds.get(n, tf.int32)) for n, x in theirs_electra.batch().items()}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Their folder, and the model folder that it becomes."""
    root = tmp_path_factory.mktemp("electra")
    theirs_electra.save(root / "theirs", THEIRS["shapes"])
    described = take_in(root / "theirs", root / "ours")
    assert described["kind"] == "discriminator" and not described.get("untrained")
    return root


def test_states_and_judgements_are_those_of_pytorch(ours, features):
    model, inside = models.load(ours / "ours"), features["padding_mask"].numpy()
    for found, wanted in (
        (model.encoder(features), THEIRS["states"]),
        (model(features), THEIRS["logits"]),
    ):
        np.testing.assert_allclose(found.numpy()[inside], np.array(wanted)[inside], atol=1e-5)


def test_what_came_in_goes_out_bit_for_bit(ours, tmp_path):
    made = export.Config(
        model=str(ours / "ours"), output=str(tmp_path / "out"), format="huggingface"
    )
    export.main(made)
    said = json.loads((tmp_path / "out/config.json").read_text())
    assert {key: said.get(key) for key in theirs_electra.CONFIG} == theirs_electra.CONFIG
    wanted = theirs_electra.weights(THEIRS["shapes"])
    found = safetensors.numpy.load_file(tmp_path / "out/model.safetensors")
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert tokenizers.load(tmp_path / "out").size == len(theirs_electra.VOCABULARY)


def test_without_its_head_it_is_an_encoder(ours, features, tmp_path):
    shapes = {name.removeprefix("electra."): shape for name, shape in ENCODER.items()}
    theirs_electra.save(tmp_path / "theirs", shapes, architectures=["ElectraModel"])
    described = take_in(tmp_path / "theirs", tmp_path / "ours")
    assert (described["kind"], described["pooler"]) == ("encoder", False)
    assert models.load(tmp_path / "ours")(features)["hidden_states"].shape == (3, 20, 16)


@pytest.mark.parametrize("changes, message", [
    ({"embedding_size": 8}, "embedding_size=8 and hidden_size=16 in .* wanted one width"),
    ({"embedding_size": 128}, "embedding_size=128 and hidden_size=16"),
    ({"hidden_act": "silu"}, "found hidden_act='silu'"),
])  # fmt: skip
def test_parts_that_have_no_place_here(tmp_path, changes, message):
    theirs_electra.save(tmp_path / "theirs", THEIRS["shapes"], **changes)
    with pytest.raises(InputError, match=message):
        take_in(tmp_path / "theirs", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_a_model_of_other_parts_does_not_leave(tmp_path, ours):
    config = models.EncoderConfig.of_size("tiny", "modern", vocabulary_size=32)
    models.save(tmp_path / "modern", models.Discriminator(config))
    tokenizers.load(ours / "ours").save(tmp_path / "modern")
    made = export.Config(
        model=str(tmp_path / "modern"), output=str(tmp_path / "out"), format="huggingface"
    )
    with pytest.raises(InputError, match="norm='pre'.*Hugging Face's ELECTRA has norm='post'"):
        export.main(made)
