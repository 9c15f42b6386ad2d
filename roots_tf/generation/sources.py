"""Sources in, targets out: what an encoder-decoder writes, in batches of few shapes."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from roots_tf import progress
from roots_tf.generation import loop
from roots_tf.generation.constraints import FORBIDDEN
from roots_tf.generation.samplers import seeds_of
from roots_tf.generation.settings import Settings
from roots_tf.storage.files import InputError

MULTIPLE = 16  # of tokens: sources are padded to one, so that batches are of few shapes


@dataclasses.dataclass(frozen=True)
class Target:
    """What was written of a source.

    Attributes:
        ids: its tokens, without what stands before the first and without the end of text.
        score: of beams, what they are ranked by; else as `log_probability`.
        log_probability: natural, of the tokens and of the end of text where it came.
        ended: "end_of_text", "max_new_tokens", or "window": the decoder has no more room.
    """

    ids: tuple[int, ...]
    score: float
    log_probability: float
    ended: str


class Sources:
    """An encoder-decoder that writes targets.

    A target depends on the model, the settings, its source and the seed; on nothing that is
    computed beside it, but for the last bits of a sum. The weights are read at each call: one of
    these serves a whole training.

    Args:
        model: a `models.EncoderDecoder`.
        settings: what is asked for; `stop` is of texts, and refused.
        start_ids: that a target begins with before its first token.
        eos_id: of the token that ends a target, and that stands for an empty row.
        pad_id: of the padding.
        num_tokens: ids of the tokenizer; rows of the embedding behind them are no tokens. None: V.
        forbidden: other ids that do not come.
        forces_end: whether the last token of a target at most is always its end.
        batch_size: sources computed at once, each with all of its beams.

    Raises:
        InputError: settings ask for what ids cannot tell, or the start leaves no room.
    """

    def __init__(
        self,
        model,
        settings: Settings,
        *,
        start_ids: tuple[int, ...],
        eos_id: int,
        pad_id: int,
        num_tokens: int | None,
        forbidden: tuple[int, ...],
        forces_end: bool = False,
        batch_size: int = 32,
    ):
        if settings.stop:
            raise InputError(
                "flags-conflict",
                f"found stop={settings.stop} for an encoder-decoder, whose targets end by "
                "themselves; leave it out",
            )
        self._model, self._batch_size = model, batch_size
        self._asked_tokens = settings.max_new_tokens
        self._settings = fitting(model, settings, start_ids)
        self._num_beams = settings.num_beams if settings.decoding == "beam" else 1
        self._start_ids = tuple(start_ids)
        self._ids = {"eos_id": eos_id, "pad_id": pad_id, "num_tokens": num_tokens}
        self._ids |= {"forbidden": tuple(forbidden), "forces_end": forces_end}
        specs = [tf.TensorSpec(shape, tf.int32) for shape in ([None, None], [None], [None, 2])]
        self._write = tf.function(self._written, specs, autograph=False)

    def targets(
        self, rows: Sequence[np.ndarray], num_return: int = 1, seed: int = 0
    ) -> list[list[Target]]:
        """Targets of sources, in the order of the rows; of each the best, best first.

        Args:
            rows: ids as the encoder reads them; one without any is read as the end of text.
            num_return: targets of each at most; there may be fewer than that many texts.
            seed: of all draws.

        Raises:
            InputError: more targets are asked for than there are beams; or as `check_rows`.
        """
        if not 1 <= num_return <= self._num_beams:
            raise InputError(
                "number-out-of-range",
                f"found {num_return} targets asked of a source; wanted 1 to {self._num_beams}, "
                f"the beams of --decoding={self._settings.decoding}",
            )
        longest = self._model.config.max_sequence_length
        check_rows(rows, longest)
        rows = [np.asarray(row if len(row) else [self._ids["eos_id"]], np.int32) for row in rows]
        widths = [min(-(-len(row) // MULTIPLE) * MULTIPLE, longest) for row in rows]
        # Rows of one width together: how wide a row is computed is then its own matter.
        order = sorted(range(len(rows)), key=lambda place: (widths[place], place))
        found: list[list[Target]] = [[]] * len(rows)
        with progress.Progress("decode", len(rows), "texts") as shown:
            while order:
                width = widths[order[0]]
                batch = [p for p in order[: self._batch_size] if widths[p] == width]
                del order[: len(batch)]
                written = self._batch([rows[place] for place in batch], width, num_return, seed)
                for place, targets in zip(batch, written, strict=True):
                    found[place] = targets
                shown.add(len(batch))
        return found

    def _batch(self, rows, width: int, num_return: int, seed: int) -> list[list[Target]]:
        """Targets of rows of one width."""
        ids = np.full([len(rows), width], self._ids["pad_id"], np.int32)
        for into, row in zip(ids, rows, strict=True):
            into[: len(row)] = row
        lengths = tf.constant([len(row) for row in rows])
        seeds = seeds_of(tf.constant([row.tobytes() for row in rows]), seed)
        written = self._write(tf.constant(ids), lengths, seeds)
        written = type(written)(*(tensor.numpy() for tensor in written))
        return [
            [
                self._target(written, place)
                for place in range(first, first + num_return)
                if written.scores[place] > FORBIDDEN / 2
            ]
            for first in range(0, len(written.lengths), self._num_beams)
        ]

    def _target(self, written: loop.Generated, place: int) -> Target:
        """One row of what was generated."""
        count, ended = int(written.lengths[place]), "end_of_text"
        if not written.ended[place]:
            ended = "max_new_tokens" if count >= self._asked_tokens else "window"
        return Target(
            ids=tuple(written.ids[place, :count].tolist()),
            score=float(written.scores[place]),
            log_probability=float(np.sum(written.log_probabilities[place], dtype=np.float64)),
            ended=ended,
        )

    def _written(self, token_ids, lengths, seeds) -> loop.Generated:
        """Rows of all beams of sources, int32 [B, L] of [B] tokens, padded behind."""
        inside = tf.sequence_mask(lengths, tf.shape(token_ids)[1])
        features = features_of(self._model, token_ids, inside)
        return write(
            *(self._model, features, seeds, self._settings),
            start_ids=self._start_ids,
            **self._ids,
            num_return=self._num_beams,
        )


def fitting(model, settings: Settings, start_ids: tuple[int, ...]) -> Settings:
    """Settings that ask for no more tokens than a decoder has room for.

    Args:
        model: a `models.EncoderDecoder`.
        settings: what is asked for.
        start_ids: as for `Sources`.

    Raises:
        InputError: there is no start, or no room behind it.
    """
    longest = model.decoder_config.max_sequence_length
    room = longest - len(start_ids)
    if not start_ids or room < 1:
        raise InputError(
            "wrong-sizes",
            f"found {len(start_ids)} ids that a target begins with, and a decoder of {longest} "
            "places; wanted one id, and room",
        )
    most = min(settings.max_new_tokens, room)
    least = min(settings.min_new_tokens, most - model.decoder_config.forces_end)
    return dataclasses.replace(settings, max_new_tokens=most, min_new_tokens=least)


def features_of(model, token_ids: tf.Tensor, padding_mask: tf.Tensor) -> dict[str, tf.Tensor]:
    """What the encoder of a model reads of sources.

    Args:
        model: a `models.EncoderDecoder`.
        token_ids: int32 [B, L], padded behind.
        padding_mask: bool [B, L], True on tokens.
    """
    features = {"token_ids": token_ids, "padding_mask": padding_mask}
    if model.config.num_segments:
        features["segment_ids"] = tf.zeros_like(token_ids)
    return features


def write(
    model, features, seeds, settings: Settings, *, start_ids: tuple[int, ...], **asked
) -> loop.Generated:
    """Encodes sources and writes their targets, in the graph.

    Args:
        model: a `models.EncoderDecoder`.
        features: of sources [B, L], as `features_of` gives them.
        seeds: as for `loop.begin`.
        settings: likewise.
        start_ids: as for `Sources`, P of them.
        **asked: `eos_id` and the other keywords of `loop.generate`.
    """
    batch_size = tf.shape(features["token_ids"])[0]
    prompts = tf.tile(tf.constant([start_ids], tf.int32), [batch_size, 1])  # [B, P]
    lengths = tf.fill([batch_size], len(start_ids))
    return loop.generate(model.conditioned(features), prompts, lengths, seeds, settings, **asked)


def check_rows(rows: Sequence[Sequence[int]], longest: int) -> None:
    """Refuses sources that the encoder cannot read whole.

    Args:
        rows: ids of each, as the encoder reads them.
        longest: tokens that it reads: `max_sequence_length` of its config.

    Raises:
        InputError: names the first that is too long.
    """
    for number, ids in enumerate(rows, 1):
        if len(ids) > longest:
            raise InputError(
                "too-long",
                f"found source {number} of {len(ids):,} tokens, its ends among them; wanted at "
                f"most {longest:,}, which is what the encoder reads; shorten it",
            )


def ids_of(tokenizer, decoder_config) -> dict:
    """Ids with a meaning, as keywords of `Sources`: a target has no special token but its end.

    Args:
        tokenizer: has ids of the special tokens.
        decoder_config: of the model, a `models.DecoderConfig`.

    Raises:
        InputError: the tokenizer has no token that ends a text, or none that begins one where that
            is what a source or a target begins with.
    """
    begins = decoder_config.source_begins or not decoder_config.start_ids
    roles = ("bos", "eos") if begins else ("eos",)
    if missing := [role for role in roles if getattr(tokenizer, f"{role}_id") is None]:
        raise InputError(
            "no-special-token",
            f"found a tokenizer without special tokens for {missing}; wanted {list(roles)}: train "
            "one with train-tokenizer",
        )
    return {
        "start_ids": tuple(decoder_config.start_ids) or (tokenizer.bos_id,),
        "eos_id": tokenizer.eos_id,
        "pad_id": tokenizer.causal_pad_id,
        "num_tokens": tokenizer.size,
        "forbidden": tuple(i for i in tokenizer.special_ids if i != tokenizer.eos_id),
        "forces_end": decoder_config.forces_end,
    }
