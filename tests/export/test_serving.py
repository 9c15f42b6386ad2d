"""What is served answers as `roots predict` does, whatever is sent, alone and in company."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import export
from roots_tf import inference, models, tasks
from roots_tf.export import answering, embedding, saved_model
from roots_tf.serving import allowed_ops
from roots_tf.tokenizers import tokenizer as tokenizers

LENGTH = 24
TAGS = ("O", "B-LOC", "B-PER", "I-LOC", "I-PER")
KINDS = {
    "classification": tasks.KINDS["classification"](LENGTH, labels=("no", "perhaps", "yes")),
    "windows": tasks.KINDS["classification"](LENGTH, stride=7, labels=("no", "perhaps", "yes")),
    "pairs": tasks.KINDS["classification"](LENGTH, labels=("no", "yes"), pairs=True),
    "regression": tasks.KINDS["regression"](LENGTH, stride=11, mean=50.0, deviation=9.0),
    "similarity": tasks.KINDS["similarity"](LENGTH, lowest=1.0, highest=5.0),
    "contrastive": tasks.KINDS["contrastive"](
        LENGTH, pooling="cls", text_prompt="the ", positive_prompt="of "
    ),
    "multiple_choice": tasks.KINDS["multiple_choice"](LENGTH, num_choices=3),
    "tagging": tasks.KINDS["tagging"](LENGTH, labels=TAGS),
    "tagging_far": tasks.KINDS["tagging"](
        LENGTH, stride=20, labels=TAGS, word_unit="characters_and_words"
    ),
    "question_answering": tasks.KINDS["question_answering"](96),
    "unanswerable": tasks.KINDS["question_answering"](96, stride=9, answerable=False),
}
SLOW = {"classification", "regression", "tagging_far", "question_answering"}
each_kind = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in KINDS],
)
SENTENCES = [
    "The captain of the ship.",
    "",
    "who was in Málaga, and 漢字?",
    "a" * 70,
    "\0 ½ ﬁ \ufffd",
    "a-b c_d. " * 12,
    "[MASK] [SEP] the",
    "\u202e  \t\n",
    "Was she? She was, in the end.",
]
texts = st.text(st.one_of(st.sampled_from("abc the,. _-é\u3000"), st.characters(codec="utf-8")))


@functools.cache
def tokenizer():
    """Cuts nearly everything into letters, so that words have many pieces."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"-,.?[]_", *letters]
    return tokenizers.wordpiece(
        [*tokens, *(f"##{c}" for c in letters), "the", "of"], lowercase=True
    )


def config(length: int) -> models.EncoderConfig:
    return models.EncoderConfig(
        vocabulary_size=tokenizer().size, num_layers=1, hidden_dim=16, num_heads=2,
        intermediate_dim=32, max_sequence_length=length,
        initializer_range=0.6,  # so large that texts get different answers
    )  # fmt: skip


@functools.cache
def served(name: str):
    """A kind, a model of random weights, and the graph of its signatures."""
    kind = KINDS[name]
    model = kind.make_model(config(kind.max_seq_length), seed=5)
    made = kind.served(model, tokenizer())
    return kind, model, made, made.signatures()


def columns(name: str, sentences: list[str]) -> dict[str, list]:
    """Inputs of a kind: sentences, and in further columns others of them."""
    made, found = served(name)[2], {}
    for place, (key, shape) in enumerate(made.inputs.items()):
        turned = sentences[place:] + sentences[:place]
        found[key] = [[text, "b", text[::-1]] for text in turned] if shape else turned
    return found


def ask(name: str, inputs: dict[str, list], signature: str = "serving_default"):
    *_, signatures = served(name)
    sent = {key: tf.constant(value, tf.string) for key, value in inputs.items()}
    return {key: value.numpy() for key, value in signatures[signature](**sent).items()}


def same(name: str, sentences: list[str]) -> None:
    kind, model, made, _ = served(name)
    inputs = columns(name, sentences)
    found = made.predictions(ask(name, inputs), inputs)
    wanted = answering.predictions(kind, model, tokenizer(), inputs)
    assert not saved_model.difference(found, wanted, 2e-5, precise=True)


