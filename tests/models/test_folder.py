"""Model folders: what is written comes back, and what does not fit is named."""

import dataclasses
import json

import numpy as np
import pytest

from roots_tf import models
from roots_tf.files import InputError

CONFIG = models.EncoderConfig(
    vocabulary_size=50, num_layers=1, hidden_dim=8, num_heads=2, intermediate_dim=16,
    max_sequence_length=16,
)  # fmt: skip


MODERN = dataclasses.replace(CONFIG, **models.preset_fields("modern"), num_layers=2)


@pytest.mark.parametrize("config", [CONFIG, MODERN], ids=["bert", "modern"])
def test_a_model_comes_back(tmp_path, config):
    model = models.Classifier(config, 3, seed=5)
    models.save(tmp_path, model, labels=("a", "b", "c"))
    again = models.load(tmp_path)
    assert models.describe(tmp_path)["labels"] == ["a", "b", "c"]
    assert again.config == config
    for one, other in zip(model.variables, again.variables, strict=True):
        assert one.path == other.path
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_folder_from_before_the_parts_were_a_choice_is_bert(tmp_path):
    models.save(tmp_path, models.Pretrainer(CONFIG))
    path = tmp_path / "model.json"
    description = json.loads(path.read_text())
    sizes = ("vocabulary_size", "num_layers", "hidden_dim", "num_heads", "intermediate_dim")
    kept = {name: description["encoder"][name] for name in (*sizes, "max_sequence_length", "norm")}
    path.write_text(json.dumps(description | {"encoder": kept}))
    assert models.load(tmp_path).config == CONFIG


def test_names_of_weights_are_unique_and_tell_where_they_are():
    names = list(models.named_weights(models.Pretrainer(CONFIG)))
    assert len(names) == len(set(names)) == len(models.Pretrainer(CONFIG).variables)
    assert "encoder/layer_0/attention/query_key_value_kernel" in names


@pytest.mark.parametrize("config", [CONFIG, MODERN], ids=["bert", "modern"])
def test_an_encoder_moves_from_a_pretrained_model_to_a_classifier(tmp_path, config):
    pretrained = models.Pretrainer(config, seed=1)
    models.save(tmp_path, pretrained)
    model = models.Classifier(config, 2, seed=2)
    models.load_weights(
        tmp_path, models.named_weights(model.encoder) | models.named_weights(model.pooler)
    )
    moved = model.encoder.variables + model.pooler.variables
    source = pretrained.encoder.variables + pretrained.pooler.variables
    for one, other in zip(source, moved, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_other_sizes_a_missing_weight_and_damage_are_named(tmp_path):
    models.save(tmp_path, models.Pretrainer(CONFIG))
    wider = models.EncoderConfig(**{**vars(CONFIG), "vocabulary_size": 60})
    with pytest.raises(InputError, match=r"embeddings/token of shape \(50, 8\).*wanted \(60, 8\)"):
        models.load_weights(tmp_path, models.named_weights(models.Pretrainer(wider)))
    with pytest.raises(InputError, match="found no weight classes/kernel"):
        models.load_weights(tmp_path, models.named_weights(models.Classifier(CONFIG, 2)))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(InputError, match="could not read"):
        models.load(tmp_path)


def test_a_folder_without_a_model_or_of_another_format_is_named(tmp_path):
    with pytest.raises(InputError, match="found no model.json"):
        models.load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({"encoder": {"layers": 3}}))
    with pytest.raises(InputError, match="another format"):
        models.load(tmp_path)
