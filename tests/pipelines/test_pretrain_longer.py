"""`pretrain --schedule=warmup_stable_decay`: a finished run that becomes longer."""

import json

import numpy as np
import pytest

from pipelines import pretrain
from roots_tf import training
from roots_tf.storage.files import InputError
from roots_tf.training.checkpoint_notes import Decay
from tests.pipelines.test_pretrain import config, curve, weights

WSD = {"schedule": "warmup_stable_decay", "warmup_steps": 2, "decay_share": 0.5}


def test_a_finished_run_goes_on_from_before_its_decay(work, tmp_path):
    def train(folder, duration):
        more = {"duration": duration, "dropout": 0.1, "evaluate_every": 4} | WSD
        return pretrain.main(config(work, tmp_path / folder, **more))

    first = train("run", "14")
    assert train("run", "14") == first  # has finished
    report = train("run", "22")
    assert report == train("whole", "22")
    assert report["step"] == 22
    for name, value in weights(tmp_path / "whole").items():
        np.testing.assert_array_equal(value, weights(tmp_path / "run")[name], err_msg=name)
    assert curve(tmp_path / "run") == curve(tmp_path / "whole")
    with pytest.raises(InputError, match="found a run at step 22 in .*run, and flags that end it"):
        train("run", "14")
    [change] = json.loads((tmp_path / "run" / "config.json").read_text())["changes"]
    assert change["flags"] == {"duration": ["14", "22"]}


def test_of_phases_the_last_one_counts(work, tmp_path):
    def decay(*phases, **more):
        texts = tuple(f"examples={work.examples} {phase}" for phase in phases)
        flags = config(work, tmp_path, examples="", phases=texts, **WSD | more)
        return training.decay_of(pretrain.phases_of(flags))

    assert decay("duration=8 schedule=constant", "duration=10") == Decay(13, 18)
    assert decay("duration=8 warmup_steps=-1", "duration=10 decay_share=0.2") == Decay(16, 18)
    assert decay("duration=8", "duration=10 schedule=linear") is None


def test_a_warmup_that_a_longer_run_would_change_is_refused(work, tmp_path):
    run = config(work, tmp_path / "run", schedule="warmup_stable_decay", duration="50")
    with pytest.raises(InputError, match="no --warmup_steps; wanted .* --warmup_steps=5: a share"):
        pretrain.main(run)
    assert not (tmp_path / "run").exists()
