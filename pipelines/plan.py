"""Say before a run what it takes: memory, time, energy, money; or what a budget is best spent on.

    roots plan --size=base --duration='1e9 tokens' --tokens=3e8 --device=a100_80gb
    roots plan --examples=work/examples --hours=8 --device=here
    roots plan --objective=causal_lm --tokens=1e9 --dollars=100 --memory=16GB --device=h100

Answers at once, without TensorFlow; with `--device=here` after half a minute, in which it times
steps of the very model on this machine, or products where the model would not fit, and says which.
It prints a table and the `roots pretrain` command that goes with it, whose flags it shares.

A budget, `--hours`, `--dollars` or both on one `--device`, is what is to be spent: size, batch,
micro-batches, duration and learning rate are proposed where they are not given, by scaling laws
that `roots_tf/planning/proposal.py` names with their sources. With `--memory` alone micro-batches
and recomputation are. `--size=auto`, `--batch_size=0`, `--accumulate_steps=0`, `--learning_rate=-1`
and an empty `--duration` stand for "not given"; without a budget they are what `pretrain` takes.

Without `--device` all that `roots_tf/planning/accelerators.toml` lists are shown. What is assumed,
what is left out and how near it comes to real runs is told in docs/plan.md.
"""

import dataclasses
import json
import os

from roots_tf import examples, memory, objectives, processor, program
from roots_tf.examples import mixture
from roots_tf.objectives.model_flags import ModelFlags
from roots_tf.planning import forecast, notes, report, settling
from roots_tf.planning.accelerators import HERE, accelerators, named
from roots_tf.planning.amounts import bytes_of
from roots_tf.planning.forecast import Corpus, Place
from roots_tf.planning.proposal import Proposal
from roots_tf.planning.settling import Budget, Question
from roots_tf.storage import files
from roots_tf.training.settings import Hardware, Optimization

