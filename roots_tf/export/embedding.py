"""The graph that is served of a model without a task: a vector a text, and a vector a token."""

import keras
import tensorflow as tf

from roots_tf import models
from roots_tf.models import pooling
from roots_tf.tasks import graph_rows
from roots_tf.tasks.served_graph import ServedGraph, concrete
from roots_tf.tokenizers import Tokenizer
from roots_tf.tokenizers.packing import features_of

_USUAL = models.EmbeddingSettings()
MASKS_AT_ONCE = 256  # rows of the vocabulary in memory


class Embedding(ServedGraph):
    """A vector a text, and a vector a token.

    Outputs of `serving_default`: `embedding` [B, H]. Further signatures: `tokens` gives a vector a
    token; `fill_mask`, of a model with the vocabulary head, the likeliest pieces of each [MASK].

    Args:
        model: of `roots_tf.models`.
        tokenizer: the one that the model was trained with.
        settings: how a text becomes a vector; its prompt is put in front of `text`, but for the
            signatures `tokens` and `fill_mask`, which are about the words that were sent.
        max_seq_length: tokens of a text at most; 0: as the settings say.
    """

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        settings: models.EmbeddingSettings = _USUAL,
        max_seq_length: int = 0,
    ):
        length = max_seq_length or settings.length(model.config.max_sequence_length)
        super().__init__(model, tokenizer, length)
        object.__setattr__(self, "settings", settings)  # tf.Module would wrap its dictionary

    def answers(self, inputs):
        """`embedding`."""
        return self.over(self.rows(self._prompted(inputs)))

    def features(self, inputs):
        """Features of texts after the prompt, as `of_ids` takes them."""
        return super().features(self._prompted(inputs))

    def _prompted(self, inputs):
        prompt = self.settings.prompt
        return {"text": tf.strings.join([prompt, inputs["text"]])} if prompt else inputs

    def of_rows(self, features):
        """`embedding` [R, H]."""
        how = self.settings
        vectors = pooling.embed(self.model, features, how.pooling, how.l2_normalize)
        return {"embedding": vectors}

    def further(self):
        """`tokens`, and `fill_mask` where the model has the vocabulary head."""
        text = {"text": tf.TensorSpec([None], tf.string, "text")}
        further = self.of_tokens()
        if isinstance(self.model, models.Pretrainer):
            further["fill_mask"] = concrete(self._fill_mask, text)
        return further

    def _fill_mask(self, inputs, top: int = 5):
        """The likeliest pieces of each [MASK], and their probabilities: [B, masks, top]."""
        rows = self.rows(inputs)
        is_mask = rows.features["token_ids"] == self.tokenizer.mask_id  # [B, L]
        states = tf.boolean_mask(self.hidden_states(rows), is_mask)[:, None]  # [N, 1, H]
        vocabulary = tf.constant(self.tokenizer.vocabulary)

        def best(features):
            at = tf.zeros_like(features["states"][:, :, 0], tf.int32)  # [n, 1]
            table = self.model.encoder.embeddings.token
            states = tf.cast(features["states"], self.model.compute_dtype)
            logits = self.model.masked_lm(states, at, table)  # [n, V]
            probabilities = tf.nn.softmax(logits[:, : self.tokenizer.size])
            likeliest = tf.math.top_k(probabilities, min(top, self.tokenizer.size))
            return {"probabilities": likeliest.values, "ids": likeliest.indices}

        outputs = graph_rows.by_length(
            best, {"states": states}, tf.ones_like(states[:, 0, 0], tf.int32), MASKS_AT_ONCE
        )
        counts = tf.reduce_sum(tf.cast(is_mask, tf.int64), 1)  # [B]
        pieces = tf.gather(vocabulary, outputs["ids"])
        return {
            "pieces": tf.RaggedTensor.from_row_lengths(pieces, counts).to_tensor(""),
            "probabilities": tf.RaggedTensor.from_row_lengths(
                outputs["probabilities"], counts
            ).to_tensor(0.0),
        }

    def predictions(self, outputs, texts):
        """`embedding`."""
        return [{"embedding": vector.tolist()} for vector in outputs["embedding"]]


def embeddings(served: Embedding, texts: dict[str, list]) -> list[dict]:
    """Vectors of texts, one by one and outside the graph, to check it with.

    Args:
        served: whose model and settings they are of.
        texts: a column `text`.
    """
    answers = []
    for text in texts["text"]:
        features = features_of(served.settings.prompt + text, served.tokenizer, served.length)
        vectors = served.of_rows(features)["embedding"]
        answers.append({"embedding": vectors[0].numpy().tolist()})
    return answers
