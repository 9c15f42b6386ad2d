"""Minutes until pretraining reaches a held-out loss: our recipes beside Hugging Face's `Trainer`.

    python -m benchmarks.time_to_loss --examples=runs/examples --hugging_face=/path/to/python \
        --recipes=pipelines/recipes/pretrain_mini_novels.flags --minutes=60 \
        --work=runs/time_to_loss --output=runs/time_to_loss/curves.json

All learn from the rows of one examples folder and are asked for the same masked tokens of the same
held-out rows (15 %, packed full of text), whatever they mask in training. Ours is `roots pretrain`
with the flags of each recipe, for `--steps` updates; its checkpoints are linked aside as they
appear and asked afterwards, so that its minutes are those of the whole process. Hugging Face is
`BertForMaskedLM` as its example run_mlm.py trains it, for `--minutes` of training, its own
evaluations not counted: with the defaults of `TrainingArguments` (`default`: rate 5e-5, 8 rows,
linear decay), and with 32 rows and a warm-up of a tenth at each of `--learning_rates`. With
`--tune_minutes` each rate but `default` has only these, and the best of them all of `--minutes`.

Prints a table: the lowest loss of each, and the minutes until it was at the best one of Hugging
Face. A PNG beside `--output` shows the curves. Each run that has finished is kept in `--work`.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.translation import run
from roots_tf import examples, models, objectives, program, tokenizers, training
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from roots_tf.storage import files
from roots_tf.training import loop, strategies

SCRIPT = Path(__file__).with_name("time_to_loss_hugging_face.py")
ROWS = 32  # of a batch that is read to be asked or copied
SIZES = ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    examples: str = program.flag(help="folder that build-examples wrote")
    recipes: tuple[str, ...] = program.flag((), help="files of flags of pretrain; none: its own")
    hugging_face: str = program.flag("", help="Python with torch, transformers and accelerate")
    learning_rates: tuple[str, ...] = program.flag(
        ("default", "5e-4", "1e-3", "2e-3"), help="of Hugging Face"
    )
    size: str = program.flag("mini", help="model size of Hugging Face, and of ours without recipe")
    minutes: float = program.flag(
        60.0, help="of training of Hugging Face", minimum=0.1, maximum=1e5
    )
    tune_minutes: float = program.flag(
        0.0,
        help="by which the best of its rates is chosen; 0: all have --minutes",
        minimum=0,
        maximum=1e5,
    )
    steps: int = program.flag(8_000, help="updates of ours", **program.STEPS)
    points: int = program.flag(20, help="of a curve", minimum=1, maximum=1000)
    held_out_batches: int = program.flag(16, help="of 32 rows", minimum=1, maximum=10_000)
    work: str = program.flag("runs/time_to_loss", help="folder of the runs")
    output: str = program.flag("", help="JSON file for the curves; none if empty")
    debug: bool = program.flag(False, help="tiny models, 20 updates, some seconds of Hugging Face")


def main(config: Config) -> dict[str, list]:
    """Runs all; prints the table and returns each one's curve: pairs of minutes and loss."""
    if config.debug:
        small = {"size": "tiny", "minutes": 0.2, "steps": 20, "points": 4, "held_out_batches": 2}
        small["tune_minutes"] = min(0.1, config.tune_minutes)
        config = dataclasses.replace(config, **small, learning_rates=config.learning_rates[:2])
    held_out = batches(config, "held_out", config.held_out_batches)
    curves = {}
    for recipe in config.recipes or ("",):
        curves[f"roots {Path(recipe).stem or 'defaults'}"] = ours(config, recipe, held_out)
    if config.hugging_face:
        for rate in rates(config, held_out):
            curves[f"hugging face {rate}"] = theirs(config, rate, held_out)
    lowest = {name: min(loss for _, loss in curve) for name, curve in curves.items()}
    peers = [loss for name, loss in lowest.items() if name.startswith("hugging")]
    goal = min(peers or lowest.values())
    print(f"\n{'':<40}{'lowest loss':>13}{'minutes':>10}{'until ' + format(goal, '.3f'):>14}")
    for name, curve in curves.items():
        reached = next((minutes for minutes, loss in curve if loss <= goal), None)
        until = "-" if reached is None else f"{reached:.1f}"
        print(f"{name[:40]:<40}{lowest[name]:>13.3f}{curve[-1][0]:>10.1f}{until:>14}", flush=True)
    if config.output:
        files.write_json(config.output, curves)
        picture(curves, Path(config.output).with_suffix(".png"))
    return curves


def batches(config: Config, split: str, count: int) -> list[dict]:
    """Batches of packed rows with 15 % of their tokens masked, as arrays."""
    objective = objectives.MaskedLM(sentence_objective="none")
    dataset = examples.pipeline(
        config.examples, objective.make_rows, split=split, batch_size=ROWS, seed=0
    )
    return list(dataset.take(count).as_numpy_iterator())


