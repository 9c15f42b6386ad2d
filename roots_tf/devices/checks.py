"""The table of checks, and the cases of each: what is asked of which process. No TensorFlow.

A check is a file of this room with a function `run(place, **settings)` that gives a `Finding`, and
a row here. Where it compares with the processor, its `reference(place)` leaves there what is
expected, before any `run`.
"""

import dataclasses
import importlib
from collections.abc import Callable
from typing import NamedTuple

from roots_tf.devices.results import Result
from roots_tf.planning.accelerators import accelerators


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the program was asked for.

    Attributes:
        sizes: of models whose steps are measured.
        strategy: "auto" or "tpu".
        tpu: name of the TPU, or local.
        minutes: in which all has to be done.
        seed: of weights, batches and dropout.
        only: names of checks; none: all.
        debug: whether all is to be as small as can be.
    """

    sizes: tuple[str, ...] = ("mini", "small", "base")
    strategy: str = "auto"
    tpu: str = ""
    minutes: float = 10.0
    seed: int = 0
    only: tuple[str, ...] = ()
    debug: bool = False


class Known(NamedTuple):
    """What is known when the cases of a check are made.

    Attributes:
        asked: of the program.
        accelerator: "GPU", "TPU" or "".
        known_as: its name in the planner's table, or "".
        results: up to now.
    """

    asked: Asked
    accelerator: str
    known_as: str
    results: list[Result]


Cases = list[tuple[str, dict]]  # what a case is called, and its settings


class Check(NamedTuple):
    """A row of the table.

    Attributes:
        module: of this room, without TensorFlow until it is imported.
        cases: what is asked.
        compares: whether the module has a `reference`.
        function: of the module.
        on_processor: whether it needs no accelerator.
        alters: whether its process computes otherwise afterwards, and is not to be asked further,
            unless it has passed without anything to tell in numbers.
    """

    module: str
    cases: Callable[[Known], Cases] = lambda _: [("", {})]
    compares: bool = False
    function: str = "run"
    on_processor: bool = False
    alters: bool = False

    def load(self, name: str = "") -> Callable:
        """The function, or another of the module by its `name`."""
        module = importlib.import_module(f"roots_tf.devices.{self.module}")
        return getattr(module, name or self.function)


def _updates(known: Known) -> Cases:
    names = {False: "", True: ", XLA"}
    ways = (False,) if known.accelerator == "TPU" else (False, True)  # which compiles in any case
    cases = [("float32", {"precision": "float32"})]
    if known.accelerator == "GPU":
        cases += [("TensorFloat-32", {"precision": "float32", "tf32": True})]
    cases += [("mixed_bfloat16", {"precision": "mixed_bfloat16"})]
    # A TPU multiplies float32 in parts of bfloat16, how many TensorFlow does not say.
    cases = cases[1:] if known.accelerator == "TPU" else cases
    cases = [(name + names[c], how | {"compiled": c}) for name, how in cases for c in ways]
    # The first would be the processor's own step again, and the last is slow to compile there.
    return cases[1:-1] if known.asked.debug and not known.accelerator else cases


def _speeds(known: Known) -> Cases:
    ways = (False,) if known.asked.debug or known.accelerator == "TPU" else (False, True)
    seconds = 0.0 if known.asked.debug else 3.0
    device = accelerators().get(known.known_as)
    half = device.precision_of("auto") if device else "mixed_bfloat16"  # float16 of older GPUs
    return [
        (
            f"{size}, {precision}{', XLA' * compiled}",
            {"size": size, "precision": precision, "compiled": compiled, "tf32": True}
            | {"known_as": known.known_as, "seconds": seconds},
        )
        for size in known.asked.sizes
        for precision in ("float32", half)[: 1 if known.asked.debug else 2]
        for compiled in ways
    ]


def _reading(known: Known) -> Cases:
    needed: dict[str, float] = {}
    for result in known.results:
        if result.check == "speed" and result.status == "passed":
            size = result.case.partition(",")[0]
            needed[size] = max(needed.get(size, 0.0), result.numbers["tokens_per_second"])
    return [("", {"needed": needed, "seconds": 0.0 if known.asked.debug else 3.0})]


def _compiled_as_trained(known: Known) -> Cases:
    return [("", {"compiled": known.accelerator == "GPU"})]


CHECKS = {
    "update": Check("update", _updates, compares=True),
    "replicas": Check("update", function="on_all"),
    "checkpoint": Check("checkpoint"),
    "generation": Check("continuation", compares=True),
    "saved_model": Check("served", compares=True),
    "determinism": Check("determinism", _compiled_as_trained, alters=True),
    "speed": Check("speed", _speeds),
    "input": Check("reading", _reading, on_processor=True),
}
LISTING = Check("listing")  # the check "devices", before them: what there is
