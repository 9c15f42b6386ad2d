"""The page of a run: every curve has its points, no text acts, and odd files are one line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import reports
from roots_tf.reports import curves, figures, parts, run_page
from roots_tf.reports.run_folder import RunFolder
from roots_tf.storage.files import InputError
from tests.pages.parsed import Page
from tests.pipelines.test_json_files import WRONG, changed, places
from tests.reports import folders


def page_of(folder) -> Page:
    return Page(run_page.render(RunFolder.read(folder)))


def test_pretraining_shows_its_curves_its_baseline_and_its_flags(tmp_path):
    page = page_of(folders.pretrained(tmp_path / "run", learning_rate=0.5))
    loss = [f"training: {9 - i} at step {10 * (i + 1)}" for i in range(3)]
    assert [t for t in page.titles if t.startswith("training:")][:3] == loss
    assert "held out: 7.5 at step 30" in page.titles
    assert "guessing by frequency: 6.5" in page.titles
    rates = [t for t in page.titles if t.endswith(("0.0001 at step 10", "0.0003 at step 30"))]
    assert len(rates) == 2
    assert "training: 25 at step 10" in page.titles  # per cent of the time, waiting
    assert page.titles.count("training: 6,400 at step 20") == 1
    assert "Finished. Step 30 of 30." in page.text
    assert "whole run is 30 updates" in page.text and "notice" in page.classes
    assert "They are not there any more, or cannot be read." in page.text
    differing, _, usual = page.text.partition("flags as by default")
    assert "--learning_rate0.5" in differing and "--seed0" in usual
    assert {"figures", "finding", "charts"} <= set(page.classes)


def test_a_run_that_has_not_ended_and_one_without_rows(tmp_path):
    page = page_of(folders.pretrained(tmp_path / "a", finished=False))
    assert "Not finished: it is under way, or was stopped or killed. Step 30 of 30." in page.text
    page = page_of(folders.pretrained(tmp_path / "b", losses=(), finished=False))
    assert "No row was logged." in page.text and "metrics.jsonl has no rows" in page.text
    folder = folders.pretrained(tmp_path / "c", losses=(9.0,), finished=False)
    for name in ("plan.json", "metrics.jsonl"):
        (folder / name).unlink()
    page = page_of(folder)
    assert "doctor cannot look at this run" in page.text


def test_numbers_that_are_none_are_gaps_and_said(tmp_path):
    page = page_of(folders.pretrained(tmp_path / "run", losses=(9.0, None, 8.0, None)))
    said = "training: no finite number at 2 of 4 points (at 20, 40); gaps stand for them."
    assert page.text.count(said) == 2  # of the loss and of the accuracy


def test_a_mixture_has_a_curve_for_each_source(tmp_path):
    folder = folders.pretrained(tmp_path / "run")
    of_sources = {f"held_out/{name}/masked_lm_loss": 7.0 for name in ("zh", "<en>")}
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(folders.row(40, "held_out", masked_lm_loss=7.0) | of_sources) + "\n")
    titles = page_of(folder).titles
    assert {"held out, zh: 7 at step 40", "held out, <en>: 7 at step 40"} <= set(titles)


def test_tokens_and_time_follow_from_the_speeds(tmp_path):
    run = RunFolder.read(folders.pretrained(tmp_path / "run"))
    [history] = curves.histories(run).values()
    by_tokens = history.points("train", "masked_lm_loss", "tokens")
    assert by_tokens == [(6400.0, 9.0), (12800.0, 8.0), (19200.0, 7.0)]  # 32 x 20 a step
    seconds = [3600 * x for x, _ in history.points("train", "masked_lm_loss", "time")]
    assert seconds == pytest.approx([1, 2, 3])
    assert history.at(25, "tokens") == 16_000
    assert [x for x, _ in history.points("held_out", "masked_lm_loss", "tokens")] == [19200]
    assert ("tokens seen, padding among them", 19200, "") in figures.key_numbers(run, {"": history})


def test_distillation_shows_the_student_beside_the_teacher(tmp_path):
    page = page_of(folders.distilled(tmp_path / "run"))
    assert "parameters4,0001,000–" in page.text
    assert "dev accuracy0.90.80.5" in page.text
    assert "dev answers alike–0.85–" in page.text
    assert "training: 1.5 at step 10" in page.titles


def test_flags_are_compared_with_the_defaults_of_the_program():
    assert parts.defaults_of("pretrain")["learning_rate"] == 1e-4
    assert parts.defaults_of("finetune")["seeds"] == 3
    assert "output" not in parts.defaults_of("distill")


MAKERS = (folders.pretrained, folders.finetuned, folders.distilled)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["config.json", "plan.json", "report.json"])
def test_wrong_values_at_every_place_are_one_line_or_a_whole_page(make, name, tmp_path):
    folder = make(tmp_path / "run")
    whole = json.loads((folder / name).read_text())
    for number, place in enumerate(places(whole)):
        for wrong in WRONG[number % 3 :: 12]:
            (folder / name).write_text(json.dumps(changed(whole, place, wrong)))
            try:
                page_of(folder)
            except InputError as error:
                assert "\n" not in str(error)


@settings(max_examples=60)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"group": st.sampled_from(["train", "held_out", "<b>"]), "step": st.integers(0, 2**80)},
            optional={
                name: st.floats() | st.integers() | st.just(10**320)
                for name in (
                    *("masked_lm_loss", "tokens_per_second", "examples_per_second"),
                    *("learning_rate", "held_out/<i>/masked_lm_loss"),
                )
            },
        ),
        max_size=6,
    )
)
def test_odd_rows_make_a_whole_page(rows, tmp_path_factory):
    folder = folders.distilled(tmp_path_factory.mktemp("odd"))
    (folder / "metrics.jsonl").write_text(folders.lines(rows))
    Page(run_page.render(RunFolder.read(folder)))


def test_no_folder_of_a_run(tmp_path):
    for config in (None, {}, {"program": "curate"}, {"program": ["pretrain"]}):
        if config is not None:
            folders.write(tmp_path, "config.json", config)
        with pytest.raises(InputError, match="wanted the folder of a run"):
            RunFolder.read(tmp_path)
    folders.write(tmp_path, "config.json", {"duration": "10"})  # of a version that named none
    assert RunFolder.read(tmp_path).program == "pretrain"


class StoppedError(Exception):
    exit_status = 143


def test_a_stopped_run_leaves_a_page_and_a_wrong_flag_leaves_none(tmp_path, caplog):
    folder = folders.pretrained(tmp_path / "run", finished=False)
    with pytest.raises(InputError), reports.written(folder):
        raise InputError("wrong-value", "a wrong flag")
    with pytest.raises(ZeroDivisionError), reports.written(folder):
        _ = 1 / 0
    with reports.written(folder, is_writer=False):
        pass
    assert not (folder / "report.html").exists()
    with pytest.raises(StoppedError), reports.written(folder):
        raise StoppedError("stopped by a signal at step 30")
    shown = (folder / "report.html").read_text("utf-8")
    assert "Not finished: stopped by a signal at step 30" in Page(shown).text
    (folder / "plan.json").write_text("[")
    with reports.written(folder):
        pass
    assert "could not make" in caplog.text
    assert (folder / "report.html").read_text("utf-8") == shown
