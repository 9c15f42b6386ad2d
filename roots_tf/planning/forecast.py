"""What a run does and reads, and what it takes on a device."""

import dataclasses
import math

from roots_tf.models import flops
from roots_tf.models.config import DecoderConfig, EncoderConfig, GeneratorConfig
from roots_tf.planning.accelerators import Accelerator
from roots_tf.planning.footprint import Footprint, shapes_of

# Share of the peak that products and what lies between them reach, where nobody says another. On
# accelerators it is assumed: Chowdhery et al. 2022 (arXiv:2204.02311, table 3) list 21 to 46 % of
# large models on GPUs and TPUs. On processors it is of products measured there; docs/speed.md has
# 35 to 83 % for the sizes tiny to base.
UTILIZATION, UTILIZATION_OF_PROCESSORS = 0.40, 0.50
UPDATE_BYTES = 36  # of traffic a weight: gradients read for norm and update, moments and weights


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The text that a run reads.

    Attributes:
        vocabulary_size: V.
        length: tokens of a row, L.
        rows: of an epoch; None where the text is not known.
        tokens: of an epoch, without padding; likewise.
        stored: bytes of an epoch's records; likewise.
    """

    vocabulary_size: int
    length: int
    rows: int | None = None
    tokens: float | None = None
    stored: float | None = None

    @classmethod
    def of_manifest(cls, manifest: dict, objective, length: int, tokenizer=None) -> "Corpus":
        """That of an examples folder.

        Args:
            manifest: of it.
            objective: a `roots_tf.objectives.Objective`.
            length: L.
            tokenizer: from `Objective.tokenizer_of`; None: as large as the folder's own.
        """
        train = manifest["splits"]["train"]
        return cls(
            vocabulary_size=tokenizer.size if tokenizer else manifest["tokenizer"]["size"],
            length=length,
            rows=objective.rows_an_epoch(manifest, length),
            tokens=train["tokens"],
            stored=sum(shard["bytes"] for shard in train["shards"]),
        )

    @classmethod
    def of_tokens(cls, tokens: float, vocabulary_size: int, length: int) -> "Corpus":
        """A text of so many tokens, in full rows; ids of small vocabularies take 2 bytes, else 4.

        Args:
            tokens: 0: the text is not known.
            vocabulary_size: V.
            length: L.
        """
        if not tokens:
            return cls(vocabulary_size, length)
        word = 2 if vocabulary_size <= 1 << 16 else 4  # as `examples.records.word_dtype`
        rows = math.ceil(tokens / length)
        return cls(vocabulary_size, length, rows, tokens, tokens * word)


@dataclasses.dataclass(frozen=True)
class Work:
    """What a run does, wherever it runs.

    Attributes:
        parameters: weights of the model.
        batch_size: rows of a step, B.
        steps: updates.
        flops_a_step: of forward and backward, counted once (model FLOPs).
        recomputed: FLOPs a step that are done again to save memory.
        tokens: positions of all steps, padding included.
        epochs: how often the text is read; None where it is not known.
        stored: bytes of records read; likewise.
        update_flops: of a step, those of the optimizer's products, which every device does.
    """

    parameters: int
    batch_size: int
    steps: int
    flops_a_step: float
    recomputed: float
    tokens: int
    epochs: float | None
    stored: float | None
    update_flops: float = 0.0

    @property
    def flops_a_token(self) -> float:
        """Model FLOPs a position."""
        return self.flops_a_step * self.steps / self.tokens

    @property
    def flops(self) -> float:
        """Model FLOPs of the run."""
        return self.flops_a_step * self.steps


def work_of(
    objective,
    config: EncoderConfig,
    corpus: Corpus,
    batch_size: int,
    steps: int,
    recompute: bool,
    decoder: DecoderConfig | None = None,
    optimizer: str = "adamw",
) -> Work:
    """What so many steps are.

    Args:
        objective: a `roots_tf.objectives.Objective`.
        config: sizes of the model.
        corpus: what is read.
        batch_size: B.
        steps: updates.
        recompute: whether blocks are computed again in the backward pass.
        decoder: sizes of the decoder of an encoder-decoder, else None.
        optimizer: as the flag has it.
    """
    length, rows = corpus.length, batch_size * steps
    epochs = None if corpus.rows is None else rows / corpus.rows
    again, generator = 0.0, objective.generator_config(config)
    if recompute and decoder is None:
        stacks = (config, *([generator] if generator else []))
        again = sum(flops.step_flops(stack, batch_size, length, 0) for stack in stacks) / 3
    elif recompute:  # but for the vocabulary
        bare, targets = dataclasses.replace(decoder, vocabulary_size=1), objective.target_length
        sizes = (config, bare, batch_size, length, targets(length))
        again = flops.encoder_decoder_step_flops(*sizes) / 3
    update = 0.0
    if optimizer == "muon":
        update = flops.orthogonal_flops(config)
        update += flops.orthogonal_flops(decoder, cross_attention=True) if decoder else 0.0
    return Work(
        parameters=parameters_of(objective.name, config, decoder or generator),
        batch_size=batch_size,
        steps=steps,
        flops_a_step=objective.step_flops(config, batch_size, length),
        recomputed=again,
        tokens=rows * length,
        epochs=epochs,
        stored=None if epochs is None else epochs * corpus.stored,
        update_flops=update,
    )


def parameters_of(
    objective: str, config: EncoderConfig, other: DecoderConfig | GeneratorConfig | None = None
) -> int:
    """Weights of the model that an objective trains.

    Args:
        objective: name of it.
        config: sizes of the model.
        other: as for `shapes_of`.
    """
    return sum(map(math.prod, shapes_of(objective, config, other).values()))


@dataclasses.dataclass(frozen=True)
class Speed:
    """How long a step takes.

    Attributes:
        seconds: of a step.
        how: in words, how that is known.
        measured: whether steps of this model were timed.
    """

    seconds: float
    how: str
    measured: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a run may take place: some devices of one kind, as far as they are known.

    Attributes:
        name: of the device.
        precision: of the products there.
        peak: FLOP/s of all devices together in that precision.
        utilization: share of the peak that a step reaches.
        how: in words, where the two are from.
        devices: that share a batch.
        available: bytes of memory of a device; None: not known.
        bandwidth: bytes a second of a device; likewise.
        watts: of a device; likewise.
        price: dollars an hour, of a device; likewise.
        threads: of the processor that start operations; 0: it is none, with a memory of its own.
        pooled: as for `footprint.Step`.
    """

    name: str
    precision: str
    peak: float
    utilization: float
    how: str
    devices: int = 1
    available: float | None = None
    bandwidth: float | None = None
    watts: float | None = None
    price: float | None = None
    threads: int = 0
    pooled: bool = True

    @property
    def rate(self) -> float:
        """FLOP/s that a step is believed to reach."""
        return self.peak * self.utilization

    def speed(self, work: Work) -> Speed:
        """Seconds of a step by arithmetic: products at that rate, then the update.

        Exchange between devices is left out.
        """
        shared = work.flops_a_step + work.recomputed
        products = (shared + self.devices * work.update_flops) / self.rate
        update = UPDATE_BYTES * work.parameters / self.bandwidth if self.bandwidth else 0.0
        return Speed(products + update, self.how)

    def hours(self, work: Work, speed: Speed) -> float:
        """Of a run, without evaluation, checkpoints and start.

        Args:
            work: of it.
            speed: of its steps.
        """
        return work.steps * speed.seconds / 3600


