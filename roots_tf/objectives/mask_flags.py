"""The flags of masking, which every objective has that learns masked words."""

import dataclasses
import math
from typing import Literal

from roots_tf import program
from roots_tf.storage import files

MASK_FLAGS = ("masking", "mask_rate", "final_mask_rate", "mask_rate_steps")
MASK_FLAGS += ("max_predictions_per_seq",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskFlags:
    """What is masked together, how much of it, and whether that changes over the steps."""

    masking: Literal["token", "whole_word", "span"] = program.flag("token", help="what is masked")
    mask_rate: float = program.flag(0.15, help="share of tokens to predict", above=0, maximum=0.99)
    final_mask_rate: float = program.flag(
        0.0,
        help="share that --mask_rate moves to, linearly; that of held-out rows too; 0: it stays",
        minimum=0,
        maximum=0.99,
    )
    mask_rate_steps: int = program.flag(
        0, help="updates of the run or phase until it is there", **program.STEPS
    )
    max_predictions_per_seq: int = program.flag(
        0,
        help="most predictions in a sequence; 0: what the highest rate takes of a full one",
        minimum=0,
        maximum=1 << 20,
    )

    @property
    def last_rate(self) -> float:
        """The rate behind the last step at which it changes."""
        return self.final_mask_rate or self.mask_rate

    @property
    def highest_rate(self) -> float:
        """That by which rows have room for predictions."""
        return max(self.mask_rate, self.last_rate)

    def predictions(self, length: int) -> int:
        """Predictions a row, P, at the highest rate.

        Args:
            length: L.
        """
        return self.max_predictions_per_seq or math.ceil(self.highest_rate * length)

    def mask_flags(self) -> dict[str, object]:
        """These flags by name."""
        return {name: getattr(self, name) for name in MASK_FLAGS}

    def check_mask_flags(self, length: int) -> None:
        """Refuses what no row could be masked by.

        Args:
            length: L.

        Raises:
            InputError: a rate is none, one that moves has no steps, or predictions are too few.
        """
        for name in ("mask_rate", "final_mask_rate"):
            rate = getattr(self, name)
            if not 0 < rate < 1 and (name == "mask_rate" or rate != 0):
                raise files.InputError(
                    "number-out-of-range",
                    f"found {name} {rate}; wanted a share between 0 and 1, such as 0.15",
                )
        if bool(self.final_mask_rate) != bool(self.mask_rate_steps):
            raise files.InputError(
                "flags-conflict",
                f"found --final_mask_rate={self.final_mask_rate} and --mask_rate_steps="
                f"{self.mask_rate_steps}; wanted both above 0: the rate that --mask_rate moves to, "
                "and the updates that this takes, such as those of --duration",
            )
        wanted = round(self.highest_rate * length)
        if self.max_predictions_per_seq and not wanted <= self.max_predictions_per_seq <= length:
            raise files.InputError(
                "number-out-of-range",
                f"found max_predictions_per_seq {self.max_predictions_per_seq}, where mask_rate "
                f"{self.highest_rate} takes {wanted} of {length} tokens; wanted at least {wanted} "
                f"and at most {length}, or 0, which takes as many as the rate needs",
            )