def ours(config: Config, recipe: str, held_out: list[dict]) -> list:
    """The curve of `roots pretrain` with the flags of a file."""
    every = max(1, config.steps // config.points)
    flags = {"examples": config.examples, "duration": f"{config.steps} steps"}
    flags |= {"checkpoint_every": every, "evaluate_every": 0, "steps_per_call": min(10, every)}
    given = [f"--{name}={value}" for name, value in flags.items()]
    # What stands later counts: a recipe has a duration and a size of its own.
    given = [f"--flagfile={recipe}", *given] if recipe else [*given, f"--size={config.size}"]
    given += ["--size=tiny"] * config.debug
    text = Path(recipe).read_text("utf-8") if recipe else ""
    folder = Path(config.work, f"ours-{files.fingerprint([given, text])}")
    clock = folder / "minutes.json"
    if not clock.exists():
        found = watched([*given, f"--output={folder / 'run'}"], folder)
        files.write_json(clock, found)
    model = models.load(folder / "run" / "model")
    weights = models.named_weights(model)
    shapes = {name: tuple(variable.shape) for name, variable in weights.items()}
    curve = []
    with strategies.make_strategy("one_device").scope():
        evaluate = loop.make_evaluate(MaskedLMTask(model, pairs=False), held_out)
        for name, minutes in files.read_json(clock).items():
            giving = {name: variable.assign for name, variable in weights.items()}
            training.assign_saved(folder / name, shapes, giving)
            curve.append((minutes, float(evaluate()["masked_lm_loss"])))
    return sorted(curve)


def watched(arguments: list[str], folder: Path) -> dict[str, float]:
    """Runs `pretrain`; links its checkpoints into the folder, and gives the minutes of each."""
    shutil.rmtree(folder, ignore_errors=True)  # a run that goes on would have other minutes
    folder.mkdir(parents=True)
    began, found = time.time(), {}
    process = subprocess.Popen([sys.executable, "-m", "pipelines.pretrain", *arguments])
    while True:
        ended = process.poll() is not None  # before it is looked, so that none is missed
        for index in Path(folder, "run", "checkpoints").glob("ckpt-*.index"):
            if index.stem in found:
                continue
            for part in index.parent.glob(f"{index.stem}.*"):
                Path(folder, part.name).unlink(missing_ok=True)
                os.link(part, folder / part.name)
            found[index.stem] = (index.stat().st_mtime - began) / 60
        if ended:
            break
        time.sleep(1)
    if process.returncode:
        raise files.InputError(
            "step-failed", f"pretrain ended with status {process.returncode}; see above"
        )
    return found


def rates(config: Config, held_out: list[dict]) -> tuple[str, ...]:
    """The rates that Hugging Face has all minutes with: `default`, and the best of the others."""
    tuned = [rate for rate in config.learning_rates if rate != "default"]
    if not config.tune_minutes or len(tuned) < 2:
        return config.learning_rates
    short = dataclasses.replace(config, minutes=config.tune_minutes)
    lowest = {r: min(loss for _, loss in theirs(short, r, held_out)) for r in tuned}
    for rate, loss in lowest.items():
        print(f"hugging face {rate}: {loss:.3f} after {config.tune_minutes} minutes", flush=True)
    best = min(lowest, key=lowest.get)
    return tuple(rate for rate in config.learning_rates if rate in ("default", best))


def theirs(config: Config, rate: str, held_out: list[dict]) -> list:
    """The curve of Hugging Face, in its own Python."""
    tokenizer = tokenizers.load(Path(config.examples, "tokenizer"))
    sizes = models.EncoderConfig.of_size(config.size, vocabulary_size=tokenizer.size)
    length = held_out[0]["token_ids"].shape[1]
    spec = {name: getattr(sizes, name) for name in SIZES}
    spec |= {"vocabulary_size": tokenizer.size, "length": length, "rate": rate, "rows": ROWS}
    spec |= {"minutes": config.minutes, "points": config.points, "mask_id": tokenizer.mask_id}
    spec |= {"special_ids": sorted(tokenizer.special_ids), "pad_id": tokenizer.pad_id}
    manifest = examples.load(config.examples)
    prints = files.fingerprint([spec, manifest["build"], config.held_out_batches])
    path = Path(config.work, f"theirs-{rate}-{prints}.json")
    spec["model"] = str(path.with_suffix("").absolute())
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder, files.atomic_path(path) as temporary:
            objective = objectives.MaskedLM(sentence_objective="none")
            count = objective.rows_an_epoch(manifest, length) // ROWS
            count = min(count, 64 if config.debug else count)
            rows = [originals(batch) for batch in batches(config, "train", count)]
            np.save(Path(folder, "train.npy"), np.concatenate(rows))
            for number, batch in enumerate(held_out):
                np.savez(Path(folder, f"held_out-{number}.npz"), **batch)
            Path(folder, "spec.json").write_text(json.dumps(spec))
            run([config.hugging_face, "-c", SCRIPT.read_text("utf-8"), folder, temporary])
    return [tuple(point) for point in files.read_json(path)]


def originals(batch: dict[str, np.ndarray]) -> np.ndarray:
    """Ids [B, L] of masked rows as they were, as uint16."""
    ids = batch["token_ids"].copy()
    rows, columns = np.nonzero(batch["masked_lm_weights"])
    ids[rows, batch["masked_lm_positions"][rows, columns]] = batch["masked_lm_ids"][rows, columns]
    return ids.astype(np.uint16 if ids.max() < 1 << 16 else np.int32)


def picture(curves: dict[str, list], path: Path) -> None:
    """Writes the curves as a PNG, minutes by their logarithm."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(8, 5))
    axes = figure.add_subplot(xlabel="minutes", ylabel="held-out masked-LM loss, nats")
    axes.set_xscale("log")
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), label=name, marker=".")
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    program.run(main, Config)
