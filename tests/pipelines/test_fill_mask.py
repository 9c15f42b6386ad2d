"""`fill-mask`: the model's own probabilities, best first."""

import json

import numpy as np
import pytest
import tensorflow as tf

from pipelines import fill_mask
from roots_tf import models, tokenizers
from roots_tf.storage.files import InputError


def test_it_gives_the_models_probabilities(work, capsys):
    text = "Return the [MASK] of a [MASK]."
    [answer] = fill_mask.main(fill_mask.Config(model=work.model, text=text, json=True))
    assert json.loads(capsys.readouterr().out) == answer
    tokenizer, model = tokenizers.load(work.model), models.load(work.model)
    ids = [tokenizer.cls_id, *tokenizer.encode([text])[0], tokenizer.sep_id]
    masks = [i for i, token in enumerate(ids) if token == tokenizer.mask_id]
    assert len(masks) == len(answer["masks"]) == 2
    logits = model(
        {
            "token_ids": tf.constant([ids]),
            "segment_ids": tf.zeros([1, len(ids)], tf.int32),
            "padding_mask": tf.ones([1, len(ids)], tf.bool),
            "masked_lm_positions": tf.constant([masks]),
        }
    )["masked_lm_logits"]
    for row, pieces in zip(tf.nn.softmax(logits).numpy(), answer["masks"], strict=True):
        best = np.argsort(-row)[:5]
        assert [p["piece"] for p in pieces] == [tokenizer.vocabulary[i] for i in best]
        assert [p["probability"] for p in pieces] == pytest.approx(row[best].tolist(), rel=1e-4)


def test_a_text_without_mask_is_named(work):
    with pytest.raises(InputError, match=r"found no \[MASK\] in the first 32 tokens"):
        fill_mask.main(fill_mask.Config(model=work.model, text="Nothing to fill."))
