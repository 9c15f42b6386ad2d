"""What is known of a kind of mistake."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A kind of mistake, for one who has met it and wants to know more than its line says.

    Attributes:
        title: one short sentence.
        cause: why it happens, with an example.
        remedy: what to do, beyond what the line itself says.
    """

    title: str
    cause: str
    remedy: str
