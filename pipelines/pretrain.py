"""Train a BERT-style encoder on examples: masked language model and next sentence.

    roots pretrain --examples=work/examples --output=work/pretrained --size=mini --num_steps=10000

Takes seconds with `--debug`; otherwise as long as its steps: the progress line says how long. It
prints that line (step, loss, tokens/s, time left) and held-out scores, and writes to the output

    config.json     the flags                     logs/          for `tensorboard --logdir`
    checkpoints/    to go on from                 metrics.jsonl  the same scalars, a line a step
    model/          the trained model             report.json    the last scores

The same command again goes on where the last checkpoint stands; when the run has finished it says
so and does nothing. Ctrl-C and SIGTERM save a checkpoint and exit with status 130 and 143.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import tensorflow as tf
from absl import logging

from roots_tf import examples, files, models, program, tokenizers
from roots_tf.tasks.pretraining import Pretraining
from roots_tf.training import checkpoints, loop, optimizers, schedules, step, strategies, summaries


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `pretrain`."""

    examples: str = program.flag(help="folder that build-examples wrote")
    output: str = program.flag(help="folder of the run")
    size: str = program.flag("mini", help="tiny, mini, small, medium, base or large; or custom")
    num_layers: int = program.flag(0, help="layers, for --size=custom")
    hidden_dim: int = program.flag(0, help="hidden size, for --size=custom")
    num_heads: int = program.flag(0, help="attention heads, for --size=custom")
    intermediate_dim: int = program.flag(0, help="feed-forward width, for --size=custom")
    norm: Literal["post", "pre"] = program.flag("post", help="where blocks normalise; BERT: post")
    dropout: float = program.flag(0.1, help="dropout rate")
    initializer_range: float = program.flag(
        0.02, help="deviation of initial weights; BERT: 0.02. Narrow models learn faster from more"
    )
    sentence_objective: Literal["nsp", "sop", "none"] = program.flag(
        "nsp", help="next sentence, sentence order, or none (rows packed full of text)"
    )
    masking: Literal["token", "whole_word", "span"] = program.flag("token", help="what is masked")
    mask_rate: float = program.flag(0.15, help="share of tokens to predict")
    max_predictions_per_seq: int = program.flag(20, help="most predictions in a sequence")
    batch_size: int = program.flag(32, help="sequences in a global batch")
    num_steps: int = program.flag(10_000, help="updates")
    warmup_steps: int = program.flag(-1, help="updates of rising learning rate; -1: a tenth")
    learning_rate: float = program.flag(1e-4, help="highest learning rate")
    weight_decay: float = program.flag(0.01, help="decay of matrices, none of biases and norms")
    max_grad_norm: float = program.flag(1.0, help="clip gradients to this global norm; 0: do not")
    accumulate_steps: int = program.flag(1, help="micro-batches a step is cut into")
    strategy: Literal["auto", "one_device", "mirrored"] = program.flag("auto", help="tf.distribute")
    num_devices: int = program.flag(0, help="devices; 0: all. Without GPUs: logical CPU devices")
    precision: Literal["float32", "mixed_bfloat16"] = program.flag(
        "float32", help="type of the products; weights are float32"
    )
    jit_compile: bool = program.flag(False, help="compile forward and backward with XLA")
    steps_per_call: int = program.flag(10, help="updates between two returns to Python")
    log_every: int = program.flag(50, help="updates between two log lines")
    evaluate_every: int = program.flag(1_000, help="updates between two held-out evaluations")
    evaluate_batches: int = program.flag(40, help="held-out batches; 0: all")
    checkpoint_every: int = program.flag(1_000, help="updates between two checkpoints")
    seed: int = program.flag(0, help="of initial weights, order, masks, pairs and dropout")
    debug: bool = program.flag(False, help="a model of one small layer, 20 updates")


DEBUG = {
    "size": "custom",
    "num_layers": 1,
    "hidden_dim": 32,
    "num_heads": 2,
    "intermediate_dim": 64,
    "batch_size": 8,
    "num_steps": 20,
    "log_every": 10,
    "evaluate_batches": 2,
}


