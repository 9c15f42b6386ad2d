"""Rows of the masked language model: sentence pairs, or text packed full, and their masks."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import tensorflow as tf

from roots_tf.examples import decoding, packing
from roots_tf.examples.manifest import sources_of, split_of
from roots_tf.examples.row_maker import Chance, RowMaker
from roots_tf.features import Feature
from roots_tf.objectives import masking, pairing
from roots_tf.storage import files

STARTS, RATE = "word_starts", "mask_rate"
SHOWN = {
    STARTS: Feature("bool", "B L", "True where a word starts; for inspection"),
    RATE: Feature("float64", "B", "share of tokens to predict; for inspection"),
}
# Uses of chance.
PAIRING, CANDIDATES, MASKING = "pairing", "candidates", "masking"


@dataclasses.dataclass(frozen=True)
class _MaskedRows(RowMaker):
    """What both kinds of rows share.

    Attributes:
        objective: the flags, a `masked_lm.MaskedLM`.
        manifest: of the examples.
        split: "train" or "held_out".
        tokenizer: of the examples.
        length: L.
        shows_words: whether features tell where words start and the rate, for people to look at.
    """

    objective: object
    manifest: dict
    split: str
    tokenizer: object
    length: int
    shows_words: bool = False

    new_features: ClassVar[Mapping[str, Feature]] = SHOWN

    def __post_init__(self):
        """Refuses a tokenizer that lacks a special token.

        Raises:
            InputError: [PAD], [CLS], [SEP] or [MASK] is missing.
        """
        roles = ("pad", "cls", "sep", "mask")
        if missing := [r for r in roles if getattr(self.tokenizer, f"{r}_id") is None]:
            raise files.InputError(
                "no-special-token",
                f"found a tokenizer without special tokens for {missing}; wanted {list(roles)}: "
                "train one with train-tokenizer",
            )

    def count(self, shard):
        """Rows of a shard."""
        return self.objective.rows_of(shard, self.length)

    def masked(self, features, chance: Chance, starts=None) -> dict[str, tf.Tensor]:
        """The features, masked; a row that only fills the batch has no prediction.

        Args:
            features: of the rows; `token_ids` as `decoding.marked` gives them.
            chance: the source of draws.
            starts: where pieces of text start.
        """
        vocabulary = masking.vocabulary_of(self.tokenizer)
        token_ids, word_starts = decoding.unmarked(features["token_ids"])
        if not self.manifest.get("word_starts"):  # of format 1
            word_starts = tf.gather(tf.constant(vocabulary.starts_word), token_ids)
        # Losses of any two evaluations compare, so held-out rows have one rate.
        step = chance.step if self.split == "train" else None
        how = self.objective.masking_of(self.length, step)
        if self.shows_words:
            rate = tf.cast(how.rate, tf.float64)
            features |= {STARTS: word_starts, RATE: tf.fill(tf.shape(token_ids)[:1], rate)}

        def draw(purpose, shape):
            return chance.uniform_of_rows(f"{MASKING} {purpose}", shape)

        features |= masking.mask_tokens(
            token_ids,
            features["padding_mask"],
            how,
            vocabulary,
            draw,
            starts,
            word_starts,
        )
        features["masked_lm_weights"] *= chance.example_weights[:, None]
        return features


class PackedRows(_MaskedRows):
    """Rows packed full of text, from records of either layout; see `examples.packing`."""

    def rows(self, records):
        """All records of a shard, packed."""
        ids, lengths = decoding.decode_marked(records, self.manifest)
        tokenizer = self.tokenizer
        return packing.pack(ids, lengths, self.length, tokenizer.cls_id, tokenizer.sep_id)

    def features(self, rows, chance):
        """Features of the worker's rows."""
        rows = chance.of_worker(rows)
        features = packing.features(rows["tokens"], rows["starts"], self.tokenizer.pad_id)
        return self.masked(features, chance, rows["starts"])


class PairRows(_MaskedRows):
    """A pair of segments a row, from records of pairs; see `pairing`."""

    def rows(self, records):
        """The records: pairs are made of a whole batch."""
        return records

    def features(self, rows, chance):
        """Features of the worker's rows; the pairs are chosen for the whole batch."""
        batch = decoding.decode_pairs(rows, self.manifest)
        size = chance.batch_size
        parts = [split_of(m, self.split) for m in sources_of(self.manifest)]
        shares = [pairing.negative_share(part["singles"] / part["examples"]) for part in parts]
        pairs = pairing.choose(
            batch,
            self.length,
            self.objective.sentence_objective,
            tf.gather(tf.constant(shares, tf.float32), chance.sources),
            chance.sources,
            chance.uniform(PAIRING, [size, 3]),
            1 + tf.argsort(chance.uniform(CANDIDATES, [size - 1])),
        )
        pairs = pairing.Pairs(*chance.of_worker(tuple(pairs)))
        ids = self.tokenizer
        features = pairing.rows(
            tf.reshape(decoding.marked(batch.ids, batch.starts), [-1]),
            pairs,
            self.length,
            *(ids.cls_id, ids.sep_id, ids.pad_id),
        )
        return self.masked(features | {"next_sentence_labels": pairs.labels}, chance)


class TranslationRows(_MaskedRows):
    """A sentence and its translation a row, both masked; there is no label.

    Places count on from A to B and do not begin again, as XLM's do: the model takes them from where
    a token stands, in training, fine-tuning and exports alike, and the segment tells B from A.
    """

    def rows(self, records):
        """The records, a row each."""
        return records

    def features(self, rows, chance):
        """Features of the worker's rows."""
        batch = decoding.decode_pairs(chance.of_worker(rows), self.manifest)
        size, width = batch.ids.shape
        first, none = tf.range(size) * width, tf.zeros([size], tf.int32)
        pairs = pairing.Pairs(first, batch.length_a, first + batch.length_a, batch.length_b, none)
        ids = self.tokenizer
        features = pairing.rows(
            tf.reshape(decoding.marked(batch.ids, batch.starts), [-1]),
            pairs,
            self.length,
            *(ids.cls_id, ids.sep_id, ids.pad_id),
        )
        return self.masked(features, chance)
