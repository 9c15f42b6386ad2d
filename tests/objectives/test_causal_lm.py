"""The causal objective: its loss beside a slow oracle, its step, and a whole run of it."""

import json

import numpy as np
import pytest
import tensorflow as tf

from pipelines import pretrain
from roots_tf import examples, models, objectives, program
from roots_tf.models import weight_shapes
from roots_tf.models.attention import seen_keys
from roots_tf.objectives.causal_lm_task import CausalLMTask, next_tokens
from roots_tf.training import optimizers, strategies
from roots_tf.training.checkpoints import Checkpoints
from roots_tf.training.step import TrainStep, local_part
from tests.batches import causal_batch

V, L = 50, 16
SIZES = {
    "vocabulary_size": V, "num_layers": 2, "hidden_dim": 16, "num_heads": 2,
    "intermediate_dim": 32, "max_sequence_length": L, "dropout": 0.0, "initializer_range": 0.3,
}  # fmt: skip
GPT2 = models.EncoderConfig(**models.preset_fields("gpt2") | SIZES)
MODERN = models.EncoderConfig(**models.preset_fields("modern") | SIZES | {"window": 6})
LLAMA = models.EncoderConfig(**models.preset_fields("llama") | SIZES)


def of(batch, *rows):
    """Some rows of a batch."""
    return {name: tf.gather(feature, rows) for name, feature in batch.items()}


@pytest.mark.parametrize("config", [GPT2, MODERN, LLAMA], ids=["gpt2", "modern", "llama"])
def test_the_loss_is_that_of_each_text_by_itself(config):
    """Every text alone, one prediction after the other, from the tokens before it and no others."""
    model, batch = models.CausalLM(config, seed=1), causal_batch(0, 3, L, V)
    sums = CausalLMTask(model).sums(batch)
    table = model.encoder.embeddings.token.numpy()
    loss = right = weight = 0.0
    arrays = {name: feature.numpy() for name, feature in batch.items()}
    for row in range(3):
        for document in (1, 2):
            places = np.flatnonzero(arrays["document_ids"][row] == document)
            ids = arrays["token_ids"][row, places][None]
            alone = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": ids >= 0}
            states = model({n: tf.constant(x) for n, x in alone.items()}).numpy()[0]
            for place, state in zip(places, states, strict=True):
                logits = (table @ state).astype(np.float64)
                label = arrays["next_token_ids"][row, place]
                counts = arrays["next_token_weights"][row, place]
                loss += counts * (np.log(np.exp(logits).sum()) - logits[label])
                right += counts * (logits.argmax() == label)
                weight += counts
    assert [float(x) for x in sums["causal_lm_loss"]] == pytest.approx([loss, weight], rel=1e-5)
    assert [float(x) for x in sums["causal_lm_accuracy"]] == [right, weight]
    assert float(CausalLMTask(model).weights(batch)["causal_lm_loss"]) == weight


def test_changing_one_text_changes_no_other_and_no_earlier_prediction():
    model, batch = models.CausalLM(GPT2, seed=1), causal_batch(0, 1, L, V)
    documents = batch["document_ids"][0].numpy()
    before = model.logits(model(batch)).numpy()[0]
    place = int(np.flatnonzero(documents == 1)[-1])
    changed = batch["token_ids"].numpy()
    changed[0, place] = (changed[0, place] + 1) % V
    after = model.logits(model(batch | {"token_ids": tf.constant(changed)})).numpy()[0]
    differs = np.abs(before - after).max(-1) > 0
    assert differs.tolist() == [one == place for one in range(L)]


def test_a_window_holds_earlier_tokens_only():
    row = {"token_ids": tf.zeros([1, 6], tf.int32), "padding_mask": tf.ones([1, 6], bool)}
    seen = seen_keys(row, window=4, causal=True)[0, 0].numpy()
    wanted = [[0 <= query - key <= 2 for key in range(6)] for query in range(6)]
    assert seen.tolist() == wanted


SHALLOW = models.EncoderConfig(**{**vars(GPT2), "num_layers": 1})


def train(
    strategy=None, accumulate_steps=1, whole=False, config=SHALLOW, scaled=False,
    model_of=models.CausalLM, task_of=CausalLMTask, batch_of=causal_batch,
):  # fmt: skip
    """Weights and sums after a few steps."""
    strategy = strategy or strategies.make_strategy("one_device")
    with strategy.scope():
        model = model_of(config, seed=3)
        variables = [v.value for v in model.trainable_variables]
        loss_scale = optimizers.LossScale() if scaled else None
        train_step = TrainStep(
            task_of(model),
            optimizers.AdamW(variables, 0.01),
            lambda step: tf.constant(1e-3),
            seed=1,
            max_grad_norm=0.5,
            accumulate_steps=accumulate_steps,
            loss_scale=loss_scale,
        )
        call = tf.function(train_step, jit_compile=True if whole else None)
        sums = [
            call(local_part(batch_of(step, 8, L, V), 1, 0), tf.constant(step, tf.int64))
            for step in range(2)
        ]
    flat = np.concatenate([v.numpy().ravel() for v in model.trainable_variables])
    return flat, tf.nest.map_structure(float, sums)


@pytest.fixture(scope="module")
def one_device():
    return train()


