"""A script for sbatch that does on a Slurm cluster what `launch` does elsewhere."""

import shlex
from collections.abc import Sequence

from roots_tf import commands
from roots_tf.launching.printed import WORKER, Printed, shell_words

WARNED = 300  # seconds before the time limit in which a checkpoint is saved
_PORT = 2222

_HEAD = """#!/bin/bash
# For sbatch, written by `roots launch --print=slurm`. `roots` has to be on the PATH of every node
# (load its environment here), and the folders on storage that all nodes see.
#SBATCH --job-name={name}
#SBATCH --nodes={count}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cpus}
#SBATCH --mem={memory}G
{gpus}#SBATCH --time={time_limit}
#SBATCH --signal=B:USR1@{warned}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={name}-%j.log

# Before the time limit this shell is warned. It has the workers save and end, and queues the job
# again, which goes on from there.
warned=
trap 'warned=1; kill -{stop} "$step"' USR1
"""

_WAIT = """    step=$!
    wait "$step"
    status=$?
    while kill -0 "$step" 2> /dev/null; do # a signal ends the waiting, not the workers
        wait "$step"
        status=$?
    done
    if [ -n "$warned" ]; then
        scontrol requeue "$SLURM_JOB_ID"
        exit "$status"
    fi
    case $status in
        # Finished; a mistake of the command, or a loss that diverged; stopped by somebody.
        0 | 2 | 3 | 129 | 130 | 138 | 143) exit "$status" ;;
    esac
"""

_TRAINING = """
WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:{port}"/' | paste -s -d , -)
export WORKERS
saved() {{ find {output} -name 'ckpt-*.index' 2> /dev/null | sort | cksum; }}

restarts=0
before=$(saved)
while true; do
    # shellcheck disable=SC2016 # the shells of the workers expand it
    srun --kill-on-bad-exit=1 --label bash -c \\
        'INDEX=$SLURM_PROCID; {worker}' worker \\
        {words} &
{wait}    # A worker has died, and --kill-on-bad-exit has ended the others: all start again.
    [ "$(saved)" = "$before" ] || restarts=0
    before=$(saved)
    if [ "$restarts" -ge {max_restarts} ]; then
        echo "ended with status $status, after $restarts restarts in which nothing was saved" >&2
        exit "$status"
    fi
    sleep $((2 ** (restarts < 6 ? restarts : 6)))
    restarts=$((restarts + 1))
done
"""

_DASK = """
# The scheduler asks nobody who they are: on a network that others reach, use tls:// instead.
file=$SLURM_SUBMIT_DIR/.dask-$SLURM_JOB_ID.json
trap 'rm -f "$file"; kill $(jobs -p) 2> /dev/null' EXIT
rm -f "$file"
dask scheduler --scheduler-file="$file" --host="$(hostname)" --no-dashboard --no-show &
until [ -s "$file" ]; do sleep 1; done
srun --no-kill --ntasks={tasks} --ntasks-per-node={cpus} --cpus-per-task=1 --overcommit \\
    dask worker --scheduler-file="$file" --nthreads=1 --no-dashboard &

restarts=0
while true; do
    {words} \\
        --scheduler="$file" &
{wait}    if [ "$restarts" -ge {max_restarts} ]; then
        exit "$status"
    fi
    sleep $((2 ** (restarts < 6 ? restarts : 6)))
    restarts=$((restarts + 1))
done
"""


def text(
    words: Sequence[str], count: int, dask_workers: int, printed: Printed, max_restarts: int
) -> str:
    """The script.

    Args:
        words: a program and its flags.
        count: nodes, a worker each.
        dask_workers: nodes with a worker of Dask a processor, instead; 0: none.
        printed: what a node is given.
        max_restarts: starts in a row without anything newly saved.
    """
    body = _DASK if dask_workers else _TRAINING
    output = getattr(commands.read(words[0], words[1:]), "output", "") or "."
    return (_HEAD + body).format(
        **{"name": printed.job_name, "count": dask_workers or count, "cpus": printed.cpus},
        **{"memory": printed.memory, "time_limit": printed.time_limit, "warned": WARNED},
        **{"port": _PORT, "output": shlex.quote(output), "worker": WORKER, "wait": _WAIT},
        **{"words": shell_words(["roots", *words]), "max_restarts": max_restarts},
        tasks=(dask_workers or 1) * printed.cpus,
        gpus=f"#SBATCH --gpus-per-node={printed.gpus}\n" if printed.gpus else "",
        stop="TERM" if dask_workers else "USR1",
    )
