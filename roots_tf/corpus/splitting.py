"""A stream of text into documents or lines, of which none grows without bound."""

import re
from collections.abc import Iterable, Iterator

from roots_tf.corpus.tally import Tally


def split_stream(
    blocks: Iterable[str], separator: re.Pattern | None, max_chars: int, tally: Tally
) -> Iterator[str]:
    """Parts of a stream of text between separators, stripped; blank parts are left out.

    The last part is cut as it grows, so that no more than `max_chars` and a block are held.

    Args:
        blocks: the text, in pieces of any size.
        separator: what stands between parts; None: the whole stream is one part.
        max_chars: a longer part is cut into several.
        tally: notes the cuts.
    """
    carry = ""
    for block in blocks:
        *parts, carry = separator.split(carry + block) if separator else [carry + block]
        if len(carry) > max_chars:
            *pieces, carry = cut(carry, max_chars, tally)
            parts += pieces
        yield from filter(None, map(str.strip, parts))
    if carry := carry.strip():
        yield carry


def cut(text: str, max_chars: int, tally: Tally) -> list[str]:
    """Cuts a `text` after the last newline, else space, else anywhere, to at most `max_chars`.

    The cuts depend on the text alone, not on the blocks that it is read in: what remains after the
    last cut is joined with the next block. The `tally` notes the cuts.
    """
    pieces = []
    while len(text) > max_chars:
        half = max_chars // 2
        cut = text.rfind("\n", half, max_chars) + 1 or text.rfind(" ", half, max_chars) + 1
        pieces.append(text[: cut or max_chars])
        text = text[cut or max_chars :]
        tally.note("documents_cut_at_max_chars")
    return [*pieces, text]


def lines(blocks: Iterable[str], max_chars: int) -> Iterator[str]:
    """Lines of `blocks` that are not blank; of a line above `max_chars`, a head that is longer."""
    carry, skipping = "", False
    for block in blocks:
        *whole, carry = (carry + block).split("\n")
        if whole and skipping:
            del whole[0]
            skipping = False
        yield from (line for line in whole if line and not line.isspace())
        if len(carry) > max_chars:
            if not skipping:
                yield carry
            carry, skipping = "", True
    if carry and not skipping and not carry.isspace():
        yield carry
