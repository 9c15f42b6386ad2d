"""Matrices to ones of the same singular vectors whose singular values are all near 1."""

from collections.abc import Sequence

import tensorflow as tf

# Of a x + b x^3 + c x^5, applied so many times: Jordan et al. 2024, "Muon: An optimizer for hidden
# layers in neural networks" (kellerjordan.github.io/posts/muon). They lift small values fastest.
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5


def newton_schulz(matrices: tf.Tensor, kind: tf.DType = tf.float32) -> tf.Tensor:
    """What Newton and Schulz' iteration makes of matrices: most singular values in 0.7 to 1.2.

    Args:
        matrices: float32 [M, R, C] with R <= C, or the products would be larger than they need be.
            One that is zero stays zero.
        kind: of the products: float32, or bfloat16 as the authors have it.

    Returns:
        float32, as many, of the same shape.
    """
    a, b, c = COEFFICIENTS
    # No singular value is above the root of the sum of squares.
    x = tf.cast(matrices / (tf.norm(matrices, axis=[1, 2], keepdims=True) + 1e-7), kind)
    for _ in range(ITERATIONS):
        square = tf.matmul(x, x, transpose_b=True)  # [M, R, R]
        x = a * x + tf.matmul(b * square + c * tf.matmul(square, square), x)
    return tf.cast(x, tf.float32)


def orthogonalised(matrices: Sequence[tf.Tensor], kind: tf.DType = tf.float32) -> list[tf.Tensor]:
    """`newton_schulz` of each matrix [K, M]; those of one shape, or its transpose, at once.

    Args:
        matrices: float32, of any shapes.
        kind: as for `newton_schulz`.

    Returns:
        As many, each of its own shape.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for place, matrix in enumerate(matrices):
        groups.setdefault(tuple(sorted(matrix.shape)), []).append(place)
    found = list(matrices)
    for (rows, _), places in groups.items():
        is_tall = [matrices[place].shape[0] > rows for place in places]
        wide = [
            tf.transpose(matrices[place]) if tall else matrices[place]
            for place, tall in zip(places, is_tall, strict=True)
        ]
        made = tf.unstack(newton_schulz(tf.stack(wide), kind))
        for place, tall, matrix in zip(places, is_tall, made, strict=True):
            found[place] = tf.transpose(matrix) if tall else matrix
    return found
