"""Label words told by a causal model, behind labelled examples, beside prompts written by hand."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, pre_tokenizers, trainers
from tokenizers.models import BPE

from roots_tf import models, tasks
from roots_tf.storage.files import InputError
from roots_tf.tasks import graph_rows
from roots_tf.tasks.cloze import CONTENT_FREE
from roots_tf.tasks.in_context import CausalCloze
from roots_tf.tasks.in_context_rows import Prompted, blank_line
from roots_tf.tokenizers import Tokenizer

END = "<|endoftext|>"
TEXT = "Film: the cat sat on the mat. It was good, not bad; a fine dog sat on a dull rug\n"
REVIEWS = [("a fine film", "good"), ("the dull dog", "bad"), ("not the cat", "bad")]
SHOTS = (("bad", "a rug"), ("good", "the mat"))
WORDS = ("good=good|so fine", "bad=bad")
TEMPLATES = (
    r"Film: {text}\nIt was [MASK]",
    "{text} It was [MASK].",
    r"A [MASK] film: {text}\nthe end",
)


def trained_tokenizer() -> Tokenizer:
    """Byte-level pieces of a little English, with one token that begins and ends texts."""
    backend = tokenizers.Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([TEXT] * 4, trainer)
    return Tokenizer(backend)


def random_model(tokenizer) -> models.CausalLM:
    """A causal language model whose weights are so large that a wrong token shows."""
    sizes = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    sizes |= {
        "max_sequence_length": 192,
        "num_segments": 0,
        "norm": "pre",
        "initializer_range": 0.5,
    }
    return models.CausalLM(models.EncoderConfig(tokenizer.size, **sizes), seed=3)


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    return trained_tokenizer()


@pytest.fixture(scope="module")
def model(byte_level) -> models.CausalLM:
    return random_model(byte_level)


def write(folder, reviews=REVIEWS):
    path = folder / "reviews.jsonl"
    rows = (json.dumps({"text": text, "label": label}) for text, label in reviews)
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def learned(folder, tokenizer, template=TEMPLATES[0], verbalizer=WORDS, length=96, **fields):
    kind = CausalCloze(max_seq_length=length).with_template(template).with_verbalizer(verbalizer)
    examples = kind.read(write(folder), {})
    kind = dataclasses.replace(kind.learn(examples).of_tokenizer(tokenizer), **fields)
    return kind, examples


def oracle(kind, model, tokenizer, texts) -> np.ndarray:
    """Probabilities of the labels, from one prompt after the other that is written by hand."""

    def log_p(before: str, word: str, behind: str) -> float:
        ids = [tokenizer.bos_id, *tokenizer.encode([before + word + behind])[0]]
        first = 1 + len(tokenizer.encode([before])[0])
        pieces = len(tokenizer.encode([word])[0])
        row = tf.constant([ids], tf.int32)
        features = {"token_ids": row, "segment_ids": 0 * row, "padding_mask": row >= 0}
        logits = model.logits(model(features))[0].numpy().astype(np.float64)
        found = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        told = [found[place - 1, ids[place]] for place in range(first, len(ids))]
        return sum(told[:pieces]) / pieces + sum(told[pieces:])

    def prompt(text: str) -> tuple[str, str]:
        filled = kind.template.replace("\\n", "\n").replace("{text}", text)
        before, _, behind = filled.partition(" [MASK]")
        return before, behind

    words = dict(zip(kind.labels, kind.words, strict=True))
    shots = ""
    for label, text in kind.demonstrations:
        before, behind = prompt(text)
        shots += f"{before} {words[label][0]}{behind}\n\n"
    found = []
    for text in texts:
        before, behind = prompt(text)
        scores = [
            np.mean([log_p(shots + before, f" {word}", behind) for word in words[label]])
            for label in kind.labels
        ]
        scores = np.exp(np.array(scores) - (kind.priors or 0))
        found.append(scores / scores.sum())
    return np.array(found)


def probabilities(kind, model, tokenizer, texts):
    answers = tasks.answer(kind, model, tokenizer, kind.unlabelled({"text": texts}), batch_size=2)
    return [[*row["probabilities"].values()] for row in answers]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("shots", [(), SHOTS])
def test_probabilities_are_those_of_prompts_written_by_hand(
    tmp_path, byte_level, model, template, shots
):
    kind, examples = learned(tmp_path, byte_level, template, demonstrations=shots)
    texts = [*examples.columns["text"], "the end. It was not"]
    expected = oracle(kind, model, byte_level, texts)
    assert np.ptp(expected[:, 0]) > 0.01
    found = probabilities(kind, model, byte_level, texts)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    served = kind.served(model, byte_level)
    inputs = {"text": tf.constant(texts)}
    for answers in (served.answers(inputs), served.of_ids(served.features(inputs))):
        np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
    assert served.answers({"text": tf.constant([], tf.string)})["probabilities"].shape == (0, 2)
    assert json.loads(json.dumps(kind.text_settings())) == kind.text_settings()


def test_words_of_one_token_are_read_once_where_nothing_stands_behind(tmp_path, byte_level, model):
    kind, examples = learned(tmp_path, byte_level, verbalizer=("good=the", "bad=bad"))
    assert kind.rows_read == 1
    texts = examples.columns["text"]
    expected = oracle(kind, model, byte_level, texts)
    np.testing.assert_allclose(probabilities(kind, model, byte_level, texts), expected, atol=1e-5)
    dotted, _ = learned(tmp_path, byte_level, TEMPLATES[1], ("good=the", "bad=bad"))
    assert dotted.rows_read == 2


def test_rows_have_a_mark_where_words_are_tried(tmp_path, byte_level):
    kind, examples = learned(tmp_path, byte_level, demonstrations=SHOTS)
    rows = kind.rows(examples, byte_level)
    first = rows.token_ids[: rows.row_splits[1]]
    assert first[0] == first[-1] == byte_level.eos_id
    assert byte_level.decode(first[1:-1]) == (
        "Film: a rug\nIt was bad\n\nFilm: the mat\nIt was good\n\nFilm: a fine film\nIt was"
    )
    batch = kind.batcher(rows, byte_level.causal_pad_id)(tf.constant([0]))
    found = kind.features(batch)
    read = [ids[inside].tolist() for ids, inside in zip(*map(np.asarray, (
        found["token_ids"], found["padding_mask"])), strict=True)]  # fmt: skip
    # What is read of "bad", "good" and "so fine": all but the last token.
    ids = [byte_level.encode([word])[0][:-1].tolist() for word in (" bad", " good", " so fine")]
    assert [*map(len, ids)] == [0, 1, 4]
    assert read == [[*first[:-1].tolist(), *some] for some in ids]


def test_demonstrations_are_balanced_and_of_the_seed(tmp_path, byte_level):
    many = [(f"the cat {i}", ("good", "bad", "dull")[min(i % 5, 2)]) for i in range(40)]
    kind = CausalCloze().with_template(TEMPLATES[0])
    examples = kind.read(write(tmp_path, many), {})
    kind = kind.learn(examples)
    drawn = [kind.with_demonstrations(examples, 7, seed).demonstrations for seed in range(20)]
    assert drawn[3] == kind.with_demonstrations(examples, 7, 3).demonstrations
    assert len(set(drawn)) == 20
    right = dict(many)
    for shots in drawn:
        assert len({text for _, text in shots}) == 7
        assert all(right[text] == label for label, text in shots)
        labels = [label for label, _ in shots]
        assert sorted(map(labels.count, kind.labels)) == [2, 2, 3]
    assert {shots[-1][0] for shots in drawn} == {"good", "bad", "dull"}  # no label is always last
    with pytest.raises(
        InputError, match="found 8 examples of the label '(good|bad)' in .*; wanted"
    ):
        kind.with_demonstrations(examples, 30, 0)


def test_demonstrations_without_room_are_left_out_whole(tmp_path, byte_level, caplog):
    shots = (*SHOTS, ("bad", "a dull rug on a dull mat, " * 2))
    kind, _ = learned(tmp_path, byte_level, demonstrations=shots, length=64)
    whole = [len(ids) for ids in kind.filled(byte_level)._demonstrations]
    assert whole[2] > whole[0] + whole[1]
    texts = [
        "the end",
        "the cat sat on a rug, the dog on the mat",
        "a dull dog sat on the mat. " * 9,
    ]
    filled = kind.filled(byte_level)
    rows = filled.rows({"text": texts}, kind.masks)
    bounds = itertools.pairwise(rows.row_splits)
    told = [byte_level.decode(rows.token_ids[begin + 1 : end]) for begin, end in bounds]
    # The one next to the text has no room beside it, or takes that of the others.
    assert [text.count("\n\n") for text in told] == [1, 2, 0]
    assert all("It was bad\n\nFilm" in text or "\n\n" not in text for text in told)
    assert rows.lengths.max() + kind.masks[0] - 1 == 64
    assert "1 of 3 texts lose their end: a row has 64 tokens" in caplog.text
    assert "3 of 3 texts leave out demonstrations, 1 of them all 3, which have" in caplog.text


@settings(max_examples=10)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_python_and_the_graph_cut_the_same_rows(byte_level, texts):
    filled = Prompted(TEMPLATES[1], byte_level, 40, [(word, text) for word, text in SHOTS])
    rows = filled.rows({"text": texts}, (2,))
    strings = tf.constant([text.encode("utf-8", "replace") for text in texts])
    ids = graph_rows.plain_ids(strings, byte_level, byte_level.graph())
    made = filled.features({"text": ids}, 2)
    for text, (begin, end) in enumerate(itertools.pairwise(rows.row_splits)):
        expected = made["token_ids"][text][made["padding_mask"][text]]
        assert rows.token_ids[begin:end].tolist() == expected.numpy().tolist()
        assert end - begin + 1 <= 40


def test_priors_make_labels_equal_where_the_text_says_nothing(tmp_path, byte_level, model):
    kind, _ = learned(tmp_path, byte_level, demonstrations=SHOTS)
    before = np.mean(probabilities(kind, model, byte_level, [*CONTENT_FREE]), 0)
    calibrated = kind.with_priors(model, byte_level)
    np.testing.assert_allclose(np.exp(calibrated.priors), before, atol=1e-6)
    texts = ["a fine film", "the dull dog"]
    found = probabilities(calibrated, model, byte_level, texts)
    np.testing.assert_allclose(found, oracle(calibrated, model, byte_level, texts), atol=1e-5)
    described = {"kind": "causal_lm", "task": json.loads(json.dumps(tasks.describe(calibrated)))}
    assert tasks.restore(described) == calibrated


def test_the_loss_has_the_gradient_of_its_differences(tmp_path, byte_level, model):
    kind, examples = learned(tmp_path, byte_level, TEMPLATES[2])
    rows = kind.rows(examples, byte_level)
    batch = kind.batcher(rows, byte_level.causal_pad_id)(tf.constant([0, 1, 2]))
    with tf.GradientTape() as tape:
        loss, weight = kind.sums(model, batch)["cloze_loss"]
    table = model.output_table
    gradient = tape.gradient(loss, table.value).numpy()
    expected = -sum(
        math.log(row[kind.labels.index(label)])
        for row, label in zip(
            oracle(kind, model, byte_level, examples.columns["text"]),
            examples.columns["label"],
            strict=True,
        )
    )
    assert (float(loss), float(weight)) == (pytest.approx(expected, rel=1e-4), 3.0)
    place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    before, losses = table.numpy(), []
    for step in (1e-2, -1e-2):
        moved = before.copy()
        moved[place] += step
        table.assign(moved)
        losses.append(float(kind.sums(model, batch)["cloze_loss"][0]))
    table.assign(before)
    assert gradient[place] == pytest.approx((losses[0] - losses[1]) / 2e-2, rel=0.02)


@pytest.mark.parametrize("template", TEMPLATES)
def test_sums_add_up_and_compile_whole(tmp_path, byte_level, model, template):
    kind, examples = learned(tmp_path, byte_level, template, demonstrations=SHOTS)
    rows = kind.rows(examples, byte_level)
    batcher = kind.batcher(rows, byte_level.causal_pad_id)
    whole, *parts = (
        kind.sums(model, batcher(tf.constant(part))) for part in ([0, 1, 2], [0], [2, 1])
    )
    for name, (total, weight) in whole.items():
        assert float(total) == pytest.approx(sum(float(p[name][0]) for p in parts), rel=1e-4)
        assert float(weight) == sum(float(p[name][1]) for p in parts) == 3.0

    @tf.function(jit_compile=True, autograph=False)
    def compiled(batch):
        return kind.sums(model, batch)["cloze_loss"][0]

    batch = batcher(tf.constant([0, 1, 2]))
    assert float(compiled(batch)) == pytest.approx(float(whole["cloze_loss"][0]), rel=1e-4)


MISFITS = {
    "a label that is none": ({"demonstrations": [["so", "a film"]]}, r"\('so', 'a film'\)"),
    "no text": ({"demonstrations": [["good"]]}, "wanted a label of bad, good and 1 of its texts"),
    "nothing": ({"demonstrations": [[]]}, r"found the demonstration \(\)"),
    "a prior too few": ({"priors": [0.5]}, r"found words, pieces and priors of \[2, 2, 1\] lab"),
    "a word without pieces": ({"pieces": [[[1]], [[2]]]}, "wanted .* pieces of every word"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_folder_that_is_not_in_order_is_named(tmp_path, byte_level, case):
    change, message = MISFITS[case]
    kind, _ = learned(tmp_path, byte_level)
    task = json.loads(json.dumps(tasks.describe(kind))) | change
    with pytest.raises(InputError, match=message):
        tasks.restore({"kind": "causal_lm", "task": task})


def test_what_spells_the_end_of_text_is_a_text(tmp_path, byte_level, model):
    kind, _ = learned(tmp_path, byte_level)
    served = kind.served(model, byte_level)
    texts = [f"{END} the {END}", "the end"]
    features = served.features({"text": tf.constant(texts)})
    marks = (features["token_ids"] == byte_level.eos_id) & features["padding_mask"]
    assert tf.reduce_sum(tf.cast(marks, tf.int32), 1).numpy().tolist() == [2, 2]  # and the begin
    found = served.answers({"text": tf.constant(texts)})["probabilities"]
    expected = probabilities(kind, model, byte_level, texts)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    twice = features | {"token_ids": tf.fill(tf.shape(marks), byte_level.eos_id)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="rows of one mark"):
        served.of_ids(twice)


@pytest.mark.parametrize(
    ("template", "verbalizer", "length", "message"),
    [
        (f"{{text}} {END} [MASK]", WORDS, 96, "found the special token '<|endoftext|>' in "),
        (TEMPLATES[0], ("good=so", "bad=so"), 96, "found the word 'so' of the labels 'bad' and"),
        (TEMPLATES[0], WORDS, 8, "found max_seq_length=8; wanted 1[0-9] or more, which the temp"),
        ("It was [MASK]", WORDS, 96, r"found no \{text\} in it"),
    ],
)
def test_mistakes_are_named(tmp_path, byte_level, template, verbalizer, length, message):
    message = message.replace("|", r"\|")
    with pytest.raises(InputError, match=message):
        learned(tmp_path, byte_level, template, verbalizer, length)


def test_a_vocabulary_without_ends_of_texts_is_refused(tmp_path):
    bare = Tokenizer(tokenizers.Tokenizer(BPE({"a": 0, "b": 1}, [])))
    with pytest.raises(InputError, match="found a tokenizer without a begin or an end of text"):
        learned(tmp_path, bare)


def test_a_blank_line_is_what_parts_texts(byte_level, tokenizer):
    assert byte_level.decode(blank_line(byte_level)) == "\n\n"
    assert len(blank_line(tokenizer)) == 0  # words alone
