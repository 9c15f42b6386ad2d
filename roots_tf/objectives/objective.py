"""What an objective is: all that pretraining asks of it, and nothing else.

An objective is a frozen dataclass. Its fields are its flags, made by `program.flag`, so that
`pretrain --objective=NAME` takes them and `--help` shows them. It is importable without
TensorFlow, since flags are parsed and checked first: methods import what is heavy when they are
called. Everything it gives is a pure function of its fields and its arguments.

To write a second one, inherit `Objective`, write its methods and add a row to
`objectives.OBJECTIVES`; BUILD.md goes through it step by step:

    @dataclasses.dataclass(frozen=True)
    class NextToken(Objective):
        name: ClassVar[str] = "next_token"
        of_a_phase: ClassVar[tuple[str, ...]] = ()
        label_smoothing: float = program.flag(
            0.0, help="share of the target spread over all ids", minimum=0, maximum=1
        )

        def check(self, manifest, batch_size, length):
            examples.check_layout(manifest, ("contiguous",), "--objective=next_token")

        ...  # rows_an_epoch, make_rows, make_model, make_task, step_flops, samples and the others

Shape letters are those of `roots_tf.features`.
"""

import abc
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from roots_tf import examples, models, tokenizers


class Proportion(NamedTuple):
    """A measured share beside the wanted one; None where nothing is wanted.

    A name that begins with two spaces is a part of the one above it. With a `unit` it is no share
    but a number, such as of tokens.
    """

    name: str
    measured: float
    wanted: float | None
    unit: str = ""


