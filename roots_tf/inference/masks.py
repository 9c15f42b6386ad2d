"""What a pretrained model believes stands at each [MASK]."""

from roots_tf import models
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer
from roots_tf.tokenizers.shown import shown


def check_fills(description: dict, folder: str) -> None:
    """Refuses a model that fills no masks.

    Args:
        description: what `models.describe` gives for it.
        folder: of the model, for messages.

    Raises:
        InputError: it has no vocabulary head, or is causal.
    """
    if not models.fills_masks(description):
        found = "causal language" if models.is_causal(description) else "fine-tuned"
        found = {"discriminator": "replaced-token"}.get(description.get("kind"), found)
        raise InputError(
            "wrong-model-kind",
            f"found a {found} model in {folder}; wanted one that pretrain wrote to fill masks, "
            "which has the vocabulary head",
        )


def fill(text: str, model, tokenizer: Tokenizer, top: int) -> dict:
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

    from roots_tf.tokenizers.packing import features_of

    features = features_of(text, tokenizer, model.config.max_sequence_length)
    positions = tf.where(features["token_ids"][0] == tokenizer.mask_id)[None, :, 0]
    if not positions.shape[1]:
        raise InputError(
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
