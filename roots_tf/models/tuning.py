"""What of a model fine-tuning trains: all of it, or little while the rest stays as it was.

    all     every weight
    lora    low-rank updates of the blocks' matrices (`low_rank`)
    bias    biases alone, those of norms among them
    prompt  vectors before the text (`soft_prompt`)
    prefix  keys and values in every layer (`prefix`)
    adapter narrow layers behind the sub-layers of blocks (`bottleneck`), and norms

The head of a task, which no pretrained model has, and the pooler below it are trained in every way.
What is not trained has no gradient and no moments, and is not in a checkpoint. Another way is a
class here and a row of `TUNINGS`. Nothing here loads TensorFlow before a model is there.

What `lora` and `bias` learn can be merged into the weights that were there. The last three add
parts that stay: fields of `EncoderConfig`, by which a model folder, and what reads it, has them.
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from roots_tf import program, spelling
from roots_tf.models.config import DecoderConfig, EncoderConfig
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

    def grown(self, stack: EncoderConfig) -> EncoderConfig:
        """Sizes of a `stack` with the parts that this way adds and that stay."""
        return stack

    def is_new(self, name: str) -> bool:
        """Whether the weight of that `name` is of such a part, which no folder has yet."""
        return False

    def prepare(self, model: "keras.Model") -> None:
        """Gives a `model` the weights that are trained beside its own, or these their start."""

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


class Added(Little):
    """A way that adds parts, which are there when the model is made of `grown` sizes."""

    @property
    def parts(self) -> dict[str, int]:
        """Fields of `EncoderConfig` that this way sets."""
        return dataclasses.asdict(self)

    def check(self, *stacks):
        """Refuses models that have such parts already."""
        schema.check_fields(self)
        for name in self.parts:
            if found := max((getattr(stack, name) for stack in stacks), default=0):
                raise InputError(
                    "flags-conflict",
                    f"found --tune={self.name} and a model with {name}={found}, which it was tuned "
                    "with before; wanted --tune=all, which trains that too, or the model that it "
                    "began with",
                )

    def grown(self, stack):
        """The sizes with its fields."""
        return dataclasses.replace(stack, **self.parts)

    def is_own(self, name):
        """Whether the weight is of a part that is added."""
        return self.is_new(name)


def _stacks(model: "keras.Model") -> list:
    """The `Encoder`, or the two, of a model."""
    return [stack for name in ("encoder", "decoder") if (stack := getattr(model, name, None))]


@dataclasses.dataclass(frozen=True)
class PromptTuning(Added):
    """A soft prompt (Lester et al. 2021, arXiv:2104.08691), of an encoder-decoder in its encoder.

    Attributes:
        prompt_length: its vectors, by which texts must be shorter.
    """

    name: ClassVar[str] = "prompt"
    prompt_length: int = program.flag(
        20, help="vectors before a text, which may be so much shorter", minimum=1, maximum=1 << 12
    )

    def check(self, *stacks):
        """Also refuses where no text would have room, or its distance from the prompt would vary.

        Generation puts padding before short prompts of a batch, and the soft prompt before that.
        """
        super().check(*stacks)
        for stack in stacks:
            if self.prompt_length > stack.max_sequence_length - 3:
                raise InputError(
                    "number-out-of-range",
                    f"found --prompt_length={self.prompt_length} and a model of "
                    f"{stack.max_sequence_length} positions; wanted 3 at least left for a text",
                )
            if stack.causal and (stack.window or stack.positions == "relative"):
                raise InputError(
                    "flags-conflict",
                    "found --tune=prompt and a causal model with a window or relative positions, "
                    "by which it would matter how far before a text the prompt is; wanted "
                    "--tune=prefix or --tune=lora",
                )

    def grown(self, stack):
        """A prompt of all but decoders that attend to an encoder, and so fewer places for texts."""
        if isinstance(stack, DecoderConfig):
            return stack
        length = stack.max_sequence_length - self.prompt_length
        return dataclasses.replace(stack, max_sequence_length=length, **self.parts)

    def is_new(self, name):
        """Whether the weight is the prompt."""
        return name.endswith("/soft_prompt/vectors")

    def prepare(self, model):
        """The prompt begins as rows of the vocabulary."""
        model.encoder.prompt.begin(model.encoder.embeddings.token)


@dataclasses.dataclass(frozen=True)
class PrefixTuning(Added):
    """Keys and values before those of a text (Li and Liang 2021, arXiv:2101.00190).

    Attributes:
        prefix_length: of them, in each layer.
    """

    name: ClassVar[str] = "prefix"
    prefix_length: int = program.flag(
        20, help="keys and values in each layer", minimum=1, maximum=1 << 12
    )

    def check(self, *stacks):
        """Also refuses a prefix longer than the text that it begins as."""
        super().check(*stacks)
        for stack in stacks:
            if self.prefix_length > stack.max_sequence_length:
                raise InputError(
                    "number-out-of-range",
                    f"found --prefix_length={self.prefix_length} and a model of "
                    f"{stack.max_sequence_length} positions; wanted no more than these",
                )

    def is_new(self, name):
        """Whether the weight is of a prefix."""
        return "/prefix/" in name

    def prepare(self, model):
        """Prefixes begin as keys and values of rows of the vocabulary."""
        from roots_tf.models import prefix

        for stack in _stacks(model):
            prefix.begin(stack)


@dataclasses.dataclass(frozen=True)
class AdapterTuning(Added):
    """Narrow layers in blocks, and the blocks' norms (Houlsby et al. 2019, arXiv:1902.00751).

    Attributes:
        adapter_dim: their width.
    """

    name: ClassVar[str] = "adapter"
    adapter_dim: int = program.flag(
        64, help="width of the layer behind each sub-layer of a block", minimum=1, maximum=1 << 14
    )

    def is_new(self, name):
        """Whether the weight is of a narrow layer."""
        return "_bottleneck/" in name

    def is_own(self, name):
        """Whether the weight is of a narrow layer or of a norm inside of a block (section 2.1)."""
        *_, block, layer, _ = f"//{name}".split("/")
        return self.is_new(name) or (block.startswith("layer_") and layer.endswith("_norm"))


def _not_of_this_model(name: str) -> InputError:
    return InputError(
        "wrong-weights",
        f"found weight {name} missing, of another shape or one too many among what was learned; "
        "wanted what this model learns: settings and weights are of different runs",
    )


_WAYS = (Tuning, LowRankTuning, BiasTuning, PromptTuning, PrefixTuning, AdapterTuning)
ALL = Tuning()
TUNINGS = {tuning.name: tuning for tuning in _WAYS}
