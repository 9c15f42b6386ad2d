"""The graph that is served of a causal language model: a text in, what follows it out."""

from typing import ClassVar, NamedTuple

import keras
import tensorflow as tf

from roots_tf.generation import Settings, loop
from roots_tf.generation.samplers import Draws, seeds_of
from roots_tf.generation.texts import Texts, ids_of
from roots_tf.tasks import graph_rows
from roots_tf.tasks.served_graph import ServedGraph
from roots_tf.tokenizers import Tokenizer
from roots_tf.tokenizers.decoding import continuing

TOKENS_AT_ONCE = 8192  # places of caches that are in memory at once
CHECKED_TEXTS = (
    *("She opened the", "A short one.", "It", "Return the number of times that the value"),
    *("Ünïcödé — “quotes”, ﬁ ligature, ½, 漢字", "a", "No", "word " * 40),
)


class Asked(NamedTuple):
    """What a row is asked for, [B] each; the inputs of the signature `generate` beside `text`.

    Attributes:
        max_new_tokens: int32.
        temperature: float32.
        top_k: int32, 0: of all tokens.
        top_p: float32.
        seed: int64; the same seed gives the same continuation of a text.
    """

    max_new_tokens: tf.Tensor
    temperature: tf.Tensor
    top_k: tf.Tensor
    top_p: tf.Tensor
    seed: tf.Tensor


