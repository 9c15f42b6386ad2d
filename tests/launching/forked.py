"""Workers of a launcher that do not each import TensorFlow anew; see `tests.processes`."""

import os
import tempfile
from pathlib import Path

from tests import processes

AFTER = "from roots_tf.commands import roots; roots()"


class Stdin:
    """The end of the pipe that a guard reads: a line is a signal, and its end is the program's."""

    def __init__(self, process):
        self._process = process

    def write(self, line: bytes) -> None:
        os.kill(self._process.pid, int(line))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._process.kill()


class Forked:
    """A program under way, with what `roots_tf.launching.worker.Worker` uses of `Popen`.

    Args:
        command: as `roots_tf.launching.places.command` gives it.
        environment: of the program.
    """

    def __init__(self, command: list[str], environment: dict[str, str]):
        name, *arguments = command[command.index(AFTER) + 1 :]
        with tempfile.TemporaryDirectory() as folder:
            paths = [str(Path(folder, stream)) for stream in ("stdout", "stderr")]
            for path in paths:
                os.mkfifo(path)
            given = (f"pipelines.{name}", arguments, environment, *paths)
            self._process = processes._SERVER.Process(target=_run, args=given, daemon=True)
            self._process.start()
            self.stdout, self.stderr = (os.fdopen(os.open(p, os.O_RDONLY), "rb") for p in paths)
        self.pid, self.stdin = self._process.pid, Stdin(self._process)

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> None:
        self._process.join(timeout)

    def kill(self) -> None:
        self._process.kill()


def _run(module: str, arguments: list[str], environment: dict, stdout: str, stderr: str) -> None:
    os.dup2(os.open(stdout, os.O_WRONLY), 1)
    processes._run(module, arguments, environment, stderr)
