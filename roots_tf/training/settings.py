"""How anything is trained, as flags: three groups that `pretrain`, `finetune` and `distill` share.

Nothing here imports TensorFlow, so that a program can show its flags at once.
"""

import dataclasses
import json
import os
from collections.abc import Collection
from typing import ClassVar, Literal

from roots_tf import program
from roots_tf.storage.files import InputError

Schedule = Literal["linear", "cosine", "inverse_sqrt", "constant", "warmup_stable_decay"]


@dataclasses.dataclass(frozen=True)
class Optimization:
    """What decides an update, besides the task and its batch."""

    batch_size: int = program.flag(32, help="rows or examples in a global batch", **program.ROWS)
    learning_rate: float = program.flag(1e-4, help="highest learning rate", minimum=0, maximum=10)
    schedule: Schedule = program.flag(
        "linear", help="how the learning rate falls after the warm-up"
    )
    warmup_steps: int = program.flag(
        -1, help="updates of rising learning rate; -1: a share of them", **program.STEPS
    )
    warmup_share: float = program.flag(
        0.1, help="that share, of all updates of the run or phase", minimum=0, maximum=1
    )
    decay_share: float = program.flag(
        0.2,
        help="share of the updates, the last, in which warmup_stable_decay falls",
        above=0,
        maximum=1,
    )
    decay_shape: Literal["linear", "one_minus_sqrt"] = program.flag(
        "linear", help="how it falls there"
    )
    optimizer: Literal["adamw", "scaled_adamw", "lamb", "muon"] = program.flag(
        "adamw",
        help="scaled_adamw: rates are times the root of a weight's mean square; lamb: for large "
        "batches; muon: orthogonal updates of the blocks' matrices, AdamW for the rest",
    )
    beta_2: float = program.flag(
        0.999,
        help="share of AdamW's and LAMB's mean of squared gradients that a step keeps; less in a "
        "short run",
        minimum=0.1,
        maximum=0.999999,
    )
    weight_decay: float = program.flag(
        0.01, help="decay of matrices, none of biases and norms", minimum=0, maximum=10
    )
    max_grad_norm: float = program.flag(
        1.0, help="clip gradients to this global norm; 0: do not", minimum=0, maximum=1e6
    )
    ema_decay: float = program.flag(
        0.0,
        help="keep a moving average of the weights, such as 0.999, and give that; 0: do not",
        minimum=0,
        maximum=0.999999,
    )
    average_checkpoints: int = program.flag(
        0,
        help="give the mean of the weights at the end and at so many checkpoints less one before "
        "it, such as 5; evaluations judge, and --patience keeps, the mean at their step; 0, 1: do "
        "not",
        minimum=0,
        maximum=100,
    )
    accumulate_steps: int = program.flag(
        1, help="micro-batches a step is cut into", role="free", **program.ROWS
    )

    def __post_init__(self):
        """Refuses two averages at once.

        Raises:
            InputError: weights are averaged over steps and over checkpoints.
        """
        if self.ema_decay and self.average_checkpoints > 1:
            raise InputError(
                "flags-conflict",
                f"found --ema_decay={self.ema_decay} and --average_checkpoints="
                f"{self.average_checkpoints}; wanted one of them: both average the weights",
            )

    def check_decay(self, schedules: Collection[str]) -> None:
        """Refuses a decay that nothing has.

        Args:
            schedules: of the run, or of its phases.

        Raises:
            InputError: flags of the decay are given, and no schedule is `warmup_stable_decay`.
        """
        usual = (Optimization.decay_share, Optimization.decay_shape)
        given = (self.decay_share, self.decay_shape)
        if "warmup_stable_decay" not in schedules and given != usual:
            raise InputError(
                "flags-conflict",
                f"found --decay_share={self.decay_share} and --decay_shape={self.decay_shape} with "
                f"--schedule={', '.join(schedules)}; wanted them with warmup_stable_decay alone",
            )

    def check_average(self, cadence: "Cadence", steps: int) -> None:
        """Refuses a mean of more checkpoints than a run writes.

        Args:
            cadence: of the run.
            steps: of the run.

        Raises:
            InputError: a mean of fewer would come out.
        """
        count, every = self.average_checkpoints, cadence.checkpoint_every
        written = 1 + ((steps - 1) // every if every else 0)
        if count > max(written, 1):
            raise InputError(
                "flags-conflict",
                f"found --average_checkpoints={count} and --checkpoint_every={every}, by which a "
                f"run of {steps:,} steps writes {written}; wanted {count}: give "
                f"--checkpoint_every={max(1, steps // count):d}, or fewer to average",
            )

    def decided_by(self, cadence: "Cadence") -> dict[str, int]:
        """Flags of the `cadence` that decide which weights are averaged, by name."""
        averages = self.average_checkpoints > 1
        return {"checkpoint_every": cadence.checkpoint_every} if averages else {}

    def warmup_of(self, steps: int) -> int:
        """Updates of the warm-up, of a run or phase of so many `steps`."""
        return self.warmup_steps if self.warmup_steps >= 0 else int(self.warmup_share * steps)

    def decay_of(self, steps: int) -> int:
        """Updates of the decay of `warmup_stable_decay`, of a run or phase of so many `steps`."""
        return max(round(self.decay_share * steps), 1)

    def schedule_of(self, steps: int) -> dict[str, object]:
        """What the schedule takes beside the step, of a run or phase of so many `steps`."""
        warmup_steps = self.warmup_of(steps)
        takes = {"peak": self.learning_rate, "warmup_steps": warmup_steps, "total_steps": steps}
        if self.schedule == "warmup_stable_decay":
            takes |= {"decay_steps": self.decay_of(steps), "shape": self.decay_shape}
        return takes

    def check_parts(self, replicas: int) -> None:
        """Refuses a batch that cannot be cut into equal parts.

        Args:
            replicas: devices that share each global batch.

        Raises:
            InputError: it is no multiple of the replicas times the micro-batches.
        """
        parts = replicas * self.accumulate_steps
        if self.batch_size % parts:
            raise InputError(
                "wrong-batch",
                f"found --batch_size={self.batch_size}; wanted a multiple of {parts}, the "
                "replicas times --accumulate_steps",
            )

    def fitted(self, num_examples: int, replicas: int, source: str) -> "Optimization":
        """This with a batch of at most all examples, in equal parts.

        Args:
            num_examples: how many there are.
            replicas: devices that share each global batch.
            source: the file that they are from, for messages.

        Raises:
            InputError: see `check_parts` and `check_decay`; or there are fewer examples than parts.
        """
        self.check_parts(replicas)
        self.check_decay((self.schedule,))
        parts = replicas * self.accumulate_steps
        batch_size = min(self.batch_size, num_examples // parts * parts)
        if not batch_size:
            raise InputError(
                "wrong-batch",
                f"found {num_examples} examples in {source}; wanted {parts} at least, the replicas "
                "times --accumulate_steps",
            )
        return dataclasses.replace(self, batch_size=batch_size)


@dataclasses.dataclass(frozen=True)
class Hardware:
    """Where the step runs, its precision, and how it is compiled."""

    role: ClassVar[str] = "free"  # of the flags: other devices do not make another run
    strategy: Literal["auto", "one_device", "mirrored", "multi_worker", "tpu"] = program.flag(
        "auto", help="where to train; multi_worker reads TF_CONFIG"
    )
    num_devices: int = program.flag(
        0, help="devices; 0: all. Without GPUs: logical CPU devices", minimum=0, maximum=4096
    )
    tpu: str = program.flag("", help="name of the TPU, or local")
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = program.flag(
        "auto", help="type of the products; weights are float32", role="decides"
    )
    jit_compile: Literal["auto", "true", "false"] = program.flag(
        "auto", help="compile forward and backward whole with XLA", role="decides"
    )
    recompute: bool = program.flag(False, help="save memory: compute blocks again going backward")
    peak_flops: float = program.flag(
        0.0,
        help="FLOP/s of the devices together, for utilization; 0: measure products first",
        minimum=0,
        maximum=1e21,
    )

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files of the run: not so of other workers of `TF_CONFIG`.

        As `Machine.is_chief`, before TensorFlow is there; a `TF_CONFIG` that is none is named then.
        """
        if self.strategy not in ("auto", "multi_worker"):
            return True
        try:
            cluster = json.loads(os.environ.get("TF_CONFIG", "{}"))
            chiefs, task = cluster["cluster"].get("chief", []), cluster["task"]
            return task["type"] == "chief" or (not chiefs and int(task["index"]) == 0)
        except (ValueError, KeyError, TypeError, AttributeError):
            return True


@dataclasses.dataclass(frozen=True)
class Cadence:
    """When a run reports, evaluates and saves, in updates."""

    role: ClassVar[str] = "free"  # of the flags
    steps_per_call: int = program.flag(
        10, help="updates between two returns to Python", minimum=1, maximum=10_000
    )
    log_every: int = program.flag(
        50, help="updates between two log lines", minimum=1, maximum=2**31 - 1
    )
    evaluate_every: int = program.flag(
        1_000,
        help="updates between two evaluations; 0: at the end, or each epoch for --patience",
        **program.STEPS,
    )
    checkpoint_every: int = program.flag(
        1_000, help="updates between two checkpoints; 0: at the end", **program.STEPS
    )
    histogram_every: int = program.flag(
        0, help="updates between histograms of weights; 0: never", **program.STEPS
    )
    report_to: tuple[str, ...] = program.flag(
        (),
        help="trackers that get the same scalars: wandb, mlflow (`pip install 'roots-tf[wandb]'`); "
        "none: nothing is sent",
    )
    profile: tuple[str, ...] = program.flag(
        (), help="two steps, such as 100,110, between which TensorFlow's profiler records"
    )

    def __post_init__(self):
        """Refuses what names no two steps.

        Raises:
            InputError: `profile` is not two numbers, the second above the first.
        """
        numbers = [int(text) for text in self.profile if text.strip().isdigit()]
        if self.profile and not (
            len(numbers) == len(self.profile) == 2 and numbers[0] < numbers[1]
        ):
            raise InputError(
                "wrong-value",
                f"found --profile={','.join(self.profile)}; wanted two steps, such as 100,110",
            )

    @property
    def profiled(self) -> tuple[int, int] | None:
        """The two steps between which the profiler records, or None."""
        return (int(self.profile[0]), int(self.profile[1])) if self.profile else None