LENGTH = 128  # tokens of a row where nothing says another, as build-examples has it


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `plan`."""

    device: tuple[str, ...] = program.flag(
        (), help="comma-separated, such as here, t4 or a100_80gb; none: all that are known"
    )
    hours: float = program.flag(0.0, help="to be spent; 0: no end", minimum=0, maximum=1e6)
    dollars: float = program.flag(0.0, help="to be spent; 0: no end", minimum=0, maximum=1e9)
    memory: str = program.flag("", help="most that a step may take, such as 16GB")
    examples: str = program.flag(
        "",
        help="folder that build-examples wrote, or its URL; or several: zh=FOLDER,en=FOLDER",
        role="input",
        streams=True,
    )
    tokens: float = program.flag(
        0.0,
        help="of the text, where there are no --examples; 0: not known",
        minimum=0,
        maximum=1e18,
    )
    vocab_size: int = program.flag(
        30_522, help="ids, where there are no --examples", minimum=1, maximum=1 << 24
    )
    max_seq_length: int = program.flag(
        0, help="tokens in a row; 0: that of the build, else 128", minimum=8, maximum=1 << 20
    )
    duration: str = program.flag("", help="as in pretrain, such as '3 epochs'", role="free")
    seed: int = program.flag(0, help="of the run; and of what is measured", **program.SEED)
    utilization: float = program.flag(
        0.0,
        help="share of the peak that steps reach; 0: 0.4 of accelerators', 0.5 of processors'",
        minimum=0,
        maximum=1,
    )
    watts: float = program.flag(
        0.0, help="that a device takes; 0: the table's", minimum=0, maximum=1e6
    )
    price_per_hour: float = program.flag(
        -1.0, help="dollars for a device; -1: the table's", minimum=0, maximum=1e6
    )
    seconds: float = program.flag(
        10.0, help="to measure for, with --device=here", minimum=0, maximum=3600
    )
    output: str = program.flag("", help="JSON file for the numbers", role="output_file")
    json: bool = program.flag(False, help="print the numbers as JSON instead of the table")
    debug: bool = program.flag(False, help="a model of one small layer, measured in no time")
    model: ModelFlags = program.group(ModelFlags(size=settling.AUTO), "model")
    objective: objectives.Objective = program.choice(
        objectives.OBJECTIVES, "masked_lm", help="what is learned", title="objective"
    )
    optimization: Optimization = program.group(
        Optimization(batch_size=0, accumulate_steps=0, learning_rate=-1.0), "optimization"
    )
    hardware: Hardware = program.group(Hardware(), "hardware")


DEBUG = {
    **{"size": "custom", "num_layers": 1, "hidden_dim": 32, "num_heads": 2, "intermediate_dim": 64},
    **{"batch_size": 8, "seconds": 0.0},
}
OWN = (
    *("device", "hours", "dollars", "memory", "tokens", "vocab_size", "utilization", "watts"),
    *("price_per_hour", "seconds", "output", "json", "debug"),
)


@program.takes_urls
def main(config: Config) -> dict:
    """Prints the forecast and returns it as JSON has it."""
    config = program.replace(config, **DEBUG) if config.debug else config
    program.check(config)
    places, corpus = places_of(config), corpus_of(config)
    question = Question(
        dataclasses.replace(config.model, preset=config.model.preset_for(config.objective)),
        config.objective,
        corpus,
        config.optimization,
        config.hardware,
        config.duration,
        budget_of(config),
        places[0] if len(places) == 1 else None,
    )
    chosen = settling.settle(question)
    settling.check_parts(question, chosen)
    speeds = {}
    if HERE in config.device:
        chosen, speeds[HERE] = measured(config, question, chosen, places)
    work = question.work(chosen.size, chosen.batch_size, chosen.steps, chosen.recompute)
    found = report.Found(
        question.sizes(chosen.size),
        work,
        [
            forecast.on_device(
                place,
                work,
                speeds.get(place.name) or place.speed(work),
                question.memory(chosen, place),
            )
            for place in places
        ],
        notes.notes(question, chosen, work),
        report.command(config, OWN, settling.values_of(chosen, config.duration)),
    )
    as_json = files.as_read_back(found.as_json())
    if config.output:
        files.write_json(config.output, as_json)
    print(json.dumps(as_json, indent=2) if config.json else found.table())
    return as_json


def budget_of(config: Config) -> Budget:
    """What there is to spend."""
    return Budget(
        hours=config.hours or None,
        dollars=config.dollars or None,
        memory=bytes_of(config.memory, "memory") if config.memory else None,
    )


def corpus_of(config: Config) -> Corpus:
    """The text: of the examples, or of so many tokens."""
    if not config.examples:
        length = config.max_seq_length or LENGTH
        return Corpus.of_tokens(config.tokens, config.vocab_size, length)
    if config.tokens:
        raise files.InputError(
            "flags-conflict",
            f"found --examples={config.examples} and --tokens={config.tokens:g}; wanted one of "
            "them: examples have their own number of tokens",
        )
    manifest = mixture.load(config.examples)
    length = config.max_seq_length or manifest["max_seq_length"]
    config.objective.check(manifest, config.optimization.batch_size or 32, length)
    folder = next(iter(mixture.folders(manifest, config.examples).values()))
    tokenizer = config.objective.tokenizer_of(examples.tokenizer_of(folder))
    return Corpus.of_manifest(manifest, config.objective, length, tokenizer)


def places_of(config: Config) -> list[Place]:
    """Where the run may take place; this machine's products are measured."""
    hardware, places = config.hardware, []
    for name in dict.fromkeys(config.device or accelerators()):
        if name == HERE:
            place = this_machine(config)
        else:
            place = forecast.place_of(
                name.lower(),
                named(name),
                hardware.precision,
                config.utilization,
                max(1, hardware.num_devices),
                hardware.peak_flops,
            )
        price = place.price if config.price_per_hour < 0 else config.price_per_hour
        watts = config.watts or place.watts
        places.append(dataclasses.replace(place, watts=watts, price=price))
    return places


def this_machine(config: Config) -> Place:
    """This machine, as far as products tell."""
    from roots_tf.planning import measuring

    found = measuring.machine(config.hardware, config.seconds / 10)
    share = config.utilization or forecast.UTILIZATION_OF_PROCESSORS
    assumed = "" if config.utilization else "assumed "
    return Place(
        name=HERE,
        precision=found.precision,
        peak=found.peak,
        utilization=share,
        how=f"{assumed}{100 * share:.0f} % of {found.peak / 1e9:,.0f} GFLOP/s, products measured",
        available=found.memory or memory.available() + measuring.resident(),
        threads=0 if found.memory else os.cpu_count(),
        pooled=processor.has_onednn(),
    )


def measured(config: Config, question: Question, chosen: Proposal, places: list[Place]):
    """What is run, and how long steps of it take here: timed, where they fit and are known.

    Args:
        config: of the program.
        question: what was given.
        chosen: what arithmetic proposes; with a budget its steps follow from what is timed.
        places: where; this machine is among them.
    """
    from roots_tf.planning import measuring

    here = next(place for place in places if place.name == HERE)
    needed = question.memory(chosen, here)
    speed = here.speed(question.work(chosen.size, chosen.batch_size, 1, chosen.recompute))
    if needed.peak > here.available or config.objective.name not in measuring.MEASURED:
        return chosen, speed
    parts = (chosen.accumulate_steps, chosen.recompute, here)
    speed = measuring.time_steps(
        config.objective,
        question.step(chosen.size, chosen.batch_size, *parts),
        config.optimization,
        config.hardware,
        expected=speed.seconds / chosen.accumulate_steps,
        seconds=config.seconds,
        seed=config.seed,
    )
    return settling.in_time(question, chosen, speed), speed


if __name__ == "__main__":
    program.run(main, Config)