class Generation(ServedGraph):
    """A causal language model that continues texts by drawing tokens.

    Outputs of `serving_default` and `generate`: `text`, what follows; `tokens`, how many;
    `log_probability`, natural, of them all; `ended`, why. The signature `ids` gives
    `log_probabilities` of the tokens of rows, each given those before it, and `logits` of the one
    behind a row. `begin` and `advance` are no signatures: a server calls them to give a text token
    by token, the state going out and in again.

    Args:
        model: a `models.CausalLM`.
        tokenizer: the one that the model was trained with.
        max_new_tokens: tokens that a request may ask for.
        max_seq_length: tokens of prompt and text together at most.
    """

    ids_rank: ClassVar[int] = 2

    def __init__(
        self, model: keras.Model, tokenizer: Tokenizer, max_new_tokens: int, max_seq_length: int
    ):
        super().__init__(model, tokenizer, max_seq_length)
        most = min(max_new_tokens, max_seq_length - 1)
        object.__setattr__(self, "settings", Settings(max_new_tokens=most))
        usual = min(Settings().max_new_tokens, most)
        object.__setattr__(self, "usual", Settings(max_new_tokens=usual))
        self._pieces = tf.constant(continuing(tokenizer))
        object.__setattr__(self, "_meaning", ids_of(tokenizer))
        # Functions that several signatures call: traced once, and once in the file.
        text = tf.TensorSpec([None], tf.string, "text")
        functions = {"_ids": (self._ids_of, [text])}
        functions["_continued"] = (self._continuation, _specs(self._usual(), None))
        for name, (function, specs) in functions.items():
            traced = tf.function(function, specs, autograph=False).get_concrete_function()
            object.__setattr__(self, name, traced)

    def further(self):
        """`generate`, whose inputs but for `text` have defaults."""
        return {"generate": self._with_defaults()}

    def add_stream(self) -> None:
        """Makes `begin` and `advance`, which are saved with the graph.

        begin: `text` and what `Asked` has, [1] each -> a list of tensors, the state
        advance: such a list -> the list after one more token, and what `serving_default` gives of
            the text so far; `ended` is "" while it goes on
        places: () -> tokens that the caches in a state have room for, at most
        """

        def begin(text, max_new_tokens, temperature, top_k, top_p, seed):
            asked = Asked(max_new_tokens, temperature, top_k, top_p, seed)
            made.append(self._begun(self._rows(text, asked)))
            return tf.nest.flatten(made[-1])

        def advance(tensors):
            state, rows = tf.nest.pack_sequence_as(made[0], tensors)
            state = self._run(state, rows, 1)
            return tf.nest.flatten((state, rows)), self._told(state, rows)

        made: list = []
        self.begin = tf.function(begin, _specs(self._usual(), 1), autograph=False)
        outputs = self.begin.get_concrete_function().structured_outputs
        specs = [tf.TensorSpec(t.shape, t.dtype) for t in outputs]
        self.advance = tf.function(advance, [specs], autograph=False)
        places = self.length + self.settings.max_new_tokens
        self.places = tf.function(lambda: tf.constant(places), [], autograph=False)

    def answers(self, inputs):
        """What follows texts, asked as `usual` says."""
        rows = tf.shape(inputs["text"])
        usual = Asked(*(tf.broadcast_to(value, rows) for value in self._usual()))
        return self._continued(inputs["text"], *usual)

    def features(self, inputs):
        """Features of texts behind the begin of text, as `of_ids` takes them."""
        ids = self._ids(inputs["text"]).to_tensor(0, shape=[None, None])
        inside = tf.sequence_mask(self._ids(inputs["text"]).row_lengths(), tf.shape(ids)[1])
        return {"token_ids": ids, "segment_ids": tf.zeros_like(ids), "padding_mask": inside}

    def of_rows(self, features):
        """`log_probabilities` [R, L], 0 of the first and on padding, and `logits` [R, V]."""
        ids, inside = features["token_ids"], features["padding_mask"]
        logits = self.model.logits(self.model(features))  # [R, L, V]
        chances = tf.gather(tf.nn.log_softmax(logits[:, :-1]), ids[:, 1:], batch_dims=2)
        chances = tf.where(inside[:, 1:] & inside[:, :-1], chances, 0.0)
        last = tf.reduce_sum(tf.cast(inside, tf.int32), 1) - 1
        last = tf.gather(logits, tf.maximum(last, 0), batch_dims=1)
        return {"log_probabilities": tf.pad(chances, [[0, 0], [1, 0]]), "logits": last}

    def predictions(self, outputs, texts):
        """`text`, `tokens`, `log_probability` and `ended` of each text.

        In bfloat16 another text may come, and with it other numbers, which are left out.
        """
        columns = [outputs[n] for n in ("text", "tokens", "log_probability", "ended")]
        precise = self.model.dtype_policy.name == "float32"
        return [
            {"text": text.decode("utf-8", "replace"), "ended": ended.decode()}
            | ({"tokens": int(tokens), "log_probability": float(chance)} if precise else {})
            for text, tokens, chance, ended in zip(*columns, strict=True)
        ]

    def example(self, signature, texts):
        """Inputs of a request to `generate`: texts with what is usual."""
        usual = {name: [v.numpy()[0]] * len(texts) for name, v in self._usual()._asdict().items()}
        return {"text": texts} | usual

    def checked_texts(self):
        """Texts that leave room for a token."""
        sizes = self._ids(tf.constant(CHECKED_TEXTS)).row_lengths().numpy()
        return {"text": [t for t, n in zip(CHECKED_TEXTS, sizes, strict=True) if n < self.length]}

    def python_answers(self, texts: dict[str, list]) -> list[dict]:
        """Answers without the graph, to check it with; `texts` as `checked_texts` gives them."""
        pieces = continuing(self.tokenizer)
        found = Texts(self.model, self.tokenizer, pieces, self.usual, window=self.length)
        return [
            {
                "text": answer.text,
                "ended": answer.ended,
                "tokens": len(answer.tokens),
                "log_probability": answer.log_probability,
            }
            for answer in found.answers(texts["text"])
        ]

    def _usual(self) -> Asked:
        """What is asked for where nothing else is, [1] each."""
        usual = self.usual
        return Asked(
            tf.constant([usual.max_new_tokens]),
            tf.constant([usual.temperature], tf.float32),
            tf.constant([usual.top_k]),
            tf.constant([usual.top_p], tf.float32),
            tf.constant([0], tf.int64),
        )

    def _with_defaults(self):
        """The signature `generate`; what a request leaves out is as usual in each row.

        The defaults stand in the signature, for servers that fill in what a request leaves out.
        """
        usual = self._usual()

        def generate(
            text,
            max_new_tokens=usual.max_new_tokens,
            temperature=usual.temperature,
            top_k=usual.top_k,
            top_p=usual.top_p,
            seed=usual.seed,
        ):
            asked = Asked(max_new_tokens, temperature, top_k, top_p, seed)
            rows = tf.shape(text)
            return self._continued(text, *(tf.broadcast_to(v, rows) for v in asked))

        return tf.function(generate, _specs(usual, None), autograph=False)

    def _ids_of(self, texts) -> tf.RaggedTensor:
        """Ids of texts behind the begin of text, int32 [B, None]."""
        ids = self.graph.tokenize(texts).with_row_splits_dtype(tf.int64)
        first = tf.fill([ids.nrows(), 1], tf.constant(self.tokenizer.bos_id, tf.int32))
        return tf.concat([tf.RaggedTensor.from_tensor(first), ids], 1)

    def _rows(self, texts, asked: Asked) -> dict[str, tf.Tensor]:
        """Rows [B, ...] of prompts, once it is checked that what is asked for can be done."""
        ids = self._ids(texts)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        most = self.settings.max_new_tokens
        with tf.control_dependencies(_checks(asked, lengths, most, self.length)):
            first, second = tf.unstack(seeds_of(texts, asked.seed), num=2, axis=1)
            columns = asked._asdict() | {
                "length": lengths,
                "most": tf.minimum(asked.max_new_tokens, self.length - lengths),
                "first_seed": first,
                "second_seed": second,
            }
            columns = {name: tf.identity(column)[:, None] for name, column in columns.items()}
            return columns | {"token_ids": ids.to_tensor(self._meaning["pad_id"])}  # [B, P]

    def _continuation(self, texts, *asked) -> dict[str, tf.Tensor]:
        """Outputs of texts [B], some rows at a time; `asked` as in `Asked`."""
        rows = self._rows(texts, Asked(*asked))
        return graph_rows.by_length(
            self._generated,
            rows,
            rows["length"][:, 0],
            TOKENS_AT_ONCE,
            beside=self.settings.max_new_tokens,
        )

    def _generated(self, rows) -> dict[str, tf.Tensor]:
        """Outputs of rows [R, ...]."""
        state, rows = self._begun(rows)
        return self._told(self._run(state, rows, self.settings.max_new_tokens), rows)

    def _begun(self, rows):
        """The loop's state before the first token; and what of rows is needed behind it."""
        lengths, seeds = rows["length"][:, 0], (rows["first_seed"], rows["second_seed"])
        arguments = (self.model, rows["token_ids"], lengths, tf.concat(seeds, 1), self.settings)
        state = loop.begin(*arguments, pad_id=self._meaning["pad_id"])
        names = ("max_new_tokens", "temperature", "top_k", "top_p", "most")
        return state, {name: rows[name] for name in names}

    def _run(self, state, rows, steps: int):
        """The state after some more tokens."""
        draws = Draws(rows["temperature"], rows["top_k"], rows["top_p"])
        arguments = (self.model, state, self.settings, steps, rows["most"][:, 0])
        return loop.proceed(*arguments, rows=draws, **self._meaning)

    def _told(self, state, rows) -> dict[str, tf.Tensor]:
        """What is told of a state: outputs [R]."""
        ids = state.token_ids[:, state.prompt_length :]
        pieces = tf.gather(self._pieces, ids)
        pieces = tf.where(tf.sequence_mask(state.lengths, tf.shape(ids)[1]), pieces, "")
        reason = tf.where(rows["most"] == rows["max_new_tokens"], "max_new_tokens", "window")[:, 0]
        reason = tf.where(state.lengths < rows["most"][:, 0], "end_of_text", reason)
        return {
            "text": tf.strings.reduce_join(pieces, 1),
            "tokens": state.lengths,
            "log_probability": tf.reduce_sum(state.log_probabilities, 1),
            "ended": tf.where(state.finished, reason, ""),
        }


