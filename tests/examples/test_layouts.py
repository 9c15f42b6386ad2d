"""What of a document is tokenised apart: sentences, and texts that no person wrote."""

import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from roots_tf import examples
from roots_tf.examples import layouts, records
from tests.examples.split_records import split_contiguous


@pytest.mark.parametrize(
    "language, text, wanted",
    [
        ("en", "Mr. Smith came.\nHe left. Yes.", ["Mr. Smith came.", "He left.", "Yes."]),
        ("de", "Das gilt z. B. hier. Dort nicht.", ["Das gilt z. B. hier.", "Dort nicht."]),
        ("ja", "今日は。明日は。", ["今日は。", "明日は。"]),
        ("en", "今天好。他说：“走！”你呢？", ["今天好。", "他说：“走！”", "你呢？"]),
        ("en", "\n \n", []),
    ],
)  # fmt: skip
def test_sentences_of_real_languages(language, text, wanted):
    assert [s.strip() for s in layouts.sentences(text, language)] == wanted


@pytest.mark.parametrize("text", ["文。" * 60_000, "word " * 60_000, "x" * 300_000, "a. " * 90_000])
def test_a_paragraph_without_end_takes_linear_time_and_loses_nothing(text):
    began = time.monotonic()
    found = layouts.sentences(text, "en")
    assert time.monotonic() - began < 20
    assert "".join(found).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "text", ["", "a\nb", "one line\n" * 500, "x" * 2500, "line\n" + "y" * 2500]
)
def test_a_text_cut_into_pieces_loses_nothing(text):
    pieces = layouts.cut_text(text, 1000, "\n")
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 1000
    if "one" in text:
        assert all(piece.endswith("\n") for piece in pieces if piece)


def test_every_document_can_be_put_together_from_contiguous_records(contiguous):
    texts = {}
    for path in contiguous.documents.glob("*.parquet"):
        table = pq.read_table(path)
        for doc_id, text in zip(*(table[n].to_pylist() for n in ("id", "text")), strict=True):
            texts[records.digest("document", doc_id) % 2**32] = text
    found = {}
    for part in contiguous.manifest["splits"].values():
        for shard in part["shards"]:
            for record in records.read(contiguous.folder / shard["name"])[1:]:
                document, place, ids = split_contiguous(np.frombuffer(record, "<u2"))
                assert found.setdefault(document, {}).setdefault(place, ids) is ids
    assert found.keys() == texts.keys()
    for document, pieces in found.items():
        pieces = [pieces[place] for place in sorted(pieces)]
        assert {len(ids) for ids in pieces[:-1]} <= {64}
        wanted, _ = contiguous.tokenizer.encode([texts[document]])
        assert np.concatenate(pieces).tolist() == wanted.tolist()


def test_the_graph_decodes_contiguous_records_as_they_were_written(contiguous):
    shard = contiguous.folder / contiguous.manifest["splits"]["train"]["shards"][0]["name"]
    content = records.read(shard)[1:200]
    found = examples.decode_contiguous(tf.constant(content), contiguous.manifest)
    assert found.ids.shape == [199, 64]
    for row, record in enumerate(content):
        document, place, ids = split_contiguous(np.frombuffer(record, "<u2"))
        assert int(found.document[row]) % 2**32 == document
        assert (found.place[row], found.lengths[row]) == (place, len(ids))
        assert found.ids[row].numpy().tolist() == ids.tolist() + [0] * (64 - len(ids))


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_numbers_of_32_bits_pass_through_the_graph(dtype):
    ids, numbers = np.arange(5), np.array([3_000_000_000, 7, 65_536], np.uint32)
    words, lengths = records.encode_contiguous(
        ids, np.array([0, 1, 2]), np.array([1, 3, 0]), numbers, np.array([70_000, 0, 1]), dtype
    )
    content = [part.tobytes() for part in np.split(words, np.cumsum(lengths)[:-1])]
    manifest = {"word": dtype, "max_seq_length": 4}
    found = examples.decode_contiguous(tf.constant(content), manifest)
    assert (found.document.numpy().view(np.uint32) == numbers).all()
    assert found.place.numpy().tolist() == [70_000, 0, 1]
    assert found.ids.numpy().tolist() == [[0, 0, 0, 0], [1, 2, 3, 0], [0, 0, 0, 0]]
