"""A mask rate that moves over the steps: how much each batch masks, and what depends on it."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from pipelines import inspect_examples, pretrain
from roots_tf import examples, program, training
from roots_tf.objectives import MaskedAndCausal, MaskedLM, ReplacedTokens
from roots_tf.objectives.masking import rate_at
from roots_tf.storage import files
from tests.examples.test_reading import assert_same, batches

FALLS = {"mask_rate": 0.3, "final_mask_rate": 0.15, "mask_rate_steps": 40}
RISES = {"mask_rate": 0.1, "final_mask_rate": 0.4, "mask_rate_steps": 40}


def wanted(tokens: int, step: int, rates: dict) -> int:
    """Predictions of a row of so many tokens, by Python's own numbers."""
    done = min(step / rates["mask_rate_steps"], 1)
    rate = rates["mask_rate"] * (1 - done) + rates["final_mask_rate"] * done
    return max(1, round(tokens * rate))


def test_a_rate_literally():
    steps = tf.constant([0, 10, 20, 30, 40, 41, 10**9], tf.int64)
    found = [float(rate_at(step, 0.3, 0.15, 40)) for step in steps]
    np.testing.assert_allclose(found, [0.3, 0.2625, 0.225, 0.1875, 0.15, 0.15, 0.15], rtol=1e-12)
    assert (found[0], found[4], found[6]) == (0.3, 0.15, 0.15)  # to the bit, as without a schedule


@pytest.mark.parametrize(
    "masking, rates", [("token", FALLS), ("whole_word", RISES), ("span", FALLS)]
)
def test_every_row_of_every_step_has_its_share(built, masking, rates):
    found = batches(built, 44, batch_size=8, masking=masking, **rates)
    assert {batch["masked_lm_weights"].shape for batch in found} == {
        (8, MaskedLM(**rates).predictions(64))
    }
    for step, batch in enumerate(found):
        expected = [wanted(int(n), step, rates) for n in batch["padding_mask"].sum(1)]
        np.testing.assert_array_equal(batch["masked_lm_weights"].sum(1), expected)
    shares = [b["masked_lm_weights"].sum() / b["padding_mask"].sum() for b in found]
    first, last = rates["mask_rate"], rates["final_mask_rate"]
    assert shares[0] == pytest.approx(first, abs=0.01)
    assert shares[20] == pytest.approx((first + last) / 2, abs=0.01)
    assert np.mean(shares[40:]) == pytest.approx(last, abs=0.01)


def test_a_run_that_begins_in_the_middle_has_the_same_batches(built):
    from_zero = batches(built, 60, **FALLS)
    for start in (1, 23, 39, 57):
        assert_same(batches(built, 2, start_step=start, **FALLS), from_zero[start : start + 2])
    one, two = (batches(built, 1, start_step=23, num_workers=2, worker_index=i, **FALLS)[0]
                for i in (0, 1))  # fmt: skip
    for name, whole in from_zero[23].items():
        np.testing.assert_array_equal(np.concatenate([one[name], two[name]]), whole)


def as_wide(batch: dict, width: int) -> dict:
    """A batch with room for so many predictions a row, which nothing beyond has used."""
    cut = {name: batch[name] for name in batch if not name.startswith("masked_lm_")}
    for name in batch.keys() - cut.keys():
        assert not batch[name][:, width:].any()
        cut[name] = batch[name][:, :width]
    return cut


def test_behind_the_last_step_and_held_out_rows_are_those_of_the_final_rate(built):
    for flags in ({"start_step": 40}, {"start_step": 10**6}, {"split": "held_out"}):
        found = batches(built, 2, masking="whole_word", **FALLS | flags)
        plain = batches(built, 2, masking="whole_word", mask_rate=0.15, **flags)
        assert found[0]["masked_lm_ids"].shape[1] == 20 > plain[0]["masked_lm_ids"].shape[1] == 10
        # Random tokens are drawn for each place of a row; which ones does not depend on the rest.
        for batch, other in zip(found, plain, strict=True):
            batch = as_wide(batch, 10)
            for name in other.keys() - {"token_ids"}:
                np.testing.assert_array_equal(batch[name], other[name], err_msg=name)


