"""Programs as functions: their flags are keywords, and what `main` returns is the answer."""

from __future__ import annotations  # so that `help` shows them as they stand here

from typing import Any

from roots_tf import commands, inference
from roots_tf.api.values import PathLike, Value, flags_named, shown


def pretrain(
    *, examples: PathLike = "", output: PathLike, quiet: bool = False, **flags: Value
) -> dict[str, Any]:
    """Trains a model as `roots pretrain` does, or goes on training it, and gives its report.

    >>> report = roots.pretrain(examples="work/examples", output="work/small", duration=100)
    >>> report["step"], report["masked_lm_loss"], report["unigram_entropy"]
    (100, 6.430544865682214, 6.2752988742383495)

    Ctrl-C, or the stop button of a notebook, saves a checkpoint and raises `StoppedError`; the same
    call goes on from there.

    Args:
        examples: folder that build-examples wrote.
        output: folder of the run; `load` takes it.
        quiet: whether only warnings are shown.
        **flags: of `roots pretrain --help`, by name: `size="tiny"`, `duration=500`.

    Raises:
        InputError: a flag or a file is wrong.
        StoppedError: the run was stopped, and saved.
    """
    return run("pretrain", quiet=quiet, examples=examples, output=output, **flags)


def finetune(
    *,
    init_from: PathLike = "",
    train: PathLike,
    dev: PathLike,
    output: PathLike,
    quiet: bool = False,
    **flags: Value,
) -> dict[str, Any]:
    """Fine-tunes a model on a task as `roots finetune` does, and gives its report.

    >>> report = roots.finetune(init_from="work/pretrained", output="work/task", seeds=1,
    ...                         train="train.jsonl", dev="dev.jsonl", test="test.jsonl")
    >>> report["test_accuracy"], report["test_baseline_accuracy"]
    (0.6331096196868009, 0.14988814317673377)

    Args:
        init_from: model folder to start from, or the output folder of its run; none where the
            flags `tokenizer` and sizes give a model of random weights.
        train: labelled file to learn from.
        dev: labelled file that picks the best epoch and the best seed.
        output: folder of the run; `load` takes it.
        quiet: whether only warnings are shown.
        **flags: of `roots finetune --help`, by name: `task="tagging"`, `seeds=1`.

    Raises:
        InputError: a flag or a file is wrong.
        StoppedError: the run was stopped, and saved, as for `pretrain`.
    """
    paths = {"train": train, "dev": dev, "output": output}
    paths |= {"init_from": inference.find(init_from)} if init_from else {}
    return run("finetune", quiet=quiet, **paths, **flags)


def evaluate(
    model: PathLike, input: PathLike, *, quiet: bool = False, **flags: Value
) -> dict[str, Any]:
    """Scores a model on a file as `roots evaluate` does: prints the scores, and gives them.

    >>> roots.evaluate("work/task", "test.jsonl")["accuracy"]
    0.6331096196868009

    Args:
        model: a path: a model folder, or the output folder of its run.
        input: labelled file, or texts for a causal language model.
        quiet: whether only warnings are shown, beside the scores.
        **flags: of `roots evaluate --help`, by name.

    Raises:
        InputError: a flag or a file is wrong.
    """
    return run("evaluate", quiet=quiet, model=inference.find(model), input=input, **flags)


def run(name: str, *, quiet: bool = False, **flags: Value) -> Any:
    """Runs any program in this process: `roots NAME --flags` with the flags as keywords.

    >>> roots.run("export", model="work/task/model", output="work/small", format="litert")
    'work/small'

    Args:
        name: of the program, as `roots` lists it: "curate", "build-examples", "export".
        quiet: whether only warnings are shown.
        **flags: by name. Lists may be lists, paths `Path`s; None is a flag that is not given.

    Returns:
        What the program's `main` gives, most often its report.

    Raises:
        InputError: there is no such program or flag, a value is none of the flag, or the program
            found a mistake.
    """
    with flags_named(), shown(quiet):
        return commands.call(name, **flags)
