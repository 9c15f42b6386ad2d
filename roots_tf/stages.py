"""Stages that survive being killed, on the processes of this machine or on a cluster.

A stage is a pure function from files to files, cut into tasks. Each task writes under a temporary
name, renames, and leaves a completion marker; a stage that is run again does only the tasks that
have no marker. Tasks run through the standard `concurrent.futures.Executor` interface, so the same
stage runs on a process pool or, through Dask `distributed`, on a cluster.
"""

import concurrent.futures
import contextlib
import dataclasses
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

from roots_tf import heartbeat, messages, notices
from roots_tf.storage import files, schema

CONNECT_SECONDS = 10  # until a scheduler that does not answer counts as unreachable
WORKER_SECONDS = 60  # that the first worker of a scheduler has to come


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
        raise files.InputError(
            "number-out-of-range",
            f"found --num_workers={num_workers}; wanted 0 (one a processor) or more",
        )
    if scheduler and num_workers:
        raise files.InputError(
            "flags-conflict",
            f"found --num_workers={num_workers} beside --scheduler={scheduler}; wanted one of "
            "them: a scheduler has its own workers",
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
    with concurrent.futures.ProcessPoolExecutor(
        num_workers, context, _begin_worker, (messages.current(),)
    ) as pool:
        try:
            yield pool
        except Exception:
            raise
        except BaseException:  # Ctrl-C or a signal, which is not to wait for the tasks under way
            for process in multiprocessing.active_children():
                process.kill()
            raise


@contextlib.contextmanager
def _cluster(scheduler: str, folder: str | Path) -> Iterator[concurrent.futures.Executor]:
    """The workers of a Dask scheduler."""
    try:
        import distributed
    except ImportError as error:
        raise files.InputError(
            "missing-extra",
            "found no library distributed, which --scheduler wants: pip install "
            "'roots-tf[cluster]'",
        ) from error
    if "://" not in scheduler and not Path(scheduler).is_file():
        raise files.InputError(
            "no-such-file",
            f"found no scheduler file {scheduler}; wanted tcp://host:port, tls://host:port, or the "
            "file that `dask scheduler --scheduler-file=` writes",
        )
    where = {"address" if "://" in scheduler else "scheduler_file": scheduler}
    try:
        client = distributed.Client(**where, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise files.InputError(
            "cluster-unreachable",
            f"could not reach the scheduler {scheduler} ({error}); is `dask scheduler` running "
            "there, and for tls:// are the certificates those of Dask's configuration?",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError as error:
            raise files.InputError(
                "cluster-unreachable",
                f"found no worker at {scheduler} in {WORKER_SECONDS} s; start some with "
                "`dask worker ADDRESS --nworkers=N --nthreads=1`, then run the same command again",
            ) from error
        _check_workers(client, Path(folder).absolute())
        yield client.get_executor()


def _check_workers(client, folder: Path) -> None:
    """Refuses workers whose files would be others, or elsewhere.

    Raises:
        InputError: a worker has another version, or does not see the folder.
    """
    probe = folder / f".probe.{uuid.uuid4().hex}.tmp"
    with files.atomic_path(probe) as temporary:
        temporary.touch()
    try:
        described = client.run(_describe, str(probe))
    except ImportError as error:
        raise files.InputError(
            "workers-differ",
            f"a worker could not import roots_tf ({error}); install the same version on all",
        ) from error
    finally:
        probe.unlink()
    here = _describe(str(folder))
    for worker, there in described.items():
        if not there.pop("sees"):
            raise files.InputError(
                "workers-differ",
                f"the worker {worker} does not see {folder}; wanted a file system that all workers "
                "share, at the same path: choose an --output there",
            )
        for name, version in there.items():
            if version != here[name]:
                raise files.InputError(
                    "workers-differ",
                    f"the worker {worker} has {name} {version}; wanted {here[name]}, as here: "
                    "install the same on all, since output must not depend on who wrote it",
                )


def _describe(path: str) -> dict:
    """Whether this process sees a path, and the versions that decide the bytes it writes."""
    package = Path(__file__).parent
    sources = {str(p.relative_to(package)): files.sha256(p) for p in sorted(package.rglob("*.py"))}
    return {
        "sees": Path(path).exists(),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "code of roots_tf": files.fingerprint(sources),
        **{name: importlib.metadata.version(name) for name in ("numpy", "pyarrow")},
    }


def _begin_worker(how: messages.Messages) -> None:
    """Ties a worker to its parent: Ctrl-C is the parent's to handle, and its death ends both.

    Args:
        how: it speaks, as its parent.
    """
    notices.hide()
    messages.begin(how, is_worker=True)
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
            or the scheduler was lost. What was finished stays finished. Or a marker is damaged.
    """
    name = f"{function.__module__}.{function.__qualname__}"
    paths = [Path(markers, f"{files.fingerprint([name, task])}.json") for task in tasks]
    results = {i: read_result(path) for i, path in enumerate(paths) if os.path.lexists(path)}
    missing = [i for i in range(len(tasks)) if i not in results]
    on_done(len(results), len(tasks))

    def finish(index, result):
        write_result(paths[index], result)
        results[index] = result
        heartbeat.saved()
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
            raise files.InputError(
                "worker-lost",
                f"{'the scheduler was lost' if cancelled else 'a worker process was killed'} "
                f"({len(results)} of {len(tasks)} tasks are finished and kept); if memory ran out "
                "use fewer workers, then run the same command again",
            ) from error
        finally:
            for future in futures:
                future.cancel()
    return [results[index] for index in range(len(tasks))]


@dataclasses.dataclass(frozen=True)
class _Result:
    """The file of a result."""

    result: object
    fingerprint: str


def write_result(path: str | Path, result) -> None:
    """Writes what a task found for whoever goes on with it, with digits that tell damage.

    Args:
        path: of the JSON file.
        result: a JSON value.
    """
    result = json.loads(json.dumps(result))  # as it will be read back
    stored = {"result": result, "fingerprint": files.fingerprint(result)}
    files.write_text(path, json.dumps(stored))  # which has Infinity: only `read_result` reads it


def read_result(path: str | Path):
    """What `write_result` wrote to the `path`.

    Raises:
        InputError: the file is missing, is damaged, or another version wrote it.
    """
    try:
        stored = schema.read(path, _Result)
        if stored.fingerprint == files.fingerprint(stored.result):
            return stored.result
        found = f"found a damaged file {path}"
    except files.InputError as error:
        found = str(error)
    raise files.InputError(
        "file-damaged",
        f"{found}: it holds what a task of a run that was stopped has found; remove the folder "
        f"{Path(path).parent} and run the same command again",
    )


def _lost() -> tuple[type[BaseException], ...]:
    """What a future raises whose process has died; Dask tries a task four times before."""
    lost = (concurrent.futures.BrokenExecutor, concurrent.futures.CancelledError)
    dask = sys.modules.get("distributed")
    return (*lost, dask.KilledWorker) if dask else lost