def _specs(usual: Asked, rows: int | None) -> list[tf.TensorSpec]:
    """Inputs of `generate` in their order, of so many rows."""
    asked = [tf.TensorSpec([rows], value.dtype, name) for name, value in usual._asdict().items()]
    return [tf.TensorSpec([rows], tf.string, "text"), *asked]


def _checks(asked, lengths, most: int, window: int) -> list[tf.Operation]:
    """Refuses, as the graph runs, what cannot be done.

    Args:
        asked: `max_new_tokens`, `temperature`, `top_k` and `top_p` [B] as attributes.
        lengths: int32 [B], tokens of the prompts with the begin of text.
        most: tokens that may be asked for.
        window: tokens of prompt and text at most.
    """

    def check(right, name, values, wanted):
        found = tf.boolean_mask(values, ~right)[:1]
        message = [f"found {name} of", found, f"; wanted {wanted}"]
        return tf.debugging.Assert(tf.reduce_all(right), message)

    tokens, heat = asked.max_new_tokens, asked.temperature
    return [
        check(lengths > 1, "a prompt", lengths - 1, "a text to continue, of one token or more"),
        check(
            lengths < window,
            "a prompt",
            lengths,
            f"fewer tokens than {window}, the window of the model: cut it at its start",
        ),
        check((tokens >= 1) & (tokens <= most), "max_new_tokens", tokens, f"1 to {most} of them"),
        check(
            (heat > 0) & (heat <= 100),
            "temperature",
            heat,
            "above 0, to 100; top_k of 1 takes the likeliest token",
        ),
        check(asked.top_k >= 0, "top_k", asked.top_k, "0, for all tokens, or more"),
        check((asked.top_p > 0) & (asked.top_p <= 1), "top_p", asked.top_p, "above 0, to 1"),
    ]
