"""`evaluate` of answers that are there already: files in, scores and comparisons out, no model."""

import json
import subprocess
import sys

import pytest

from pipelines import evaluate
from roots_tf import program
from roots_tf.metrics import generated, question_answering, significance
from roots_tf.storage.files import InputError

SOURCES = [f"The dog {i} runs home. It is late." for i in range(12)]
RIGHT = [f"Der Hund {i} läuft nach Hause. Es ist spät." for i in range(12)]
ONE = [text.replace("Hund", "Wolf") if i % 3 else text for i, text in enumerate(RIGHT)]
OTHER = [" ".join(text.split()[2:]) for text in RIGHT]


def lines(path, rows):
    rows = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return str(path)


def run(**flags):
    return evaluate.main(program.make(evaluate.Config, **flags))


@pytest.fixture
def files(tmp_path):
    """Sources, right texts and the answers of two systems, a text a line."""
    texts = {"test.en": SOURCES, "test.de": RIGHT, "one.hyp": ONE, "other.hyp": OTHER}
    return {name: lines(tmp_path / name, rows) for name, rows in texts.items()}


def test_texts_are_scored_and_compared(files, tmp_path, capsys):
    found = run(
        answers=files["one.hyp"],
        against=files["other.hyp"],
        input=f"{files['test.en']},{files['test.de']}",
        train=f"{files['test.en']},{files['test.de']}",
        output=str(tmp_path / "scores.json"),
        resamples=200,
        seed=3,
    )
    scores = generated.scores(ONE, RIGHT, "de")
    assert {name: found[name] for name in scores} == scores
    assert (found["examples"], found["metric_language"]) == (12, "de")
    assert found["signatures"] == generated.signatures(ONE, RIGHT, "de")
    assert found["trivial"] == generated.trivial(SOURCES, RIGHT, SOURCES, RIGHT, "de")
    assert found["trivial"]["nearest"]["exact_match"] == 1
    measures = [generated.measures(texts, RIGHT, "de") for texts in (ONE, OTHER)]
    assert found["against"] == significance.compare(*measures, 200, 3)
    assert found["against"]["bleu"]["p"] < 0.05
    assert json.loads((tmp_path / "scores.json").read_text("utf-8")) == found
    shown = capsys.readouterr().out
    assert f"bleu                     {scores['bleu']:.4f}" in shown
    assert f"  bleu             {found['signatures']['bleu']}" in shown
    assert f"  bleu             score {scores['bleu']:.3f}  against " in shown


def test_answers_and_what_is_right_in_one_file(files, tmp_path):
    rows = zip(SOURCES, ONE, RIGHT, strict=True)
    path = lines(
        tmp_path / "one.jsonl",
        [{"source": s, "target": t, "score": 0.0, "gold": g} for s, t, g in rows],
    )
    alone = run(answers=path)
    both = run(answers=files["one.hyp"], input=f"{files['test.en']},{files['test.de']}")
    assert alone == both
    assert run(answers=path, against=files["other.hyp"])["against"]["rouge1"]["p"] < 0.05
    assert "trivial" not in run(answers=files["one.hyp"], input=files["test.de"])
    assert run(answers=path, metric_language="en")["signatures"]["rouge1"].find("porter") > 0


def test_columns_of_a_table_have_names_of_their_own(files, tmp_path):
    rows = [{"en": s, "de": t} for s, t in zip(SOURCES, RIGHT, strict=True)]
    path = lines(tmp_path / "test.jsonl", rows)
    found = run(answers=files["one.hyp"], input=path, columns=("target=de", "source=en"))
    assert found == run(answers=files["one.hyp"], input=f"{files['test.en']},{files['test.de']}")


def test_debug_takes_the_first_answers(tmp_path):
    right = [f"{i} and more of it" for i in range(300)]
    path = lines(tmp_path / "a.txt", right[:256] + ["wrong"] * 44)
    found = run(answers=path, against=path, input=lines(tmp_path / "b.txt", right), debug=True)
    assert (found["examples"], found["exact_match"]) == (256, 1)


