"""Causal models that cannot leave as GPT-2 or Llama, and what the folders of those that can say."""

import dataclasses
import json

import pytest

from pipelines import embed, export, fill_mask, predict
from roots_tf import models, tokenizers
from roots_tf.export import causal_config
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.tokenizer import wordpiece
from tests.export import causal_tokenizers
from tests.export.conftest import VOCABULARY
from tests.models.test_causal_parts import LLAMA

GPT2 = dataclasses.replace(
    LLAMA, num_key_value_heads=0, normalization="layer", activation="gelu_tanh",
    feed_forward="mlp", positions="learned", bias=True, tied=True, layer_norm_epsilon=1e-5,
)  # fmt: skip


def save_ours(folder, config):
    size = causal_tokenizers.save_gpt2(folder)
    tokenizers.load(folder).save(folder)
    models.save(folder, models.CausalLM(dataclasses.replace(config, vocabulary_size=size)))
    return folder


def give_out(folder, **flags):
    out = folder.with_name("out")
    flags = {"format": "huggingface"} | flags
    export.main(export.Config(model=str(folder), output=str(out), **flags))
    return out


@pytest.mark.parametrize(
    ("config", "fields", "message"),
    [
        (GPT2, {"norm": "post"}, "norm='post' .* gpt2 has norm='pre' only"),
        (GPT2, {"embedding_norm": True}, "embedding_norm=True"),
        (GPT2, {"num_segments": 2}, "num_segments=2"),
        (GPT2, {"window": 4, "global_every": 2}, "window=4"),
        (GPT2, {"feed_forward": "glu"}, "feed_forward='glu'"),
        (GPT2, {"bias": False}, "bias=False"),
        (GPT2, {"num_key_value_heads": 2}, "num_key_value_heads=2"),
        (GPT2, {"normalization": "rms"}, "normalization='rms'"),
        (LLAMA, {"normalization": "layer"}, "normalization='layer' .* llama has"),
        (LLAMA, {"feed_forward": "mlp"}, "feed_forward='mlp'"),
        (LLAMA, {"num_segments": 1, "window": 4}, "num_segments=1, window=4"),
        (LLAMA, {"query_key_norm": True}, "query_key_norm=True"),
        (LLAMA, {"embedding_scale": True}, "embedding_scale=True"),
        (GPT2, {"activation": "relu_squared"}, "activation='relu_squared' .* gpt2 has 'silu', "),
    ],
)
def test_parts_that_a_family_lacks_are_named(tmp_path, config, fields, message):
    ours = save_ours(tmp_path / "ours", dataclasses.replace(config, **fields))
    with pytest.raises(InputError, match=message):
        give_out(ours)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "config",
    [
        GPT2,
        dataclasses.replace(GPT2, activation="gelu", tied=False, dropout=0.25),
        dataclasses.replace(GPT2, num_key_value_heads=6),
        LLAMA,
        dataclasses.replace(LLAMA, bias=True, activation="gelu_tanh", rotary_base=5e5),
    ],
)
def test_a_config_that_leaves_comes_back(tmp_path, config):
    out = give_out(save_ours(tmp_path / "ours", config), max_seq_length=7)
    path = out / "config.json"
    found = causal_config.encoder_config(causal_config.read(path), path)
    shared = config.num_key_value_heads % config.num_heads
    size = len(causal_tokenizers.byte_level_vocabulary())
    assert found == dataclasses.replace(config, vocabulary_size=size, num_key_value_heads=shared)
    said = json.loads((out / "tokenizer_config.json").read_text())
    assert said["model_max_length"] == 7
    assert said["eos_token"] == said["bos_token"] == causal_tokenizers.END
    ends = {"bos_token_id": size - 1, "eos_token_id": size - 1, "pad_token_id": size - 1}
    assert json.loads((out / "generation_config.json").read_text()) == ends


def test_other_tokenizers_leave_with_their_own_ends(tmp_path):
    config = dataclasses.replace(GPT2, vocabulary_size=len(VOCABULARY))
    models.save(tmp_path / "ours", models.CausalLM(config))
    wordpiece(VOCABULARY, lowercase=True).save(tmp_path / "ours")
    out = give_out(tmp_path / "ours")
    assert json.loads((out / "generation_config.json").read_text()) == {
        "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0,
    }  # fmt: skip
    template = json.loads((out / "tokenizer.json").read_text())["post_processor"]["single"]
    assert [next(iter(part.values()))["id"] for part in template] == ["[CLS]", "A"]


def test_nothing_stands_under_a_name_that_is_taken(tmp_path):
    ours = save_ours(tmp_path / "ours", GPT2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(InputError, match="wanted a new folder"):
        give_out(ours)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_what_a_causal_model_is_not_for_is_said_in_a_line(tmp_path):
    ours = str(save_ours(tmp_path / "ours", GPT2))
    texts = tmp_path / "texts.txt"
    texts.write_text("the ship\n")
    with pytest.raises(InputError, match="found a causal language model"):
        fill_mask.main(fill_mask.Config(model=ours, text="[MASK]"))
    with pytest.raises(InputError, match="kind causal_lm, which was not fine-tuned"):
        predict.main(predict.Config(model=ours, input=str(texts), output=str(tmp_path / "p")))
    with pytest.raises(InputError, match="causal language model .* wanted an encoder"):
        embed.main(
            embed.Config(model=ours, input=(str(texts),), output=str(tmp_path / "e.parquet"))
        )
    with pytest.raises(InputError, match="litert and a causal_lm"):
        give_out(tmp_path / "ours", format="litert")
    with pytest.raises(InputError, match="--pooling and a causal_lm"):
        give_out(tmp_path / "ours", pooling="mean")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "texts.txt"]
