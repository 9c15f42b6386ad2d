"""Shows example batches: pieces with masks highlighted, and measured beside wanted proportions.

    roots inspect-examples --examples=runs/examples --rows=3

Prints a few rows of a batch, with [masked], <random→now> and (kept) predictions, in color on a
terminal, then what was measured over `--batches` batches. With `--verify` it first reads every
shard whole and checks its SHA-256: a damaged file is named, with the offset of the first damaged
record. A few seconds; verifying takes about a second for each 30 MB.
"""

import dataclasses
import itertools
import os
import sys
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import examples, objectives, program
from roots_tf.examples import manifest, stored
from roots_tf.objectives import Proportion
from roots_tf.storage import files, places, ranges, urls


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of inspect-examples."""

    examples: str = program.flag(
        help="folder that build-examples wrote, or its URL", role="input", streams=True
    )
    split: Literal["train", "held_out"] = program.flag("train", help="which split")
    objective: objectives.Objective = program.choice(
        objectives.OBJECTIVES, "masked_lm", help="as in pretrain", title="objective"
    )
    max_seq_length: int = program.flag(
        0, help="tokens of a row; 0: that of the build", minimum=8, maximum=1 << 20
    )
    batch_size: int = program.flag(64, help="rows of a batch", **program.ROWS)
    seed: int = program.flag(0, help="of the order, pairs and masks", **program.SEED)
    step: int = program.flag(0, help="first batch shown and measured", **program.STEPS)
    rows: int = program.flag(3, help="rows shown", minimum=0, maximum=1 << 20)
    batches: int = program.flag(50, help="batches measured", minimum=1, maximum=1_000_000)
    verify: bool = program.flag(False, help="check every byte of every shard first")
    output: str = program.flag(
        "", help="JSON file for the proportions; none if empty", role="output_file"
    )
    debug: bool = program.flag(False, help="measure two batches only")


@program.takes_urls
def main(config: Config) -> None:
    """Verifies if asked, shows rows, measures."""
    program.check(config)
    described = manifest.load(config.examples)
    if config.verify:
        _verify(config.examples, described)
    objective = config.objective
    length = config.max_seq_length or described["max_seq_length"]
    objective.check(described, config.batch_size, length)
    dataset = examples.pipeline(
        config.examples,
        objective.make_shown_rows,
        split=config.split,
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=config.step,
        max_seq_length=length,
    )
    tokenizer = objective.tokenizer_of(examples.tokenizer_of(config.examples))
    count = 2 if config.debug else config.batches
    batches = itertools.islice(dataset.as_numpy_iterator(), count)
    first = next(batches)
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for row in range(min(config.rows, config.batch_size)):
        print(objective.render(first, row, tokenizer, color), end="\n\n")
    proportions = objective.proportions(
        itertools.chain([first], batches), described, config.split, tokenizer, length
    )
    print(table(proportions))
    if config.output:
        files.write_json(config.output, [proportion._asdict() for proportion in proportions])
        beside = Path(config.output).with_suffix(".config.json")
        files.write_json(beside, places.as_given(program.flat(config)))


def _verify(folder: str, described: dict) -> None:
    """Reads every shard of both splits.

    Raises:
        InputError: a shard is missing, damaged or another one.
    """
    for part in (described["splits"][split] for split in manifest.STEMS):
        manifest.check_files(folder, part)
        for shard in part["shards"]:
            path = urls.below(folder, shard["name"])
            with ranges.opened(path) as file:
                stored.check_content(file.read(), shard["sha256"], str(path))
        logging.info("%d shards are whole", len(part["shards"]))


def table(proportions: list[Proportion]) -> str:
    """The proportions as lines of a terminal."""
    lines = [f"  {'':<20} {'measured':>9} {'wanted':>9}"]
    for name, measured, wanted, unit in proportions:
        beside = "-" if wanted is None else f"{100 * wanted:.2f} %"
        shown = f"{measured:>9.2f}" if unit else f"{100 * measured:>7.2f} %"
        lines.append(f"  {name:<20} {shown} {unit or beside:>9}")
    return "\n".join(lines)


if __name__ == "__main__":
    program.run(main, Config)