def test_labels_choices_and_answers_to_questions(tmp_path):
    labels = [{"label": "x", "gold": "xy"[i % 4 == 0]} for i in range(40)]
    one = lines(tmp_path / "one.jsonl", labels)
    two = lines(tmp_path / "two.jsonl", [row | {"label": "y"} for row in labels])
    found = run(answers=one, against=two)
    assert found["accuracy"] == 0.75 and found["against"]["accuracy"]["against"] == 0.25
    assert found["against"]["accuracy"]["p"] < 0.05
    path = lines(tmp_path / "c.jsonl", [{"choice": i, "gold": 1} for i in range(4)])
    assert run(answers=path) == {"examples": 4, "accuracy": 0.25}
    answers, golds = ["the dog", "a cat", ""], [["dog"], ["cat", "big cat"], []]
    rows = [{"answer": a, "gold": g} for a, g in zip(answers, golds, strict=True)]
    path = lines(tmp_path / "d.jsonl", rows)
    scores = question_answering.scores(dict(enumerate(answers)), dict(enumerate(golds)))
    assert run(answers=path, metric_language="en") == pytest.approx({"examples": 3} | scores)
    with pytest.raises(InputError, match="wanted the language that they are scored in"):
        run(answers=path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "found no --model; wanted --model and --input, or --answers"),
        ({"model": "x"}, "found no --input; wanted --model and --input"),
        ({"answers": "one.hyp"}, "found no --input and no gold in one.hyp"),
        ({"against": "one.hyp"}, "wanted --answers and no --model"),
        ({"resamples": 3}, "wanted --answers and no --model"),
        ({"answers": "one.hyp", "pooling": "cls"}, "wanted --answers and no --model"),
        ({"answers": "one.hyp", "model": "x"}, "wanted --answers and no --model"),
        ({"answers": "one.hyp", "measure": "perplexity"}, "wanted --answers and no --model"),
        ({"answers": "one.hyp", "stride": 3}, "wanted --answers and no --model"),
        ({"answers": "none.hyp", "input": "test.de"}, "found no file none.hyp; .* one.hyp"),
        ({"answers": "one.hyp", "input": "none.de"}, "found no file none.de"),
        ({"answers": "one.hyp", "against": "short.hyp", "input": "test.de"},
         "found 12 lines in one.hyp and 1 in short.hyp; wanted as many"),
        ({"answers": "one.hyp", "input": "short.hyp"}, "found 12 lines in one.hyp and 1 in short"),
        ({"answers": "one.hyp", "input": "test.de", "train": "test.de"}, "without their sources"),
        ({"answers": "one.hyp", "input": "test.en,test.de", "train": "test.de"},
         "found no sources in test.de"),
        ({"answers": "one.hyp", "input": "labels.jsonl"}, "found no column 'target'"),
        ({"answers": "labels.jsonl", "input": "test.de"}, "wanted no --input"),
        ({"answers": "labels.jsonl", "train": "test.de"}, "without their sources"),
        ({"answers": "labels.jsonl", "against": "one.hyp"}, "found a label in labels.jsonl and a"),
    ],
)  # fmt: skip
def test_mistakes(files, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "short.hyp", ONE[:1])
    lines(tmp_path / "labels.jsonl", [{"label": "x", "gold": "y"}])
    with pytest.raises((InputError, program.FlagError), match=message) as error:
        run(**flags, output="scores.json")
    assert error.value.exit_status == 2 and "\n" not in str(error.value)
    assert not (tmp_path / "scores.json").exists()


def test_it_needs_no_tensorflow(files):
    code = (
        "import sys; from roots_tf.commands import roots\n"
        "try: roots()\n"
        "finally: print(sorted(sys.modules))"
    )
    flags = [f"--answers={files['one.hyp']}", f"--input={files['test.de']}"]
    command = [sys.executable, "-c", code, "evaluate", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "exact_match" in done.stdout and "'sacrebleu'" in done.stdout
    assert "'tensorflow'" not in done.stdout
