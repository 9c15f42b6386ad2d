"""`doctor`: reads real runs, whole and killed, and names what is missing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines import doctor, pretrain
from roots_tf import training
from roots_tf.reports import run_record
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.tokenizer import wordpiece
from tests.pages.parsed import Page


@pytest.fixture
def model_dir(work, tmp_path) -> Path:
    return Path(shutil.copytree(work.pretrained, tmp_path / "run"))


def names(found: list[dict]) -> list[str]:
    return [finding["name"] for finding in found]


def test_a_run_leaves_a_page_with_its_findings_and_samples(work):
    page = Page(Path(work.pretrained, "report.html").read_text("utf-8"))
    assert "notice: few steps" in page.text and "✓ stands where" in page.text
    assert "Loss: masked_lm" in page.text and "[MASK]" in page.text


def test_a_short_run_is_called_short(model_dir, capsys):
    found = doctor.main(doctor.Config(model_dir=str(model_dir)))
    assert "few_steps" in names(found)
    assert "unfinished" not in names(found)
    assert json.loads((model_dir / "doctor.json").read_text()) == found
    printed = capsys.readouterr().out
    assert f"{model_dir}: step 20 of 20  held_out_masked_lm_loss" in printed
    assert "few steps" in printed


def test_a_killed_run_whose_examples_are_gone(model_dir):
    (model_dir / "report.json").unlink()
    plan = json.loads((model_dir / "plan.json").read_text())
    plan["phases"][0]["examples"] = str(model_dir / "gone")
    (model_dir / "plan.json").write_text(json.dumps(plan))
    with (model_dir / "metrics.jsonl").open("a") as file:
        file.write('{"group": "train", "st')  # as a kill leaves it
    found = doctor.main(doctor.Config(model_dir=str(model_dir)))
    [unfinished] = [finding for finding in found if finding["name"] == "unfinished"]
    assert "rows up to step 20 of 20, the last checkpoint is of step 20" in unfinished["found"]


def test_flags_of_phases_count_in_their_phase(work):
    phases = ("duration=90 batch_size=32", "duration=10 learning_rate=5e-5 batch_size=8")
    config = pretrain.Config(output="run", examples=work.examples, phases=phases)
    found = pretrain.phases_of(config)
    plan = training.plan_of(found)
    plan["phases"][0]["examples"] = "b"
    first, second = run_record.phases(plan)
    assert (first.settings["examples"], first.settings["batch_size"]) == ("b", 32)
    assert (second.settings["learning_rate"], second.settings["batch_size"]) == (5e-5, 8)
    assert (first.first_step, first.steps, second.first_step, second.steps) == (0, 90, 90, 10)
    assert (first.warmup_steps, second.warmup_steps) == (9, 1)  # a tenth of each
    assert first.manifest is None
    assert second.manifest["max_seq_length"] == 32


@pytest.mark.parametrize(
    ("settings", "width", "modern"),
    [
        ({"size": "tiny", "preset": "modern"}, 128, True),
        ({"size": "custom", "hidden_dim": 40, "preset": "bert"}, 40, False),
        ({"size": "mini", "init_from": "nowhere/model"}, 0, False),
        ({}, 0, False),
    ],
)
def test_the_width_of_the_model_is_known_from_the_flags(settings, width, modern):
    assert run_record.model_of(settings) == (width, modern)


def test_the_width_of_a_model_to_start_from(work):
    assert run_record.model_of({"size": "base", "init_from": work.model}) == (32, False)


def test_another_folder_is_refused(work, tmp_path):
    with pytest.raises(InputError, match=r"found no .*plan.json .*wanted the output folder"):
        doctor.main(doctor.Config(model_dir=str(tmp_path)))


def test_examples_of_an_older_format_are_asked_for_scripts_without_spaces(tmp_path):
    assert run_record.unspaced_percent(tmp_path) == 0.0
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    wordpiece([*special, "sea", "北", "##京"], lowercase=True).save(tmp_path / "tokenizer")
    np.save(tmp_path / "unigram_counts.npy", np.array([0, 1, 0, 0, 0, 1, 1, 1]))
    assert run_record.unspaced_percent(tmp_path) == 50.0
