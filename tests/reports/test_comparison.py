"""Runs side by side: differences, flags, what is refused, runs of several kinds."""

import json

import pytest

from pipelines import compare
from roots_tf import program
from roots_tf.reports import comparison
from roots_tf.storage.files import InputError
from tests.pages.parsed import Page
from tests.reports import folders


def config(*runs, **flags) -> compare.Config:
    return program.make(compare.Config, runs=tuple(map(str, runs)), **flags)


def test_two_runs_side_by_side(tmp_path, capsys):
    a = folders.pretrained(tmp_path / "a")
    b = folders.pretrained(
        tmp_path / "b", losses=(8.0, 6.0), size="<mini>", inputs={"examples": "x"}
    )
    compared = compare.main(config(a, b, output=str(tmp_path / "compare.html")))
    printed = capsys.readouterr().out
    assert compared["differences"]["updates"] == [0, -10]
    assert compared["flags"] == {"size": ["tiny", "<mini>"]}
    cells = [line.split() for line in printed.splitlines()]
    assert ["masked_lm_loss", "7.5", "7.5", "0"] in cells
    assert ["size", "tiny", "<mini>"] in cells
    page = Page((tmp_path / "compare.html").read_text("utf-8"))
    for what in ("9 at step 10", "9 at tokens, padding among them 6,400"):
        assert f"a: {what}" in page.titles
    assert "b: 6 at step 20" in page.titles and "b: 7.5 at step 20" in page.titles
    assert any("minutes of training" in title for title in page.titles)
    assert "--size" not in page.text and "size" in page.text and "<mini>" in page.text

    compare.main(config(a, b, json=True))
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(json.dumps(compared))
    assert not (a / "report.html").exists()


def test_one_run_gets_its_report_again(tmp_path, capsys):
    run = folders.finetuned(tmp_path / "run")
    compare.main(config(run))
    assert f"the page is {run}/report.html" in capsys.readouterr().out
    assert "finetune: classification" in Page((run / "report.html").read_text("utf-8")).text
    compare.main(config(run, output=str(tmp_path / "other.html")))
    assert (tmp_path / "other.html").read_bytes() == (run / "report.html").read_bytes()


def test_runs_of_several_kinds_are_compared_in_what_they_share(tmp_path):
    runs = [
        folders.pretrained(tmp_path / "a" / "run"),
        folders.finetuned(tmp_path / "b" / "run"),
        folders.distilled(tmp_path / "c" / "run"),
    ]
    compared = comparison.compare(comparison.read([str(run) for run in runs]))
    assert [run["name"] for run in compared["runs"]] == ["a/run", "b/run", "c/run"]
    printed = comparison.printed(compared)
    assert printed.startswith("These runs are of different kinds (pretrain of masked_lm; finetune")
    assert "masked_lm_loss" not in printed and "updates" in printed
    assert "dev_accuracy" in printed  # of two of them
    Page(comparison.render(comparison.read([str(run) for run in runs])))


def test_what_is_refused(tmp_path):
    run = folders.pretrained(tmp_path / "run")
    with pytest.raises(InputError, match="wanted the folder of a run"):
        compare.main(config(run, tmp_path))
    with pytest.raises(InputError, match="twice in --runs"):
        compare.main(config(run, f"{run}/"))
    with pytest.raises(InputError, match="no folder in --runs"):
        compare.main(config())


def test_names_of_runs(tmp_path):
    paths = [tmp_path / "x" / "run", tmp_path / "y" / "run", tmp_path / "z"]
    runs = comparison.read([str(folders.pretrained(path)) for path in paths])
    assert comparison.names_of(runs) == ["x/run", "y/run", "z"]
    assert comparison.names_of(runs[1:]) == ["run", "z"]
    assert comparison.names_of(runs[:1]) == ["run"]
    (tmp_path / "file").write_text("no run")
    found = comparison.read([f"{tmp_path}/*/run", str(tmp_path / "z")])
    assert [run.path for run in found] == paths
