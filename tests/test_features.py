"""Batches held to the table of features."""

import pytest
import tensorflow as tf

from roots_tf.features import Feature, check

SIZES = {"B": 4, "L": 8}
TOKENS = {"token_ids": tf.TensorSpec([4, 8], tf.int32)}


def test_features_of_the_table_pass():
    check(TOKENS, SIZES)
    predictions = {
        "masked_lm_ids": tf.TensorSpec([4, 3], tf.int32),
        "masked_lm_weights": tf.TensorSpec([4, 3], tf.float32),
    }
    check(TOKENS | predictions, SIZES)
    check(
        TOKENS | {"counts": tf.TensorSpec([4, 9], tf.float32)},
        SIZES,
        {"counts": Feature("float32", "B V", "how often each id occurs")},
    )


@pytest.mark.parametrize(
    "specs, new_features, wanted",
    [
        ({"tokens": tf.TensorSpec([4, 8], tf.int32)}, {}, "a feature 'tokens'; wanted one of"),
        ({"token_ids": tf.TensorSpec([4, 8], tf.int64)}, {}, "token_ids of int64 .* wanted int32"),
        ({"token_ids": tf.TensorSpec([4, 9], tf.int32)}, {}, "wanted int32 .B, L. with B = 4, L"),
        ({"token_ids": tf.TensorSpec([4], tf.int32)}, {}, "token_ids of int32 .4."),
        ({"token_ids": tf.TensorSpec([None, 8], tf.int32)}, {}, "a size that never changes"),
        (
            {
                "masked_lm_ids": tf.TensorSpec([4, 3], tf.int32),
                "masked_lm_positions": tf.TensorSpec([4, 2], tf.int32),
            },
            {},
            "masked_lm_positions of int32 .4, 2.",
        ),
        (TOKENS, {"token_ids": Feature("int32", "B", "")}, "new features .'token_ids'."),
    ],
)
def test_others_are_refused(specs, new_features, wanted):
    with pytest.raises(ValueError, match=wanted):
        check(specs, SIZES, new_features)
