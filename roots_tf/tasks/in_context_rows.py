"""Rows of a causal model: labelled examples of a template, then the text that is asked about.

Brown et al. 2020, "Language Models are Few-Shot Learners", arXiv:2005.14165, section 2: examples
stand one behind the other, and nothing is trained. Between two of them is a blank line.

    Film: A fine film. It was great            demonstrations, each whole or left out

    Film: A dull one. It was bad

    Film: The end. It was <|endoftext|>.       the mark stands where the words of labels are tried
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from roots_tf.labelled import plain_text
from roots_tf.storage.files import InputError
from roots_tf.tasks.cloze_rows import TEXTS, Filled


class Prompted(Filled):
    """A template behind demonstrations of it; the end of text marks the place of a word.

    No text gives that token, so that the one behind the begin of a row is the mark.

    Args:
        template: as `cloze_rows.parse` takes it.
        tokenizer: the model's.
        length: tokens of a row at most, those of the longest word among them.
        demonstrations: of each its word, its text and, where there are pairs, its `text_pair`.

    Raises:
        InputError: as for `Filled`; or the tokenizer has no begin or no end of text, or the
            template spells a special token.
    """

    def __init__(
        self, template: str, tokenizer, length: int, demonstrations: Sequence[tuple[str, ...]] = ()
    ):
        super().__init__(template, tokenizer, length)
        for part, ids in self._written.items():
            if found := plain_text.special_among(ids, tokenizer):
                raise InputError(
                    "wrong-template",
                    f"found the special token {found!r} in {part!r} of the template; wanted words",
                )
        self._blank_line = blank_line(tokenizer)
        self._demonstrations = [self._filled(*one) for one in demonstrations]

    def special_ids(self):
        """Begin of text, end of text as the mark, and nothing at the end."""
        if self.tokenizer.bos_id is None or self.tokenizer.eos_id is None:
            raise InputError(
                "no-special-token",
                "found a tokenizer without a begin or an end of text; wanted both, as a causal "
                "model is trained with",
            )
        return [self.tokenizer.bos_id], self.tokenizer.eos_id, []

    def marks(self, masks):
        """One mark, whatever stands in its place."""
        return [self.mark]

    def begins(self, batch, left):
        """The begin of text, and the demonstrations that have room."""
        if not self._demonstrations:
            return [self.begin]
        sizes = [*map(len, self._demonstrations)]
        owner = np.repeat(np.arange(len(sizes)), sizes)  # of each token
        ids = tf.constant(np.concatenate(self._demonstrations), tf.int32)
        inside = tf.gather(self.fitting(left), owner, axis=1)  # [B, tokens of all]
        ids = tf.tile(ids[None], [batch, 1])
        return [self.begin, tf.ragged.boolean_mask(ids, inside)]

    def fitting(self, left: tf.Tensor) -> tf.Tensor:
        """Which demonstrations have room, those next to the text first: bool [B, demonstrations].

        Args:
            left: int32 [B], tokens that may be taken.
        """
        found = []
        for ids in reversed(self._demonstrations):
            fits = left >= len(ids)
            left -= tf.where(fits, len(ids), 0)
            found.append(fits)
        return tf.stack(found[::-1], 1)

    def tell(self, ids, masks):
        """Warns of what has no room, demonstrations too; `ids` and `masks` as for `Filled`."""
        kept = self.kept(ids, masks)
        total = tf.add_n([tf.cast(ids[name].row_lengths(), tf.int32) for name in self.texts])
        used = tf.add_n([*kept.values()])
        if shorter := int(tf.math.count_nonzero(used < total)):
            logging.warning(
                "%d of %d texts lose their end: a row has %d tokens",
                *(shorter, len(total), self.length),
            )
        if not self._demonstrations:
            return
        shots = tf.reduce_sum(
            tf.cast(self.fitting(self.length - self.fixed(masks) - used), tf.int32), 1
        )
        if fewer := int(tf.math.count_nonzero(shots < len(self._demonstrations))):
            logging.warning(
                "%d of %d texts leave out demonstrations, %d of them all %d, which have no room "
                "in a row of %d tokens",
                *(fewer, len(total), int(tf.math.count_nonzero(shots == 0))),
                *(len(self._demonstrations), self.length),
            )

    def _filled(self, word: str, *texts: str) -> np.ndarray:
        """Ids of a demonstration and of the blank line behind it, int32."""
        texts, ids = dict(zip(TEXTS, texts, strict=False)), []
        for part in self.parts:
            if part.name in TEXTS:
                ids.append(plain_text.encode(self.tokenizer, [" " * part.space + texts[part.name]]))
            elif part.name:
                ids.append(self.tokenizer.encode([" " * part.space + word]))
            else:
                ids.append((self._written[part.written],))
        return np.concatenate([*(found[0] for found in ids), self._blank_line]).astype(np.int32)


def blank_line(tokenizer) -> np.ndarray:
    """Ids of two ends of lines between texts; none of a vocabulary that passes over them.

    Two tokens of a byte-level vocabulary such as GPT-2's, which parts them before a word, although
    it has one for two of them at the end of a text.

    Args:
        tokenizer: any.
    """
    alone, both = (tokenizer.encode([text])[0] for text in ("a", "a\n\na"))
    return both[len(alone) : len(both) - len(alone)]
