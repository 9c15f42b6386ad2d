"""`demo --debug` runs every program, as a user would, in an empty folder."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_whole_road(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "pipelines.demo", "--debug"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "roots-demo" / "report.json").read_text("utf-8"))
    assert report["documents"] > 5_000
    assert len(report["packages"]) == 8
    assert 3 < report["unigram_entropy"] < 8
    assert 0 <= report["finetuned_accuracy"] <= 1
    assert (tmp_path / report["saved_model"] / "saved_model.pb").exists()
    assert f"{report['masked_lm_loss']:.3f}" in run.stdout
    assert report["fill_mask"][0]["text"] in run.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["roots-demo"]
