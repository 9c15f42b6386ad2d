"""Labelled files, their batches, and what is said of a bad line."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.files import InputError
from roots_tf.tasks import classification


def test_tsv_and_json_lines_hold_the_same(tmp_path):
    tsv, lines = tmp_path / "a.tsv", tmp_path / "a.jsonl"
    tsv.write_bytes("\ufeffgood film\tpos\r\n\r\na\ttab inside\tneg\r\n".encode())
    lines.write_text(
        '{"text": "good film", "label": "pos"}\n{"text": "a\\ttab inside", "label": "neg"}\n',
        "utf-8",
    )
    wanted = classification.Labelled(["good film", "a\ttab inside"], ["pos", "neg"])
    assert classification.read(tsv) == wanted
    assert classification.read(lines) == wanted


def test_real_files(data):
    found = classification.read(data / "sst2" / "train.tsv")
    assert len(found.texts) == 6_920
    assert set(found.labels) == {"0", "1"}
    news = classification.read(data / "bbc_news" / "test.jsonl")
    assert len(news.texts) == 223
    assert len(set(news.labels)) == 5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"fine\t1\nno label here\n", "found 'no label here' in .*line 2; wanted text, a"),
        ("a.tsv", b"\t1\n", "line 1"),
        ("a.jsonl", b'{"text": "x"}\n', 'line 1; wanted a JSON object with "text" and "label"'),
        ("a.jsonl", b"[1, 2]\n", "line 1"),
        ("a.tsv", b"", "found no examples"),
        ("a.tsv", b"good\t1\n\xff\xfe\t0\n", "not UTF-8 in .* at offset 7"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        classification.read(tmp_path / name)


def test_a_missing_file_and_an_unseen_label_are_named(tmp_path):
    with pytest.raises(InputError, match="found no file"):
        classification.read(tmp_path / "none.tsv")
    examples = classification.Labelled(["x", "y"], ["a", "c"])
    assert classification.label_ids(examples, ("a", "b", "c"), "dev.tsv").tolist() == [0, 2]
    with pytest.raises(InputError, match="found label 'c' in dev.tsv; wanted one of the 2 labels"):
        classification.label_ids(examples, ("a", "b"), "dev.tsv")


def test_batches_are_a_function_of_seed_and_step():
    features = {"token_ids": np.arange(10)[:, None], "label_ids": np.arange(10)}

    def batches(seed, start, count):
        dataset = classification.train_batches(features, 4, seed, start)
        return [batch["label_ids"].numpy().tolist() for batch in dataset.take(count)]

    whole = batches(7, 0, 10)
    assert batches(7, 4, 6) == whole[4:]
    assert batches(8, 0, 10) != whole
    rows = sum(whole, [])
    for epoch in range(4):
        assert sorted(rows[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert rows[:10] != rows[10:20]


def test_sums_are_the_cross_entropy_and_the_right_answers():
    logits = tf.constant([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    task = classification.Classification(lambda batch, seed: logits)
    sums = task.sums({"label_ids": tf.constant([0, 1, 1])})
    expected = np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0)) + np.log1p(np.exp(3.0))
    assert float(sums["classification_loss"][0]) == pytest.approx(expected)
    assert [float(x) for x in sums["classification_accuracy"]] == [2.0, 3.0]
