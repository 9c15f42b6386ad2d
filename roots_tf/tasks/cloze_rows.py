"""Rows of a template around texts: `{text} It was [MASK].` (Schick & Schütze, arXiv:2001.07676).

What stands in a template is encoded by itself, and a space before a place goes with what fills it:
a tokenizer that keeps spaces then sees a text, or a word behind [MASK], as it stands in a sentence.
Core ragged ops only: Python and the served graph cut the same rows.
"""

import re
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf.labelled import plain_text
from roots_tf.labelled.token_rows import TokenRows
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import packing

TEXTS = ("text", "text_pair")
MASK = "[MASK]"
_PLACE = re.compile(r"\{\w*\}|\[MASK\]")
_TEXTS_AT_ONCE = 1024  # so that padding to the full length never stands in memory for all of them


class Part(NamedTuple):
    """A part of a template.

    Attributes:
        name: "text", "text_pair", "mask", or "" of what is written as it stands.
        written: that.
        space: whether a space stood before the place, which what fills it begins with.
    """

    name: str
    written: str = ""
    space: bool = False


def parse(template: str) -> tuple[Part, ...]:
    """The parts of a template.

    >>> parse("{text} It was [MASK].")
    (Part('text'), Part('', ' It was'), Part('mask', space=True), Part('', '.'))

    Args:
        template: text with `{text}`, or also `{text_pair}`, and one `[MASK]`; a backslash and an n,
            as a command line can hold them, are an end of line.

    Raises:
        InputError: a place is missing, stands twice, or has a name that there is not.
    """
    template = template.replace("\\n", "\n")
    parts, end = [], 0
    for found in [*_PLACE.finditer(template), None]:
        written = template[end : found.start() if found else None]
        kept = written.rstrip(" ") if found else written
        if kept:
            parts.append(Part("", kept))
        if found:
            name = "mask" if found[0] == MASK else found[0][1:-1]
            if name not in (*TEXTS, "mask"):
                raise _wrong(template, f"{found[0]} in it", "{text}, {text_pair} and [MASK] alone")
            parts.append(Part(name, space=kept != written))
            end = found.end()
    names = [part.name for part in parts if part.name]
    for name, wanted in (("mask", MASK), ("text", "{text}")):
        if name not in names:
            raise _wrong(template, f"no {wanted} in it", "one, such as '{text} It was [MASK].'")
    for name in set(names):
        if names.count(name) > 1:
            more = "; a word of several pieces gets as many by itself" if name == "mask" else ""
            raise _wrong(template, f"{names.count(name)} places for {name}", f"one{more}")
    return tuple(parts)


def _wrong(template: str, found: str, wanted: str) -> InputError:
    return InputError(
        "wrong-template", f"found {found}, the template {template!r}; wanted {wanted}"
    )