def place_of(
    name: str,
    accelerator: Accelerator,
    precision: str = "auto",
    utilization: float = 0.0,
    devices: int = 1,
    peak_flops: float = 0.0,
) -> Place:
    """An accelerator of the table.

    Args:
        name: of it.
        accelerator: its row.
        precision: as the flag has it.
        utilization: of the peak; 0: `UTILIZATION`, on processors the other.
        devices: that share a batch.
        peak_flops: FLOP/s of them together; 0: the table's.
    """
    precision = accelerator.precision_of(precision)
    assumed = UTILIZATION_OF_PROCESSORS if accelerator.cores else UTILIZATION
    peak = peak_flops or devices * accelerator.peak_of(precision)
    share = utilization or assumed
    how = f"{'' if utilization else 'assumed '}{100 * share:.0f} % of {peak / 1e12:,.4g} TFLOP/s"
    return Place(
        name=name,
        precision=precision,
        peak=peak,
        utilization=share,
        how=how,
        devices=devices,
        available=accelerator.memory,
        bandwidth=accelerator.bandwidth,
        watts=accelerator.watts,
        price=accelerator.dollars,
        threads=accelerator.cores,
    )


@dataclasses.dataclass(frozen=True)
class OnDevice:
    """What a run takes somewhere.

    Attributes:
        place: where.
        speed: of a step.
        memory: that a device needs.
        hours: of the run, without evaluation, checkpoints and start.
        tokens_a_second: positions, padding included.
        kilowatt_hours: at the most that the devices take, without their hosts; None: not known.
        dollars: None where no price is known.
    """

    place: Place
    speed: Speed
    memory: Footprint
    hours: float
    tokens_a_second: float
    kilowatt_hours: float | None
    dollars: float | None

    @property
    def fits(self) -> bool:
        """Whether the memory is enough, as far as is known."""
        return self.place.available is None or self.memory.peak <= self.place.available


def on_device(place: Place, work: Work, speed: Speed, memory: Footprint) -> OnDevice:
    """The hours, energy and money of a run.

    Args:
        place: where.
        work: of the run.
        speed: of its steps there.
        memory: that they take.
    """
    hours, devices = place.hours(work, speed), place.devices
    return OnDevice(
        place=place,
        speed=speed,
        memory=memory,
        hours=hours,
        tokens_a_second=work.tokens / work.steps / speed.seconds,
        kilowatt_hours=None if place.watts is None else hours * devices * place.watts / 1000,
        dollars=None if place.price is None else hours * devices * place.price,
    )
