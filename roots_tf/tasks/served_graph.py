"""The graph that is served: from strings to answers, with tokenizer, rows and model inside.

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

from roots_tf.tasks import graph_rows
from roots_tf.tokenizers import Tokenizer

TOKENS_AT_ONCE = 2048
MOST_TOKENS = 16_384  # of a text that is read in windows


class ServedGraph(tf.Module):
    """A model with its tokenizer; a subclass says what it answers.

    Args:
        model: of `roots_tf.models`.
        tokenizer: the one that the model was trained with.
        max_seq_length: tokens of a row at most.
        stride: tokens from the start of a window of a long text to that of the next; 0 cuts off.

    Attributes:
        inputs: names of the strings that are sent, and the shape of each after the batch axis.
        by_token: outputs of `of_rows` with an axis of tokens.
        ids_rank: axes of the features that the signature `ids` takes.
    """

    inputs: dict[str, tuple[int, ...]]
    by_token: ClassVar[tuple[str, ...]] = ()
    ids_rank: ClassVar[int] = 2

    def __init__(
        self, model: keras.Model, tokenizer: Tokenizer, max_seq_length: int, stride: int = 0
    ):
        super().__init__()
        # Noticed as an attribute, a Keras model would be saved too, all its weights once more.
        object.__setattr__(self, "model", model)
        # A SavedModel keeps what hangs on the module by attribute; lists inside Keras do not.
        self.model_variables = [variable.value for variable in model.variables]
        self.tokenizer, self.graph = tokenizer, tokenizer.graph()
        self.length, self.stride = max_seq_length, stride
        self.inputs = {"text": ()}

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
        """Answers as `roots predict` writes them.

        Args:
            outputs: of the signature `serving_default`, by name.
            texts: the strings that were sent, by name.
        """
        raise NotImplementedError

    def checked_texts(self) -> dict[str, list]:
        """Columns of texts to check an export with; none: those that every model can read."""
        return {}

    def example(self, signature: str, texts: list[str]) -> dict[str, list]:
        """Inputs of a request to a further signature, by name.

        Args:
            signature: its name, none that every graph has.
            texts: that the request is about.
        """
        return {"text": texts}

    def signatures(self) -> dict:
        """Concrete functions by name."""
        ids = {
            name: tf.TensorSpec([None] * self.ids_rank, tf.int32, name)
            for name in ("token_ids", *(["segment_ids"] * self.has_segments), "padding_mask")
        }
        serialised = {"examples": tf.TensorSpec([None], tf.string, "examples")}
        return {
            "serving_default": self.of_strings(),
            "examples": concrete(self._answers_to_examples, serialised),
            "ids": concrete(self._answers_to_ids, ids),
        } | self.further()

    def further(self) -> dict:
        """Signatures beyond those that every graph has, by name."""
        return {}

    def of_strings(self):
        """The signature that gives `answers`."""
        strings = {
            name: tf.TensorSpec([None, *shape], tf.string, name)
            for name, shape in self.inputs.items()
        }
        return concrete(self.answers, strings)

    def of_tokens(self) -> dict:
        """The signature `tokens`, by that name; none of a model that does not tell its states."""
        if not hasattr(self.model, "encoder"):
            return {}
        text = {"text": tf.TensorSpec([None], tf.string, "text")}
        return {"tokens": concrete(self.token_vectors, text)}

    @property
    def has_segments(self) -> bool:
        """Whether rows have two segments."""
        return len(self.inputs) > 1 and self.model.config.num_segments > 0

    def rows(self, inputs: dict[str, tf.Tensor]) -> graph_rows.GraphRows:
        """Rows of texts, or of pairs of texts."""
        first = self.graph.tokenize(inputs["text"])
        if "text_pair" not in inputs:
            return self.cut(first)
        return self.cut(self.graph.tokenize(inputs["text_pair"]), first)

    def cut(self, ids, first=None, stride=None) -> graph_rows.GraphRows:
        """Rows of texts; arguments as for `graph_rows.cut`, with the graph's own stride."""
        stride = self.stride if stride is None else stride
        return graph_rows.cut(ids, self.tokenizer, self.length, stride, MOST_TOKENS, first)

    def features(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Features of texts, as `of_ids` takes them."""
        return self.rows(inputs).features

    def over(self, rows: graph_rows.GraphRows) -> dict[str, tf.Tensor]:
        """`of_rows` of all rows, some at a time."""
        return graph_rows.by_length(
            self.of_rows, rows.features, rows.lengths, TOKENS_AT_ONCE, self.by_token
        )

    def hidden_states(self, rows: graph_rows.GraphRows) -> tf.Tensor:
        """The encoder's output for rows, float32 [R, L, H]."""
        outputs = graph_rows.by_length(
            lambda features: {"states": tf.cast(self.model.encoder(features), tf.float32)},
            rows.features,
            rows.lengths,
            TOKENS_AT_ONCE,
            by_token=("states",),
        )
        return tf.ensure_shape(outputs["states"], [None, None, self.model.config.hidden_dim])

    def token_vectors(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The signature `tokens` of models that embed texts: a vector a token of `text` [B].

        Returns:
            `token_embeddings` [B, L, H] with `token_ids` [B, L] and `spans` int32 [B, L, 2], their
            places in the text in characters, -1 of special tokens and padding.
        """
        ids, starts, ends = self.graph.tokenize_with_offsets(inputs["text"])
        rows = self.cut(ids)
        token_ids = rows.features["token_ids"]  # [B, L]
        kept = tf.shape(token_ids)[1] - 2
        places = tf.stack([starts, ends], -1)[:, :kept].to_tensor(-1)  # [B, longest, 2]
        missing = kept + 1 - tf.shape(places)[1]
        spans = tf.pad(places, [[0, 0], [1, missing], [0, 0]], constant_values=-1)
        spans = tf.where(token_ids[..., None] == self.tokenizer.sep_id, -1, spans)
        return {
            "token_embeddings": self.hidden_states(rows),
            "token_ids": token_ids,
            "spans": spans,
        }

    def _answers_to_examples(self, inputs):
        features = {
            name: tf.io.FixedLenFeature(shape, tf.string) for name, shape in self.inputs.items()
        }
        return self.answers(tf.io.parse_example(inputs["examples"], features))

    def _answers_to_ids(self, inputs):
        token_ids, inside = inputs["token_ids"], inputs["padding_mask"] != 0
        segments = inputs.get("segment_ids", tf.zeros_like(token_ids))
        with tf.control_dependencies(self._checks_of_ids(inputs)):
            return self.of_ids(
                {
                    # Whatever stands on the padding must not index beyond the embedding.
                    "token_ids": tf.where(inside, token_ids, self.tokenizer.causal_pad_id),
                    "segment_ids": tf.where(inside, segments, 0),
                    "padding_mask": inside,
                }
            )

    def _checks_of_ids(self, inputs):
        """Refuses ids that are not of the model; what stands on the padding may be anything.

        A gather on a GPU gives zeros for an id that does not exist, and TensorFlow would repeat a
        single row, or token, of one input to fit the others.
        """
        config, length = self.model.config, tf.shape(inputs["token_ids"])[-1]
        message = f"the model takes rows of 1 to {config.max_sequence_length} tokens"
        checks = [
            tf.debugging.assert_positive(length, message),
            tf.debugging.assert_less_equal(length, config.max_sequence_length, message),
        ]
        shape, most = tf.shape(inputs["padding_mask"]), {"padding_mask": 1}
        most |= {"token_ids": config.vocabulary_size - 1, "segment_ids": config.num_segments - 1}
        for name, values in inputs.items():
            message = f"the model takes {name} of the shape of padding_mask"
            checks.append(tf.debugging.assert_equal(tf.shape(values), shape, message))
            if name != "padding_mask":
                with tf.control_dependencies(checks[-1:]):
                    values = tf.boolean_mask(values, inputs["padding_mask"] != 0)
            message = f"the model takes {name} of 0 to {most[name]}"
            checks.append(tf.debugging.assert_non_negative(values, message))
            checks.append(tf.debugging.assert_less_equal(values, most[name], message))
        return checks


class ServedKind(ServedGraph):
    """The graph of a kind of fine-tuning task.

    Args:
        kind: a `FineTuning`, whose `answers` and `outputs` are what the graph computes.
        model: as `kind.make_model` gives it.
        tokenizer: the one that the model was trained with.
    """

    def __init__(self, kind, model: keras.Model, tokenizer: Tokenizer):
        super().__init__(model, tokenizer, kind.max_seq_length, kind.stride)
        self.kind = kind


def concrete(function, inputs: dict[str, tf.TensorSpec]):
    """The graph of a function of a dictionary, with inputs by name.

    Args:
        function: takes the inputs as one dictionary.
        inputs: shape and type of each, by name.
    """
    return tf.function(lambda **given: function(given), autograph=False).get_concrete_function(
        **inputs
    )
