"""Every kind of task learns from little of a model; what was learned and its base are the model."""

import dataclasses
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from pipelines import export, finetune, generate, merge, predict
from roots_tf import models, program, tasks
from roots_tf.storage.files import InputError
from tests.answering import answers_of
from tests.processes import start
from tests.tasks.test_finetuning import write

ADDED = {
    "prompt": {"tune": "prompt", "prompt_length": 5},
    "prefix": {"tune": "prefix", "prefix_length": 5},
    "adapter": {"tune": "adapter", "adapter_dim": 4},
}
LORA = {"tune": "lora", "lora_rank": 2, "lora_alpha": 6.0}
MODELS = {
    "completion": lambda sizes: models.CausalLM(dataclasses.replace(sizes, tied=False), seed=1),
    "sequence_to_sequence": lambda sizes: models.EncoderDecoder(sizes, seed=1),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory, tokenizer, encoder):
    """A function from a kind of task to the folder of a model that it can start from."""

    def of(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        sizes = dataclasses.replace(encoder, initializer_range=0.3, dropout=0.1)
        models.save(folder, MODELS.get(kind, lambda sizes: models.Pretrainer(sizes, seed=1))(sizes))
        tokenizer.save(folder)
        return folder

    return of


def config(folder, kind, init_from, **fields) -> finetune.Config:
    file = str(write(folder, kind))
    settings = {
        **{"task": kind, "train": file, "dev": file, "init_from": str(init_from), "seeds": 1},
        **{"output": str(folder / "run"), "max_seq_length": 64, "learning_rate": 0.05},
        **{"batch_size": 4, "num_epochs": 3.0, "precision": "float32", "warmup_steps": 1},
    }
    return program.make(finetune.Config, **settings | fields)


def weights(folder, name="model") -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(Path(folder, f"{name}.safetensors"))


def merged(folder, init_from, output) -> dict:
    return merge.main(merge.Config(str(folder / "run/adapter"), str(init_from), str(output)))


def check_folders(folder, init_from) -> None:
    """The model is the base but for what was learned, and that and the base make it again."""
    model, learned = weights(folder / "run/model"), weights(folder / "run/adapter", "adapter")
    changed = {name.rpartition("/")[0] if name[-3:] == "/up" else name for name in learned}
    before = weights(init_from)
    for name in model.keys() - changed:
        np.testing.assert_array_equal(model[name], before[name], err_msg=name)
    assert any(np.any(model[n] != before[n]) if n in before else n in model for n in changed)
    sizes = [sum(value.size for value in part.values()) for part in (learned, model)]
    report = merged(folder, init_from, folder / "whole")
    assert [report["learned"], report["weights"]] == sizes
    names = {path.name for path in (folder / "run/model").iterdir()}
    assert {path.name for path in (folder / "whole").iterdir()} - names == {
        *("config.json", "report.json")
    }
    for name in names:
        one, other = ((folder / place / name).read_bytes() for place in ("run/model", "whole"))
        assert one == other, name


KINDS = [
    pytest.param(name, marks=() if name in ("tagging", *MODELS) else pytest.mark.slow)
    for name in tasks.KINDS
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_from_low_rank_pairs(kind, base, tmp_path):
    init_from = base(kind)
    finetune.main(config(tmp_path, kind, init_from, **LORA))
    check_folders(tmp_path, init_from)
    learned = weights(tmp_path / "run/adapter", "adapter")
    pairs = [name for name in learned if name.endswith("/up")]
    assert len(pairs) == {"sequence_to_sequence": 11}.get(kind, 4)
    assert all(np.any(learned[name] != 0) for name in pairs)
    assert all(name.startswith(("pooler/", "classes/")) for name in learned if "down" not in name
               and "/up" not in name)  # fmt: skip


QUICK = {("prompt", "classification"), ("adapter", "tagging"), ("prefix", "completion")}


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        pytest.param(way, kind, marks=() if (way, kind) in QUICK else pytest.mark.slow)
        for way in ADDED
        for kind in tasks.KINDS
    ],
)
def test_every_kind_learns_from_parts_that_are_added(way, kind, base, tmp_path):
    init_from = base(kind)
    finetune.main(config(tmp_path, kind, init_from, **ADDED[way]))
    check_folders(tmp_path, init_from)
    learned = weights(tmp_path / "run/adapter", "adapter")
    stacks = 1 + (kind == "sequence_to_sequence" and way != "prompt")
    count = {"prompt": 1, "prefix": 2 * stacks, "adapter": 8 * stacks + 4 * (stacks - 1)}[way]
    of_parts = {"prompt": "soft_prompt/", "prefix": "/prefix/", "adapter": "_bottleneck/"}[way]
    assert len([name for name in learned if of_parts in name]) == count
    others = {n for n in learned if of_parts not in n and "_norm/" not in n}
    assert all(name.startswith(("pooler/", "classes/")) for name in others)
    assert any("_norm/" in name for name in learned) == (way == "adapter")
    assert "encoder/final_norm/gamma" not in learned


