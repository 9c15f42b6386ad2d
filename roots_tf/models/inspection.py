"""Looking inside a model: which tokens attend to which, and which tokens an output rests on."""

from collections.abc import Callable

import keras
import tensorflow as tf

from roots_tf.models.encoder import Encoder
from roots_tf.storage.files import InputError


def attention_maps(encoder: Encoder, features: dict[str, tf.Tensor]) -> tf.Tensor:
    """The attention weights of every layer and head, as the encoder uses them without dropout.

    Args:
        encoder: of any parts; of a model with a head it is `model.encoder`.
        features: as for `Encoder.call`.

    Returns:
        float32 [layers, B, N, L, L]: how much each query (the last axis but one) takes of each key
        (the last). A row sums to 1 and is 0 on padding and on all else that the query does not
        see. The rows of queries that are padding mean nothing.
    """
    states = list(encoder.walk(features, watched=True))
    return tf.cast(tf.stack([state.weights for state in states[1:]]), tf.float32)


def baseline_ids(token_ids: tf.Tensor, tokenizer) -> tf.Tensor:
    """Ids of a row that says nothing: [PAD] for all tokens but [CLS] and [SEP].

        [CLS] a good one [SEP]   ->   [CLS] [PAD] [PAD] [PAD] [SEP]

    Args:
        token_ids: int32 [B, L].
        tokenizer: has `cls_id`, `sep_id` and `pad_id`.
    """
    kept = (token_ids == tokenizer.cls_id) | (token_ids == tokenizer.sep_id)
    return tf.where(kept, token_ids, tokenizer.pad_id)


def integrated_gradients(
    model: keras.Model,
    features: dict[str, tf.Tensor],
    target: Callable[[tf.Tensor], tf.Tensor],
    tokenizer,
    steps: int = 50,
) -> tf.Tensor:
    """How much each token adds to an output, compared with a row of `baseline_ids`.

    Integrates the gradient of the output with respect to the vectors from the token table, before
    those of segments and positions are added, on the straight line from the baseline's vectors to
    the row's own (Sundararajan et al. 2017, arXiv:1703.01365, section 3). The mask of padding,
    segments and positions stay those of the row. Of each of `steps` equal parts of the line the
    gradient in the middle counts, where the paper (section 5) takes the end: the error then falls
    with the square of their number.

    Args:
        model: any of `roots_tf.models`, of precision float32.
        features: as the model takes them.
        target: from what the model returns to one float [B], such as
            `lambda logits: logits[:, 1]` for the second class of a `Classifier`.
        tokenizer: the model's; has `cls_id`, `sep_id` and `pad_id`.
        steps: parts of the line, one pass forward and back each. The paper (section 5) finds 20 to
            300 to be enough.

    Returns:
        float32 [B, L]; 0 on [CLS], [SEP] and padding. The sum of a row is target(row) -
        target(baseline), but for the error of the steps: compare the two to choose their number.

    Raises:
        InputError: there are no steps, or the model's products are not in float32.
    """
    if steps < 1:
        raise InputError("number-out-of-range", f"found steps={steps}; wanted 1 or more")
    if model.compute_dtype != "float32":
        raise InputError(
            "wrong-value",
            f"found a model that computes in {model.compute_dtype}, which is too coarse to sum "
            "small gradients; wanted float32: load it with precision='float32'",
        )
    table, token_ids = model.encoder.embeddings.token, features["token_ids"]
    start = tf.gather(table, baseline_ids(token_ids, tokenizer))  # [B, L, H]
    change = tf.gather(table, token_ids) - start

    @tf.function(autograph=False)
    def gradient(share):
        point = start + share * change
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            outputs = target(model(features | {"token_embeddings": point}))  # [B]
        return tape.gradient(outputs, point)

    middles = ((step + 0.5) / steps for step in range(steps))
    mean = sum(gradient(tf.constant(share)) for share in middles) / steps  # [B, L, H]
    return tf.reduce_sum(change * mean, -1)  # [B, L]
