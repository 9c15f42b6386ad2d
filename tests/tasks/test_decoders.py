"""Classifiers of decoders: the served graph reads the same last token as Python does."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import tasks

TEXTS = ["the end", "who was in the end of the", "in", "", "what was the end of it"]
PAIRS = ["of", "", "the of in", "who", "was it"]


@pytest.mark.parametrize(("num_segments", "pairs"), [(0, True), (2, False)])
def test_texts_answer_alike_in_python_and_in_the_graph(tokenizer, encoder, num_segments, pairs):
    config = dataclasses.replace(
        encoder, causal=True, num_segments=num_segments, initializer_range=0.3
    )
    kind = tasks.KINDS["classification"](max_seq_length=16, labels=("a", "b", "c"), pairs=pairs)
    model = kind.make_model(config, seed=3)
    columns = {"text": TEXTS} | ({"text_pair": PAIRS} if pairs else {})
    found = tasks.answer(kind, model, tokenizer, kind.unlabelled(columns), batch_size=2)
    expected = [[*row["probabilities"].values()] for row in found]
    assert np.ptp(expected, axis=0).max() > 0.05  # texts differ
    served = kind.served(model, tokenizer)
    inputs = {name: tf.constant(texts) for name, texts in columns.items()}
    for outputs in (served.answers(inputs), served.of_ids(served.features(inputs))):
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
    assert not served.has_segments
