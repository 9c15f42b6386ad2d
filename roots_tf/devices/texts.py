"""Sentences to make examples of: by chance, and the same ones each time."""

import random

_WORDS = """
the a old young ship captain door garden letter house morning night opened looked remembered quiet
heavy long under before with and said nothing river walked town light teacher found
""".split()  # noqa: SIM905  (a list of them is thirty lines)


def sentences(count: int, seed: int = 0) -> list[str]:
    """So many sentences.

    Args:
        count: how many.
        seed: of the words.
    """
    rng = random.Random(seed)
    return [" ".join(rng.choices(_WORDS, k=rng.randint(6, 24))) + "." for _ in range(count)]