@each_kind
def test_answers_are_those_of_predict(name):
    same(name, SENTENCES)
    kind, model, _, _ = served(name)
    wanted = answering.predictions(kind, model, tokenizer(), columns(name, SENTENCES))
    keys = ("label", "value", "choice", "tags", "answer", "cosine")
    answers = {json.dumps(row[key]) for row in wanted for key in keys if key in row}
    assert len(answers) > 1  # of a model that sees no difference nothing would be shown


@pytest.mark.parametrize(
    "name",
    [
        "tagging",
        *(pytest.param(k, marks=pytest.mark.slow) for k in ("windows", "pairs", "unanswerable")),
    ],
)
def test_answers_to_whatever_is_written(name):
    @settings(max_examples=30, deadline=None)
    @given(st.lists(texts, min_size=1, max_size=5))
    def run(sentences):
        same(name, sentences)

    run()


@each_kind
def test_an_answer_does_not_depend_on_its_neighbours(name):
    sentences = [*SENTENCES, "long text, " * 60]
    made, inputs = served(name)[2], columns(name, sentences)
    together = made.predictions(ask(name, inputs), inputs)
    for i in (0, 1, len(sentences) - 1):
        alone = {key: value[i : i + 1] for key, value in inputs.items()}
        found = made.predictions(ask(name, alone), alone)
        assert not saved_model.difference(found, together[i : i + 1], 1e-5, precise=True)
    none = ask(name, {key: np.zeros([0, *shape], "U1") for key, shape in made.inputs.items()})
    assert all(len(value) == 0 for value in none.values())


@each_kind
def test_bytes_that_are_no_text_are_answered(name):
    hostile = [b"\xff\xfe bytes", b"a\x00b", b"\xe6\xbc", b"\xed\xa0\x80 surrogate", b"the " * 5000]
    made = served(name)[2]
    inputs = {
        key: [[text] * shape[0] for text in hostile] if shape else hostile
        for key, shape in made.inputs.items()
    }
    for value in ask(name, inputs).values():
        assert value.dtype == object or np.isfinite(value).all()


@pytest.mark.slow
def test_ten_thousand_strings_in_batches_of_1_to_512():
    strings = [b"the ship " * 116_509, b"\xe6\xbc " * 350_000]  # a megabyte each

    @settings(max_examples=1_000, deadline=None, database=None, derandomize=True)
    @given(st.one_of(texts, st.binary()))
    def collect(text):
        strings.append(text if isinstance(text, bytes) else text.encode())

    collect()
    drawn, random = strings[2:], np.random.default_rng(0)
    seen = set(drawn)
    while len(strings) < 10_000:  # the end of one after the beginning of another
        one, other = (drawn[i] for i in random.integers(len(drawn), size=2))
        cuts = random.integers(len(one) + 1), random.integers(len(other) + 1)
        if (text := one[: cuts[0]] + other[cuts[1] :]) not in seen:
            strings.append(text)
            seen.add(text)

    def answers(order):
        """Rows of flat numbers and strings, by index of the text."""
        found = {}
        while len(order):
            now = random.choice([1, 7, 64, 512], p=[0.02, 0.08, 0.1, 0.8])
            some, order = order[:now], order[now:]
            outputs = ask("windows", {"text": [strings[i] for i in some]})
            for row, i in enumerate(some):
                found[i] = {key: np.asarray(value[row]) for key, value in outputs.items()}
        return found

    once = answers(np.arange(len(strings)))
    again = answers(random.permutation(len(strings)))
    for i, first in once.items():
        for key, value in first.items():
            other = again[i][key]
            if value.ndim:  # as wide as the widest of the batch
                least = min(len(value), len(other))
                value, other = value[:least], other[:least]
            if value.dtype.kind == "f":
                assert np.isfinite(value).all()
                np.testing.assert_allclose(value, other, atol=1e-5)
            else:
                assert (value == other).all(), (strings[i], key)


