"""The task of the masked language model: accuracies, scalars, and what it shows of its answers."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.objectives.masked_lm_task import MaskedLMTask, fill_masks
from roots_tf.tokenizers.tokenizer import wordpiece
from tests.batches import pretraining_batch

MASK = 4
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sat", ".", "##s"]


def pretrainer(vocabulary_size: int) -> models.Pretrainer:
    sizes = models.EncoderConfig(
        vocabulary_size=vocabulary_size, num_layers=1, hidden_dim=8, num_heads=2,
        intermediate_dim=16, max_sequence_length=16, dropout=0.1, initializer_range=1.0,
    )  # fmt: skip
    return models.Pretrainer(sizes, seed=1)


def masked_batch(rows: int, vocabulary: int) -> dict[str, np.ndarray]:
    """A batch in which predictions show [MASK], a random token and the label, in turn."""
    batch = {
        name: value.numpy() for name, value in pretraining_batch(0, rows, 16, vocabulary, 5).items()
    }
    for row, place in np.argwhere(batch["masked_lm_weights"] > 0):
        label = batch["masked_lm_ids"][row, place]
        shown = [MASK, label + 1 if label + 1 < vocabulary else 5, label][(row + place) % 3]
        batch["token_ids"][row, batch["masked_lm_positions"][row, place]] = shown
    return batch


def test_accuracy_by_what_the_input_shows():
    model, batch = pretrainer(8), masked_batch(64, 8)
    model.masked_lm.bias.assign([-100.0] * 5 + [0.0] * 3)  # never a special token
    tensors = {name: tf.constant(value) for name, value in batch.items()}
    sums = MaskedLMTask(model, mask_id=MASK).sums(tensors)
    best = model(tensors)["masked_lm_logits"].numpy().argmax(-1).reshape(64, 5)
    right = {"masked": [], "random": [], "kept": []}
    for row, place in np.argwhere(batch["masked_lm_weights"] > 0):
        label = batch["masked_lm_ids"][row, place]
        shown = batch["token_ids"][row, batch["masked_lm_positions"][row, place]]
        kind = "masked" if shown == MASK else "kept" if shown == label else "random"
        right[kind].append(best[row, place] == label)
    for kind, answers in right.items():
        assert any(answers) and not all(answers)
        found = [float(x) for x in sums[f"masked_lm_accuracy_{kind}"]]
        assert found == [sum(answers), len(answers)]
    whole = [float(x) for x in sums["masked_lm_accuracy"]]
    assert whole == [sum(map(sum, right.values())), sum(map(len, right.values()))]
    assert not [name for name in MaskedLMTask(model).sums(tensors) if name.endswith("kept")]


def test_rows_that_fill_a_last_batch_count_for_nothing():
    model, batch = pretrainer(8), masked_batch(8, 8)
    batch["masked_lm_weights"][6:] = 0.0
    batch["example_weights"] = np.array([1] * 6 + [0] * 2, np.float32)
    task = MaskedLMTask(model, mask_id=MASK)
    filled = task.sums({name: tf.constant(value) for name, value in batch.items()})
    cut = task.sums({name: tf.constant(value[:6]) for name, value in batch.items()})
    for name, sums in cut.items():
        assert [float(x) for x in filled[name]] == pytest.approx([float(x) for x in sums]), name
    label_1, pairs = (float(x) for x in cut["next_sentence_label_1"])
    assert (label_1, pairs) == (batch["next_sentence_labels"][:6].sum(), 6)


def test_samples_show_each_mask_with_the_right_and_the_likeliest_pieces():
    tokenizer = wordpiece(TOKENS, lowercase=True)
    model = pretrainer(len(TOKENS))
    # Without token embeddings the bias alone decides: shares 1/2, 1/4 and 1/8.
    model.encoder.embeddings.token.assign(tf.zeros([len(TOKENS), 8]))
    shares = np.full(len(TOKENS), 1e-9)
    shares[[6, 7, 10, 5]] = [0.5, 0.25, 0.125, 0.125 - 8e-9]
    model.masked_lm.bias.assign(np.log(shares))
    ids = [
        [2, 5, 4, 8, 9, 3, 5, 4, 10, 3, 0, 0],  # the cat sat. / the dogs, ## kept
        [2, 5, 7, 8, 3, 6, 10, 3, 0, 0, 0, 0],  # no [MASK]
        [2, 9, 9, 9, 3, 9, 9, 3, 0, 0, 0, 0],
    ]
    batch = {
        "token_ids": tf.constant(ids),
        "segment_ids": tf.zeros([3, 12], tf.int32),
        "padding_mask": tf.constant(ids) > 0,
        "masked_lm_positions": tf.constant([[2, 7, 8], [3, 0, 0], [1, 0, 0]]),
        "masked_lm_ids": tf.constant([[6, 7, 10], [8, 0, 0], [9, 0, 0]]),
        "masked_lm_weights": tf.constant([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
    }
    lines = fill_masks(model, batch, tokenizer, 2).split("\n")
    assert lines == [
        "    [CLS] the [MASK] sat. [SEP] the [MASK]s [SEP]",
        "",
        "      + cat               cat 0.500  dog 0.250  the 0.125",
        "        dog               cat 0.500  dog 0.250  the 0.125",
        "",
        "    [CLS] the dog sat [SEP] cats [SEP]",
        "",
        "",
    ]
