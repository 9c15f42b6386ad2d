"""Flags of a task whose answers are texts: how they are learned, cut, batched and written."""

import dataclasses

from roots_tf import program


@dataclasses.dataclass(frozen=True)
class TargetFlags:
    """How targets are learned and written."""

    max_target_length: int = program.flag(
        128, help="tokens of a target, its end among them", **program.TOKENS
    )
    tokens_per_batch: int = program.flag(
        0,
        help="padded tokens of sources and targets in a batch, in place of --batch_size pairs; 0: "
        "batches of pairs",
        minimum=0,
        maximum=1 << 24,
    )
    label_smoothing: float = program.flag(
        0.0,
        help="share of each right token that is spread over all, in training: 0.1 is usual",
        minimum=0,
        maximum=0.99,
    )
    r_drop: float = program.flag(
        0.0,
        help="weight of what two passes with different dropout disagree in (R-Drop: 1 to 5), which "
        "take twice the time; 0: one pass",
        minimum=0,
        maximum=1000,
    )
    generate_samples: int = program.flag(
        200,
        help="dev sources that are answered, greedily, at each evaluation on the way; 0: the loss "
        "alone is told",
        minimum=0,
        maximum=1_000_000,
    )
    num_beams: int = program.flag(
        5, help="beams of the answers at the end; 1: greedy", minimum=1, maximum=1000
    )
    length_penalty: float = program.flag(
        1.0,
        help="beams are ranked by log-probability / length to this power",
        minimum=-10,
        maximum=10,
    )
