"""How the processes of a run are started: on this machine, on hosts, with Dask's workers."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from roots_tf import notices
from roots_tf.launching import places, worker
from roots_tf.launching.watch import Group
from roots_tf.launching.worker import Worker
from roots_tf.storage.files import InputError

# The scheduler asks nobody who they are, so nobody outside of this machine reaches it.
_SCHEDULER = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
_WORKER = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
_SCHEDULER_SECONDS = 60.0  # until it has written where it listens


class Remote(NamedTuple):
    """How other machines are reached.

    Attributes:
        hosts: their names; none: this machine alone.
        ssh_command: takes a host and a line for its shell.
        port: of a host's first worker; 0: the usual one.
        python: the interpreter there; "": that of this process.
    """

    hosts: tuple[str, ...] = ()
    ssh_command: str = "ssh"
    port: int = 0
    python: str = ""


Spawn = Callable[[list[str], dict[str, str]], subprocess.Popen]


def spawn(command: list[str], environment: dict[str, str]) -> subprocess.Popen:
    """Starts a command in a session of its own: signals of the terminal are for the launcher.

    Args:
        command: its words.
        environment: its variables.

    Raises:
        InputError: there is no such command.
    """
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    try:
        return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
    except OSError as error:
        raise InputError(
            "no-such-file",
            f"found no command {command[0]} that can be run ({error.strerror}); wanted one: give "
            "--ssh_command or --python",
        ) from error


def trainers(
    arguments: Sequence[str], count: int, remote: Remote, spawn: Spawn = spawn
) -> Callable[[], Group]:
    """A function that starts the workers of a training.

    Args:
        arguments: the program and its flags.
        count: workers on this machine, where there are no hosts.
        remote: the hosts.
        spawn: starts a command with an environment.

    Raises:
        InputError: see `places.of_hosts` and `places.devices`.
    """
    words = places.command(arguments, remote.python)
    fixed = places.of_hosts(remote.hosts, remote.port) if remote.hosts else []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(n) for n in range(len(notices.gpus()))] if visible is None else visible.split(",")
    gpus = [gpu for gpu in gpus if gpu] if count > 1 and not fixed else []
    shares = [places.devices(gpus, i, count) for i in range(count)] if gpus else []

    def start() -> Group:
        # Other ports each time: what a dead worker has left may hold the ones before.
        where, started = fixed or places.here(count), []
        try:
            for index, place in enumerate(where):
                given = {"TF_CONFIG": places.tf_config(where, index)} if len(where) > 1 else {}
                given |= {"CUDA_VISIBLE_DEVICES": shares[index]} if shares else {}
                command = words
                if place.host:
                    here = (remote.ssh_command, place.host, words, given, os.getcwd())
                    command = places.over_ssh(*here)
                process = spawn(command, places.environment(given))
                started.append(Worker(f"worker {index}", place.host, process, worker.show))
        except BaseException:
            for each in started:
                each.kill()
            raise
        return Group(started)

    return start


def with_dask(
    arguments: Sequence[str], count: int, folder: Path, max_renewals: int
) -> Callable[[], Group]:
    """A function that starts a scheduler, its workers, and a program that hands them its tasks.

    Args:
        arguments: the program and its flags, without `--scheduler`.
        count: of the workers.
        folder: an empty one, for the file by which they find one another.
        max_renewals: how often a worker that died is replaced for each start.
    """

    def start() -> Group:
        file = folder / "scheduler.json"
        file.unlink(missing_ok=True)
        left, started = max_renewals, []

        def helper(kind: str, name: str) -> Worker:
            flags = _SCHEDULER if kind == "scheduler" else _WORKER
            words = ["-m", f"distributed.cli.dask_{kind}", "--scheduler-file", str(file), *flags]
            process = spawn(places.command(words), places.environment({}))
            started.append(Worker(name, "", process, _show_errors))
            return started[-1]

        def renew(dead: Worker) -> Worker | None:
            nonlocal left
            left -= 1
            return None if dead.name == "scheduler" or left < 0 else helper("worker", dead.name)

        try:
            scheduler = helper("scheduler", "scheduler")
            end = time.monotonic() + _SCHEDULER_SECONDS
            while not (file.exists() and file.read_text().rstrip().endswith("}")):
                if scheduler.status is not None or time.monotonic() > end:
                    raise InputError(
                        "cluster-unreachable",
                        "found no scheduler of Dask that starts; wanted one: pip install "
                        f"'roots-tf[cluster]' ({scheduler.last_lines})",
                    )
                time.sleep(0.05)
            helpers = [scheduler, *(helper("worker", f"dask worker {i}") for i in range(count))]
            process = spawn(
                places.command([*arguments, f"--scheduler={file}"]), places.environment({})
            )
            return Group([Worker(arguments[0], "", process, worker.show)], helpers, renew)
        except BaseException:
            for each in started:
                each.kill()
            raise

    return start


def _show_errors(name: str, line: str, is_error: bool) -> None:
    """Shows what Dask warns of; that it has started, and who has joined, is not for the user."""
    if " - INFO - " not in line:
        worker.show(name, line, is_error)
