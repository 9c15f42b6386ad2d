"""Vectors from pairs and from texts alone: what a file holds, what is compared, what is found."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models, tasks
from roots_tf.labelled.batching import Batching
from roots_tf.storage.files import InputError
from roots_tf.tasks.contrast_flags import ContrastFlags
from roots_tf.tasks.contrastive import Contrastive
from roots_tf.training import optimizers, strategies
from roots_tf.training.step import TrainStep

PAIRS = [
    {"text": "who was in the end", "positive": "the end", "negative": "of", "negative_1": "what"},
    {"text": "a film", "positive": "A  FILM", "negative": None, "negative_1": "the end"},
    {"text": "who was in the end", "positive": "who", "negative": "and", "negative_1": ""},
    {"text": "dull", "positive": "what was that", "negative": "who", "negative_1": "dull"},
]
VALUED = [
    {"text": "the end", "text_pair": "in the end", "value": 5},
    {"text": "of a film", "text_pair": "of films", "value": 4},
    {"text": "who", "text_pair": "what was that", "value": 0},
    {"text": "the end", "text_pair": "dull", "value": 1},
]


def save(folder, rows, name="pairs.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def kind_and_rows(path, tokenizer, **fields):
    kind = Contrastive(max_seq_length=32, **fields)
    examples = kind.read(path, {})
    return kind, examples, kind.rows(examples, tokenizer)


def test_a_row_a_text_and_equal_texts_have_one_number(tmp_path, tokenizer):
    kind, examples, rows = kind_and_rows(save(tmp_path, PAIRS), tokenizer)
    assert rows.group == 4 and len(rows) == 16
    # The tokenizer lower-cases; a blank is no text.
    wanted = [[0, 1, 2, 3], [4, 4, -1, 1], [0, 6, 7, -1], [8, 9, 6, 8]]
    assert rows.of_rows["text_numbers"][::4].tolist() == wanted
    batch = kind.batcher(rows, tokenizer.pad_id)(tf.constant([3, 0]))
    assert batch["text_numbers"].numpy().tolist() == [wanted[3], wanted[0]]
    assert batch["token_ids"].shape[:2] == (2, 4)
    assert "text_numbers" not in kind.rows(examples, tokenizer, labelled=False).of_rows


def test_texts_alone_stand_twice(tmp_path, tokenizer):
    (tmp_path / "texts.txt").write_text("the end\n\nwho\nthe end\n")
    _, examples, rows = kind_and_rows(tmp_path / "texts.txt", tokenizer)
    assert examples.lines == [1, 3, 4]
    assert rows.of_rows["text_numbers"][::2].tolist() == [[0, 0], [1, 1], [0, 0]]
    bounds = zip(rows.row_splits[:-1], rows.row_splits[1:], strict=True)
    tokens = [rows.token_ids[a:b].tolist() for a, b in bounds]
    assert tokens[0::2] == tokens[1::2]


def test_prompts_stand_in_front_and_make_no_text_another(tmp_path, tokenizer):
    rows = [{"text": "who", "positive": "the end"}, {"text": "the end", "positive": "of"}]
    path = save(tmp_path, rows)
    _, _, rows = kind_and_rows(path, tokenizer, text_prompt="a ", positive_prompt="b ")
    first = [tokenizer.vocabulary[rows.token_ids[start + 1]] for start in rows.row_splits[:-1]]
    assert first == ["a", "b", "a", "b"]
    assert rows.of_rows["text_numbers"][::2].tolist() == [[0, 1], [1, 2]]


def trained(kind, rows, tokenizer, encoder, devices=1, accumulate_steps=1, steps=3):
    """Weights and sums of each step, over a batch of all rows."""
    strategy = strategies.make_strategy("mirrored" if devices > 1 else "one_device", devices)
    with strategy.scope():
        task = tasks.to_train(kind, kind.make_model(encoder, seed=1))
        optimizer = optimizers.AdamW([v.value for v in task.model.trainable_variables])
        step = TrainStep(
            task, optimizer, lambda _: 0.01, seed=3, max_grad_norm=0.1,
            accumulate_steps=accumulate_steps,
        )  # fmt: skip
        call = tf.function(step)
        batch = kind.batcher(rows, tokenizer.pad_id)(tf.range(len(rows) // rows.group))
        sums = [call(batch, tf.constant(i, tf.int64)) for i in range(steps)]
        weights = [v.numpy().ravel() for v in task.model.trainable_variables]
    return np.concatenate(weights), tf.nest.map_structure(float, sums)


HOW = {
    "plain": {},
    "all": {"symmetric": True, "matryoshka_widths": (4, 8), "temperature": 0.3},
}


@pytest.mark.parametrize("how", HOW)
def test_the_update_is_that_of_the_whole_batch(how, tmp_path, tokenizer, encoder):
    """However it is cut: micro-batches of one text each have no negatives of their own."""
    still = dataclasses.replace(encoder, dropout=0.0, attention_dropout=0.0)
    kind, _, rows = kind_and_rows(save(tmp_path, PAIRS), tokenizer, **HOW[how])
    one, sums = trained(kind, rows, tokenizer, still)
    for cuts in ((2, 1), (1, 4), (2, 2)):  # devices, micro-batches of each
        weights, found = trained(kind, rows, tokenizer, still, *cuts)
        np.testing.assert_allclose(weights, one, atol=2e-5, err_msg=str(cuts))
        for wanted, step in zip(sums, found, strict=True):
            for name, pair in wanted.items():
                assert step[name] == pytest.approx(pair, rel=1e-3, abs=1e-5), (name, cuts)
    assert sums[-1]["contrastive_loss"][0] < sums[0]["contrastive_loss"][0]


def test_replicas_draw_the_masks_of_micro_batches(tmp_path, tokenizer, encoder):
    (tmp_path / "texts.txt").write_text("the end\nwho\nwhat was that\nof a film\n")
    kind, _, rows = kind_and_rows(tmp_path / "texts.txt", tokenizer)
    micro, sums = trained(kind, rows, tokenizer, encoder, accumulate_steps=2)
    replicas, found = trained(kind, rows, tokenizer, encoder, devices=2)
    np.testing.assert_allclose(replicas, micro, atol=2e-5)
    assert found[0]["contrastive_loss"] == pytest.approx(sums[0]["contrastive_loss"], rel=1e-4)


def test_two_views_have_different_masks_on_every_replica(tmp_path, tokenizer, encoder):
    (tmp_path / "texts.txt").write_text("the end\n" * 4)
    kind, _, rows = kind_and_rows(tmp_path / "texts.txt", tokenizer)
    batch = kind.batcher(rows, tokenizer.pad_id)(tf.range(4))
    strategy = strategies.make_strategy("mirrored", 2)
    with strategy.scope():
        task, drawn = tasks.to_train(kind, kind.make_model(encoder, seed=1)), []

        class Watched(type(task)):
            def sums_of_vectors(self, vectors, batch):
                context = tf.distribute.get_replica_context()
                drawn.append(context.all_gather(vectors, axis=0))
                return super().sums_of_vectors(vectors, batch) | {"drawn": (drawn[-1], 1.0)}

            def sums(self, batch, seed=None):
                return self.sums_of_vectors(self.vectors(batch, seed), batch)

        watched = Watched(task.kind, task.model)
        optimizer = optimizers.AdamW([v.value for v in task.model.trainable_variables])
        step = TrainStep(watched, optimizer, lambda _: 0.0, seed=3, max_grad_norm=0)
        sums = tf.function(step)(batch, tf.constant(0, tf.int64))
    vectors = sums["drawn"][0].numpy().reshape(8, -1)  # of one text
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=-1)
    assert (distances[~np.eye(8, dtype=bool)] > 1e-3).all()


def test_training_finds_positives_and_no_dropout_is_told(tmp_path, tokenizer, encoder):
    kind, _, rows = kind_and_rows(save(tmp_path, PAIRS), tokenizer)
    still = dataclasses.replace(encoder, dropout=0.0)
    _, sums = trained(kind, rows, tokenizer, still, steps=40)
    assert sums[-1]["contrastive_accuracy"] == (4.0, 4.0)
    assert sums[0]["contrastive_loss"][0] > 4 * sums[-1]["contrastive_loss"][0]
    kind.check_model(still)
    (tmp_path / "texts.txt").write_text("the end\nwho\n")
    alone = kind.learn(kind.read(tmp_path / "texts.txt", {}))
    with pytest.raises(InputError, match="found texts alone and a model without dropout"):
        alone.check_model(still)
    alone.check_model(dataclasses.replace(still, attention_dropout=0.1))


def test_scores_of_pairs_and_of_values(tmp_path, tokenizer, encoder):
    kind, pairs, rows = kind_and_rows(save(tmp_path, PAIRS), tokenizer)
    model = kind.make_model(encoder, seed=1)
    outputs = tasks.predict(kind, model, rows, 2, tokenizer.pad_id)
    predictions = kind.predictions(pairs, rows, outputs)
    assert json.loads(json.dumps(predictions)) == predictions
    assert [row["positive"] for row in predictions] == [row["positive"] for row in PAIRS]
    best = [row | {"rank": 1} for row in predictions]
    assert kind.scores(pairs, best)["accuracy"] == 1.0
    by_hand = np.mean([2 - 2 * row["cosine"] for row in predictions])
    assert kind.scores(pairs, predictions)["alignment"] == pytest.approx(by_hand)
    # Of the end (which "who ..." and "a film" have), A FILM, who, what ..., of, what, and, dull.
    assert kind.baseline(pairs, pairs)["accuracy"] == 1 / 8
    assert kind.scored_on(pairs).score == "accuracy"

    valued = kind.read(save(tmp_path, VALUED, "valued.jsonl"), {})
    assert kind.scored_on(valued).score == "spearman"
    rows = kind.rows(valued, tokenizer)
    outputs = tasks.predict(kind, model, rows, 2, tokenizer.pad_id)
    predictions = kind.predictions(valued, rows, outputs)
    wanted = [
        row | {"cosine": row_.get("value") / 5}
        for row, row_ in zip(predictions, VALUED, strict=True)
    ]
    scores = kind.scores(valued, wanted)
    assert scores["spearman"] == pytest.approx(1) and scores["pearson"] == pytest.approx(1)
    assert scores["alignment"] == pytest.approx(0.0)  # of the pair above 4, whose cosine is 1
    assert kind.baseline(pairs, valued)["spearman"] == 0.0
    assert scores.keys() == kind.baseline(pairs, valued).keys()


MISTAKES = {
    "a pair without value": (
        [{"text": "a", "text_pair": "b"}],
        "found text_pair and no positive in .*--columns=positive=text_pair",
    ),
    "a negative alone": ([{"text": "a", "negative_3": "b"}], "found negative_3 and no positive"),
    "a blank positive": (
        [{"text": "a", "positive": "b"}, {"text": "a", "positive": " "}],
        "found no positive in .*line 2; wanted one in every row",
    ),
    "no text": ([{"positive": "b"}], "found no column 'text'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_a_file_cannot_be_is_named(case, tmp_path):
    rows, message = MISTAKES[case]
    with pytest.raises(InputError, match=message) as raised:
        Contrastive().read(save(tmp_path, rows), {})
    assert "\n" not in str(raised.value)


def test_what_cannot_be_learned_is_named(tmp_path, tokenizer, encoder):
    kind, _, rows = kind_and_rows(save(tmp_path, VALUED), tokenizer)
    with pytest.raises(InputError, match="found text_pair and value in .*wanted text and positive"):
        kind.learn(kind.read(save(tmp_path, VALUED), {}))
    with pytest.raises(InputError, match="found stride=4 for contrastive; wanted 0"):
        Contrastive(stride=4).learn(kind.read(save(tmp_path, PAIRS), {}))
    with pytest.raises(InputError, match="found batches of one text"):
        kind.check_batches(rows, Batching(1, 0))
    kind.check_batches(rows, Batching(2, 0))
    _, _, with_negatives = kind_and_rows(save(tmp_path, PAIRS), tokenizer)
    kind.check_batches(with_negatives, Batching(1, 0))  # which has its own negatives
    (tmp_path / "texts.txt").write_text("a\nb\n")
    alone = kind.read(tmp_path / "texts.txt", {})
    for ask in (kind.scored_on, lambda texts: kind.baseline(alone, texts)):
        with pytest.raises(InputError, match="found text alone in .*texts.txt; wanted text, text_"):
            ask(alone)


def test_flags_become_fields(encoder):
    flags = ContrastFlags(0.1, True, ("8", "4", "8"), "query: ", "passage: ")
    kind = Contrastive().with_contrast(flags)
    assert (kind.temperature, kind.symmetric, kind.matryoshka_widths) == (0.1, True, (4, 8))
    kind.check_model(encoder)
    with pytest.raises(InputError, match="found matryoshka_widths=4,8; wanted numbers below 8"):
        kind.check_model(dataclasses.replace(encoder, hidden_dim=8))
    for wrong in ("", "x", "0", "-4", "4.0"):
        with pytest.raises(InputError, match="found --matryoshka_widths=.*wanted numbers above 0"):
            Contrastive().with_contrast(ContrastFlags(matryoshka_widths=(wrong,)))
    with pytest.raises(InputError, match="found --symmetric=True with --task=similarity; wanted"):
        tasks.KINDS["similarity"]().with_contrast(ContrastFlags(symmetric=True))


def test_vectors_are_those_of_the_folder_that_training_starts_from(encoder):
    said = models.EmbeddingSettings("cls", False, 99, {"q": "query: "}, "q")
    kind = Contrastive(max_seq_length=9, positive_prompt="passage: ")
    kind = kind.of_model({"encoder": encoder, "embedding": said})
    assert (kind.pooling, kind.text_prompt, kind.positive_prompt) == ("cls", "query: ", "passage: ")
    found = tasks.embedding_settings(
        {"kind": "encoder", "encoder": encoder} | kind.description(), "folder"
    )
    prompts = {"query": "query: ", "document": "passage: "}
    assert found == models.EmbeddingSettings("cls", True, 9, prompts, "query")
    plain = Contrastive(max_seq_length=9).embedding_settings()
    assert plain == models.EmbeddingSettings("mean", True, 9)
