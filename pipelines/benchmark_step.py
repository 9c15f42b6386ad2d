"""Measure the training step of a model size here: tokens/s, FLOP/s, and where the time goes.

    roots benchmark-step --size=mini --batch_size=32 --max_seq_length=128

Takes under a minute for tiny and mini. Prints one table: tokens/s, FLOP/s and their share of the
best matrix product measured just then, and the milliseconds of forward, backward, optimizer
(clipping included) and input. These are differences between functions that are compiled apart and
take turns: forward (with dropout), forward and backward, the whole step, and the step with its
input. Input comes from `--examples`, and otherwise from memory: random batches made by `--seed`.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from roots_tf import examples, files, models, program, tokenizers
from roots_tf.models import flops
from roots_tf.objectives.masked_lm import MaskedLM
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from roots_tf.training import memory, optimizers, strategies
from roots_tf.training.peak import matmul_peak
from roots_tf.training.step import make_train_step


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `benchmark-step`."""

    size: str = program.flag("mini", help="tiny, mini, small, medium, base or large")
    preset: Literal["bert", "modern"] = program.flag("bert", help="the model's parts")
    batch_size: int = program.flag(32, help="sequences")
    max_seq_length: int = program.flag(128, help="tokens; with --examples theirs is taken")
    max_predictions_per_seq: int = program.flag(20, help="predictions in a sequence")
    vocab_size: int = program.flag(30_522, help="vocabulary; with --examples theirs is taken")
    dropout: float = program.flag(0.1, help="dropout rate")
    examples: str = program.flag("", help="folder that build-examples wrote; none: random batches")
    sentence_objective: Literal["nsp", "sop", "none"] = program.flag(
        "nsp", help="pairs that --examples are made into; random batches are always pairs"
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = program.flag(
        "float32", help="type of the products"
    )
    jit_compile: bool = program.flag(False, help="compile forward and backward with XLA")
    recompute: bool = program.flag(False, help="save memory: compute blocks again going backward")
    seconds: float = program.flag(15.0, help="how long to measure, three rounds at least")
    seed: int = program.flag(0, help="of random batches, initial weights and dropout")
    output: str = program.flag("", help="JSON file for the results; none if empty")
    debug: bool = program.flag(False, help="a tiny model, short sequences, three rounds")


DEBUG = {"size": "tiny", "batch_size": 8, "max_seq_length": 32, "vocab_size": 1000, "seconds": 0.0}
PARTS = ("forward", "backward", "optimizer", "input")


def main(config: Config) -> dict:
    """Measures, prints the table and returns its numbers."""
    if config.debug:
        config = dataclasses.replace(config, **DEBUG)
    memory.keep_freed_memory()
    strategy = strategies.make_strategy("one_device")
    dataset, length, vocabulary_size = batches(config)
    sizes = models.EncoderConfig.of_size(
        config.size,
        preset=config.preset,
        vocabulary_size=vocabulary_size,
        max_sequence_length=length,
        dropout=config.dropout,
    )
    dtype = keras.dtype_policies.get(config.precision).compute_dtype
    with strategy.scope():
        stages = make_stages(config, sizes, dataset)
        peak = matmul_peak(dtype)
        for run in stages.values():
            run()  # traces and compiles
        seconds = take_turns(stages, config.seconds)
        peak = max(peak, matmul_peak(dtype))

    whole = list(seconds.values())  # each holds the one before it
    parts = [max(0.0, later - former) for former, later in zip([0.0, *whole], whole, strict=False)]
    work = flops.step_flops(sizes, config.batch_size, length, config.max_predictions_per_seq)
    found = {
        "config": dataclasses.asdict(config) | {"max_seq_length": length},
        "parameters": flops.parameters(sizes),
        "tokens_per_second": config.batch_size * length / whole[-1],
        "flops_per_step": work,
        "flops_per_second": work / whole[-1],
        "matmul_peak": peak,
        "flop_utilization": work / whole[-1] / peak,
        "milliseconds": dict(zip(PARTS, (1000 * part for part in parts), strict=True)),
        "step_milliseconds": 1000 * whole[-1],
    }
    print(table(found))
    if config.output:
        files.write_json(config.output, found)
    return found


def batches(config: Config) -> tuple[tf.data.Dataset, int, int]:
    """Batches without end, the length of their sequences and the size of their vocabulary."""
    if not config.examples:
        dataset = tf.data.Dataset.from_tensors(random_batch(config)).repeat().prefetch(1)
        return dataset, config.max_seq_length, config.vocab_size
    manifest = examples.load(config.examples)
    tokenizer = tokenizers.load(Path(config.examples, "tokenizer"))
    dataset = examples.pipeline(
        config.examples,
        MaskedLM(
            config.sentence_objective, max_predictions_per_seq=config.max_predictions_per_seq
        ).make_rows,
        batch_size=config.batch_size,
        seed=config.seed,
    )
    return dataset, manifest["max_seq_length"], tokenizer.size


def random_batch(config: Config) -> dict[str, np.ndarray]:
    """Pairs of random ids; rows end in up to a tenth of padding.

    Raises:
        InputError: there are more predictions than tokens, or the vocabulary is empty.
    """
    rows, length = config.batch_size, config.max_seq_length
    shape, predictions = (rows, length), (rows, config.max_predictions_per_seq)
    if predictions[1] > length or config.vocab_size < 1:
        raise files.InputError(
            f"found {predictions[1]} predictions, {length} tokens and a vocabulary of "
            f"{config.vocab_size}; wanted fewer predictions than tokens, and a vocabulary"
        )
    rng = np.random.default_rng(config.seed)
    inside = np.arange(length) < rng.integers(length - length // 10, length + 1, (rows, 1))
    chosen = [rng.permutation(length)[: predictions[1]] for _ in range(rows)]
    return {
        "token_ids": (inside * rng.integers(0, config.vocab_size, shape)).astype("int32"),
        "segment_ids": (inside & (np.arange(length) > length // 2)).astype("int32"),
        "padding_mask": inside,
        "masked_lm_positions": np.sort(chosen).astype("int32").reshape(predictions),
        "masked_lm_ids": rng.integers(0, config.vocab_size, predictions).astype("int32"),
        "masked_lm_weights": np.ones(predictions, "float32"),
        "next_sentence_labels": rng.integers(0, 2, rows).astype("int32"),
    }


def make_stages(config: Config, sizes, dataset: tf.data.Dataset) -> dict[str, Callable[[], None]]:
    """Functions that each do more of a step than the one before, and wait for its end."""
    model = models.Pretrainer(
        sizes, seed=config.seed, precision=config.precision, recompute=config.recompute
    )
    pairs = not config.examples or config.sentence_objective != "none"
    task = MaskedLMTask(model, pairs=pairs)
    variables = [variable.value for variable in model.trainable_variables]
    # A rate of 0 costs the same update, and keeps the model where it is however long this takes.
    train_step = make_train_step(
        task,
        optimizers.AdamW(variables),
        lambda step: tf.constant(0.0),
        seed=config.seed,
        max_grad_norm=1.0,
        jit_compile=config.jit_compile,
    )
    seed = tf.constant([config.seed, 0])
    iterator = iter(dataset)
    batch = next(iterator)
    now = tf.constant(0, tf.int64)

    def loss_of(batch):
        weights = task.weights(batch)
        sums = task.sums(batch, seed)
        return tf.add_n([sums[name][0] / weights[name] for name in task.losses])

    @tf.function(jit_compile=config.jit_compile)
    def forward(batch):
        return loss_of(batch)

    @tf.function(jit_compile=config.jit_compile)
    def forward_backward(batch):
        with tf.GradientTape() as tape:
            loss = loss_of(batch)
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    @tf.function
    def whole_step(batch):
        return train_step(batch, now)["gradient_norm"][0]

    @tf.function
    def step_with_input(iterator):
        return train_step(next(iterator), now)["gradient_norm"][0]

    return {
        "forward": lambda: forward(batch).numpy(),
        "backward": lambda: forward_backward(batch)[0].numpy(),
        "optimizer": lambda: whole_step(batch).numpy(),
        "input": lambda: step_with_input(iterator).numpy(),
    }


def take_turns(stages: dict[str, Callable[[], None]], seconds: float) -> dict[str, float]:
    """Median seconds of each function; they take turns, so that drift hits all alike."""
    took = {name: [] for name in stages}
    end = time.monotonic() + seconds
    while len(took["forward"]) < 3 or time.monotonic() < end:
        for name, run in stages.items():
            began = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - began)
    return {name: statistics.median(turns) for name, turns in took.items()}


def table(found: dict) -> str:
    """The numbers for a terminal."""
    config = found["config"]
    source = config["examples"] or f"random batches in memory, seed {config['seed']}"
    compiled = ", compiled with XLA" if config["jit_compile"] else ""
    rows = [
        ("model", f"{config['size']} ({config['preset']}), {found['parameters']:,} weights"),
        ("batch", f"{config['batch_size']} sequences of {config['max_seq_length']} tokens"),
        ("input", source),
        ("products", f"{config['precision']}{compiled}"),
        ("tokens/s", f"{found['tokens_per_second']:,.0f}"),
        (
            "GFLOP/s",
            f"{found['flops_per_second'] / 1e9:,.1f}, {found['flops_per_step'] / 1e9:,.1f} a step",
        ),
        (
            "of the peak",
            f"{100 * found['flop_utilization']:.1f} % of {found['matmul_peak'] / 1e9:,.0f} "
            "GFLOP/s, the best matrix product just now",
        ),
    ]
    parts, step = found["milliseconds"], found["step_milliseconds"]
    whole = sum(parts.values())
    lines = [f"  {name:<12} {value}" for name, value in rows]
    lines += ["", f"  {'':<12} {'ms':>9} {'%':>7}"]
    lines += [f"  {name:<12} {ms:>9.1f} {100 * ms / whole:>7.1f}" for name, ms in parts.items()]
    return "\n".join([*lines, f"  {'step':<12} {step:>9.1f}"])


if __name__ == "__main__":
    program.run(main, Config)
