"""Texts are one where a model sees the same tokens."""

import numpy as np

from roots_tf import labelled
from roots_tf.labelled import equal_texts
from tests.tasks.conftest import tokenizer  # noqa: F401  (a fixture)


def test_equal_tokens_have_one_number_and_one_digest(tokenizer):  # noqa: F811
    texts = ["the end", "THE  end", "who", "the end of it", "", "who"]
    rows = labelled.cut(*tokenizer.encode(texts), tokenizer, 6)  # [CLS] the e ##n ##d [SEP]
    assert equal_texts.numbers(rows).tolist() == [0, 0, 1, 0, 2, 1]
    digests = equal_texts.digests(rows)
    assert digests.dtype == np.uint64
    assert digests.tolist() == [digests[i] for i in (0, 0, 2, 0, 4, 2)]
    assert len(set(digests.tolist())) == 3
    other = labelled.cut(*tokenizer.encode(["what", "who"]), tokenizer, 6)
    assert equal_texts.digests(other)[1] == digests[2]  # whatever stands beside it
