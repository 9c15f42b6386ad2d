"""The flags that say which model is pretrained."""

import dataclasses
from typing import Literal

from absl import logging

from roots_tf import models, program, tokenizers
from roots_tf.models import sizes
from roots_tf.models.config import ADDED, SIZES
from roots_tf.objectives.objective import Objective
from roots_tf.storage import files

Size = Literal[(*SIZES, "custom")]


@dataclasses.dataclass(frozen=True)
class ModelFlags:
    """Which model is trained."""

    init_from: str = program.flag(
        "", help="model folder whose weights and sizes to start from", role="input"
    )
    size: Size = program.flag(
        "mini",
        help="layers and widths, as published; custom: those of the next four flags",
    )
    num_layers: int = program.flag(0, help="layers, for --size=custom", **program.LAYERS)
    hidden_dim: int = program.flag(0, help="hidden size, for --size=custom", **program.WIDTH)
    num_heads: int = program.flag(0, help="attention heads, for --size=custom", **program.WIDTH)
    intermediate_dim: int = program.flag(
        0, help="feed-forward width, for --size=custom", **program.WIDTH
    )
    preset: Literal["auto", "bert", "modern", "gpt2", "llama", "transformer", "t5", "bart"] = (
        program.flag(
            "auto",
            help="bert, gpt2, bart and transformer as published; modern: pre-norm, GeGLU, rotary "
            "positions, no biases; llama: RMS norm, SwiGLU, rotary positions, no biases; t5: its "
            "version 1.1; auto: gpt2 for a causal objective, t5 for denoising, else bert",
        )
    )
    dropout: float = program.flag(0.1, help="dropout rate", **program.DROPOUT)
    initializer_range: float = program.flag(
        0.02,
        help="deviation of initial weights; BERT: 0.02. Narrow models learn faster from more",
        minimum=0,
        maximum=1,
    )

    rotary_base: float = program.flag(
        0.0,
        help="wavelengths of rotary positions, in layers that see a whole row, grow up to 2 pi "
        "times this; longer rows want more; 0: as the model or the preset has it",
        minimum=0,
        maximum=1e9,
    )

    def preset_for(self, objective: Objective) -> str:
        """The preset that `auto` stands for; a model to start from brings parts of its own."""
        if self.preset != "auto":
            return self.preset
        return "bert" if self.init_from else getattr(objective, "preset", Objective.preset)

    def encoder_config(self, vocabulary_size: int, length: int) -> models.EncoderConfig:
        """The sizes: those of `init_from`, of a name, or the four numbers of a custom one.

        Args:
            vocabulary_size: V, of the examples' tokenizer.
            length: tokens of the longest row.

        Raises:
            InputError: they are no sizes, or not those that the examples want.
        """
        if self.init_from:
            own = models.describe(self.init_from)["encoder"]
            self._check_whole(own)
            fits = own.vocabulary_size == vocabulary_size
            if own.vocabulary_size > vocabulary_size:  # rows of the embedding that are no token's
                fits = tokenizers.load(self.init_from).size == vocabulary_size
            if own.positions != "learned" and own.max_sequence_length < length:
                logging.log_first_n(
                    logging.INFO,
                    "%s has seen rows of %d tokens, and goes on with rows of %d",
                    *(1, self.init_from, own.max_sequence_length, length),
                )
                own = dataclasses.replace(own, max_sequence_length=length)
            if not fits or own.max_sequence_length < length:
                raise files.InputError(
                    "wrong-vocabulary",
                    f"found {own.vocabulary_size} ids and {own.max_sequence_length} positions "
                    f"in {self.init_from}; wanted {vocabulary_size} ids and at least {length} "
                    "positions: build the examples with that model's tokenizer and length",
                )
            self._check_sizes(own)
            return self._turned(dataclasses.replace(own, dropout=self.dropout))
        fields = {
            "vocabulary_size": vocabulary_size,
            "max_sequence_length": length,
            "dropout": self.dropout,
            "initializer_range": self.initializer_range,
        }
        numbers = {name: getattr(self, name) for name in sizes.NUMBERS}
        return self._turned(sizes.config(self.size, self.preset, numbers, **fields))

    def _turned(self, config: models.EncoderConfig) -> models.EncoderConfig:
        """The config with the rotary base of the flags, if they have one.

        Raises:
            InputError: positions are no rotary ones.
        """
        if not self.rotary_base:
            return config
        if config.positions != "rotary":
            raise files.InputError(
                "flags-conflict",
                f"found --rotary_base={self.rotary_base:g} and a model of {config.positions} "
                "positions; wanted rotary ones, such as those of --preset=modern",
            )
        return dataclasses.replace(config, rotary_base=self.rotary_base)

    def _check_whole(self, own: models.EncoderConfig) -> None:
        """Refuses parts that were tuned for a task, which packed rows and generators lack."""
        if added := [name for name in ADDED if getattr(own, name)]:
            raise files.InputError(
                "flags-conflict",
                f"found {added[0]}={getattr(own, added[0])} in {self.init_from}, which finetune "
                "--tune has added; wanted the model that it began with",
            )

    def _check_sizes(self, own: models.EncoderConfig) -> None:
        """Refuses sizes beside `init_from` that are not those of that model."""
        wanted = {name: getattr(self, name) for name in sizes.NUMBERS if getattr(self, name)}
        if self.size not in ("custom", type(self).size):
            wanted |= dict(zip(sizes.NUMBERS, models.SIZES.get(self.size, (0, 0)), strict=False))
        wanted |= models.preset_fields(self.preset) if self.preset != "auto" else {}
        for name, value in wanted.items():
            if getattr(own, name) != value:
                raise files.InputError(
                    "flags-conflict",
                    f"found flags of {name}={value} and {getattr(own, name)} in "
                    f"{self.init_from}; wanted --init_from without sizes, which are the model's",
                )
