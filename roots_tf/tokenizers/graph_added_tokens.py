"""Added tokens in the graph: special tokens such as [MASK], and words that were added later."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from roots_tf.storage import files
from roots_tf.tokenizers import characters

LONGEST = 100  # characters; of a longer word WordPiece makes [UNK]


def check(added_tokens: Sequence[dict], *, normalized: bool) -> None:
    """Refuses added tokens that are found by rules which the graph lacks.

    Args:
        added_tokens: those of a `tokenizer.json`.
        normalized: whether tokens may be searched for in normalised text.

    Raises:
        InputError: a token takes spaces along, stands as a single word only, or is too long.
    """
    flags = ("lstrip", "rstrip", "single_word", *(() if normalized else ("normalized",)))
    for token in added_tokens:
        if found := [flag for flag in flags if token[flag]]:
            raise files.InputError(
                "unsupported-tokenizer",
                f"found the added token {token['content']!r} with {' and '.join(found)}, which "
                "has no counterpart in the graph; wanted a plain special token",
            )
        if len(token["content"]) > LONGEST:
            raise files.InputError(
                "unsupported-tokenizer",
                f"found an added token of {len(token['content'])} characters, "
                f"{token['content'][:30]!r}...; the graph takes at most {LONGEST}",
            )


def without_normaliser(added_tokens: Sequence[dict]) -> list[dict]:
    """The same tokens, all searched for in the text as it is, where nothing normalises it.

    Normalised ones, such as GPT-2's <|endoftext|>, are searched for behind the others. That makes
    a difference only where there are both, and one can begin inside another: then they stay.

    Args:
        added_tokens: those of a `tokenizer.json`.
    """
    kinds = {token["normalized"] for token in added_tokens}
    if len(kinds) > 1 and _can_overlap([token["content"] for token in added_tokens]):
        return list(added_tokens)
    return [token | {"normalized": False} for token in added_tokens]


class AddedTokens:
    """Finds tokens in characters, leftmost first, longest first.

    Args:
        contents: what is looked for; of the raw text, or as the normaliser leaves it.
        stand_ins: what is put in the place of each, as many characters; None: what was found.

    Of two that are the same, as the normaliser may leave "DRUG" and "drug", the first counts.
    """

    def __init__(self, contents: Sequence[str], stand_ins: Sequence[str] | None = None):
        pairs = list(zip(contents, stand_ins or contents, strict=True))[::-1]
        pairs.sort(key=lambda pair: len(pair[0]))
        contents = [content for content, _ in pairs]
        self._longest = max(map(len, contents), default=0)
        self._lengths = np.array([len(content) for content in contents], np.int32)  # [S] ascending
        self._codes = self._table(contents)  # [S, longest]
        self._stand_ins = self._table([stand_in for _, stand_in in pairs])
        self._openers = sorted({ord(content[0]) for content in contents})
        self._can_overlap = _can_overlap(contents)

    def __bool__(self) -> bool:
        return self._longest > 0

    def _table(self, strings: list[str]) -> np.ndarray:
        """Code points int32 [S, longest], 0 behind the end of a string."""
        table = np.zeros((len(strings), self._longest), np.int32)
        for row, string in enumerate(strings):
            table[row, : len(string)] = [ord(c) for c in string]
        return table

    def __call__(self, codes: tf.Tensor, row_splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Characters with the stand-ins of what was found, and the class of each.

        Args:
            codes: code points int32 [N]; negative ones are no part of any token.
            row_splits: int32 [B + 1] of the texts.

        Returns:
            Code points int32 [N], and int32 [N]: ISOLATED on the first character of each token,
            CONTINUES on its others, else 0.
        """
        nothing = tf.zeros_like(codes)
        if not self:
            return codes, nothing
        opens = tf.zeros_like(codes, tf.bool)
        for opener in self._openers:
            opens |= codes == opener
        return tf.cond(
            tf.reduce_any(opens),
            lambda: self._found(codes, row_splits, opens),
            lambda: (codes, nothing),
        )

    def _found(self, codes, row_splits, opens):
        at = tf.cast(tf.where(opens)[:, 0], tf.int32)  # [C]
        padded = tf.concat([codes, tf.fill([self._longest], -1)], 0)
        within = tf.range(self._longest)
        window = tf.gather(padded, at[:, None] + within)  # [C, longest]
        row_end = tf.gather(row_splits, tf.searchsorted(row_splits, at, side="right"))
        lengths, table = tf.constant(self._lengths), tf.constant(self._codes)

        def compare(token, best):
            same = tf.reduce_all((window == table[token]) | (within >= lengths[token]), 1)
            same &= at + lengths[token] <= row_end
            return token + 1, tf.where(same, token, best)  # the last is the longest

        first = (tf.constant(0), tf.fill(tf.shape(at), -1))
        _, best = tf.while_loop(lambda token, best: token < len(self._lengths), compare, first)
        at, best = (tf.boolean_mask(x, best >= 0) for x in (at, best))
        length = tf.gather(lengths, best)
        if self._can_overlap:
            kept = _one_after_the_other(at, at + length)
            at, best, length = (tf.boolean_mask(x, kept) for x in (at, best, length))
        is_used = within < length[:, None]  # [found, longest]
        inside = tf.boolean_mask(at[:, None] + within, is_used)[:, None]
        found = tf.boolean_mask(tf.gather(self._stand_ins, best), is_used)
        classes = tf.scatter_nd(
            inside, tf.fill(tf.shape(found), characters.CONTINUES), [tf.size(codes)]
        )
        isolated = tf.fill([tf.size(at)], characters.ISOLATED)
        classes = tf.tensor_scatter_nd_update(classes, at[:, None], isolated)
        return tf.tensor_scatter_nd_update(codes, inside, found), classes


def _can_overlap(contents: list[str]) -> bool:
    """Whether one can begin inside another, or inside itself, as "@MASK@" can at its end."""
    whole = set(contents)
    beginnings = {content[:end] for content in contents for end in range(1, len(content) + 1)}
    return any(
        content[start:] in beginnings
        or any(content[start:end] in whole for end in range(start + 1, len(content) + 1))
        for content in contents
        for start in range(1, len(content))
    )


def _one_after_the_other(starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """Which spans stay if, from left to right, one that begins inside the last kept is left out.

    >>> _one_after_the_other([0, 3, 5, 9], [4, 6, 8, 10])
    [True, False, True, True]

    The first stays; behind each that stays comes the next that begins at its end or later. All of
    this chain are found in log2(n) steps, each of which doubles the part that is known.

    Args:
        starts: int32 [n], ascending.
        ends: int32 [n].
    """
    count = tf.size(starts)
    follows = tf.concat([tf.searchsorted(starts, ends), [count]], 0)  # [n + 1]; n is the end
    kept = tf.one_hot(0, count + 1, dtype=tf.int32)

    def double(size, kept, follows):
        ahead = tf.scatter_nd(follows[:, None], kept, [count + 1])
        return 2 * size, tf.minimum(kept + ahead, 1), tf.gather(follows, follows)

    _, kept, _ = tf.while_loop(lambda size, *_: size <= count, double, (1, kept, follows))
    return kept[:count] > 0
