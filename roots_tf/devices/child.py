"""A process that makes checks: a question a line of stdin, an answer a line of stdout.

`python -m roots_tf.devices.child '{"strategy": ...}'`, started by `children`.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

from roots_tf import training

LAST_LINES = 6  # of a traceback
_NO_MEMORY = ("out of memory", "OOM", "RESOURCE_EXHAUSTED", "CUBLAS_STATUS_ALLOC_FAILED")


def main() -> None:
    """Answers until there is no question any more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    about = json.loads(sys.argv[1])
    training.keep_freed_memory()
    place = None
    for line in sys.stdin:
        began = time.monotonic()
        try:
            place = place or make_place(about)
            answer = ask(place, json.loads(line))
        except Exception as error:
            answer = of_error(error)
        answer["seconds"] = time.monotonic() - began
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def make_place(about: dict):
    """Where the checks of this process run.

    Args:
        about: `strategy`, `tpu`, `folder`, `seed`, `debug`.
    """
    import tensorflow as tf

    from roots_tf.devices.place import Place
    from roots_tf.training import strategies

    name = "tpu" if about["strategy"] == "tpu" else "one_device"
    strategy = strategies.make_strategy(name, tpu=about["tpu"])
    accelerator = "TPU" if name == "tpu" else "GPU" * bool(tf.config.list_physical_devices("GPU"))
    return Place(strategy, accelerator, Path(about["folder"]), about["seed"], about["debug"])


def ask(place, question: dict) -> dict:
    """Makes one check.

    Args:
        place: where.
        question: `check`, a name of the table or "listing"; `reference`, whether it is to leave
            what is expected; `settings` of the case, in which `tf32` is also a setting of the
            process.
    """
    import tensorflow as tf

    from roots_tf.devices import checks
    from roots_tf.devices.place import LeftOut

    check = checks.CHECKS.get(question["check"], checks.LISTING)
    settings = question["settings"]
    tf32 = settings.get("tf32", False)
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    if check.module != "update":
        settings = {name: value for name, value in settings.items() if name != "tf32"}
    try:
        if question["reference"]:
            check.load("reference")(place)
            return answer("passed", "made on the processor")
        found = check.load()(place, **settings)
    except LeftOut as left_out:
        return answer("left-out", str(left_out))
    status = "passed" if found.passed else "failed"
    ends = check.alters and not (found.passed and not found.numbers)
    return answer(status, found.said, ends=ends, numbers=found.numbers, facts=found.facts)


def answer(status: str, said: str, *, ends: bool = False, log=(), **found) -> dict:
    """An answer as JSON has it.

    Args:
        status: as for `results.Result`.
        said: one line.
        ends: whether this process is not to be asked further.
        log: lines of a traceback.
        **found: `numbers` and `facts`.
    """
    empty = {"numbers": {}, "facts": {}}
    return {"status": status, "said": said, "ends": ends, "log": list(log)} | empty | found


def of_error(error: Exception) -> dict:
    """The answer that an error is; the process holds what led to it, and is not asked further."""
    said = " ".join(str(error).split())[:300]
    lines = traceback.format_exc().splitlines()[-LAST_LINES:]
    is_memory = isinstance(error, MemoryError) or any(word in str(error) for word in _NO_MEMORY)
    if is_memory:
        return answer("out-of-memory", said[:160], ends=True, log=lines)
    said = f"found {type(error).__name__}: {said}; wanted none"
    return answer("failed", said, ends=True, log=lines)


if __name__ == "__main__":
    main()
