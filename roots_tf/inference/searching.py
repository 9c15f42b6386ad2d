"""Texts of a corpus by how near their vectors are to those of queries."""

from collections.abc import Iterator, Sequence

import numpy as np

from roots_tf.inference.loaded import LoadedModel

DOCUMENT = "document"  # name of the prompt that stands before texts of a corpus


def cosines(
    model: LoadedModel,
    queries: Sequence[str],
    corpus: Sequence[str],
    prompt_name: str | None = None,
    batch_size: int = 64,
) -> Iterator[np.ndarray]:
    """The cosines of each query with all texts of the corpus, float32 [texts].

    Args:
        model: that embeds; queries have the prompt that its folder puts before every text.
        queries: texts.
        corpus: texts.
        prompt_name: of the corpus; None: `DOCUMENT` where the folder has it, else as of queries.
        batch_size: texts computed at once.

    Raises:
        InputError: the model makes no vectors, or has no such prompt.
    """
    settings = model.embedding_settings
    if prompt_name is None and DOCUMENT in settings.prompts:
        prompt_name = DOCUMENT
    of_corpus = settings.with_flags(l2_normalize=True, prompt_name=prompt_name)
    vectors = model.embedder(of_corpus, batch_size)(corpus)  # [texts, H]
    asked = model.embedder(settings.with_flags(l2_normalize=True), batch_size)(queries)
    return (vectors @ query for query in asked)
