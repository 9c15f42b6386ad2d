"""What TensorFlow's C++ code writes to stderr where nobody asked for it.

Loading its libraries writes that oneDNN is on and that there is no CUDA, whatever
TF_CPP_MIN_LOG_LEVEL says: it is read after that. So what comes while they load goes through a
filter, a process of its own, so that the words of an import that ends in `abort` still come.
"""

import contextlib
import importlib.abc
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # 0 shows all, 1 hides I(nfo), 2 also W(arning), 3 also E(rror)
_SEVERITIES = {"1": "I", "2": "IW", "3": "IWE"}


def gpus() -> list[str]:
    """GPUs that the system shows, as files of /dev, without asking TensorFlow."""
    devices = sorted(map(str, Path("/dev").glob("nvidia[0-9]*")))
    return devices or [path for path in ("/dev/kfd",) if os.path.exists(path)]


def hide() -> None:
    """Hides the notices of this process and of those that it starts.

    A level that the user has set stands: 0 shows all. Else errors are shown where there is a GPU,
    since they may be of its driver, and nothing where there is none, of which TensorFlow reports
    the lack as an error. What goes wrong in an op, as memory that runs out, is an exception.
    """
    level = os.environ.setdefault(LEVEL, "2" if gpus() else "3")
    known = any(isinstance(finder, _Finder) for finder in sys.meta_path)
    if level in _SEVERITIES and "tensorflow" not in sys.modules and not known:
        sys.meta_path.insert(0, _Finder(_SEVERITIES[level]))


class _Finder(importlib.abc.MetaPathFinder):
    """Has the first import of TensorFlow run behind the filter, and is gone then."""

    def __init__(self, severities: str):
        self._severities = severities

    def find_spec(self, fullname, path=None, target=None):
        """The spec that the other finders give; None of any other module."""
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_filtered(module):
                with _filtered(self._severities):
                    execute(module)

            spec.loader.exec_module = execute_filtered
        return spec


@contextlib.contextmanager
def _filtered(severities: str) -> Iterator[None]:
    """Drops C++ log lines of some severities from what this process writes to stderr."""
    grep = shutil.which("grep")
    try:
        before = os.dup(2)
    except OSError:  # closed
        grep = None
    if grep is None:
        yield
        return
    line = rf"^[{severities}][0-9]{{4}} [0-9:.]+ +[0-9]+ [^ ]+:[0-9]+\]"
    first = "^WARNING: All log messages before absl::InitializeLog"
    sys.stderr.flush()
    lines = subprocess.Popen(
        [grep, "-a", "-v", "-E", f"{line}|{first}"],
        stdin=subprocess.PIPE,
        stdout=before,
        env=os.environ | {"LC_ALL": "C"},
        start_new_session=True,  # Ctrl-C is not for it
    )
    os.dup2(lines.stdin.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        lines.stdin.close()
        lines.wait()
