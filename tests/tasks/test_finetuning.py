"""What all kinds of fine-tuning must give: labels learned, sums that add up, scores of answers."""

import json

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import tasks
from roots_tf.losses import names_of_losses
from roots_tf.storage.files import InputError
from roots_tf.tasks import classification, per_text

OF_ENCODERS = tuple(
    name for name in tasks.KINDS if name not in ("completion", "sequence_to_sequence", "cloze")
)
REVIEWS = [
    ("a fine film in the end", "good"),
    ("what was that", "bad"),
    ("the best of the year, and then some", "good"),
    ("dull", "bad"),
]
CONLL = "Anna\tB-PER\nwas\tO\n\nIn\tO\nYork\tB-LOC\n\nYork\tB-LOC\n\nwhat\tO\n"


def write(folder, name: str):
    """Four examples for a task."""
    path = folder / f"{name}.jsonl"
    rows = [{"text": text, "label": label} for text, label in REVIEWS]
    if name in ("regression", "similarity"):
        rows = [{"text": t, "text_pair": t[:9], "value": len(t)} for t, _ in REVIEWS]
    elif name == "contrastive":
        rows = [{"text": t, "positive": t[:9], "negative": t[9:]} for t, _ in REVIEWS]
    elif name == "multiple_choice":
        rows = [
            {"text": t, "choices": [t[:3], "dull", "end"], "label": i % 3}
            for i, (t, _) in enumerate(REVIEWS)
        ]
    elif name == "sequence_to_sequence":
        rows = [{"source": text, "target": text[::-1]} for text, _ in REVIEWS]
    elif name == "completion":
        rows = [{"prompt": text, "answer": label} for text, label in REVIEWS]
    elif name == "tagging":
        (folder / "tagging.conll").write_text(CONLL)
        return folder / "tagging.conll"
    elif name == "question_answering":
        qas = [
            {"id": str(i), "question": label, "answers": [{"text": text, "answer_start": 3}]}
            for i, (text, label) in enumerate(REVIEWS)
        ]
        paragraphs = [{"context": "Oh " + qa["answers"][0]["text"], "qas": [qa]} for qa in qas]
        path = folder / "questions.json"
        path.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
        return path
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", tasks.KINDS)
def test_sums_of_halves_are_the_sums_of_the_whole(name, tmp_path, tokenizer, encoder):
    kind = tasks.KINDS[name](max_seq_length=64)
    examples = kind.read(write(tmp_path, name), {})
    kind = kind.learn(examples).of_tokenizer(tokenizer)
    assert tasks.restore({"task": json.loads(json.dumps(tasks.describe(kind)))}) == kind
    rows = kind.rows(examples, tokenizer)
    assert len(rows) // rows.group == 4
    model, batcher = kind.make_model(encoder, seed=3), kind.batcher(rows, tokenizer.pad_id)
    whole, *halves = (
        kind.sums(model, batcher(tf.constant(part))) for part in ([0, 1, 2, 3], [0, 2], [3, 1])
    )
    assert {scalar.name for scalar in kind.scalars} == whole.keys()
    assert set(names_of_losses(kind.scalars)) <= whole.keys()
    for key, (total, weight) in whole.items():
        assert float(weight) > 0
        for i, value in enumerate((total, weight) if kind.additive else ()):
            assert float(value) == pytest.approx(sum(float(h[key][i]) for h in halves), rel=1e-4)
    weights = kind.weights(batcher(tf.constant([0, 1, 2, 3])))
    assert {key: float(w) for key, w in weights.items()} == {
        key: float(whole[key][1]) for key in names_of_losses(kind.scalars)
    }


@pytest.mark.parametrize("name", tasks.KINDS)
def test_answers_do_not_depend_on_the_batch(name, tmp_path, tokenizer, encoder):
    kind = tasks.KINDS[name](max_seq_length=64)
    examples = kind.read(write(tmp_path, name), {})
    kind = kind.learn(examples).of_tokenizer(tokenizer)
    rows, model = kind.rows(examples, tokenizer), kind.make_model(encoder, seed=3)
    one, all_ = (tasks.predict(kind, model, rows, size, tokenizer.pad_id) for size in (1, 4))
    for key, values in one.items():
        for value, same in zip(values, all_[key], strict=True):
            np.testing.assert_allclose(value, same, atol=1e-5)
    predictions = kind.predictions(examples, rows, all_)
    assert len(predictions) == 4
    assert json.loads(json.dumps(predictions)) == predictions
    scores, baseline = kind.scores(examples, predictions), kind.baseline(examples, examples)
    assert scores.keys() == baseline.keys()
    assert kind.score in scores


