"""Texts made of texts: translations, summaries, headlines, by an encoder-decoder.

Vaswani et al. 2017, arXiv:1706.03762. A target is learned token by token, each behind the right
ones before it; answers are searched for with beams, each token behind those that were chosen.
"""

import dataclasses
import json
import math

import numpy as np
import tensorflow as tf
from absl import logging

from roots_tf import generation, models
from roots_tf.generation import sources
from roots_tf.labelled import pair_rows, pairs
from roots_tf.labelled.sampling import first
from roots_tf.labelled.tables import Table
from roots_tf.losses import Scalar, projected_cross_entropy
from roots_tf.metrics import answer_words, generated
from roots_tf.seeds import fold_in
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tasks.sequence_graph import ServedTargets
from roots_tf.tasks.told_tokens import told_tokens

_SHOWN = 8  # answers of an evaluation, in TensorBoard
_OF_TRAINING = ("start_ids", "source_begins", "label_smoothing", "r_drop", "generate_samples")
_OF_TRAINING += ("most_rows",)  # fields that no folder of a model holds


@dataclasses.dataclass(frozen=True)
class SequenceToSequence(FineTuning):
    """Sources and targets.

    Attributes:
        max_target_length: tokens of a target, its end among them.
        metric_language: of the targets, as scores take them; "auto": told from them.
        settings: how answers are written.
        start_ids: as in `DecoderConfig`: of the model's folder, not of the task.
        source_begins: likewise.
        label_smoothing: share of each right token that is spread over all, in training.
        r_drop: weight of the divergence of two passes, in training; 0: there is one pass.
        generate_samples: sources that are answered at an evaluation on the way.
        most_rows: places of a batch's targets at most, where its graph does not know them.
    """

    max_target_length: int = number(128, minimum=2, maximum=1 << 20)
    metric_language: answer_words.Language = "auto"
    settings: generation.Settings = generation.Settings(
        decoding="beam", num_beams=5, max_new_tokens=128
    )
    start_ids: tuple[int, ...] = ()
    source_begins: bool = True
    label_smoothing: float = number(0.0, minimum=0, maximum=0.99)
    r_drop: float = number(0.0, minimum=0, maximum=1000)
    generate_samples: int = number(200, minimum=0, maximum=1_000_000)
    most_rows: int = number(1 << 12, minimum=1, maximum=1 << 40)

    name = "sequence_to_sequence"
    score = "bleu"
    scalars = (
        Scalar("target_loss", "loss", is_loss=True),
        Scalar("target_accuracy", "accuracy"),
    )
    texts = ("source",)
    answer_column = "target"
    model = "encoder_decoder"
    num_outputs = 0
    decodes = True
    pipeline_tag = "text2text-generation"
    use = "turns a text into another"

    def read(self, path, columns, labelled=True, encoding="utf-8"):
        """Two text files, or a table with `source` and `target`: see `labelled.pairs`.

        Raises:
            InputError: as for `pairs.read`; or what scores answers is not installed.
        """
        if labelled:
            generated.check_installed()
        return pairs.read(path, columns, labelled, encoding)

    def source(self, path, columns, encoding="utf-8"):
        """A source a line, or a table."""
        return pairs.sources(path, columns, encoding)

    def of_table(self, table):
        """Sources, blank ones as empty texts."""
        return pairs.texts_of(table)

    def unlabelled(self, columns):
        """Sources in memory."""
        return Table({"source": columns["source"]}, [*range(1, len(columns["source"]) + 1)], "")

    def learn(self, examples):
        """This kind.

        Raises:
            InputError: a stride is given.
        """
        if self.stride:
            raise InputError(
                "flags-conflict",
                f"found stride={self.stride} for {self.name}; wanted 0: a source is one row, and "
                "is cut off behind --max_seq_length",
            )
        return self

    def with_targets(self, flags, batch_size=32):
        """This kind as flags say it.

        Args:
            flags: `target_flags.TargetFlags`.
            batch_size: pairs of a batch, where tokens are not counted.
        """
        beams = {"num_beams": flags.num_beams, "length_penalty": flags.length_penalty}
        how = {"decoding": "beam"} | beams if flags.num_beams > 1 else {"decoding": "greedy"}
        names = ("max_target_length", "label_smoothing", "r_drop", "generate_samples")
        return dataclasses.replace(
            self,
            settings=generation.Settings(max_new_tokens=flags.max_target_length, **how),
            most_rows=flags.tokens_per_batch or batch_size * flags.max_target_length,
            **{name: getattr(flags, name) for name in names},
        )

    def with_settings(self, settings: generation.Settings) -> "SequenceToSequence":
        """This kind, whose answers are written in another way.

        Args:
            settings: how.
        """
        return dataclasses.replace(self, settings=settings)

    def with_metric_language(self, language):
        """This kind, whose targets are scored as of a language."""
        return dataclasses.replace(self, metric_language=language)

    def of_model(self, described):
        """This kind, whose rows are what both stacks take, and begin as the model's do.

        Raises:
            InputError: two passes are asked for of a model without dropout, which would be equal.
        """
        decoder = described.get("decoder")
        if decoder is None:
            return super().of_model(described)
        rates = [
            rate
            for part in (described["encoder"], decoder)
            for rate in (part.dropout, part.attention_rate, part.activation_dropout)
        ]
        if self.r_drop and not any(rates):
            raise InputError(
                "flags-conflict",
                f"found --r_drop={self.r_drop} and a model without dropout, of which two passes "
                "are one; wanted a rate, such as --dropout=0.1, or no --r_drop",
            )
        longest = min(self.max_target_length, decoder.max_sequence_length)
        return dataclasses.replace(
            super().of_model(described),
            max_target_length=longest,
            start_ids=decoder.start_ids,
            source_begins=decoder.source_begins,
        )

    def description(self):
        """As of every kind, without what only its training knows."""
        described = super().description()
        task = {n: v for n, v in described["task"].items() if n not in _OF_TRAINING}
        usual = dataclasses.asdict(generation.Settings())
        task["settings"] = {n: v for n, v in task["settings"].items() if v != usual[n]}
        return described | {"task": task}

    def rows(self, examples, tokenizer, labelled=True):
        """Sources and, where they are labelled, targets: a `PairRows`."""
        return pair_rows.make(
            examples.columns["source"],
            examples.columns["target"] if labelled else None,
            tokenizer,
            lengths=(self.max_seq_length, self.max_target_length),
            start_ids=self.start_ids,
            source_begins=self.source_begins,
            path=examples.path,
        )

    def batcher(self, rows, pad_id):
        """Gathers pairs by their indices."""
        return pair_rows.PairBatcher(rows, pad_id)

    def check_batches(self, rows, how):
        """Refuses batches of `rows` that cannot be made, `how` as for `pair_rows.shapes`."""
        pair_rows.shapes(rows, how)

    def batches(self, rows, pad_id, how):
        """Batches of pairs of about one length."""
        return pair_rows.batches(rows, pad_id, how)

    def make_model(self, config, seed=0, precision="float32", recompute=False, decoder=None):
        """An encoder-decoder with random weights; arguments as for `models.EncoderDecoder`."""
        return models.EncoderDecoder(config, decoder, seed, precision, recompute)

    def weights(self, batch):
        """Number of tokens of targets."""
        return {"target_loss": tf.reduce_sum(batch["target_weights"])}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `target_loss`, in nats, and of `target_accuracy`, by token.

        In training the loss is that of smoothed labels, and R-Drop's divergence is part of it.
        """
        weight = tf.reduce_sum(batch["target_weights"])
        if seed is not None and self.r_drop:
            loss, right = self._twice(model, batch, seed)
        else:
            states = model(batch, seed=seed)
            size = batch["target_ids"].shape.num_elements()
            loss, right = projected_cross_entropy(
                tf.reshape(model.output_rows(states), [-1, model.decoder_config.hidden_dim]),
                model.output_table,
                tf.reshape(batch["target_ids"], [-1]),
                tf.reshape(batch["target_weights"], [-1]),
                most_rows=size or self.most_rows,
                bias=model.output_bias,
                smoothing=0.0 if seed is None else self.label_smoothing,
            )
        return {"target_loss": (loss, weight), "target_accuracy": (right, weight)}

    def _twice(self, model, batch, seed):
        """Sums of the loss and of right tokens, over two passes with two dropouts.

        Half of the loss of Liang et al. 2021, arXiv:2106.14448, equation 4, so that with a weight
        of 0 it is that of one pass: the mean cross entropy, and half of the weight times the mean
        of both divergences.
        """
        labels, weights = batch["target_ids"], batch["target_weights"]
        entropies, rights, chances = [], [], []
        for pass_ in range(2):
            logits = model.logits(model(batch, seed=fold_in(seed, pass_)))  # [B, T, V]
            chance = tf.nn.log_softmax(logits)
            entropy = -tf.gather(chance, labels, batch_dims=2)
            spread = -tf.reduce_mean(chance, -1)
            entropies.append(entropy + self.label_smoothing * (spread - entropy))
            is_right = tf.argmax(chance, -1, tf.int32) == labels
            rights.append(tf.cast(is_right, tf.float32))
            chances.append(chance)
        one, other = chances
        both = tf.reduce_sum((tf.exp(one) - tf.exp(other)) * (one - other), -1)  # of both ways
        loss = (entropies[0] + entropies[1] + self.r_drop * both / 2) / 2
        right = (rights[0] + rights[1]) / 2
        return tf.reduce_sum(loss * weights), tf.reduce_sum(right * weights)

    def outputs(self, model, batch):
        """Of the right targets `log_probability` float32 [B], `tokens` and the `right`, int32.

        A token is right where it is the likeliest one behind those before it.
        """
        labels, weights = batch["target_ids"], batch["target_weights"]
        return told_tokens(model, model(batch), labels, weights)

    def decoder(self, model, tokenizer, batch_size: int) -> sources.Sources:
        """What writes answers; it reads the model's weights each time it is asked.

        Args:
            model: as `make_model` gives it.
            tokenizer: the model's.
            batch_size: sources at once.
        """
        ids = sources.ids_of(tokenizer, model.decoder_config)
        return sources.Sources(model, self.settings, batch_size=batch_size, **ids)

    def decoded(self, decoder, rows) -> dict[str, list]:
        """Of each source the `ids` of its answer, int32, and their `score`.

        Args:
            decoder: of this kind.
            rows: of sources.
        """
        found = decoder.targets([rows.sources.row(i) for i in range(len(rows))])
        best = [targets[0] for targets in found]
        return {
            "ids": [np.array(target.ids, np.int32) for target in best],
            "score": [target.score for target in best],
        }

    def predictions(self, examples, rows, outputs):
        """`source`, `target` and `score`; a source without text has a target without text."""
        answers = zip(examples.columns["source"], outputs["ids"], outputs["score"], strict=True)
        return [
            {"source": source, "target": rows.tokenizer.decode(ids), "score": float(score)}
            if source.strip()
            else {"source": source, "target": "", "score": 0.0}
            for source, ids, score in answers
        ]

    @property
    def on_the_way(self):
        """This kind, which writes greedily."""
        most = self.settings.max_new_tokens
        return self.with_settings(generation.Settings(decoding="greedy", max_new_tokens=most))

    def judged(self, predictor, examples, rows, batch_size, pad_id):
        """`target_loss` and `target_accuracy` of all pairs, and scores of the first ones' answers.

        Beside them their sources, right targets and answers, as texts.
        """
        outputs = predictor.outputs(rows, batch_size, pad_id)
        tokens = sum(map(int, outputs["tokens"]))
        scores = {
            "target_loss": -float(np.sum(outputs["log_probability"], dtype=np.float64)) / tokens,
            "target_accuracy": sum(map(int, outputs["right"])) / tokens,
        }
        if not self.generate_samples:
            return scores, {}
        some, few = first(examples, self.generate_samples), rows.first(self.generate_samples)
        predictions = self.predictions(some, few, predictor(few, batch_size, pad_id))
        shown = zip(predictions, some.columns["target"], strict=True)
        texts = {
            f"answers/{place}": f"{_quoted(row['source'])}\n\nright: {_quoted(target)}\n\n"
            f"answer: {_quoted(row['target'])}"
            for place, (row, target) in zip(range(_SHOWN), shown, strict=False)
        }
        return scores | self.scores(some, predictions), texts

    def rank(self, scores):
        """`bleu`, or the loss where nothing was written."""
        return scores.get(self.score, -scores.get("target_loss", math.inf))

    def scores(self, examples, predictions):
        """BLEU, chrF, ROUGE and exact match; see `metrics.generated`."""
        answers = [row["target"] for row in predictions]
        return generated.scores(answers, examples.columns["target"], self.metric_language)

    def golds(self, examples):
        """The right targets."""
        return list(examples.columns["target"])

    def conditions(self, examples):
        """Signatures of BLEU and chrF."""
        targets = examples.columns["target"]
        found = generated.signatures(targets, targets, self.metric_language)
        return {f"{name}_signature": found[name] for name in ("bleu", "chrf")}

    def baseline(self, train, examples):
        """The highest scores of answers that need no model; all of them are logged."""
        sides = [part.columns[name] for part in (examples, train) for name in pairs.COLUMNS]
        found = generated.trivial(*sides, self.metric_language)
        for name, scores in found.items():
            line = "  ".join(f"{key} {value:.3f}" for key, value in scores.items())
            logging.info("%s, %s: %s", examples.path, name, line)
        return {name: max(each[name] for each in found.values()) for name in found["copy"]}

    def served(self, model, tokenizer):
        """Targets of texts, which the graph searches for as `settings` say."""
        return ServedTargets(self, model, tokenizer)


def _quoted(text: str) -> str:
    """A text inside of Markdown, on one line."""
    return json.dumps(text, ensure_ascii=False)
