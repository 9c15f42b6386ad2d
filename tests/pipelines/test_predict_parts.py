"""Answers in parts: what a killed run has left is gone on with, to the same bytes."""

import json
import os
import threading
from pathlib import Path

import pytest

from pipelines import predict
from roots_tf import labelled, models, tasks, tokenizers
from roots_tf.labelled import source, tables
from roots_tf.models.config import EncoderConfig
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import training

ROWS = [{"text": "a b " * (1 + i % 3), "text_pair": "b" if i == 8 else None} for i in range(10)]
SOME = ("classification", "question_answering")


class Killed(BaseException):
    """What `kill -9` is to the code around: nothing catches it."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Models with random weights, by kind."""
    root = tmp_path_factory.mktemp("models")
    training.train(iter(["a b"] * 4), root / "tok", model="wordpiece", vocab_size=60)
    tokenizer, found = tokenizers.load(root / "tok"), {}
    sizes = {"num_layers": 1, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 8}
    config = EncoderConfig(tokenizer.size, max_sequence_length=32, **sizes)
    for name in SOME:
        labels = {"labels": ("no", "yes")} if name == "classification" else {}
        kind = tasks.KINDS[name](max_seq_length=32, **labels)
        models.save(root / name, kind.make_model(config, seed=2), **kind.description())
        tokenizer.save(root / name)
        found[name] = str(root / name)
    return found


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Paths of rows and of SQuAD's questions, read three at a time."""
    monkeypatch.setattr(source, "ROWS_AT_ONCE", 3)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    questions = [{"id": str(i), "question": "a b"} for i in range(10)]
    paragraph = {"context": "a b a", "qas": questions}
    (tmp_path / "squad.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    names = ("rows.jsonl", "squad.json")
    return {kind: str(tmp_path / name) for kind, name in zip(SOME, names, strict=True)}


@pytest.mark.parametrize("kind", SOME)
def test_killed_after_any_part_it_ends_with_the_same_bytes(
    kind, folders, files, tmp_path, monkeypatch
):
    def run(output, **flags):
        config = predict.Config(folders[kind], files[kind], str(output), **flags)
        return predict.main(config)

    assert run(tmp_path / "whole.jsonl") == {"answers": 10}
    whole = (tmp_path / "whole.jsonl").read_bytes()
    asked, answer, output = [], predict.Answering.__call__, tmp_path / "a.jsonl"

    def dies(self, examples):
        if len(asked) == 2:
            raise Killed
        asked.append(labelled.count_of(examples))
        return answer(self, examples)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(predict.Answering, "__call__", dies)
        run(output)
    assert not output.exists() and len(list(tmp_path.glob("a.jsonl.parts/part-*"))) == 2
    with pytest.raises(InputError, match="found batch_size=64; wanted batch_size=5"):
        run(output, batch_size=5)

    def notes(self, examples):
        asked.append(labelled.count_of(examples))
        return answer(self, examples)

    monkeypatch.setattr(predict.Answering, "__call__", notes)
    assert run(output) == {"answers": 10}
    assert asked == [3, 3, 3, 1]
    assert output.read_bytes() == whole
    assert not list(tmp_path.glob("*.parts"))


def test_parts_of_a_file_are_its_rows_and_have_its_columns(folders, files):
    kind = tasks.restore(models.describe(folders["classification"]))
    config = predict.Config("", files["classification"])
    whole = labelled.read_examples(kind, config.input, config, labelled=False)
    parts = list(labelled.read_in_parts(kind, config.input, config, 3))
    assert [len(part.lines) for part in parts] == [3, 3, 3, 1]
    assert [line for part in parts for line in part.lines] == whole.lines
    for name in ("text", "text_pair"):  # also where a part has no value of the second
        cells = [cell for part in parts for cell in part.columns[name]]
        assert cells == whole.columns[name] == [row[name] for row in ROWS]


def test_a_wrong_row_at_the_end_is_told_before_any_answer(folders, files, tmp_path):
    with open(files["classification"], "a") as file:
        file.write('{"text": ["no text"]}\n')
    config = predict.Config(
        folders["classification"], files["classification"], str(tmp_path / "a.jsonl")
    )
    with pytest.raises(InputError, match=r"found \['no text'\] as text in .*, line 11; wanted"):
        predict.main(config)
    assert not list(tmp_path.glob("a.jsonl*"))


def test_a_file_that_changes_meanwhile_is_told(folders, files):
    path = files["classification"]
    kind = tasks.restore(models.describe(folders["classification"]))
    parts = labelled.read_in_parts(kind, path, predict.Config("", path), 3)
    assert next(parts).lines == [1, 2, 3]
    with open(path, "a") as file:
        file.write('{"text": "a"}\n')
    with pytest.raises(InputError, match="found .* changed while it was read"):
        list(parts)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", b'text\n"said ""a""\tno"\n"b\nc"\n'),
        ("a.tsv", b"text\tx\r\na\tb\r\n\r\nc\td\r\n"),
        ("a.csv", b'sep=;\ntext;x\n"a\nb";1\n"c ""d""";2\n'),
        ("a.csv", b"text,x\r\na,b\r\nc,d"),
        ("a.txt", "\ufeffa\u2028b\n\n c\r\nd".encode("utf-16")),
        ("a.txt", b"a\rb\rc"),
        ("a.json", b'[{"text": "a"},\n{"text": "b"}]'),
        ("a.jsonl", b'\xef\xbb\xbf{"text": "a"}\n\n{"text": "b"}'),
    ],
)
def test_a_text_read_as_it_comes_is_the_text_read_whole(name, content, folders, tmp_path):
    (tmp_path / name).write_bytes(content)
    kind = tasks.restore(models.describe(folders["classification"]))
    config = predict.Config("", str(tmp_path / name))
    whole = labelled.read_examples(kind, config.input, config, labelled=False)
    parts = list(labelled.read_in_parts(kind, config.input, config, 1))
    assert [part.columns["text"] for part in parts] == [[text] for text in whole.columns["text"]]
    assert [part.lines for part in parts] == [[line] for line in whole.lines]


def test_a_pipe_is_read_once_and_known_by_its_texts(folders, files, tmp_path, capsys):
    pipe = str(tmp_path / "new.jsonl")
    os.mkfifo(pipe)
    assert tables.is_read_once(pipe) and not tables.is_read_once(files["classification"])
    lines = "".join(json.dumps({"text": row["text"]}) + "\n" for row in ROWS)
    writer = threading.Thread(target=lambda: Path(pipe).write_text(lines))
    writer.start()
    assert predict.main(predict.Config(folders["classification"], pipe)) == {"answers": 10}
    writer.join()
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in answers] == [row["text"] for row in ROWS]