@pytest.mark.parametrize(
    "precision", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_biases_alone(base, tmp_path, precision):
    init_from = base("classification")
    finetune.main(config(tmp_path, "classification", init_from, tune="bias", precision=precision))
    check_folders(tmp_path, init_from)
    learned = weights(tmp_path / "run/adapter", "adapter")
    assert {name for name, value in learned.items() if value.ndim > 1} == {
        *("pooler/kernel", "classes/kernel")
    }
    assert "encoder/layer_0/attention/query_key_value_bias" in learned


def test_predictions_are_those_of_the_folder_and_of_no_other_base(base, tmp_path):
    init_from = base("classification")
    finetune.main(config(tmp_path, "classification", init_from, **LORA))
    rows = (tmp_path / "run/dev_predictions.jsonl").read_text().splitlines()
    found = answers_of(
        predict.Config(
            model=str(tmp_path / "run/model"),
            input=str(tmp_path / "classification.jsonl"),
            output=str(tmp_path / "answers.jsonl"),
        )
    )
    assert [row["label"] for row in found] == [json.loads(row)["label"] for row in rows]
    other = shutil.copytree(init_from, tmp_path / "other")
    models.save(other, models.Pretrainer(models.describe(init_from)["encoder"], seed=2))
    with pytest.raises(
        InputError, match=r"found model.safetensors of sha256 .* in .*other; wanted"
    ):
        merged(tmp_path, other, tmp_path / "of_other")
    with pytest.raises(InputError, match=r"found no adapter.json in .*model; wanted"):
        merge.main(merge.Config(str(tmp_path / "run/model"), str(init_from), str(tmp_path / "o")))
    damaged = tmp_path / "run/adapter/adapter.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=r"found no .*adapter.safetensors as it was written"):
        merged(tmp_path, init_from, tmp_path / "of_damaged")
    said = json.loads((tmp_path / "run/adapter/adapter.json").read_text())
    for change, message in (
        ({"tune": "none"}, "found tune='none' in"),
        ({"base": 1}, "found base=1"),
    ):
        (tmp_path / "run/adapter/adapter.json").write_text(json.dumps(said | change))
        with pytest.raises(InputError, match=message):
            merged(tmp_path, init_from, tmp_path / "of_damaged")
    assert not any((tmp_path / name).exists() for name in ("of_other", "o", "of_damaged"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"random_init": True}, "found --tune=lora and --random_init; wanted --tune=all"),
        ({"frozen_layers": 0}, "found --tune=lora and --frozen_layers; wanted --tune=all"),
        ({"lora_targets": ("queries",)}, "found lora_targets=queries; wanted some of query, "),
        ({"lora_rank": 0}, "found --lora_rank=0; wanted a number from 1"),
        ({"tune": "bias"}, "found --lora_alpha with .*--tune=bias"),
        ({"task": "sequence_to_sequence"}, "found --tune=lora and a decoder that .* does not have"),
    ],
)
def test_what_does_not_go_together_is_refused(base, tmp_path, fields, message):
    with pytest.raises((InputError, program.FlagError), match=message) as raised:
        finetune.main(config(tmp_path, "classification", base("classification"), **LORA | fields))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("way", "trained"),
    [
        (LORA, "query_key_value_kernel.up"),
        (ADDED["prompt"], "soft_prompt.vectors"),
        pytest.param(ADDED["prefix"], "prefix.keys", marks=pytest.mark.slow),
        pytest.param(ADDED["adapter"], "output_bottleneck.up.kernel", marks=pytest.mark.slow),
    ],
    ids=lambda value: value["tune"] if isinstance(value, dict) else "",
)
def test_killed_it_ends_with_the_same_bytes_and_keeps_what_is_trained_alone(
    base, tmp_path, way, trained
):
    init_from = base("classification")
    long = way | {"num_epochs": 600.0, "checkpoint_every": 50, "steps_per_call": 5}
    whole = config(tmp_path, "classification", init_from, **long)
    killed = program.replace(whole, output=str(tmp_path / "killed"))
    process = start(killed)
    checkpoints = tmp_path / "killed/seed_0/checkpoints"
    while not (checkpoints / "ckpt-100.index").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed/model").exists()
    newest = tf.train.latest_checkpoint(checkpoints) or str(checkpoints / "ckpt-100")
    held = {name for name, _ in tf.train.list_variables(newest)}
    assert any(trained in name.replace("..", ".") for name in held)
    assert not any("embeddings" in name for name in held)
    assert finetune.main(killed) == finetune.main(whole)
    for name in ("model/model.safetensors", "adapter/adapter.safetensors", "adapter/adapter.json"):
        one, other = ((tmp_path / run / name).read_bytes() for run in ("run", "killed"))
        assert one == other, name


