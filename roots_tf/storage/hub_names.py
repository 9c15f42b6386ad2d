"""Names of models on hubs, as a flag may say them where a folder is wanted.

google-bert/bert-base-uncased     a repository of the Hugging Face hub: owner/name
gpt2                              one of its first, which have no owner
hf://google-bert/bert-base-uncased
keras_hub:bert_tiny_en_uncased    a preset of keras-hub
"""

import os
import re

HUGGING_FACE, KERAS_HUB = "hf://", "keras_hub:"
# What huggingface_hub takes for a name, but for its length: utils/_validators.py.
_PART = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_NAME = re.compile(rf"{_PART}(/{_PART})?", re.ASCII)
_LONGEST = 96
_SIGNS = set("/-_0123456789")  # of which a model's name has one, and a misspelt word seldom


def repository(name: str) -> str:
    """The repository of the Hugging Face hub that a name may mean; "" of one that is a path.

    >>> repository("hf://a/b"), repository("google-bert/bert-base-uncased"), repository("bert/")
    ('a/b', 'google-bert/bert-base-uncased', '')

    Args:
        name: value of a flag. What is there, or would lie in a folder that is, is a path.
    """
    given = name.removeprefix(HUGGING_FACE)
    is_name = _NAME.fullmatch(given) and len(given) <= _LONGEST
    if not is_name or "--" in given or ".." in given or given.endswith(".git"):
        return ""
    if given != name:
        return given
    owner = given.partition("/")[0]
    return "" if os.path.lexists(name) or os.path.lexists(owner) else given


def preset(name: str) -> str:
    """The preset of keras-hub that a `name` means; "" of any other name."""
    return name.removeprefix(KERAS_HUB) if name.startswith(KERAS_HUB) else ""


def import_command(name: str) -> str:
    """The end of a message about a model folder that is not there: how one comes from a hub.

    Args:
        name: that was given for the folder; "" comes back of what is no name of a hub.
    """
    found = repository(name) or preset(name)
    if not found or not (set(found) & _SIGNS):
        return ""
    folder = f"work/{found.rpartition('/')[2]}"
    return (
        f"; if that is a model of a hub, `roots import --from={name} --output={folder}` makes a "
        "folder of it"
    )
