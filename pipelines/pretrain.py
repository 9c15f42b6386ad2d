"""Train a BERT-style encoder on examples: masked language model and next sentence.

    roots pretrain --examples=work/examples --output=work/pretrained --size=mini --duration=10000

Takes seconds with `--debug`; otherwise as long as its steps: the progress line says how long. It
prints that line (step, loss, tokens/s, time left) and held-out scores, and writes to the output

    config.json     the flags                     logs/          for `tensorboard --logdir`
    plan.json       what the flags stood for      metrics.jsonl  the same scalars, a line a step
    checkpoints/    to go on from                 report.json    the last scores
    model/          the trained model

The same command again goes on where the last checkpoint stands; when the run has finished it says
so and does nothing. Ctrl-C and SIGTERM save a checkpoint and exit with status 130 and 143.

Phases share the weights, the optimizer's moments and the count of steps; each has its own examples,
batch, duration and schedule, as BERT's 128 tokens and then 512 (arXiv:1810.04805, A.2):

    --phases="examples=work/e128 duration=90000,examples=work/e512 duration=10000 batch_size=64"

Each warms up to `--learning_rate` or to a `learning_rate=` of its own: a lower one in the second
phase keeps more of what the first has learned about short texts.
"""

import contextlib
import dataclasses
import functools
from pathlib import Path
from typing import Literal

import tensorflow as tf
from absl import logging

