"""Train a model on examples: by default a BERT-style encoder, by masked words and next sentences.

    roots pretrain --examples=work/examples --output=work/pretrained --size=mini --duration=10000

Takes seconds with `--debug`; otherwise as long as its steps: the progress line says how long. It
prints that line (step, loss, tokens/s, time left) and held-out scores, and writes to the output

    config.json     the flags                     logs/          for `tensorboard --logdir`
    plan.json       what the flags stood for      metrics.jsonl  the same scalars, a line a step
    checkpoints/    to go on from                 report.json    the last scores
    model/          the trained model             report.html    all of this to look at

The same command again goes on where the last checkpoint stands, also after the folder or the
examples were moved; when the run has finished it says so and does nothing. A longer `--duration`
goes on too, with a schedule of that length (with `--schedule=warmup_stable_decay` from before the
decay), and so do other devices and another cadence; the change is kept in config.json. Ctrl-C and
SIGTERM save a checkpoint and exit with status 130 and 143, as SIGHUP and SIGUSR1 do with 129 and
138.

Phases share the weights, the optimizer's moments and the count of steps; each has its own examples,
batch, duration and schedule, as BERT's 128 tokens and then 512 (arXiv:1810.04805, A.2):

    --phases="examples=work/e128 duration=90000,examples=work/e512 duration=10000 batch_size=64"

Several folders, each with a name, are a mixture, of which held-out scores are told by name:

    --examples=zh=work/zh,en=work/en,de=work/de --mixture_alpha=0.3

Each warms up to `--learning_rate` or to a `learning_rate=` of its own: a lower one in the second
phase keeps more of what the first has learned about short texts.
"""

import dataclasses
import functools
from pathlib import Path

from absl import logging

