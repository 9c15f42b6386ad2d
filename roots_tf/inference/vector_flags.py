"""Flags of programs that make, or compare texts by, the vectors of a model."""

import dataclasses
from typing import Literal

from roots_tf import program


@dataclasses.dataclass(frozen=True)
class VectorFlags:
    """How texts become vectors."""

    pooling: Literal["mean", "cls", "pooler"] | None = program.flag(
        None, help="which vector of the tokens'; not given: as the model folder says, or mean"
    )
    prompt_name: str | None = program.flag(
        None, help="prompt of the model folder to put in front of texts and queries; empty: none"
    )


@dataclasses.dataclass(frozen=True)
class CorpusVectorFlags(VectorFlags):
    """How texts do, and those of a corpus that is searched."""

    corpus_prompt_name: str | None = program.flag(
        None, help="prompt of the model folder for the corpus; not given: `document` if it is there"
    )
