"""Workers that are killed, stopped, mistaken or silent, and what becomes of the others."""

import os
import signal
import time

import pytest

from roots_tf.launching import watch
from roots_tf.launching.endings import EndedError, Ending
from roots_tf.launching.watch import Limits
from tests.launching import scripted
from tests.launching.scripted import DIE, WAIT


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(watch, "_LONGEST_WAIT", 0.01)


def run(folder, codes, max_restarts=3, dead_after=300.0):
    watch.run(lambda: scripted.group(folder, codes), Limits(max_restarts, dead_after))


def ended(folder) -> bool:
    return not [pid for pid in scripted.pids(folder) if scripted.lives(pid)]


def test_it_starts_again_as_long_as_something_is_saved(tmp_path, capfd, caplog):
    save = "heartbeat.saved()\ntime.sleep(0.3)\n"
    codes = [f"if start < 3:\n    {WAIT}", f"if start < 3:\n    {save.replace(chr(10), ';')}{DIE}"]
    codes = [code + "print('done', index)" for code in codes]
    run(tmp_path, codes, max_restarts=1)
    assert capfd.readouterr().out.splitlines() in (
        ["[worker 0] done 0", "[worker 1] done 1"],
        ["[worker 1] done 1", "[worker 0] done 0"],
    )
    assert {path.name[0] for path in tmp_path.glob("*.pid")} == set("0123")
    restarts = [line for line in caplog.messages if "all start again" in line]
    assert len(restarts) == 3
    assert all(
        line.startswith("worker 1 was killed by SIGKILL: all start again in 0 s from what is saved "
                        "(restart 1 of 1 without progress)")
        for line in restarts
    )  # fmt: skip
    assert ended(tmp_path)


def test_without_progress_one_line_says_who_died_of_what(tmp_path, capfd):
    codes = [WAIT, "while not (folder / f'{start}-0.pid').exists():\n    time.sleep(0.01)\n"]
    codes[1] += "print('a\\nb\\nc\\nthe end', file=sys.stderr)\nsys.exit(7)"
    with pytest.raises(EndedError) as error:
        run(tmp_path, codes, max_restarts=2)
    assert str(error.value) == (
        "worker 1 ended with status 7, after 2 restarts in which nothing was saved; its last "
        "lines: b | c | the end"
    )
    assert (error.value.id, error.value.exit_status) == ("worker-lost", 4)
    assert len(scripted.pids(tmp_path)) == 6
    assert capfd.readouterr().err.count("[worker 1] the end\n") == 3
    assert ended(tmp_path)


@pytest.mark.parametrize("status", [2, 3])
def test_a_mistake_is_not_tried_again(tmp_path, status, monkeypatch):
    monkeypatch.setitem(watch._PATIENCE, "refused", 0.3)
    code = f"print('found no file', file=sys.stderr)\nsys.exit({status})"
    with pytest.raises(EndedError, match="worker 0 ended with status ., as .*line: found no file$"):
        run(tmp_path, [code, WAIT])
    assert len(scripted.pids(tmp_path)) <= 2
    assert ended(tmp_path)


def test_one_that_lost_another_is_not_the_one_that_is_named(tmp_path):
    # The one that died ends after the one that saw it die.
    codes = ["sys.exit(4)", f"time.sleep(0.5)\n{DIE}"]
    with pytest.raises(EndedError, match="^worker 1 was killed by SIGKILL; it wrote nothing to"):
        run(tmp_path, codes, max_restarts=0)


def test_one_that_is_lost_and_not_ended_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_QUIET", 0.5)
    monkeypatch.setitem(watch._PATIENCE, "lost", 1.5)
    with pytest.raises(EndedError, match=r"^worker 1 has said nothing for \d s; it wrote nothing"):
        run(tmp_path, ["sys.exit(4)", f"os.kill(os.getpid(), signal.SIGSTOP)\n{WAIT}"], 0)
    assert ended(tmp_path)


