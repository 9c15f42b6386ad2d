"""Vectors as they are written: cut to fewer places, and of numbers that take less room."""

from typing import Literal, NamedTuple

import numpy as np

from roots_tf.storage.files import InputError

VectorType = Literal["float32", "float16", "int8", "binary"]
_BITS = 8  # of a byte
_MOST = 127  # of int8, on both sides


class Stored(NamedTuple):
    """What becomes of vectors before they are written.

    Attributes:
        vector_type: float32 or float16; int8, each vector times 127 over its largest number, so
            that cosines are those of the vectors to some thousandths; or binary, the signs as bits,
            eight to a byte, the first one highest, to compare by the number of bits that differ.
        width: numbers of each vector that are kept, the first ones; 0: all.
        l2_normalize: whether what is cut is scaled to length 1 again.
    """

    vector_type: VectorType = "float32"
    width: int = 0
    l2_normalize: bool = False

    @property
    def dtype(self) -> np.dtype:
        """Of what is written."""
        return np.dtype("uint8" if self.vector_type == "binary" else self.vector_type)

    def size(self, hidden_dim: int) -> int:
        """Numbers of a written vector.

        Args:
            hidden_dim: of what the model makes.

        Raises:
            InputError: it has fewer than are to be kept.
        """
        if self.width > hidden_dim:
            raise InputError(
                "number-out-of-range",
                f"found width={self.width}; wanted at most {hidden_dim}, what the model makes",
            )
        kept = self.width or hidden_dim
        return -(-kept // _BITS) if self.vector_type == "binary" else kept

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors as they are written, [B, size].

        >>> Stored("int8")(np.array([[1.0, -0.5]]))
        array([[127, -64]], dtype=int8)
        >>> Stored("binary")(np.array([[1.0, -0.5, 0.1]]))
        array([[160]], dtype=uint8)

        Args:
            vectors: float32 [B, H].
        """
        if self.width:
            vectors = vectors[:, : self.width]
            if self.l2_normalize:
                lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
                vectors = vectors / np.maximum(lengths, 1e-12)
        if self.vector_type == "binary":
            return np.packbits(vectors > 0, axis=1)
        if self.vector_type == "int8":
            largest = np.abs(vectors).max(axis=1, keepdims=True)
            vectors = np.rint(vectors * (_MOST / np.maximum(largest, 1e-12)))
        return vectors.astype(self.dtype)
