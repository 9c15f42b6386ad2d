"""An encoder-decoder is asked: by predict, line by line, from Python, exported and over HTTP."""

import io
import json
import sys
import types

import pytest

import roots_tf as roots
from pipelines import export, predict
from roots_tf import generation, models, tasks
from roots_tf.serving.model import Model
from roots_tf.storage.files import InputError
from tests.answering import answers_of
from tests.serving.fake import ask, run, serving
from tests.tasks import translators

SOURCES = ["A man in a blue shirt.", "", "  Ein Mann steht auf einer Leiter.", "A man", "\t"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(translators.write(tmp_path_factory.mktemp("translator") / "model"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    path = tmp_path_factory.mktemp("sources") / "test.en"
    path.write_text("\n".join(SOURCES) + "\n", "utf-8")
    return str(path)


def asked(folder, sources, output, **flags):
    return answers_of(predict.Config(model=folder, input=sources, output=str(output), **flags))


def test_targets_stand_line_by_line(folder, sources, tmp_path):
    flags = {"model": folder, "input": sources, "output": str(tmp_path / "test.hyp")}
    assert predict.main(predict.Config(**flags)) == {"answers": len(SOURCES)}
    found = asked(folder, sources, tmp_path / "test.jsonl")
    lines = (tmp_path / "test.hyp").read_text("utf-8").split("\n")
    assert lines == [*(row["target"] for row in found), ""]
    assert [row["source"] for row in found] == SOURCES
    assert [not line for line in lines] == [False, True, False, False, True, True]
    as_json = [json.dumps(row, ensure_ascii=False) for row in found]
    assert (tmp_path / "test.jsonl").read_text("utf-8") == "\n".join([*as_json, ""])


def test_ends_of_lines_in_a_target_are_spaces_and_told(caplog):
    assert predict.plain_lines(["a\r\nb", "c\n", "d\u2028"], "x.hyp") == "a b\nc \nd\u2028\n"
    assert "2 of 3 answers had ends of lines" in caplog.text


def test_standard_input_keeps_its_lines(folder, monkeypatch, capsys):
    raw = types.SimpleNamespace(buffer=io.BytesIO(b"A man\n\nEin Mann\r\n"))
    monkeypatch.setattr(sys, "stdin", raw)
    found = answers_of(predict.Config(model=folder))
    assert [row["source"] for row in found] == ["A man", "", "Ein Mann"]
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == found


def test_flags_say_how_it_is_searched(folder, sources, tmp_path):
    def targets(**given):
        flags = generation.SearchFlags(**{k: v for k, v in given.items() if k != "tokens"})
        found = asked(
            folder, sources, tmp_path / "x.jsonl", search=flags, max_new_tokens=given.get("tokens")
        )
        return [row["target"] for row in found], found[0]["score"]

    usual, score = targets()
    assert targets(length_penalty=0.0)[1] < score
    assert len(targets(num_beams=1, tokens=2)[0][0]) < len(usual[0])
    with pytest.raises(InputError, match="found --length_penalty=2.0 and one beam"):
        targets(num_beams=1, length_penalty=2.0)


def test_python_gives_what_predict_writes(folder, sources, tmp_path):
    wanted = [row for row in asked(folder, sources, tmp_path / "x.jsonl") if row["target"]]
    texts = [row["source"] for row in wanted]
    model = roots.load(folder)
    for row in wanted:  # the last bits of which depend on what is computed beside
        row["score"] = pytest.approx(row["score"], abs=1e-5)
    assert roots.predict(model, texts) == wanted
    assert roots.predict(model, {"source": texts[0]}) == wanted[0]


def test_a_served_model_gives_the_targets_of_predict(folder, sources, tmp_path):
    flags = generation.SearchFlags(num_beams=2)
    output = tmp_path / "translator"
    export.main(export.Config(model=folder, output=str(output), search=flags, max_new_tokens=6))
    wanted = asked(folder, sources, tmp_path / "x.jsonl", search=flags, max_new_tokens=6)
    model, answers = Model(str(output), "fake"), []

    async def scenario():
        async with serving(model) as served:
            answers.append(await ask(served, SOURCES))

    run(scenario())
    [(status, _, body)] = answers
    assert status == 200
    rows = json.loads(body)["predictions"]
    assert [row["target"] for row in rows] == [row["target"] for row in wanted]
    assert [len(row["targets"]) for row in rows] == [2] * len(SOURCES)
    found = [row["scores"][0] for row in rows]
    assert found == pytest.approx([row["score"] for row in wanted], abs=2e-5)
    ops = json.loads((output / "1" / "ops.json").read_text())
    assert ops["not_core_tensorflow"] == []
    card = (output / "1" / "README.md").read_text("utf-8")
    assert "turns a text into another" in card and '"bert"' not in card


@pytest.fixture
def classifier(folder, tmp_path):
    kind = tasks.KINDS["classification"](max_seq_length=16, labels=("no", "yes"))
    config = models.describe(folder)["encoder"]
    models.save(tmp_path / "model", models.Classifier(config, 2), **kind.description())
    return str(tmp_path / "model")


@pytest.mark.parametrize("given", [{"num_beams": 2}, {"length_penalty": 0.5}, {"tokens": 3}])
def test_other_models_take_no_flags_of_a_search(given, classifier, tmp_path):
    flags = {
        "search": generation.SearchFlags(**{k: v for k, v in given.items() if k != "tokens"}),
        "max_new_tokens": given.get("tokens"),
    }
    for config in (
        predict.Config(model=classifier, **flags),
        export.Config(model=classifier, output=str(tmp_path / "x"), **flags),
    ):
        program = predict if isinstance(config, predict.Config) else export
        with pytest.raises(InputError, match=r"found --\w+=[\d.]+ and a model of the task class"):
            program.main(config)
