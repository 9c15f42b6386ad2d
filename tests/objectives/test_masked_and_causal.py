"""Masked and causal batches by turns, over one stack."""

import json

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import examples, models, objectives
from roots_tf.objectives.causal_lm_task import CausalLMTask
from roots_tf.objectives.masked_and_causal_rows import is_causal
from roots_tf.objectives.masked_and_causal_task import MaskedAndCausalTask
from roots_tf.training import strategies
from tests.batches import causal_batch
from tests.objectives.test_causal_lm import GPT2, L, V, pretrained, train

OBJECTIVE = objectives.MaskedAndCausal(causal_share=0.25)


@pytest.mark.parametrize("share", [0.0, 0.125, 0.3, 0.5, 1.0])
def test_any_stretch_of_steps_has_its_share(share):
    kinds = [bool(is_causal(tf.constant(step, tf.int64), share)) for step in range(200)]
    for begin in range(0, 200, 40):
        assert abs(sum(kinds[begin : begin + 40]) - 40 * share) <= 1
    far = 10**12
    some = [bool(is_causal(tf.constant(far + step, tf.int64), share)) for step in range(40)]
    assert abs(sum(some) - 40 * share) <= 2


def test_a_training_batch_has_predictions_of_one_kind_and_a_held_out_batch_of_both(contiguous):
    def batches(split, **more):
        return examples.pipeline(
            contiguous.folder, OBJECTIVE.make_rows, split=split, batch_size=4, seed=0,
            max_seq_length=32, **more,
        ).as_numpy_iterator()  # fmt: skip

    causal = examples.pipeline(
        contiguous.folder, objectives.CausalLM().make_rows, batch_size=4, seed=0, max_seq_length=32
    ).as_numpy_iterator()
    for step, batch, alone in zip(range(8), batches("train"), causal, strict=False):
        kinds = [batch[f"{name}_weights"].any() for name in ("masked_lm", "next_token")]
        assert kinds == ([True, False] if step % 4 != 3 else [False, True])
        np.testing.assert_array_equal(batch["token_ids"], alone["token_ids"])
        if step % 4 == 3:
            np.testing.assert_array_equal(batch["next_token_ids"], alone["next_token_ids"])
        differs = batch["token_ids"] != batch["masked_token_ids"]
        rows, places = np.nonzero(differs)
        for row, place in zip(rows, places, strict=True):
            assert place in batch["masked_lm_positions"][row]
    for batch in batches("held_out", num_epochs=1):
        assert batch["masked_lm_weights"].any() and batch["next_token_weights"].any()
    shown = next(batches("train"))
    assert "[" in OBJECTIVE.render(shown, 0, contiguous.tokenizer, False)
    many = list(zip(range(8), batches("train"), strict=False))
    found = OBJECTIVE.proportions(
        [batch for _, batch in many], contiguous.manifest, "train", contiguous.tokenizer, 32
    )
    by_name = {name: measured for name, measured, *_ in found}
    assert by_name["causal batches"] == 0.25
    assert by_name["masked tokens"] == pytest.approx(0.15, abs=0.02)


def test_each_loss_is_that_of_its_own_and_looks_its_own_way():
    model, batch = models.MaskedAndCausalLM(GPT2, seed=1), causal_batch(0, 4, L, V)
    positions = tf.constant([[1, 3]] * 4)
    batch |= {
        "masked_token_ids": batch["token_ids"],
        "masked_lm_positions": positions,
        "masked_lm_ids": tf.gather(batch["token_ids"], positions, batch_dims=1),
        "masked_lm_weights": tf.ones([4, 2]),
    }
    task = MaskedAndCausalTask(model)
    both = tf.nest.map_structure(float, task.sums(batch))
    alone = models.CausalLM(GPT2, seed=1)
    causal = tf.nest.map_structure(float, CausalLMTask(alone).sums(batch))
    assert {name: both[name] for name in causal} == causal
    assert both["masked_lm_loss"][1] == 8
    none = batch | {"masked_lm_weights": tf.zeros([4, 2])}
    found = tf.nest.map_structure(float, tf.function(task.sums, jit_compile=True)(none))
    assert found["masked_lm_loss"] == (0.0, 0.0)
    assert found["causal_lm_loss"] == pytest.approx(causal["causal_lm_loss"], rel=1e-5)
    first = batch | {"masked_lm_positions": tf.zeros([4, 2], tf.int32)}
    before = model.masked_lm_logits(first).numpy()
    ids = tf.concat([batch["token_ids"][:, :1], tf.zeros([4, L - 1], tf.int32)], 1)
    after = model.masked_lm_logits(first | {"token_ids": ids}).numpy()
    assert np.abs(before - after).max(-1).max() > 0  # the first token sees later ones


