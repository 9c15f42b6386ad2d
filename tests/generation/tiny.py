"""A causal model of a few thousand weights, which knows nothing, and a tokenizer for it."""

from pathlib import Path

from roots_tf import models, tokenizers
from roots_tf.tokenizers import training

LINES = (
    "She opened the door and looked into the garden.",
    "He said that the captain would come back to the old house.",
    "Ünïcödé, 漢字 and emoji 👩‍👧 are texts too; the door was open.",
)
WINDOW = 48


def write(folder: Path, model: str = "bpe", seed: int = 0) -> Path:
    """Writes a model folder with a tokenizer of a kind, and returns it."""
    texts = [line for line in LINES for _ in range(4)]
    training.train(iter(texts), folder, model=model, vocab_size=340)
    tokenizer = tokenizers.load(folder)
    made = models.CausalLM(
        models.EncoderConfig(
            vocabulary_size=tokenizer.size + 4,  # rows that no token has
            num_layers=2,
            hidden_dim=16,
            num_heads=2,
            intermediate_dim=32,
            max_sequence_length=WINDOW,
            num_segments=0,
            initializer_range=0.3,
        ),
        seed=seed,
    )
    models.save(folder, made)
    return folder