@each_kind
def test_serialised_examples_are_answered_alike(name):
    inputs = columns(name, SENTENCES)

    def serialised(i: int) -> bytes:
        listed = {k: v[i] if isinstance(v[i], list) else [v[i]] for k, v in inputs.items()}
        features = {
            key: tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[text.encode() for text in value])
            )
            for key, value in listed.items()
        }
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    rows = [serialised(i) for i in range(len(SENTENCES))]
    found = ask(name, {"examples": rows}, "examples")
    for key, value in ask(name, inputs).items():
        np.testing.assert_array_equal(found[key], value)


@each_kind
def test_ids_do_not_care_what_the_padding_holds(name):
    *_, made, signatures = served(name)
    inputs = {key: tf.constant(value) for key, value in columns(name, SENTENCES).items()}
    features = made.features(inputs)
    inside = features["padding_mask"]
    wanted = made.of_ids(features)
    for rubbish in (0, -1, 10**9):
        sent = {
            key: tf.where(inside, features[key], rubbish)
            for key in ("token_ids", *(["segment_ids"] * made.has_segments))
        }
        found = signatures["ids"](**sent, padding_mask=tf.cast(inside, tf.int32))
        for key, value in found.items():
            if value.dtype == tf.string:
                assert value.numpy().tolist() == wanted[key].numpy().tolist()
            else:
                np.testing.assert_allclose(value, wanted[key], atol=1e-5)


def test_too_many_tokens_are_refused():
    *_, signatures = served("classification")
    ids = tf.ones([1, LENGTH + 1], tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="takes rows of 1 to 24 tokens"):
        signatures["ids"](token_ids=ids, padding_mask=ids)


ONES = [[1, 1, 1]] * 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"padding_mask": [[1, 1, 1]]}, r"takes \w+ of the shape of padding_mask"),
        ({"padding_mask": [[1], [1]]}, r"takes \w+ of the shape of padding_mask"),
        ({"token_ids": [[1, 1, 1]]}, r"takes \w+ of the shape of padding_mask"),
        ({"token_ids": [[1], [1]]}, r"takes \w+ of the shape of padding_mask"),
        ({"segment_ids": [[1], [1]]}, r"takes \w+ of the shape of padding_mask"),
        ({"token_ids": [[1, 1, -1]] * 2}, "takes token_ids of 0 to"),
        ({"token_ids": [[1, 1, 10**6]] * 2}, "takes token_ids of 0 to"),
        ({"segment_ids": [[1, 1, 2]] * 2}, "takes segment_ids of 0 to 1"),
        ({"segment_ids": [[-1, 1, 1]] * 2}, "takes segment_ids of 0 to 1"),
        ({"padding_mask": [[7, 5, 9]] * 2}, "takes padding_mask of 0 to 1"),
        ({"padding_mask": [[1, -1, 1]] * 2}, "takes padding_mask of 0 to 1"),
        ({name: [[], []] for name in ("token_ids", "segment_ids", "padding_mask")}, "1 to"),
    ],
)
def test_ids_that_are_not_of_the_model_are_refused(changed, message):
    for kind in ("pairs", "classification"):  # with segments, and without
        *_, made, signatures = served(kind)
        sent = {"token_ids": ONES, "segment_ids": ONES, "padding_mask": ONES} | changed
        if not made.has_segments:
            del sent["segment_ids"]
        ids = {name: tf.constant(value, tf.int32) for name, value in sent.items()}
        if made.has_segments or set(changed) != {"segment_ids"}:
            with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                signatures["ids"](**ids)


@each_kind
def test_an_export_needs_no_trust(name):
    for function in served(name)[-1].values():
        graph = function.graph.as_graph_def()
        nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
        assert {node.op for node in nodes} <= allowed_ops.ALLOWED


def test_places_are_in_the_text_that_was_sent():
    text = "Who? The  Málaga ship, of 漢字."
    made = served("tagging")[2]
    found = made.predictions(ask("tagging", {"text": [text]}), {"text": [text]})[0]
    assert found["entities"]
    assert all(
        entity["text"] == text[entity["start"] : entity["end"]] for entity in found["entities"]
    )
    answer = ask("question_answering", {"question": ["who"], "context": [text]})
    start, end = answer["spans"][0]
    assert answer["answer"][0].decode() == text[start:end] != ""


