"""A causal model's greedy continuation, with its caches, beside the processor's."""

import numpy as np
import tensorflow as tf

from roots_tf import generation, models
from roots_tf.devices.place import LeftOut, Place, load_arrays, save_arrays
from roots_tf.devices.results import Finding

EXPECTED = "continuation.npz"
PAD, END = 0, 1
TOLERANCE = 1e-3  # between logits of standard deviation 1: whichever is larger then may be taken


def _model(place: Place):
    return models.CausalLM(
        place.shape.config("gpt2", initializer_range=0.3), seed=place.seed, precision="float32"
    )


def _continued(place: Place, model, compiled: bool = False) -> np.ndarray:
    """Prompts of two lengths and what follows them, int32 [B, T]."""
    shape = place.shape
    draws = np.random.default_rng(place.seed).integers(2, shape.vocabulary, [4, shape.length // 2])
    lengths = tf.constant([shape.length // 2, 3, shape.length // 4, 1])
    settings = generation.Settings(decoding="greedy", max_new_tokens=shape.length // 2 - 1)

    @tf.function(autograph=False)
    def continued(prompts, lengths):
        return generation.generate(
            *(model, prompts, lengths, tf.zeros([4, 2], tf.int32), settings),
            eos_id=END,
            pad_id=PAD,
            num_tokens=shape.vocabulary,
        ).ids

    return continued(tf.constant(draws, tf.int32), lengths).numpy(), draws, lengths.numpy()


def reference(place: Place) -> None:
    """Leaves weights, what the processor writes and the logits, without a cache, of each place.

    Args:
        place: the processor.
    """
    with place.strategy.scope():
        model = _model(place)
        ids, prompts, lengths = _continued(place, model)
        logits = np.stack([_logits(model, *row) for row in zip(prompts, lengths, ids, strict=True)])
    weights = [variable.value.numpy() for variable in model.variables]
    save_arrays(place.folder / EXPECTED, [ids, logits, *weights])


def _logits(model, prompt, length, ids) -> np.ndarray:
    """Logits of each token of a continuation, from one pass over prompt and continuation."""
    text = np.concatenate([prompt[:length], ids])[None].astype("int32")
    features = {
        "token_ids": tf.constant(text),
        "segment_ids": tf.zeros_like(text),
        "padding_mask": tf.ones(text.shape, tf.bool),
    }
    states = model(features)
    return model.logits(states)[0, length - 1 : length - 1 + len(ids)].numpy()


def run(place: Place) -> Finding:
    """Continues the same prompts on the device.

    Args:
        place: of the device.
    """
    if place.accelerator == "TPU":
        raise LeftOut("generate runs on GPUs and processors")
    if not (place.folder / EXPECTED).exists():
        raise LeftOut("it compares with the processor's text, which was not made")
    wanted, logits, *weights = load_arrays(place.folder / EXPECTED)
    with place.strategy.scope():
        model = _model(place)
        for variable, value in zip(model.variables, weights, strict=True):
            variable.value.assign(value)
        found = _continued(place, model)[0]
    return compare(found, wanted, logits)


def compare(found: np.ndarray, wanted: np.ndarray, logits: np.ndarray) -> Finding:
    """Whether continuations are the same, but for tokens between which rounding decides.

    Args:
        found: of the device, int32 [B, T].
        wanted: of the processor, likewise.
        logits: of the processor at each place of `wanted`, [B, T, V].
    """
    ties = 0
    for row in range(len(wanted)):
        # Behind the first token that differs, the texts are others in any case.
        places = np.flatnonzero(found[row] != wanted[row])
        ended = np.flatnonzero(wanted[row] == PAD)
        if not len(places):
            continue
        place = places[0]
        here = logits[row, place]
        if len(ended) and place >= ended[0] or here[found[row, place]] < here.max() - TOLERANCE:
            return Finding(
                False,
                f"found token {found[row, place]} at place {place} of text {row}; wanted "
                f"{wanted[row, place]}, as the processor continues it",
            )
        ties += 1
    total = wanted.size
    return Finding(
        True,
        f"{total} tokens as the processor writes them" + f", up to {ties} ties" * bool(ties),
        {"ties": ties},
    )
