"""Ids to text: the graph says what `Tokenizer.decode` says, on any ids."""

import itertools
import json

import pytest
import tensorflow as tf
import tokenizers as hugging_face
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models

from roots_tf import tokenizers
from roots_tf.serving import allowed_ops
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import decoding
from tests.tokenizers.conftest import TEXT

KINDS = ["wordpiece", "bpe", "unigram", "character", "fallback", "added"]
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def byte_fallback() -> tokenizers.Tokenizer:
    """As Llama has it: pieces with spaces, and bytes for what they cannot spell."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "▁the", "é", "\ufffd", "日", "▁▁", "<0x+F>", "<0xG0>", " ", "ï»¿"]
    model = models.BPE({piece: i for i, piece in enumerate(pieces)}, [], byte_fallback=True)
    backend = hugging_face.Tokenizer(model)
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizers.Tokenizer(backend)


def with_added(folder) -> tokenizers.Tokenizer:
    """Byte-level BPE with tokens whose letters stand for bytes that are no text, or for none."""
    backend = tokenizers.load(folder).backend
    backend.add_tokens(["é", "[DRUG]", "naïve☃", " x"])
    return tokenizers.Tokenizer(backend)


@pytest.fixture(scope="module")
def decoded(vocabulary):
    """A tokenizer and its decoding in the graph, by kind; traced once each."""
    made = {}

    def make(kind: str):
        if kind not in made:
            if kind in ("fallback", "added"):  # whose texts are not encoded in the graph
                from roots_tf.tokenizers.graph_decoding import GraphDecoder

                fallback = kind == "fallback"
                tokenizer = byte_fallback() if fallback else with_added(vocabulary("bpe"))
                decode = GraphDecoder(tokenizer)
            else:
                tokenizer = tokenizers.load(vocabulary(kind))
                decode = tokenizer.graph().decode
            signature = [tf.TensorSpec([None, None], tf.int32)]
            traced = [
                tf.function(lambda ids, s=skips: decode(ids, s), input_signature=signature)
                for skips in (False, True)
            ]
            made[kind] = tokenizer, traced
        return made[kind]

    return make


def check(decoded, kind: str, rows: list[list[int]]) -> None:
    """Asserts that the graph says what `Tokenizer.decode` says."""
    tokenizer, traced = decoded(kind)
    width = max(map(len, rows), default=0)
    padded = tf.constant([row + [-1] * (width - len(row)) for row in rows], tf.int32)
    padded = tf.reshape(padded, [len(rows), width])
    for skips in (False, True):
        wanted = [tokenizer.decode(row, skip_special_tokens=skips) for row in rows]
        assert [text.decode() for text in traced[skips](padded).numpy()] == wanted


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@QUICK
def test_any_ids(decoded, kind, data):
    size = decoded(kind)[0].size
    row = st.lists(st.integers(-3, size + 3) | st.integers(0, min(size, 270)), max_size=12)
    check(decoded, kind, data.draw(st.lists(row, max_size=5)))


BYTES = st.sampled_from([0x20, 0x41, 0x80, 0xA0, 0xBF, 0xC0, 0xC3, 0xE0, 0xE4, 0xED, 0xEF, 0xF0])
PARTS = st.binary(max_size=3) | st.text(max_size=2).map(str.encode) | st.lists(BYTES).map(bytes)


@pytest.mark.parametrize("kind", ["bpe", "fallback"])
@given(parts=st.lists(PARTS, max_size=6))
@QUICK
def test_any_bytes(decoded, kind, parts):
    """Overlong, cut and misplaced UTF-8, a byte a token, with pieces of text between."""
    tokenizer = decoded(kind)[0]
    if kind == "bpe":
        from roots_tf.tokenizers.shown import byte_letters

        ids = [tokenizer.vocabulary.index(letter) for letter in byte_letters()]
    else:
        ids = list(range(3, 259))
    piece = tokenizer.vocabulary.index("[MASK]" if kind == "bpe" else "▁the")
    row = [i for part in parts for i in [*(ids[byte] for byte in part), piece]][:-1]
    check(decoded, kind, [row])


@pytest.mark.parametrize("kind", KINDS[:4])
def test_texts_come_back(decoded, kind):
    tokenizer = decoded(kind)[0]
    ids, splits = tokenizer.encode(TEXT.splitlines())
    rows = [ids[a:b].tolist() for a, b in itertools.pairwise(splits)]
    check(decoded, kind, rows)
    ragged = tf.RaggedTensor.from_row_splits(ids, splits)
    texts = [text.decode() for text in tokenizer.graph().decode(ragged).numpy()]
    assert texts == [tokenizer.decode(row) for row in rows]
    if kind in ("bpe", "character"):
        backend = tokenizer.backend.normalizer
        assert texts == [backend.normalize_str(line) for line in TEXT.splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_served_graph_needs_no_trust(decoded, kind):
    graph = decoded(kind)[1][True].get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    assert {node.op for node in nodes} <= allowed_ops.ALLOWED
    assert all(hasattr(tf.raw_ops, node.op) for node in nodes)  # of core TensorFlow, all of them


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "character"])
def test_what_an_id_adds_to_a_text_that_goes_on(decoded, kind):
    tokenizer = decoded(kind)[0]
    pieces = decoding.continuing(tokenizer)
    ids = tokenizer.encode(["the sea, the ship"])[0]
    first, *rest = ids.tolist()
    whole = tokenizer.decode(ids)
    assert tokenizer.decode([first]) + b"".join(pieces[i] for i in rest).decode() == whole
    assert {pieces[i] for i in tokenizer.special_ids} == {b""}


def test_another_decoder_is_refused(vocabulary, tmp_path):
    content = json.loads((vocabulary("bpe") / "tokenizer.json").read_text("utf-8"))
    content["decoder"] = {"type": "BPEDecoder", "suffix": "</w>"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(InputError, match="decoder is BPEDecoder; wanted WordPiece"):
        decoding.table(tokenizers.load(tmp_path))