def test_labels_and_their_ids(tmp_path):
    kind = tasks.KINDS["classification"]()
    examples = kind.read(write(tmp_path, "classification"), {})
    kind = kind.learn(examples)
    assert kind.labels == ("bad", "good")
    ids = per_text.label_ids(examples, "label", kind.labels)
    assert ids.tolist() == [1, 0, 1, 0]
    with pytest.raises(InputError, match=r"found label 'bad' in .*jsonl, line 2; wanted one of"):
        per_text.label_ids(examples, "label", ("good",))
    assert classification.balanced_weights(np.array([3, 1])) == (4 / 6, 2.0)


def test_weighted_classes_weigh_in_loss_and_weight():
    logits = tf.constant([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    batch = {"label_ids": tf.constant([0, 1, 1])}
    losses = np.log1p(np.exp([-2.0, -1.0, 3.0]))
    for given, weights in (((), [1.0, 1.0, 1.0]), ((3.0, 0.5), [3.0, 0.5, 0.5])):
        kind = tasks.KINDS["classification"](labels=("a", "b"), label_weights=given)
        sums = kind.sums(lambda batch, seed: logits, batch)
        expected = [np.dot(losses, weights), sum(weights)]
        assert [float(x) for x in sums["classification_loss"]] == pytest.approx(expected)
        assert [float(x) for x in sums["classification_accuracy"]] == [2.0, 3.0]


def test_windows_of_a_long_text_are_averaged(tmp_path, tokenizer):
    kind = tasks.KINDS["classification"](max_seq_length=8, stride=6, labels=("a", "b"))
    path = tmp_path / "long.txt"
    path.write_text("short\nabcdefghijkl\n")
    examples = kind.read(path, {}, labelled=False)
    rows = kind.rows(examples, tokenizer, labelled=False)
    assert rows.texts.tolist() == [0, 1, 1]
    outputs = {"probabilities": [np.array(p) for p in ([0.1, 0.9], [1.0, 0.0], [0.4, 0.6])]}
    first, second = kind.predictions(examples, rows, outputs)
    assert (first["label"], second["label"]) == ("b", "a")
    assert second["score"] == pytest.approx(0.7)


def test_a_wrong_choice_is_named(tmp_path):
    kind = tasks.KINDS["multiple_choice"]()
    path = tmp_path / "choices.jsonl"
    path.write_text('{"text": "a", "choices": ["b", "c"], "label": 2}\n')
    examples = kind.read(path, {})
    with pytest.raises(InputError, match=r"found label 2 in .*line 1; wanted the index .* 0 to 1"):
        kind.learn(examples).baseline(examples, examples)
    path.write_text(
        '{"text": "a", "choices": ["b", "c"], "label": 0}\n'
        '{"text": "a", "choices": ["b"], "label": 0}\n'
    )
    with pytest.raises(InputError, match=r"found 1 choices in .*line 2; wanted a list of 2"):
        kind.read(path, {})


def test_columns_of_choices_are_a_list(tmp_path):
    path = tmp_path / "choices.csv"
    path.write_text('text,choice_0,choice_1,choice_2,label\n"a, b",x,y,z,1\n')
    examples = tasks.KINDS["multiple_choice"]().read(path, {})
    assert examples.columns["choices"] == [["x", "y", "z"]]


ANSWERS = {
    "classification": lambda gold: {"label": gold},
    "regression": lambda gold: {"value": gold},
    "tagging": lambda gold: {"tags": gold},
    "question_answering": lambda gold: {"answer": gold[0]},
    "multiple_choice": lambda gold: {"choice": gold},
    "similarity": lambda gold: {"value": gold},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_right_answers_have_the_best_score(name, tmp_path):
    kind = tasks.KINDS[name](max_seq_length=64)
    examples = kind.read(write(tmp_path, name), {})
    golds = kind.learn(examples).golds(examples)
    assert json.loads(json.dumps(golds)) == golds
    assert len(golds) == 4
    rows = [{"id": str(i)} | ANSWERS[name](gold) for i, gold in enumerate(golds)]
    assert kind.learn(examples).scores(examples, rows)[kind.score] == pytest.approx(1)
