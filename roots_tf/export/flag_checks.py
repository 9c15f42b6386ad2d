"""What `export` refuses of its flags and the kind of a model, without TensorFlow."""

import importlib.util

from roots_tf.storage.files import InputError


def onnx(config) -> None:
    """Refuses what --format=onnx cannot do here.

    Args:
        config: of the program.

    Raises:
        InputError: a package is missing, or weights of half the size are asked for.
    """
    if config.quantize == "float16":
        raise InputError(
            "flags-conflict", "found --quantize=float16 and --format=onnx; wanted int8 or none"
        )
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                "missing-extra",
                f"found no package {package}, which --format=onnx needs; wanted the extra: "
                "pip install 'roots-tf[onnx]'",
            )


def causal(config, of_vectors: dict) -> None:
    """Refuses flags that say nothing to a causal language model.

    Args:
        config: of the program.
        of_vectors: values of flags about vectors; None of those that are not given.

    Raises:
        InputError: one is about vectors, or the format has no loop.
    """
    if wrong := [name for name, value in of_vectors.items() if value is not None]:
        raise InputError(
            "flags-conflict",
            f"found --{wrong[0]} and a causal_lm, which continues texts and makes no vectors; "
            "leave it out",
        )
    if config.format in ("litert", "onnx"):
        raise InputError(
            "cannot-export",
            f"found --format={config.format} and a causal_lm, whose loop over tokens such a file "
            "does not hold; wanted --format=saved_model",
        )


def encoder_decoder(kind) -> None:
    """Refuses an encoder-decoder that has no task; `kind` is its task, or None.

    Raises:
        InputError: it has none.
    """
    if kind is None:
        raise InputError(
            "wrong-model-kind",
            "found an encoder_decoder that has learned no task; wanted one that finetune "
            "--task=sequence_to_sequence wrote",
        )
