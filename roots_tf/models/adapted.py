"""The model of an adapter and its base: merged, or with weights that it shares with the base."""

from pathlib import Path

import keras

from roots_tf.models import folder
from roots_tf.models.adapter import Adapter


def merged(adapter: Adapter, base: str | Path) -> keras.Model:
    """The whole model, in float32, as fine-tuning wrote it beside the adapter.

    Args:
        adapter: what was learned.
        base: folder of the model that it was learned on, which `check_base` has passed.

    Raises:
        InputError: weights are missing or damaged, or the two do not go together.
    """
    learned = adapter.weights()
    model = folder.make(adapter.described)
    weights = folder.named_weights(model)
    kept = {name: weight for name, weight in weights.items() if name not in learned}
    folder.load_weights(base, kept)
    adapter.tuning.merge(model, learned)
    return model


def sharing(adapter: Adapter, base: keras.Model) -> keras.Model:
    """A model that answers as `merged` does, of the base's own variables and what was learned.

    Low-rank pairs stay beside the matrices, so that several models over one base take its memory
    once. Who changes a weight of one changes it in all.

    Args:
        adapter: of which `merged` has made a model.
        base: the model of its base's folder.
    """
    model = folder.make(adapter.described, base.dtype_policy.name)
    adapter.tuning.prepare(model)
    learned, own = adapter.weights(), folder.named_weights(base)
    for name, variable in folder.named_weights(model).items():
        if name in learned:
            variable.assign(learned[name])
        else:
            # As Keras does where a variable is made of one of TensorFlow: it has the same storage.
            variable._initialize(own[name].value)
    return model
