"""Files between stages: globs, shard names, atomic writes, and stages that survive being killed.

A stage is a pure function from files to files, cut into tasks. Each task writes under a temporary
name, renames, and leaves a completion marker; a stage that is run again does only the tasks that
have no marker. Tasks run through the standard `concurrent.futures.Executor` interface, so the same
stage runs on a process pool or, through Dask `distributed`, on a cluster.
"""

import concurrent.futures
import contextlib
import errno
import glob
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import platform
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Disk full, quota, read-only, no permission; a file where a folder should be, or the reverse.
_CANNOT_WRITE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG),
}
CONNECT_SECONDS = 10  # until a scheduler that does not answer counts as unreachable
WORKER_SECONDS = 60  # that the first worker of a scheduler has to come


class InputError(ValueError):
    """A user's mistake: says what was found, what was wanted and what to do.

    A program prints its text on one line, without a traceback, and exits with `exit_status`.
    """

    exit_status = 2


def expand(patterns: Sequence[str]) -> list[str]:
    """Files that match the glob patterns, each once; a folder stands for the files in it.

    Hidden files, those in hidden folders and those that start with `_` are left out, as is all
    else in a folder that holds Parquet shards (a stage's own report).

    Raises:
        InputError: a pattern matches no file.
    """
    if not any(patterns):
        raise InputError("found no input pattern; wanted at least one file, folder or glob")
    found: dict[str, None] = {}
    for pattern in filter(None, patterns):
        pattern = os.path.expanduser(pattern)
        exists = Path(pattern).exists()  # its name may hold "[", which is no pattern then
        names = [pattern] if exists else sorted(glob.glob(pattern, recursive=True))
        folders = [name for name in names if Path(name).is_dir()]
        files = [name for name in names if Path(name).is_file()]
        files = [name for name in files if not Path(name).name.startswith((".", "_"))]
        for folder in folders:
            inside = [
                str(path)
                for path in sorted(Path(folder).rglob("*"))
                if path.is_file()
                and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
            ]
            files += [name for name in inside if name.endswith(".parquet")] or inside
        if not files:
            raise InputError(f"found no file that matches {pattern!r}; wanted at least one input")
        found.update(dict.fromkeys(files))
    return list(found)


def shard_name(stem: str, index: int, count: int, suffix: str) -> str:
    """Name of one shard of several.

    >>> shard_name("documents", 3, 16, ".parquet")
    'documents-00003-of-00016.parquet'
    """
    return f"{stem}-{index:05d}-of-{count:05d}{suffix}"


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path in the folder of `path`; on success it is synced and renamed to it.

    On an exception the temporary file is removed, and whatever stood at `path` still stands.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    # Workers on two machines may have one process id, and a lost one may still write.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in _CANNOT_WRITE:
            raise InputError(
                f"could not write {path}: {error.strerror or error}; nothing was left under that "
                "name: make room or choose another folder, then run the same command again"
            ) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_json(path: str | Path, value) -> None:
    """Writes a JSON file atomically, for people to read: indented, UTF-8."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path):
    """Reads a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"found no file {path}; wanted the JSON that an earlier program writes"
        ) from error
    except ValueError as error:
        raise InputError(f"found no JSON in {path} ({error}); write that file again") from error