from roots_tf import (
    examples,
    models,
    objectives,
    program,
    reports,
    spelling,
    training,
)
from roots_tf.examples import mixture
from roots_tf.objectives.model_flags import ModelFlags
from roots_tf.storage import files, schema, sources
from roots_tf.training.settings import Cadence, Hardware, Optimization


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `pretrain`."""

    output: str = program.flag(help="folder of the run", role="output_folder")
    examples: str = program.flag(
        "",
        help="folder that build-examples wrote, or its URL; or several of a mixture: "
        "zh=FOLDER,en=FOLDER",
        role="input",
        streams=True,
    )
    mixing: sources.Mixing = program.group(sources.Mixing(), "mixture")
    max_seq_length: int = program.flag(
        0,
        help="tokens in a row, where the objective packs text; 0: that of the build",
        minimum=8,
        maximum=1 << 20,
    )
    duration: str = program.flag(
        "10000 steps",
        help="a number of steps, epochs, examples or tokens, such as '3 epochs'",
        role="free",
    )
    phases: tuple[str, ...] = program.flag(
        (), help="comma-separated phases of a run, each 'flag=value flag=value'; see above"
    )
    seed: int = program.flag(
        0, help="of initial weights, order, masks, pairs and dropout", **program.SEED
    )
    debug: bool = program.flag(False, help="a model of one small layer, 20 updates")
    model: ModelFlags = program.group(ModelFlags(), "model")
    objective: objectives.Objective = program.choice(
        objectives.OBJECTIVES, "masked_lm", help="what is learned", title="objective"
    )
    optimization: Optimization = program.group(Optimization(), "optimization")
    hardware: Hardware = program.group(Hardware(), "hardware")
    cadence: Cadence = program.group(Cadence(), "cadence")
    evaluate_batches: int = program.flag(
        40,
        help="held-out batches of an evaluation; 0: all",
        group="cadence",
        role="free",
        minimum=0,
        maximum=1_000_000,
    )


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
OF_A_PHASE = ("examples", "batch_size", "duration", "warmup_steps", "warmup_share")
OF_A_PHASE += ("learning_rate", "schedule", "decay_share", "decay_shape")
OF_A_PHASE += ("max_seq_length", "accumulate_steps")
OF_A_PHASE += ("mixture_alpha", "mixture_weights")
OF_LISTS = ("examples", "mixture_weights")  # flags of a phase whose values may hold commas


def of_a_phase(config: Config) -> tuple[str, ...]:
    """Flags that a phase may set."""
    return (*OF_A_PHASE, *config.objective.of_a_phase)


def phase_configs(config: Config) -> list[Config]:
    """The config of every phase: that of the run, with the phase's own settings.

    Raises:
        InputError: a phase is empty, or has a setting that there is not, twice, or of no value.
    """
    known, configs = of_a_phase(config), []
    for text in training.whole_phases(config.phases, OF_LISTS, known):
        settings = [setting.partition("=")[::2] for setting in text.split()]
        names = [name for name, _ in settings]
        if not settings:
            raise files.InputError(
                "wrong-value",
                "found a phase without settings in --phases; wanted 'flag=value flag=value' in "
                "each, and commas only between phases",
            )
        if wrong := sorted(set(names) - set(known)):
            raise files.InputError(
                "wrong-value",
                f"found {wrong[0]!r} in --phases; wanted settings of {', '.join(known)}"
                f"{spelling.suggestion(wrong[0], known)}",
            )
        if len(names) > len(set(names)):
            raise files.InputError(
                "named-twice", f"found a setting twice in the phase {text!r}; wanted it once"
            )
        try:
            configs.append(program.from_text(config, dict(settings)))
            program.check(configs[-1])
        except program.FlagError as error:
            raise files.InputError(
                error.id, f"found the phase {text!r} in --phases: {error}"
            ) from error
    return configs or [config]


def phases_of(config: Config) -> list[training.Phase]:
    """The phases, checked; one that is the whole run where none are named.

    Raises:
        InputError, FlagError: something is wrong with a phase or with its examples.
    """
    phases, first_step = [], 0
    for number, phase in enumerate(phase_configs(config)):
        if not phase.examples:
            raise files.InputError(
                "missing-flag", "found no --examples; wanted a folder that build-examples wrote"
            )
        manifest = mixture.load(phase.examples)
        length = phase.max_seq_length or manifest["max_seq_length"]
        batch_size, objective = phase.optimization.batch_size, phase.objective
        mixed = mixture.of(manifest, phase.mixing, objective, batch_size, length)
        steps = training.steps_of(
            phase.duration,
            batch_size=batch_size,
            num_examples=objective.rows_an_epoch(manifest, length),
            length=length,
        )
        last_step = first_step + steps
        phases.append(
            training.Phase(
                *(number, phase, manifest, first_step, last_step),
                reads=mixed or phase.examples,
                mixture=mixed.describe(steps * batch_size) if mixed else {},
            )
        )
        first_step = last_step
    return phases


def stage_of(phase: training.Phase, task, tokenizer, machine):
    """What the run trains on in a phase.

    Args:
        phase: of the run.
        task: the objective's.
        tokenizer: of the model.
        machine: where the run takes place.
    """
    config, objective = phase.config, phase.config.objective
    batch_size = config.optimization.batch_size
    batches = functools.partial(
        examples.pipeline,
        make_rows=objective.make_rows,
        batch_size=batch_size,
        max_seq_length=phase.length,
    )
    evaluate = texts = None
    folders = mixture.held_out(phase.manifest, config.examples) if machine.is_chief else {}
    if folders:
        held_out = {
            name: batches(folder, split="held_out", seed=0, num_epochs=1)
            for name, folder in folders.items()
        }
        some = {name: each.take(config.evaluate_batches or -1) for name, each in held_out.items()}
        evaluate = training.make_evaluate(task, some if phase.mixture else some[""])

        def texts():
            return {
                f"{name}/{title}".removeprefix("/"): text
                for name, each in held_out.items()
                for title, text in objective.samples(task, next(iter(each)), tokenizer).items()
            }

    return training.Stage(
        batches=lambda at: batches(
            phase.reads,
            start_step=at - phase.first_step,
            seed=config.seed + phase.number,
            num_workers=machine.num_workers,
            worker_index=machine.worker_index,
        ),
        last_step=phase.last_step,
        work=training.Work(
            tokens=batch_size * phase.length,
            examples=batch_size,
            flops=objective.step_flops(task.model.config, batch_size, phase.length),
        ),
        evaluate=evaluate,
        texts=texts,
    )


@program.takes_urls
def main(config: Config) -> dict:
    """Trains, or goes on training, and returns the report."""
    config = program.replace(config, **DEBUG) if config.debug else config
    config = program.replace(config, preset=config.model.preset_for(config.objective))
    program.check(config)
    training.check_trackers(config.cadence.report_to)
    training.keep_freed_memory()
    phases, output = phases_of(config), Path(config.output)
    decay = training.decay_of(phases)
    folder = next(iter(mixture.folders(phases[0].manifest, phases[0].config.examples).values()))
    tokenizer = examples.tokenizer_of(folder)
    for phase in phases:
        examples.check_tokenizer(phase.manifest, tokenizer)
    tokenizer = config.objective.tokenizer_of(tokenizer)
    longest = max(phase.length for phase in phases)
    parts = config.objective.model_parts(tokenizer, longest, config.model.init_from)
    sizes = config.model.encoder_config(tokenizer.size, longest)
    claim = training.claim_of(config, phases, of_a_phase(config))
    report, last_step = claim.finished(output), phases[-1].last_step
    training.check_reach(output, report, last_step)
    if not config.debug:
        config.optimization.check_average(config.cadence, last_step)
    if report and report.get("step") == last_step:
        schema.check(report, training.Report, f"{output}/report.json", others_may_stand=True)
        logging.info("%s has finished its %d steps; nothing to do", output, last_step)
        return report
    for phase in phases:
        if phase.mixture:
            logging.info("phase %d reads\n%s", phase.number + 1, mixture.table(phase.mixture))
    is_chief = config.hardware.is_chief
    with claim.held(output, is_chief), reports.written(output, is_chief):
        machine = training.Machine.of(config.hardware)
        for phase in phases:
            phase.config.optimization.check_parts(machine.strategy.num_replicas_in_sync)
        with machine.strategy.scope():
            computation = machine.computation(output, config.hardware)
            task = make_task(config, sizes, parts, tokenizer, computation)
            for phase in phases:
                machine.check(task, computation, phase.config.optimization)
            machine.claim(output, claim, computation, **training.plan_of(phases))
            settings = (config.optimization, computation, config.cadence, config.seed)
            run = training.Run(task, output, training.Settings(*settings), decay=decay)
            run.restore()
            for phase in phases:
                stage = stage_of(phase, task, tokenizer, machine)
                with examples.damage_named():
                    run.train(stage, phase.config.optimization, phase.first_step)
            if not machine.is_chief:
                return {"step": last_step}
            run.finish()
            models.save(output / "model", config.objective.finished(task.model))
        tokenizer.save(output / "model")
        report = report_of(output, phases)
        run.report(report)
        return report


def make_task(config: Config, sizes, parts: dict, tokenizer, computation):
    """The objective's task with the model that it trains, and the weights that it starts from.

    Args:
        config: of the run.
        sizes: an `EncoderConfig`.
        parts: from `Objective.model_parts`.
        tokenizer: from `Objective.tokenizer_of`.
        computation: precision and compilation, from `Machine.computation`.
    """
    model = config.objective.make_model(
        sizes,
        seed=config.seed,
        precision=computation.precision,
        recompute=config.hardware.recompute,
        **parts,
    )
    if config.model.init_from and (new := models.load_common(config.model.init_from, model)):
        found = (config.model.init_from, ", ".join(new))
        logging.info("%s has no %s; there the run starts from initial weights", *found)
    return config.objective.make_task(model, tokenizer)


def report_of(output: Path, phases: list[training.Phase]) -> dict:
    """Writes and returns the last held-out scores.

    Args:
        output: folder of the run.
        phases: of the run.
    """
    rows = training.read_metrics(output)
    rows = [row for row in rows if row["group"] == "held_out"]
    report = {"step": phases[-1].last_step} | (rows[-1] if rows else {})
    report |= {"unigram_entropy": phases[-1].manifest["unigram_entropy"]}
    files.write_json(output / "report.json", report)
    logging.info("the model is in %s", output / "model")
    return report


if __name__ == "__main__":
    program.run(main, Config)
