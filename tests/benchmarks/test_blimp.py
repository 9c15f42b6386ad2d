"""Minimal pairs by n-grams, where the right answer follows from the text."""

import json

import numpy as np
import pytest

from benchmarks import blimp
from pipelines import train_tokenizer
from roots_tf import program
from roots_tf.labelled import scored_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blimp")
    (folder / "train.txt").write_text("the cats sleep\nthe cat sleeps\n" * 50)
    flags = {"input": (f"{folder}/train.txt",), "output": f"{folder}/model", "vocab_size": 100}
    train_tokenizer.main(program.make(train_tokenizer.Config, **flags))
    pairs = [
        {"good": "the cats sleep", "bad": "the cats sleeps", "phenomenon": "agreement"},
        {"good": "the cat sleeps", "bad": "the cat sleep", "phenomenon": "agreement"},
        {"good": "sleep the cats", "bad": "the cats sleep", "phenomenon": "order"},
        {"good": "the cat sleeps", "bad": "the cat sleeps", "phenomenon": "order"},
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return folder


def test_ngrams_prefer_what_the_text_has(folder):
    config = program.make(
        blimp.Config,
        **{"pairs": f"{folder}/pairs.jsonl", "models": (f"{folder}/model",), "order": 3},
        **{"train": (f"{folder}/train.txt",), "documents": "line"},
    )
    _, questions = scored_texts.read(config.pairs, groups=("phenomenon",))
    found = blimp.of_ngrams(config, questions)
    assert found == {"all": 0.5, "agreement": 1.0, "order": 0.0}  # of equals neither is right
    assert np.mean([found["agreement"], found["order"]]) == found["all"]