from roots_tf import examples, files, models, program, tokenizers
from roots_tf.objectives import MaskedLM
from roots_tf.training import (
    automatic,
    checkpoints,
    durations,
    loop,
    memory,
    optimizers,
    schedules,
    step,
    strategies,
    summaries,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `pretrain`."""

    output: str = program.flag(help="folder of the run")
    examples: str = program.flag("", help="folder that build-examples wrote")
    init_from: str = program.flag("", help="model folder whose weights and sizes to start from")
    size: str = program.flag("mini", help="tiny, mini, small, medium, base or large; or custom")
    num_layers: int = program.flag(0, help="layers, for --size=custom")
    hidden_dim: int = program.flag(0, help="hidden size, for --size=custom")
    num_heads: int = program.flag(0, help="attention heads, for --size=custom")
    intermediate_dim: int = program.flag(0, help="feed-forward width, for --size=custom")
    preset: Literal["bert", "modern"] = program.flag(
        "bert", help="bert as published; modern: pre-norm, GeGLU, rotary positions, no biases"
    )
    dropout: float = program.flag(0.1, help="dropout rate")
    initializer_range: float = program.flag(
        0.02, help="deviation of initial weights; BERT: 0.02. Narrow models learn faster from more"
    )
    sentence_objective: Literal["nsp", "sop", "none"] = program.flag(
        "nsp", help="next sentence, sentence order, or none (rows packed full of text)"
    )
    masking: Literal["token", "whole_word", "span"] = program.flag("token", help="what is masked")
    mask_rate: float = program.flag(0.15, help="share of tokens to predict")
    max_predictions_per_seq: int = program.flag(
        0, help="most predictions in a sequence; 0: what --mask_rate takes of a full one"
    )
    max_seq_length: int = program.flag(
        0, help="tokens in a row, with --sentence_objective=none; 0: that of the build"
    )
    batch_size: int = program.flag(32, help="sequences in a global batch")
    duration: str = program.flag(
        "10000 steps", help="a number of steps, epochs, examples or tokens, such as '3 epochs'"
    )
    warmup_steps: int = program.flag(-1, help="updates of rising learning rate; -1: a tenth")
    learning_rate: float = program.flag(1e-4, help="highest learning rate")
    schedule: Literal["linear", "cosine", "inverse_sqrt", "constant"] = program.flag(
        "linear", help="how the learning rate falls after the warm-up"
    )
    phases: tuple[str, ...] = program.flag(
        (), help="comma-separated phases of a run, each 'flag=value flag=value'; see above"
    )
    optimizer: Literal["adamw", "lamb"] = program.flag("adamw", help="lamb: for large batches")
    weight_decay: float = program.flag(0.01, help="decay of matrices, none of biases and norms")
    max_grad_norm: float = program.flag(1.0, help="clip gradients to this global norm; 0: do not")
    ema_decay: float = program.flag(
        0.0, help="keep a moving average of the weights, such as 0.999, and give that; 0: do not"
    )
    accumulate_steps: int = program.flag(1, help="micro-batches a step is cut into")
    recompute: bool = program.flag(False, help="save memory: compute blocks again going backward")
    strategy: Literal["auto", "one_device", "mirrored", "multi_worker", "tpu"] = program.flag(
        "auto", help="where to train; multi_worker reads TF_CONFIG"
    )
    num_devices: int = program.flag(0, help="devices; 0: all. Without GPUs: logical CPU devices")
    tpu: str = program.flag("", help="name of the TPU, or local")
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = program.flag(
        "auto", help="type of the products; weights are float32"
    )
    jit_compile: Literal["auto", "true", "false"] = program.flag(
        "auto", help="compile forward and backward whole with XLA"
    )
    steps_per_call: int = program.flag(10, help="updates between two returns to Python")
    log_every: int = program.flag(50, help="updates between two log lines")
    evaluate_every: int = program.flag(1_000, help="updates between two held-out evaluations")
    evaluate_batches: int = program.flag(40, help="held-out batches; 0: all")
    checkpoint_every: int = program.flag(1_000, help="updates between two checkpoints")
    histogram_every: int = program.flag(0, help="updates between histograms of weights; 0: never")
    profile: tuple[str, ...] = program.flag(
        (), help="two steps, such as 100,110, between which TensorFlow's profiler records"
    )
    peak_flops: float = program.flag(
        0.0, help="FLOP/s of the devices together, for utilization; 0: measure products first"
    )
    seed: int = program.flag(0, help="of initial weights, order, masks, pairs and dropout")
    debug: bool = program.flag(False, help="a model of one small layer, 20 updates")


DEBUG = {
    "size": "custom",
    "num_layers": 1,
    "hidden_dim": 32,
    "num_heads": 2,
    "intermediate_dim": 64,
    "batch_size": 8,
    "duration": "20",
    "log_every": 10,
    "evaluate_batches": 2,
}
OF_A_PHASE = ("examples", "batch_size", "duration", "warmup_steps", "learning_rate", "schedule")
OF_A_PHASE += (
    "max_seq_length",
    "max_predictions_per_seq",
    "mask_rate",
    "masking",
    "accumulate_steps",
)


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of the run: its flags, the manifest of its examples, and the steps it takes."""

    number: int
    config: Config
    manifest: dict
    first_step: int
    last_step: int

    @property
    def length(self) -> int:
        """Tokens in a row, L."""
        return self.config.max_seq_length or self.manifest["max_seq_length"]

    @property
    def objective(self) -> MaskedLM:
        """The objective with this phase's settings."""
        return objective_of(self.config)


def objective_of(config: Config) -> MaskedLM:
    """The objective that the flags describe."""
    return MaskedLM(**{f.name: getattr(config, f.name) for f in dataclasses.fields(MaskedLM)})


def phases_of(config: Config) -> list[Phase]:
    """The phases; one that is the whole run where none are named."""
    phases, first_step = [], 0
    types = {field.name: type(field.default) for field in dataclasses.fields(Config)}
    for number, text in enumerate(config.phases or ("",)):
        values = dict(setting.partition("=")[::2] for setting in text.split())
        if wrong := sorted(set(values) - set(OF_A_PHASE)):
            raise files.InputError(
                f"found {wrong[0]!r} in --phases; wanted settings of {', '.join(OF_A_PHASE)}"
            )
        try:
            own = {name: types[name](value) for name, value in values.items()}
        except ValueError as error:
            raise files.InputError(f"found the phase {text!r} in --phases: {error}") from error
        phase = dataclasses.replace(config, **own)
        if not phase.examples:
            raise files.InputError("found no --examples; wanted a folder that build-examples wrote")
        manifest = examples.load(phase.examples)
        length = phase.max_seq_length or manifest["max_seq_length"]
        objective = objective_of(phase)
        objective.check(manifest, phase.batch_size, length)
        steps = durations.steps(
            phase.duration,
            batch_size=phase.batch_size,
            num_examples=objective.rows_an_epoch(manifest, length),
            length=length,
        )
        if phase.warmup_steps < 0:
            phase = dataclasses.replace(phase, warmup_steps=steps // 10)
        phases.append(Phase(number, phase, manifest, first_step, first_step + steps))
        first_step += steps
    return phases


def encoder_config(config: Config, vocabulary_size: int, length: int) -> models.EncoderConfig:
    """The sizes: those of `--init_from`, of a name, or the four numbers of a custom one."""
    if config.init_from:
        found = models.describe(config.init_from)["encoder"]
        if (found.vocabulary_size, found.max_sequence_length >= length) != (vocabulary_size, True):
            raise files.InputError(
                f"found {found.vocabulary_size} ids and {found.max_sequence_length} positions in "
                f"{config.init_from}; wanted {vocabulary_size} ids and at least {length} "
                "positions: build the examples with that model's tokenizer and length"
            )
        return dataclasses.replace(found, dropout=config.dropout)
    fields = {
        "vocabulary_size": vocabulary_size,
        "max_sequence_length": length,
        "dropout": config.dropout,
        "initializer_range": config.initializer_range,
    }
    if config.size == "custom":
        custom = ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")
        fields |= {name: getattr(config, name) for name in custom}
        return models.EncoderConfig(**models.preset_fields(config.preset) | fields)
    return models.EncoderConfig.of_size(config.size, preset=config.preset, **fields)


def plan_of(config: Config, phases: list[Phase], strategy, workers: int) -> dict:
    """What the flags stand for here: decided at the first start, read from `plan.json` later.

    Raises:
        InputError: the examples have been built anew since.
    """
    path = Path(config.output, "plan.json")
    builds = [phase.manifest["build"] for phase in phases]
    if path.exists():
        plan = files.read_json(path)
        if plan["builds"] != builds:
            raise files.InputError(
                f"found examples of build {builds}; wanted {plan['builds']}, which the run in "
                f"{config.output} has begun with: choose another --output"
            )
        return plan
    chosen = automatic.choose(
        strategy, workers, config.precision, config.jit_compile, config.peak_flops
    )
    settings = [dataclasses.asdict(phase.config) for phase in phases]
    last_steps = [phase.last_step for phase in phases]
    return chosen | {"builds": builds, "last_steps": last_steps, "phases": settings}


class Run:
    """What is trained and what a checkpoint of it holds; made in the strategy's scope."""

    def __init__(self, config: Config, plan: dict, tokenizer, length: int):
        precision = plan["precision"]
        self.model = objective_of(config).make_model(
            encoder_config(config, tokenizer.size, length),
            seed=config.seed,
            precision=precision,
            recompute=config.recompute,
        )
        if config.init_from:
            models.load_weights(config.init_from, models.named_weights(self.model))
        self.task = objective_of(config).make_task(self.model, tokenizer)
        self.weights = {v.path: v.value for v in self.model.trainable_variables}
        trained = list(self.weights.values())
        kind = {"adamw": optimizers.AdamW, "lamb": optimizers.Lamb}[config.optimizer]
        self.optimizer = kind(trained, config.weight_decay)
        self.average = (
            optimizers.MovingAverage(trained, config.ema_decay) if config.ema_decay else None
        )
        self.loss_scale = optimizers.LossScale() if precision == "mixed_float16" else None
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        others = {"moment": self.optimizer, "average": self.average, "scale": self.loss_scale}
        table = {"step": self.step} | self.weights
        for name, part in others.items():
            table |= {f"{name}_{i}": v for i, v in enumerate(part.variables if part else [])}
        self.state = checkpoints.Checkpoints(Path(config.output, "checkpoints"), table)

    def given_weights(self):
        """Context in which the model has the weights that it is judged by and saved with."""
        return self.average.in_use() if self.average else contextlib.nullcontext()


def train_phase(run: Run, phase: Phase, plan: dict, tokenizer, events) -> None:
    """Trains from where `run.step` stands to the end of the phase; in the strategy's scope.

    `events` is where the chief writes what it tells; None on other workers.
    """
    config, strategy = phase.config, tf.distribute.get_strategy()
    worker_index, num_workers = strategies.worker(strategy)
    steps = phase.last_step - phase.first_step
    rate = functools.partial(
        schedules.SCHEDULES[config.schedule],
        peak=config.learning_rate,
        warmup_steps=config.warmup_steps,
        total_steps=steps,
    )
    train_step = step.make_train_step(
        run.task,
        run.optimizer,
        lambda at: rate(at - phase.first_step),
        seed=config.seed,
        max_grad_norm=config.max_grad_norm,
        accumulate_steps=config.accumulate_steps,
        jit_compile=plan["jit_compile"],
        average=run.average,
        loss_scale=run.loss_scale,
        measure_every=config.log_every,
    )
    batches = functools.partial(
        examples.pipeline,
        config.examples,
        phase.objective.make_rows,
        batch_size=config.batch_size,
        max_seq_length=phase.length,
    )
    evaluate_now = texts_now = None
    if events and phase.manifest["splits"]["held_out"]["examples"]:
        held_out = batches(split="held_out", seed=0, num_epochs=1)
        evaluate = loop.make_evaluate(run.task, held_out.take(config.evaluate_batches or -1))

        def evaluate_now():
            with run.given_weights():
                return evaluate()

        def texts_now():
            with run.given_weights():
                some = next(iter(held_out))
                return phase.objective.samples(run.task, some, tokenizer)

    with examples.damage_named(), strategies.lost_workers_named():
        loop.train(
            train_step,
            lambda at: batches(
                start_step=at - phase.first_step,
                seed=config.seed + phase.number,
                num_workers=num_workers,
                worker_index=worker_index,
            ),
            run.step,
            total_steps=phase.last_step,
            tokens_per_step=config.batch_size * phase.length,
            examples_per_step=config.batch_size,
            flops_per_step=phase.objective.step_flops(
                run.model.config, config.batch_size, phase.length
            ),
            peak_flops=plan["peak_flops"],
            steps_per_call=config.steps_per_call,
            log_every=config.log_every,
            evaluate_every=config.evaluate_every,
            checkpoint_every=config.checkpoint_every,
            histogram_every=config.histogram_every,
            profile=tuple(int(number) for number in config.profile) or None,
            evaluate_now=evaluate_now,
            texts_now=texts_now,
            weights=run.weights,
            checkpoints=run.state if events else None,
            summaries=events,
            agree=strategies.make_agree(strategy),
        )


def main(config: Config) -> dict:
    """Trains, or goes on training, and returns the report."""
    if config.debug:
        config = dataclasses.replace(config, **DEBUG)
    memory.keep_freed_memory()
    strategy = strategies.make_strategy(config.strategy, config.num_devices, config.tpu)
    worker_index, num_workers = strategies.worker(strategy)
    phases, output = phases_of(config), Path(config.output)
    tokenizer = tokenizers.load(Path(phases[0].config.examples, "tokenizer"))
    for phase in phases:
        examples.check_tokenizer(phase.manifest, tokenizer)
        parts = strategy.num_replicas_in_sync * phase.config.accumulate_steps
        if phase.config.batch_size % parts:
            raise files.InputError(
                f"found --batch_size={phase.config.batch_size}; wanted a multiple of {parts}, the "
                "replicas times --accumulate_steps"
            )
    chief, report = worker_index == 0, None
    if chief:
        report = files.claim(output, dataclasses.asdict(config))
    elif (output / "report.json").exists():
        report = files.read_json(output / "report.json")
    if report:
        logging.info("%s has finished its %d steps; nothing to do", output, report["step"])
        return report

    with strategy.scope():
        plan = plan_of(config, phases, strategy, num_workers)
        run = Run(config, plan, tokenizer, max(phase.length for phase in phases))
        run.state.restore()
        start = int(run.step.numpy())
        if strategies.total(strategy, start) != num_workers * start:
            raise files.InputError(
                f"found checkpoints of different steps on the {num_workers} workers; wanted one "
                "--output on storage that all of them share"
            )
        events = None
        if chief:
            files.write_json(output / "plan.json", plan)
            events = summaries.Summaries(output, start)
        for phase in phases:
            if int(run.step.numpy()) < phase.last_step:
                train_phase(run, phase, plan, tokenizer, events)
        if not chief:
            return {"step": phases[-1].last_step}
        with run.given_weights():
            models.save(output / "model", run.model)
    tokenizer.save(output / "model")
    rows = [row for row in summaries.read_metrics(output) if row["group"] == "held_out"]
    report = {"step": phases[-1].last_step} | (rows[-1] if rows else {})
    report |= {"unigram_entropy": phases[-1].manifest["unigram_entropy"]}
    files.write_json(output / "report.json", report)
    logging.info("the model is in %s", output / "model")
    return report


if __name__ == "__main__":
    program.run(main, Config)
