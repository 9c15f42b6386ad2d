"""Batches of denoising from examples: from seed and step alone, and in the shares asked for."""

import types

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import examples
from roots_tf.examples.row_maker import Chance
from roots_tf.objectives.denoising_rows import DenoisingRows
from roots_tf.storage.files import InputError
from tests.objectives.test_denoising import KINDS, denoising


def batches(folder, objective, count, length=32, **how):
    dataset = examples.pipeline(
        folder, objective.make_rows, **{"batch_size": 8, "seed": 3, "max_seq_length": length} | how
    )
    return list(dataset.take(count).as_numpy_iterator())


@pytest.mark.parametrize("objective", [KINDS[3], KINDS[5]], ids=lambda o: o.denoising)
def test_a_batch_follows_from_seed_and_step(contiguous, objective):
    folder = contiguous.folder
    found, later = batches(folder, objective, 3), batches(folder, objective, 1, start_step=2)
    of_half = {"num_workers": 2, "start_step": 2}
    halves = [batches(folder, objective, 1, worker_index=i, **of_half)[0] for i in range(2)]
    for name, feature in found[2].items():
        np.testing.assert_array_equal(feature, later[0][name])
        np.testing.assert_array_equal(feature, np.concatenate([h[name] for h in halves]))
    assert (found[0]["token_ids"] != found[2]["token_ids"]).any()
    maker = objective.make_rows(contiguous.manifest, "train", contiguous.tokenizer, 32)
    chance = (8, slice(None), tf.ones([8]), tf.zeros([8], tf.int32))
    chance = Chance(1, tf.constant(4, tf.int64), *chance)
    shape = 8, objective.tokens(32)[0]
    text = tf.constant(np.random.default_rng(0).integers(5, 999, shape, np.int32))
    mapped = tf.function(lambda text: maker.features(text, chance))(text)
    for name, feature in maker.features(text, chance).items():
        np.testing.assert_array_equal(feature, mapped[name])


def test_held_out_rows_hold_every_token_once(contiguous):
    objective = denoising(denoising="text_infilling")
    found = batches(contiguous.folder, objective, -1, split="held_out", num_epochs=1, seed=0)
    rows = sum(int(batch["example_weights"].sum()) for batch in found)
    assert rows == objective.rows_an_epoch(contiguous.manifest, 32, "held_out")
    told = sum(int(batch["target_weights"].sum()) for batch in found)
    assert told == contiguous.manifest["splits"]["held_out"]["tokens"] + rows


def test_proportions_are_those_asked_for(contiguous):
    wanted = {"span_corruption": (0.15, 3.0), "text_infilling": (0.3, 3.0)}
    for kind, (rate, mean) in wanted.items():
        objective = denoising(denoising=kind)
        found = objective.proportions(
            batches(contiguous.folder, objective, 2, 128, batch_size=80),
            *(contiguous.manifest, "train"),
            objective.tokenizer_of(contiguous.tokenizer), 128,
        )  # fmt: skip
        found = {each.name: each for each in found}
        assert found["noise"].measured == pytest.approx(rate, abs=0.003)
        assert found["noise"].wanted == rate
        spans = found["tokens a span"].measured
        assert spans == pytest.approx(mean, abs=0.25)  # whole spans, some cut at a row's ends
        assert found["padding of sources"].measured < 0.03
        assert found["padding of targets"].measured < 0.06
    mixture = denoising(denoising="mixture")
    found = mixture.proportions(
        batches(contiguous.folder, mixture, 2, 64, batch_size=120), contiguous.manifest, "train",
        mixture.tokenizer_of(contiguous.tokenizer), 64,
    )  # fmt: skip
    shares = {each.name[-1]: each for each in found if each.name.startswith("rows of kind")}
    assert [round(7 * shares[mode].wanted) for mode in "rxs"] == [2, 4, 1]
    for each in shares.values():
        assert each.measured == pytest.approx(each.wanted, abs=0.13)


def test_what_cannot_be_done_is_refused(built, contiguous):
    with pytest.raises(InputError, match="layout pairs; wanted contiguous for --objective=denoi"):
        denoising().check(built.manifest, 8, 64)
    for flags, message in [
        ({"denoising": "prefix", "noise_rate": 0.2}, "--noise_rate and --denoising=prefix"),
        ({"permute_sentences": 1.0}, "--permute_sentences and --denoising=span_corruption"),
        ({"denoiser_weights": ("r=1",)}, "--denoiser_weights and --denoising=span_corruption"),
        ({"num_sentinels": 3}, "num_sentinels 3, where rows of 64 tokens have up to 4 spans"),
        ({"denoising": "mixture", "denoiser_weights": ("q=1",)}, "found 'q=1' in"),
        ({"denoising": "mixture", "denoiser_weights": ("r=-1",)}, "found 'r=-1' in"),
        ({"denoising": "mixture", "denoiser_weights": ("r=0",)}, "found no weight above 0"),
    ]:
        with pytest.raises(InputError, match=message):
            denoising(**flags).check(contiguous.manifest, 8, 64)
    bare = {"vocabulary": ["a"], "special_ids": (), "size": 1, "pad_id": 0, "causal_pad_id": 0}
    for roles, message in [
        ({"bos_id": 0, "eos_id": None, "mask_id": 0}, "special tokens for ..eos"),
        ({"bos_id": 0, "eos_id": 0, "mask_id": None}, "special tokens for ..mask"),
        ({"bos_id": None, "eos_id": 0, "mask_id": 0, "pad_id": None}, "special tokens for ..bos"),
    ]:
        tokenizer = types.SimpleNamespace(**bare | roles)
        with pytest.raises(InputError, match=message):
            objective = denoising(denoising="text_infilling")
            DenoisingRows(objective, contiguous.manifest, "train", tokenizer, 32)
