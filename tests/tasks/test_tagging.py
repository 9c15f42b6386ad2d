"""Tags sit on first pieces, and come back from there to the characters of the text."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf

from roots_tf.labelled import sampling
from roots_tf.storage.files import InputError
from roots_tf.tasks.tagging import Tagging, first_pieces

CONLL = "Anna\tB-PER\nof\tO\nNew\tB-LOC\nYork\tI-LOC\n.\tO\n\nNobody\tO\n"


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.conll"
    path.write_text(CONLL)
    kind = Tagging()
    examples = kind.read(path, {})
    return kind.learn(examples), examples


def certain(kind, rows) -> dict[str, list]:
    """Outputs of a model that is sure of the right tag at first pieces and of another elsewhere."""
    found = []
    for start, end in zip(rows.row_splits[:-1], rows.row_splits[1:], strict=True):
        ids = rows.of_tokens["tag_ids"][start:end]
        wrong = len(kind.labels) - 1
        found.append(np.eye(len(kind.labels))[np.where(ids >= 0, ids, wrong)])
    return {"probabilities": found}


def test_tags_sit_on_first_pieces(small, tokenizer):
    kind, examples = small
    assert kind.labels == ("O", "B-LOC", "B-PER", "I-LOC")
    rows = kind.rows(examples, tokenizer)
    first = slice(rows.row_splits[0], rows.row_splits[1])
    pieces = [tokenizer.vocabulary[i] for i in rows.token_ids[first]]
    assert " ".join(pieces) == "[CLS] a ##n ##n ##a of n ##e ##w y ##o ##r ##k . [SEP]"
    assert rows.of_tokens["tag_ids"][first].tolist() == [
        *[-1, 2, -1, -1, -1, 0, 1, -1, -1, 3, -1, -1, -1, 0, -1]
    ]


def test_pieces_that_begin_with_a_space_belong_to_the_word_behind_it():
    found = first_pieces(np.array([3, 7, 8]), np.array([0, 4]), np.array([3, 8]))
    assert found.tolist() == [0, 1, -1]
    assert first_pieces(np.array([1]), np.zeros(0, int), np.zeros(0, int)).tolist() == [-1]


def test_entities_have_places_in_the_text(small, tokenizer):
    kind, examples = small
    rows = kind.rows(examples, tokenizer)
    first, second = kind.predictions(examples, rows, certain(kind, rows))
    assert first["tags"] == ["B-PER", "O", "B-LOC", "I-LOC", "O"]
    assert first["entities"] == [
        {"type": "PER", "start": 0, "end": 4, "text": "Anna", "score": 1.0},
        {"type": "LOC", "start": 8, "end": 16, "text": "New York", "score": 1.0},
    ]
    assert second["entities"] == []


@pytest.mark.parametrize("length", [16, 128])
def test_what_is_certain_comes_back_from_real_sentences(tagged, tokenizer, length):
    kind = Tagging(max_seq_length=length)
    examples = kind.read(tagged, {})
    kind, examples = kind.learn(examples), sampling.first(examples, 500)
    rows = kind.rows(examples, tokenizer)
    assert (len(rows) > 2 * 500) == (length == 16)
    predictions = kind.predictions(examples, rows, certain(kind, rows))
    assert [row["tags"] for row in predictions] == [list(tags) for tags in examples.tags]
    assert kind.scores(examples, predictions)["f1"] == 1.0
    for row in predictions:
        for entity in row["entities"]:
            assert row["text"][entity["start"] : entity["end"]] == entity["text"]
    assert 0.0 < kind.baseline(examples, examples)["f1"] < 1.0


def test_plain_text_is_cut_into_words(tmp_path, small, tokenizer):
    kind, _ = small
    path = tmp_path / "new.txt"
    path.write_text("Who was Anna?\n\n  \nIn\u2028York.\n", "utf-8")
    examples = kind.read(path, {}, labelled=False)
    words = [
        [text[a:b] for a, b in zip(starts, ends, strict=True)]
        for text, starts, ends in zip(*examples[:3], strict=True)
    ]
    assert words == [["Who", "was", "Anna", "?"], ["In", "York", "."]]
    rows = kind.rows(examples, tokenizer, labelled=False)
    assert sorted(w for w in rows.of_tokens["words"] if w >= 0) == [0, 0, 1, 1, 2, 2, 3]


def test_sums_are_those_of_words():
    kind = Tagging(labels=("O", "B-X"))
    logits = tf.constant([[[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]]])
    batch = {"tag_ids": tf.constant([[0, 0, -1]])}
    sums = kind.sums(lambda batch, seed: logits, batch)
    loss = np.log1p(np.exp(-2.0)) + np.log1p(np.exp(1.0))
    assert [float(x) for x in sums["tagging_loss"]] == pytest.approx([loss, 2.0])
    assert [float(x) for x in sums["tagging_accuracy"]] == [1.0, 2.0]
    assert float(kind.weights(batch)["tagging_loss"]) == 2.0


def test_a_tag_unseen_in_training_and_a_table_are_named(small, tmp_path, tokenizer):
    kind, _ = small
    path = tmp_path / "dev.conll"
    path.write_text("Anna\tB-PER\n\nof\tO\nIBM\tB-ORG\n")
    with pytest.raises(InputError, match=r"found tag 'B-ORG' in .*dev.conll, line 4; wanted one"):
        kind.rows(kind.read(path, {}), tokenizer)
    with pytest.raises(InputError, match=r"found a.csv for tagging; wanted a CoNLL file"):
        kind.read("a.csv", {})


def test_words_and_tags_of_parquet_are_those_of_conll(tmp_path):
    (tmp_path / "a.conll").write_text("Anna\tB-PER\nwas\tO\n\nIn\tO\nYork\tB-LOC\n")
    names = {"names": ["O", "B-PER", "B-LOC"], "_type": "ClassLabel"}
    features = {"ner_tags": {"feature": names, "_type": "Sequence"}}
    columns = {"tokens": [["Anna", "was"], ["In", "York"]], "ner_tags": [[1, 0], [0, 2]]}
    table = pyarrow.table(columns).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    kind = Tagging()
    for labelled in (True, False):
        one, other = (kind.read(tmp_path / name, {}, labelled) for name in ("a.conll", "a.parquet"))
        assert one.texts == other.texts and one.tags == other.tags
        np.testing.assert_array_equal(np.concatenate(one.ends), np.concatenate(other.ends))
    assert kind.learn(kind.read(tmp_path / "a.parquet", {})).labels == ("O", "B-LOC", "B-PER")