def claim(folder: str | Path, config: dict) -> dict | None:
    """Begins, or goes on with, the run of one config in a folder.

    The config is saved as `config.json` when the folder is first claimed, or while it holds nothing
    else: a run that was refused for a mistake has no say. `report.json`, which a program writes
    last, marks a run that has finished.

    Args:
        folder: where a program writes; made if missing.
        config: what decides the output, as JSON values.

    Returns:
        The report of a finished run, or None where there is work to do.

    Raises:
        InputError: the folder was claimed by another config.
    """
    config = json.loads(json.dumps(config))  # as it will be read back: tuples are lists
    path = Path(folder, "config.json")
    if not path.exists() or not any(other != path for other in Path(folder).iterdir()):
        write_json(path, config)
        return None
    before = read_json(path)
    if before != config:
        names = sorted(k for k in before | config if before.get(k) != config.get(k))
        found = ", ".join(f"{name}={before.get(name)!r}" for name in names)
        wanted = ", ".join(f"{name}={config.get(name)!r}" for name in names)
        raise InputError(
            f"{folder} holds a run of another config: found {found}; wanted {wanted}. Choose "
            "another --output, or give the flags of that run"
        )
    report = Path(folder, "report.json")
    return read_json(report) if report.exists() else None


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value) -> str:
    """Sixteen hexadecimal digits that stand for any JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@contextlib.contextmanager
def executor(
    num_workers: int, scheduler: str = "", folder: str | Path = "."
) -> Iterator[concurrent.futures.Executor | None]:
    """Where the tasks of stages run: processes of this machine, or the workers of a cluster.

    Dask's scheduler asks nobody who they are: whoever reaches one at `tcp://` runs what they like
    on its workers. Let it listen on loopback or in a closed network, or use TLS: the certificates
    are those of Dask's configuration (`distributed.comm.tls`), at both ends.

    Args:
        num_workers: processes on this machine; 0 means one a processor; for 1 None is given, that
            is the calling process.
        scheduler: of Dask `distributed`: `tcp://host:port`, `tls://host:port` or the path of a
            scheduler file; "" is this machine.
        folder: of the output; the workers of a cluster must see it under the same absolute path.

    Raises:
        InputError: a negative number of workers, or one beside a scheduler, which has its own;
            the library is not installed; no answer from the scheduler; its workers are none, of
            another version, or do not see the folder.
    """
    if num_workers < 0:
        raise InputError(f"found --num_workers={num_workers}; wanted 0 (one a processor) or more")
    if scheduler and num_workers:
        raise InputError(
            f"found --num_workers={num_workers} beside --scheduler={scheduler}; wanted one of "
            "them: a scheduler has its own workers"
        )
    if scheduler:
        with _cluster(scheduler, folder) as cluster:
            yield cluster
        return
    num_workers = num_workers or os.cpu_count()
    if num_workers == 1:
        yield None
        return
    # A forked child of a process that has started threads can deadlock.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(num_workers, context, _begin_worker) as pool:
        yield pool


@contextlib.contextmanager
def _cluster(scheduler: str, folder: str | Path) -> Iterator[concurrent.futures.Executor]:
    """The workers of a Dask scheduler."""
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "found no library distributed, which --scheduler wants: pip install 'roots-tf[cluster]'"
        ) from error
    if "://" not in scheduler and not Path(scheduler).is_file():
        raise InputError(
            f"found no scheduler file {scheduler}; wanted tcp://host:port, tls://host:port, or the "
            "file that `dask scheduler --scheduler-file=` writes"
        )
    where = {"address" if "://" in scheduler else "scheduler_file": scheduler}
    try:
        client = distributed.Client(**where, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"could not reach the scheduler {scheduler} ({error}); is `dask scheduler` running "
            "there, and for tls:// are the certificates those of Dask's configuration?"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError as error:
            raise InputError(
                f"found no worker at {scheduler} in {WORKER_SECONDS} s; start some with "
                "`dask worker ADDRESS --nworkers=N --nthreads=1`, then run the same command again"
            ) from error
        _check_workers(client, Path(folder).absolute())
        yield client.get_executor()


def _check_workers(client, folder: Path) -> None:
    """Refuses workers whose files would be others, or elsewhere.

    Raises:
        InputError: a worker has another version, or does not see the folder.
    """
    probe = folder / f".probe.{uuid.uuid4().hex}.tmp"
    with atomic_path(probe) as temporary:
        temporary.touch()
    try:
        found = client.run(_describe, str(probe))
    except ImportError as error:
        raise InputError(
            f"a worker could not import roots_tf ({error}); install the same version on all"
        ) from error
    finally:
        probe.unlink()
    here = _describe(str(folder))
    for worker, there in found.items():
        if not there.pop("sees"):
            raise InputError(
                f"the worker {worker} does not see {folder}; wanted a file system that all workers "
                "share, at the same path: choose an --output there"
            )
        for name, version in there.items():
            if version != here[name]:
                raise InputError(
                    f"the worker {worker} has {name} {version}; wanted {here[name]}, as here: "
                    "install the same on all, since output must not depend on who wrote it"
                )


def _describe(path: str) -> dict:
    """Whether this process sees a path, and the versions that decide the bytes it writes."""
    package = Path(__file__).parent
    sources = {str(p.relative_to(package)): sha256(p) for p in sorted(package.rglob("*.py"))}
    return {
        "sees": Path(path).exists(),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "code of roots_tf": fingerprint(sources),
        **{name: importlib.metadata.version(name) for name in ("numpy", "pyarrow")},
    }


def _begin_worker() -> None:
    """Ties a worker to its parent: Ctrl-C is the parent's to handle, and its death ends both."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        multiprocessing.parent_process().join()
        os._exit(1)  # a worker whose parent was killed would wait for tasks for ever

    threading.Thread(target=watch, daemon=True).start()


