"""Adapters over one base in one SavedModel: the base's weights once, and a signature an adapter.

A signature has the name of its adapter, and takes and gives what `serving_default` does where the
merged model is exported by itself; further ones stand behind a dot, as `NAME.embedding`. So each
request names its adapter, as where many are served (S-LoRA, Sheng et al. 2023, arXiv:2311.03285).
Matrices are not merged: x W + s x A B is computed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from roots_tf import models, tasks, tokenizers
from roots_tf.export import saved_model
from roots_tf.export.answering import Limits, answering
from roots_tf.tasks.served_graph import ServedGraph


class OverOneBase(tf.Module):
    """Graphs whose models share variables.

    Args:
        served: graph of each adapter, by name.
    """

    def __init__(self, served: Mapping[str, ServedGraph]):
        super().__init__()
        object.__setattr__(self, "served", dict(served))
        self.parts = list(served.values())  # which a SavedModel keeps, a variable of several once

    def signatures(self) -> dict:
        """Concrete functions by the name of an adapter, and of its further signatures."""
        found = {}
        for name, served in self.served.items():
            found[name] = served.of_strings()
            found |= {f"{name}.{key}": function for key, function in served.further().items()}
        return found


class OneGraph:
    """A tokenizer whose graph is one for all who ask for it, and traced once.

    Its tables take some megabytes, which would stand in each signature.

    Args:
        tokenizer: whose other attributes it has.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer):
        self._tokenizer, self._graph = tokenizer, _Traced(tokenizer.graph())

    def graph(self) -> "_Traced":
        """The graph."""
        return self._graph

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)


class _Traced:
    """A graph tokenizer; no `tf.Module`, whose functions would be saved as such, once more."""

    def __init__(self, graph: tf.Module):
        self._graph = graph
        text = tf.TensorSpec([None], tf.string, "text")
        self.tokenize, self.tokenize_with_offsets = (
            tf.function(function, [text], autograph=False)
            for function in (graph.tokenize, graph.tokenize_with_offsets)
        )

    def __getattr__(self, name):
        return getattr(self._graph, name)


def export(
    adapters: Mapping[str, models.Adapter],
    base: str | Path,
    precision: str,
    limits: Limits,
    folder: str | Path,
    version: int,
    write_beside: Callable[[Path], None],
) -> Path:
    """Writes `<folder>/<version>`, once each signature answers as its merged model does in Python.

    Args:
        adapters: by name, from `models.of_one_base`.
        base: folder of their base.
        precision: what products are computed in.
        limits: what requests may ask of each.
        folder: as for `saved_model.write`.
        version: likewise.
        write_beside: likewise.

    Returns:
        Path of the SavedModel.

    Raises:
        InputError: an adapter and the base do not go together, a model cannot be served, an answer
            differs, or as `saved_model.write`.
    """
    tokenizer, shared = tokenizers.load(base), models.load(base, precision)
    once = OneGraph(tokenizer)
    served, expected = {}, {}
    for name, adapter in adapters.items():
        source = str(adapter.folder)
        settings = tasks.embedding_settings(adapter.described, source)
        # Of the merged model answers are wanted alone: its weights are not kept.
        whole = models.merged(adapter, base)
        alone = answering(adapter.described, source, whole, tokenizer, settings, limits)
        texts = saved_model.checked_texts(alone.served)
        expected[name] = saved_model.Expected(texts, alone.python(texts))
        model = models.sharing(adapter, shared)
        of_shared = answering(adapter.described, source, model, once, settings, limits)
        served[name] = of_shared.served

    def checked(path: Path, signatures: dict) -> dict:
        texts = {name: asked.texts for name, asked in expected.items()}
        outputs = saved_model.outputs_of(path, texts, {})
        for name, asked in expected.items():
            saved_model.check_answers(served[name], name, outputs[name], asked)
        return {name: _example(served, name, texts) for name in signatures}

    root = OverOneBase(served)
    return saved_model.write(root, root.signatures, checked, folder, version, write_beside)


def _example(served: Mapping[str, ServedGraph], signature: str, texts: Mapping[str, dict]) -> dict:
    """A request to a signature: the second and third text."""
    name, _, further = signature.partition(".")
    few = {column: values[1:3] for column, values in texts[name].items()}
    return served[name].example(further, few["text"]) if further else few
