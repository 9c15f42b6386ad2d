"""The graph tokenizer where it is used: tf.data, tf.function and a SavedModel; and its cost."""

import json
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from roots_tf import tokenizers
from roots_tf.serving import allowed_ops
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import graph as graph_module

TEXTS = ["Unaffable [MASK], isn't it?", "", "日本 über\u0301 \0 \U0001d16d\U0001d165", "x" * 300]
TEXT_OPS = {"FastWordpieceTokenizeWithOffsets"}


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "character"])
def test_mapped_batched_and_eager(vocabulary, model):
    tokenizer = tokenizers.load(vocabulary(model))
    graph = tokenizer.graph()
    eager = graph.tokenize(tf.constant(TEXTS)).to_list()
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(3).map(graph.tokenize)
    assert [row for batch in dataset for row in batch.to_list()] == eager
    ids, splits = tokenizer.encode(TEXTS)
    assert eager == [ids[a:b].tolist() for a, b in zip(splits[:-1], splits[1:], strict=True)]


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "character"])
def test_texts_in_parts(vocabulary, model, monkeypatch):
    graph = tokenizers.load(vocabulary(model)).graph()
    texts = tf.constant([*TEXTS, "\u00e9" * 40, ""])
    whole = [rows.to_list() for rows in graph.tokenize_with_offsets(texts)]
    monkeypatch.setattr(graph_module, "BYTES_AT_ONCE", 7)
    in_parts = tf.function(
        graph.tokenize_with_offsets, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    assert [rows.to_list() for rows in in_parts(texts)] == whole
    assert graph.tokenize(tf.constant([""])).to_list() == [[]]
    assert [rows.to_list() for rows in in_parts(tf.constant([""]))] == [[[]]] * 3
    assert [rows.to_list() for rows in in_parts(tf.constant([], tf.string))] == [[]] * 3


@pytest.mark.slow
def test_saved_model_in_another_process(vocabulary, tmp_path):
    module = tf.Module()
    module.tokenizers = {}
    signatures = {}
    for model in ("wordpiece", "bpe", "unigram", "character"):
        graph = module.tokenizers[model] = tokenizers.load(vocabulary(model)).graph()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def serve(texts, graph=graph):
            tensors = graph.tokenize_with_offsets(texts)
            names = ("ids", "starts", "ends")
            return {name: rows.to_tensor(-1) for name, rows in zip(names, tensors, strict=True)}

        signatures[model] = serve.get_concrete_function()
        assert custom_ops(signatures[model].graph.as_graph_def()) <= TEXT_OPS
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    code = """
import json, sys
import tensorflow as tf, tensorflow_text
texts = tf.constant(json.loads(sys.stdin.read()))
loaded = tf.saved_model.load(sys.argv[1])
assert not any(name.startswith("roots_tf") for name in sys.modules)
outputs = {name: signature(texts) for name, signature in loaded.signatures.items()}
print(json.dumps({n: {k: v.numpy().tolist() for k, v in o.items()} for n, o in outputs.items()}))
"""
    printed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout
    for model, outputs in json.loads(printed).items():
        expected = signatures[model](tf.constant(TEXTS))
        assert outputs == {name: value.numpy().tolist() for name, value in expected.items()}


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "character"])
def test_a_served_graph_needs_no_trust(vocabulary, model):
    graph = tokenizers.load(vocabulary(model)).graph()
    signature = tf.TensorSpec([None], tf.string)
    traced = tf.function(graph.tokenize_with_offsets).get_concrete_function(signature)
    found = traced.graph.as_graph_def()
    nodes = [*found.node, *(node for f in found.library.function for node in f.node_def)]
    assert {node.op for node in nodes} <= allowed_ops.ALLOWED


def custom_ops(graph_def) -> set[str]:
    """Ops outside of TensorFlow's core; a Python function in the graph fails the test."""
    nodes = [*graph_def.node, *(n for f in graph_def.library.function for n in f.node_def)]
    names = {node.op for node in nodes}
    assert not [name for name in names if "PyFunc" in name]
    return {name for name in names if ">" in name or name.startswith(("Fast", "Sentencepiece"))}


ONE_WORD = {
    "one letter": "a",
    "letters": "thequickbrownfoxjumpsoverthelazydog",
    "marks": "\u0301",
    "brackets": "[",
    "specials": "[MASK]",
    "contractions": "'s",
    "kept marks": "\U0001d165\U0001d16d",
    "ideographs": "日本",
    "spaces": " ",
}


# Characters know no words, so one case of them tells all.
@pytest.mark.parametrize(
    ("model", "unit"),
    [(model, unit) for unit in ONE_WORD.values() for model in ("wordpiece", "bpe", "unigram")]
    + [("character", ONE_WORD["specials"])],
)
def test_a_long_word_costs_linear_time(parities, model, unit):
    """200 kB take at most some tens of times as long as 20 kB; quadratic would be 100."""
    parity = parities(model)
    word = unit * (200_000 // len(unit.encode()))
    part = word[: len(word) // 10]

    def seconds(text):
        start = time.monotonic()
        parity.with_offsets(tf.constant([text]))
        parity.tokenizer.encode([text])
        return time.monotonic() - start

    seconds(part[1:])  # what is only done once
    assert seconds(word) < 40 * seconds(part) + 1
    parity.check(["a text beside it", word])


def test_what_the_graph_cannot_do_is_refused(vocabulary, tmp_path):
    settings = json.loads((vocabulary("wordpiece") / "tokenizer.json").read_text("utf-8"))
    changes = {
        "normaliser": {"normalizer": {"type": "NFKC"}},
        "pre-tokenizer": {"pre_tokenizer": {"type": "Whitespace"}},
        "lstrip": {"added_tokens": [settings["added_tokens"][0] | {"lstrip": True}]},
    }
    for word, change in changes.items():
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(settings | change), "utf-8")
        with pytest.raises(InputError, match=word):
            tokenizers.load(path).graph()