def turns(step, rows, length, vocabulary):
    """A batch of one kind, as a run has it: even steps are masked ones."""
    batch, rng = causal_batch(step, rows, length, vocabulary), np.random.default_rng(step)
    batch["next_token_weights"] *= step % 2
    chosen = rng.integers(0, length // 2, [rows, 3]).astype("int32")  # these are never padding
    return batch | {
        "masked_token_ids": batch["token_ids"],
        "masked_lm_positions": tf.constant(chosen),
        "masked_lm_ids": tf.gather(batch["token_ids"], chosen, batch_dims=1),
        "masked_lm_weights": tf.fill([rows, 3], float(1 - step % 2)),
    }


BOTH = {
    "model_of": models.MaskedAndCausalLM, "task_of": MaskedAndCausalTask, "batch_of": turns,
}  # fmt: skip


@pytest.fixture(scope="module")
def one_device():
    return train(**BOTH)


@pytest.mark.parametrize(
    "devices, how", [(2, {}), (2, {"accumulate_steps": 2}), (1, {"whole": True})]
)
def test_the_update_does_not_depend_on_how_the_batch_is_cut(one_device, devices, how):
    name = "mirrored" if devices > 1 else "one_device"
    weights, sums = train(strategies.make_strategy(name, devices), **how, **BOTH)
    assert np.linalg.norm(weights - one_device[0]) < 1e-6 * np.linalg.norm(weights)
    for expected, found in zip(one_device[1], sums, strict=True):
        for name in ("causal_lm_loss", "masked_lm_loss", "gradient_norm"):
            assert found[name] == pytest.approx(expected[name], rel=1e-5), name
    assert [step["masked_lm_loss"][1] for step in sums] == [24, 0]
    assert sums[0]["causal_lm_loss"][1] == 0 < sums[1]["causal_lm_loss"][1]


@pytest.mark.slow
def test_a_stack_goes_from_one_objective_to_another(contiguous, tmp_path):
    flags = {"max_seq_length": 32, "duration": "4"}
    report = pretrained(
        tmp_path / "both",
        contiguous.folder,
        objective="masked_and_causal",
        causal_share=0.5,
        **flags,
    )
    assert {"masked_lm_loss", "causal_lm_loss"} <= report.keys()
    assert models.describe(tmp_path / "both/model")["kind"] == "masked_and_causal_lm"
    both = models.named_weights(models.load(tmp_path / "both/model"))
    sizes = {n: 0 for n in ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")}
    sizes |= {"size": "mini", "learning_rate": 0.0, "duration": "1", "max_seq_length": 32}
    kinds = {"causal_lm": {}, "masked_lm": {"sentence_objective": "none"}}
    start = "both"
    for kind, more in kinds.items():
        pretrained(
            tmp_path / kind, contiguous.folder, objective=kind,
            init_from=str(tmp_path / start / "model"), **sizes | more,
        )  # fmt: skip
        start = kind  # the masked one starts from the causal one
        after = models.named_weights(models.load(tmp_path / kind / "model"))
        for name, weight in both.items():
            if name.startswith("encoder/"):
                np.testing.assert_array_equal(weight.numpy(), after[name].numpy())
    assert json.loads((tmp_path / "masked_lm/config.json").read_text())["preset"] == "bert"
