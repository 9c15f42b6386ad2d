"""Programs called from Python: their report comes back, and so does control after Ctrl-C."""

import signal
import threading

import pytest
from absl import logging

import roots_tf as roots
from roots_tf.training import loop


def test_a_run_that_was_interrupted_is_saved_and_goes_on(work, tmp_path, monkeypatch):
    asked = {"examples": work.examples, "output": tmp_path / "run", "debug": True}
    show, before = loop.log_row, (logging.get_verbosity(), signal.getsignal(signal.SIGINT))

    def interrupt(*arguments):
        show(*arguments)
        signal.raise_signal(signal.SIGINT)  # the stop button of a notebook

    with monkeypatch.context() as patch:
        patch.setattr(loop, "log_row", interrupt)
        with pytest.raises(roots.StoppedError, match="at step 10 of 20; saved"):
            roots.pretrain(**asked)
    with pytest.raises(roots.InputError, match="has written no model yet"):
        roots.load(tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before[1]

    told = []
    worker = threading.Thread(target=lambda: told.append(roots.pretrain(**asked)))  # of a server
    worker.start()
    worker.join()
    assert told[0]["step"] == 20
    assert roots.pretrain(**asked, quiet=True) == told[0]  # it has finished
    assert roots.load(tmp_path / "run").folder == tmp_path / "run" / "model"
    assert logging.get_verbosity() == before[0]
