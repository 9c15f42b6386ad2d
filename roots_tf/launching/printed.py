"""What the scripts and manifests of clusters have in common."""

import dataclasses
import re
import shlex
from collections.abc import Sequence
from typing import ClassVar

from roots_tf import program
from roots_tf.storage.files import InputError

# A shell that knows its index, in the variable INDEX, becomes the worker of that index.
WORKER = (
    'export TF_CONFIG="{\\"cluster\\": {\\"worker\\": [$WORKERS]}, '
    '\\"task\\": {\\"type\\": \\"worker\\", \\"index\\": $INDEX}}"; exec "$@"'
)


@dataclasses.dataclass(frozen=True)
class Printed:
    """What a worker is given on a cluster."""

    role: ClassVar[str] = "free"  # of the flags
    job_name: str = program.flag("roots", help="name of the job")
    time_limit: str = program.flag("24:00:00", help="of a Slurm job; it is queued again after that")
    cpus: int = program.flag(8, help="processors of a worker", minimum=1, maximum=4096)
    memory: int = program.flag(32, help="GB of a worker", minimum=1, maximum=100_000)
    gpus: int = program.flag(0, help="of a worker", minimum=0, maximum=1024)
    image: str = program.flag("", help="of containers, with roots-tf in it; for Kubernetes")
    volume: str = program.flag(
        "", help="storage that all pods see, as CLAIM:/PATH of a PersistentVolumeClaim"
    )

    def __post_init__(self):
        """Refuses a name or a time that no cluster takes.

        Raises:
            InputError: one of them is none.
        """
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", self.job_name):
            raise InputError(
                "wrong-value",
                f"found --job_name={self.job_name}; wanted up to 40 small letters, digits and -",
            )
        if not re.fullmatch(r"(\d+-)?\d{1,3}:\d\d:\d\d", self.time_limit):
            raise InputError(
                "wrong-value",
                f"found --time_limit={self.time_limit}; wanted hours such as 24:00:00, or days "
                "too, 2-00:00:00",
            )

    @property
    def claim(self) -> tuple[str, str]:
        """Name of the volume's claim, and where it is mounted.

        Raises:
            InputError: the volume is no such pair, or there is no image.
        """
        found = re.fullmatch(r"([a-z0-9][a-z0-9.-]*):(/\S*)", self.volume)
        if not found:
            raise InputError(
                "missing-flag",
                f"found --volume={self.volume}; wanted CLAIM:/PATH, storage that all pods see",
            )
        if not self.image:
            raise InputError(
                "missing-flag", "found no --image; wanted one of containers with roots-tf in it"
            )
        return found[1], found[2]


def shell_words(words: Sequence[str]) -> str:
    """Words for a shell, a flag a line.

    Args:
        words: of a command.
    """
    return " \\\n        ".join(map(shlex.quote, words))
