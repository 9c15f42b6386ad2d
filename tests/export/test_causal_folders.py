"""GPT-2 and Llama of transformers, in and out: logits, greedy text, weights bit for bit."""

import dataclasses
import importlib
import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from pipelines import export
from roots_tf import generation, models, tokenizers
from roots_tf.labelled import chat
from roots_tf.storage import files
from tests.export import causal_tokenizers
from tests.export.numpy_causal import NumpyGpt2, NumpyLlama

import_checkpoint = importlib.import_module("pipelines.import")
KINDS = {
    "gpt2": (NumpyGpt2, {}),
    "gpt2 untied": (NumpyGpt2, {"tie_word_embeddings": False}),
    "llama": (NumpyLlama, {}),
    "llama tied": (NumpyLlama, {"tie_word_embeddings": True, "num_key_value_heads": 6}),
    "llama biases": (NumpyLlama, {"attention_bias": True, "mlp_bias": True}),
    "llama one key": (NumpyLlama, {"num_key_value_heads": 1}),
}
RANDOM = np.random.default_rng(4)


def save_theirs(folder, kind):
    make, config = KINDS[kind]
    tokenizer = causal_tokenizers.save_gpt2 if make is NumpyGpt2 else causal_tokenizers.save_llama
    size = tokenizer(folder)
    theirs = make(size, **config)
    theirs.save(folder)
    return theirs


def take_in(folder):
    output = folder.with_name(f"{folder.name}_taken")
    import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))
    return output


def give_out(folder):
    output = folder.with_name(f"{folder.name}_given")
    export.main(export.Config(model=str(folder), output=str(output), format="huggingface"))
    return output


def features(ids):
    ids = tf.constant([ids])
    return {"token_ids": ids, "padding_mask": tf.ones_like(ids, tf.bool)}


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_greedy_text_are_theirs_and_weights_come_back_bit_for_bit(tmp_path, kind):
    theirs = save_theirs(tmp_path / "theirs", kind)
    taken = take_in(tmp_path / "theirs")
    model, tokenizer = models.load(taken), tokenizers.load(taken)
    ids = RANDOM.integers(3, tokenizer.size, 24).tolist()
    found = model.logits(model(features(ids)))[0].numpy()
    wanted = theirs.logits(ids)
    assert np.abs(found - wanted).max() < 1e-5 * np.ptp(wanted)

    prompt = [tokenizer.bos_id, *ids[:5]]
    settings = generation.Settings(decoding="greedy", max_new_tokens=12)
    generated = generation.generate(
        model, tf.constant([prompt]), tf.constant([6]), tf.zeros([1, 2], tf.int32), settings,
        eos_id=tokenizer.size, pad_id=0,
    )  # fmt: skip
    expected = theirs.greedy(prompt, 12)
    assert generated.ids[0].numpy().tolist() == expected
    assert len(set(expected)) > 3

    given = give_out(taken)
    one, other = (safetensors.numpy.load_file(f / "model.safetensors") for f in (given, taken))
    assert set(one) == set(theirs.weights)
    assert all(np.array_equal(one[name], array) for name, array in theirs.weights.items())
    again = safetensors.numpy.load_file(take_in(given) / "model.safetensors")
    assert all(np.array_equal(again[name], array) for name, array in other.items())


@pytest.mark.parametrize("kind", ["gpt2", "gpt2 untied", "llama", "llama tied", "llama biases"])
def test_transformers_gives_the_same_logits_and_text(tmp_path, kind):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    save_theirs(tmp_path / "theirs", kind)
    taken = take_in(tmp_path / "theirs")
    given = give_out(taken)
    ours, tokenizer = models.load(taken), tokenizers.load(taken)
    text_tokenizer = transformers.AutoTokenizer.from_pretrained(given)
    inputs = text_tokenizer("the ship é the", return_tensors="pt")
    assert set(inputs) == {"input_ids", "attention_mask"}
    ids, _ = tokenizer.encode(["the ship é the"])
    assert inputs["input_ids"][0].tolist() == [tokenizer.bos_id, *ids]
    assert text_tokenizer.decode(ids) == tokenizer.decode(ids)
    for folder in (tmp_path / "theirs", given):
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True
        )
        assert not any(info.values()), info
        with torch.no_grad():
            wanted = model.eval()(**inputs).logits[0].numpy()
        found = ours.logits(ours(features(inputs["input_ids"][0].tolist())))[0].numpy()
        assert np.abs(found - wanted).max() < 1e-5 * np.ptp(wanted)
    assert model.generation_config.eos_token_id == tokenizer.eos_id
    assert model.generation_config.bos_token_id == tokenizer.bos_id
    written = model.generate(**inputs, max_new_tokens=8, min_new_tokens=8, do_sample=False)
    settings = generation.Settings(decoding="greedy", max_new_tokens=8, min_new_tokens=8)
    prompt = tf.constant(inputs["input_ids"].numpy(), tf.int32)
    generated = generation.generate(
        ours, prompt, tf.shape(prompt)[1:], tf.zeros([1, 2], tf.int32), settings,
        eos_id=tokenizer.eos_id, pad_id=0,
    )  # fmt: skip
    assert written[0, prompt.shape[1] :].tolist() == generated.ids[0].numpy().tolist()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_weights_of_other_floats_are_read(tmp_path, dtype):
    theirs = save_theirs(tmp_path / "theirs", "llama")
    theirs.weights = {name: array.astype(dtype) for name, array in theirs.weights.items()}
    theirs.save(tmp_path / "theirs")
    model = models.load(take_in(tmp_path / "theirs"))
    ids = [3, 200, 7, 261]
    wanted = theirs.logits(ids)
    found = model.logits(model(features(ids)))[0].numpy()
    assert np.abs(found - wanted).max() < 1e-5 * np.ptp(wanted)


