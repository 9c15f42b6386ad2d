"""From flags, a place and a budget to what is run: what was not given is proposed."""

import dataclasses
import os

from roots_tf import processor
from roots_tf.models.config import SIZES, DecoderConfig, EncoderConfig
from roots_tf.models.description import describe
from roots_tf.objectives.model_flags import ModelFlags
from roots_tf.planning import proposal
from roots_tf.planning.amounts import spell_bytes
from roots_tf.planning.footprint import Footprint, Step, footprint
from roots_tf.planning.forecast import Corpus, Place, Speed, Work, work_of
from roots_tf.planning.proposal import Proposal
from roots_tf.storage.files import InputError
from roots_tf.training.durations import MOST_STEPS, steps_of
from roots_tf.training.settings import Hardware, Optimization

AUTO = "auto"
NOT_GIVEN = {"size": AUTO, "batch_size": 0, "accumulate_steps": 0, "learning_rate": -1.0}
LIKE_PRETRAIN = {"size": "mini", "batch_size": 32, "duration": "10000 steps", "learning_rate": 1e-4}


@dataclasses.dataclass(frozen=True)
class Budget:
    """What there is; None: not said.

    Attributes:
        hours: by the clock.
        dollars: for the devices.
        memory: bytes of a device.
    """

    hours: float | None = None
    dollars: float | None = None
    memory: float | None = None

    def seconds(self, place: Place | None) -> float | None:
        """By the clock, at that place; None: no end.

        Raises:
            InputError: no place is named, or no price is known of it.
        """
        limits = [] if self.hours is None else [3600 * self.hours]
        if self.dollars is not None and place is not None:
            if place.price is None:
                raise InputError(
                    "missing-flag",
                    f"found --dollars={self.dollars:g} and no price of {place.name}; wanted "
                    "--price_per_hour=",
                )
            if place.price:
                limits.append(3600 * self.dollars / (place.price * place.devices))
        if place is None and (self.hours or self.dollars):
            raise InputError(
                "missing-flag",
                "found a budget of hours or dollars and no single --device; wanted one, such as "
                "--device=here or --device=a100_80gb",
            )
        return min(limits, default=None)