@pytest.mark.parametrize("kind", [MaskedAndCausal, ReplacedTokens])
def test_the_other_objectives_with_masks_have_it_too(contiguous, kind):
    objective = kind(**FALLS)
    assert {*FALLS} <= {*objective.of_a_phase}
    for start, rate in ((0, 0.3), (20, 0.225), (40, 0.15)):
        (batch,) = itertools.islice(
            examples.pipeline(
                *(contiguous.folder, objective.make_rows),
                **{"batch_size": 8, "seed": 0, "start_step": start, "max_seq_length": 32},
            ).as_numpy_iterator(),
            1,
        )
        share = batch["masked_lm_weights"].sum() / batch["padding_mask"].sum()
        assert share == pytest.approx(rate, abs=0.02)
        assert batch["masked_lm_weights"].shape == (8, 10)


def test_a_phase_may_have_a_rate_that_moves_and_counts_its_own_steps(built):
    falls = "mask_rate=0.3 final_mask_rate=0.15 mask_rate_steps=40 duration=40"
    config = program.make(
        pretrain.Config, examples=str(built.folder), output="run", batch_size=8,
        phases=("duration=9 mask_rate=0.4", falls),
    )  # fmt: skip
    first, second = pretrain.phases_of(config)
    assert first.config.objective == MaskedLM(mask_rate=0.4)
    assert second.config.objective == MaskedLM(**FALLS)
    assert (second.first_step, second.last_step) == (9, 49)
    claim = training.claim_of(config, [first, second], pretrain.of_a_phase(config))
    assert claim.inputs["phases"][1]["mask_rate_steps"] == 40
    with pytest.raises(files.InputError, match="found --final_mask_rate=0.2 and --mask_rate_steps"):
        pretrain.phases_of(
            program.replace(config, phases=("duration=9 mask_rate=0.4 final_mask_rate=0.2",))
        )


def test_predictions_have_room_for_the_highest_rate():
    assert MaskedLM(**FALLS).predictions(128) == MaskedLM(mask_rate=0.3).predictions(128) == 39
    assert MaskedLM(**RISES).predictions(128) == 52


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"final_mask_rate": 0.15}, "found --final_mask_rate=0.15 and --mask_rate_steps=0; wanted"),
        ({"mask_rate_steps": 9}, "found --final_mask_rate=0.0 and --mask_rate_steps=9; wanted"),
        ({**RISES, "final_mask_rate": 1.5}, "found final_mask_rate 1.5; wanted a share between"),
        ({**RISES, "final_mask_rate": -0.5}, "found final_mask_rate -0.5; wanted a share"),
        ({**RISES, "max_predictions_per_seq": 10}, "mask_rate 0.4 takes 26 of 64 tokens; wanted"),
    ],
)
def test_flags_that_do_not_go_together(built, contiguous, flags, message):
    with pytest.raises(files.InputError, match=message):
        MaskedLM(**flags).check(built.manifest, 8, 64)
    for kind in (MaskedAndCausal, ReplacedTokens):
        with pytest.raises(files.InputError, match=message):
            kind(**flags).check(contiguous.manifest, 8, 64)


@pytest.mark.parametrize("name", ["masked_lm", "masked_and_causal", "replaced_tokens"])
def test_inspect_examples_tells_the_rate_of_the_steps_that_it_shows(contiguous, tmp_path, name):
    flags = {"sentence_objective": "none"} if name == "masked_lm" else {}
    output = str(tmp_path / "proportions.json")
    for step, rate in ((0, 0.3 - 0.15 * 4.5 / 40), (40, 0.15)):
        config = program.make(
            inspect_examples.Config, examples=str(contiguous.folder), objective=name, step=step,
            batches=10, rows=0, batch_size=8, max_seq_length=32, output=output, **FALLS, **flags,
        )  # fmt: skip
        inspect_examples.main(config)
        found = {row["name"].strip(): row for row in files.read_json(output)}
        predicted = found.get("predicted") or found["masked tokens"]
        assert predicted["wanted"] == pytest.approx(rate, abs=0.01)
        assert predicted["measured"] == pytest.approx(predicted["wanted"], abs=0.01)
