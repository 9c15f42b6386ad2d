"""One vector of a text from the vectors of its tokens."""

import keras
import tensorflow as tf

from roots_tf.models.kinds import is_causal
from roots_tf.models.vectors import Pooling
from roots_tf.storage.files import InputError


def mean_pool(hidden_states: tf.Tensor, padding_mask: tf.Tensor) -> tf.Tensor:
    """Mean over the tokens that are not padding, in float32.

    Args:
        hidden_states: [B, L, H].
        padding_mask: bool [B, L], false on padding.

    Returns:
        float32 [B, H].
    """
    # Not [:, :, None]: LiteRT has no such slice of tensors whose sizes are not known.
    weights = tf.expand_dims(tf.cast(padding_mask, tf.float32), -1)  # [B, L, 1]
    total = tf.reduce_sum(tf.cast(hidden_states, tf.float32) * weights, 1)  # [B, H]
    return total / tf.maximum(tf.reduce_sum(weights, 1), 1.0)


def last_token(hidden_states: tf.Tensor, padding_mask: tf.Tensor) -> tf.Tensor:
    """State of the last token that is not padding: in a causal model the one that has seen all.

    Args:
        hidden_states: [B, L, H].
        padding_mask: bool [B, L], false on padding; of a row without tokens the first place is
            read.

    Returns:
        [B, H], of the type of `hidden_states`.
    """
    place = tf.range(tf.shape(padding_mask)[1])
    last = tf.reduce_max(tf.where(padding_mask, place, 0), 1, keepdims=True)  # [B, 1]
    # A product with ones and zeros: LiteRT has it, and its gradient is no scatter.
    weights = tf.cast(tf.expand_dims(tf.equal(place, last), -1), hidden_states.dtype)  # [B, L, 1]
    return tf.reduce_sum(hidden_states * weights, 1)


def embed(
    model: keras.Model,
    features: dict[str, tf.Tensor],
    pooling: Pooling = "mean",
    l2_normalize: bool = False,
) -> tf.Tensor:
    """A vector of each text.

    Args:
        model: with an `encoder`, and for "pooler" a `pooler`.
        features: of texts, as for `Encoder.call`.
        pooling: "mean" over the tokens; "cls", the vector of the first one; "pooler", the layer on
            that vector which next-sentence training or a classifier has trained.
        l2_normalize: whether vectors are scaled to length 1.

    Returns:
        float32 [B, H].
    """
    output = {"hidden_states": model.encoder(features)}  # [B, L, H]
    if pooling == "pooler":
        output["pooled"] = model.pooler(output["hidden_states"])
    vectors = pool(output, features["padding_mask"], pooling)
    return tf.math.l2_normalize(vectors, -1) if l2_normalize else vectors


def pool(output: dict[str, tf.Tensor], padding_mask: tf.Tensor, pooling: Pooling) -> tf.Tensor:
    """A vector of each text from what a `models.PooledEncoder` gives.

    Args:
        output: `hidden_states` [B, L, H], and for "pooler" `pooled` [B, H].
        padding_mask: bool [B, L], false on padding.
        pooling: as for `embed`.

    Returns:
        float32 [B, H].
    """
    if pooling == "mean":
        return mean_pool(output["hidden_states"], padding_mask)
    pooled = output["pooled"] if pooling == "pooler" else output["hidden_states"][:, 0]
    return tf.cast(pooled, tf.float32)


def check(pooling: Pooling, model: keras.Model, described: dict, folder: str) -> None:
    """Checks that a model has what a pooling takes its vectors from.

    Args:
        pooling: as for `embed`.
        model: of a folder.
        described: what `models.describe` gives for the folder.
        folder: for the message.

    Raises:
        InputError: the model is a causal language model, which continues texts; "pooler" is wanted
            of a model without a pooler, or with one that was not trained; or "cls" of a causal one.
    """
    if is_causal(described):
        raise InputError(
            "wrong-model-kind",
            f"found a causal language model in {folder}, which continues texts; wanted an encoder, "
            "such as pretrain --objective=masked_lm or import of a BERT writes",
        )
    if pooling == "cls" and model.config.causal:
        raise InputError(
            "flags-conflict",
            f"found --pooling=cls and a causal model in {folder}, whose first token sees nothing "
            "of the text; wanted --pooling=mean",
        )
    trained = getattr(model, "pooler", None) is not None
    trained = trained and "pooler" not in described.get("untrained", ())
    if pooling == "pooler" and not trained:
        raise InputError(
            "flags-conflict", f"found no trained pooler in {folder}; wanted --pooling=mean or cls"
        )
