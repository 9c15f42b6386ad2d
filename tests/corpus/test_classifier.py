"""Classifiers as a step: our own and fastText's; what they score, drop and refuse."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from pipelines import curate, train_classifier
from roots_tf.corpus import linear_classifier, recipe
from roots_tf.corpus.documents import Document
from roots_tf.corpus.fasttext_model import FastText
from roots_tf.corpus.linear_classifier import Classifier, features, load, train
from roots_tf.storage.files import InputError
from tests.pipelines.curated import report, rows, step

HERE = Path(__file__).parent

TREE = (HERE / "fasttext_tree.bin").read_bytes()
ONE_ROW = TREE[:40] + bytes(4) + TREE[44:]  # a bucket of 0 for n-grams, which divides by it

# What fastText 0.9.2 itself says of two models that it has trained on four translations of the
# Declaration of Human Rights: a tree of labels, pairs of words, n-grams of 2 and 3 characters; the
# second with `quantize(qnorm=True, cutoff=290)`.
TEXTS = [
    "All human beings are born free.",
    "Alle Menschen sind frei und gleich",
    "Tous les hommes naissent libres",
    "すべての人間は",
    "",
    "__label__eng zzz Größe\tl'été\n人",
]
EXPECTED = {
    "tree.bin": [
        {"deu": 0.5003, "eng": 0.4856, "fra": 0.0141},
        {"deu": 0.9754, "eng": 0.0246, "fra": 0.0001},
        {"fra": 0.9263, "jpn": 0.0711, "eng": 0.0026},
        {"jpn": 1.0, "fra": 0.0001},
        {"jpn": 1.0},
        {"jpn": 0.8935, "fra": 0.1031, "eng": 0.0034},
    ],
    "quantized.ftz": [
        {"deu": 0.612, "eng": 0.3868, "fra": 0.0012},
        {"deu": 0.9919, "eng": 0.0081},
        {"fra": 0.9613, "jpn": 0.0373, "eng": 0.0015},
        {"jpn": 1.0},
        {"jpn": 1.0},
        {"jpn": 0.9916, "fra": 0.0085},
    ],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_models_of_fasttext_say_what_fasttext_says(name):
    model = FastText(HERE / f"fasttext_{name}")
    assert sorted(model.labels) == ["deu", "eng", "fra", "jpn"]
    for text, expected in zip(TEXTS, EXPECTED[name], strict=True):
        found = dict(zip(model.labels, model.probabilities(text).tolist(), strict=True))
        # fastText adds 1e-5 to each factor before it takes logarithms.
        assert found == pytest.approx({label: expected.get(label, 0) for label in found}, abs=2e-4)


def test_a_model_of_fasttext_names_languages():
    path = str(HERE / "fasttext_tree.bin")
    identify = Classifier(path, name_language=True)
    measured = {}
    document = identify(Document("Alle Menschen sind frei und gleich", "s"), measured)
    assert (document.language, round(measured["classifier_score"], 3)) == ("deu", 0.975)
    assert identify.limits("")["classifier_score"] == (0.5, 1)
    kept = Classifier(path, keep=("deu", "fra"), min_score=0.6)
    assert kept(Document("All human beings are born free.", "s"), {}) == "low_classifier_score"
    assert kept(document, {}) is document


def test_a_vector_has_length_1_and_no_order_of_words_but_in_pairs():
    places, values = features("sea sea ship", 1, 12)
    assert len(places) == 2
    assert sorted(values) == pytest.approx(sorted(np.log([2, 3]) / np.hypot(*np.log([2, 3]))))
    assert features("ship sea sea", 1, 12)[0].tolist() == places.tolist()
    assert (
        features("ship sea sea", 2, 12)[0].tolist() != features("sea sea ship", 2, 12)[0].tolist()
    )
    assert [len(part) for part in features("", 2, 12)] == [0, 0]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Paragraphs of two kinds that share most of their words."""
    folder, chance = tmp_path_factory.mktemp("examples"), random.Random(4)
    shared = [f"w{number}" for number in range(60)]
    for label, own in (("kept", ["sea", "ship", "whale"]), ("dropped", ["buy", "click", "cheap"])):
        texts = [" ".join(chance.choices(shared + own * 4, k=40)) for _ in range(60)]
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{label}.jsonl").write_text(lines)
    return folder


def trained(examples, output, **flags):
    inputs = tuple(f"{label}={examples}/{label}.jsonl" for label in ("kept", "dropped"))
    train_classifier.main(
        train_classifier.Config(input=inputs, output=str(output), bits=12, **flags)
    )
    return output


