"""One batch: decoding, pairs or packed rows, and masks, from stateless seeds of (seed, step)."""

import dataclasses

import tensorflow as tf

from roots_tf import files
from roots_tf.examples import masking, packing, pairing, records

# What chance is used for; each use draws from a stream of its own.
SHARD_ORDER, ROW_ORDER, PAIRING, CANDIDATES, MASKING = (
    "shard order",
    "row order",
    "pairing",
    "candidates",
    "masking",
)


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
class BatchMaker:
    """Turns the rows of a global batch into the features of one worker's slice.

    Attributes:
        tokenizer: of the examples.
        dtype: name of the word type of the records.
        built_length: max_seq_length of the build.
        length: L.
        sentence_objective: "nsp", "sop" or "none".
        singles_share: share of the records that have no B.
        masking: how tokens are masked.
        seed: of all chance.
        batch_size: rows of the global batch, B.
        lines: the worker's slice of them.
    """

    tokenizer: object
    dtype: str
    built_length: int
    length: int
    sentence_objective: str
    singles_share: float
    masking: masking.Masking
    seed: int
    batch_size: int
    lines: slice

    def __post_init__(self):
        """Refuses a tokenizer that lacks a special token.

        Raises:
            InputError: [PAD], [CLS], [SEP] or [MASK] is missing.
        """
        roles = ("pad", "cls", "sep", "mask")
        if missing := [r for r in roles if getattr(self.tokenizer, f"{r}_id") is None]:
            raise files.InputError(
                f"found a tokenizer without special tokens for {missing}; wanted {list(roles)}: "
                "train one with train-tokenizer"
            )

    def decode(self, rows) -> pairing.Records:
        """Parses records, string [n]."""
        header = records.header_words(self.dtype)
        word = tf.as_dtype(self.dtype)
        width = header + self.built_length - 3
        words = tf.io.decode_raw(rows, word, fixed_length=width * word.size)
        words = tf.cast(tf.ensure_shape(words, [rows.shape[0], width]), tf.int32)
        lengths = tf.strings.length(rows) // word.size - header
        document = words[:, 0]
        if self.dtype == "uint16":
            document = tf.bitwise.bitwise_or(document, tf.bitwise.left_shift(words[:, 1], 16))
        length_a = words[:, header - 1]
        return pairing.Records(words[:, header:], length_a, lengths - length_a, document)

    def pack(self, rows) -> dict[str, tf.Tensor]:
        """Packs all records of a shard, string [n]; see `packing.pack`."""
        batch = self.decode(rows)
        lengths = batch.length_a + batch.length_b
        ids = self.tokenizer
        return packing.pack(batch.ids, lengths, self.length, ids.cls_id, ids.sep_id)

    @tf.autograph.experimental.do_not_convert
    def make(self, step, rows) -> dict[str, tf.Tensor]:
        """Features of the worker's slice.

        Args:
            step: number of the batch, int64 [].
            rows: records, string [n], or packed rows (a dict of [n, L]); n is B, or less at the
                end of the last epoch.
        """
        count = tf.shape(tf.nest.flatten(rows)[0])[0]
        source = tf.range(self.batch_size) % count  # rows that fill the batch repeat others
        rows = tf.nest.map_structure(lambda x: tf.gather(x, source), rows)
        weights = tf.cast(tf.range(self.batch_size) < count, tf.float32)[self.lines]
        starts = None
        if self.sentence_objective == "none":
            starts = rows["starts"][self.lines]
            features = packing.features(rows["tokens"][self.lines], starts, self.tokenizer.pad_id)
        else:
            features = self._pair(step, self.decode(rows))

        def draw(purpose, shape):
            seed = stateless_seed(self.seed, f"{MASKING} {purpose}", step)
            shape = [self.batch_size, *shape]
            return tf.random.stateless_uniform(shape, seed, alg="philox")[self.lines]

        features |= masking.mask_tokens(
            features["token_ids"],
            features["padding_mask"],
            self.masking,
            masking.vocabulary_of(self.tokenizer),
            draw,
            starts,
        )
        features["masked_lm_weights"] *= weights[:, None]
        features["example_weights"] = weights
        return features

    def _pair(self, step, batch: pairing.Records) -> dict[str, tf.Tensor]:
        """Pairs of the worker's slice; the choices are made for the whole batch."""
        size = self.batch_size
        uniform = tf.random.stateless_uniform(
            [size, 3], stateless_seed(self.seed, PAIRING, step), alg="philox"
        )
        keys = tf.random.stateless_uniform(
            [size - 1], stateless_seed(self.seed, CANDIDATES, step), alg="philox"
        )
        pairs = pairing.choose(
            batch,
            self.length,
            self.sentence_objective,
            pairing.negative_share(self.singles_share),
            uniform,
            1 + tf.argsort(keys),
        )
        pairs = pairing.Pairs(*(value[self.lines] for value in pairs))
        ids = self.tokenizer
        features = pairing.rows(
            tf.reshape(batch.ids, [-1]), pairs, self.length, ids.cls_id, ids.sep_id, ids.pad_id
        )
        features["next_sentence_labels"] = pairs.labels
        return features
