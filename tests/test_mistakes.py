"""The registry of kinds of mistakes, and that every error for the user is of one of them."""

import copy
import pickle
import re
from concurrent.futures import ProcessPoolExecutor

import pytest

from roots_tf.flags import FlagError
from roots_tf.mistakes import MISTAKES, Identified
from roots_tf.mistakes.sites import sites, walk
from roots_tf.program import Stopped
from roots_tf.storage.compression import DamagedFileError
from roots_tf.storage.files import InputError

SITES = list(walk())


def test_every_kind_is_of_use_and_every_error_has_one():
    assert {id for site in [*SITES, *walk("benchmarks")] for id in site.ids} == set(MISTAKES)
    assert len(SITES) > 500


@pytest.mark.parametrize("id", MISTAKES)
def test_a_kind_says_what_and_why_and_what_to_do(id):
    mistake = MISTAKES[id]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", id)
    assert 10 < len(mistake.title) < 80 and not mistake.title.endswith(".")
    for text in (mistake.cause, mistake.remedy):
        assert text.endswith(".") and len(text) > 60
        assert text == " ".join(text.split())


# What happens to a program, rather than what it finds in what it was given.
EVENTS = {"stopped", "worker-lost", "diverged", "server-busy", "server-failed", "step-failed"}
EVENTS |= {"export-differs", "workers-differ"}


def test_messages_say_what_was_found_and_what_was_wanted():
    told = [site for site in SITES if any(map(str.isalpha, site.message))]
    told = [site for site in told if site.ids and not EVENTS & set(site.ids)]
    assert len(told) > 450
    for site in told:
        found = re.search(r"found|could not|kept none|^\W*…|^Malformed", site.message)
        wanted = re.search("wanted|[:;] |pip install|^found …$", site.message)
        assert found and wanted, site


def test_messages_of_a_kind():
    messages = sites()
    assert "found a shard …; wanted the name of a file" in messages["wrong-json"]
    assert "interrupted" in messages["stopped"]
    assert all(any(map(str.isalpha, text)) for texts in messages.values() for text in texts)


def failing(path):
    raise DamagedFileError("file-damaged", f"found {path} cut short")


@pytest.mark.parametrize("kind", [InputError, DamagedFileError, FlagError])
def test_an_error_and_its_id_survive_copies_and_processes(kind):
    error = kind("no-such-file", "found no file a.txt")
    error.add_note("in the second task")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert (str(again), again.id, again.exit_status) == (str(error), "no-such-file", 2)
        assert again.__notes__ == ["in the second task"]
    assert str(error) == "found no file a.txt" and error.args == ("found no file a.txt",)


def test_an_error_of_another_process_has_its_id():
    with ProcessPoolExecutor(1) as executor, pytest.raises(DamagedFileError) as error:
        executor.submit(failing, "a.gz").result()
    assert (error.value.id, str(error.value)) == ("file-damaged", "found a.gz cut short")


def test_errors_that_compute_their_message_survive_too():
    stopped = pickle.loads(pickle.dumps(Stopped(15)))
    assert isinstance(stopped, Identified) and stopped.id == "stopped"
    assert stopped.exit_status == 143 and str(stopped).startswith("stopped by SIGTERM")


def test_an_unknown_kind_fails_at_once():
    with pytest.raises(KeyError, match="no-such-kind"):
        InputError("no-such-kind", "found something")
    with pytest.raises(TypeError):
        InputError("found something without a kind")
