"""Templates, label words and what a masked language model says of them, beside a slow oracle."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import tasks
from roots_tf.storage.files import InputError
from roots_tf.tasks import graph_rows
from roots_tf.tasks.cloze import CONTENT_FREE, Cloze, words_of
from roots_tf.tasks.cloze_rows import Filled, Part, parse
from tests.tasks.test_finetuning import write

TEMPLATE = "{text} It was [MASK]."


def learned(tmp_path, tokenizer, verbalizer=("good=the|in", "bad=of"), **fields):
    kind = Cloze(max_seq_length=40).with_template(TEMPLATE).with_verbalizer(verbalizer)
    examples = kind.read(write(tmp_path, "cloze"), {})
    kind = dataclasses.replace(kind, **fields)
    return kind.learn(examples).of_tokenizer(tokenizer), examples


def words(tokenizer, ids) -> list[str]:
    return [tokenizer.vocabulary[i] for i in ids]


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        (TEMPLATE, [Part("text"), Part("", " It was"), Part("mask", space=True), Part("", ".")]),
        ("[MASK]: {text}", [Part("mask"), Part("", ":"), Part("text", space=True)]),
        (
            "{text}? [MASK], {text_pair}",
            [
                *(Part("text"), Part("", "?"), Part("mask", space=True), Part("", ",")),
                Part("text_pair", space=True),
            ],
        ),
        ("{text}[MASK]", [Part("text"), Part("mask")]),
        ("{text} [MASK] ", [Part("text"), Part("mask", space=True), Part("", " ")]),
    ],
)
def test_a_template_has_places_and_what_is_written(template, parts):
    assert list(parse(template)) == parts


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{text} It was.", r"found no \[MASK\] in it, the template '\{text\} It was.'; wanted one"),
        ("It was [MASK].", r"found no \{text\} in it"),
        ("", r"found no \[MASK\] in it"),
        ("{text} [MASK] [MASK]", "found 2 places for mask.*wanted one; a word of several pieces"),
        ("{text} {text} [MASK]", "found 2 places for text"),
        ("{sentence} [MASK]", r"found \{sentence\} in it.*wanted \{text\}, \{text_pair\} and"),
    ],
)
def test_a_wrong_template_is_named(template, message):
    with pytest.raises(InputError, match=message):
        Cloze().with_template(template)


def test_rows_are_the_template_around_texts(tmp_path, tokenizer):
    kind, examples = learned(tmp_path, tokenizer)
    rows = kind.rows(examples, tokenizer)
    first = words(tokenizer, rows.token_ids[: rows.row_splits[1]])
    text = ["a", "f", "##i", "##n", "##e", "f", "##i", "##l", "##m", "in", "the", "e", "##n", "##d"]
    assert first == ["[CLS]", *text, "i", "##t", "was", "[MASK]", ".", "[SEP]"]
    assert rows.group == 1 and rows.of_rows["label_ids"].tolist() == [1, 0, 1, 0]
    last = words(tokenizer, rows.token_ids[rows.row_splits[3] :])
    assert last == ["[CLS]", "d", "##u", "##l", "##l", *first[-6:]]


def test_words_of_several_pieces_have_as_many_masks(tmp_path, tokenizer):
    kind, examples = learned(tmp_path, tokenizer, ("good=fine|in", "bad=of"))
    assert kind.masks == (1, 4) and kind.grouped
    rows = kind.rows(examples, tokenizer)
    assert rows.group == 2 and len(rows) == 8
    for row, (begin, end) in enumerate(itertools.pairwise(rows.row_splits)):
        ids = rows.token_ids[begin:end]
        assert (ids == tokenizer.mask_id).sum() == kind.masks[row % 2]
    assert kind.labels == ("bad", "good")
    assert [[words(tokenizer, w) for w in ws] for ws in kind.pieces] == [
        [["of"]],
        [["f", "##i", "##n", "##e"], ["in"]],
    ]


def oracle(kind, model, examples, tokenizer) -> np.ndarray:
    """Probabilities of the labels of each text, a row and a word at a time."""
    found = []
    for text in examples.columns["text"]:
        of_labels = []
        for label in kind.pieces:
            of_words = []
            for word in label:
                before, after = text, "."
                ids = [
                    tokenizer.cls_id,
                    *tokenizer.encode([before])[0],
                    *tokenizer.encode(["It was"])[0],
                    *[tokenizer.mask_id] * len(word),
                    *tokenizer.encode([after])[0],
                    tokenizer.sep_id,
                ]
                places = [i for i, t in enumerate(ids) if t == tokenizer.mask_id]
                features = {
                    "token_ids": tf.constant([ids], tf.int32),
                    "segment_ids": tf.zeros([1, len(ids)], tf.int32),
                    "padding_mask": tf.ones([1, len(ids)], tf.bool),
                    "masked_lm_positions": tf.constant([places]),
                }
                logits = model(features)["masked_lm_logits"].numpy().astype(np.float64)
                log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
                of_words.append(np.mean([log_p[i, piece] for i, piece in enumerate(word)]))
            of_labels.append(np.mean(of_words))
        scores = np.exp(of_labels)
        found.append(scores / scores.sum())
    return np.array(found)


VERBALIZERS = (
    ("good=the|in", "bad=of"),
    ("good=fine|in", "bad=of|dull"),
    ("good=fine", "bad=dull"),
)


@pytest.mark.parametrize("verbalizer", VERBALIZERS)
def test_probabilities_are_those_of_an_obvious_oracle(tmp_path, tokenizer, encoder, verbalizer):
    kind, examples = learned(tmp_path, tokenizer, verbalizer)
    wide = dataclasses.replace(encoder, initializer_range=0.5)
    model = kind.make_model(wide, seed=3)
    rows = kind.rows(examples, tokenizer)
    outputs = tasks.predict(kind, model, rows, 2, tokenizer.pad_id)
    expected = oracle(kind, model, examples, tokenizer)
    assert np.ptp(expected[:, 0]) > 0.01
    np.testing.assert_allclose(np.stack(outputs["probabilities"]), expected, atol=1e-5)
    served = kind.served(model, tokenizer)
    answers = served.answers({"text": tf.constant(examples.columns["text"])})
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
    assert [kind.labels[i] for i in expected.argmax(-1)] == [
        label.decode() for label in answers["label"].numpy()
    ]
    assert json.loads(json.dumps(kind.text_settings())) == kind.text_settings()


def test_priors_make_labels_equal_where_the_text_says_nothing(tmp_path, tokenizer, encoder):
    kind, _ = learned(tmp_path, tokenizer, ("good=fine|in", "bad=of"))
    model = kind.make_model(dataclasses.replace(encoder, initializer_range=0.5), seed=3)
    calibrated = kind.with_priors(model, tokenizer)
    path = tmp_path / "free.jsonl"
    path.write_text('{"text": "N/A"}\n')
    before, after = (
        tasks.predict(
            one,
            model,
            Filled(TEMPLATE, tokenizer, 40).rows({"text": list(CONTENT_FREE)}, one.masks),
            2,
            tokenizer.pad_id,
        )["probabilities"]
        for one in (kind, calibrated)
    )
    mean = np.mean(before, 0)
    np.testing.assert_allclose(np.exp(calibrated.priors), mean, atol=1e-6)
    assert abs(mean[0] - 0.5) > 0.01
    weighed = np.stack(before) / mean
    np.testing.assert_allclose(after, weighed / weighed.sum(-1, keepdims=True), atol=1e-5)
    assert tasks.restore({"task": json.loads(json.dumps(tasks.describe(calibrated)))}) == calibrated
    # What was taken off before is not taken off twice.
    assert calibrated.with_priors(model, tokenizer) == calibrated


@pytest.mark.parametrize("repeated", ["The film", "a"])
def test_long_texts_lose_their_ends_and_the_template_stays(tokenizer, repeated):
    kind = Cloze(max_seq_length=20).with_template("{text}? [MASK], {text_pair}")
    kind = dataclasses.replace(kind, **words_of(["a=the", "b=of"])).of_tokenizer(tokenizer)
    assert kind.pairs
    filled = Filled(kind.template, tokenizer, 20)
    texts = {"text": [f"{repeated} " * 50, "x"], "text_pair": ["y", "was " * 50]}
    rows = filled.rows(texts, (1,))
    assert rows.lengths.tolist() == [20, 20]
    for begin, end in itertools.pairwise(rows.row_splits):
        row = words(tokenizer, rows.token_ids[begin:end])
        assert row[0] == "[CLS]" and row[-1] == "[SEP]"
        at = row.index("?")
        assert row[at : at + 3] == ["?", "[MASK]", ","]
    assert words(tokenizer, rows.token_ids[:20])[-2] == "y"


@settings(max_examples=12)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4), st.sampled_from([(1,), (1, 3)]))
def test_python_and_the_graph_cut_the_same_rows(tokenizer, texts, masks):
    filled, graph = Filled(TEMPLATE, tokenizer, 16), tokenizer.graph()
    rows = filled.rows({"text": texts}, masks)
    strings = tf.constant([text.encode("utf-8", "replace") for text in texts])
    ids = {"text": graph_rows.plain_ids(strings, tokenizer, graph)}
    made = [filled.features(ids, number) for number in masks]
    assert rows.num_examples == len(texts)
    for number, (begin, end) in enumerate(itertools.pairwise(rows.row_splits)):
        text, variant = divmod(number, len(masks))
        features = {name: value.numpy()[text] for name, value in made[variant].items()}
        expected = features["token_ids"][features["padding_mask"]]
        assert rows.token_ids[begin:end].tolist() == expected.tolist()


def test_a_mask_that_a_text_writes_is_no_mask(tokenizer, encoder):
    kind = dataclasses.replace(Cloze(max_seq_length=40), **words_of(["a=the", "b=of"]))
    kind = kind.of_tokenizer(tokenizer)
    text = "[MASK] was [MASK]"
    rows = Filled(kind.template, tokenizer, 40).rows({"text": [text]}, (1,))
    assert (rows.token_ids == tokenizer.mask_id).sum() == 1
    served = kind.served(kind.make_model(encoder, seed=3), tokenizer)
    features = served.features({"text": tf.constant([text, "\udcff".encode("utf-8", "replace")])})
    row = features["token_ids"].numpy()[0][features["padding_mask"].numpy()[0]]
    assert row.tolist() == rows.token_ids.tolist()


@pytest.mark.parametrize(
    ("verbalizer", "message"),
    [
        (["good"], "found 'good' in --verbalizer; wanted LABEL=WORD"),
        (["good=", "bad=of"], "found 'good=' in --verbalizer"),
        (["good=the|", "bad=of"], r"found 'good=the\|' in --verbalizer"),
        (["=the", "bad=of"], "found '=the' in --verbalizer"),
        (["good=the", "good=of"], "found 'good' twice in --verbalizer"),
        (["good=the|the", "bad=of"], "found 'the' twice in --verbalizer"),
        (["good=the"], "found 1 label in --verbalizer; wanted two or more"),
    ],
)
def test_a_wrong_verbalizer_is_named(verbalizer, message):
    with pytest.raises(InputError, match=message):
        Cloze().with_verbalizer(verbalizer)


@pytest.mark.parametrize(
    ("verbalizer", "message"),
    [
        (["good=the", "fair=of"], "found the label 'bad' in .* without words; .*bad=WORD, beside "),
        (
            ["good=the", "bad=漢"],
            "found the word '漢' of the label 'bad', which the vocabulary can",
        ),
        (["good=the", "bad=[MASK]"], r"found the word '\[MASK\]' of the label 'bad', which"),
        (
            ["good=the", "bad=The"],
            "found the word '[Tt]he' of the labels 'bad' and 'good', to this",
        ),
    ],
)
def test_words_that_cannot_be_told_are_named(tmp_path, tokenizer, verbalizer, message):
    with pytest.raises(InputError, match=message):
        learned(tmp_path, tokenizer, verbalizer)


def test_lengths_without_room_and_strides_are_refused(tmp_path, tokenizer):
    with pytest.raises(InputError, match="found max_seq_length=7; wanted 8 or more"):
        learned(tmp_path, tokenizer, max_seq_length=7)
    learned(tmp_path, tokenizer, max_seq_length=8)
    with pytest.raises(InputError, match="found stride=4 for cloze; wanted 0"):
        learned(tmp_path, tokenizer, stride=4)
