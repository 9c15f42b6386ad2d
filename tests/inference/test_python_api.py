"""What the Python API answers is what the programs write, from texts in memory and from files."""

import dataclasses
import gc
import json
import logging as python_logging
import weakref

import numpy as np
import pytest
from absl import logging

import roots_tf as roots
from pipelines import embed, fill_mask, generate, predict
from roots_tf import models, program, tasks
from roots_tf.api import values
from roots_tf.generation import Settings
from tests.answering import answers_of
from tests.generation import tiny
from tests.tasks.conftest import encoder, tokenizer  # noqa: F401
from tests.tasks.test_finetuning import REVIEWS, write

TASKS = ("classification", "tagging", "question_answering", "multiple_choice", "similarity")
TEXTS = ["the end of the film", "what was that", "dull"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, encoder, tokenizer):  # noqa: F811
    """Output folder of a run of pretrain, of a model that knows nothing."""
    folder = tmp_path_factory.mktemp("run")
    models.save(folder / "model", models.Pretrainer(encoder, seed=1))
    tokenizer.save(folder / "model")
    return folder


@pytest.fixture(scope="module")
def model(run):
    return roots.load(run)


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("tiny") / "model")


def test_ids_give_the_text_back(run, model):
    ids = roots.encode(model, TEXTS)
    assert ids[0] == roots.encode(model, TEXTS[0]) == roots.encode(str(run), TEXTS[0])
    assert all(type(i) is int for i in ids[0])
    assert roots.decode(model, ids) == TEXTS
    assert roots.decode(run / "model", ids[0]) == TEXTS[0]
    assert roots.decode(model, roots.encode(model, "the [MASK]")) == "the [MASK]"
    assert (roots.encode(model, []), roots.encode(model, ""), roots.decode(model, [])) == (
        [],
        [],
        "",
    )


def test_a_model_that_is_held_is_not_read_again_and_one_that_is_not_is_let_go(tmp_path, run, model):
    assert roots.load(run / "model") is model
    assert "pretrainer" in repr(model)
    (tmp_path / "model").mkdir()
    for path in (run / "model").iterdir():
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    other = roots.load(tmp_path)
    gone = weakref.ref(other)
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes())  # another writing, perhaps of another model
    assert roots.load(tmp_path) is not other
    del other
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("flags", [{}, {"pooling": "cls", "l2_normalize": True}])
def test_vectors_are_those_of_the_program(run, model, tmp_path, flags):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    output = tmp_path / "vectors.npy"
    embed.main(
        program.make(
            embed.Config,
            model=str(run / "model"),
            input=(str(tmp_path / "texts.txt"),),
            output=str(output),
            **flags,
        )
    )
    vectors = roots.embed(model, TEXTS, **flags)
    np.testing.assert_array_equal(vectors, np.load(output))
    assert (vectors.dtype, vectors.shape) == (np.float32, (3, 16))
    np.testing.assert_allclose(roots.embed(model, TEXTS[2], **flags), vectors[2], atol=1e-5)
    assert roots.embed(model, [], **flags).shape == (0, 16)


def test_masks_are_filled_as_by_the_program(run, model):
    texts = ["the [MASK] film", "[MASK] [MASK]"]
    wanted = fill_mask.main(fill_mask.Config(str(run / "model"), text="\n".join(texts), top=3))
    assert roots.fill_mask(model, texts, top_k=3) == wanted
    assert roots.fill_mask(model, texts[1], top_k=3) == wanted[1]


def rows_of(name: str, path) -> list:
    """Rows in memory of the file that `write` has written, without answers."""
    if name == "question_answering":
        [[paragraphs]] = [[d["paragraphs"]] for d in json.loads(path.read_text())["data"]]
        return [
            {"id": qa["id"], "question": qa["question"], "context": paragraph["context"]}
            for paragraph in paragraphs
            for qa in paragraph["qas"]
        ]
    if name == "tagging":
        return [text for text, _ in REVIEWS]
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_of_every_task_are_those_of_the_program(tmp_path, encoder, tokenizer):  # noqa: F811
    for name in TASKS:
        path, kind = write(tmp_path, name), tasks.KINDS[name](max_seq_length=32)
        kind = kind.learn(kind.read(path, {})).of_tokenizer(tokenizer)
        folder = tmp_path / name / "model"
        models.save(folder, kind.make_model(encoder, seed=2), **kind.description())
        tokenizer.save(folder)
        rows = rows_of(name, path)
        if name == "tagging":
            path = tmp_path / "raw.jsonl"
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
        wanted = answers_of(predict.Config(str(folder), str(path)))
        model = roots.load(tmp_path / name)
        assert roots.predict(model, rows) == wanted, name
        assert roots.predict(model, rows[0]).keys() == wanted[0].keys()
    pairs = [(row["text"], row["text_pair"]) for row in rows]
    assert roots.predict(model, pairs) == wanted  # of similarity, the last