@functools.cache
def pretrained():
    model = models.Pretrainer(config(LENGTH), seed=3)
    made = embedding.Embedding(model, tokenizer())
    return model, made, made.signatures()


def test_vectors_of_tokens_with_their_places():
    model, made, signatures = pretrained()
    found = signatures["tokens"](text=tf.constant(["The ship", "", "b" * 50]))
    ids, spans = found["token_ids"].numpy(), found["spans"].numpy()
    assert spans[0, :7].tolist() == [[-1, -1], [0, 3], [4, 5], [5, 6], [6, 7], [7, 8], [-1, -1]]
    assert (spans[1] == -1).all()
    assert spans[2, :4].tolist() == [[-1, -1], [0, 1], [1, 2], [2, 3]]
    rows = made.rows({"text": tf.constant(["The ship", "", "b" * 50])})
    np.testing.assert_array_equal(ids, rows.features["token_ids"])
    wanted = model.encoder(rows.features)
    inside = rows.features["padding_mask"].numpy()
    np.testing.assert_allclose(found["token_embeddings"].numpy()[inside], wanted[inside], atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_vectors_of_texts(pooling):
    model = models.PooledEncoder(config(LENGTH), pooler=True, seed=3)
    settings = models.EmbeddingSettings(pooling, True, 9, {"query": "the b"}, "query")
    made = embedding.Embedding(model, tokenizer(), settings)
    found = made.signatures()["serving_default"](text=tf.constant(SENTENCES))["embedding"]
    wanted = [row["embedding"] for row in embedding.embeddings(made, {"text": SENTENCES})]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)


def test_masks_are_filled_as_fill_mask_does():
    model, _, signatures = pretrained()
    sent = ["the [MASK] of [MASK]", "none", "[MASK]"]
    found = signatures["fill_mask"](text=tf.constant(sent))
    pieces, chances = found["pieces"].numpy(), found["probabilities"].numpy()
    assert pieces.shape == (3, 2, 5)
    assert (pieces[1] == b"").all() and (chances[1] == 0).all()
    for row, text in ((0, sent[0]), (2, sent[2])):
        wanted = inference.fill(text, model, tokenizer(), 5)["masks"]
        for place, best in enumerate(wanted):
            assert [piece.decode() for piece in pieces[row, place]] == [b["piece"] for b in best]
            np.testing.assert_allclose(chances[row, place], [b["probability"] for b in best], 1e-4)
    none = signatures["fill_mask"](text=tf.constant([], tf.string))
    assert none["pieces"].shape == (0, 0, 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["regression", "similarity", "contrastive", "multiple_choice", "tagging", "unanswerable"],
)  # classifiers and encoders are exported in `tests/pipelines/test_export.py`
def test_each_kind_is_exported(name, tmp_path):
    kind, model, _, _ = served(name)
    models.save(tmp_path / "model", model, labels=kind.labels, task=tasks.describe(kind))
    tokenizer().save(tmp_path / "model")
    path = export.main(export.Config(model=str(tmp_path / "model"), output=str(tmp_path / "out")))
    beside = {path.name for path in Path(path).iterdir()}
    assert {"README.md", "ops.json", "requests", "saved_model.pb", "variables"} <= beside
    inputs = columns(name, SENTENCES)
    sent = {key: tf.constant(value) for key, value in inputs.items()}
    found = tf.saved_model.load(path).signatures["serving_default"](**sent)
    for key, value in ask(name, inputs).items():
        if value.dtype == object:
            assert found[key].numpy().tolist() == value.tolist()
        else:
            np.testing.assert_allclose(found[key], value, atol=1e-5)


def test_bfloat16_answers_in_float32():
    kind = KINDS["classification"]
    model = models.Classifier(config(LENGTH), 3, precision="mixed_bfloat16")
    signatures = kind.served(model, tokenizer()).signatures()
    outputs = signatures["serving_default"](text=tf.constant(SENTENCES))
    assert outputs["probabilities"].dtype == tf.float32
    np.testing.assert_allclose(tf.reduce_sum(outputs["probabilities"], -1), 1, atol=1e-5)
