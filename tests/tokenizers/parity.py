"""The comparison that every tokenizer passes: bulk, graph and Hugging Face, on the same texts."""

import numpy as np
import tensorflow as tf


def as_bytes(text: str | bytes) -> bytes:
    """What a caller of the graph would send."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


class Parity:
    """Checks one tokenizer; the graph is traced once."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        graph = tokenizer.graph()
        signature = [tf.TensorSpec([None], tf.string)]
        self.tokenize = tf.function(graph.tokenize, input_signature=signature)
        self.with_offsets = tf.function(graph.tokenize_with_offsets, input_signature=signature)

    def check(self, texts: list[str | bytes]) -> int:
        """Asserts that ids and offsets are the same everywhere; returns the number of ids."""
        expected = self.tokenizer.encode_with_offsets(texts)  # Hugging Face's own batch
        ids, splits = self.tokenizer.encode(texts)
        np.testing.assert_array_equal(splits, expected.row_splits)
        np.testing.assert_array_equal(ids, expected.ids)
        sent = tf.constant([as_bytes(text) for text in texts], tf.string)
        in_graph = self.with_offsets(sent)
        plain = self.tokenize(sent)
        same = np.array_equal(plain.flat_values, expected.ids) and all(
            np.array_equal(got.row_splits, expected.row_splits)
            and np.array_equal(got.flat_values, want)
            for got, want in zip(
                in_graph, (expected.ids, expected.starts, expected.ends), strict=True
            )
        )
        if not same:
            self._explain(texts, expected, in_graph)
        np.testing.assert_array_equal(plain.flat_values, expected.ids)
        return len(ids)

    def _explain(self, texts, expected, in_graph):
        wanted = (expected.ids, expected.starts, expected.ends)
        for name, got, want in zip(("ids", "starts", "ends"), in_graph, wanted, strict=True):
            got_rows = np.split(got.flat_values.numpy(), got.row_splits.numpy()[1:-1])
            want_rows = np.split(want, expected.row_splits[1:-1])
            for text, got_row, want_row in zip(texts, got_rows, want_rows, strict=True):
                assert got_row.tolist() == want_row.tolist(), f"{name} of {text!a}"