def test_texts_are_continued_as_by_the_program(writer):
    prompts, few = ["He said", "She, too"], {"max_new_tokens": 6, "top_k": 40}
    config = generate.Config(str(writer), prompt=prompts[0], seed=3, choose=Settings(**few))
    model = roots.load(writer)
    [wanted] = generate.main(config)
    assert roots.generate(model, prompts[0], seed=3, details=True, **few) == wanted
    text = roots.generate(model, prompts[0], seed=3, **few)
    assert text == wanted["prompt"] + wanted["text"]
    assert roots.generate(model, prompts, seed=3, **few)[0] == text  # whatever stands beside it
    samples = roots.generate(model, prompts[0], seed=3, num_samples=2, **few)
    assert samples[0] == text != samples[1]
    several = dataclasses.replace(config, num_samples=2)
    assert samples == [answer["prompt"] + answer["text"] for answer in generate.main(several)]
    assert roots.generate(model, []) == []


MISTAKES = [
    (lambda m, w: roots.load("/nowhere"), "found no folder /nowhere; wanted a model folder"),
    (lambda m, w: roots.embed(m, None), "found None; wanted a text, or several"),
    (lambda m, w: roots.embed(m, ["a", 1]), "found 1 as text 2; wanted a string"),
    (lambda m, w: roots.embed(m, "a", pooling="max"), "found --pooling=max; wanted one of mean"),
    (lambda m, w: roots.embed(m, "a", batch_size=0), "found --batch_size=0; wanted a number from"),
    (lambda m, w: roots.embed(3, "a"), "found 3; wanted what `load` gives, or a path"),
    (lambda m, w: roots.fill_mask(m, "a"), r"found no \[MASK\] in the first 128 tokens"),
    (lambda m, w: roots.fill_mask(w, "a"), "found a causal language model in "),
    (lambda m, w: roots.predict(m, "a"), "found a model of kind pretrainer, which was not fine-t"),
    (lambda m, w: roots.decode(m, [10**6]), "found the id 1000000; wanted ids from 0 to "),
    (lambda m, w: roots.decode(m, "ab"), "found 'a'; wanted ids"),
    (
        lambda m, w: roots.generate(m, "a"),
        "found a model of kind pretrainer in .*; wanted a causal",
    ),
    (lambda m, w: roots.generate(w, ""), "found an empty prompt"),
    (lambda m, w: roots.generate(w, "a", temperature=0), "found --temperature=0; wanted a number"),
    (lambda m, w: roots.generate(w, "a", max_new_tokens="5"), "found --max_new_tokens='5'; wanted"),
    (lambda m, w: roots.generate(w, "a", num_samples=2, decoding="greedy"), "gives one answer"),
    (lambda m, w: roots.generate(w, [{"role": "user"}]), "not fine-tuned on conversations"),
    (lambda m, w: roots.pretrain(output="o", durations=5), "--durations; did you mean --duration"),
    (lambda m, w: roots.pretrain(output="o", batch_size="8"), "found --batch_size='8'; wanted a w"),
    (lambda m, w: roots.pretrain(output="o", debug="yes"), "found --debug='yes'; wanted True or"),
    (lambda m, w: roots.run("pretrian"), "found no program 'pretrian'; did you mean pretrain"),
    (lambda m, w: roots.run("embed", model="m"), "found no --input; wanted one"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES)
def test_a_mistake_is_one_line(model, writer, call, message):
    with pytest.raises(roots.InputError, match=message) as raised:
        call(model, roots.load(writer) if "writer" in message else str(writer))
    assert "\n" not in str(raised.value)


def test_rows_that_are_none_of_a_task_are_named(tmp_path):
    from roots_tf.inference import answer_rows

    kind = tasks.KINDS["multiple_choice"](num_choices=2)
    for rows, message in (
        ([3], "found 3 as row 1 for a model of multiple_choice; wanted text and choices"),
        (["a"], "found .'a'. as row 1"),
        ([{"text": " ", "choices": ["a", "b"]}], "found ' ' as text of row 1"),
        ([("a", ["b"])], "found .'b'. as choices of row 1; wanted a list of 2 texts"),
    ):
        with pytest.raises(roots.InputError, match=message):
            answer_rows(kind, rows)
    pairs = tasks.KINDS["classification"](labels=("a", "b"), pairs=False)
    with pytest.raises(roots.InputError, match="found .* as row 1 for a model of classification"):
        answer_rows(pairs, [("a", "b")])


def test_lines_are_shown_where_nobody_has_said_how(monkeypatch, capsys):
    root, before = python_logging.getLogger(), logging.get_verbosity()
    monkeypatch.setattr(root, "handlers", [])
    for quiet in (False, True):
        with values.shown(quiet):
            logging.info("step 1")
            logging.warning("careful")
    assert capsys.readouterr().err == "step 1\ncareful\ncareful\n"
    assert (root.handlers, logging.get_verbosity()) == ([], before)


def test_an_unfinished_run_is_told(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(roots.InputError, match="has written no model yet; .* and it goes on"):
        roots.load(tmp_path)
