"""Queries and what is relevant to them, by ids of a corpus."""

import json

import pytest

from roots_tf.labelled import relevance
from roots_tf.storage.files import InputError


def save(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_ids_become_places(tmp_path):
    corpus = save(tmp_path / "c.jsonl", [{"id": "a", "text": "one"}, {"id": 7, "text": "two"}])
    queries = [{"text": "x", "relevant": ["7", "a", "7"]}, {"text": "y", "relevant": 7}]
    queries = save(tmp_path / "q.jsonl", [*queries, {"text": "z", "relevant": "a 7"}])
    found = relevance.read(corpus, queries)
    assert found == (["one", "two"], ["x", "y", "z"], [[1, 0], [1], [0, 1]])


def test_what_is_wrong_is_named(tmp_path):
    corpus = save(tmp_path / "c.jsonl", [{"id": "a", "text": "one"}])
    queries = save(tmp_path / "q.jsonl", [{"text": "x", "relevant": ["b"]}])
    with pytest.raises(InputError, match="found 'b' as relevant in .*q.jsonl, line 1; wanted ids"):
        relevance.read(corpus, queries)
    save(tmp_path / "q.jsonl", [{"text": "x", "relevant": []}])
    with pytest.raises(InputError, match="found no relevant in .*line 1"):
        relevance.read(corpus, queries)
    save(corpus, [{"id": "a", "text": "one"}, {"id": "a", "text": "two"}])
    with pytest.raises(InputError, match="found the id 'a' in .*line 2 and in .*line 1; wanted an"):
        relevance.read(corpus, queries)
