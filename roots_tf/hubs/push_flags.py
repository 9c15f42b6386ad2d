"""Flags of an export that goes to a hub, and what its card says that only a person knows."""

import dataclasses
import re

from roots_tf import flags
from roots_tf.storage.files import InputError

# Of language, and of a script or country behind it, such as zh-Hant; or what hubs say of several.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|code|multilingual")
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_DATASET = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class PushFlags:
    """Where an export is uploaded to, and what its model card says."""

    push_to: str = flags.flag(
        "",
        help="repository of the Hugging Face hub, owner/name, that gets the export as one commit; "
        "made where it is not there",
    )
    private: bool = flags.flag(False, help="a repository that --push_to makes is private")
    push_over: bool = flags.flag(
        False, help="--push_to a repository that holds a model: its files make room for these"
    )
    license: str = flags.flag("", help="of the model card: a licence's name there, as apache-2.0")
    language: tuple[str, ...] = flags.flag(
        (), help="of the model card: codes of the languages that the model reads, as en,de"
    )
    datasets: tuple[str, ...] = flags.flag(
        (), help="of the model card: data it learned from, by their names on the hub"
    )

    def __post_init__(self):
        if (self.private or self.push_over) and not self.push_to:
            given = "private" if self.private else "push_over"
            raise InputError(
                "flags-conflict", f"found --{given} and no --push_to; wanted both, or neither"
            )
        wrong = [name for name in self.language if not _LANGUAGE.fullmatch(name)]
        if wrong:
            raise InputError(
                "wrong-value",
                f"found --language={wrong[0]}; wanted codes of ISO 639 such as en or zh-Hant, "
                "`multilingual` or `code`",
            )
        if self.license and not _LICENSE.fullmatch(self.license):
            raise InputError(
                "wrong-value",
                f"found --license={self.license}; wanted a name that the hub lists, such as "
                "apache-2.0, mit or cc-by-sa-4.0; `other` of none of them",
            )
        if wrong := [name for name in self.datasets if not _DATASET.fullmatch(name)]:
            raise InputError(
                "wrong-value", f"found --datasets={wrong[0]}; wanted names such as stanfordnlp/sst2"
            )