def run_stage(
    function: Callable,
    tasks: Sequence[tuple],
    markers: str | Path,
    executor: concurrent.futures.Executor | None = None,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> list:
    """Runs `function(*task)` for every task that has no completion marker yet.

    Args:
        function: a module-level function that writes its files atomically and returns a JSON value.
        tasks: arguments of each call; JSON values. They name the task: a task whose arguments
            change is a new task.
        markers: folder of the completion markers; a marker holds what the function returned.
        executor: where the calls run; None calls them here, one after the other.
        on_done: called with the number of finished tasks and of all tasks.

    Returns:
        What the function returned for each task, in the order of `tasks`.

    Raises:
        InputError: a worker process was killed (of a cluster: a task killed worker after worker),
            or the scheduler was lost. What was finished stays finished.
    """
    name = f"{function.__module__}.{function.__qualname__}"
    paths = [Path(markers, f"{fingerprint([name, task])}.json") for task in tasks]
    results = {i: read_json(path) for i, path in enumerate(paths) if path.exists()}
    missing = [i for i in range(len(tasks)) if i not in results]
    on_done(len(results), len(tasks))

    def finish(index, result):
        write_json(paths[index], result)
        results[index] = result
        on_done(len(results), len(tasks))

    def keep_finished():
        for future, index in futures.items():
            finished = future.done() and not future.cancelled() and future.exception() is None
            if finished and index not in results:
                finish(index, future.result())

    if executor is None:
        for index in missing:
            finish(index, function(*tasks[index]))
    else:
        futures = {}
        try:
            for index in missing:
                futures[executor.submit(function, *tasks[index])] = index
            for future in concurrent.futures.as_completed(futures):
                finish(futures[future], future.result())
        except _lost() as error:
            keep_finished()
            cancelled = isinstance(error, concurrent.futures.CancelledError)
            raise InputError(
                f"{'the scheduler was lost' if cancelled else 'a worker process was killed'} "
                f"({len(results)} of {len(tasks)} tasks are finished and kept); if memory ran out "
                "use fewer workers, then run the same command again"
            ) from error
        finally:
            for future in futures:
                future.cancel()
    return [results[index] for index in range(len(tasks))]


def _lost() -> tuple[type[BaseException], ...]:
    """What a future raises whose process has died; Dask tries a task four times before."""
    lost = (concurrent.futures.BrokenExecutor, concurrent.futures.CancelledError)
    dask = sys.modules.get("distributed")
    return (*lost, dask.KilledWorker) if dask else lost
