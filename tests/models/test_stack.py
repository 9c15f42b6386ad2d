"""Stacks that are causal, keep a cache or attend to another stack; and seeds of several stacks."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models, seeds
from roots_tf.models import layers
from roots_tf.models.attention import Context, View, seen_keys
from roots_tf.models.embeddings import Embeddings
from roots_tf.models.stack import Stack
from tests.batches import pretraining_batch
from tests.models import oracle
from tests.models.test_encoder import CONFIG, MODERN, VARIANTS, of_variants, packed_rows

B, L, STEPS = 4, 16, (5, 1, 1, 1, 3, 1, 1, 1, 1, 1)  # tokens that run at once: prefill, then few
WIDER = dataclasses.replace(CONFIG, num_layers=3, window=6, global_every=2)


class Decoder:
    """Embeddings and a causal stack; with cross-attention where there is a `context`."""

    def __init__(self, config, seed=1, cross_attention=False, recompute=False):
        place = seeds.Place(seed, "decoder")
        with keras.name_scope("decoder"):
            self.embeddings = Embeddings(config, place=place / "embeddings")
        self.stack = Stack(
            config, causal=True, cross_attention=cross_attention, recompute=recompute, place=place
        )
        self.variables = self.embeddings.variables + self.stack.variables
        rng = np.random.default_rng(seed)
        for variable in self.variables:
            if len(variable.shape) == 1:
                variable.assign(variable.numpy() + rng.normal(0, 0.2, variable.shape))

    def __call__(self, features, seed=None, context=None):
        """All tokens at once: [B, L, H]."""
        rows = self.embeddings(features, seed=seed)
        *_, last = self.stack.walk(rows, self.stack.views(features), seed, context=context)
        return tf.reshape(last.hidden_states, [*features["token_ids"].shape, -1])

    def step(self, keys, queries, caches, context=None):
        """Some tokens after those of the caches: [B, Lq, H], and the new caches."""
        rows = self.embeddings(queries)
        views = self.stack.views(keys, queries, caches[0].start)
        states = list(self.stack.walk(rows, views, caches=caches, context=context))
        shape = [*queries["token_ids"].shape, -1]
        return tf.reshape(states[-1].hidden_states, shape), [state.cache for state in states]


def text_of(seed=0, **more):
    """Rows without padding, with positions."""
    features = pretraining_batch(seed, B, L, CONFIG.vocabulary_size, 3)
    token_ids = np.random.default_rng(seed).integers(5, CONFIG.vocabulary_size, [B, L])
    return {
        "token_ids": tf.constant(token_ids, tf.int32),
        "segment_ids": features["segment_ids"],
        "padding_mask": tf.ones([B, L], tf.bool),
        "position_ids": tf.tile(tf.range(L)[None], [B, 1]),
    } | more


def context_of(features, queries, length=9, seed=5):
    """States of another stack, of another length, some of them padding; and their mask."""
    rng = np.random.default_rng(seed)
    states = tf.constant(rng.normal(size=[B, length, CONFIG.hidden_dim]), tf.float32)
    inside = tf.sequence_mask([length, length - 4, 3, length], length)
    view = View(queries["token_ids"], seen_keys({"padding_mask": inside}, queries))
    return Context(states, view), inside


def stepwise(decoder, features, context=None, step=None, xla=False):
    """The states of all tokens, [B, L, H], from a few tokens at a time."""
    step, found, at = step or decoder.step, [], 0
    caches = decoder.stack.caches(L, xla)
    for count in STEPS:
        queries = {name: value[:, at : at + count] for name, value in features.items()}
        if context is not None:  # its states are needed once, its view for each number of queries
            view = View(queries["token_ids"], context.view.seen)
            context = Context(context.states if at == 0 else None, view)
        states, caches = step(features, queries, caches, context)
        found.append(states)
        at += count
        assert {int(cache.start) for cache in caches} == {at}
    assert at == L
    return tf.concat(found, 1)


@pytest.mark.parametrize("crossed", [False, True], ids=["alone", "crossed"])
@of_variants()
def test_step_by_step_with_a_cache_is_the_whole_row_at_once(config, crossed):
    decoder, features = Decoder(config, cross_attention=crossed), text_of()
    context = context_of(features, features)[0] if crossed else None
    whole = decoder(features, context=context)
    np.testing.assert_allclose(stepwise(decoder, features, context), whole, atol=2e-5)


@of_variants("bert", "modern")
def test_rows_that_are_padded_on_the_left_and_packed_ones_have_caches_too(config):
    decoder, features = Decoder(config), text_of()
    start = tf.constant([0, 3, 5, 1])[:, None]
    padded = features | {
        "padding_mask": tf.range(L) >= start,
        "position_ids": tf.maximum(tf.range(L) - start, 0),
    }
    found, whole = stepwise(decoder, padded), decoder(padded)
    inside = padded["padding_mask"]
    np.testing.assert_allclose(found[inside], whole[inside], atol=2e-5)
    alone = decoder({name: value[1:2, 3:] for name, value in features.items()} | {
        "position_ids": tf.range(L - 3)[None], "padding_mask": tf.ones([1, L - 3], tf.bool)
    })  # fmt: skip
    np.testing.assert_allclose(found[1, 3:], alone[0], atol=2e-5)

    documents = np.repeat([[1] * 7 + [2] * 9], B, 0)
    positions = np.repeat([[*range(7), *range(9)]], B, 0)
    packed = packed_rows(features["token_ids"].numpy(), documents, positions)
    np.testing.assert_allclose(stepwise(decoder, packed), decoder(packed), atol=2e-5)


def test_a_step_with_a_cache_compiles_whole():
    decoder, features = Decoder(MODERN, cross_attention=True), text_of()
    context, _ = context_of(features, features)

    @tf.function(jit_compile=True)
    def compiled(keys, queries, caches, states, seen):
        context = Context(states, View(queries["token_ids"], seen))
        return decoder.step(keys, queries, caches, context)

    def step(keys, queries, caches, context):
        return compiled(keys, queries, caches, context.states, context.view.seen)

    found = stepwise(decoder, features, context, step, xla=True)
    np.testing.assert_allclose(found, decoder(features, context=context), atol=5e-5)


@of_variants()
def test_no_token_sees_a_later_one(config):
    decoder, features = Decoder(config, cross_attention=True), text_of()
    context, _ = context_of(features, features)
    before = decoder(features, context=context).numpy()
    for place in (0, 7, L - 1):
        token_ids = features["token_ids"].numpy()
        token_ids[:, place] = (token_ids[:, place] - 4) % 45 + 5
        changed = features | {"token_ids": tf.constant(token_ids)}
        after = decoder(changed, context=context).numpy()
        np.testing.assert_array_equal(before[:, :place], after[:, :place])
        assert (np.abs(before[:, place] - after[:, place]).max(-1) > 1e-3).all()


def test_no_gradient_reaches_a_later_token():
    decoder, features = Decoder(WIDER), text_of()
    rows = decoder.embeddings(features)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        *_, last = decoder.stack.walk(rows, decoder.stack.views(features))
        states = tf.reshape(last.hidden_states, [B, L, -1])[:, 6]
    gradient = tf.reshape(tape.gradient(states, rows), [B, L, -1]).numpy()
    assert np.abs(gradient[:, :7]).max(-1).min() > 0
    assert not gradient[:, 7:].any()


@of_variants()
@pytest.mark.parametrize("seed", [None, tf.constant([1, 2])], ids=["plain", "compiled"])
def test_cross_attention_equals_the_oracle(config, seed):
    config = dataclasses.replace(config, dropout=0.0)
    decoder, features = Decoder(config, cross_attention=True), text_of()
    context, inside = context_of(features, features)
    found = decoder(features, seed, context)
    weights = {v.path: v.numpy().astype("float64") for v in decoder.variables}
    for row in range(B):
        expected = oracle.encode(
            weights,
            config,
            features["token_ids"][row].numpy(),
            features["segment_ids"][row].numpy(),
            np.tri(L, dtype=bool),
            np.arange(L),
            "decoder",
            (
                context.states[row].numpy().astype("float64"),
                np.broadcast_to(inside[row], [L, inside.shape[1]]),
            ),
        )
        np.testing.assert_allclose(found[row], expected, atol=1e-4)


def test_padding_of_the_context_changes_nothing():
    decoder, features = Decoder(CONFIG, cross_attention=True), text_of()
    context, inside = context_of(features, features)
    before = decoder(features, context=context)
    for kept, same in ((inside, True), (~inside, False)):
        states = tf.where(kept[:, :, None], context.states, 100.0)
        after = decoder(features, context=Context(states, context.view))
        assert np.array_equal(before, after) == same


def test_packed_texts_see_the_context_of_their_own_document():
    features = text_of(document_ids=tf.constant([[1] * 7 + [2] * 9] * B))
    theirs = {"document_ids": tf.constant([[1] * 4 + [2] * 5] * B)}
    states = context_of(features, features)[0].states
    view = View(features["token_ids"], seen_keys(theirs, features))
    decoder = Decoder(CONFIG, cross_attention=True)
    before = decoder(features, context=Context(states, view)).numpy()
    changed = tf.concat([states[:, :4] + 1.0, states[:, 4:]], 1)
    after = decoder(features, context=Context(changed, view)).numpy()
    np.testing.assert_array_equal(before[:, 7:], after[:, 7:])
    assert (np.abs(before[:, :7] - after[:, :7]).max(-1) > 1e-3).all()


def test_gradients_reach_the_context_with_recomputation_too():
    features, results = text_of(), []
    context, _ = context_of(features, features)
    for recompute in (False, True):
        decoder = Decoder(VARIANTS["pre-norm"], cross_attention=True, recompute=recompute)
        with tf.GradientTape() as tape:
            tape.watch(context.states)
            loss = tf.reduce_sum(decoder(features, tf.constant([1, 2]), context) ** 2)
        sources = [context.states, *(v.value for v in decoder.variables)]
        results.append(list(map(tf.convert_to_tensor, tape.gradient(loss, sources))))
    assert np.abs(results[0][0]).max() > 1e-3
    for kept, again in zip(*results, strict=True):
        np.testing.assert_allclose(kept, again, rtol=1e-4, atol=1e-4)


@of_variants("bert", "modern")
def test_a_walk_gives_states_and_attention(config):
    encoder, batch = models.Encoder(config), pretraining_batch(0, 4, 16, 50, 3)
    states = list(encoder.walk(batch, watched=True))
    assert len(states) == config.num_layers + 1
    np.testing.assert_array_equal(states[-1].hidden_states, encoder(batch))
    assert states[0].scores is None
    for state in states[1:]:
        assert state.hidden_states.shape == (4, 16, config.hidden_dim)
        scores = tf.where(state.seen, state.scores, -1e9)
        np.testing.assert_allclose(tf.nn.softmax(scores), state.weights, atol=1e-6)
    for state in encoder.walk(batch):
        assert state.scores is state.weights is state.seen is state.cache is None


def matrices(variables) -> dict[str, np.ndarray]:
    """Weights that are drawn, by path."""
    found = {v.path: v.numpy() for v in variables if len(v.shape) == 2}
    assert len(found) == sum(len(v.shape) == 2 for v in variables)
    return found


def test_two_stacks_of_a_model_share_no_weights():
    config = dataclasses.replace(CONFIG, dropout=0.2)
    encoders = [models.Encoder(config, seed=1, name=name) for name in ("encoder", "generator")]
    decoder, pretrainer = Decoder(config, cross_attention=True), models.Pretrainer(config, seed=1)
    variables = [v for part in (*encoders, decoder) for v in part.variables]
    variables += [v for v in pretrainer.variables if not v.path.startswith("encoder/")]
    starts = [tuple(value.ravel()[:20]) for value in matrices(variables).values()]
    assert len(starts) == len(set(starts)) == 2 * 11 + 17 + 3


@pytest.fixture
def eagerly():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eagerly")  # or kernels that are compiled already would draw
def test_no_two_places_share_a_dropout_mask(monkeypatch):
    encoder, other = (models.Encoder(CONFIG, name=name) for name in ("encoder", "generator"))
    decoder, classifier = Decoder(CONFIG, cross_attention=True), models.Classifier(CONFIG, 3)
    features, seed, drawn = text_of(), tf.constant([1, 2]), []
    context, _ = context_of(features, features)
    draw = layers.random_words

    def spy(count, seed):
        drawn.append(tuple(seed.numpy()))
        return draw(count, seed)

    monkeypatch.setattr(layers, "random_words", spy)
    other(features, seed=seed)
    decoder(features, seed, context)
    classifier(features, seed=seed)
    an_encoder = 1 + 3 * CONFIG.num_layers
    assert len(drawn) == len(set(drawn)) == an_encoder + (an_encoder + 2 * 2) + (an_encoder + 1)
    encoder(features, seed=seed)  # has the masks of the classifier's encoder
    assert len(set(drawn)) == len(drawn) - an_encoder


def test_a_further_layer_changes_the_start_of_no_other():
    deeper = dataclasses.replace(CONFIG, num_layers=CONFIG.num_layers + 1)
    for make in (lambda config: models.Pretrainer(config, seed=3), Decoder):
        few, more = (matrices(make(config).variables) for config in (CONFIG, deeper))
        assert few.keys() < more.keys()
        for path, value in few.items():
            np.testing.assert_array_equal(value, more[path])
    crossed = matrices(Decoder(CONFIG, cross_attention=True).variables)
    for path, value in few.items():
        np.testing.assert_array_equal(value, crossed[path])


def test_initial_weights_are_those_of_their_path():
    for variable in (*models.Pretrainer(MODERN, seed=3).variables, *Decoder(CONFIG, 3).variables):
        if len(variable.shape) == 2:
            initializer = keras.initializers.TruncatedNormal(
                stddev=0.3, seed=seeds.initial(3, variable.path)
            )
            np.testing.assert_array_equal(variable.numpy(), initializer(variable.shape))