def encoder_config(config: Config, vocabulary_size: int, length: int) -> models.EncoderConfig:
    """The size by name, or by the four numbers of a custom one."""
    fields = {
        "vocabulary_size": vocabulary_size,
        "max_sequence_length": length,
        "dropout": config.dropout,
        "norm": config.norm,
        "initializer_range": config.initializer_range,
    }
    if config.size != "custom":
        return models.EncoderConfig.of_size(config.size, **fields)
    custom = ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")
    return models.EncoderConfig(**fields, **{name: getattr(config, name) for name in custom})


def main(config: Config) -> dict:
    """Trains, or goes on training, and returns the report."""
    if config.debug:
        config = dataclasses.replace(config, **DEBUG)
    output = Path(config.output)
    manifest = examples.load(config.examples)
    tokenizer = tokenizers.load(Path(config.examples, "tokenizer"))
    examples.check_tokenizer(manifest, tokenizer)
    if report := files.claim(output, dataclasses.asdict(config) | {"build": manifest["build"]}):
        logging.info("%s has finished its %d steps; nothing to do", output, report["step"])
        return report

    strategy = strategies.make_strategy(config.strategy, config.num_devices)
    parts = strategy.num_replicas_in_sync * config.accumulate_steps
    if config.batch_size % parts:
        raise files.InputError(
            f"found --batch_size={config.batch_size}; wanted a multiple of {parts}, the replicas "
            "times --accumulate_steps"
        )
    with strategy.scope():
        sizes = encoder_config(config, tokenizer.size, manifest["max_seq_length"])
        model = models.Pretrainer(sizes, seed=config.seed, precision=config.precision)
        task = Pretraining(model, sentence_objective=config.sentence_objective != "none")
        weights = {variable.path: variable.value for variable in model.trainable_variables}
        optimizer = optimizers.AdamW(list(weights.values()), config.weight_decay)
        now = tf.Variable(0, dtype=tf.int64, trainable=False)
        train_step = step.make_train_step(
            task,
            optimizer,
            lambda at: schedules.linear(
                at,
                peak=config.learning_rate,
                warmup_steps=config.num_steps // 10
                if config.warmup_steps < 0
                else config.warmup_steps,
                total_steps=config.num_steps,
            ),
            seed=config.seed,
            max_grad_norm=config.max_grad_norm,
            accumulate_steps=config.accumulate_steps,
            jit_compile=config.jit_compile,
        )
        moments = {f"moment_{i}": moment for i, moment in enumerate(optimizer.variables)}
        state = checkpoints.Checkpoints(output / "checkpoints", {"step": now} | weights | moments)
        state.restore()

        def batches(start_step=0, **options):
            return examples.pipeline(
                config.examples,
                batch_size=config.batch_size,
                sentence_objective=config.sentence_objective,
                masking=config.masking,
                mask_rate=config.mask_rate,
                max_predictions_per_seq=config.max_predictions_per_seq,
                start_step=start_step,
                **options,
            )

        held_out = batches(split="held_out", seed=0, num_epochs=1)
        held_out = held_out.take(config.evaluate_batches or -1)
        with examples.damage_named():
            loop.train(
                train_step,
                lambda start_step: batches(start_step, seed=config.seed),
                now,
                total_steps=config.num_steps,
                tokens_per_step=config.batch_size * manifest["max_seq_length"],
                steps_per_call=config.steps_per_call,
                log_every=config.log_every,
                evaluate_every=config.evaluate_every,
                checkpoint_every=config.checkpoint_every,
                evaluate_now=loop.make_evaluate(task, held_out),
                checkpoints=state,
                summaries=summaries.Summaries(output, int(now.numpy())),
            )
    models.save(output / "model", model)
    tokenizer.save(output / "model")
    rows = [row for row in summaries.read_metrics(output) if row["group"] == "held_out"]
    report = rows[-1] | {"unigram_entropy": manifest["unigram_entropy"]}
    files.write_json(output / "report.json", report)
    logging.info("the model is in %s", output / "model")
    return report


if __name__ == "__main__":
    program.run(main, Config)
