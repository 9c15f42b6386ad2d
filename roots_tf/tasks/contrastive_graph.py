"""The graph that is served of a model of contrastive pairs: cosines, and vectors of texts."""

import tensorflow as tf

from roots_tf.tasks.similarity import ServedSimilarity


class ServedContrastive(ServedSimilarity):
    """`cosine` [B] of a text and one that may be its positive; signatures as of similarity."""

    def answers(self, inputs):
        """The cosine of each pair; the vectors of both texts are computed together."""
        prompts = self.kind.text_prompt, self.kind.positive_prompt
        texts = [
            tf.strings.join([prompt, inputs[name]])
            for prompt, name in zip(prompts, ("text", "text_pair"), strict=True)
        ]
        vectors = self.over(self.rows({"text": tf.concat(texts, 0)}))["embedding"]  # [2 * B, H]
        first, second = tf.split(vectors, 2)
        return {"cosine": tf.reduce_sum(first * second, -1)}

    def features(self, inputs):
        """Features of the first text of each pair after its prompt, as `of_ids` takes them."""
        return super().features({"text": tf.strings.join([self.kind.text_prompt, inputs["text"]])})

    def _embedding(self, inputs):
        return super()._embedding(
            {"text": tf.strings.join([self.kind.text_prompt, inputs["text"]])}
        )

    def predictions(self, outputs, texts):
        """`cosine`."""
        return [{"cosine": float(cosine)} for cosine in outputs["cosine"]]
