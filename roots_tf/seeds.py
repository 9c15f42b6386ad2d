"""Seeds by path: two places of a model draw neither the same weights nor the same dropout masks.

A place is named by its path, such as `encoder/layer_0/attention`, and its seeds are hashes of that
path. No one counts places: a new layer draws seeds of its own and changes those of no other.
"""

import dataclasses
import hashlib

import tensorflow as tf


def fold_in(seed: tf.Tensor | None, number: int | tf.Tensor) -> tf.Tensor | None:
    """A seed of its own for each number: of a step, a replica or a place.

    Args:
        seed: int32 [2], or None where nothing is drawn.
        number: int32, an int or a scalar tensor.

    Returns:
        int32 [2], neither of them negative; None of None.
    """
    if seed is None:
        return None
    folded = tf.random.experimental.stateless_fold_in(seed, number)
    return tf.bitwise.bitwise_and(folded, tf.int32.max)  # XLA reads negative seeds another way


def of_path(path: str) -> int:
    """The number of a place, 31 bits, that `fold_in` takes for what is drawn there in training.

    Args:
        path: such as "encoder/layer_0/attention".
    """
    digest = hashlib.blake2b(path.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") & 0x7FFFFFFF


def initial(seed: int, path: str) -> int:
    """The seed, 31 bits, of a weight's initial values.

    Args:
        seed: of the model.
        path: of the weight, such as "encoder/layer_0/attention/output_kernel".
    """
    return of_path(f"{seed}:{path}")


def random_words(count: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Random numbers of 32 bits, each a hash of its index and the seed.

    Compiled into the kernel that uses them they cost next to nothing: four products of integers
    each, side by side in vector registers, where Philox has twenty of 64 bits. The hash of a word
    is `lowbias32` (Wellons 2018, "Prospecting for Hash Functions"), once for each half of the seed.

    Args:
        count: of the numbers, int64 where it may be above 2^31; from 2^32 on they repeat.
        seed: int32 [2], which XLA may know only when it runs.

    Returns:
        uint32 [count].
    """
    first, second = tf.unstack(tf.cast(seed, tf.uint32))
    # The second key is of both halves: equal ones would give the words of one seed, moved along.
    second = _hashed(_hashed(first) + second)
    return _hashed(_hashed(tf.cast(tf.range(count), tf.uint32) + first) ^ second)


def _hashed(words: tf.Tensor) -> tf.Tensor:
    """Each of the `words`, uint32, to another, one to one; a bit changes half of the others."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        words = (words ^ tf.bitwise.right_shift(words, _word(shift))) * _word(factor)
    return words ^ tf.bitwise.right_shift(words, _word(16))


def _word(number: int) -> tf.Tensor:
    return tf.constant(number, tf.uint32)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a layer stands in a model.

    >>> Place(7, "encoder") / "layer_0" / "attention"
    Place(seed=7, path='encoder/layer_0/attention')

    Attributes:
        seed: of the model's initial weights.
        path: names from the model's outermost part to the layer, parted by slashes.
    """

    seed: int
    path: str

    def __truediv__(self, name: str) -> "Place":
        """The place of that name inside this one."""
        return Place(self.seed, f"{self.path}/{name}")

    @property
    def name(self) -> str:
        """The last name of the path."""
        return self.path.rpartition("/")[2]

    def initial(self) -> int:
        """The seed of a weight that has this place."""
        return initial(self.seed, self.path)

    def dropout(self, seed: tf.Tensor | None) -> tf.Tensor | None:
        """The seed of the dropout mask drawn here, from the step's `seed`; int32 [2] or None."""
        return fold_in(seed, of_path(self.path))