def test_a_classifier_is_trained_and_drops_in_a_recipe(examples, tmp_path, capsys):
    model = trained(examples, tmp_path / "model")
    found = json.loads((model / "report.json").read_text())
    assert (found["learnt_documents"], found["held_out_documents"]) == (108, 12)
    assert found["accuracy"] >= 0.9 > found["most_frequent"]
    assert f"accuracy {found['accuracy']:.4f}" in capsys.readouterr().out
    (tmp_path / "recipe.toml").write_text(
        f'[[steps]]\nname = "classifier"\nmodel = "{model}"\nkeep = ["kept"]\n'
    )
    output = tmp_path / "output"
    curate.main(
        curate.Config(
            input=(str(examples),),
            output=str(output),
            recipe=str(tmp_path / "recipe.toml"),
            num_workers=1,
            num_shards=1,
        )
    )
    dropped = report(output)["dropped"]["low_classifier_score"]["documents"]
    assert 55 <= dropped <= 65
    assert len(rows(output)) == 120 - dropped
    assert sum("whale" in row["text"] or "sea" in row["text"] for row in rows(output)) > 50
    sample = step(output, "classifier")["samples"]["dropped"][0]
    assert sample["reason"] == "low_classifier_score"
    assert sample["measured"]["classifier_score"] < 0.5


def test_equal_examples_give_equal_bytes(examples, tmp_path):
    one, two = (trained(examples, tmp_path / name) / "classifier.npz" for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_a_model_that_has_changed_is_another_run(examples, tmp_path):
    """The content of the model decides the output, as that of evaluation files does."""
    steps = [recipe.Step("classifier", {"model": str(trained(examples, tmp_path / "m"))})]
    before = curate._content(steps[0])
    trained(examples, tmp_path / "m", strength=0.5)
    assert curate._content(steps[0]) != before
    assert recipe.files_read(steps) == [str(tmp_path / "m")]


def test_a_model_behind_a_url_is_fetched(store, tmp_path, monkeypatch):
    monkeypatch.setenv("ROOTS_CACHE", str(tmp_path / "cache"))
    url = store.put("classifiers/tree.bin", TREE)
    (tmp_path / "recipe.toml").write_text(f'[[steps]]\nname = "classifier"\nmodel = "{url}"\n')
    (step,) = recipe.load(str(tmp_path / "recipe.toml"))
    assert Path(step.parameters["model"]).read_bytes() == TREE
    (tmp_path / "recipe.toml").write_text(
        '[[steps]]\nname = "classifier"\nmodel = "s3://corpus/no"'
    )
    with pytest.raises(InputError, match="found no file at s3://corpus/no") as error:
        recipe.load(str(tmp_path / "recipe.toml"))
    assert error.value.id == "no-such-file"


def test_three_labels_add_up_to_1():
    texts = ["sea ship", "buy now", "goal match"] * 5
    model = train(texts, ["a", "b", "c"] * 5, 1, 8, 10.0)
    found = [model.probabilities(text) for text in texts[:3]]
    assert [model.labels[int(each.argmax())] for each in found] == ["a", "b", "c"]
    assert np.sum(found, axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("m.npz", None, "could not read"),
        ("m.npz", b"", "found no classifier of this version"),
        ("m.npz", b"PK\3\4 nothing of the kind", "found no classifier of this version"),
        ("m.npz", b"\x80\x04\x95 a pickle", "found no classifier of this version"),
        ("m.bin", None, "could not read"),
        ("m.bin", b"", "or no such model"),
        ("m.bin", b"something else that is long enough", "or no such model"),
        ("m.bin", TREE[:5000], "in the middle of"),
        ("m.bin", ONE_ROW, "or no such model"),
        ("m.ftz", (HERE / "fasttext_quantized.ftz").read_bytes()[:-9], "in the middle of"),
    ],
)
def test_files_that_are_no_classifiers(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_pickle_inside_is_not_loaded(tmp_path):
    np.savez(tmp_path / "m.npz", about=np.array([{"format": 1}], object), weights=1, bias=1)
    with pytest.raises(InputError, match="found no classifier"):
        load(tmp_path / "m.npz")


def test_mistakes_in_the_recipe():
    model = str(HERE / "fasttext_tree.bin")
    for parameters, message in (
        ({}, "found no model in the step classifier"),
        ({"model": model, "keep": ["engl"]}, "found the label 'engl' in keep.*did you mean eng"),
        ({"model": model, "min_score": 1.5}, "found min_score = 1.5"),
        ({"model": "/nowhere.npz"}, "could not read /nowhere.npz"),
    ):
        with pytest.raises(InputError, match=message):
            recipe.build(recipe.Step("classifier", parameters))


def test_languages_are_named_by_codes_only(tmp_path):
    labels = ("kept", "dropped")
    zeros = np.zeros((2, 256), np.float32)
    linear_classifier.LinearClassifier(labels, 1, zeros, zeros[:, 0]).save(tmp_path / "m.npz")
    with pytest.raises(InputError, match="found name_language .* the label 'kept'"):
        Classifier(str(tmp_path / "m.npz"), name_language=True)


def test_mistakes_in_the_flags(examples, tmp_path):
    plain = (str(examples / "kept.jsonl"),)
    with pytest.raises(InputError, match="wanted documents by label"):
        train_classifier.main(train_classifier.Config(input=plain, output=str(tmp_path / "o")))
    with pytest.raises(InputError, match="found 0 documents of 100000 characters"):
        trained(examples, tmp_path / "o", min_chars=100_000)
    assert not (tmp_path / "o").exists()