@dataclasses.dataclass(frozen=True)
class Question:
    """What was given.

    Attributes:
        model: flags; `size` may be "auto".
        objective: a `roots_tf.objectives.Objective`.
        corpus: what is read.
        optimization: flags, of which those of `NOT_GIVEN` may be such.
        hardware: flags.
        duration: as the flag has it; "": not given.
        budget: what there is.
        place: where; None: not said, or several.
    """

    model: ModelFlags
    objective: object
    corpus: Corpus
    optimization: Optimization
    hardware: Hardware
    duration: str
    budget: Budget
    place: Place | None = None

    @property
    def predictions(self) -> int:
        """Of a row that are projected to the vocabulary, P: all tokens of a causal model."""
        masked, length = getattr(self.objective, "masked", self.objective), self.corpus.length
        return masked.predictions(length) if hasattr(masked, "predictions") else length

    def sizes(self, size: str) -> EncoderConfig:
        """Sizes of the model by a name of `SIZES`, or of the flags."""
        model = dataclasses.replace(self.model, size=size)
        return model.encoder_config(self.corpus.vocabulary_size, self.corpus.length)

    def work(self, size: str, rows: int, steps: int = 1, recompute: bool = False) -> Work:
        """What some steps are.

        Args:
            size: of the model.
            rows: B.
            steps: how many.
            recompute: as the flag.
        """
        config = self.sizes(size)
        how = (rows, steps, recompute, self.decoder(config), self.optimization.optimizer)
        return work_of(self.objective, config, self.corpus, *how)

    def decoder(self, config: EncoderConfig) -> DecoderConfig | None:
        """Sizes of the decoder of an encoder-decoder, else None; `config` is its encoder's."""
        new = self.objective.decoder_config(config)
        if new is None or not self.model.init_from:
            return new
        return describe(self.model.init_from).get("decoder", new)

    def step(self, size: str, rows: int, parts: int, recompute: bool, place: Place | None) -> Step:
        """A step on one device.

        Args:
            size: of the model.
            rows: of a batch on one device.
            parts: micro-batches.
            recompute: as the flag.
            place: where; None: on this machine's processor.
        """
        here = self.hardware.precision.replace(AUTO, "float32")
        config = self.sizes(size)
        return Step(
            config=config,
            objective=self.objective.name,
            rows=-(-rows // parts),
            length=self.corpus.length,
            predictions=self.predictions,
            precision=place.precision if place else here,
            recompute=recompute,
            optimizer=self.optimization.optimizer,
            averaged=self.optimization.ema_decay > 0,
            micro_batches=parts,
            threads=place.threads if place else os.cpu_count(),
            pooled=place.pooled if place else processor.has_onednn(),
            decoder=self.decoder(config),
            target_length=self.objective.target_length(self.corpus.length),
            generator=self.objective.generator_config(config),
        )

    def memory(self, chosen: Proposal, place: Place) -> Footprint:
        """What the steps of a proposal take at a place.

        Args:
            chosen: the proposal.
            place: where.
        """
        rows = -(-chosen.batch_size // place.devices)
        how = (chosen.accumulate_steps, chosen.recompute, place)
        return footprint(self.step(chosen.size, rows, *how))

    @property
    def candidates(self) -> tuple[str, ...]:
        """Sizes that may be proposed."""
        if self.model.size != AUTO:
            return (self.model.size,)
        seconds = self.budget.seconds(self.place)
        if self.model.init_from or seconds is None:
            return ("custom" if self.model.init_from else LIKE_PRETRAIN["size"],)
        causal = self.objective.name == "causal_lm"
        same = {"gpt2_small", "gpt2_medium"}  # as base and large
        return tuple(n for n in SIZES if n not in same and (causal or not n.startswith("gpt2")))


def settle(question: Question) -> Proposal:
    """What is run: what was given, and what is best of what was not.

    Args:
        question: what was given.

    Raises:
        InputError: nothing fits into the budget; the message tells what would.
    """
    predictions, length = question.predictions, question.corpus.length
    if predictions > length:
        raise InputError(
            "number-out-of-range",
            f"found {predictions} predictions and {length} tokens in a row; wanted no more "
            "predictions than tokens: give another --max_predictions_per_seq",
        )
    if question.budget.seconds(question.place) is None:
        return _as_given(question)
    found = [each for size in question.candidates if (each := _candidate(question, size))]
    return proposal.best(found, _refusal(question) if not found else "")


def check_parts(question: Question, chosen: Proposal) -> None:
    """Refuses a batch that cannot be cut as was asked for; see `Optimization.check_parts`.

    Args:
        question: what was given.
        chosen: what is run.
    """
    parts = {"batch_size": chosen.batch_size, "accumulate_steps": chosen.accumulate_steps}
    devices = question.place.devices if question.place else max(1, question.hardware.num_devices)
    dataclasses.replace(question.optimization, **parts).check_parts(devices)


def values_of(chosen: Proposal, duration: str) -> dict:
    """A proposal by the names of `pretrain`'s flags; those of no effect are left out.

    Args:
        chosen: the proposal.
        duration: that was given; "": none.
    """
    values = dataclasses.asdict(chosen) | {"duration": duration or f"{chosen.steps} steps"}
    del values["steps"]
    plain = {"accumulate_steps": 1, "recompute": False}
    return {name: value for name, value in values.items() if value != plain.get(name)}


def in_time(question: Question, chosen: Proposal, speed: Speed) -> Proposal:
    """The proposal with as many steps as the budget gives at a speed that was measured.

    Args:
        question: what was given.
        chosen: what arithmetic proposes.
        speed: of its steps.
    """
    seconds = question.budget.seconds(question.place)
    if seconds is None or question.duration:
        return chosen
    steps = min(max(1, int(seconds / speed.seconds)), MOST_STEPS - 1)
    return dataclasses.replace(chosen, steps=steps)


def _limit(question: Question) -> float | None:
    """Bytes of memory of a device that a step may take."""
    limits = [question.budget.memory, question.place and question.place.available]
    return min((limit for limit in limits if limit), default=None)


def _cut(question: Question, size: str, rows: int) -> tuple[int, bool] | None:
    """Micro-batches and recomputation, as given or as they fit; see `proposal.cut`."""
    given, place = question.optimization.accumulate_steps, question.place
    rows = -(-rows // place.devices) if place else rows

    def bytes_of(parts: int, recompute: bool) -> int:
        return footprint(question.step(size, rows, given or parts, recompute, place)).peak

    found = proposal.cut(rows, _limit(question), bytes_of, question.hardware.recompute)
    return found and (given or found[0], found[1])


def _as_given(question: Question) -> Proposal:
    """Without a budget of time: the flags, with what `pretrain` takes where one was not given."""
    size, optimization, corpus = question.candidates[0], question.optimization, question.corpus
    rows = optimization.batch_size or LIKE_PRETRAIN["batch_size"]
    duration = question.duration or LIKE_PRETRAIN["duration"]
    parts, recompute = optimization.accumulate_steps or 1, question.hardware.recompute
    if question.budget.memory:
        cut = _cut(question, size, rows)
        if cut is None:
            raise InputError("no-memory", _too_little_memory(question, (size,)))
        parts, recompute = cut
    rate = optimization.learning_rate
    return Proposal(
        size=size,
        batch_size=rows,
        accumulate_steps=parts,
        recompute=recompute,
        learning_rate=rate if rate >= 0 else LIKE_PRETRAIN["learning_rate"],
        steps=_steps_of(duration, corpus, rows),
    )


def _steps_of(duration: str, corpus: Corpus, rows: int) -> int:
    if "epoch" in duration.lower() and corpus.rows is None:
        raise InputError(
            "missing-flag",
            f"found --duration={duration!r} and no text; wanted --examples=FOLDER or --tokens=, of "
            "which epochs are counted",
        )
    how = {"batch_size": rows, "num_examples": corpus.rows or 1, "length": corpus.length}
    return steps_of(duration, **how)


def _candidate(question: Question, size: str) -> tuple[float, Proposal] | None:
    """Excess loss and proposal of a size; None where it does not fit into the budget."""
    place, corpus, optimization = question.place, question.corpus, question.optimization
    seconds = question.budget.seconds(place)
    flops = seconds * place.rate

    def steps(rows: int, recompute: bool = False) -> float:
        return seconds / place.speed(question.work(size, rows, 1, recompute)).seconds

    rows = optimization.batch_size or proposal.batch_rows(flops, corpus.length, steps)
    cut = _cut(question, size, rows)
    if cut is None:
        return None
    most = min(int(steps(rows, cut[1])), MOST_STEPS - 1)
    count = _steps_of(question.duration, corpus, rows) if question.duration else most
    if count > most or count < (1 if question.duration else proposal.LEAST_STEPS):
        return None
    work, rate = question.work(size, rows, count), optimization.learning_rate
    if rate < 0:
        rate = proposal.learning_rate(work.flops, question.sizes(size).hidden_dim)
    found = Proposal(size, rows, *cut, rate, count)
    unique = corpus.rows and corpus.rows * corpus.length
    return proposal.excess(work.parameters, work.tokens, unique, question.objective.name), found


def _least_memory(question: Question, size: str) -> int:
    """Bytes of a step of one row, recomputed."""
    return footprint(question.step(size, 1, 1, True, question.place)).peak


def _too_little_memory(question: Question, sizes: tuple[str, ...]) -> str:
    least, size = min((_least_memory(question, size), size) for size in sizes)
    limit = spell_bytes(_limit(question))
    return (
        f"found {limit} of memory; wanted at least {spell_bytes(least)}, which --size={size} takes "
        "with one row at a time and --recompute"
    )


def _refusal(question: Question) -> str:
    """Why nothing fits, and what the smallest budget is."""
    place, sizes, given = question.place, question.candidates, question.optimization.batch_size
    fitting = [s for s in sizes if _least_memory(question, s) <= (_limit(question) or float("inf"))]
    if not fitting:
        return _too_little_memory(question, sizes)
    rows = given or proposal.LEAST_ROWS * place.devices

    def hours(size: str) -> float:
        steps = proposal.LEAST_STEPS
        if question.duration:
            steps = _steps_of(question.duration, question.corpus, rows)
        work = question.work(size, rows, steps)
        return place.hours(work, place.speed(work))

    least, size = min((hours(size), size) for size in fitting)
    steps = f"--duration='{question.duration}'" if question.duration else "100 steps"
    found = {"hours": (question.budget.hours, least)}
    if place.price:
        price = place.price * place.devices
        found["dollars"] = (question.budget.dollars, least * price)
    short = [f"--{name}={has:g}" for name, (has, _) in found.items() if has is not None]
    wanted = [f"--{name}={up(need)}" for name, (has, need) in found.items() if has is not None]
    return (
        f"found {' and '.join(short)} on {place.name}; wanted at least {' and '.join(wanted)}, in "
        f"which --size={size} makes {steps} of {rows} rows"
    )


def up(number: float) -> str:
    """A number, rounded up to two digits.

    >>> up(0.01234), up(7.0)
    ('0.013', '7')
    """
    text = f"{number:.1e}"
    digits, power = text.split("e")
    rounded = float(text)
    if rounded < number * (1 - 1e-12):
        rounded = (float(digits) + 0.1) * 10 ** int(power)
    return f"{rounded:.2g}"
