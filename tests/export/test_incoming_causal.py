"""Folders of causal models that are odd, damaged or lie: whole, or one line."""

import importlib
import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

from roots_tf import models, tokenizers
from roots_tf.storage.files import InputError
from tests.export import causal_tokenizers
from tests.export.numpy_causal import NumpyGpt2, NumpyLlama

import_checkpoint = importlib.import_module("pipelines.import")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Folders of transformers, by family."""
    root = tmp_path_factory.mktemp("originals")
    NumpyGpt2(causal_tokenizers.save_gpt2(root / "gpt2")).save(root / "gpt2")
    NumpyLlama(causal_tokenizers.save_llama(root / "llama")).save(root / "llama")
    return root


@pytest.fixture
def gpt2(originals, tmp_path):
    return shutil.copytree(originals / "gpt2", tmp_path / "theirs")


@pytest.fixture
def llama(originals, tmp_path):
    return shutil.copytree(originals / "llama", tmp_path / "theirs")


def take_in(folder):
    output = folder.with_name("taken")
    import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))
    return output


def change(folder, change_weights=None, **config):
    """Changes the weights by a function, and keys of config.json; `...` takes a key out."""
    path = folder / "config.json"
    said = json.loads(path.read_text()) | config
    path.write_text(json.dumps({key: value for key, value in said.items() if value is not ...}))
    if change_weights:
        path = folder / "model.safetensors"
        weights = safetensors.numpy.load_file(path)
        change_weights(weights)
        safetensors.numpy.save_file(weights, path)


def refused(folder, message):
    with pytest.raises(InputError, match=message) as raised:
        take_in(folder)
    assert "\n" not in str(raised.value)
    assert not folder.with_name("taken").exists()


OF_GPT2 = [
    ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
    ({"scale_attn_weights": False}, "scale_attn_weights=False.*wanted"),
    ({"activation_function": "relu"}, "activation_function='relu'.*'gelu_new'"),
    ({"add_cross_attention": True}, "add_cross_attention=True"),
    ({"n_layer": 1}, "the weight h.1.* no part of a model of 1 layers"),
    ({"n_layer": 3}, "no weight h.2"),
    ({"n_layer": 10**8}, "num_layers=100000000"),
    ({"n_layer": None}, "found no n_layer"),
    ({"n_embd": 48}, "weight wte.weight of shape .* wanted"),
    ({"n_head": 5}, "num_heads=5"),
    ({"n_head": "3"}, "n_head='3'"),
    ({"n_inner": 96}, "weight h.0.mlp.c_fc.weight of shape"),
    ({"n_positions": 1024}, "weight wpe.weight of shape"),
    ({"vocab_size": 300}, "weight wte.weight of shape"),
    ({"vocab_size": 100}, "263 tokens and an embedding of 100"),
    ({"tie_word_embeddings": False}, "no weight lm_head.weight"),
    ({"architectures": ["GPT2ForSequenceClassification"]}, "GPT2ForSequenceClassification"),
    ({"quantization_config": {"load_in_8bit": True}}, "quantization_config"),
    ({"layer_norm_epsilon": float("nan")}, "NaN|nan|finite"),
    ({"bos_token_id": 7}, "bos_token_id=7 .*'<.endoftext.>' of id 262"),
    ({"eos_token_id": [1, 2]}, r"eos_token_id=\[1, 2\]"),
    ({"eos_token_id": "</s>"}, "eos_token_id"),
    ({"alibi": True}, "alibi=True.*take the line out"),
    ({"model_type": "gpt_neox"}, "model_type='gpt_neox'.*gpt2, llama and mistral"),
]
OF_LLAMA = [
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling of the type 'linear'"),
    ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "'llama3'.*wanted 'default'"),
    ({"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters of the type 'yarn'"),
    ({"rope_parameters": {"rope_theta": 7.0}}, "rope_theta=7 and 500"),
    ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
    ({"rope_scaling": "linear"}, "rope_scaling='linear'"),
    ({"attention_bias": True}, "attention_bias=True and mlp_bias=False"),
    ({"attention_bias": True, "mlp_bias": True}, "no weight .*bias"),
    ({"head_dim": 8}, "head_dim=8, 6 heads and hidden_size=24"),
    ({"num_attention_heads": 8}, "heads"),
    ({"num_key_value_heads": 3}, "k_proj.weight of shape"),
    ({"num_key_value_heads": 4}, "num_key_value_heads=4"),
    ({"num_key_value_heads": 12}, "num_key_value_heads=12"),
    ({"hidden_act": "relu2"}, "hidden_act='relu2'"),
    ({"tie_word_embeddings": True}, "lm_head.weight other than embed_tokens.weight"),
    ({"num_hidden_layers": 1}, "the weight layers.1"),
    (
        {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 8},
        "sliding_window=8 and max_position",
    ),
    ({"model_type": "mistral"}, "architecture LlamaForCausalLM"),
    ({"model_type": "qwen2"}, "model_type='qwen2'.*biases"),
    ({"model_type": ["llama"]}, "model_type"),
    ({"logit_scale": 0.5}, "logit_scale=0.5"),
]


@pytest.mark.parametrize(("config", "message"), OF_GPT2)
def test_a_gpt2_that_is_another_or_lies_is_refused(gpt2, config, message):
    change(gpt2, **config)
    refused(gpt2, message)


@pytest.mark.parametrize(("config", "message"), OF_LLAMA)
def test_a_llama_that_is_another_or_lies_is_refused(llama, config, message):
    change(llama, **config)
    refused(llama, message)


ATTENTION = "model.layers.1.self_attn."


@pytest.mark.parametrize(
    ("change_weights", "message"),
    [
        (lambda w: w.pop(ATTENTION + "k_proj.weight"), "no weight layers.1.self_attn.k_proj"),
        (lambda w: w.pop("model.norm.weight"), "no weight norm.weight"),
        (lambda w: w.update({ATTENTION + "k_proj.bias": np.ones(8, "f")}), "k_proj.bias.*no part"),
        (lambda w: w.update({"score.weight": np.ones([2, 24], "f")}), "score.weight"),
        (lambda w: w.update({"norm.weight": np.ones(24, "f")}), "norm.weight twice"),
        (lambda w: w["model.norm.weight"].fill(np.nan), "norm.weight.*not finite"),
        (
            lambda w: w.update(
                {ATTENTION + "q_proj.weight": w[ATTENTION + "q_proj.weight"].astype(np.int8)}
            ),
            "q_proj.weight as int8.*without quantisation",
        ),
        (
            lambda w: w.update({"model.norm.weight": np.ones((), "f")}),
            r"norm.weight of shape \(\)",
        ),
    ],
)
def test_weights_that_are_not_those_of_the_config_are_refused(llama, change_weights, message):
    change(llama, change_weights)
    refused(llama, message)


def test_keys_that_change_nothing_are_passed_over(llama):
    change(
        llama, pretraining_tp=2, use_cache=False, torch_dtype="bfloat16", rope_scaling=None,
        head_dim=4, sliding_window=None, new_key=None, other_new_key=False, auto_map={},
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    )  # fmt: skip
    assert models.load(take_in(llama)).config.rotary_base == 500.0


def test_a_mistral_whose_window_is_as_long_as_its_positions_is_a_llama(llama):
    names = {"model_type": "mistral", "architectures": ["MistralForCausalLM"]}
    change(llama, **names, num_key_value_heads=2)  # a window of 4,096 where none is said
    config = models.load(take_in(llama)).config
    assert (config.window, config.num_key_value_heads) == (0, 2)


def test_a_pickle_a_truncated_file_and_no_tokenizer_are_refused(gpt2):
    weights = gpt2 / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-9])
    refused(gpt2, "could not read .*copy it again")
    weights.rename(gpt2 / "pytorch_model.bin")
    refused(gpt2, "only pytorch_model.bin, a pickle")
    weights.write_bytes(whole)
    (gpt2 / "tokenizer.json").unlink()
    refused(gpt2, "found none of tokenizer.json")
    causal_tokenizers.save_pair(gpt2)
    (gpt2 / "tokenizer_config.json").unlink()
    (gpt2 / "merges.txt").write_text("#version: 0.2\nno such\n")
    refused(gpt2, "merges.txt")
    (gpt2 / "vocab.json").write_text('{"a": "b"}')
    refused(gpt2, "vocab.json; wanted a whole number")


def test_ends_of_generation_config_stand_above_those_of_config(gpt2):
    change(gpt2, eos_token_id=1)
    path = gpt2 / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": [262, 5], "temperature": 0.6}))
    taken = take_in(gpt2)
    assert tokenizers.load(taken).eos_id == 262


def test_ends_that_are_named_stay_through_a_model_folder(llama):
    path = llama / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token": "<unk>"}))
    taken = tokenizers.load(take_in(llama))
    assert taken.vocabulary[taken.eos_id] == "<unk>"
    assert taken.vocabulary[taken.bos_id] == "<s>"
