"""Ids to text: the graph and the streams say what `Tokenizer.decode` says, on any ids."""

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
from roots_tf.tokenizers import streams
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
            made[kind] = tokenizer, traced, streams.Decoding(tokenizer)
        return made[kind]

    return make


def check(decoded, kind: str, rows: list[list[int]], sizes: list[int]) -> None:
    """Asserts that graph and streams say what `Tokenizer.decode` says."""
    tokenizer, traced, shared = decoded(kind)
    width = max(map(len, rows), default=0)
    padded = tf.constant([row + [-1] * (width - len(row)) for row in rows], tf.int32)
    padded = tf.reshape(padded, [len(rows), width])
    for skips in (False, True):
        wanted = [tokenizer.decode(row, skip_special_tokens=skips) for row in rows]
        got = [text.decode() for text in traced[skips](padded).numpy()]
        assert got == wanted
        for row, text in zip(rows, wanted, strict=True):
            stream, rest, cuts = shared.stream(skips), list(row), itertools.cycle(sizes)
            said = ""
            while rest:
                size = next(cuts)
                said, rest = said + stream.push(rest[:size]), rest[size:]
                assert text.startswith(said)
            assert said + stream.close() == text


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@QUICK
def test_any_ids(decoded, kind, data):
    size = decoded(kind)[0].size
    row = st.lists(st.integers(-3, size + 3) | st.integers(0, min(size, 270)), max_size=12)
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    check(decoded, kind, data.draw(st.lists(row, max_size=5)), sizes)


BYTES = st.sampled_from([0x20, 0x41, 0x80, 0xA0, 0xBF, 0xC0, 0xC3, 0xE0, 0xE4, 0xED, 0xEF, 0xF0])
PARTS = st.binary(max_size=3) | st.text(max_size=2).map(str.encode) | st.lists(BYTES).map(bytes)


@pytest.mark.parametrize("kind", ["bpe", "fallback"])
@given(parts=st.lists(PARTS, max_size=6), sizes=st.lists(st.integers(1, 3), min_size=1, max_size=2))
@QUICK
def test_any_bytes(decoded, kind, parts, sizes):
    """Overlong, cut and misplaced UTF-8, a byte a token, with pieces of text between."""
    tokenizer = decoded(kind)[0]
    if kind == "bpe":
        from roots_tf.tokenizers.shown import byte_letters

        ids = [tokenizer.vocabulary.index(letter) for letter in byte_letters()]
    else:
        ids = list(range(3, 259))
    piece = tokenizer.vocabulary.index("[MASK]" if kind == "bpe" else "▁the")
    row = [i for part in parts for i in [*(ids[byte] for byte in part), piece]][:-1]
    check(decoded, kind, [row], sizes)


@pytest.mark.parametrize("kind", KINDS[:4])
def test_texts_come_back(decoded, kind):
    tokenizer = decoded(kind)[0]
    ids, splits = tokenizer.encode(TEXT.splitlines())
    rows = [ids[a:b].tolist() for a, b in itertools.pairwise(splits)]
    check(decoded, kind, rows, [1])
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


def test_what_is_held_back(decoded):
    tokenizer = decoded("bpe")[0]
    stream = streams.TextStream(tokenizer)
    ids = tokenizer.encode(["日x"])[0].tolist()
    assert [stream.push([i]) for i in ids][-2:] == ["日", "x"]
    assert stream.push(ids[:1]) == "" and stream.close() == "\ufffd"
    fallback = streams.TextStream(decoded("fallback")[0])
    # E4 B8 AD is one character; with one byte too many each of the four is U+FFFD.
    ids = [3 + byte for byte in (0xE4, 0xB8, 0xAD)]
    assert fallback.push(ids) == "" and fallback.push([260]) == "中 the"
    assert fallback.push([*ids, 3 + 0xE4, 260]) == "\ufffd" * 4 + " the"


def test_another_decoder_is_refused(vocabulary, tmp_path):
    content = json.loads((vocabulary("bpe") / "tokenizer.json").read_text("utf-8"))
    content["decoder"] = {"type": "BPEDecoder", "suffix": "</w>"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(InputError, match="decoder is BPEDecoder; wanted WordPiece"):
        streams.TextStream(tokenizers.load(tmp_path))


def slow_stop(text: str, stops: list[str]) -> tuple[str, str | None]:
    """The text before the string that is complete first, the longest of those; and the string."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - len(max(found, key=len))], max(found, key=len)
    return text, None


@given(
    text=st.text("ab\n", max_size=30),
    stops=st.lists(st.text("ab\n", min_size=1, max_size=5), max_size=4),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
@settings(deadline=None, derandomize=True)
def test_stop_strings_however_the_text_is_cut(text, stops, cuts):
    scanner, said = streams.StopScanner(stops), ""
    for start, end in itertools.pairwise([0, *sorted(cuts), len(text) + 30]):
        said += scanner.push(text[start:end])
        if scanner.found is None:  # nothing is held back but what may begin a stop
            held = text[len(said) : end]
            assert held == "" or any(stop.startswith(held) for stop in stops)
    assert (said + scanner.close(), scanner.found) == slow_stop(text, stops)


def test_an_empty_stop_string_is_refused():
    with pytest.raises(InputError, match="stop string"):
        streams.StopScanner(["a", ""])
