"""`evaluate` of causal models on texts, and `score`: files in, numbers out, mistakes in a line."""

import json
import math
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest

from pipelines import evaluate, finetune, score
from roots_tf import models, scoring
from roots_tf.storage.files import InputError
from tests.scoring.conftest import TEXT, causal, masked, tokenizer  # noqa: F401

PAIRS = [
    {"good": "the cat sat", "bad": "sat cat the", "field": "syntax"},
    {"good": "dogs do", "bad": "do dogs", "field": "syntax"},
    {"good": "the rug", "bad": "rug the", "field": "other"},
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, causal, masked, tokenizer) -> SimpleNamespace:  # noqa: F811
    """Model folders of a causal and a masked language model, and of an encoder."""
    top = tmp_path_factory.mktemp("language_models")
    for name, model in (
        ("causal", causal),
        ("masked", masked),
        ("encoder", models.PooledEncoder(masked.config, seed=1)),
    ):
        models.save(top / name, model)
        tokenizer.save(top / name)
    names = ("causal", "masked", "encoder")
    return SimpleNamespace(**{name: str(top / name) for name in names}, top=top)


def lines(path, *rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_perplexity_of_files_of_every_form(folders, tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfthe cat\r\n\r\nthe dog")
    lines(tmp_path / "b.jsonl", {"text": "the cat"}, {"text": "the dog"})
    table = pyarrow.table({"body": ["the cat", "the dog"]})
    pyarrow.parquet.write_table(table, tmp_path / "c.parquet")
    found = [
        evaluate.main(
            evaluate.Config(
                model=folders.causal,
                input=str(tmp_path / name),
                output=str(tmp_path / "scores.json"),
                columns=columns,
                texts=evaluate.TextFlags(documents="blank_lines", stride=3),
            )
        )
        for name, columns in (("a.txt", ()), ("b.jsonl", ()), ("c.parquet", ("text=body",)))
    ]
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])
    assert found[0] | {"documents": 2, "bytes": 14, "window": 12, "stride": 3} == found[0]
    assert json.loads((tmp_path / "scores.json").read_text()) == found[0]
    assert f"perplexity               {found[0]['perplexity']:.4f}" in capsys.readouterr().out
    with pytest.raises(InputError, match="found --columns=label=x; wanted text=ITS_NAME alone"):
        evaluate.main(
            evaluate.Config(
                model=folders.causal, input=str(tmp_path / "a.txt"), columns=("label=x",)
            )
        )


def test_a_model_that_is_not_causal_has_no_perplexity(folders, tmp_path):
    (tmp_path / "a.txt").write_text("the cat")
    (tmp_path / "b.txt").write_text("\n \n")
    settings = {"input": str(tmp_path / "a.txt"), "measure": "perplexity"}
    with pytest.raises(InputError, match="found a model of kind pretrainer .* wanted a causal_lm"):
        evaluate.main(evaluate.Config(model=folders.masked, **settings))
    # What a pretrained encoder is asked for by itself is the vectors of labelled pairs.
    with pytest.raises(InputError, match=r"with suffix '.txt'; wanted .tsv"):
        evaluate.main(evaluate.Config(model=folders.masked, **settings | {"measure": "auto"}))
    for texts in ({"window": 13}, {"window": 4, "stride": 5}):
        with pytest.raises(InputError, match="wanted a window of at most 12"):
            evaluate.main(
                evaluate.Config(model=folders.causal, **settings, texts=evaluate.TextFlags(**texts))
            )
    with pytest.raises(InputError, match="found no text"):
        evaluate.main(evaluate.Config(model=folders.causal, input=str(tmp_path / "b.txt")))


@pytest.mark.parametrize("name", ["causal", "masked"])
def test_pairs_give_accuracies_of_groups(folders, tmp_path, name):
    path = lines(tmp_path / "pairs.jsonl", *PAIRS)
    output, report = tmp_path / "scores.jsonl", tmp_path / "report.json"
    found = score.main(
        score.Config(
            model=getattr(folders, name), input=path, output=str(output), report=str(report)
        )
    )
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(row["good"]["text"], row["bad"]["text"]) for row in rows] == [
        (row["good"], row["bad"]) for row in PAIRS
    ]
    for row in rows:
        assert row["right"] == (row["good"]["log_probability"] > row["bad"]["log_probability"])
    rights = [row["right"] for row in rows]
    assert found == json.loads(report.read_text())
    assert found["all"] == {"accuracy": pytest.approx(sum(rights) / 3), "count": 3}
    assert found["field: syntax"] == {"accuracy": sum(rights[:2]) / 2, "count": 2}
    assert found.keys() == {"all", "field: syntax", "field: other"}


def test_choices_by_sum_by_token_and_by_byte(folders, tmp_path, capsys):
    choices = [" sat on the mat and the rug", " do"]
    path = lines(tmp_path / "a.jsonl", {"prompt": "the cat", "choices": choices, "label": 1})
    score.main(score.Config(model=folders.causal, input=path))
    row = json.loads(capsys.readouterr().out.splitlines()[0])
    for found, text in zip(row["choices"], choices, strict=True):
        assert found["text"] == text
        assert found["per_token"] == pytest.approx(found["log_probability"] / found["tokens"])
        assert found["per_byte"] == pytest.approx(found["log_probability"] / len(text))
    sums = [found["log_probability"] for found in row["choices"]]
    assert row["right"] == (sums[1] > sums[0]) == (row["best_log_probability"] == 1)
    # An answer alone has the same score; a space between is the separator's.
    path = lines(tmp_path / "b.jsonl", {"prompt": "the cat", "answer": "do"})
    score.main(score.Config(model=folders.causal, input=path, separator=" "))
    alone = json.loads(capsys.readouterr().out.splitlines()[0])
    assert alone["log_probability"] == pytest.approx(sums[1], rel=1e-5)


