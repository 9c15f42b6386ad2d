"""The items of one JSON array, as a stream in bounded memory."""

import json
import re
from collections.abc import Iterable, Iterator

from roots_tf.storage.files import InputError

ARRAY = re.compile(r"\s*\[\s*(\{|\]|\Z)")  # of objects
_BETWEEN = re.compile(r"[\s,]*")
_COMPLETE = ("}", "]", '"')  # a number at the end may go on


def texts(blocks: Iterable[str], max_chars: int, path: str) -> Iterator[str]:
    """The JSON text of each item of an array.

        '[{"text": "one"},', ' {"text": "two"}]'  ->  '{"text": "one"}', '{"text": "two"}'

    Args:
        blocks: the text of the file, in pieces of any size.
        max_chars: of an item.
        path: of the file, for messages.

    Raises:
        InputError: an item is longer or is no JSON, the array does not end, or more follows it.
    """
    decoder, carry, begun, ended = json.JSONDecoder(), "", False, False
    for block in blocks:
        carry += block
        if not begun:
            carry, begun = carry.lstrip().removeprefix("["), bool(carry.strip())
        place = 0
        while not ended:
            place = _BETWEEN.match(carry, place).end()
            if ended := carry.startswith("]", place):
                place += 1
                break
            try:
                _, end = decoder.raw_decode(carry, place)
            except (ValueError, RecursionError):
                break  # the next block may hold the rest
            if end == len(carry) and not carry.endswith(_COMPLETE):
                break
            yield carry[place:end]
            place = end
        carry = carry[place:]
        if len(carry) > max_chars or (ended and carry.strip()):
            break
    if carry.strip() or (begun and not ended):
        wanted = "nothing after it" if ended else f"JSON items of at most {max_chars} characters"
        raise InputError(
            "not-json",
            f"found {carry.strip()[:80]!r} in the JSON array of {path}; wanted {wanted}: mend it, "
            "or write JSON lines, an object a line",
        )
