"""The masked language model as an objective: its checks, its rows, what it declares."""

import copy
import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from roots_tf import models, objectives
from roots_tf.models import flops
from roots_tf.objectives import MaskedLM
from roots_tf.storage import files
from tests.batches import pretraining_batch
from tests.examples.test_reading import batches, dataset_of
from tests.objectives.test_masking import unmasked


def test_flags_and_checks_load_no_tensorflow():
    code = (
        "import sys; from roots_tf import objectives\n"
        "manifest = {'splits': {'train': {'examples': 9, 'documents': 9, 'singles': 0,"
        " 'sentences': 99, 'shards': []}, 'held_out': {'examples': 0}}, 'max_seq_length': 64}\n"
        "objective = objectives.OBJECTIVES['masked_lm']()\n"
        "objective.check(manifest, 8, 64); objective.rows_an_epoch(manifest, 64)\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr


@pytest.mark.parametrize(
    "flags, batch_size, length, wanted",
    [
        ({"sentence_objective": "nps"}, 8, 64, "found sentence_objective 'nps'; wanted one of"),
        ({"masking": "syllable"}, 8, 64, "found masking 'syllable'; wanted one of"),
        ({"mask_rate": 0.0}, 8, 64, "found mask_rate 0.0; wanted a share between 0 and 1"),
        ({"mask_rate": 1.0}, 8, 64, "found mask_rate 1.0"),
        ({"mask_rate": 1.5}, 8, 64, "found mask_rate 1.5"),
        ({"mask_rate": float("nan")}, 8, 64, "found mask_rate nan"),
        ({"max_predictions_per_seq": -1}, 8, 64, "found max_predictions_per_seq -1"),
        ({"max_predictions_per_seq": 65}, 8, 64, "at least 10 and at most 64, or 0"),
        ({"max_predictions_per_seq": 9}, 8, 64, "0.15 takes 10 of 64 tokens; wanted at least 10"),
        ({"mask_rate": 0.3, "max_predictions_per_seq": 20}, 8, 128, "0.3 takes 38 of 128 tokens"),
        ({}, 1, 64, "found batch_size 1; wanted at least 2"),
        ({"sentence_objective": "none"}, 0, 64, "found batch_size 0; wanted at least 1"),
        ({}, 8, 63, "found max_seq_length 63 for sentence pairs; wanted at least 64"),
        ({"sentence_objective": "none"}, 8, 5, "found rows of 5 tokens; wanted 8"),
        ({"sentence_objective": "none"}, 8, -5, "found rows of -5 tokens"),
    ],
)
def test_flags_without_sense_are_refused(built, flags, batch_size, length, wanted):
    with pytest.raises(files.InputError, match=wanted):
        MaskedLM(**flags).check(built.manifest, batch_size, length)


def test_shares_that_do_not_add_up_are_refused(built):
    class Wrong(MaskedLM):
        replace = (0.8, 0.1, 0.2)

    with pytest.raises(files.InputError, match="wanted three shares that add up to 1"):
        Wrong().check(built.manifest, 8, 64)


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_either_split_without_pairs_is_refused_before_anything_is_read(built, split):
    manifest = copy.deepcopy(built.manifest)
    manifest["splits"][split]["singles"] = manifest["splits"][split]["examples"]
    with pytest.raises(files.InputError, match="no second segment for .*--sentence_objective=none"):
        MaskedLM().check(manifest, 8, 64)
    MaskedLM("none").check(manifest, 8, 64)
    manifest["splits"]["held_out"]["examples"] = 0
    if split == "held_out":
        MaskedLM().check(manifest, 8, 64)


@pytest.mark.parametrize("name", ["nsp", "sop"])
def test_pairs_refuse_contiguous_text_and_name_the_command(contiguous, name):
    wanted = (
        f"found examples of layout contiguous; wanted pairs for --sentence_objective={name}: "
        "roots build-examples --layout=pairs --max_seq_length=64 "
    )
    for refused in (
        lambda: MaskedLM(name).check(contiguous.manifest, 8, 64),
        lambda: batches(contiguous, 1, sentence_objective=name),
    ):
        with pytest.raises(files.InputError, match=wanted):
            refused()


def test_a_folder_of_before_there_were_layouts_holds_pairs(built):
    manifest = {k: v for k, v in built.manifest.items() if k != "layout"}
    MaskedLM().check(manifest, 8, 64)


@pytest.mark.parametrize(
    "rate, length, wanted", [(0.15, 128, 20), (0.15, 512, 77), (0.3, 128, 39), (0.01, 8, 1)]
)
def test_predictions_follow_from_the_rate(rate, length, wanted):
    objective = MaskedLM(mask_rate=rate)
    assert objective.predictions(length) == wanted
    assert objective.predictions(length) >= max(1, round(rate * length))
    assert dataclasses.replace(objective, max_predictions_per_seq=60).predictions(length) == 60


def test_a_rate_of_its_own_masks_what_it_says(built):
    for rate in (0.15, 0.3):
        masked = tokens = 0
        for batch in batches(built, 20, mask_rate=rate):
            masked += batch["masked_lm_weights"].sum()
            tokens += batch["padding_mask"].sum()
        assert abs(masked / tokens - rate) < 0.01


@pytest.mark.parametrize("name", ["nsp", "sop", "none"])
def test_an_epoch_has_the_rows_that_are_told(built, contiguous, name):
    for source in (built, contiguous) if name == "none" else (built,):
        objective, length = MaskedLM(name), 100
        flags = {"num_epochs": 1, "max_seq_length": length, "sentence_objective": name}
        for split in ("train", "held_out"):
            found = batches(source, split=split, **flags)
            rows = sum(batch["example_weights"].sum() for batch in found)
            assert rows == objective.rows_an_epoch(source.manifest, length, split)
    shapes = {
        k: spec.shape for k, spec in dataset_of(built, sentence_objective=name).element_spec.items()
    }
    assert shapes["masked_lm_ids"] == [32, 10]


def test_packed_rows_of_contiguous_text_hold_every_token_once(contiguous):
    part, seen = contiguous.manifest["splits"]["train"], 0
    counts = np.zeros(contiguous.tokenizer.size, np.int64)
    for batch in batches(contiguous, sentence_objective="none", num_epochs=1):
        real = batch["example_weights"] == 1
        ids = unmasked(batch)[real][batch["padding_mask"][real]]
        counts += np.bincount(ids, minlength=len(counts))
        seen += len(ids)
    assert seen == part["tokens"] + 2 * part["examples"]
    specials = [contiguous.tokenizer.cls_id, contiguous.tokenizer.sep_id]
    assert (counts[specials] == part["examples"]).all()
    counts[specials] = 0
    np.testing.assert_array_equal(counts, np.load(contiguous.folder / "unigram_counts.npy"))


@pytest.mark.parametrize("name", ["nsp", "none"])
def test_scalars_are_those_that_the_task_gives_in_sections_of_tensorboard(built, name):
    sizes = models.EncoderConfig(built.tokenizer.size, 1, 8, 2, 16, max_sequence_length=64)
    objective = MaskedLM(name)
    model = objective.make_model(sizes, seed=3)
    task = objective.make_task(model, built.tokenizer)
    batch = pretraining_batch(0, 4, 64, built.tokenizer.size, 10)
    sums = task.sums(batch)
    assert [scalar.name for scalar in task.scalars if not scalar.of] == list(sums)
    losses = [scalar.name for scalar in task.scalars if scalar.is_loss]
    assert losses == list(task.weights(batch))
    assert losses == ["masked_lm_loss", "next_sentence_loss"][: len(losses)]
    for scalar in task.scalars:
        is_loss = scalar.name.endswith(("_loss", "_perplexity"))
        assert scalar.section == ("loss" if is_loss else "accuracy")
        assert not scalar.of or (scalar.of in sums and scalar.by(0.25) > 0)
    derived = {scalar.name for scalar in task.scalars if scalar.of}
    assert derived >= {"masked_lm_perplexity"}
    assert ("next_sentence_base_rate" in derived) == (name == "nsp")
    assert task.additive
    assert list(objective.samples(task, batch, built.tokenizer, 2)) == ["fill_mask"]
    assert objective.step_flops(sizes, 4, 64) == flops.step_flops(sizes, 4, 64, 10)


def test_the_table_holds_every_objective_by_its_name():
    for name, objective in objectives.OBJECTIVES.items():
        fields = {field.name for field in dataclasses.fields(objective)}
        assert objective.name == name
        assert set(objective.of_a_phase) <= fields
        for field in dataclasses.fields(objective):
            assert field.metadata["help"]
