"""Classes told by a causal language model: how likely the words of each label are in a template.

Brown et al. 2020, "Language Models are Few-Shot Learners", arXiv:2005.14165, sections 2 and 2.4:
labelled examples may stand before the text, drawn once and not trained on; the label is the one
whose words are likeliest, by the mean over their tokens.
"""

import dataclasses
import functools
import itertools

import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.labelled import tables
from roots_tf.labelled.token_rows import ungrouped
from roots_tf.storage.files import InputError
from roots_tf.tasks.cloze import Cloze, ServedCloze
from roots_tf.tasks.cloze_rows import parse
from roots_tf.tasks.in_context_rows import Prompted


@dataclasses.dataclass(frozen=True)
class CausalCloze(Cloze):
    """The label whose words a causal language model finds likeliest in the place of a template.

    A word has the mean of its tokens' log-probabilities, given all before them. Where text stands
    behind the place, the sum of that text's is added, given the word: of the same tokens for every
    word, so that nothing divides it. A label has the mean over its words, less `priors`.

    What stands before the place is read once for all words when a model is asked. In training a row
    is read once for each word, but for words of one token that nothing stands behind.

    Attributes:
        demonstrations: of each its label, text and, where there are pairs, `text_pair`, in the
            order in which they stand before a text.
    """

    demonstrations: tuple[tuple[str, ...], ...] = ()

    model = "causal_lm"
    of_decoders = True
    grouped = False
    use = "gives a text one of {labels}, by the words that it would write into a template"

    def __post_init__(self):
        super().__post_init__()
        for one in self.demonstrations:
            if one[:1] not in {(label,) for label in self.labels} or len(one) != 2 + self.pairs:
                raise InputError(
                    "wrong-json",
                    f"found the demonstration {one}; wanted a label of {', '.join(self.labels)} "
                    f"and {1 + self.pairs} of its texts",
                )

    def with_template(self, path):
        """This kind with a template; a space at its end would part a word from its own."""
        return super().with_template(path.replace("\\n", "\n").rstrip())

    def with_demonstrations(self, examples, num_shots, seed):
        """This kind with labelled examples, as many of each label as of any other, or one more."""
        found = tables.labels(examples, self.answer_column)
        draw = np.random.Generator(np.random.PCG64([seed, num_shots]))
        order = draw.permutation(len(found)).tolist()
        rows = {label: [row for row in order if found[row] == label] for label in self.labels}
        chosen = []
        for place, number in enumerate(draw.permutation(len(self.labels)).tolist()):
            label = self.labels[number]
            wanted = len(range(place, num_shots, len(self.labels)))
            if wanted > len(rows[label]):
                raise InputError(
                    "too-few-examples",
                    f"found {len(rows[label])} examples of the label {label!r} in {examples.path}; "
                    f"wanted {wanted}, its share of --num_shots={num_shots}",
                )
            chosen += rows[label][:wanted]
        names = [part.name for part in parse(self.template) if part.name.startswith("text")]
        texts = [tables.strings(examples, name) for name in sorted(names)]
        shots = (
            (found[row], *(column[row] for column in texts)) for row in draw.permutation(chosen)
        )
        return dataclasses.replace(self, demonstrations=tuple(shots), priors=())

    @property
    def masks(self) -> tuple[int, ...]:
        """Tokens that a word takes of a row at most, alone."""
        return (super().masks[-1],)

    @functools.cached_property
    def _reads(self) -> list[tuple[int, ...]]:
        """Tokens that are read in the place of a word, each once; the last word is only told."""
        return [*dict.fromkeys(map(self._read, itertools.chain(*self.pieces)))]

    def _read(self, word: tuple[int, ...]) -> tuple[int, ...]:
        """What is read of a word, so that its tokens and those behind it are told."""
        return word[:-1] if self._ends_rows else word

    @functools.cached_property
    def _ends_rows(self) -> bool:
        """Whether nothing stands behind a word."""
        return parse(self.template)[-1].name == "mask"

    @property
    def rows_read(self) -> int:
        """Rows that the model reads of a text."""
        return len(self._reads)

    def filled(self, tokenizer):
        """The template behind the demonstrations."""
        words = dict(zip(self.labels, self.words, strict=True))
        shots = [(words[label][0], *texts) for label, *texts in self.demonstrations]
        return Prompted(self.template, tokenizer, self.max_seq_length, shots)

    def make_model(self, config, seed=0, precision="float32", recompute=False):
        """A causal language model with random weights; arguments as for `models.CausalLM`."""
        config = dataclasses.replace(config, causal=False)  # its kind says it
        return models.CausalLM(config, seed, precision, recompute)

    def place(self, rows) -> tuple[tf.Tensor, tf.Tensor]:
        """Where the mark stands and how many tokens stand behind it, int32 [B] each.

        Args:
            rows: features [B, L].
        """
        inside = rows["padding_mask"]
        is_mark = (rows["token_ids"] == self.mask_id) & inside
        is_mark &= tf.range(tf.shape(inside)[1]) > 0  # in GPT-2 texts begin with this token too
        place = tf.argmax(is_mark, 1, tf.int32)
        return place, tf.reduce_sum(tf.cast(inside, tf.int32), 1) - 1 - place

    def features(self, batch):
        """Rows [B * reads, L'] with each of what is read of words in place of the mark.

        mark 1, words (5, 6) and (7,), of which (5,) and () are read where nothing stands behind
        token_ids     [[2, 3, 1]]  ->  [[2, 3, 5], [2, 3, 0]]
        """
        rows = ungrouped(batch)
        place, behind = (x[:, None, None] for x in self.place(rows))  # [B, 1, 1]
        most = max(map(len, self._reads))
        sizes = tf.constant([len(read) for read in self._reads])[:, None]  # [reads, 1]
        width = tf.minimum(tf.shape(rows["token_ids"])[1] + most - 1, self.max_seq_length)
        index = tf.range(width)
        offset = index - place  # [B, 1, L']
        source = tf.where(offset < sizes, index, index - sizes + 1)  # [B, reads, L']
        source = tf.clip_by_value(source, 0, tf.shape(rows["token_ids"])[1] - 1)
        ids = tf.gather(rows["token_ids"], source, batch_dims=1)
        reads = tf.constant([[*read, *[0] * (most + 1 - len(read))] for read in self._reads])
        of_read = tf.gather(reads, tf.clip_by_value(offset[:, 0], 0, most), axis=1)
        of_read = tf.transpose(of_read, [1, 0, 2])  # [B, reads, L']
        ids = tf.where((offset >= 0) & (offset < sizes), of_read, ids)
        inside = index < place + sizes + behind
        ids, inside = (tf.reshape(x, [-1, width]) for x in (ids, inside))
        return {"token_ids": ids, "segment_ids": tf.zeros_like(ids), "padding_mask": inside}

    def word_scores(self, model, batch, seed=None):
        """Of each word, as the class says it: float32 [B, words]; arguments as for `Cloze`."""
        place, behind = self.place(ungrouped(batch))
        states = model(self.features(batch), seed=seed)  # [B * reads, L', H]
        length, steps = tf.shape(states)[1], self._steps(batch, behind)
        states = tf.reshape(states, [-1, self.rows_read, length, model.config.hidden_dim])
        told = tf.minimum(place[:, None] - 1 + tf.range(steps), length - 1)  # [B, S]
        states = tf.gather(states, told, axis=2, batch_dims=1)
        return self._scores(model, batch, states)

    def shared_scores(self, model, batch):
        """As `word_scores` without dropout; what stands before a word is read once for all words.

        Args:
            model: as `make_model` gives it.
            batch: of the kind's rows.
        """
        place, behind = self.place(ungrouped(batch))
        prompt, caches, seen = self._prompt(model, batch, place, self._steps(batch, behind) - 1)
        steps, count = tf.shape(seen)[1] - tf.shape(prompt)[1], self.rows_read
        states = tf.repeat(prompt[:, -1:], count, axis=0)  # [B * reads, 1, H]
        if self._reads != [()]:
            features = self.features(batch)
            index = tf.repeat(place, count)[:, None] + tf.range(steps)  # [B * reads, S - 1]
            lengths = tf.reduce_sum(tf.cast(features["padding_mask"], tf.int32), 1)
            inside = index < lengths[:, None]
            known = tf.minimum(index, tf.shape(features["token_ids"])[1] - 1)
            ids = tf.gather(features["token_ids"], known, batch_dims=1)
            before = tf.repeat(seen[:, : tf.shape(prompt)[1]], count, axis=0)
            mask = tf.concat([before, inside], 1)
            keys = {"padding_mask": mask, "token_ids": tf.zeros_like(mask, tf.int32)}
            caches = [
                cache._replace(
                    keys=tf.repeat(cache.keys, count, axis=0),
                    values=tf.repeat(cache.values, count, axis=0),
                )
                for cache in caches
            ]
            further, _ = model.step({"token_ids": ids, "position_ids": known}, keys, caches)
            states = tf.concat([states, further], 1)
        shape = [-1, count, tf.shape(states)[1], model.config.hidden_dim]
        return self._scores(model, batch, tf.reshape(states, shape))

    def _steps(self, batch, behind) -> tf.Tensor:
        """Tokens that are told of a row at most: S, those of a word and `behind` it, int32 [B]."""
        most, length = self.masks[0], batch["token_ids"].shape[-1]
        if self._ends_rows:
            return tf.constant(most)
        # XLA wants a number that it knows; of no rows there is no highest one.
        return most + (length or tf.maximum(tf.reduce_max(behind), 0))

    def _prompt(self, model, batch, place, room):
        """What stands before the marks at `place`, read: states, caches and which places count.

        Rows stand right-aligned, so that a word has the same place in the caches of all.
        """
        rows = ungrouped(batch)
        width = tf.maximum(tf.reduce_max(place), 1)  # of no rows, too
        index = tf.range(width) - (width - place[:, None])  # [B, P], below 0 before a row
        known = tf.maximum(index, 0)
        ids = tf.gather(rows["token_ids"], known, batch_dims=1)
        seen = tf.pad(index >= 0, [[0, 0], [0, room]])  # [B, P + room]
        keys = {"padding_mask": seen, "token_ids": tf.zeros_like(seen, tf.int32)}
        caches = model.caches(width + room)
        states, caches = model.step({"token_ids": ids, "position_ids": known}, keys, caches)
        return states, caches, seen

    def _scores(self, model, batch, states):
        """Scores of the words, from states [B, reads, S, H] that tell their tokens one by one."""
        rows, words = ungrouped(batch), [*itertools.chain(*self.pieces)]
        (place, behind), most = self.place(rows), self.masks[0]
        step = tf.range(tf.shape(states)[2])  # [S]
        sizes = tf.constant([len(word) for word in words])[:, None]  # [words, 1]
        after = step - sizes  # [words, S], of what stands behind a word, from 0
        source = place[:, None, None] + 1 + after  # [B, words, S]
        source = tf.clip_by_value(source, 0, tf.shape(rows["token_ids"])[1] - 1)
        padded = tf.constant([[*word, *[0] * (most - len(word))] for word in words])
        of_words = tf.gather(padded, tf.minimum(step, most - 1), axis=1)  # [words, S]
        of_rows = tf.gather(rows["token_ids"], source, batch_dims=1)
        labels = tf.where(after < 0, of_words, of_rows)
        share = tf.constant([[1 / len(word)] for word in words])  # [words, 1]
        is_told = after < behind[:, None, None]  # [B, words, S]
        weights = tf.where(after < 0, share, 1.0) * tf.cast(is_told, tf.float32)
        read = tf.constant([self._reads.index(self._read(word)) for word in words])[:, None]

        def of_text(given):  # one at a time: logits of all would fill the memory
            states, labels, weights = given
            chances = tf.nn.log_softmax(model.logits(states))  # [reads, S, V]
            at = tf.stack([read + tf.zeros_like(labels), step + tf.zeros_like(labels), labels], -1)
            return tf.reduce_sum(tf.gather_nd(chances, at) * weights, 1)

        signature = tf.TensorSpec([len(words)], tf.float32)
        return tf.map_fn(of_text, (states, labels, weights), fn_output_signature=signature)

    def of_texts(self, scores):
        """The scores, as they are of texts already."""
        return scores

    def answers_of(self, model, batch, seed=None):
        """Logits of the labels [B, labels]."""
        return self.of_words(self.word_scores(model, batch, seed))

    def outputs(self, model, batch):
        """`probabilities` float32 [B, labels]."""
        return {"probabilities": tf.nn.softmax(self.of_words(self.shared_scores(model, batch)))}

    def served(self, model, tokenizer):
        """Label and probabilities of texts."""
        return ServedCausalCloze(self, model, tokenizer)

    def text_settings(self):
        """The template, and what stands before it."""
        return {"template": self.template, "demonstrations": [*map(list, self.demonstrations)]}


class ServedCausalCloze(ServedCloze):
    """As `ServedCloze`; rows of ids have the mark, the end of text, where words are tried."""

    def of_rows(self, features):
        """`words` [R, words]: `CausalCloze.shared_scores`."""
        return {"words": self.kind.shared_scores(self.model, features)}

    def of_ids(self, features):
        """The label of each row, which has one mark and room for the longest word."""
        kind, inside = self.kind, features["padding_mask"]
        is_mark = (features["token_ids"] == kind.mask_id)[:, 1:] & inside[:, 1:]
        lengths = tf.reduce_sum(tf.cast(inside, tf.int32), 1)
        most = kind.max_seq_length - kind.masks[0] + 1
        checks = [
            tf.debugging.assert_equal(
                tf.reduce_sum(tf.cast(is_mark, tf.int32), 1), 1, "the model takes rows of one mark"
            ),
            tf.debugging.assert_less_equal(
                lengths, most, f"the model takes rows of up to {most} tokens"
            ),
        ]
        with tf.control_dependencies(checks):
            return super().of_ids({name: tf.identity(x) for name, x in features.items()})
