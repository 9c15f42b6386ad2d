"""Texts of a corpus by how near their vectors are to those of queries."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from roots_tf.inference.loaded import LoadedModel
from roots_tf.inference.vector_flags import CorpusVectorFlags
from roots_tf.inference.vectors import Embedder

DOCUMENT = "document"  # name of the prompt that stands before texts of a corpus


def embedders(
    model: LoadedModel, flags: CorpusVectorFlags, batch_size: int = 64
) -> tuple[Embedder, Embedder]:
    """What makes unit vectors of queries, and what makes those of texts that are searched.

    Args:
        model: that embeds.
        flags: how.
        batch_size: texts computed at once.

    Raises:
        InputError: the model makes no vectors, or has no such prompt.
    """
    settings = model.embedding_settings.with_flags(flags.pooling, prompt_name=flags.prompt_name)
    settings = dataclasses.replace(settings, l2_normalize=True)
    name = flags.corpus_prompt_name
    if name is None:
        name = DOCUMENT if DOCUMENT in settings.prompts else settings.default_prompt_name
    of_corpus = dataclasses.replace(settings, default_prompt_name=name or None)
    return model.embedder(settings, batch_size), model.embedder(of_corpus, batch_size)


def cosines(
    of_queries: Embedder, of_corpus: Embedder, queries: Sequence[str], corpus: Sequence[str]
) -> Iterator[np.ndarray]:
    """The cosines of each query with all texts of the corpus, float32 [texts].

    Args:
        of_queries, of_corpus: as `embedders` gives them.
        queries: texts.
        corpus: texts.
    """
    vectors = of_corpus(corpus)  # [texts, H]
    return (vectors @ query for query in of_queries(queries))
