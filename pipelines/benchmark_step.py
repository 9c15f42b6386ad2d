"""Measure the training step of a model size here: tokens/s, FLOP/s, and where the time goes.

    roots benchmark-step --size=mini --batch_size=32 --max_seq_length=128

Takes under a minute for tiny and mini. Prints one table: tokens/s, FLOP/s and their share of the
best matrix product measured just then, and the milliseconds of forward, backward, optimizer
(clipping included) and input. These are differences between functions that are compiled apart and
take turns: forward (with dropout), forward and backward, the whole step, and the step with its
input. Each is the median over rounds, with half the distance between its quartiles; together with
the remainder that is stated they are the step. Input comes from `--examples`, and otherwise from
memory: random batches made by `--seed`.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import examples, models, objectives, program, tokenizers, training
from roots_tf.models.config import SIZES
from roots_tf.planning.random_batches import random_batch
from roots_tf.storage import files, places


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `benchmark-step`."""

    size: Literal[tuple(SIZES)] = program.flag("mini", help="layers and widths, as published")
    objective: Literal["masked_lm", "causal_lm"] = program.flag(
        "masked_lm", help="what is learned, as in pretrain"
    )
    preset: Literal["auto", "bert", "modern", "gpt2", "llama"] = program.flag(
        "auto", help="the model's parts, as in pretrain"
    )
    batch_size: int = program.flag(32, help="sequences", **program.ROWS)
    max_seq_length: int = program.flag(
        128, help="tokens; with --examples theirs is taken", minimum=8, maximum=1 << 20
    )
    max_predictions_per_seq: int = program.flag(
        0,
        help="predictions in a sequence; 0: 15 % of one, 20 of 128 tokens",
        minimum=0,
        maximum=1 << 20,
    )
    vocab_size: int = program.flag(
        30_522, help="vocabulary; with --examples theirs is taken", minimum=1, maximum=1 << 24
    )
    dropout: float = program.flag(0.1, help="dropout rate", **program.DROPOUT)
    examples: str = program.flag(
        "", help="folder that build-examples wrote; none: random batches", role="input"
    )
    sentence_objective: Literal["nsp", "sop", "none"] = program.flag(
        "nsp", help="pairs that --examples are made into; random batches are always pairs"
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = program.flag(
        "float32", help="type of the products"
    )
    jit_compile: bool = program.flag(False, help="compile forward and backward with XLA")
    recompute: bool = program.flag(False, help="save memory: compute blocks again going backward")
    seconds: float = program.flag(
        15.0, help="how long to measure, three rounds at least", minimum=0, maximum=86_400
    )
    seed: int = program.flag(
        0, help="of random batches, initial weights and dropout", **program.SEED
    )
    output: str = program.flag(
        "", help="JSON file for the results; none if empty", role="output_file"
    )
    debug: bool = program.flag(False, help="a tiny model, short sequences, three rounds")


DEBUG = {"size": "tiny", "batch_size": 8, "max_seq_length": 32, "vocab_size": 1000, "seconds": 0.0}


@program.takes_urls
def main(config: Config) -> dict:
    """Measures, prints the table and returns its numbers."""
    training.keep_freed_memory()
    if config.examples:
        examples.load(config.examples)  # which is not there shows before TensorFlow is loaded
    from roots_tf.training import parts_of_step
    from roots_tf.training.peak import matmul_peak

    if config.debug:
        config = dataclasses.replace(config, **DEBUG)
    objective = objective_of(config)
    if config.preset == "auto":
        config = dataclasses.replace(config, preset=objective.preset)
    strategy = training.strategies.make_strategy("one_device")
    dataset, length, vocabulary_size = batches(config)
    sizes = models.EncoderConfig.of_size(
        config.size,
        preset=config.preset,
        vocabulary_size=vocabulary_size,
        max_sequence_length=length,
        dropout=config.dropout,
    )
    dtype = config.precision.removeprefix("mixed_")
    with strategy.scope():
        model = objective.make_model(
            sizes, seed=config.seed, precision=config.precision, recompute=config.recompute
        )
        task = task_of(config, model)
        functions = parts_of_step.make(task, dataset, config.seed, config.jit_compile)
        peak = matmul_peak(dtype)
        for run in functions.values():
            run()  # traces and compiles
        took = parts_of_step.take_turns(functions, config.seconds)
        peak = max(peak, matmul_peak(dtype))

    step = parts_of_step.breakdown(took)
    work = objective.step_flops(sizes, config.batch_size, length)
    reached = work / step.whole
    report = {
        "config": places.as_given(dataclasses.asdict(config)) | {"max_seq_length": length},
        "parameters": model.count_params(),
        "tokens_per_second": config.batch_size * length / step.whole,
        "flops_per_step": work,
        "flops_per_second": reached,
        "matmul_peak": max(peak, reached),  # what the step reaches, the devices can
        "flop_utilization": min(reached / peak, 1.0),
        "milliseconds": {name: 1000 * part for name, part in step.parts.items()},
        "spread_milliseconds": {name: 1000 * part for name, part in step.spread.items()},
        "remainder_milliseconds": 1000 * step.remainder,
        "step_milliseconds": 1000 * step.whole,
    }
    if reached > peak:
        logging.warning(
            "the best matrix product reached %.0f GFLOP/s, the step %.0f: the machine was busy, "
            "and the peak is higher than either",
            *(peak / 1e9, reached / 1e9),
        )
    print(table(report))
    if config.output:
        files.write_json(config.output, report)
    return report


def objective_of(config: Config) -> objectives.Objective:
    """What is learned."""
    if config.objective == "causal_lm":
        return objectives.CausalLM()
    return objectives.MaskedLM(
        config.sentence_objective, max_predictions_per_seq=config.max_predictions_per_seq
    )


def task_of(config: Config, model):
    """What is trained, of the `config`: the `model`; random batches of masked words are pairs."""
    from roots_tf.objectives.causal_lm_task import CausalLMTask
    from roots_tf.objectives.masked_lm_task import MaskedLMTask

    if config.objective == "causal_lm":
        return CausalLMTask(model)
    return MaskedLMTask(model, not config.examples or config.sentence_objective != "none")


def batches(config: Config) -> tuple:
    """Batches without end, the length of their sequences and the size of their vocabulary."""
    if not config.examples:
        from roots_tf.training import parts_of_step

        batch = random_batch(
            objective_of(config),
            config.batch_size,
            config.max_seq_length,
            config.vocab_size,
            config.seed,
        )
        dataset = parts_of_step.repeated(batch)
        return dataset, config.max_seq_length, config.vocab_size
    manifest, objective = examples.load(config.examples), objective_of(config)
    objective.check(manifest, config.batch_size, manifest["max_seq_length"])
    tokenizer = tokenizers.load(Path(config.examples, "tokenizer"))
    dataset = examples.pipeline(
        config.examples,
        objective.make_rows,
        batch_size=config.batch_size,
        seed=config.seed,
    )
    return dataset, manifest["max_seq_length"], tokenizer.size


def table(report: dict) -> str:
    """The numbers for a terminal."""
    config = report["config"]
    source = config["examples"] or f"random batches in memory, seed {config['seed']}"
    compiled = ", compiled with XLA" if config["jit_compile"] else ""
    rows = [
        ("model", f"{config['size']} ({config['preset']}), {report['parameters']:,} weights"),
        ("batch", f"{config['batch_size']} sequences of {config['max_seq_length']} tokens"),
        ("input", source),
        ("products", f"{config['precision']}{compiled}"),
        ("tokens/s", f"{report['tokens_per_second']:,.0f}"),
        (
            "GFLOP/s",
            f"{report['flops_per_second'] / 1e9:,.1f}, "
            f"{report['flops_per_step'] / 1e9:,.1f} a step",
        ),
        (
            "of the peak",
            f"{100 * report['flop_utilization']:.1f} % of {report['matmul_peak'] / 1e9:,.0f} "
            "GFLOP/s, the best matrix product just now",
        ),
    ]
    parts, step = report["milliseconds"], report["step_milliseconds"]
    lines = [f"  {name:<12} {value}" for name, value in rows]
    lines += ["", f"  {'':<12} {'ms':>9} {'%':>7} {'+- ms':>9}"]
    spread = report["spread_milliseconds"] | {"remainder": None, "step": None}
    for name, ms in (parts | {"remainder": report["remainder_milliseconds"], "step": step}).items():
        about = "" if spread[name] is None else f"{spread[name]:>9.1f}"
        lines.append(f"  {name:<12} {ms:>9.1f} {100 * ms / step:>7.1f} {about}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    program.run(main, Config)
