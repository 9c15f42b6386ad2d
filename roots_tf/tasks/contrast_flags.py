"""Flags of a task that pulls vectors of texts together and pushes others apart."""

import dataclasses

from roots_tf import program

MAX_NEGATIVES = 16  # columns of negatives that are looked for in a table
NEGATIVES = ("negative", *(f"negative_{i}" for i in range(MAX_NEGATIVES)))


@dataclasses.dataclass(frozen=True)
class ContrastFlags:
    """How vectors are compared."""

    temperature: float = program.flag(
        0.05,
        help="cosines are divided by it before the softmax (SimCSE: 0.05)",
        above=0,
        maximum=100,
    )
    symmetric: bool = program.flag(
        False, help="half of the loss is to find a positive's text among all texts of the batch"
    )
    matryoshka_widths: tuple[str, ...] = program.flag(
        (),
        help="vectors cut behind so many places are trained to do by themselves: 64,128,256",
    )
    text_prompt: str = program.flag(
        "", help='put in front of each text, and saved with the model as "query": "query: "'
    )
    positive_prompt: str = program.flag(
        "", help='in front of positives and negatives, saved as "document": "passage: "'
    )
