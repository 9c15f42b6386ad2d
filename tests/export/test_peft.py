"""Adapters for peft: on the base as transformers has it they give the merged model."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from pipelines import export, merge
from roots_tf import models, tasks
from roots_tf.models.tuning import BiasTuning, LowRankTuning
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.tokenizer import wordpiece

SIZES = {
    **{"vocabulary_size": 14, "num_layers": 2, "hidden_dim": 16, "num_heads": 4},
    **{"intermediate_dim": 32, "max_sequence_length": 16, "initializer_range": 0.1},
}
TOKENIZER = wordpiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghi"], lowercase=True)
BERT = models.EncoderConfig(**SIZES)
LLAMA = models.EncoderConfig(
    **SIZES | models.preset_fields("llama"), num_key_value_heads=2, tied=False
)
GPT2 = models.EncoderConfig(**SIZES | models.preset_fields("gpt2"))
LABELS = {"labels": ("x", "y", "z")}


def adapter_of(root, config, kind, tuning):
    """Folders of a base and of an adapter whose numbers are all drawn."""
    make = models.CausalLM if kind.generates else models.Pretrainer
    models.save(root / "base", make(config, seed=1))
    TOKENIZER.save(root / "base")
    model = kind.make_model(config, 2)
    models.load_encoder(root / "base", model)
    whole = kind.make_model(config, 2)
    models.load_encoder(root / "base", whole)
    tuning.prepare(model)
    for i, weight in enumerate(model.variables):
        if tuning.trains(weight.path):
            weight.assign(tf.random.stateless_normal(weight.shape, [i, 3]))
    tuning.merge(whole, tuning.learned(model))
    models.save(root / "whole", whole, **kind.description())
    TOKENIZER.save(root / "whole")
    said = tuning.name, dataclasses.asdict(tuning), tuning.learned(model)
    described = json.loads((root / "whole/model.json").read_text())
    models.save_adapter(root / "adapter", *said, base=root / "base", description=described)


def exported(model, output, format="huggingface"):
    export.main(export.Config(model=str(model), output=str(output), format=format))
    name = "adapter_model" if format == "peft" else "model"
    return safetensors.numpy.load_file(output / f"{name}.safetensors")


CASES = {
    "classification": (BERT, tasks.KINDS["classification"](**LABELS), ()),
    "questions": (BERT, tasks.KINDS["question_answering"](), ("query", "value")),
    "similarity": (BERT, tasks.KINDS["similarity"](), ()),
    "llama": (LLAMA, tasks.KINDS["completion"](), ()),
    "gpt2": (GPT2, tasks.KINDS["completion"](), ("query", "value", "contract")),
}


@pytest.mark.parametrize("name", CASES)
def test_on_the_base_it_is_the_merged_model(name, tmp_path):
    """What peft computes, `W + alpha / r * B A`, module by module."""
    config, kind, targets = CASES[name]
    adapter_of(tmp_path, config, kind, LowRankTuning(3, 12.0, targets))
    base, whole = (exported(tmp_path / part, tmp_path / f"hf_{part}") for part in ("base", "whole"))
    found = exported(tmp_path / "adapter", tmp_path / "peft", "peft")
    said = json.loads((tmp_path / "peft/adapter_config.json").read_text())
    found = {key.removeprefix("base_model.model."): value for key, value in found.items()}
    # Of a base with other heads the stack has the same names behind its prefix.
    plain = {key.removeprefix("bert."): value for key, value in base.items()}
    for module in said["target_modules"]:
        weight, rank = f"{module}.weight", said["rank_pattern"].get(module, said["r"])
        first, second = (found.pop(f"{module}.lora_{part}.weight") for part in "AB")
        assert first.shape[0] == second.shape[1] == rank
        scale = said["alpha_pattern"].get(module, said["lora_alpha"]) / rank
        update = scale * second @ first
        before = plain[weight.removeprefix("bert.")]
        after = before + (update.T if said["fan_in_fan_out"] else update)
        np.testing.assert_allclose(whole.pop(weight), after, atol=1e-4, err_msg=weight)
    for key, value in found.items():
        np.testing.assert_array_equal(whole.pop(key), value, err_msg=key)
        assert any(f"{part}." in key for part in said["modules_to_save"])
    for key, value in whole.items():  # the rest is the base's
        np.testing.assert_array_equal(value, plain[key.removeprefix("bert.")], err_msg=key)
    report = merge.main(
        merge.Config(str(tmp_path / "adapter"), str(tmp_path / "base"), "", debug=True)
    )
    assert report["tune"] == "lora"


def test_what_peft_does_not_hold_is_refused(tmp_path):
    modern = models.EncoderConfig(**SIZES | models.preset_fields("modern"))
    kind = tasks.KINDS["classification"](**LABELS)
    for name, config, tuning, message in (
        ("modern", modern, LowRankTuning(), "found norm='pre', .* Hugging Face's BERT has"),
        ("bias", BERT, BiasTuning(), "found an adapter of --tune=bias in .*; --format=peft writes"),
    ):
        adapter_of(tmp_path / name, config, kind, tuning)
        with pytest.raises(InputError, match=message):
            exported(tmp_path / name / "adapter", tmp_path / "out", "peft")
    with pytest.raises(InputError, match=r"found no adapter.json in .*whole; wanted an adapter"):
        exported(tmp_path / "bias/whole", tmp_path / "out", "peft")
    assert not (tmp_path / "out").exists()
