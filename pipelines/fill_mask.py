"""Show what a pretrained model believes stands at each [MASK] of a text.

    roots fill-mask --model=work/pretrained/model --text="The captain looked at the [MASK]."

Takes seconds. Prints the likeliest pieces for each [MASK] with their probabilities; several texts
are parted by newlines, or read from standard input.
"""

import dataclasses
import json
import sys

from roots_tf import models, program, tokenizers
from roots_tf.storage import files
from roots_tf.tokenizers.shown import shown


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `fill-mask`."""

    model: str = program.flag(help="model folder that pretrain wrote", role="input")
    text: str = program.flag("", help="a text with [MASK] on each line; none: standard input")
    top: int = program.flag(5, help="pieces to show for each [MASK]", minimum=1, maximum=1_000_000)
    json: bool = program.flag(False, help="print JSON lines instead of a table")
    debug: bool = program.flag(False, help="the first text only")


def main(config: Config) -> list[dict]:
    """Prints and returns, for each text, the likeliest pieces of each [MASK]."""
    tokenizer = tokenizers.load(config.model)
    described = models.describe(config.model)
    if not models.fills_masks(described):
        found = "causal language" if models.is_causal(described) else "fine-tuned"
        raise files.InputError(
            "wrong-model-kind",
            f"found a {found} model in {config.model}; wanted one that pretrain wrote to fill "
            "masks, which has the vocabulary head",
        )
    model = models.load(config.model)
    texts = [line for line in (config.text or sys.stdin.read()).splitlines() if line.strip()]
    answers = [
        fill(text, model, tokenizer, config.top) for text in texts[: 1 if config.debug else None]
    ]
    for answer in answers:
        if config.json:
            print(json.dumps(answer, ensure_ascii=False))
            continue
        print(answer["text"])
        for pieces in answer["masks"]:
            print("    " + "  ".join(f"{p['piece']} {p['probability']:.3f}" for p in pieces))
    return answers


def fill(text: str, model, tokenizer: tokenizers.Tokenizer, top: int) -> dict:
    """The likeliest pieces at each [MASK] of a text.

    Args:
        text: holds a [MASK].
        model: a `models.Pretrainer`.
        tokenizer: the model's.
        top: pieces to give for each [MASK].

    Raises:
        InputError: the text holds no [MASK] within the model's length.
    """
    import tensorflow as tf

    from roots_tf.export.embedding import features_of

    features = features_of(text, tokenizer, model.config.max_sequence_length)
    positions = tf.where(features["token_ids"][0] == tokenizer.mask_id)[None, :, 0]
    if not positions.shape[1]:
        raise files.InputError(
            "no-mask",
            f"found no [MASK] in the first {model.config.max_sequence_length} tokens of "
            f"{text[:80]!r}; wanted at least one",
        )
    features["masked_lm_positions"] = tf.cast(positions, tf.int32)
    best = (part.numpy() for part in model.likeliest(features, top, tokenizer.size))
    return {
        "text": text,
        "masks": [
            [
                {"piece": piece, "probability": float(p)}
                for piece, p in zip(shown(tokenizer, indices), values, strict=True)
            ]
            for indices, values in zip(*best, strict=True)
        ],
    }


if __name__ == "__main__":
    program.run(main, Config)
