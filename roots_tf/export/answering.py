"""What answers requests to a model: its graph, and Python beside it, by which that is checked."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import keras

from roots_tf import generation, models, tasks
from roots_tf.export import embedding
from roots_tf.export.generation import Generation
from roots_tf.models import pooling
from roots_tf.storage.files import InputError
from roots_tf.tasks.served_graph import ServedGraph
from roots_tf.tokenizers import Tokenizer

NEW_TOKENS = 256  # that a request to a causal model may ask for, where nothing else is said
DEBUG_TOKENS = 16


class Limits(NamedTuple):
    """What requests may ask for, and how answers are looked for.

    Attributes:
        max_seq_length: tokens of a row; 0: as in training, or as the folder says.
        max_new_tokens: of an answer that is written; None: as the model was told.
        search: of an encoder-decoder.
        debug: whether rows have at most `DEBUG_TOKENS`.
    """

    max_seq_length: int = 0
    max_new_tokens: int | None = None
    search: generation.SearchFlags = generation.SearchFlags()
    debug: bool = False


class Answering(NamedTuple):
    """A model that answers.

    Attributes:
        served: its graph.
        python: answers to columns of texts, an object a text, without the graph.
    """

    served: ServedGraph
    python: Callable[[dict[str, list]], list[dict]]


def answering(
    described: dict,
    source: str,
    model: keras.Model,
    tokenizer: Tokenizer,
    settings: models.EmbeddingSettings,
    limits: Limits,
) -> Answering:
    """The graph of a model, and its answers in Python.

    Args:
        described: what `models.describe` gives for the model's folder.
        source: that folder, for messages.
        model: of it.
        tokenizer: likewise.
        settings: how texts become vectors, of a model without a task.
        limits: what may be asked for.

    Raises:
        InputError: the model answers nothing, as its pooler or the names of its labels are missing.
    """
    longest = described["encoder"].max_sequence_length
    kind = tasks.kind_of(described)
    usual = kind.max_seq_length if kind else settings.length(longest)
    length = min(limits.max_seq_length or usual, longest)
    length = DEBUG_TOKENS if limits.debug else length
    if kind is None and models.is_causal(described):
        most = limits.max_new_tokens or NEW_TOKENS
        continuing = Generation(model, tokenizer, most, length)
        return Answering(continuing, continuing.python_answers)
    if kind is None:
        pooling.check(settings.pooling, model, described, source)
        vectors = embedding.Embedding(model, tokenizer, settings, length)
        return Answering(vectors, functools.partial(embedding.embeddings, vectors))
    if kind.has_labels() and not kind.labels:
        raise InputError(
            "wrong-model-kind",
            f"found a {described['kind']} without a task or names of labels; wanted a model "
            "that finetune or import wrote",
        )
    kind = dataclasses.replace(kind, max_seq_length=length)
    if kind.decodes:
        kind = kind.with_settings(limits.search.settings(kind.settings, limits.max_new_tokens))
    answer = functools.partial(predictions, kind, model, tokenizer)
    return Answering(kind.served(model, tokenizer), answer)


def predictions(kind, model, tokenizer, texts: dict[str, list]) -> list[dict]:
    """What `predict` answers to texts.

    Args:
        kind: of task.
        model: as `kind.make_model` gives it.
        tokenizer: the model's.
        texts: columns of texts, by name.
    """
    if kind.decodes:  # its column has another name than the graph's input
        texts = {kind.texts[0]: texts["text"]}
    examples = kind.unlabelled(texts)
    return tasks.answer(kind, model, tokenizer, examples, batch_size=64)