def test_a_worker_that_was_asked_to_stop_ends_the_run(tmp_path):
    # 143 is how training ends after it has saved.
    codes = ["sys.exit(143)", "os.kill(os.getpid(), signal.SIGTERM)"]
    with pytest.raises(EndedError, match="worker 0 was stopped by SIGTERM; run the same") as error:
        run(tmp_path, codes)
    assert (error.value.id, error.value.exit_status) == ("stopped", 143)


HANDLES = """
def handle(number, _):
    print('told', number, flush=True)
    sys.exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
    signal.signal(number, handle)
print('ready', flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_goes_to_all_and_its_status_is_the_programs(tmp_path, number):
    process = scripted.launcher(tmp_path, [HANDLES + WAIT] * 2)
    assert {process.stdout.readline() for _ in range(2)} == {
        "[worker 0] ready\n",
        "[worker 1] ready\n",
    }
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert out.count(f"told {int(number)}") == 2 and "[stopped]" in out
    assert ended(tmp_path)


def test_a_second_signal_kills(tmp_path):
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\n" + WAIT
    process = scripted.launcher(tmp_path, [deaf])
    process.stdout.readline()
    process.terminate()
    time.sleep(0.5)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert ended(tmp_path)


def test_a_killed_launcher_leaves_no_worker(tmp_path):
    child = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
    child += "(folder / '9-9.pid').write_text(str(child.pid))\nprint('ready', flush=True)\n"
    stopped = "print('ready', flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)\n"
    process = scripted.launcher(tmp_path, [child + WAIT, stopped + WAIT])
    for _ in range(2):
        process.stdout.readline()
    assert all(map(scripted.lives, scripted.pids(tmp_path))) and len(scripted.pids(tmp_path)) == 3
    process.kill()
    process.wait()
    end = time.monotonic() + 60
    while not ended(tmp_path):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_that_is_stopped_counts_as_dead(tmp_path):
    codes = [WAIT, f"if not start:\n    os.kill(os.getpid(), signal.SIGSTOP)\n    {WAIT}"]
    codes[0] = f"if not start:\n    {WAIT}"
    run(tmp_path, codes, max_restarts=1, dead_after=8.0)
    assert len(scripted.pids(tmp_path)) == 4
    assert ended(tmp_path)


def test_another_machine_is_reached_by_a_shell(tmp_path, capfd, monkeypatch):
    """The stand-in for ssh has another environment, and hands the line to a shell as ssh does."""
    fake = tmp_path / "fake ssh"
    fake.write_text('#!/bin/sh\nhost=$1; shift\nexec env -i HOST="$host" sh -c "$*"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("TF_X", 'it\'s "quoted" $HOME')
    code = "print(os.environ['HOST'], os.environ['TF_X'], os.environ['INDEX'], os.getcwd(), "
    code += "'AWS_SECRET_ACCESS_KEY' in os.environ, flush=True)\n" + DIE
    start = lambda: scripted.group(tmp_path, [code], "b", f"'{fake}'")  # noqa: E731
    with pytest.raises(EndedError, match=r"^worker 0 \(b\) was killed by SIGKILL"):
        watch.run(start, Limits(0, 300.0))
    out = capfd.readouterr().out
    assert out == f'[worker 0] b it\'s "quoted" $HOME 0 {os.getcwd()} False\n'


class Named:
    host = "b"

    def __str__(self):
        return "worker 1 (b)"


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (-9, "died", "was killed by SIGKILL"),
        (137, "died", "was killed by SIGKILL"),
        (139, "died", "was killed by SIGSEGV"),
        (255, "died", "ended with status 255, as ssh ends without the host"),
        (1, "died", "ended with status 1"),
        (2, "refused", "ended with status 2"),
        (3, "refused", "ended with status 3"),
        (4, "lost", "ended with status 4"),
        (143, "stopped", "was stopped by SIGTERM"),
        (-2, "stopped", "was stopped by SIGINT"),
        (250, "died", "ended with status 250"),
    ],
)
def test_what_a_status_means(status, kind, text):
    ending = Ending(Named(), status)
    assert ending.kind == kind
    assert str(ending).startswith(f"worker 1 (b) {text}")
    assert 0 < ending.exit_status < 256
