"""What to train within a budget: size, batch, micro-batches, duration and learning rate.

Size. With N weights and D tokens the loss above its floor is taken as

    N^-a + (D' / r)^-a

from which a budget of FLOPs is best spent at r tokens a weight, and weights and tokens grow alike
with it. For causal models Hoffmann et al. 2022 (arXiv:2203.15556) found that: exponents 0.50 and
0.50 in table 2, about 20 tokens a weight in table 3, a = 0.34 of weights in section 3.3. For masked
models of text there is no such table. Masked diffusion, a masked model at any mask rate, has
exponents 0.5 and 0.5 too and wants 2 to 5 times as many tokens a weight (Ni et al. 2025,
arXiv:2510.03280): r is 20 times the geometric mean of 2 and 5. That masked models want more data is
also what Urbizu et al. 2023 (ACL Findings, 492) found for small BERTs.

Repeated text. D' counts a token that is seen again for less, and ever less: of U tokens of text

    D' = U + U R (1 - exp(-(D/U - 1) / R))

R is about 15 for causal models, where up to four epochs are nearly as good as new text (Muennighoff
et al. 2023, arXiv:2305.16264), and about 500 for masked diffusion (Prabhudesai et al. 2025,
arXiv:2507.15857).

Batch and learning rate are power laws in the FLOPs C of DeepSeek-AI 2024 (arXiv:2401.02954, section
3.1): 0.2920 C^0.3271 tokens and 0.3118 C^-0.1250. For a day of one GPU, 1e19, they give half a
million tokens and 1.3e-3; masked models were crammed into such a day with a million and 1e-3
(Geiping and Goldstein 2022, arXiv:2212.14034, section 4.3). They were found from 1e17 FLOPs on. The
rate is held below the highest that recipes of this project train with.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

from roots_tf.storage.files import InputError

EXPONENT = 0.34
TOKENS_A_WEIGHT = {"causal_lm": 20.0, "masked_lm": 20.0 * math.sqrt(2 * 5)}
REPEATS = {"causal_lm": 15.0, "masked_lm": 500.0}
GOOD_EPOCHS = 4  # of a causal model, Muennighoff et al. 2023
HIGHEST_RATES = {128: 3e-3}  # by hidden size at most, pipelines/recipes; wider ones:
HIGHEST_RATE = 1e-3
LEAST_STEPS = 100  # a run of fewer tells nothing
WANTED_STEPS = 1000  # for which smaller batches than the law's are taken
LEAST_ROWS, MOST_ROWS = 8, 1 << 14


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What to train.

    Attributes:
        size: as `--size` has it.
        batch_size: rows of a step.
        accumulate_steps: micro-batches of it.
        recompute: whether blocks are computed again in the backward pass.
        learning_rate: the highest.
        steps: updates.
    """

    size: str
    batch_size: int
    accumulate_steps: int
    recompute: bool
    learning_rate: float
    steps: int


def law_of(objective: str) -> str:
    """Which of the laws holds of an objective: a model that is causal by turns is masked mostly.

    Args:
        objective: name of it.
    """
    return objective if objective in TOKENS_A_WEIGHT else "masked_lm"


def worth(tokens: float, unique: float | None, objective: str) -> float:
    """How many tokens that are seen once the tokens of a run are worth, D'.

    >>> round(worth(4e6, 1e6, "causal_lm") / 1e6, 2)
    3.72

    Args:
        tokens: D, of all epochs.
        unique: U, of the text; None: enough.
        objective: name of it.
    """
    if not unique or tokens <= unique:
        return tokens
    repeats = REPEATS[law_of(objective)]
    return unique * (1 + repeats * -math.expm1(-(tokens / unique - 1) / repeats))


def excess(parameters: int, tokens: float, unique: float | None, objective: str) -> float:
    """The loss above its floor, in a unit of its own: of two models the one with less is better.

    Args:
        parameters: N.
        tokens: as for `worth`.
        unique: as for `worth`.
        objective: as for `worth`.
    """
    ratio = TOKENS_A_WEIGHT[law_of(objective)]
    return parameters**-EXPONENT + (worth(tokens, unique, objective) / ratio) ** -EXPONENT


def batch_tokens(flops: float) -> float:
    """Tokens of a batch for a run of so many FLOPs."""
    return 0.2920 * flops**0.3271


def learning_rate(flops: float, hidden_dim: int) -> float:
    """The highest learning rate, to two digits.

    Args:
        flops: of the run.
        hidden_dim: H.
    """
    highest = next((r for h, r in HIGHEST_RATES.items() if hidden_dim <= h), HIGHEST_RATE)
    return float(f"{min(0.3118 * flops**-0.1250, highest):.1e}")


def batch_rows(flops: float, length: int, steps_of: Callable[[int], float]) -> int:
    """Rows of a batch: a power of two near the law, and fewer where there would be few steps.

    Args:
        flops: of the run.
        length: tokens of a row, L.
        steps_of: how many steps of so many rows the budget gives.
    """
    rows = 2 ** round(math.log2(max(1.0, batch_tokens(flops) / length)))
    rows = min(max(rows, LEAST_ROWS), MOST_ROWS)
    while rows > LEAST_ROWS and steps_of(rows) < WANTED_STEPS:
        rows //= 2
    return rows


def cut(
    rows: int, limit: float | None, bytes_of: Callable[[int, bool], int], recompute: bool
) -> tuple[int, bool] | None:
    """Micro-batches and recomputation by which a step fits; None where nothing helps.

    Fewer rows at once are tried before recomputation, which takes a third more work.

    Args:
        rows: of a batch on one device, a power of two or a number that was asked for.
        limit: bytes; None: any number fits.
        bytes_of: what a step takes, of so many micro-batches, with recomputation or without.
        recompute: whether it was asked for.
    """
    parts = [count for count in range(1, rows + 1) if rows % count == 0]
    for again in (True,) if recompute else (False, True):
        for count in parts:
            if limit is None or bytes_of(count, again) <= limit:
                return count, again
    return None


def best(candidates: Sequence[tuple[float, Proposal]], refusal: str) -> Proposal:
    """The candidate with the least excess.

    Args:
        candidates: excess and proposal.
        refusal: the line for where there is none.

    Raises:
        InputError: there is none.
    """
    if not candidates:
        raise InputError("number-out-of-range", refusal)
    return min(candidates, key=lambda pair: pair[0])[1]