@pytest.mark.slow
@pytest.mark.parametrize("way", [LORA, *ADDED.values()], ids=lambda way: way["tune"])
def test_replicas_learn_as_one_device_does(base, tmp_path, way):
    init_from = base("classification")
    still = way | {"dropout": 0.0, "num_epochs": 6.0}
    one = config(tmp_path, "classification", init_from, **still)
    two = {"output": str(tmp_path / "two"), "strategy": "mirrored", "num_devices": 2}
    finetune.main(one)
    finetune.main(program.replace(one, **two))
    first, second = (weights(tmp_path / run / "model") for run in ("run", "two"))
    for name, value in first.items():
        np.testing.assert_allclose(value, second[name], atol=1e-5, err_msg=name)


def test_parts_that_stay_are_predicted_with_exported_and_trained_on(base, tmp_path):
    """A prompt over a base, a prefix over that, adapters over both; then all of it is trained."""
    folder = base("classification")
    for way, fields in ADDED.items():
        run = tmp_path / way
        run.mkdir()
        finetune.main(config(run, "classification", folder, **fields))
        folder = run / "run/model"
    of = models.describe(folder)["encoder"]
    assert (of.prompt_length, of.prefix_length, of.adapter_dim) == (5, 5, 4)
    assert of.max_sequence_length == 123
    for way, fields in ADDED.items():
        with pytest.raises(InputError, match=f"found --tune={way} and a model with "):
            finetune.main(config(tmp_path, "classification", folder, **fields))
    text, answers = str(tmp_path / "adapter/classification.jsonl"), tmp_path / "answers.jsonl"
    found = answers_of(predict.Config(model=str(folder), input=text, output=str(answers)))
    served = export.main(export.Config(model=str(folder), output=str(tmp_path / "served")))
    serve = tf.saved_model.load(served).signatures["serving_default"]
    texts = [json.loads(row)["text"] for row in Path(text).read_text().splitlines()]
    ours, labels = serve(text=tf.constant(texts)), models.describe(folder)["labels"]
    index = [labels.index(row["label"]) for row in found]
    assert [row["label"] for row in found] == [label.decode() for label in ours["label"].numpy()]
    expected = [row["probabilities"][row["label"]] for row in found]
    np.testing.assert_allclose(ours["probabilities"].numpy()[range(4), index], expected, atol=1e-5)
    small = tmp_path / "small"  # is written only where it answers as the model does
    export.main(export.Config(model=str(folder), output=str(small), format="litert"))
    said = json.loads((small / "litert.json").read_text())
    assert said["label_agreement"] == 1.0 and said["largest_difference"] < 1e-5
    for format, message in (
        ("huggingface", "found prompt_length=5, prefix_length=5, adapter_dim=4 in the model of"),
        ("keras_hub", "found prompt_length=5, prefix_length=5, adapter_dim=4 in the model of"),
        ("peft", "found an adapter of --tune=adapter in .*; --format=peft writes one of"),
    ):
        model = str(folder if format != "peft" else tmp_path / "adapter/run/adapter")
        with pytest.raises(InputError, match=message) as raised:
            export.main(export.Config(model=model, output=str(tmp_path / "no"), format=format))
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "no").exists()
    before = weights(folder)
    finetune.main(config(tmp_path, "classification", folder))
    after = weights(tmp_path / "run/model")
    assert before.keys() == after.keys()
    for name in ("soft_prompt/vectors", "layer_0/attention/prefix/keys"):
        assert np.any(before[f"encoder/{name}"] != after[f"encoder/{name}"])


@pytest.mark.parametrize(
    "way", ["prompt", *(pytest.param(way, marks=pytest.mark.slow) for way in ("prefix", "adapter"))]
)
def test_a_causal_model_continues_as_python_when_served(way, base, tmp_path):
    finetune.main(config(tmp_path, "completion", base("completion"), **ADDED[way]))
    folder = str(tmp_path / "run/model")
    served = export.main(
        export.Config(model=folder, output=str(tmp_path / "served"), max_new_tokens=6)
    )
    prompts = ["the", "who was in", "a"]
    file = tmp_path / "prompts.txt"
    file.write_text("".join(f"{prompt}\n" for prompt in prompts))
    ours = generate.main(
        program.make(
            generate.Config,
            **{"model": folder, "input": str(file), "output": str(tmp_path / "texts.jsonl")},
            **{"max_new_tokens": 6, "decoding": "greedy"},
        )
    )
    serve = tf.saved_model.load(served).signatures["generate"]
    asked = {"max_new_tokens": 6, "top_k": 1, "temperature": 1.0, "top_p": 1.0}
    asked = {name: tf.constant([value] * 3) for name, value in asked.items()}
    answers = serve(text=tf.constant(prompts), seed=tf.zeros([3], tf.int64), **asked)
    assert [text.decode() for text in answers["text"].numpy()] == [row["text"] for row in ours]
