"""Answers to prompts, and an assistant's turns: a causal language model, trained further on them.

The loss is over the answer alone, its end of text among it (Ouyang et al. 2022, arXiv:2203.02155,
section 3.4; Brown et al. 2020, arXiv:2005.14165, for what a prompt is). The model stays a causal
language model: its folder is read, asked and exported as one.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf
from absl import logging

from roots_tf import models
from roots_tf.labelled import chat, conversations
from roots_tf.labelled.token_rows import TokenRows
from roots_tf.losses import Scalar, perplexity, projected_cross_entropy
from roots_tf.storage.files import InputError
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tasks.told_tokens import told_tokens


@dataclasses.dataclass(frozen=True)
class Completion(FineTuning):
    """Prompts and answers, or conversations, rendered by a template.

    Attributes:
        template: what stands around each turn; None until it is learned.
    """

    template: chat.Template | None = None

    name = "completion"
    score = "log_likelihood"
    scalars = (
        Scalar("answer_loss", "loss", is_loss=True),
        Scalar("answer_accuracy", "accuracy"),
    )
    texts = ("prompt",)
    model = "causal_lm"
    num_outputs = 0
    generates = True
    by_token = False
    pipeline_tag = "text-generation"
    use = "answers prompts with texts"

    def read(self, path, columns, labelled=True, encoding="utf-8"):
        """JSON lines or Parquet with `prompt` and `answer`, or with `messages`.

        Raises:
            InputError: as for `conversations.read`; or answers are asked for.
        """
        if not labelled:
            raise InputError(
                "wrong-model-kind",
                f"found a model for {self.name}, whose answers are generated; wanted roots "
                "generate",
            )
        return conversations.read(path, columns, self.template, encoding)

    def with_template(self, path):
        """This kind with the template of a file."""
        return dataclasses.replace(self, template=chat.read(path))

    def learn(self, examples):
        """This kind with a template: the usual one, by whether there are pairs, unless it has one.

        Raises:
            InputError: a stride is given.
        """
        if self.stride:
            raise InputError(
                "flags-conflict",
                f"found stride={self.stride} for {self.name}; wanted 0: a conversation is one row",
            )
        usual = chat.PLAIN if examples.pairs else chat.CHAT
        return dataclasses.replace(self, template=self.template or usual)

    def rows(self, examples, tokenizer, labelled=True):
        """A row a conversation, cut off at the end, with `is_answer` of each token.

        Raises:
            InputError: the tokenizer lacks a special token, a role is not the template's, or no row
                holds any of an answer.
        """
        for place, messages in enumerate(examples.messages):  # of a file that was read before
            chat.check(messages, self.template, f"{examples.path}, {examples.lines[place]}")
        whole = chat.render(self.template, examples.messages, tokenizer)
        cut = [chat.Rendered(*(x[: self.max_seq_length] for x in one)) for one in whole]
        shorter = sum(len(one.ids) > self.max_seq_length for one in whole)
        without = sum(not one.is_answer[1:].any() for one in cut)
        if shorter:
            logging.warning(
                "%s: %d of %d conversations are longer than %d tokens and lose their end, %d all "
                "of their answer",
                *(examples.path, shorter, len(cut), self.max_seq_length, without),
            )
        if without == len(cut):
            raise InputError(
                "too-short",
                f"found no answer in {examples.path} that begins within {self.max_seq_length} "
                "tokens; wanted one: give a higher --max_seq_length",
            )
        lengths = np.array([len(one.ids) for one in cut])
        return TokenRows(
            token_ids=np.concatenate([one.ids for one in cut]).astype(np.int32),
            row_splits=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            second=lengths.astype(np.int32),
            texts=np.arange(len(cut), dtype=np.int32),
            pieces=np.zeros(len(cut), np.int64),
            of_tokens={
                "is_answer": np.concatenate([one.is_answer for one in cut]).astype(np.int32)
            },
        )

    def make_model(self, config, seed=0, precision="float32", recompute=False):
        """A causal language model with random weights; arguments as for `models.CausalLM`."""
        config = dataclasses.replace(config, causal=False)  # its kind says it
        return models.CausalLM(config, seed, precision, recompute)

    def weights(self, batch):
        """Number of tokens of answers."""
        return {"answer_loss": tf.reduce_sum(_next(batch)[1])}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `answer_loss`, in nats, and of `answer_accuracy`, by token."""
        states = model(batch, seed=seed)  # [B, L, H]
        labels, weights = _next(batch)
        loss, right = projected_cross_entropy(
            tf.reshape(states, [-1, model.config.hidden_dim]),
            model.output_table,
            tf.reshape(labels, [-1]),
            tf.reshape(weights, [-1]),
            most_rows=(labels.shape[0] or 1) * self.max_seq_length,
        )
        weight = tf.reduce_sum(weights)
        return {"answer_loss": (loss, weight), "answer_accuracy": (right, weight)}

    def outputs(self, model, batch):
        """`log_probability` float32 [B] of the answers, their `tokens` and the `right` ones, int32.

        A token is right where it is the likeliest one behind those before it. Where all are,
        greedy decoding would have given this answer: each token that it takes is that of the
        answer, and so is what it takes it from.
        """
        return told_tokens(model, model(batch), *_next(batch))

    def predictions(self, examples, rows, outputs):
        """`messages`, and of their answers `log_probability`, `tokens` and how many are `right`."""
        columns = (outputs[name] for name in ("log_probability", "tokens", "right"))
        return [
            {
                "messages": messages,
                "log_probability": float(log_probability),
                "tokens": int(tokens),
                "right": int(right),
            }
            for messages, log_probability, tokens, right in zip(
                examples.messages, *columns, strict=True
            )
        ]

    def scores(self, examples, predictions):
        """`log_likelihood` a token, in nats, `perplexity`, `token_accuracy` and `exact_match`.

        The last is the share of conversations in which greedy decoding gives every answer, of those
        that have room for any of it.
        """
        found = [row for row in predictions if row["tokens"]]
        tokens = sum(row["tokens"] for row in found)
        if not tokens:
            return dict.fromkeys(_SCORES, math.nan)
        mean = sum(row["log_probability"] for row in found) / tokens
        exact = sum(row["right"] == row["tokens"] for row in found)
        values = (
            mean,
            perplexity(-mean),
            sum(row["right"] for row in found) / tokens,
            exact / len(found),
        )
        return dict(zip(_SCORES, (math.nan if v is None else v for v in values), strict=True))

    def baseline(self, train, examples):
        """Of the answer that is most frequent in training, `exact_match`; the others have none."""
        answers = [row[-1]["content"] for row in train.messages]
        frequent = max(sorted(set(answers)), key=answers.count)
        right = sum(row[-1]["content"] == frequent for row in examples.messages)
        return dict.fromkeys(_SCORES, math.nan) | {"exact_match": right / len(examples.messages)}

    def served(self, model, tokenizer):
        """None: a causal language model is served as such.

        Raises:
            InputError: always.
        """
        raise InputError(
            "wrong-model-kind",
            f"found the task {self.name} to serve; wanted the model by its kind alone",
        )


_SCORES = ("log_likelihood", "perplexity", "token_accuracy", "exact_match")


def chat_template(described: dict, tokenizer) -> str | None:
    """The template of a model of conversations, as transformers writes one; None of another model.

    Args:
        described: what `models.describe` gives for the folder.
        tokenizer: the model's.

    Raises:
        InputError: the folder's template is none, or wants tokens that the tokenizer lacks.
    """
    template = chat.of(described)
    return None if template in (None, chat.PLAIN) else chat.jinja(template, tokenizer)


def _next(batch) -> tuple[tf.Tensor, tf.Tensor]:
    """The token that follows each, int32 [B, L], and 1 where it is of an answer, float32."""
    labels = tf.pad(batch["token_ids"][:, 1:], [[0, 0], [0, 1]])
    is_answer = tf.pad(batch["is_answer"][:, 1:], [[0, 0], [0, 1]])
    return labels, tf.cast(is_answer == 1, tf.float32)