def test_a_text_with_its_end_is_what_perplexity_is_of(folders, tmp_path, capsys):
    (tmp_path / "a.txt").write_text(TEXT)  # longer than the model's 12 tokens
    found = evaluate.main(
        evaluate.Config(
            model=folders.causal, input=str(tmp_path / "a.txt"),
            texts=evaluate.TextFlags(stride=4),
        )
    )  # fmt: skip
    capsys.readouterr()
    path = lines(tmp_path / "b.jsonl", {"text": TEXT.strip()})
    score.main(score.Config(model=folders.causal, input=path, end_of_text=True, stride=4))
    row = json.loads(capsys.readouterr().out.splitlines()[0])
    assert row["log_probability"] == pytest.approx(-found["nats"], rel=1e-6)
    assert row["tokens"] == found["tokens"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a"}, "found the columns prompt in .*; wanted good and bad; prompt and cho"),
        ({"text": ""}, "found the columns none"),
        ({"text": 3}, "found 3 in .*line 2; wanted a text"),
        ({"good": "a"}, "found the columns good"),
        ({"prompt": "a", "choices": []}, "found the columns prompt"),
        ({"prompt": "a", "choices": "b"}, "found 'b' as choices in .*line 2; wanted a list"),
        ({"prompt": "a", "choices": ["b", None]}, "found None in .*line 2"),
        ({"prompt": "a", "choices": ["b"], "label": 1}, "found label 1 in .*line 2; .* 0 to 0"),
        ({"prompt": "a", "choices": ["b"], "label": -1}, "found label -1 in .*line 2"),
    ],
)
def test_rows_that_ask_nothing_are_refused(folders, tmp_path, row, message):
    path = tmp_path / "a.jsonl"
    path.write_text("\n" + json.dumps(row) + "\n")
    with pytest.raises(InputError, match=message):
        score.main(score.Config(model=folders.causal, input=str(path)))


def test_models_and_flags_that_do_not_go_together(folders, tmp_path):
    path = lines(tmp_path / "a.jsonl", *PAIRS)
    with pytest.raises(
        InputError, match="kind encoder .* causal_lm, masked_and_causal_lm, pretrainer"
    ):
        score.main(score.Config(model=folders.encoder, input=path))
    with pytest.raises(InputError, match="found --end_of_text and a masked model"):
        score.main(score.Config(model=folders.masked, input=path, end_of_text=True))
    with pytest.raises(InputError, match="a stride of at most 10"):
        score.main(score.Config(model=folders.masked, input=path, stride=11))


def test_words_are_masked_whole_unless_asked(folders, tmp_path, capsys, tokenizer):  # noqa: F811
    path = lines(tmp_path / "a.jsonl", {"text": "unhappy"}, {"text": "the"})
    found = {}
    for masking in ("word", "token"):
        score.main(score.Config(model=folders.masked, input=path, masking=masking))
        found[masking] = [json.loads(x) for x in capsys.readouterr().out.splitlines()[:2]]
    pieces = [len(asked.ids) for asked in scoring.whole(tokenizer, ["unhappy", "the"])]
    assert pieces[0] > 1 == pieces[1]
    word, token = (found[masking][0]["log_probability"] for masking in ("word", "token"))
    assert not math.isclose(word, token, rel_tol=1e-3)
    assert found["word"][1] == found["token"][1]


def test_a_decoder_learns_answers_and_is_evaluated(folders, tmp_path, causal, tokenizer):  # noqa: F811
    rows = [
        {"messages": [{"role": "user", "content": "cat"}, {"role": "assistant", "content": "sat"}]},
        {"messages": [{"role": "user", "content": "dog"}, {"role": "assistant", "content": "do"}]},
    ]
    path = lines(tmp_path / "a.jsonl", *rows * 4)
    template = tmp_path / "template.json"
    around = {"roles": {"user": {"end": "[SEP]"}, "assistant": {"end": "eos"}}}
    template.write_text(json.dumps(around))
    report = finetune.main(
        finetune.Config(
            train=path,
            dev=path,
            output=str(tmp_path / "run"),
            model=finetune.ModelFlags(init_from=folders.causal),
            seeds=1,
            num_epochs=3,
            objective=finetune.TaskFlags(task="completion", template=str(template)),
            optimization=finetune.Optimization(batch_size=4, learning_rate=0.02),
            hardware=finetune.Hardware(precision="float32"),
        )
    )
    scores = report["seeds"][0]["dev"]
    folder = str(tmp_path / "run" / "model")
    found = evaluate.main(evaluate.Config(model=folder, input=path))
    assert found == pytest.approx({name: scores[name] for name in found})
    described = models.describe(folder)
    models.save(tmp_path / "untrained", causal, task=described["task"])
    tokenizer.save(tmp_path / "untrained")
    before = evaluate.main(evaluate.Config(model=str(tmp_path / "untrained"), input=path))
    assert found["log_likelihood"] > before["log_likelihood"] + 0.5
    assert described["task"]["template"]["roles"]["user"]["end"] == "[SEP]"
    # It is a causal language model like any other.
    (tmp_path / "a.txt").write_text("the cat")
    settings = {"model": folder, "input": str(tmp_path / "a.txt"), "measure": "perplexity"}
    assert evaluate.main(evaluate.Config(**settings))["tokens"] > 0
    with pytest.raises(InputError, match="--task=completion, whose answers are generated; wanted"):
        finetune.main(
            finetune.Config(
                train=path,
                dev=path,
                output=str(tmp_path / "other"),
                model=finetune.ModelFlags(init_from=folders.masked),
                objective=finetune.TaskFlags(task="completion"),
            )
        )
