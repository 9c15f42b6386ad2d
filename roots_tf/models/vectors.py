"""What a model folder says of the vectors that its model makes: the key `embedding` of model.json.

An encoder that somebody trained for vectors is that encoder with one pooling, one length, one case,
perhaps words in front of each text. Other settings give other vectors, without an error.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from absl import logging

from roots_tf import spelling
from roots_tf.storage import schema
from roots_tf.storage.files import InputError

Pooling = Literal["mean", "cls", "pooler"]


@dataclasses.dataclass(frozen=True)
class EmbeddingSettings:
    """How a text becomes a vector.

    Attributes:
        pooling: as for `roots_tf.models.pooling.embed`.
        l2_normalize: whether vectors are scaled to length 1.
        max_seq_length: tokens of a text at most; None: what the model takes.
        prompts: what may be put in front of a text, by name, such as `{"query": "query: "}`.
        default_prompt_name: the prompt that is put in front of every text; None: nothing is.
        similarity_fn_name: how vectors are to be compared, as sentence-transformers names it.

    Raises:
        InputError: there is no prompt of that name.
    """

    pooling: Pooling = "mean"
    l2_normalize: bool = False
    max_seq_length: int | None = schema.number(None, minimum=3)
    prompts: dict[str, str] = dataclasses.field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None

    def __post_init__(self):
        name = self.default_prompt_name
        if name is not None and name not in self.prompts:
            known = ", ".join(self.prompts) or "none, as the model folder has no prompts"
            raise InputError(
                "no-such-choice",
                f"found the prompt name {name!r}; wanted one of {known}"
                f"{spelling.suggestion(name, self.prompts)}",
            )

    @property
    def prompt(self) -> str:
        """What is put in front of every text."""
        return "" if self.default_prompt_name is None else self.prompts[self.default_prompt_name]

    def length(self, longest: int) -> int:
        """Tokens of a text at most.

        Args:
            longest: what the model takes.
        """
        return min(self.max_seq_length or longest, longest)

    def with_flags(
        self,
        pooling: str | None = None,
        l2_normalize: bool | None = None,
        max_seq_length: int = 0,
        prompt_name: str | None = None,
    ) -> "EmbeddingSettings":
        """These settings but for what flags say; each that is another than the folder's is told.

        Args:
            pooling, l2_normalize: None leaves what the folder says.
            max_seq_length: 0 leaves it.
            prompt_name: None leaves it, "" is no prompt.

        Raises:
            InputError: there is no prompt of that name.
        """
        given = {"pooling": pooling, "l2_normalize": l2_normalize}
        given["max_seq_length"] = max_seq_length or None
        changes = {name: value for name, value in given.items() if value is not None}
        if prompt_name is not None:
            changes["default_prompt_name"] = prompt_name or None
        if self != EmbeddingSettings():  # else nobody has said anything
            for name, value in changes.items():
                if (said := getattr(self, name)) != value:
                    logging.warning("the model folder says %s=%s; flags say %s", name, said, value)
        return dataclasses.replace(self, **changes)

    def __str__(self) -> str:
        shown = f"pooling={self.pooling}, l2_normalize={str(self.l2_normalize).lower()}"
        length = f", max_seq_length={self.max_seq_length}" if self.max_seq_length else ""
        return shown + length + (f", prompt {self.prompt!r}" if self.prompt else "")


def embedding_settings(described: Mapping, folder: str) -> EmbeddingSettings:
    """The settings of a model folder; the usual ones where it has none.

    Args:
        described: what `models.describe` gives for it.
        folder: for messages.

    Raises:
        InputError: what it has are no settings.
    """
    found = described.get("embedding") or {}
    if isinstance(found, EmbeddingSettings):
        return found
    return schema.check(found, EmbeddingSettings, f"embedding of model.json in {folder}")
