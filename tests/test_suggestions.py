"""A misspelt word in a file or on the command line: the message names the nearest right one."""

import dataclasses
from typing import Literal

import pytest
from absl import logging

from roots_tf.corpus import formats, language, recipe
from roots_tf.labelled import tables
from roots_tf.models.config import EncoderConfig
from roots_tf.storage import encodings, schema
from roots_tf.storage.files import InputError
from roots_tf.tasks import per_text


def message_of(call, *arguments, **named) -> str:
    with pytest.raises(InputError) as error:
        call(*arguments, **named)
    return str(error.value)


def write(path, text):
    path.write_text(text, "utf-8")
    return path


def test_a_column(tmp_path):
    path = write(tmp_path / "a.tsv", "Sentence\tlabel\ngood\tpos\n")
    columns = {"text": "sentense"}
    assert message_of(tables.read, path, ("text", "label"), columns=columns).endswith(
        "which has: Sentence, label; rename it there, or say which it is: --columns=text=Sentence"
    )
    assert message_of(tables.read, path, ("text", "label")).endswith("--columns=text=ITS_NAME")
    assert message_of(tables.read, path, ("text",), columns={"txt": "Sentence"}) == (
        "found a name for column 'txt'; wanted names for: text; did you mean text?"
    )


def test_a_line_of_names_that_are_all_misspelt(tmp_path):
    path = write(tmp_path / "a.tsv", "txt\tlable\ngood\tpos\n")
    assert message_of(tables.read, path, ("text", "label")) == (
        f"found no column 'text' in {path}, line 1, which has: txt, lable; rename it there, or say "
        "which it is: --columns=text=txt"
    )
    path = write(tmp_path / "b.tsv", "test\tpos\nThis is a text with a label\tneg\n")
    assert tables.read(path, ("text", "label")).columns["text"][0] == "test"
    path = write(tmp_path / "c.tsv", "a text\ta label of many words\n")
    assert len(tables.read(path, ("text", "label")).lines) == 1


def test_a_suffix(tmp_path):
    for suffix, meant in ((".tvs", ".tsv"), (".jsnl", ".jsonl"), (".parqet", ".parquet")):
        path = write(tmp_path / f"train{suffix}", "text\tlabel\na\tb\n")
        message = message_of(tables.read, path, ("text", "label"))
        assert message.startswith(f"found {path}, with suffix '{suffix}'; wanted .tsv, .csv")
        assert message.endswith(f"; did you mean {meant}?")
    path = write(tmp_path / "train.xlsx", "x")
    assert "did you mean" not in message_of(tables.read, path, ("text",))


def test_a_file_beside_which_another_stands(tmp_path):
    path = write(tmp_path / "train.tsv", "text\na\n")
    for name in ("train.tvs", "Train.tsv", "trian.tsv"):
        assert message_of(tables.read, tmp_path / name, ("text",)) == (
            f"found no file {tmp_path / name}; wanted labelled examples; did you mean {path}?"
        )


def test_a_label(tmp_path):
    path = write(tmp_path / "dev.tsv", "text\tlabel\ngood\tpositive\nbad\tnegativ\nso\tmixed\n")
    table = tables.read(path, ("text", "label"))
    assert message_of(per_text.label_ids, table, "label", ("positive", "negative")) == (
        f"found label 'negativ' in {path}, line 3; wanted one of the 2 labels of the training "
        "file: positive, negative; did you mean negative?"
    )
    table.columns["label"][1] = "negative"
    assert message_of(per_text.label_ids, table, "label", ("positive", "negative")).endswith(
        "the training file: positive, negative"
    )


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ('name = "near_duplicate"', "; did you mean near_duplicates?"),
        ('name = "quantum"', ", stop_words, symbols"),
        ('name = "length"\nminwords = 3', "; did you mean min_words?"),
        ('name = "markup"\nmarks = "stripp"', "; did you mean strip?"),
        ('name = "repair"\nlanguages = ["English"]', "such as en, de or zh; did you mean en?"),
        ('name = "repair"\nlanguages = ["zh-Hant"]', "; did you mean zh?"),
        ('name = "language"\nkeep = ["ger"]', "; did you mean de?"),
        ('name = "personal_data"\nkinds = ["email"]', "; did you mean emails?"),
    ],
)
def test_a_word_of_a_recipe(tmp_path, text, end):
    path = write(tmp_path / "mine.toml", f"[[steps]]\n{text}\n")
    assert message_of(recipe.load, str(path)).endswith(f"{end} (in the recipe {path})")


def test_a_recipe():
    assert message_of(recipe.load, "book").endswith("to begin; did you mean books?")


def test_codes_of_languages():
    assert language.Language(keep=("en", "zh", "he")).keep == ("en", "zh", "he")
    assert message_of(language.Language, keep=("jp",)) == (
        "found 'jp' in keep of the step language; wanted codes such as en, de or zh"
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    hidden_dim: int
    norm: Literal["before", "after"] = "after"
    seed: int = 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"hiden_dim": 3},
            "no hidden_dim in s.json; wanted a whole number; is hiden_dim misspelt?",
        ),
        ({}, "no hidden_dim in s.json; wanted a whole number"),
        (
            {"hidden_dim": 3, "sed": 1},
            "'sed' in s.json; wanted no keys but KEYS; did you mean seed?",
        ),
        ({"hidden_dim": 3, "colour": 1}, "'colour' in s.json; wanted no keys but KEYS"),
        ({"hidden_dim": 3, "norm": "befor"}, "norm='befor' in CHOICES; did you mean before?"),
        ({"hidden_dim": 3, "norm": "none"}, "norm='none' in CHOICES"),
    ],
)
def test_a_key_or_a_choice_in_json(value, message):
    message = message.replace("KEYS", "hidden_dim, norm, seed")
    message = message.replace("CHOICES", "s.json; wanted one of before, after")
    assert message_of(schema.check, value, Settings, "s.json") == f"found {message}"


def test_an_encoding_and_a_size():
    assert message_of(encodings.python_name, "gb18003").endswith("; did you mean GB18030?")
    assert message_of(EncoderConfig.of_size, "smal", vocabulary_size=9).endswith("mean small?")


def test_files_that_are_read_as_text_and_may_be_none(monkeypatch):
    told = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: told.append(text % values))
    formats._warn.cache_clear()
    for path in ("a.jsnl", "b.JSNL", "c.jsnl.gz", "d.txt", "e.2024", "f", "g.text", "h.parquets"):
        formats.warn_of_suffix(path)
    assert told == [
        "files with suffix .jsnl are read as plain text; did you mean .jsonl?",
        "files with suffix .parquets are read as plain text; did you mean .parquet?",
    ]
