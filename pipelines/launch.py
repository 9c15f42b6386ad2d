"""Start a program on several machines or processes, watch it, and start it again where it died.

    roots launch --num_processes=2 -- pretrain --examples=work/examples --output=work/pretrained
    roots launch --hosts=a,b,c -- pretrain --examples=/shared/examples --output=/shared/run
    roots launch --dask_workers=2 -- curate --input='novels/*.txt' --output=work/documents
    roots launch --print=slurm --num_processes=4 -- pretrain --examples=... --output=...

What stands behind `--` is a program and its flags. One that trains (pretrain, finetune, distill)
gets a worker a process or a host, each with its TF_CONFIG; one that has tasks (curate,
build-examples, train-tokenizer) gets workers of Dask on this machine. A line of a worker begins
with its name:

    [worker 1] I0102 10:00:00.000000 139 reporting.py:271] step 50/10,000  loss 7.6  ...

When a worker dies all are stopped and start again from the last checkpoint, after a second, then
two, four, up to a minute. --max_restarts counts the starts in a row in which nothing was saved;
then one line says which worker died of what. A mistake of the command (exit status 2) and a loss
that diverged (3) are not tried again. A worker that says nothing for 30 s is named, and dead after
--dead_after; so is one whose part of a step takes much longer than that of the others (on CPUs).

Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 go to all workers, which save and end; the exit status is that
of the program: 130, 143, 129, 138. A second one kills them. Workers end with the launcher, however
it ends.

--print=slurm prints a script for sbatch, --print=kubernetes a manifest (a JobSet, or Dask's
DaskCluster and a Job); nothing is started.
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import ClassVar, Literal

from roots_tf import commands, program
from roots_tf.launching import kubernetes, slurm, starts, watch
from roots_tf.launching.printed import Printed
from roots_tf.storage import urls
from roots_tf.storage.files import InputError


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `launch`."""

    beside: ClassVar[str] = "command"  # of the flags: the field of what stands behind them
    command: tuple[str, ...] = program.flag(
        (), help="a program and its flags; on a command line they stand behind --"
    )
    num_processes: int = program.flag(
        0, help="workers on this machine, or to print; 0: one a host, else 1", **program.WORKERS
    )
    hosts: tuple[str, ...] = program.flag(
        (), help="machines, a worker each, such as a,b or me@a:4000,me@b:4000; reached by ssh"
    )
    dask_workers: int = program.flag(
        0, help="workers of Dask on this machine, or to print", **program.WORKERS
    )
    ssh_command: str = program.flag(
        "ssh -o BatchMode=yes -o ServerAliveInterval=10 -o ServerAliveCountMax=3",
        help="takes a host and a line for its shell",
    )
    port: int = program.flag(
        0, help="of TensorFlow on each host; 0: 2222", minimum=0, maximum=65_535
    )
    python: str = program.flag("", help="the interpreter on each host; else the path of this one")
    max_restarts: int = program.flag(
        3, help="starts in a row without anything newly saved", minimum=0, maximum=10_000
    )
    dead_after: float = program.flag(
        300.0, help="seconds of silence of a dead worker; 0: never", minimum=0, maximum=1e6
    )
    print_: Literal["none", "slurm", "kubernetes"] = program.flag(
        "none", help="print what a cluster's own scheduler takes, and start nothing"
    )
    each: Printed = program.group(Printed(), "what is printed")


def main(config: Config) -> None:
    """Starts the program and watches it to its end."""
    program.check(config)
    words = list(config.command)
    words = words[1:] if words[:1] == ["roots"] else words
    count = max(config.num_processes, 1)
    check(config, words)
    if config.print_ != "none":
        made = slurm if config.print_ == "slurm" else kubernetes
        told = (count, config.dask_workers, config.each, config.max_restarts)
        print(made.text(words, *told), end="")
        return
    limits = watch.Limits(config.max_restarts, config.dead_after)
    if config.dask_workers:
        with tempfile.TemporaryDirectory() as folder:
            start = starts.with_dask(words, config.dask_workers, Path(folder), config.max_restarts)
            watch.run(start, limits)
        return
    remote = starts.Remote(config.hosts, config.ssh_command, config.port, config.python)
    watch.run(starts.trainers(words, count, remote), limits)


def check(config: Config, words: list[str]) -> None:
    """Refuses what cannot be started, before anything is.

    Args:
        config: of the launcher.
        words: the program and its flags.

    Raises:
        FlagError: there is no such program, or it refuses a flag.
        InputError: flags of the launcher are in one another's way, or the program cannot be shared
            out so.
    """
    given = {
        "--hosts": bool(config.hosts),
        "--num_processes": config.num_processes > 1,
        "--dask_workers": config.dask_workers > 0,
    }
    if sum(given.values()) > 1:
        found = " and ".join(name for name, is_given in given.items() if is_given)
        raise InputError("flags-conflict", f"found {found}; wanted one of them")
    if not words:
        raise InputError(
            "missing-flag",
            "found no program to start; wanted one behind --, such as roots launch "
            "--num_processes=2 -- pretrain --examples=... --output=...",
        )
    known = commands.flags_of(words[0])
    wanted = "scheduler" if config.dask_workers else "checkpoint_every"
    if any(given.values()) and wanted not in known:
        able = [n for n in commands.programs() if wanted in commands.flags_of(n)]
        flag = next(flag for flag, is_given in given.items() if is_given)
        raise InputError(
            "flags-conflict",
            f"found {flag} with {words[0]}; wanted a program that is shared out so: "
            + ", ".join(able).replace("_", "-"),
        )
    of_program = program.flat(commands.read(words[0], words[1:]))
    if config.dask_workers and of_program["scheduler"]:
        raise InputError(
            "flags-conflict",
            f"found --dask_workers={config.dask_workers} and --scheduler={of_program['scheduler']}"
            "; wanted one of them",
        )
    several = given["--hosts"] or given["--num_processes"]
    if several and of_program["strategy"] not in ("auto", "multi_worker"):
        raise InputError(
            "flags-conflict",
            f"found several workers and --strategy={of_program['strategy']}; wanted "
            "--strategy=multi_worker, or it left out",
        )
    # Dask's workers of one machine, or of a Slurm cluster, see one cache; pods do not.
    apart = config.dask_workers and config.print_ == "kubernetes"
    if apart or max(len(config.hosts), config.num_processes) > 1:
        _refuse_stores(words[0], of_program)


def _refuse_stores(name: str, values: dict) -> None:
    """Refuses outputs in a store where each worker would have a folder of its own for them.

    Args:
        name: of the program.
        values: of its flags.

    Raises:
        InputError: there is one.
    """
    for flag, about in commands.flags_of(name).items():
        if about.role.startswith("output") and urls.is_url(values[flag]):
            raise InputError(
                "flags-conflict",
                f"found --{flag}={urls.shown(values[flag])} and several workers; wanted a folder "
                "that all of them see: choose one on a shared file system",
            )


if __name__ == "__main__":
    program.run(main, Config)
