"""Texts in, texts out: prompts as ids, in batches of few shapes, and answers in their order."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from roots_tf import progress
from roots_tf.generation import loop
from roots_tf.generation.prompts import check_prompts
from roots_tf.generation.samplers import seeds_of
from roots_tf.generation.settings import Settings
from roots_tf.stops import Stops, Stream
from roots_tf.storage.files import InputError

MULTIPLE = 16  # of tokens: prompts are padded to one, so that batches are of few shapes
LOOK_EVERY = 8  # tokens after which it is looked whether a stop has come


@dataclasses.dataclass(frozen=True)
class Answer:
    """One sample of one prompt.

    Attributes:
        prompt: the text that was continued.
        text: the continuation; `prompt + text` is the whole.
        tokens: its ids, up to the one in which a stop is complete, without the end of text.
        log_probability: natural, of these tokens and of the end of text where it came.
        ended: "end_of_text", "stop", "max_new_tokens", or "window": the model reads no further.
        sample: its number, from 0.
    """

    prompt: str
    text: str
    tokens: tuple[int, ...]
    log_probability: float
    ended: str
    sample: int


class Texts:
    """A causal model that continues texts.

    Answers depend on the model, the settings, the prompt, the seed and the number of the sample; on
    nothing that is computed beside them, but for the last bits of a sum.

    Args:
        model: a `models.CausalLM`.
        tokenizer: the model's.
        pieces: bytes of each id, as `tokenizers.decoding.continuing` gives them.
        settings: what is asked for.
        batch_size: rows computed at once.
        window: tokens of prompt and text at most; 0: as many as the model reads.
        end_id: of the token that ends a text; None: the tokenizer's end of text.

    Raises:
        InputError: see `ids_of` and `Stops`.
    """

    def __init__(
        self,
        model,
        tokenizer,
        pieces,
        settings: Settings,
        batch_size: int = 32,
        window: int = 0,
        end_id: int | None = None,
    ):
        self.tokenizer, self._pieces, self._batch_size = tokenizer, pieces, batch_size
        try:
            self._stops = Stops(settings.stop)
        except ValueError as error:
            raise InputError("wrong-value", f"{error}: mend --stop") from error
        self._model, self._ids = model, ids_of(tokenizer, end_id)
        longest = model.config.max_sequence_length
        self.window = min(window, longest) or longest
        most = min(settings.max_new_tokens, self.window - 1)
        self._settings = dataclasses.replace(
            settings, max_new_tokens=most, min_new_tokens=min(settings.min_new_tokens, most)
        )
        self._max_new_tokens = settings.max_new_tokens
        rows = [tf.TensorSpec(shape, tf.int32) for shape in ([None, None], [None], [None, 2])]
        self._begin = tf.function(self._begin_rows, rows, autograph=False)
        state = self._begin.get_concrete_function().structured_outputs
        state = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), state)
        counts = [tf.TensorSpec(shape, tf.int32) for shape in ([None], [])]
        self._run = tf.function(self._run_rows, [state, *counts], autograph=False)
        self._beams = tf.function(self._search, reduce_retracing=True, autograph=False)

    def ids(self, prompts: Sequence[str]) -> list[np.ndarray]:
        """Ids of prompts, each behind the begin of text.

        Raises:
            InputError: one is empty, or fills the window.
        """
        for number, prompt in enumerate(prompts, 1):
            if not prompt:
                raise InputError(
                    "empty-text",
                    f"found an empty prompt, number {number}; wanted a text to continue: give its "
                    "first word, or a line feed to begin anywhere",
                )
        ids, splits = self.tokenizer.encode(prompts)
        rows = [
            np.concatenate([[self.tokenizer.bos_id], ids[start:end]]).astype(np.int32)
            for start, end in zip(splits, splits[1:], strict=False)
        ]
        check_prompts(rows, self.window, self.tokenizer.size)
        for number, row in enumerate(rows, 1):
            if len(row) < 2:
                raise InputError(
                    "empty-text",
                    f"found prompt {number}, {prompts[number - 1][:40]!r}, of which the tokenizer "
                    "leaves nothing; wanted a text of its characters",
                )
        return rows

    def answers(
        self,
        prompts: Sequence[str],
        seed: int = 0,
        num_samples: int = 1,
        ids: Sequence[np.ndarray] | None = None,
    ) -> list[Answer]:
        """Answers in the order of the prompts, the samples of each together.

        Args:
            prompts: texts to continue.
            seed: of all draws.
            num_samples: answers a prompt.
            ids: what the model reads of each, where the text says less, as of conversations.

        Raises:
            InputError: see `ids`.
        """
        ids = self._ids_of(prompts, ids)
        rows = [(i, sample) for i in range(len(prompts)) for sample in range(num_samples)]
        widths = [min(-(-len(row) // MULTIPLE) * MULTIPLE, self.window - 1) for row in ids]
        # Rows of one width together: how wide a row is computed is then its own matter.
        order = sorted(range(len(rows)), key=lambda place: (widths[rows[place][0]], place))
        answers: list[Answer | None] = [None] * len(rows)
        with progress.Progress("generate", len(rows), "answers") as shown:
            while order:
                width = widths[rows[order[0]][0]]
                batch = [p for p in order[: self._batch_size] if widths[rows[p][0]] == width]
                del order[: len(batch)]
                asked = [rows[place] for place in batch]
                found = self._batch([(prompts[i], ids[i], s) for i, s in asked], seed, width)
                for place, answer in zip(batch, found, strict=True):
                    answers[place] = answer
                shown.add(len(batch))
        return answers

    def _ids_of(self, prompts, given: Sequence[np.ndarray] | None) -> Sequence[np.ndarray]:
        if given is None:
            return self.ids(prompts)
        check_prompts(given, self.window, self.tokenizer.size)
        return given

    def stream(
        self, prompt: str, seed: int = 0, sample: int = 0, ids: np.ndarray | None = None
    ) -> Iterator[str | Answer]:
        """The text of one answer as it comes, and then the answer.

        Args:
            prompt: the text to continue.
            seed: of all draws.
            sample: the number of the sample.
            ids: as for `answers`, of this prompt.

        Raises:
            InputError: the settings search with beams; or see `ids`.
        """
        if self._settings.decoding == "beam":
            raise InputError(
                "flags-conflict",
                "found a stream of --decoding=beam, which knows its text at its end alone; wanted "
                "--decoding=sample or greedy, or no stream",
            )
        [ids] = self._ids_of([prompt], None if ids is None else [ids])
        width = min(-(-len(ids) // MULTIPLE) * MULTIPLE, self.window - 1)
        state, most = self._prepared([(prompt, ids, sample)], seed, width)
        stream, shown = Stream(self._stops), 0
        while not state.finished[0] and not stream.has_ended:
            state = self._run(state, most, tf.constant(1))
            tokens = state.token_ids[0, width : width + int(state.lengths[0])].numpy()
            yield stream.add(b"".join(self._pieces[i] for i in tokens[shown:]))
            shown = len(tokens)
        yield stream.finish()
        yield self._answer(self._generated(state, width), 0, (prompt, ids, sample))

    def _prepared(self, rows, seed: int, width: int):
        """The state before the first token, and how many each row may have, int32 [B]."""
        prompts = np.full([len(rows), width], self._ids["pad_id"], np.int32)
        for row, (_, ids, _) in zip(prompts, rows, strict=True):
            row[: len(ids)] = ids
        lengths = np.array([len(ids) for _, ids, _ in rows], np.int32)
        samples = tf.constant([sample for _, _, sample in rows], tf.int64)
        drawn = seeds_of(tf.constant([_bytes(p) for p, _, _ in rows]), seed, samples)
        most = np.minimum(self._settings.max_new_tokens, self.window - lengths)
        state = self._begin(tf.constant(prompts), tf.constant(lengths), drawn)
        return state, tf.constant(most.astype(np.int32))

    def _batch(self, rows, seed: int, width: int) -> list[Answer]:
        """Answers to rows (prompt, ids, sample) of one width."""
        if self._settings.decoding == "beam":
            return self._searched(rows, seed, width)
        state, most = self._prepared(rows, seed, width)
        steps = self._settings.max_new_tokens
        for _ in range(0, steps, LOOK_EVERY if self._stops else steps):
            state = self._run(state, most, tf.constant(LOOK_EVERY if self._stops else steps))
            if self._stops:
                state = state._replace(finished=self._stopped(state, width))
            if state.finished.numpy().all():
                break
        generated = self._generated(state, width)
        return [self._answer(generated, i, row) for i, row in enumerate(rows)]

    def _stopped(self, state, width: int) -> tf.Tensor:
        """Which rows have ended, those with a stop in them among them."""
        lengths, ids = state.lengths.numpy(), state.token_ids[:, width:].numpy()
        texts = (
            b"".join(self._pieces[i] for i in row[:n]) for row, n in zip(ids, lengths, strict=True)
        )
        found = np.array([self._stops.find(text) is not None for text in texts])
        return state.finished | tf.constant(found)

    def _searched(self, rows, seed: int, width: int) -> list[Answer]:
        """As `_batch`, with beams; all rows of a width may have as many tokens."""
        prompts = np.full([len(rows), width], self._ids["pad_id"], np.int32)
        for row, (_, ids, _) in zip(prompts, rows, strict=True):
            row[: len(ids)] = ids
        lengths = tf.constant([len(ids) for _, ids, _ in rows], tf.int32)
        generated = self._beams(tf.constant(prompts), lengths, tf.zeros([len(rows), 2], tf.int32))
        generated = [tensor.numpy() for tensor in generated]
        return [self._answer(generated, i, row) for i, row in enumerate(rows)]

    def _generated(self, state, width: int) -> list[np.ndarray]:
        """What `loop.Generated` holds, as arrays."""
        tensors = (state.token_ids[:, width:], state.lengths, state.log_probabilities)
        return [*(tensor.numpy() for tensor in tensors), state.finished.numpy()]

    def _answer(self, generated, place: int, row) -> Answer:
        """One row as it is told."""
        (prompt, ids, sample), (tokens, lengths, chances, *_) = row, generated
        count = int(lengths[place])
        tokens = tokens[place][:count].tolist()
        most = min(self._max_new_tokens, self.window - len(ids))
        ended = "end_of_text"
        if count >= most:
            ended = "max_new_tokens" if most == self._max_new_tokens else "window"
        pieces = [self._pieces[i] for i in tokens]
        text, scored = b"".join(pieces), count + (ended == "end_of_text")
        if found := self._stops.find(text):
            ends = np.cumsum([len(piece) for piece in pieces])
            count = scored = int(np.searchsorted(ends, found[1])) + 1
            text, ended = text[: found[0]], "stop"
        return Answer(
            prompt=prompt,
            text=text.decode("utf-8", "replace"),
            tokens=tuple(tokens[:count]),
            log_probability=round(float(np.sum(chances[place][:scored], dtype=np.float64)), 4),
            ended=ended,
            sample=sample,
        )

    def _begin_rows(self, prompts, lengths, seeds):
        arguments = (self._model, prompts, lengths, seeds, self._settings)
        return loop.begin(*arguments, pad_id=self._ids["pad_id"])

    def _run_rows(self, state, most, steps):
        return loop.proceed(self._model, state, self._settings, steps, most, **self._ids)

    def _search(self, prompts, lengths, seeds):
        room = self.window - prompts.shape[1]
        most = min(self._settings.max_new_tokens, room)
        least = min(self._settings.min_new_tokens, most)
        settings = dataclasses.replace(self._settings, max_new_tokens=most, min_new_tokens=least)
        return loop.generate(self._model, prompts, lengths, seeds, settings, **self._ids)


def ids_of(tokenizer, end_id: int | None = None) -> dict:
    """Ids with a meaning, as the loop's keywords: a text has no special token but its end.

    Args:
        tokenizer: has ids of the special tokens.
        end_id: as for `Texts`.

    Raises:
        InputError: the tokenizer has no token that begins or ends a text.
    """
    roles = ("bos", "eos")
    if missing := [role for role in roles if getattr(tokenizer, f"{role}_id") is None]:
        raise InputError(
            "no-special-token",
            f"found a tokenizer without special tokens for {missing}; wanted {list(roles)}: train "
            "one with train-tokenizer",
        )
    end_id = tokenizer.eos_id if end_id is None else end_id
    return {
        "eos_id": end_id,
        "pad_id": tokenizer.causal_pad_id,
        "num_tokens": tokenizer.size,
        "forbidden": tuple(i for i in tokenizer.special_ids if i != end_id),
    }


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