class Objective(Protocol):
    """What pretraining learns.

    Attributes:
        name: of the objective, as `--objective` takes it.
        of_a_phase: those of its flags that a phase of a run may set for itself. A phase's own
            objective is `dataclasses.replace(objective, **settings)`; the model and the task are
            those of the first phase.
        preset: of `models.PRESETS`, the parts of its model where `--preset` does not say others.
    """

    name: ClassVar[str]
    of_a_phase: ClassVar[tuple[str, ...]]
    preset: ClassVar[str] = "bert"

    @abc.abstractmethod
    def check(self, manifest: dict, batch_size: int, length: int) -> None:
        """Finds all that can be wrong with the flags and these examples, before anything is done.

        It reads no file, writes none and needs no TensorFlow. What it lets pass, `make_rows` takes,
        but for a tokenizer that lacks a special token.

        Args:
            manifest: of the examples, from `examples.load`.
            batch_size: rows of the global batch, B.
            length: tokens of a row, L.

        Raises:
            InputError: a flag is out of its range, flags do not go together, or they do not go with
                these examples; for examples of another layout the message names the command that
                builds the right ones.
        """

    @abc.abstractmethod
    def rows_an_epoch(self, manifest: dict, length: int, split: str = "train") -> int:
        """Rows that one epoch of a split gives; no TensorFlow.

        Args:
            manifest: of the examples.
            length: tokens of a row, L.
            split: "train" or "held_out".
        """

    def tokenizer_of(self, tokenizer: "tokenizers.Tokenizer") -> "tokenizers.Tokenizer":
        """The tokenizer of rows and model, with the special tokens that this objective needs.

        Whoever loads the tokenizer of examples for an objective hands it through here. What it
        gives for its own tokenizer is that tokenizer, and every old id keeps its token.

        Args:
            tokenizer: of the examples.
        """
        return tokenizer

    @abc.abstractmethod
    def make_rows(
        self, manifest: dict, split: str, tokenizer: "tokenizers.Tokenizer", length: int
    ) -> "examples.RowMaker":
        """How records become rows, and rows a batch; `examples.pipeline` takes this method.

        Args:
            manifest: of the examples.
            split: "train" or "held_out".
            tokenizer: of the examples, before `tokenizer_of`.
            length: tokens of a row, L.

        Raises:
            InputError: as `check`; the tokenizer lacks a special token.
        """

    def make_shown_rows(
        self, manifest: dict, split: str, tokenizer: "tokenizers.Tokenizer", length: int
    ) -> "examples.RowMaker":
        """As `make_rows`, for inspect-examples: batches may have features for `render` alone.

        Args:
            manifest: of the examples.
            split: "train" or "held_out".
            tokenizer: of the examples.
            length: tokens of a row, L.
        """
        return self.make_rows(manifest, split, tokenizer, length)

    @abc.abstractmethod
    def make_model(
        self,
        config: "models.EncoderConfig",
        *,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ) -> "keras.Model":
        """The model that is trained, with new weights.

        It is a class of `roots_tf.models`, or another with `config` and `encoder`; it, or what
        `finished` makes of it, has a row of `models.folder.MODELS`, by which its folder is read.

        Args:
            config: its sizes.
            seed: of the initial weights.
            precision: a Keras dtype policy name: "float32", "mixed_bfloat16" or "mixed_float16".
            recompute: whether blocks are computed again in the backward pass, to save memory.

        An objective with `model_parts` takes these too, by name.
        """

    def model_parts(self, tokenizer: "tokenizers.Tokenizer", length: int, folder: str = "") -> dict:
        """What `make_model` is given besides sizes and how it computes, by name.

        Args:
            tokenizer: from `tokenizer_of`.
            length: tokens of the longest row.
            folder: of the model to start from; "" where there is none.

        Raises:
            InputError: the objective cannot start from that model.
        """
        return {}

    def finished(self, model: "keras.Model") -> "keras.Model":
        """What of a trained model is saved: of `models.folder.MODELS`. It is not trained further.

        Args:
            model: from `make_model`.
        """
        return model

    def generator_config(self, config: "models.EncoderConfig") -> "models.GeneratorConfig | None":
        """Sizes of the generator beside a discriminator; None of other models.

        Args:
            config: sizes of the discriminator.
        """
        return None

    def decoder_config(self, config: "models.EncoderConfig") -> "models.DecoderConfig | None":
        """Sizes of the decoder of an encoder-decoder with new weights; None of other models.

        Args:
            config: sizes of the encoder.
        """
        return None

    def target_length(self, length: int) -> int:
        """Tokens of a target, T, of rows whose sources have L; 0 where there are no targets.

        Args:
            length: L.
        """
        return 0

    @abc.abstractmethod
    def make_task(self, model: "keras.Model", tokenizer: "tokenizers.Tokenizer"):
        """What is trained, a `training.step.Task`: the model, its losses and its scores.

        Args:
            model: from `make_model`.
            tokenizer: of the examples.
        """

    @abc.abstractmethod
    def step_flops(self, config: "models.EncoderConfig", batch_size: int, length: int) -> float:
        """Floating-point operations of the model's products in one step, forward and backward.

        Args:
            config: sizes of the model.
            batch_size: B.
            length: L.
        """

    @abc.abstractmethod
    def samples(
        self,
        task,
        batch: dict[str, "tf.Tensor"],
        tokenizer: "tokenizers.Tokenizer",
        count: int = 4,
    ) -> dict[str, str]:
        """What the model answers now, for people: Markdown texts by name, for TensorBoard.

        Args:
            task: from `make_task`.
            batch: features [B, ...] of held-out examples.
            tokenizer: of the examples.
            count: rows to show, the first of the batch.
        """

    @abc.abstractmethod
    def render(
        self,
        features: dict[str, "np.ndarray"],
        row: int,
        tokenizer: "tokenizers.Tokenizer",
        color: bool,
    ) -> str:
        """One row of a batch as text, with what is to be learned marked, for inspect-examples.

        Args:
            features: a batch as NumPy arrays.
            row: which row of it.
            tokenizer: of the examples.
            color: whether to mark by color (ANSI escapes).
        """

    @abc.abstractmethod
    def proportions(
        self,
        batches: Iterable[dict[str, "np.ndarray"]],
        manifest: dict,
        split: str,
        tokenizer: "tokenizers.Tokenizer",
        length: int,
    ) -> list[Proportion]:
        """Shares measured in some batches beside the wanted ones, for inspect-examples.

        Args:
            batches: batches as NumPy arrays.
            manifest: of the examples.
            split: "train" or "held_out".
            tokenizer: of the examples.
            length: tokens of a row, L.
        """
