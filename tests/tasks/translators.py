"""An encoder-decoder of a few thousand weights that writes nonsense, with a tokenizer."""

from pathlib import Path

from roots_tf import generation, models, tasks, tokenizers
from roots_tf.models.config import DecoderConfig, EncoderConfig, preset_fields
from roots_tf.tokenizers import training

LINES = (
    "A man in a blue shirt is standing on a ladder.",
    "Ein Mann im blauen Hemd steht auf einer Leiter.",
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz.",
)
BEAMS = generation.Settings("beam", max_new_tokens=10, num_beams=3)


def write(folder: Path, model: str = "bpe", lines=LINES * 4, **decoder) -> Path:
    """Writes a model folder with a tokenizer of a kind, and returns it.

    Args:
        folder: where to.
        model: of the tokenizer.
        lines: that it is trained on.
        **decoder: fields of the decoder's config that differ.
    """
    training.train(iter(lines), folder, model=model, vocab_size=400, lowercase=False)
    tokenizer = tokenizers.load(folder)
    sizes = {"vocabulary_size": tokenizer.size + 3, "num_layers": 1, "hidden_dim": 16}
    sizes |= {"num_heads": 2, "intermediate_dim": 24, "max_sequence_length": 48}
    config = EncoderConfig(
        **preset_fields("transformer") | sizes | {"initializer_range": 0.5}  # to tell texts apart
    )
    made = models.EncoderDecoder(config, DecoderConfig.like(config, **decoder), seed=3)
    kind = tasks.KINDS["sequence_to_sequence"](40, max_target_length=16, settings=BEAMS)
    models.save(folder, made, **kind.description())
    return folder
