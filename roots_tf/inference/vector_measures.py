"""What is measured of the vectors that a model makes of texts, without training it.

Any model that embeds is measured: a pretrained encoder, one that was fine-tuned, one that was
imported. A measure is a function of the config of `evaluate` and a row of `MEASURES`; what it wants
of files and flags is seen before TensorFlow is loaded.
"""

import numpy as np

from roots_tf import labelled
from roots_tf.labelled import equal_texts, relevance, tables
from roots_tf.metrics import clustering as groups
from roots_tf.metrics import ranking
from roots_tf.storage.files import InputError

DEBUG = 256  # examples of `--debug`


def similarity(config) -> dict:
    """How cosines of two texts go with values: semantic textual similarity.

    Args:
        config: of `evaluate`; its `input` has `text`, `text_pair` and `value`.

    Raises:
        InputError: something is wrong with the file, or the model makes no vectors.
    """
    columns = labelled.column_names(config.columns)
    wanted = ("text", "text_pair", "value")
    table = tables.read(config.input, wanted, columns=columns, encoding=config.encoding)
    table = labelled.sample(table, DEBUG) if config.debug else table
    values = tables.numbers(table, "value")
    pairs = tables.strings(table, "text"), tables.strings(table, "text_pair")
    (embed, _), how = _embedders(config)
    from roots_tf.metrics import embeddings  # which takes half a second to import

    first, second = np.split(embed([*pairs[0], *pairs[1]]), 2)  # [B, H]
    cosines = np.einsum("bh,bh->b", first, second)
    potentials = embeddings.potentials(first, equal_texts.numbers(embed.rows(pairs[0])))
    scores = embeddings.of_values(cosines, values)
    scores |= {"uniformity": embeddings.uniformity(potentials)}
    return {"pairs": len(values)} | scores | how


def clustering(config) -> dict:
    """How k-means, with as many clusters as there are labels, parts texts of different labels.

    Args:
        config: of `evaluate`; its `input` has `text` and `label`, and `seed` is that of k-means.

    Raises:
        InputError: there is one label alone, or as for `similarity`.
    """
    columns = labelled.column_names(config.columns)
    table = tables.read(config.input, ("text", "label"), columns=columns, encoding=config.encoding)
    labels = tables.labels(table, "label")
    if config.debug:
        table = labelled.sample(table, DEBUG, [(label,) for label in labels])
        labels = tables.labels(table, "label")
    if (count := len({*labels})) < 2:
        raise InputError(
            "too-few-labels",
            f"found the label {labels[0]!r} alone in {config.input}; wanted two or more, which "
            "clusters are compared with",
        )
    texts = tables.strings(table, "text")
    (embed, _), how = _embedders(config)
    clusters = groups.k_means(embed(texts), count, config.seed)
    return {"texts": len(texts), "labels": count} | groups.scores(labels, clusters) | how


def retrieval(config) -> dict:
    """How far up a search by vectors finds what is relevant to queries.

    Args:
        config: of `evaluate`; its `input` has the queries.

    Raises:
        InputError: there is no corpus, or as for `similarity`.
    """
    if not config.corpus:
        raise InputError(
            "missing-flag",
            "found no --corpus; wanted one, a table of id and text, which is searched",
        )
    found = relevance.read(config.corpus, config.input, config.encoding)
    found = found.first(DEBUG) if config.debug else found
    both, how = _embedders(config)
    from roots_tf.inference import searching

    of_queries = searching.cosines(*both, found.queries, found.corpus)
    places = map(ranking.ranks, of_queries, found.relevant)
    counts = {"queries": len(found.queries), "texts": len(found.corpus)}
    return counts | ranking.scores([*places]) | how


MEASURES = {"similarity": similarity, "clustering": clustering, "retrieval": retrieval}


def _embedders(config) -> tuple:
    """What makes unit vectors of texts and of a corpus as the flags say, and how it does."""
    from roots_tf import inference
    from roots_tf.inference import searching

    both = searching.embedders(inference.load(config.model), config.vectors, config.batch_size)
    settings = both[0].settings
    how = {"pooling": settings.pooling, "max_seq_length": both[0].length}
    return both, how | ({"prompt": settings.prompt} if settings.prompt else {})
