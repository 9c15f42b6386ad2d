"""What an objective gives to `pipeline`: rows of records and features of rows; and its chance."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import tensorflow as tf

from roots_tf.examples import records
from roots_tf.features import Feature


def stateless_seed(seed: int, use: str, value) -> tf.Tensor:
    """A seed for one use of chance at one place.

    Args:
        seed: the user's.
        use: what it is used for.
        value: which step, epoch or shard, int64 [].

    Returns:
        int64 [2]: a hash of the first two, and the value; stateless ops scramble both by Philox.
    """
    use_hash = records.digest("use", seed, use) - (1 << 63)
    return tf.stack([tf.constant(use_hash, tf.int64), tf.cast(value, tf.int64)])


@dataclasses.dataclass(frozen=True)
class Chance:
    """All that the features of a batch may depend on besides its rows.

    Attributes:
        seed: the user's.
        step: number of the batch, int64 [].
        batch_size: rows of the global batch, B.
        worker_slice: the rows of it that this worker gives.
        example_weights: of those rows, float32 [B / workers]: 1, or 0 on a row that only fills the
            last batch and must count for nothing.
        sources: which source of a mixture gave each row of the global batch, int32 [B], by its
            place among the manifest's `sources`; 0 where there is no mixture.
    """

    seed: int
    step: tf.Tensor
    batch_size: int
    worker_slice: slice
    example_weights: tf.Tensor
    sources: tf.Tensor

    def uniform(self, use: str, shape: Sequence[int]) -> tf.Tensor:
        """Numbers in [0, 1), float32 of `shape`, the same for every worker.

        Args:
            use: what they decide; every use of one batch has numbers of its own.
            shape: of the tensor.
        """
        seed = stateless_seed(self.seed, use, self.step)
        return tf.random.stateless_uniform(shape, seed, alg="philox")

    def uniform_of_rows(self, use: str, shape: Sequence[int]) -> tf.Tensor:
        """As `uniform`, for each row of the worker: float32 [B / workers, *shape].

        A row gets the same numbers however many workers share the batch.
        """
        return self.of_worker(self.uniform(use, [self.batch_size, *shape]))

    def of_worker(self, rows):
        """The worker's part of `rows` of the global batch, a tensor [B, ...] or a nest of them."""
        return tf.nest.map_structure(lambda x: x[self.worker_slice], rows)


class RowMaker(Protocol):
    """How records become rows, and rows a batch: made by an objective for one split of one folder.

    Both steps run in a tf.data graph: they use TensorFlow's ops only, and draw from `Chance` only,
    so that a batch is a pure function of (manifest, seed, step). The least there is, for records of
    contiguous text, each a row of its own:

        class Lines(examples.RowMaker):
            def __init__(self, manifest, split, tokenizer, length):
                self.manifest = manifest

            def count(self, shard):
                return shard["examples"]

            def rows(self, records):
                return records

            def features(self, rows, chance):
                text = examples.decode_contiguous(chance.of_worker(rows), self.manifest)
                mask = tf.range(text.ids.shape[1]) < text.lengths[:, None]
                return {"token_ids": text.ids, "padding_mask": mask}

    Attributes:
        new_features: features that `roots_tf.features.FEATURES` does not have, by name.
    """

    new_features: ClassVar[Mapping[str, Feature]] = {}

    @abc.abstractmethod
    def count(self, shard: dict) -> int:
        """Rows that `rows` makes of a shard, given what the manifest says of it."""

    @abc.abstractmethod
    def rows(self, records: tf.Tensor):
        """All rows of one shard.

        Args:
            records: string [examples], in the order of the epoch; see `examples.decode_pairs`.

        Returns:
            A tensor [count, ...] or a nest of them.
        """

    @abc.abstractmethod
    def features(self, rows, chance: Chance) -> dict[str, tf.Tensor]:
        """Features of one batch.

        Args:
            rows: of the global batch, [B, ...]; see `Chance.of_worker`.
            chance: what else they may depend on.

        Returns:
            By name, [B / workers, ...] of static shapes; `example_weights` is added to them.
        """
