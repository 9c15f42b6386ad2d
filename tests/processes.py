"""Programs as processes of their own, which do not each import TensorFlow anew.

A server imports it once, computes nothing with it, and forks what is started: a process with a
command line, an environment, an exit status and a stderr of its own, that a test may kill.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

from roots_tf import program

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.preloaded"])


def command(config) -> list[str]:
    """The command that runs the program of a `config` with the same flags."""
    return [sys.executable, "-m", type(config).__module__, *flags(config)]


def flags(config) -> list[str]:
    """The flags of a `config`, as its program is given them on a command line."""
    found = []
    for name, value in program.flat(config).items():
        if value is None:  # a flag that is not given
            continue
        value = ",".join(value) if isinstance(value, tuple) else value
        found.append(
            f"--{'' if value else 'no'}{name}" if isinstance(value, bool) else f"--{name}={value}"
        )
    return found


class Started:
    """`python -m module arguments` under way, with the methods that `subprocess.Popen` has.

    Args:
        module: such as "pipelines.pretrain".
        arguments: of its command line.
        environment: its variables; None: those of this process.
    """

    def __init__(self, module: str, arguments: list[str], environment: dict | None = None):
        descriptor, self._stderr = tempfile.mkstemp()
        os.close(descriptor)
        given = (module, list(arguments), dict(environment or os.environ), self._stderr)
        # A daemon: it ends with the tests, whatever becomes of the one that started it.
        self._process = _SERVER.Process(target=_run, args=given, daemon=True)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, or less a signal that killed it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended.

        Raises:
            TimeoutExpired: it has not within `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode

    def printed(self) -> str:
        """What it has written to stderr up to now."""
        return Path(self._stderr).read_text("utf-8")

    def communicate(self, timeout: float | None = None) -> tuple[None, str]:
        """What it has written to stderr, second of two, once it has ended; see `wait`."""
        self.wait(timeout)
        return None, self.printed()


def start(config, environment: dict | None = None) -> Started:
    """Starts the program of a `config`, with the same flags."""
    return Started(type(config).__module__, flags(config), environment)


def _run(module: str, arguments: list[str], environment: dict, stderr: str) -> None:
    """What the process does: as `python -m` does."""
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    descriptor = os.open(stderr, os.O_WRONLY)
    os.dup2(descriptor, 2)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
