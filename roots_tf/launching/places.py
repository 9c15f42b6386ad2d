"""Where the workers of a run are, and how a program is started there."""

import json
import os
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from roots_tf import heartbeat
from roots_tf.storage.files import InputError

# Of the launcher's variables those that other machines get too. No names of credentials begin so.
HANDED_ON = ("PYTHONPATH", "PYTHONUNBUFFERED", "OMP_", "NCCL_", "TF_", "XLA_", "GRPC_", "ROOTS_")
_PORT = 2222  # of the first worker of a host, as TensorFlow's guide has it
_ROOTS = ("-c", "from roots_tf.commands import roots; roots()")
_GUARD = ("-m", "roots_tf.launching.guard")


class Place(NamedTuple):
    """Where a worker runs.

    Attributes:
        host: its name for ssh; "" is this machine.
        address: host and port at which the other workers reach it.
    """

    host: str
    address: str


def here(count: int) -> list[Place]:
    """Places on this machine, at ports that nobody listens on.

    Args:
        count: of workers.
    """
    sockets = [socket.socket() for _ in range(count)]
    for held in sockets:  # all at once, so that no port comes twice
        held.bind(("127.0.0.1", 0))
    places = [Place("", f"127.0.0.1:{held.getsockname()[1]}") for held in sockets]
    for held in sockets:
        held.close()
    return places


def of_hosts(hosts: Sequence[str], port: int = 0) -> list[Place]:
    """Places on other machines; a host that is named again gets the next port.

    >>> [place.address for place in of_hosts(["a", "a", "me@b:4000"])]
    ['a:2222', 'a:2223', 'b:4000']

    Args:
        hosts: names, each with a user, a port or both where that is needed.
        port: of a host's first worker; 0: 2222.

    Raises:
        InputError: a name is empty, or one that ssh would take for a flag.
    """
    places = []
    for text in hosts:
        host, colon, number = text.strip().rpartition(":")
        if not (colon and number.isdigit()):
            host, number = text.strip(), ""
        name = host.rpartition("@")[2]
        if not name or host.startswith("-") or not set(host).isdisjoint(" \t/'\""):
            raise InputError(
                "wrong-value", f"found the host {text!r} in --hosts; wanted names such as a,me@b:22"
            )
        before = sum(place.host.rpartition("@")[2] == name for place in places)
        places.append(Place(host, f"{name}:{number or (port or _PORT) + before}"))
    if len({place.address for place in places}) < len(places):
        raise InputError(
            "named-twice", f"found an address twice in --hosts={','.join(hosts)}; wanted each once"
        )
    return places


def tf_config(places: Sequence[Place], index: int) -> str:
    """The `TF_CONFIG` of one worker.

    Args:
        places: of all; the first is the chief, which writes the files of the run.
        index: of the worker.
    """
    cluster = {"worker": [place.address for place in places]}
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


def devices(visible: Sequence[str], index: int, count: int) -> str:
    """The GPUs of one of several workers on this machine, for `CUDA_VISIBLE_DEVICES`.

    >>> devices(["0", "1", "2", "3"], 1, 2)
    '2,3'

    Args:
        visible: all of them.
        index: of the worker.
        count: of workers on this machine.

    Raises:
        InputError: they cannot be shared out evenly.
    """
    share, rest = divmod(len(visible), count)
    if rest:
        raise InputError(
            "no-such-device",
            f"found {len(visible)} GPUs for --num_processes={count}; wanted as many for each: "
            "choose GPUs by CUDA_VISIBLE_DEVICES, or one process, which takes all of them",
        )
    return ",".join(visible[index * share : (index + 1) * share])


def command(arguments: Sequence[str], python: str = "") -> list[str]:
    """The command line that runs a program under a guard.

    Args:
        arguments: its name and its flags; or "-m", a module of Python and its.
        python: the interpreter; "": the one of this process.
    """
    python, start = python or sys.executable, () if arguments[0] == "-m" else _ROOTS
    return [python, *_GUARD, python, *start, *arguments]


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """This process's variables and some more, for a program that it watches.

    Args:
        given: variables that are added.
    """
    return {**os.environ, "PYTHONUNBUFFERED": "1", heartbeat.VARIABLE: "1", **given}


def over_ssh(
    ssh_command: str, host: str, arguments: Sequence[str], given: Mapping[str, str], folder: str
) -> list[str]:
    """The command that runs another one on a host, in the same folder.

    Args:
        ssh_command: such as "ssh -p 2200"; it takes a host and a line for its shell.
        host: where.
        arguments: the command.
        given: variables that are added to those of `HANDED_ON`.
        folder: where it runs.
    """
    some = {n: v for n, v in environment(given).items() if n.startswith(HANDED_ON) or n in given}
    words = ["env", *(f"{name}={value}" for name, value in some.items()), *arguments]
    line = f"cd {shlex.quote(folder)} && exec {shlex.join(words)}"
    return [*shlex.split(ssh_command), host, line]
