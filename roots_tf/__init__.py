"""ROOTS-TF: pretrain BERT-style encoders on your own text with TensorFlow and Keras 3.

    import roots_tf as roots

The names in `__all__` are the Python API (`roots_tf/api`, docs/python.md); each is imported when
it is first used, so that `import roots_tf` takes milliseconds.
"""

import os
from typing import TYPE_CHECKING

from roots_tf import lazy

if TYPE_CHECKING:  # what type checkers and editors see of the names that `lazy` gives
    from roots_tf.api.models import decode, embed, encode, fill_mask, generate, load, predict
    from roots_tf.api.runs import evaluate, finetune, pretrain, run
    from roots_tf.inference.loaded import LoadedModel
    from roots_tf.storage.input_error import InputError
    from roots_tf.training.loop import StoppedError

__version__ = "0.11.0"
__all__ = [
    "InputError",
    "LoadedModel",
    "StoppedError",
    "decode",
    "embed",
    "encode",
    "evaluate",
    "fill_mask",
    "finetune",
    "generate",
    "load",
    "predict",
    "pretrain",
    "run",
]

if not TYPE_CHECKING:  # else they would take any name for one of these
    __getattr__ = lazy.attributes(
        __name__,
        dict.fromkeys(__all__, "api.models")
        | dict.fromkeys(("evaluate", "finetune", "pretrain", "run"), "api.runs")
        | {
            "InputError": "storage.input_error",
            "LoadedModel": "inference.loaded",
            "StoppedError": "training.loop",
        },
    )


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


# Keras reads this when it is first imported; the models here are built on tf.function steps.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