class Filled:
    """A template that texts are put into.

    Args:
        template: as `parse` takes it.
        tokenizer: the model's.
        length: tokens of a row at most.

    Raises:
        InputError: the template is wrong, leaves no room for texts, or the tokenizer lacks [MASK].
    """

    def __init__(self, template: str, tokenizer, length: int):
        self.parts, self.tokenizer, self.length = parse(template), tokenizer, length
        self.begin, self.mark, self.end = self.special_ids()
        self._written = {
            part.written: tokenizer.encode([part.written])[0]
            for part in self.parts
            if not part.name
        }
        self.texts = tuple(part.name for part in self.parts if part.name in TEXTS)
        self.spaces = {part.name: " " * part.space for part in self.parts if part.name}

    def special_ids(self) -> tuple[list[int], int, list[int]]:
        """Ids of what begins a row, of what stands in place of a word, and of what ends a row."""
        if self.tokenizer.mask_id is None:
            raise InputError(
                "no-special-token",
                "found a tokenizer without [MASK]; wanted that of a masked language model",
            )
        return [self.tokenizer.cls_id], self.tokenizer.mask_id, [self.tokenizer.sep_id]

    def fixed(self, masks: int) -> int:
        """Tokens of a row that no text gives, with so many `masks`."""
        written = sum(len(self._written[part.written]) for part in self.parts if not part.name)
        return len(self.begin) + len(self.end) + masks + written

    def marks(self, masks: int) -> list[int]:
        """Ids that stand in a row in place of a word of so many pieces."""
        return [self.mark] * masks

    def begins(self, batch: tf.Tensor, left: tf.Tensor) -> list:
        """What rows begin with: ids that all have, or ragged ids [B, None].

        Args:
            batch: int32 [], rows.
            left: int32 [B], tokens that their texts leave free.
        """
        return [self.begin]

    def kept(self, ids: dict[str, tf.RaggedTensor], masks: int) -> dict[str, tf.Tensor]:
        """Tokens of each text that have room beside so many `masks`, int32 [B]; `ids` as below."""
        room = self.length - self.fixed(masks)
        sizes = [tf.cast(ids[name].row_lengths(), tf.int32) for name in self.texts]
        if len(sizes) == 1:
            return {"text": tf.minimum(sizes[0], room)}
        sizes = [tf.cast(ids[name].row_lengths(), tf.int32) for name in TEXTS]
        return dict(zip(TEXTS, packing.trimmed_lengths(*sizes, room), strict=True))

    def check(self, masks: int) -> None:
        """Refuses a length in which no text has room beside so many `masks`.

        Raises:
            InputError: it has none.
        """
        least = self.fixed(masks) + len(self.texts)
        if self.length < least:
            raise InputError(
                "too-short",
                f"found max_seq_length={self.length}; wanted {least} or more, which the template "
                "and a token of each text take",
            )

    def features(self, ids: dict[str, tf.RaggedTensor], masks: int) -> dict[str, tf.Tensor]:
        """Features [B, L] of rows [CLS] template [SEP]; long texts lose their ends.

        Args:
            ids: int32 [B, None] of each text, by the name of its place.
            masks: tokens [MASK] that stand in place of one.
        """
        batch = ids["text"].nrows(out_type=tf.int32)
        kept = self.kept(ids, masks)
        left = self.length - self.fixed(masks) - tf.add_n([*kept.values()])  # [B]
        rows = self.begins(batch, left)
        for part in self.parts:
            if part.name in TEXTS:
                rows.append(packing.head(ids[part.name], kept[part.name]))
            else:
                rows.append(self.marks(masks) if part.name else self._written[part.written])
        rows += [self.end] if self.end else []
        rows = [
            row
            if isinstance(row, tf.RaggedTensor)
            else tf.tile(tf.constant(row, tf.int32)[None], [batch, 1])
            for row in rows
        ]
        rows = tf.concat(rows, 1)  # [B, None]
        lengths = tf.cast(rows.row_lengths(), tf.int32)
        pad_id = tf.constant(self.tokenizer.causal_pad_id, tf.int32)
        token_ids = rows.to_tensor(pad_id, shape=[None, self.length])
        return {
            "token_ids": token_ids,
            "segment_ids": tf.zeros_like(token_ids),
            "padding_mask": tf.range(self.length) < lengths[:, None],
        }

    def rows(self, texts: dict[str, list[str]], masks: tuple[int, ...]) -> TokenRows:
        """Rows of texts: of each text one for every number of masks, side by side.

        Args:
            texts: by the name of their place.
            masks: numbers of tokens [MASK].
        """
        ragged = self.encoded(texts)
        self.tell(ragged, max(masks))
        count, group, parts, lengths = len(texts["text"]), len(masks), [], []
        for begin in range(0, count, _TEXTS_AT_ONCE):
            some = {name: rows[begin : begin + _TEXTS_AT_ONCE] for name, rows in ragged.items()}
            made = [self.features(some, number) for number in masks]
            ids, inside = (
                np.stack([one[name].numpy() for one in made], 1)  # [some, group, L]
                for name in ("token_ids", "padding_mask")
            )
            parts.append(ids[inside])
            lengths.append(inside.sum(-1).ravel())
        lengths = np.concatenate(lengths)
        return TokenRows(
            token_ids=np.concatenate(parts).astype(np.int32),
            row_splits=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            second=lengths.astype(np.int32),
            texts=np.repeat(np.arange(count, dtype=np.int32), group),
            pieces=np.zeros(count * group, np.int64),
            group=group,
        )

    def encoded(self, texts: dict[str, list[str]]) -> dict[str, tf.RaggedTensor]:
        """Ids of texts, int32 [B, None] by the name of their place; `texts` as for `rows`."""
        found = {}
        for name in self.texts:
            spaced = [self.spaces[name] + text for text in texts[name]]
            both = plain_text.encode(self.tokenizer, spaced)
            found[name] = tf.RaggedTensor.from_row_splits(*both, validate=False)
        return found

    def tell(self, ids: dict[str, tf.RaggedTensor], masks: int) -> None:
        """Warns of what has no room, where that is not a matter of course.

        Args:
            ids: as for `features`.
            masks: likewise.
        """