def test_vocab_json_and_merges_give_the_ids_of_tokenizer_json(tmp_path):
    save_theirs(tmp_path / "whole", "gpt2")
    save_theirs(tmp_path / "pair", "gpt2")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "pair" / name).unlink()
    causal_tokenizers.save_pair(tmp_path / "pair")
    one, other = (tokenizers.load(take_in(tmp_path / name)) for name in ("whole", "pair"))
    texts = ["the ship, the ship", "É\n\n漢  x", f"a{causal_tokenizers.END}b", ""]
    assert one.encode(texts)[0].tolist() == other.encode(texts)[0].tolist()
    assert one.eos_id == other.eos_id == other.bos_id == one.size - 1
    assert other.decode(other.encode(texts)[0], skip_special_tokens=False) == "".join(texts)


def test_names_of_old_releases_and_without_a_prefix_are_read(tmp_path):
    theirs = save_theirs(tmp_path / "theirs", "gpt2")
    logits = theirs.logits([5, 6, 7])
    weights = {n.removeprefix("transformer."): array for n, array in theirs.weights.items()}
    weights |= {"h.0.attn.bias": np.ones((1, 1, 24, 24), np.float32)}
    weights |= {"h.0.attn.masked_bias": np.float32([-1e4])}
    weights |= {"lm_head.weight": weights["wte.weight"].copy()}
    safetensors.numpy.save_file(weights, tmp_path / "theirs" / "model.safetensors")
    model = models.load(take_in(tmp_path / "theirs"))
    found = model.logits(model(features([5, 6, 7])))[0].numpy()
    np.testing.assert_allclose(found, logits, atol=1e-5 * np.ptp(logits))


def test_rows_of_no_token_are_left_out_of_both_tables(tmp_path):
    theirs = save_theirs(tmp_path / "theirs", "llama")
    size = theirs.config["vocab_size"]
    theirs = NumpyLlama(size + 7)
    theirs.save(tmp_path / "theirs")
    taken = take_in(tmp_path / "theirs")
    model = models.load(taken)
    assert model.config.vocabulary_size == size
    found = model.logits(model(features([5, 6, 7])))[0].numpy()
    np.testing.assert_allclose(found, theirs.logits([5, 6, 7])[:, :size], atol=1e-4)
    assert json.loads((taken / "model.json").read_text())["kind"] == "causal_lm"


def test_a_template_of_conversations_is_that_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("jinja2")
    save_theirs(tmp_path / "theirs", "gpt2")
    taken = take_in(tmp_path / "theirs")
    described = files.read_json(taken / "model.json")
    described.pop("sha256")
    template = chat.Template(
        {"user": chat.Turn(before="Q: ", after="\n"), "assistant": chat.Turn("", "A: ", "", "eos")}
    )
    described["task"] = {"name": "completion", "template": dataclasses.asdict(template)}
    files.write_json(taken / "model.json", described)
    theirs = transformers.AutoTokenizer.from_pretrained(str(give_out(taken)))
    talk = [
        {"role": "user", "content": "the ship"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "and then"},
    ]
    found = theirs.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
    [wanted] = chat.render(template, [talk], tokenizers.load(taken), reply=True)
    assert found == theirs.decode(wanted.ids)
    assert found.endswith("Q: and then\nA: ")
