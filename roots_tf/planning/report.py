"""A forecast for people and for programs, and the `pretrain` command that goes with it."""

import dataclasses
import shlex
import textwrap
from collections.abc import Mapping, Sequence

from roots_tf import flags
from roots_tf.models.config import EncoderConfig
from roots_tf.planning.amounts import spell, spell_bytes, spell_dollars, spell_hours
from roots_tf.planning.footprint import Footprint
from roots_tf.planning.forecast import OnDevice, Work
from roots_tf.storage import places

EXAMPLES = "work/examples"  # stands in the command where no examples were given

PARTS = {
    "weights": "float32",
    "moments": "of the optimizer",
    "average": "of the weights",
    "casts": "weights in the type of the products",
    "gradients": "of the weights",
    "update": "beside these",
    "activations": "kept for the backward pass, of one micro-batch",
    "logits": "of the vocabulary, with their gradient",
    "in_flight": "gradients of activations, at once",
    "checkpoint": "the one before, while it is written",
    "allocator": "holes between arrays",
    "runtime": "Python, TensorFlow, compiled steps",
}


def command(config, own: Sequence[str], shown: Mapping[str, object]) -> str:
    """The line that starts the run, as a shell reads it.

    Args:
        config: of `plan`, whose flags but for `own` are those of `pretrain` too.
        own: names of flags that `pretrain` does not have.
        shown: by name, values that stand in the line in any case.
    """
    known, values = flags.flags_of(type(config)), flags.flat(config)
    given = {n: v for n, v in values.items() if n not in own and v != known[n].default}
    given |= {n: v for n, v in shown.items() if n != "size" or not values["init_from"]}
    words = ["roots", "pretrain", f"--examples={given.pop('examples', EXAMPLES)}"]
    words.append("--output=work/pretrained")
    for name, value in given.items():
        if isinstance(value, bool):
            words.append(f"--{name}={str(value).lower()}")
        else:
            words.append(f"--{name}={','.join(value) if isinstance(value, tuple) else value}")
    return shlex.join(places.as_given(words))


@dataclasses.dataclass(frozen=True)
class Found:
    """A forecast.

    Attributes:
        config: sizes of the model.
        work: of the run.
        devices: where.
        notes: what there is to know, in sentences.
        command: the line that starts the run.
    """

    config: EncoderConfig
    work: Work
    devices: Sequence[OnDevice]
    notes: Sequence[str]
    command: str

    def as_json(self) -> dict:
        """For programs: bytes, seconds, hours, dollars, kilowatt-hours."""
        work = self.work
        return {
            "model": dataclasses.asdict(self.config) | {"parameters": work.parameters},
            "work": dataclasses.asdict(work)
            | {"flops": work.flops, "flops_a_token": work.flops_a_token},
            "devices": [dataclasses.asdict(each) | {"fits": each.fits} for each in self.devices],
            "notes": list(self.notes),
            "command": self.command,
        }

    def table(self) -> str:
        """For a terminal."""
        config, work = self.config, self.work
        shape = f"{config.num_layers} layers of {config.hidden_dim}, {config.vocabulary_size:,} ids"
        text = "text of unknown size" if work.epochs is None else f"{work.epochs:,.2f} epochs"
        rows = [
            ("parameters", f"{work.parameters:,} ({shape})"),
            ("steps", f"{work.steps:,} of {work.batch_size:,} rows"),
            ("tokens", f"{spell(work.tokens)}, {text}"),
            ("FLOPs", f"{spell(work.flops_a_token)} a token, {work.flops:.2e} in all"),
        ]
        if work.stored is not None:
            rows.append(("read", f"{spell_bytes(work.stored)} of records"))
        lines = [f"  {name:<12} {value}" for name, value in rows]
        first = self.devices[0]
        lines += ["", *memory_lines(first.memory, first.place.name, first.place.precision)]
        lines += ["", *device_lines(self.devices), ""]
        for note in self.notes:
            lines += textwrap.wrap(note, 96, initial_indent="  ", subsequent_indent="    ")
        return "\n".join([*lines, *[""] * bool(self.notes), self.command])


def memory_lines(memory: Footprint, device: str, precision: str) -> list[str]:
    """Where the bytes of a step go.

    Args:
        memory: of the step.
        device: where.
        precision: of its products.
    """
    lines = [f"  memory of a step on {device}, {precision}"]
    for name, what in PARTS.items():
        if count := getattr(memory, name):
            lines.append(f"    {name:<12} {spell_bytes(count):>9}  {what}")
    return [*lines, f"    {'peak':<12} {spell_bytes(memory.peak):>9}  at {memory.peak_at}"]


def device_lines(devices: Sequence[OnDevice]) -> list[str]:
    """Time, energy and money on each device."""
    head = f"  {'device':<16} {'precision':<15} {'memory':>9} {'tokens/s':>11} {'time':>9}"
    lines = [f"{head} {'kWh':>8} {'dollars':>9}"]
    for each in devices:
        place = each.place
        name = f"{place.devices} x {place.name}" if place.devices > 1 else place.name
        memory = spell_bytes(each.memory.peak) + ("" if each.fits else "!")
        energy = "-" if each.kilowatt_hours is None else f"{each.kilowatt_hours:,.3g}"
        dollars = "-" if each.dollars is None else spell_dollars(each.dollars)
        lines.append(
            f"  {name:<16} {place.precision:<15} {memory:>9} {each.tokens_a_second:>11,.0f} "
            f"{spell_hours(each.hours):>9} {energy:>8} {dollars:>9}"
        )
    if not all(each.fits for each in devices):
        lines.append("  ! more than the device has")
    lines += [f"  {each.place.name}: {each.speed.how}" for each in devices if len(devices) == 1]
    return lines
