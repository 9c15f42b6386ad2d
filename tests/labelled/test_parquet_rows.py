"""Parquet as data sets of the Hugging Face hub have it: classes by number, lists, structures."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roots_tf.labelled import pairs, parquet_rows, squad, tables, tagged_tables
from roots_tf.storage.files import InputError

POLARITY = {"names": ["neg", "pos"], "_type": "ClassLabel"}
TAGS = ["O", "B-PER", "I-PER"]


def write(path, columns: dict, features=None) -> str:
    """A file, with its features in the schema where they are given; None of a text is damage."""
    table = pa.table(columns)
    if features is not None:
        text = (
            features if isinstance(features, str) else json.dumps({"info": {"features": features}})
        )
        table = table.replace_schema_metadata({"huggingface": text})
    pq.write_table(table, path)
    return str(path)


def test_numbers_of_classes_are_their_names(tmp_path):
    columns = {"text": ["a", "b", "c"], "label": [1, 0, 1], "idx": [0, 1, 2]}
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": POLARITY}
    path = write(tmp_path / "a.parquet", columns, features)
    found = tables.read(path, ("text", "label"))
    assert found.columns == {"text": ["a", "b", "c"], "label": ["pos", "neg", "pos"]}
    renamed = tables.read(path, ("text", "label"), columns={"text": "label"})
    assert renamed.columns["text"] == ["pos", "neg", "pos"]
    bare = write(tmp_path / "b.parquet", columns)
    assert tables.labels(tables.read(bare, ("text", "label")), "label") == ["1", "0", "1"]


def test_the_class_minus_one_is_none(tmp_path):
    path = write(
        tmp_path / "a.parquet", {"text": ["a", "b"], "label": [0, -1]}, {"label": POLARITY}
    )
    assert tables.read(path, ("text",), ("label",)).columns["label"] == ["neg", None]
    with pytest.raises(InputError, match=r"found no label in \S+a.parquet, row 2"):
        tables.read(path, ("text", "label"))


def test_a_class_without_a_name_and_damaged_features_are_refused(tmp_path):
    path = write(tmp_path / "a.parquet", {"text": ["a"], "label": [2]}, {"label": POLARITY})
    with pytest.raises(InputError, match="found the class 2 in .*, row 1, and names for 0 to 1"):
        tables.read(path, ("text", "label"))
    for damage in ("{", "[]", '{"info": {}}', '{"info": {"features": {"label": 3}}}'):
        path = write(tmp_path / "b.parquet", {"text": ["a"], "label": [0]}, damage)
        with pytest.raises(InputError, match="found no features in the `huggingface` metadata"):
            tables.read(path, ("text", "label"))


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": {"names": TAGS, "_type": "ClassLabel"}, "_type": "Sequence"},
        {"feature": {"names": TAGS, "_type": "ClassLabel"}, "_type": "List", "length": -1},
        [{"names": TAGS, "_type": "ClassLabel"}],
    ],
)
def test_lists_of_classes_are_tags(tmp_path, feature):
    columns = {
        "tokens": [["Jane", "Austen", "wrote"], [], ["So"]],
        "ner_tags": [[2, 2, 0], [], [0]],
    }
    path = write(tmp_path / "a.parquet", columns, {"ner_tags": feature})
    assert tagged_tables.read(path, {}) == [
        (("Jane", "Austen", "wrote"), ("B-PER", "I-PER", "O"), 1),
        (("So",), ("O",), 3),
    ]
    assert tagged_tables.read(path, {"tokens": "tokens"}, labelled=False)[1] == (("So",), (), 3)


def test_tags_that_are_none_are_refused(tmp_path):
    path = write(tmp_path / "a.parquet", {"tokens": [["a", "b"]], "tags": [[0, 1]]})
    with pytest.raises(InputError, match="found tag 0 in .*, row 1; wanted O, B-TYPE or I-TYPE"):
        tagged_tables.read(path, {})
    path = write(tmp_path / "b.parquet", {"words": [["a", "b"]], "tags": [["O"]]})
    with pytest.raises(InputError, match="found no column 'tokens'"):
        tagged_tables.read(path, {})
    with pytest.raises(
        InputError, match="found 2 tokens and 1 tags in .*, row 1; wanted a tag for"
    ):
        tagged_tables.read(path, {"tokens": "words"})
    with pytest.raises(
        InputError, match="found a name for column 'text'; wanted names for: tokens"
    ):
        tagged_tables.read(path, {"text": "words"})


def test_questions_of_squad(tmp_path):
    columns = {
        "id": ["1", "2"],
        "title": ["T", "T"],
        "context": ["It rains.", "It rains."],
        "question": ["What?", "Where?"],
        "answers": [
            {"text": ["rains"], "answer_start": [3]},
            {"text": [], "answer_start": []},
        ],
    }
    path = write(tmp_path / "a.parquet", columns)
    first, second = squad.read(path)
    assert first == ("1", "What?", "It rains.", (("rains", 3),), "T")
    assert second.answers == ()
    assert [question.answers for question in squad.read(path, labelled=False)] == [(), ()]
    objects = [[{"text": "rains", "answer_start": 3}], []]
    found = squad.read(write(tmp_path / "d.parquet", columns | {"answers": objects}))
    assert [question.answers for question in found] == [(("rains", 3),), ()]
    columns["answers"][0]["answer_start"] = [4]
    with pytest.raises(InputError, match="found answer 'rains' in question 1 of .* not at its ans"):
        squad.read(write(tmp_path / "b.parquet", columns))
    del columns["answers"]
    with pytest.raises(InputError, match="found no column 'answers'"):
        squad.read(write(tmp_path / "c.parquet", columns))


def test_a_field_of_a_structure_is_a_column(tmp_path):
    columns = {"translation": [{"en": "one", "de": "eins"}, {"en": "two", "de": "zwei"}]}
    path = write(tmp_path / "a.parquet", columns)
    named = {"source": "translation.en", "target": "translation.de"}
    found = pairs.read(path, named)
    assert found.columns == {"source": ["one", "two"], "target": ["eins", "zwei"]}
    with pytest.raises(InputError, match="found no column 'translation.fr'"):
        pairs.read(path, named | {"target": "translation.fr"})
    assert parquet_rows.columns(path) == ["translation"]
