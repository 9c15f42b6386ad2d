"""Accelerators by name: what they do in a second, hold, take and cost."""

import dataclasses
import functools
import re
import tomllib
from pathlib import Path

from roots_tf import spelling
from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number

HERE = "here"  # the machine that the program runs on, which is measured and stands in no table
_TPUS = {"v5litepod": "v5e", "v5lite": "v5e", "v5": "v5p"}  # as Google's variables call them
TABLE = Path(__file__).with_name("accelerators.toml")


@dataclasses.dataclass(frozen=True)
class Peak:
    """Dense products of one device, FLOP/s, by precision; None: not faster than float32."""

    float32: float = number(above=0, maximum=1e18)
    mixed_bfloat16: float | None = number(None, above=0, maximum=1e18)
    mixed_float16: float | None = number(None, above=0, maximum=1e18)


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """One device; `accelerators.toml` says what each field is."""

    peak: Peak
    source: str
    price: str
    read: str
    memory: float = number(above=0, maximum=1e15)
    bandwidth: float = number(above=0, maximum=1e15)
    cores: int = number(0, minimum=0, maximum=1 << 16)
    watts: float | None = number(None, above=0, maximum=1e6)
    dollars: float | None = number(None, minimum=0, maximum=1e6)

    def precision_of(self, precision: str) -> str:
        """What `--precision=auto` stands for on it, as `training.automatic` decides; else itself.

        Args:
            precision: as the flag has it.

        >>> accelerators()["t4"].precision_of("auto"), accelerators()["h100"].precision_of("auto")
        ('mixed_float16', 'mixed_bfloat16')
        """
        if precision != "auto":
            return precision
        halves = ("mixed_bfloat16", "mixed_float16")
        return next((name for name in halves if getattr(self.peak, name)), "float32")

    def peak_of(self, precision: str) -> float:
        """FLOP/s of products in a precision; those of float32 where it has no units for it."""
        return getattr(self.peak, precision) or self.peak.float32


@functools.cache
def accelerators() -> dict[str, Accelerator]:
    """The table, by name."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return {name: schema.check(row, Accelerator, f"{TABLE}, {name}") for name, row in table.items()}


def recognised(name: str) -> str:
    """Which accelerator of the table a device is, by what its driver calls it; "" of none.

    >>> recognised("NVIDIA A100-SXM4-80GB"), recognised("Tesla T4"), recognised("NVIDIA L40S")
    ('a100_80gb', 't4', '')

    Boards in a PCIe slot and parts of a board are slower than the table says: they are none of it.

    Args:
        name: such as "NVIDIA H200", or of a TPU "tpu v5litepod-8".
    """
    words = set(re.findall(r"[a-z0-9]+", name.lower()))
    words = {_TPUS.get(word, word) if "tpu" in words else word for word in words}
    slower = {"mig", "nvl"} | ({"pcie"} if "a100" not in words else set())
    if words & slower:
        return ""
    return next((known for known in accelerators() if set(known.split("_")) <= words), "")


def named(name: str) -> Accelerator:
    """The accelerator of that name; case, spaces and dashes do not count.

    Raises:
        InputError: there is none; the message begins with the nearest name.
    """
    wanted, known = name.lower().replace("-", "_").replace(" ", "_"), accelerators()
    if wanted in known:
        return known[wanted]
    names = (*known, HERE)
    nearest = [other for other in names if wanted and wanted in other]  # "a100" is in two
    nearest = nearest or spelling.nearest(wanted, names)
    rest = [other for other in names if other not in nearest]
    raise InputError(
        "no-such-choice", f"found --device={name}; wanted one of {', '.join([*nearest, *rest])}"
    )
