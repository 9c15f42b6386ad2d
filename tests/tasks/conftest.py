"""A tokenizer of single characters and a few whole words, and a small encoder for it."""

import string

import pytest

from roots_tf import models
from roots_tf.tokenizers import Tokenizer
from roots_tf.tokenizers.tokenizer import wordpiece

WORDS = ("the", "of", "in", "and", "was", "who", "what", "##ing", "##ed")


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Cuts nearly everything into letters, so that words have many pieces."""
    letters = string.ascii_lowercase + string.digits
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *letters]
    tokens += [f"##{letter}" for letter in letters]
    return wordpiece([*tokens, *WORDS], lowercase=True)


@pytest.fixture(scope="session")
def encoder(tokenizer) -> models.EncoderConfig:
    """Sizes of a model that takes milliseconds."""
    return models.EncoderConfig(
        vocabulary_size=tokenizer.size,
        num_layers=1,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=32,
        max_sequence_length=128,
    )
