"""A byte-level tokenizer with ends of texts, and tiny models for it."""

import pytest
import tokenizers
from tokenizers import decoders, pre_tokenizers, trainers
from tokenizers.models import BPE

from roots_tf import models
from roots_tf.tokenizers import Tokenizer

TEXT = "the cat sat on the mat and the dog sat on the rug; unhappy cats undo what happy dogs do\n"


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Byte-level pieces of a little English, with the special tokens of BERT."""
    backend = tokenizers.Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([TEXT] * 4, trainer)
    return Tokenizer(backend)


def sizes(tokenizer, **fields) -> models.EncoderConfig:
    """Sizes of a model that takes milliseconds, with weights so large that a wrong one shows."""
    usual = {"num_layers": 2, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    usual |= {"max_sequence_length": 12, "initializer_range": 0.4}
    return models.EncoderConfig(vocabulary_size=tokenizer.size, **usual | fields)


@pytest.fixture(scope="session")
def causal(tokenizer) -> models.CausalLM:
    """A causal language model of random weights, of 12 tokens."""
    return models.CausalLM(sizes(tokenizer, num_segments=0, norm="pre"), seed=1)


@pytest.fixture(scope="session")
def masked(tokenizer) -> models.Pretrainer:
    """A masked language model of random weights, of 12 tokens."""
    return models.Pretrainer(sizes(tokenizer), seed=2)