@pytest.mark.parametrize("devices, how", [
    (2, {}), (2, {"accumulate_steps": 2}), (1, {"whole": True, "scaled": True}),
])  # fmt: skip
def test_the_update_does_not_depend_on_how_the_batch_is_cut(one_device, devices, how):
    name = "mirrored" if devices > 1 else "one_device"
    weights, sums = train(strategies.make_strategy(name, devices), **how)
    assert np.linalg.norm(weights - one_device[0]) < 1e-6 * np.linalg.norm(weights)
    for expected, found in zip(one_device[1], sums, strict=True):
        for name in ("causal_lm_loss", "causal_lm_accuracy", "gradient_norm"):
            assert found[name] == pytest.approx(expected[name], rel=1e-5), name


def test_dropout_changes_the_step_and_repeats():
    dropping = models.EncoderConfig(**{**vars(SHALLOW), "dropout": 0.3})
    one, other = train(config=dropping), train(config=dropping)
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1][0]["causal_lm_loss"] != train()[1][0]["causal_lm_loss"]


def test_the_matrices_that_end_a_sub_layer_start_smaller():
    deep = models.EncoderConfig(**{**vars(GPT2), "num_layers": 8, "hidden_dim": 64})
    model = models.CausalLM(deep)
    deviation = {v.path: v.numpy().std() for v in model.variables if len(v.shape) == 2}
    ends = ("contract/kernel", "attention/output_kernel")
    for path, found in deviation.items():
        wanted = 0.3 / 4 if path.endswith(ends) else 0.3
        assert found == pytest.approx(0.88 * wanted, rel=0.1), path  # truncated at two deviations


@pytest.mark.parametrize("preset, parts", [
    ("gpt2", {"norm": "pre", "positions": "learned", "activation": "gelu_tanh", "bias": True}),
    ("llama", {"norm": "pre", "positions": "rotary", "activation": "silu", "bias": False}),
])  # fmt: skip
def test_presets_have_the_parts_of_the_papers(preset, parts):
    config = models.EncoderConfig.of_size("gpt2_xl", preset, vocabulary_size=50_257)
    parts |= {"num_segments": 0, "embedding_norm": False, "layer_norm_epsilon": 1e-5}
    assert {name: getattr(config, name) for name in parts} == parts
    assert (config.num_layers, config.hidden_dim, config.num_heads) == (48, 1600, 25)
    wide = 6400 if preset == "gpt2" else 4288  # two thirds, to the nearest 64
    assert config.intermediate_dim == wide
    small = models.EncoderConfig.of_size(
        "gpt2_small", "gpt2", vocabulary_size=50_257, max_sequence_length=1024
    )
    shapes = weight_shapes.encoder(small)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 124_439_808  # of GPT-2


def pretrained(folder, examples, **flags):
    """A run of the objective on a model of one small layer."""
    sizes = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    cadence = {"log_every": 4, "checkpoint_every": 4, "steps_per_call": 4, "evaluate_batches": 2}
    usual = {"examples": str(examples), "output": str(folder), "objective": "causal_lm"}
    usual |= {"size": "custom", "batch_size": 4, "duration": "12", "precision": "float32"}
    config = program.make(pretrain.Config, **usual | sizes | cadence | flags)
    return pretrain.main(config)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{}, {"objective": "masked_and_causal", "causal_share": 0.4}])
def test_a_run_goes_on_to_the_same_bits(contiguous, tmp_path, monkeypatch, asked):
    flags = {"dropout": 0.1, "max_seq_length": 32} | asked
    report = pretrained(tmp_path / "whole", contiguous.folder, **flags)
    assert report["causal_lm_loss"] < 9 and "causal_lm_accuracy" in report
    saved = json.loads((tmp_path / "whole/config.json").read_text())
    assert saved["preset"] == "gpt2" and models.describe(tmp_path / "whole/model")
    save = Checkpoints.save

    def stop(checkpoints, step, *arguments, **options):
        save(checkpoints, step, *arguments, **options)
        if step == 8:
            raise RuntimeError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            pretrained(tmp_path / "stopped", contiguous.folder, **flags)
    pretrained(tmp_path / "stopped", contiguous.folder, **flags)
    one, other = (tmp_path / run / "model/model.safetensors" for run in ("whole", "stopped"))
    assert one.read_bytes() == other.read_bytes()


def test_samples_show_what_follows(contiguous):
    objective, tokenizer = objectives.CausalLM(), contiguous.tokenizer
    batch = next(iter(examples.pipeline(
        contiguous.folder, objective.make_rows, batch_size=2, seed=0, max_seq_length=L
    )))  # fmt: skip
    sizes = models.EncoderConfig(**vars(GPT2) | {"vocabulary_size": tokenizer.size})
    lines = next_tokens(models.CausalLM(sizes), batch, tokenizer, 1).split("\n")
    assert lines[0].startswith("    [CLS] ") or lines[0].startswith("    ")
    shown = [line for line in lines if line.startswith("      ") or line.startswith("    +")]
    assert len(shown) >= 8
    features = {name: feature.numpy() for name, feature in batch.items()}
    rendered = objective.render(features, 0, tokenizer, False)
    assert len(rendered.replace("| ", "").split(" ")) == features["padding_mask"][0].sum()
    padding, predicted = objective.proportions(
        [features], contiguous.manifest, "train", tokenizer, L
    )
    assert padding.measured == 0.0 and predicted.measured > 0.9
