"""What is served: tokenizer, rows, model and answers in one graph, one class a kind of answer.

    serving_default   strings [B] by name                      -> answers
    examples          string [B], serialised tf.Example        -> the same
    ids               token_ids, padding_mask int32 [B, L]     -> what the model says of these rows

Texts are computed by length, some at a time: a batch of long and short ones spends little on
padding, and memory is bounded whatever is sent. Every output is float32, int32 or string.
"""

from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.export import graph_rows
from roots_tf.tokenizers import Tokenizer

TOKENS_AT_ONCE = 2048
MOST_TOKENS = 16_384  # of a text that is read in windows
MASKS_AT_ONCE = 256  # rows of the vocabulary in memory


class Serving(tf.Module):
    """A model with its tokenizer.

    Args:
        model: of `roots_tf.models`.
        tokenizer: the one that the model was trained with.
        max_seq_length: tokens of a row at most.
        task: description of the task, as in `model.json`; None of a model that was not fine-tuned.

    Attributes:
        inputs: strings that are sent, by name, and their shape after the batch axis.
        by_token: outputs of `of_rows` with an axis of tokens.
    """

    inputs: dict[str, tuple[int, ...]]
    by_token: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        max_seq_length: int,
        task: dict | None = None,
    ):
        super().__init__()
        # Noticed as an attribute, a Keras model would be saved too, all its weights once more.
        object.__setattr__(self, "model", model)
        # A SavedModel keeps what hangs on the module by attribute; lists inside Keras do not.
        self.model_variables = [variable.value for variable in model.variables]
        self.tokenizer, self.graph = tokenizer, tokenizer.graph()
        self.length, self.task = max_seq_length, task or {}
        self.inputs = {"text": ()}
        if self.task.get("pairs"):
            self.inputs["text_pair"] = ()

    def answers(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Answers to strings [B]."""
        raise NotImplementedError

    def of_rows(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What the model says of rows: outputs [R, ...] of features [R, L]."""
        raise NotImplementedError

    def of_ids(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Answers to rows: the outputs of the signature `ids`."""
        return self.of_rows(features)

    def predictions(self, outputs: dict[str, np.ndarray], texts: dict[str, list]) -> list[dict]:
        """Answers as `roots predict` writes them, of outputs of `serving_default`."""
        raise NotImplementedError

    def signatures(self) -> dict:
        """Concrete functions by name."""
        strings = {
            name: tf.TensorSpec([None, *shape], tf.string, name)
            for name, shape in self.inputs.items()
        }
        ids = {
            name: tf.TensorSpec([None] * self.ids_rank, tf.int32, name)
            for name in ("token_ids", *(["segment_ids"] * self.has_segments), "padding_mask")
        }
        serialised = {"examples": tf.TensorSpec([None], tf.string, "examples")}
        return {
            "serving_default": concrete(self.answers, strings),
            "examples": concrete(self._answers_to_examples, serialised),
            "ids": concrete(self._answers_to_ids, ids),
        }

    ids_rank: ClassVar[int] = 2

    @property
    def has_segments(self) -> bool:
        """Whether rows have two segments."""
        return len(self.inputs) > 1

    def rows(self, inputs: dict[str, tf.Tensor]) -> graph_rows.Rows:
        """Rows of texts, or of pairs of texts."""
        first = self.graph.tokenize(inputs["text"])
        if "text_pair" not in inputs:
            return self.cut(first)
        return self.cut(self.graph.tokenize(inputs["text_pair"]), first)

    def cut(self, ids, first=None) -> graph_rows.Rows:
        """Rows of ids, by the stride of the task."""
        stride = self.task.get("stride", 0)
        return graph_rows.cut(ids, self.tokenizer, self.length, stride, MOST_TOKENS, first)

    def features(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Features of texts as the signature `ids` takes them."""
        return self.rows(inputs).features

    def over(self, rows: graph_rows.Rows) -> dict[str, tf.Tensor]:
        """`of_rows`, some at a time."""
        return graph_rows.by_length(
            self.of_rows, rows.features, rows.lengths, TOKENS_AT_ONCE, self.by_token
        )

    def _answers_to_examples(self, inputs):
        features = {
            name: tf.io.FixedLenFeature(shape, tf.string) for name, shape in self.inputs.items()
        }
        return self.answers(tf.io.parse_example(inputs["examples"], features))

    def _answers_to_ids(self, inputs):
        token_ids, inside = inputs["token_ids"], inputs["padding_mask"] != 0
        segments = inputs.get("segment_ids", tf.zeros_like(token_ids))
        longest = self.model.config.max_sequence_length
        message = f"the model takes rows of 1 to {longest} tokens"
        length = tf.shape(token_ids)[-1]
        with tf.control_dependencies(
            [
                tf.debugging.assert_positive(length, message),
                tf.debugging.assert_less_equal(length, longest, message),
            ]
        ):
            return self.of_ids(
                {
                    # Whatever stands on the padding must not index beyond the embedding.
                    "token_ids": tf.where(inside, token_ids, self.tokenizer.pad_id),
                    "segment_ids": tf.where(inside, segments, 0),
                    "padding_mask": inside,
                }
            )


class Embedding(Serving):
    """A vector a text, and a vector a token.

    Args:
        pooling: "mean" over the tokens, "cls", the first one, or "pooler", the trained layer on it.
        l2_normalize: whether vectors are scaled to length 1.

    Outputs of `serving_default`: `embedding` [B, H]. A further signature `tokens` gives
    `token_embeddings` [B, L, H] with `token_ids` [B, L] and `spans` int32 [B, L, 2], their places
    in the text in characters, -1 of special tokens and padding.
    """

    def __init__(self, *args, pooling: str = "mean", l2_normalize: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self._pooling, self._l2_normalize = pooling, l2_normalize

    def answers(self, inputs):
        """`embedding`."""
        return self.over(self.rows(inputs))

    def of_rows(self, features):
        """`embedding` [R, H]."""
        hidden_states = self.model.encoder(features)  # [R, L, H]
        if self._pooling == "mean":
            vectors = models.mean_pool(hidden_states, features["padding_mask"])
        elif self._pooling == "cls":
            vectors = tf.cast(hidden_states[:, 0], tf.float32)
        else:
            vectors = tf.cast(self.model.pooler(hidden_states), tf.float32)
        return {"embedding": tf.math.l2_normalize(vectors, -1) if self._l2_normalize else vectors}

    def signatures(self):
        """With `tokens`, and `fill_mask` of a model that has that head."""
        text = {"text": tf.TensorSpec([None], tf.string, "text")}
        further = {"tokens": concrete(self._tokens, text)}
        if isinstance(self.model, models.Pretrainer):
            further["fill_mask"] = concrete(self._fill_mask, text)
        return super().signatures() | further

    def _hidden_states(self, rows):
        """Hidden states [R, L, H]."""
        found = graph_rows.by_length(
            lambda features: {"states": tf.cast(self.model.encoder(features), tf.float32)},
            rows.features,
            rows.lengths,
            TOKENS_AT_ONCE,
            by_token=("states",),
        )
        return tf.ensure_shape(found["states"], [None, None, self.model.config.hidden_dim])

    def _tokens(self, inputs):
        ids, starts, ends = self.graph.tokenize_with_offsets(inputs["text"])
        rows = self.cut(ids)
        token_ids = rows.features["token_ids"]  # [B, L]
        kept = tf.shape(token_ids)[1] - 2
        places = tf.stack([starts, ends], -1)[:, :kept].to_tensor(-1)  # [B, longest, 2]
        missing = kept + 1 - tf.shape(places)[1]
        spans = tf.pad(places, [[0, 0], [1, missing], [0, 0]], constant_values=-1)
        spans = tf.where(token_ids[..., None] == self.tokenizer.sep_id, -1, spans)
        return {
            "token_embeddings": self._hidden_states(rows),
            "token_ids": token_ids,
            "spans": spans,
        }

    def _fill_mask(self, inputs, top: int = 5):
        """The likeliest pieces of each [MASK], and their probabilities: [B, masks, top]."""
        rows = self.rows(inputs)
        is_mask = rows.features["token_ids"] == self.tokenizer.mask_id  # [B, L]
        states = tf.boolean_mask(self._hidden_states(rows), is_mask)[:, None]  # [N, 1, H]
        vocabulary = tf.constant(self.tokenizer.vocabulary)

        def best(features):
            at = tf.zeros_like(features["states"][:, :, 0], tf.int32)  # [n, 1]
            table = self.model.encoder.embeddings.token
            states = tf.cast(features["states"], self.model.compute_dtype)
            chances = tf.nn.softmax(self.model.masked_lm(states, at, table))  # [n, V]
            found = tf.math.top_k(chances, min(top, self.tokenizer.size))
            return {"probabilities": found.values, "ids": found.indices}

        found = graph_rows.by_length(
            best, {"states": states}, tf.ones_like(states[:, 0, 0], tf.int32), MASKS_AT_ONCE
        )
        counts = tf.reduce_sum(tf.cast(is_mask, tf.int64), 1)  # [B]
        pieces = tf.gather(vocabulary, found["ids"])
        return {
            "pieces": tf.RaggedTensor.from_row_lengths(pieces, counts).to_tensor(""),
            "probabilities": tf.RaggedTensor.from_row_lengths(
                found["probabilities"], counts
            ).to_tensor(0.0),
        }

    def predictions(self, outputs, texts):
        """`embedding`."""
        return [{"embedding": vector.tolist()} for vector in outputs["embedding"]]


class Classes(Serving):
    """`label` string [B], its `score` [B], and `probabilities` [B, labels], by name of the label.

    A text of several windows has the mean of their probabilities.
    """

    def __init__(self, *args, labels: tuple[str, ...], **kwargs):
        super().__init__(*args, **kwargs)
        self._labels = tf.constant(labels)

    def answers(self, inputs):
        """Of the mean of the windows."""
        rows = self.rows(inputs)
        return self._named(tf.math.segment_mean(self.over(rows)["probabilities"], rows.texts))

    def of_rows(self, features):
        """`probabilities` [R, labels]."""
        return {"probabilities": tf.nn.softmax(self.model(features))}

    def of_ids(self, features):
        """As of texts."""
        return self._named(self.of_rows(features)["probabilities"])

    def _named(self, probabilities):
        return {
            "label": tf.gather(self._labels, tf.argmax(probabilities, -1)),
            "score": tf.reduce_max(probabilities, -1),
            "probabilities": probabilities,
        }

    def predictions(self, outputs, texts):
        """`label`, `score` and `probabilities`."""
        names = [label.decode() for label in self._labels.numpy()]
        return [
            {
                "label": label.decode(),
                "score": float(score),
                "probabilities": dict(zip(names, chances.tolist(), strict=True)),
            }
            for label, score, chances in zip(
                *(outputs[name] for name in ("label", "score", "probabilities")), strict=True
            )
        ]


class Value(Serving):
    """`value` [B], a number a text, in the unit of the training file."""

    def answers(self, inputs):
        """Of the mean of the windows."""
        rows = self.rows(inputs)
        return {"value": tf.math.segment_mean(self.over(rows)["value"], rows.texts)}

    def of_rows(self, features):
        """`value` [R]."""
        return {"value": self.model(features)[:, 0] * self.task["deviation"] + self.task["mean"]}

    def predictions(self, outputs, texts):
        """`value`."""
        return [{"value": float(value)} for value in outputs["value"]]


class Likeness(Embedding):
    """`cosine` [B] of two texts, and `value` [B] in the unit of the training file.

    A further signature `embedding` gives the unit vector of one text, as `ids` does.
    """

    has_segments = False  # each text is a row of its own

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs, l2_normalize=True)
        self.inputs["text_pair"] = ()

    def answers(self, inputs):
        """Of the embeddings of both, which are computed together."""
        texts = tf.concat([inputs["text"], inputs["text_pair"]], 0)  # [2 * B]
        vectors = super().answers({"text": texts})["embedding"]
        cosine = tf.reduce_sum(tf.multiply(*tf.split(vectors, 2)), -1)
        lowest, highest = self.task["lowest"], self.task["highest"]
        return {"cosine": cosine, "value": lowest + cosine * (highest - lowest)}

    def features(self, inputs):
        """Of the first texts."""
        return super().features({"text": inputs["text"]})

    def signatures(self):
        """With `embedding`."""
        text = {"text": tf.TensorSpec([None], tf.string, "text")}
        return super().signatures() | {"embedding": concrete(super().answers, text)}

    def predictions(self, outputs, texts):
        """`cosine` and `value`."""
        pairs = zip(outputs["cosine"], outputs["value"], strict=True)
        return [{"cosine": float(cosine), "value": float(value)} for cosine, value in pairs]


class Choice(Serving):
    """`choice` int32 [B], the index of the likeliest, its `score`, `probabilities` [B, choices]."""

    ids_rank = 3

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._count = self.task["num_choices"]
        self.inputs["choices"] = (self._count,)

    def rows(self, inputs):
        """Rows [CLS] text [SEP] choice [SEP], one a choice."""
        first = self.graph.tokenize(tf.repeat(inputs["text"], self._count))
        return self.cut(self.graph.tokenize(tf.reshape(inputs["choices"], [-1])), first)

    def features(self, inputs):
        """Features [B, choices, L]."""
        return {
            name: tf.reshape(feature, [-1, self._count, tf.shape(feature)[-1]])
            for name, feature in super().features(inputs).items()
        }

    def answers(self, inputs):
        """Of the softmax over the choices."""
        return self._chosen(self.over(self.rows(inputs))["logits"])

    def of_rows(self, features):
        """`logits` [R]."""
        return {"logits": self.model(features)[:, 0]}

    def of_ids(self, features):
        """As of texts, of rows [B, choices, L]."""
        shape = [-1, tf.shape(features["token_ids"])[-1]]
        rows = {name: tf.reshape(feature, shape) for name, feature in features.items()}
        return self._chosen(self.of_rows(rows)["logits"])

    def _chosen(self, logits):
        probabilities = tf.nn.softmax(tf.reshape(logits, [-1, self._count]))
        return {
            "choice": tf.argmax(probabilities, -1, tf.int32),
            "score": tf.reduce_max(probabilities, -1),
            "probabilities": probabilities,
        }

    def predictions(self, outputs, texts):
        """`choice`, `choice_text` and `probabilities`."""
        return [
            {
                "choice": int(choice),
                "choice_text": choices[choice],
                "probabilities": chances.tolist(),
            }
            for choice, chances, choices in zip(
                outputs["choice"], outputs["probabilities"], texts["choices"], strict=True
            )
        ]


def concrete(function, inputs: dict[str, tf.TensorSpec]):
    """The graph of a function of a dictionary, with inputs by name."""
    return tf.function(lambda **given: function(given), autograph=False).get_concrete_function(
        **inputs
    )
