"""`distill` on real news and on every kind of task: the student is like its teacher."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines import distill, embed, evaluate, finetune, predict
from roots_tf import models, program, tasks, tokenizers
from roots_tf.storage import claims
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.tokenizer import wordpiece
from tests.answering import answers_of
from tests.pages.parsed import Page
from tests.tasks.test_finetuning import OF_ENCODERS, write

FAST = ("tagging", "similarity")  # their shapes compile fast


def teacher_folder(folder, work, name="", **fields) -> str:
    """A model folder of four blocks, of random weights, for a task or for none."""
    tokenizer = tokenizers.load(work.tokenizer)
    sizes = {"num_layers": 4, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    config = models.EncoderConfig(
        vocabulary_size=tokenizer.size, max_sequence_length=64, **sizes | fields
    )
    if name:
        kind = tasks.KINDS[name](max_seq_length=64)
        kind = kind.learn(kind.read(write(folder, name), {})).of_tokenizer(tokenizer)
        model, described = kind.make_model(config, 1), {"task": tasks.describe(kind)}
        models.save(folder / "teacher", model, labels=kind.labels, **described)
    else:
        models.save(folder / "teacher", models.PooledEncoder(config, seed=1))
    tokenizer.save(folder / "teacher")
    return str(folder / "teacher")


def config(folder, **fields) -> distill.Config:
    settings = {
        "teacher": str(folder / "teacher"),
        "output": str(folder / "run"),
        "num_layers": 2,
        "precision": "float32",
        "debug": True,
    }
    return program.make(distill.Config, **settings | fields)


def test_after_a_stop_another_teacher_or_other_texts_are_refused(work, tmp_path):
    teacher_folder(tmp_path, work)
    (tmp_path / "texts.txt").write_text("one text\nanother\n")
    begun = config(tmp_path, input=str(tmp_path / "texts.txt"))
    begun = program.replace(begun, num_epochs=1.0)  # as --debug has it
    claims.of(begun).begin(begun.output)
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "texts.txt").write_text("one text\nanotheR\n")
    with pytest.raises(InputError, match="found another content of --input than the run in"):
        distill.main(begun)
    (tmp_path / "texts.txt").write_text("one text\nanother\n")
    weights = tmp_path / "teacher" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"X")
    with pytest.raises(InputError, match="found another content of --teacher than the run in"):
        distill.main(begun)


@pytest.mark.slow
def test_a_student_of_real_texts_answers_as_its_teacher(work, topics, tmp_path, capsys):
    paths = {split: str(topics / f"{split}.jsonl") for split in ("train", "dev")}
    teacher_folder(tmp_path, work, hidden_dim=32, num_layers=2)
    finetune.main(
        program.make(
            finetune.Config,
            init_from=str(tmp_path / "teacher"),
            output=str(tmp_path / "task"),
            max_seq_length=64,
            learning_rate=5e-3,
            num_epochs=6.0,
            seeds=1,
            **paths,
        )
    )
    settings = {
        "teacher": str(tmp_path / "task" / "model"),
        "input": paths["train"],
        "dev": paths["dev"],
        "num_layers": 1,
        "hidden_dim": 16,
        "learning_rate": 5e-3,
        "debug": False,
    }
    still = settings | {"learning_rate": 0.0, "num_epochs": 0.01}
    untrained = distill.main(config(tmp_path, output=str(tmp_path / "still"), **still))
    report = distill.main(config(tmp_path, num_epochs=6.0, **settings))
    assert report["task"] == "classification"
    accuracy = {whose: scores["accuracy"] for whose, scores in report["dev"].items()}
    assert accuracy["teacher"] > accuracy["baseline"] + 0.1
    assert accuracy["student"] > accuracy["baseline"] + 0.1
    assert report["agreement"] > untrained["agreement"] + 0.2
    assert report["student"]["parameters"] < 0.6 * report["teacher"]["parameters"]
    assert report["student"]["bytes"] == 4 * report["student"]["parameters"]
    assert (report["teacher"]["num_layers"], report["student"]["num_layers"]) == (2, 1)
    assert f"{report['agreement']:.3f}" in capsys.readouterr().out
    # The student is a model folder like any other.
    model = str(tmp_path / "run" / "model")
    scores = evaluate.main(
        evaluate.Config(model=model, input=paths["dev"], output=str(tmp_path / "scores.json"))
    )
    assert scores["accuracy"] == pytest.approx(accuracy["student"])
    answers = answers_of(
        predict.Config(model=model, input=paths["dev"], output=str(tmp_path / "answers.jsonl"))
    )
    assert len(answers) == 222
    # Once more, where only the last lines were not reached: nothing is trained again.
    weights = Path(model, "model.safetensors").read_bytes()
    (tmp_path / "run" / "report.json").unlink()
    shutil.rmtree(model)
    assert distill.main(config(tmp_path, num_epochs=6.0, **settings)) == report
    assert Path(model, "model.safetensors").read_bytes() == weights
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text()
    steps = [json.loads(line)["step"] for line in metrics.splitlines()]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in FAST else [pytest.mark.slow]) for n in OF_ENCODERS],
)
def test_every_kind_of_task_has_students(name, work, tmp_path):
    teacher_folder(tmp_path, work, name, num_layers=2, dropout=0.0)
    path = str(write(tmp_path, name))
    report = distill.main(config(tmp_path, input=path, dev=path, hard_weight=0.5, num_layers=1))
    page = Page((tmp_path / "run" / "report.html").read_text("utf-8")).text
    assert "num layers21" in page and "dev " in page  # the teacher's and the student's
    assert report["task"] == name
    scores = report["dev"]
    assert scores["student"].keys() == scores["teacher"].keys() == scores["baseline"].keys()
    described = models.describe(tmp_path / "run" / "model")
    teacher = models.describe(tmp_path / "teacher")
    assert (described["task"], described["labels"]) == (teacher["task"], teacher["labels"])
    found = evaluate.main(
        evaluate.Config(
            model=str(tmp_path / "run" / "model"), input=path, output=str(tmp_path / "s.json")
        )
    )
    assert found.keys() == scores["student"].keys() | report.get("conditions", {}).keys()
    losses = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert {
        "soft_loss",
        "hidden_loss",
        *(s.name for s in tasks.KINDS[name].scalars if s.is_loss),
    } <= losses[-1].keys()


def test_a_teacher_without_a_task_teaches_vectors(work, topics, tmp_path):
    teacher_folder(tmp_path, work, num_layers=2)
    lines = (topics / "train.jsonl").read_text("utf-8").splitlines()[:256]
    path = tmp_path / "texts.txt"
    path.write_text("".join(json.loads(line)["text"].split("\n")[0][:100] + "\n" for line in lines))
    settings = {"input": str(path), "debug": False, "learning_rate": 1e-2, "num_epochs": 24.0}
    settings |= {"num_layers": 1, "hidden_dim": 8}
    report = distill.main(config(tmp_path, **settings))
    assert report.keys() == {"task", "teacher", "student"}
    assert report["task"] is None
    still = {"learning_rate": 0.0, "num_epochs": 0.01, "output": str(tmp_path / "still")}
    distill.main(config(tmp_path, **settings | still))

    def cosines(folder):
        output = tmp_path / "vectors.npy"
        embed.main(
            embed.Config(
                model=str(folder), input=(str(path),), output=str(output), l2_normalize=True
            )
        )
        vectors = np.load(output)
        return (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]

    teacher, student, random = map(
        cosines, (tmp_path / "teacher", tmp_path / "run/model", tmp_path / "still/model")
    )
    assert np.square(student - teacher).mean() < 0.8 * np.square(random - teacher).mean()
    alike = [np.corrcoef(found, teacher)[0, 1] for found in (student, random)]
    assert alike[0] > alike[1] + 0.15


def test_what_was_pretrained_is_a_teacher_too_and_so_is_a_start(work, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("a fine film\nthe end\nwhat was that\n")
    small = config(tmp_path, teacher=work.model, input=str(path), num_layers=0, hidden_dim=16)
    distill.main(small)
    start = str(tmp_path / "run" / "model")
    assert models.load(start).encoder.config.hidden_dim == 16
    still = {"init_from": start, "learning_rate": 0.0, "output": str(tmp_path / "further")}
    distill.main(program.replace(small, hidden_dim=0, **still))
    before, after = models.load(start), models.load(tmp_path / "further" / "model")
    for one, same in zip(before.variables, after.variables, strict=True):
        assert (one.numpy() == same.numpy()).all()


def test_a_table_without_names_is_read_with_its_answers(work, tmp_path):
    teacher_folder(tmp_path, work, "classification")
    path = tmp_path / "train.tsv"
    path.write_text("a fine film\tgood\ndull\tno label of the teacher's\n")
    assert distill.main(config(tmp_path, input=str(path)))["task"] == "classification"
    path.write_text("a fine film\tgood\textra\ndull\tbad\textra\n")
    wrong = config(tmp_path, input=str(path), output=str(tmp_path / "wrong"))
    with pytest.raises(InputError, match="wanted 1 .*; and with answers: .*wanted 2 ") as raised:
        distill.main(wrong)
    assert "\n" not in str(raised.value)


def test_mistakes_are_named_in_one_line(work, tmp_path):
    teacher_folder(tmp_path, work, "classification")
    path = str(write(tmp_path, "classification"))
    other = wordpiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"], lowercase=True)
    shutil.copytree(tmp_path / "teacher", tmp_path / "other")
    other.save(tmp_path / "other")
    (tmp_path / "bare").mkdir()
    bare = teacher_folder(tmp_path / "bare", work)
    numbers = tmp_path / "numbers.jsonl"
    numbers.write_text('{"height": 1}\n')
    same, none = str(tmp_path / "teacher"), {"num_layers": 0}
    for fields, message in (
        ({"hidden_dim": 32}, "found a student of hidden_dim=32; wanted 1 to 16, which the teac"),
        ({"num_layers": 8}, "found a student of num_layers=8; wanted 1 to 4"),
        ({"num_layers": 3}, "found a student of 3 layers for a teacher of 4; wanted a number th"),
        ({"num_heads": 3}, "found hidden_dim=16 and num_heads=3; wanted a number of heads"),
        ({"num_heads": 4, "attention_weight": 1.0}, "found 4 heads for a teacher of 2"),
        (none, "found no sizes of the student; wanted --num_layers"),
        ({"init_from": str(tmp_path / "other")} | none, "found different tokenizers in "),
        ({"init_from": same}, r"found --num_layers=2 and 4 in .*; wanted --init_from without"),
        ({"soft_weight": 0.0, "hidden_weight": 0.0}, "found soft_weight=0, .* and one above"),
        ({"teacher": bare, "input": str(numbers)}, "found no column 'text' in .*numbers"),
        ({"teacher": bare, "dev": path}, "found --dev and a teacher without a task"),
        ({"teacher": bare, "hard_weight": 1.0}, "found hard_weight=1 and a teacher without a"),
        ({"teacher": bare, "accumulate_steps": 2}, "found accumulate_steps=2 and a loss that com"),
        ({"dev": str(tmp_path / "none.tsv")}, "found .*none.tsv"),
        ({"evaluate_every": 5}, "found --evaluate_every and no --dev; wanted both"),
        ({"temperature": float("inf")}, "found --temperature=inf; wanted a number above 0"),
        ({"teacher": work.tokenizer}, "found no model.json"),
    ):
        wrong = config(tmp_path, **{"input": path} | fields, output=str(tmp_path / "wrong"))
        with pytest.raises((InputError, program.FlagError), match=message) as raised:
            distill.main(wrong)
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "wrong").exists(), fields
