"""What of a model fine-tuning trains: all of it, or little while the rest stays as it was.

    all     every weight
    lora    low-rank updates of the blocks' matrices (`low_rank`)
    bias    biases alone, those of norms among them

The head of a task, which no pretrained model has, and the pooler below it are trained in every way.
What is not trained has no gradient and no moments, and is not in a checkpoint. Another way is a
class here and a row of `TUNINGS`. Nothing here loads TensorFlow before a model is there.
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from roots_tf import program, spelling
from roots_tf.models.config import EncoderConfig
from roots_tf.storage import schema
from roots_tf.storage.files import InputError

if TYPE_CHECKING:
    import keras
    import numpy as np

# The linear maps of a block, as `lora_targets` calls them; the last two are the feed-forward layer.
TARGETS = ("query", "key", "value", "output", "expand", "contract")
_HEADS = ("pooler", "classes")


@dataclasses.dataclass(frozen=True)
class Tuning:
    """Every weight is trained; other ways inherit from this one. Fields are flags.

    Attributes:
        name: of the way, as `--tune` and `adapter.json` have it.
    """

    name: ClassVar[str] = "all"

    @property
    def keeps(self) -> bool:
        """Whether some weights stay as they were, so that what is learned is little."""
        return False

    def check(self, *stacks: EncoderConfig) -> None:
        """Refuses models that this way does not apply to.

        Args:
            *stacks: sizes of the model's.

        Raises:
            InputError: it does not.
        """

    def prepare(self, model: "keras.Model") -> None:
        """Gives a `model` the weights that are trained beside its own; outputs stay as they are."""

    def trains(self, name: str) -> bool:
        """Whether the weight of that `name` is trained."""
        return True

    def learned(self, model: "keras.Model") -> dict[str, "np.ndarray"]:
        """The weights of a trained `model` that are trained, by name."""
        return {v.path: v.numpy() for v in model.variables if self.trains(v.path)}

    def merge(self, model: "keras.Model", learned: dict[str, "np.ndarray"]) -> None:
        """Gives a model what another one has learned.

        Args:
            model: not prepared, of the weights that fine-tuning began with.
            learned: from `learned` of the other.

        Raises:
            InputError: what was learned is none of this model.
        """
        own = {variable.path: variable for variable in model.variables}
        for name, value in learned.items():
            if name not in own or tuple(own[name].shape) != value.shape:
                raise _not_of_this_model(name)
            own[name].assign(value)


class Little(Tuning):
    """A way that leaves most weights as they were."""

    @property
    def keeps(self) -> bool:
        """True."""
        return True

    def trains(self, name: str) -> bool:
        """Whether the weight of that `name` is the head's, or one that this way is about."""
        return name.partition("/")[0] in _HEADS or self.is_own(name)

    def is_own(self, name: str) -> bool:
        """Whether this way is about the weight of that `name`."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class LowRankTuning(Little):
    """LoRA (Hu et al. 2021, arXiv:2106.09685): x W + alpha / rank x A B in place of x W.

    Attributes:
        lora_rank: columns of A [K, rank] and rows of B [rank, M].
        lora_alpha: the update is multiplied by alpha / rank.
        lora_targets: of `TARGETS`, the maps that have an update; none: all of them.
    """

    name: ClassVar[str] = "lora"
    lora_rank: int = program.flag(
        8, help="rank of the update of a linear map", minimum=1, maximum=1 << 12
    )
    lora_alpha: float = program.flag(
        16.0, help="updates are multiplied by alpha / rank", above=0, maximum=1e4
    )
    lora_targets: tuple[str, ...] = program.flag(
        (), help=f"maps of a block that get an update, of {', '.join(TARGETS)}; none: all"
    )

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the maps that have an update."""
        return self.lora_targets or TARGETS

    def check(self, *stacks):
        """Refuses a target that no block has."""
        schema.check_fields(self)
        for target in self.lora_targets:
            if target not in TARGETS:
                raise InputError(
                    "no-such-choice",
                    f"found lora_targets={target}; wanted some of {', '.join(TARGETS)}"
                    f"{spelling.suggestion(target, TARGETS)}",
                )

    def prepare(self, model):
        """Adds a pair of matrices for each map, of which the second is zero."""
        from roots_tf.models import low_rank

        low_rank.add(model, self.targets, self.lora_rank, self.lora_alpha / self.lora_rank)

    def is_own(self, name):
        """Whether the weight is one of a pair."""
        return name.endswith(("/down", "/up"))

    def merge(self, model, learned):
        """Adds the products of the pairs to the matrices, in float64."""
        from roots_tf.models import low_rank

        pairs = {name: value for name, value in learned.items() if self.is_own(name)}
        super().merge(model, {n: value for n, value in learned.items() if n not in pairs})
        targets, scale = self.targets, self.lora_alpha / self.lora_rank
        for kernel in low_rank.targeted(model, targets):
            names = f"{kernel.path}/down", f"{kernel.path}/up"
            shapes = low_rank.shapes(kernel, targets, self.lora_rank)
            found = [pairs.pop(name, None) for name in names]
            for name, value, shape in zip(names, found, shapes, strict=True):
                if value is None or value.shape != shape:
                    raise _not_of_this_model(name)
            kernel.assign(low_rank.merged(kernel, targets, *found, scale))
        if pairs:
            raise _not_of_this_model(min(pairs))


@dataclasses.dataclass(frozen=True)
class BiasTuning(Little):
    """Biases alone, of linear maps and norms (BitFit, Ben Zaken et al. 2021, arXiv:2106.10199)."""

    name: ClassVar[str] = "bias"

    def check(self, *stacks):
        """Refuses models without biases."""
        if not all(stack.bias for stack in stacks):
            raise InputError(
                "flags-conflict",
                "found --tune=bias and a model that has no biases, as those of the presets modern, "
                "llama and t5; wanted --tune=lora or --tune=all",
            )

    def is_own(self, name):
        """Whether the weight is a bias."""
        last = name.rpartition("/")[2]
        return last == "beta" or last.endswith("bias")


def _not_of_this_model(name: str) -> InputError:
    return InputError(
        "wrong-weights",
        f"found weight {name} missing, of another shape or one too many among what was learned; "
        "wanted what this model learns: settings and weights are of different runs",
    )


ALL = Tuning()
TUNINGS = {tuning.name: tuning for tuning in (Tuning, LowRankTuning, BiasTuning)}
