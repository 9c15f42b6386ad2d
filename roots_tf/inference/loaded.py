"""A model in memory with its tokenizer, and what was compiled for it."""

import dataclasses
import functools
import weakref
from pathlib import Path

import keras
import tensorflow as tf

from roots_tf import models, tasks, tokenizers
from roots_tf.generation import Settings
from roots_tf.inference.folders import find
from roots_tf.inference.vectors import Embedder, compiled
from roots_tf.models import pooling

# Those that somebody still holds, by folder and what is in it: nothing is kept for its own sake.
_LOADED: "weakref.WeakValueDictionary[tuple, LoadedModel]" = weakref.WeakValueDictionary()


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LoadedModel:
    """A trained model in memory, with its tokenizer; `load` makes it.

    Attributes:
        folder: that it was read from.
        description: what `model.json` says of it: "kind", "encoder" (its sizes), "labels" and more.
        model: of `roots_tf.models`, a Keras model.
        tokenizer: text to ids and back.
    """

    folder: Path
    description: dict[str, object]
    model: keras.Model
    tokenizer: tokenizers.Tokenizer

    def __repr__(self) -> str:
        task = dict(self.description.get("task") or {}).get("name")
        what = f"{self.description['kind']}" + (f" for {task}" if task else "")
        parameters = sum(int(tf.size(weight)) for weight in self.model.variables)
        return f"<LoadedModel {self.folder}: {what}, {parameters:,} parameters>"

    @functools.cached_property
    def kind(self):
        """The kind of task that it was fine-tuned for, a `tasks.FineTuning`.

        Raises:
            InputError: it was not.
        """
        return tasks.restore(self.description)

    @functools.cached_property
    def _predictor(self) -> tasks.Predictor:
        return tasks.Predictor(self.kind, self.model)

    @functools.cached_property
    def _compiled(self) -> dict:
        """Compiled functions to vectors, by pooling and scaling: six at most."""
        return {}

    @functools.cached_property
    def _texts(self) -> dict:
        """What continues texts, as it was asked for last."""
        return {}

    def embedder(
        self, settings: models.EmbeddingSettings | None = None, batch_size: int = 64
    ) -> Embedder:
        """Makes vectors of texts.

        Args:
            settings: how; None: as the model folder says.
            batch_size: texts computed at once.

        Raises:
            InputError: the model has no such vectors.
        """
        settings = settings or self.embedding_settings
        how = settings.pooling, settings.l2_normalize
        pooling.check(settings.pooling, self.model, self.description, str(self.folder))
        if how not in self._compiled:
            self._compiled[how] = compiled(self.model, *how)
        return Embedder(
            self._compiled[how], self.model.config, self.tokenizer, settings, batch_size
        )

    @property
    def embedding_settings(self) -> models.EmbeddingSettings:
        """How the model folder says that texts become vectors."""
        return tasks.embedding_settings(self.description, str(self.folder))

    def answers(self, examples, batch_size: int = 64) -> list[dict]:
        """Answers of its task to examples, one JSON object each.

        Args:
            examples: as `kind.read` gives them, or `rows.answer_rows`.
            batch_size: examples computed at once.

        Raises:
            InputError: it was not fine-tuned, or the examples are none of its task.
        """
        given = (self.kind, self.model, self.tokenizer, examples)
        return tasks.answer(*given, batch_size=batch_size, predictor=self._predictor)

    def texts(self, settings: Settings, batch_size: int = 32, end_id: int | None = None):
        """What continues texts, a `generation.texts.Texts`.

        Args:
            settings: how tokens are chosen.
            batch_size: rows computed at once.
            end_id: of the token that ends a text; None: the tokenizer's end of text.

        Raises:
            InputError: see `Texts`.
        """
        from roots_tf.generation.texts import Texts
        from roots_tf.tokenizers.decoding import continuing

        asked = settings, batch_size, end_id
        if asked not in self._texts:  # only the last: each holds compiled loops of its own
            pieces = continuing(self.tokenizer)
            texts = Texts(self.model, self.tokenizer, pieces, settings, batch_size, end_id=end_id)
            self._texts.clear()
            self._texts[asked] = texts
        return self._texts[asked]


def load(path: str | Path, precision: str = "float32") -> LoadedModel:
    """The model of a folder with its tokenizer; one that is still in use is given again.

    Args:
        path: as for `find`.
        precision: as for `models.load`.

    Raises:
        InputError: there is no model, or it or its tokenizer is damaged.
    """
    folder = find(path)
    inside = sorted(file for file in folder.iterdir() if file.is_file())
    states = [(file.name, file.stat()) for file in inside]
    state = tuple((name, of.st_size, of.st_mtime_ns, of.st_ino) for name, of in states)
    key = (str(folder.resolve()), precision, state)
    if (loaded := _LOADED.get(key)) is None:
        tokenizer = tokenizers.load(folder)
        model = models.load(folder, precision)
        loaded = LoadedModel(folder, models.describe(folder), model, tokenizer)
        _LOADED[key] = loaded
    return loaded
