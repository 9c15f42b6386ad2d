"""The graph that is served of an encoder-decoder: texts in, the texts that it makes of them out."""

import tensorflow as tf

from roots_tf.generation import sources
from roots_tf.tasks import graph_rows
from roots_tf.tasks.served_graph import ServedKind

PLACES_AT_ONCE = 16_384  # of sources and of the caches of their beams, in memory at once
CHECKED_TEXTS = (
    *("A man in a blue shirt.", "Ein kleines Mädchen klettert in ein Spielhaus.", "", "It", " \t"),
    *("Ünïcödé — “quotes”, ﬁ ligature, ½, 漢字", "[MASK] and </s> are a text", "word " * 600),
)
# What `str.isspace` holds for; without any other character there is nothing to translate.
BLANK = r"[\t-\r\x1c-\x1f\x{85}\p{Z}]*"


class ServedTargets(ServedKind):
    """Targets of texts.

    Outputs [B] and [B, K], of K beams: `target`, the best one; `targets`, best first, and their
    `scores`. A text without characters has targets without; where a search has found fewer than K,
    those missing are "" of a score below -1e29. The signature `ids` takes rows as the encoder reads
    them and gives `target_ids` int32 [B, K, T], -1 behind the end of each, and `scores`.

    Args:
        kind: has `settings`, of beams or of greedy decoding, `max_seq_length`, and `decodes`.
        model: a `models.EncoderDecoder`.
        tokenizer: the one that it was trained with.
    """

    def __init__(self, kind, model, tokenizer):
        super().__init__(kind, model, tokenizer)
        object.__setattr__(self, "_ids", sources.ids_of(tokenizer, model.decoder_config))
        settings = sources.fitting(model, kind.settings, self._ids["start_ids"])
        object.__setattr__(self, "_settings", settings)
        self.beams = settings.num_beams if settings.decoding == "beam" else 1
        before = [tokenizer.bos_id] if model.decoder_config.source_begins else []
        object.__setattr__(self, "_ends", (before, [tokenizer.eos_id]))
        # What every signature calls: traced once, and once in the file.
        specs = [tf.TensorSpec([None, None], dtype) for dtype in (tf.int32, tf.bool)]
        write = tf.function(self._write, specs, autograph=False).get_concrete_function()
        object.__setattr__(self, "_written", write)

    def answers(self, inputs):
        """`target`, `targets` and `scores` of `text`."""
        texts = tf.strings.unicode_transcode(inputs["text"], "UTF-8", "UTF-8")
        rows = self._rows(texts)
        lengths = tf.cast(rows.row_lengths(), tf.int32)
        ids = rows.to_tensor(self._ids["pad_id"], shape=[None, None])
        inside = tf.sequence_mask(lengths, tf.shape(ids)[1])
        features = {"token_ids": ids, "padding_mask": inside}
        outputs = graph_rows.by_length(
            *(self.of_rows, features, lengths, PLACES_AT_ONCE),
            beside=self.beams * self._settings.max_new_tokens,
        )
        found = outputs["target_ids"]  # [B, K, T]
        targets = self.graph.decode(tf.reshape(found, [-1, found.shape[2]]))
        targets = tf.ensure_shape(tf.reshape(targets, tf.shape(found)[:2]), found.shape[:2])
        blank = tf.strings.regex_full_match(texts, BLANK)[:, None]
        targets = tf.where(blank, "", targets)
        scores = tf.where(blank, 0.0, outputs["scores"])
        return {"target": targets[:, 0], "targets": targets, "scores": scores}

    def features(self, inputs):
        """Features of texts, as `of_ids` takes them."""
        rows = self._rows(inputs["text"])
        ids = rows.to_tensor(self._ids["pad_id"], shape=[None, None])
        inside = tf.sequence_mask(rows.row_lengths(), tf.shape(ids)[1])
        return {"token_ids": ids, "padding_mask": inside}

    def of_rows(self, features):
        """`target_ids` [R, K, T] and `scores` [R, K] of rows."""
        return self._written(features["token_ids"], features["padding_mask"])

    def _write(self, ids, padding_mask) -> dict[str, tf.Tensor]:
        """As `of_rows`."""
        count = self.beams
        features = sources.features_of(self.model, ids, padding_mask)
        seeds = tf.zeros([tf.shape(ids)[0], 2], tf.int32)  # nothing is drawn
        asked = (self.model, features, seeds, self._settings)
        found = sources.write(*asked, **self._ids, num_return=count)
        inside = tf.sequence_mask(found.lengths, found.ids.shape[1])
        written = tf.where(inside, found.ids, -1)
        return {
            "target_ids": tf.reshape(written, [-1, count, found.ids.shape[1]]),
            "scores": tf.reshape(found.scores, [-1, count]),
        }

    def predictions(self, outputs, texts):
        """`source`, `target` and `score` of each text.

        In bfloat16 another target may come, and with it another score, which is left out.
        """
        scores = outputs["scores"][:, 0]
        precise = self.model.dtype_policy.name == "float32"
        return [
            {"source": source, "target": target.decode()}
            | ({"score": float(score)} if precise else {})
            for source, target, score in zip(texts["text"], outputs["target"], scores, strict=True)
        ]

    def checked_texts(self):
        """Texts of all kinds."""
        return {"text": list(CHECKED_TEXTS)}

    def _rows(self, texts) -> tf.RaggedTensor:
        """Ids of texts as the encoder reads them, cut off behind, int32 [B, None]."""
        ids, (before, behind) = graph_rows.plain_ids(texts, self.tokenizer, self.graph), self._ends
        kept = ids[:, : self.length - len(before) - len(behind)]
        ends = [
            tf.RaggedTensor.from_tensor(tf.tile(tf.constant([end], tf.int32), [kept.nrows(), 1]))
            for end in (before, behind)
            if end
        ]
        return tf.concat([*ends[:-1], kept, ends[-1]], 1)
