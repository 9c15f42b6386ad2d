"""Average models: one model folder from several checkpoints of a run, or from several models.

    roots average --checkpoints='work/mini/checkpoints/ckpt-*' --output=work/mean
    roots average --checkpoints=work/reviews/model,work/other_reviews/model --output=work/mean

Takes seconds and the memory of three models. Each weight is the mean of those that are given, with
the same share (checkpoints: Vaswani et al. 2017, arXiv:1706.03762, 6.1; fine-tuned models: Wortsman
et al. 2022, arXiv:2203.05482). Models that were started from different random weights have no mean
that works: average what comes from one run, or what was fine-tuned from one model.

A checkpoint has weights alone: what model they are of, and its tokenizer, say the `model` folder
beside the `checkpoints` of its run or, of a run that has not ended, `--model`. Weights are those of
the step, also where the run keeps a moving average.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from roots_tf import models, program, tokenizers, training
from roots_tf.models import weights_file
from roots_tf.models.description import OF_THE_FOLDER
from roots_tf.storage import checksums, claims, files, inputs, neighbours, paths


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `average`."""

    checkpoints: tuple[str, ...] = program.flag(
        help="two or more checkpoints, such as work/mini/checkpoints/ckpt-1000, or model folders",
        role="input",
    )
    output: str = program.flag(help="folder of the model", role="output_folder")
    model: str = program.flag(
        "",
        help="model folder of the checkpoints' sizes and tokenizer; empty: that of their run",
        role="input",
    )
    debug: bool = program.flag(False, help="the mean of the first two")


def sources_of(names: Sequence[str]) -> list[Path]:
    """Model folders, and checkpoints as their paths without suffix; each once, as they are named.

    Args:
        names: of folders, or of checkpoints with or without a suffix; or patterns.

    Raises:
        InputError: a name matches nothing, or there are fewer than two.
    """
    found: dict[Path, Path] = {}
    for name in names:
        matches = paths.matching(name) or paths.matching(f"{name}.index")
        if not matches:
            raise files.InputError(
                "no-such-file",
                f"found no {name}; wanted a checkpoint or a model folder"
                f"{neighbours.suggestion(name)}",
            )
        for path in map(Path, matches):
            of_checkpoint = re.fullmatch(r"(ckpt-\d+)\.(index|json|data-.*)", path.name)
            path = path.with_name(of_checkpoint[1]) if of_checkpoint else path
            found.setdefault(path.resolve(), path)
    if len(found) < 2:
        raise files.InputError(
            "empty-input",
            f"found {len(found)} in --checkpoints; wanted two or more to average",
        )
    return list(found.values())


def is_checkpoint(source: Path) -> bool:
    """Whether a `source` is a checkpoint, and no folder."""
    return bool(re.fullmatch(r"ckpt-\d+", source.name)) and not source.is_dir()


def model_of(source: Path, given: str) -> Path:
    """The model folder that says what the weights of a source are of.

    Args:
        source: from `sources_of`.
        given: the flag `--model`.

    Raises:
        InputError: there is none for a checkpoint.
    """
    if given or not is_checkpoint(source):
        return Path(given) if is_checkpoint(source) else source
    folder = source.parent.parent / "model"
    if not (folder / checksums.MODEL).exists():
        raise files.InputError(
            "not-a-model",
            f"found no model in {folder}, which a run writes when it ends; wanted one that says "
            f"what {source} is of: give --model, a model folder of these sizes and this tokenizer",
        )
    return folder


def check_alike(folders: Sequence[Path]) -> dict:
    """Refuses models that differ in more than their weights; gives what they all say.

    Args:
        folders: of the models.

    Raises:
        InputError: a kind, a size, a task or a tokenizer is another than the first one's.
    """
    described, prints = {}, {}
    for folder in folders:
        models.describe(folder)
        described[folder] = files.read_json(folder / checksums.MODEL)
        prints[folder] = tokenizers.load(folder).fingerprint
    first, *others = folders
    for folder in others:
        if differing := _differing(described[first], described[folder]):
            raise files.InputError(
                "wrong-weights",
                f"found {', '.join(differing)} of {folder} other than of {first}; wanted models "
                "that differ in their weights alone",
            )
        if prints[first] != prints[folder]:
            raise files.InputError(
                "wrong-vocabulary",
                f"found another tokenizer in {folder} than in {first}; wanted models of one "
                "tokenizer: their rows mean other tokens",
            )
    return {name: value for name, value in described[first].items() if name not in OF_THE_FOLDER}


def _differing(first: dict, other: dict, place: str = "") -> list[str]:
    """Names of what two descriptions say differently, such as "encoder.hidden_dim"."""
    names = []
    for name in sorted(first.keys() | other.keys()):
        pair = first.get(name), other.get(name)
        if name in OF_THE_FOLDER or pair[0] == pair[1]:
            continue
        both = all(isinstance(value, dict) for value in pair)
        names += _differing(*pair, f"{place}{name}.") if both else [f"{place}{name}"]
    return names


def mean(
    givers: Sequence[Callable[[dict], None]], shapes: dict[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The mean of weights, added up in float64, as float32.

    Args:
        givers: each gives its weights to functions by name.
        shapes: of the weights.
    """
    totals = {name: np.zeros(shape) for name, shape in shapes.items()}
    for give in givers:
        give({name: functools.partial(np.add, total, out=total) for name, total in totals.items()})
    return {name: (total / len(givers)).astype("float32") for name, total in totals.items()}


@program.takes_urls
def main(config: Config) -> dict:
    """Writes the mean and returns the report."""
    inputs.check(config, "model")
    sources = sources_of(config.checkpoints)[: 2 if config.debug else None]
    folders = list(dict.fromkeys(model_of(source, config.model) for source in sources))
    description = check_alike(folders)
    read = [
        str(path)
        for source in sources
        for path in (source.parent.glob(f"{source.name}.*") if is_checkpoint(source) else [source])
    ]
    claim = claims.of(config, checkpoints=claims.content(read))
    output = Path(config.output)
    if report := claim.finished(output):
        logging.info("%s has its mean already; nothing to do", output)
        return report
    stored = weights_file.header(folders[0])
    shapes = {name: weight.shape for name, weight in stored.items()}
    givers = []
    for source in sources:
        if is_checkpoint(source):
            givers.append(functools.partial(training.assign_saved, source, shapes))
        else:
            weights_file.check(source, shapes, "")
            givers.append(functools.partial(weights_file.assign, source))
    weights = mean(givers, shapes)
    with claim.held(output):
        claim.begin(output)
        tokenizers.load(folders[0]).save(output)
        models.write(output, description, weights)
        report = {"checkpoints": [str(source) for source in sources], "weights": len(weights)}
        files.write_json(output / "report.json", report)
    logging.info("%s: the mean of %d times %d weights", output, len(sources), len(weights))
    return report


if __name__ == "__main__":
    program.run(main, Config)
