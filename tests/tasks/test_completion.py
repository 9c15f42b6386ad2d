"""Answers to prompts: the loss is over the answer alone, and what greedy decoding would give."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import generation, models, tasks
from roots_tf.labelled import chat
from roots_tf.labelled.token_rows import RowBatcher
from roots_tf.storage.files import InputError

PAIRS = [("what was", "the end"), ("who", "in"), ("of the", "the of in and")]


def learned(folder, length=64, pairs=PAIRS):
    path = folder / "pairs.jsonl"
    lines = [json.dumps({"prompt": prompt, "answer": answer}) for prompt, answer in pairs]
    path.write_text("\n".join(lines))
    kind = tasks.KINDS["completion"](max_seq_length=length)
    examples = kind.read(path, {})
    return kind.learn(examples), examples


def test_the_loss_is_that_of_a_loop_over_the_answers(tmp_path, tokenizer, encoder):
    kind, examples = learned(tmp_path)
    model = kind.make_model(encoder, seed=5)
    rows = kind.rows(examples, tokenizer)
    nats = count = 0
    for prompt, answer in PAIRS:
        before = [tokenizer.cls_id, *tokenizer.encode([prompt])[0]]
        after = [*tokenizer.encode([answer])[0], tokenizer.sep_id]
        ids = tf.constant([[*before, *after]], tf.int32)
        features = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": ids >= 0}
        chances = tf.nn.log_softmax(model.logits(model(features)))[0].numpy()
        for place in range(len(before) - 1, ids.shape[1] - 1):
            nats, count = nats - chances[place, ids[0, place + 1]], count + 1
    batch = RowBatcher(rows, tokenizer.pad_id)(tf.constant([0, 1, 2]))
    loss, weight = kind.sums(model, batch)["answer_loss"]
    assert (float(loss), float(weight)) == (pytest.approx(nats, rel=1e-4), count)
    assert float(kind.weights(batch)["answer_loss"]) == count
    outputs = tasks.predict(kind, model, rows, 2, tokenizer.pad_id)
    scores = kind.scores(examples, kind.predictions(examples, rows, outputs))
    assert scores["log_likelihood"] == pytest.approx(-nats / count, rel=1e-4)
    # In the graph of training the length of a row is not known; the blocks are the same.

    @tf.function(
        input_signature=[{name: tf.TensorSpec([3, None], x.dtype) for name, x in batch.items()}]
    )
    def of_any_length(batch):
        return kind.sums(model, batch)["answer_loss"][0]

    assert float(of_any_length(batch)) == pytest.approx(nats, rel=1e-4)


def test_an_exact_match_is_what_greedy_decoding_gives(tmp_path, tokenizer, encoder):
    kind, _ = learned(tmp_path)
    model = kind.make_model(encoder, seed=5)
    prompts = ["what was", "who"]
    ids = [[tokenizer.cls_id, *tokenizer.encode([prompt])[0]] for prompt in prompts]
    settings = generation.Settings(decoding="greedy", max_new_tokens=4)
    answers = []
    for row in ids:
        found = generation.generate(
            model, tf.constant([row]), tf.constant([len(row)]), tf.zeros([1, 2], tf.int32),
            settings, eos_id=tokenizer.sep_id, pad_id=tokenizer.pad_id,
        )  # fmt: skip
        answers.append(found.ids.numpy()[0, : int(found.lengths[0])])
    # Rows of the ids themselves, as not all ids come back from their text.
    lengths = [len(row) + len(answer) for row, answer in zip(ids, answers, strict=True)]
    batch = {
        "token_ids": tf.ragged.constant(
            [[*row, *answer] for row, answer in zip(ids, answers, strict=True)], dtype=tf.int32
        ).to_tensor(),
        "padding_mask": tf.sequence_mask(lengths),
        "is_answer": tf.ragged.constant(
            [[0] * len(row) + [1] * len(answer) for row, answer in zip(ids, answers, strict=True)],
            dtype=tf.int32,
        ).to_tensor(-1),
    }
    batch["segment_ids"] = tf.zeros_like(batch["token_ids"])
    outputs = kind.outputs(model, batch)
    assert outputs["right"].numpy().tolist() == outputs["tokens"].numpy().tolist()
    assert outputs["tokens"].numpy().tolist() == [len(answer) for answer in answers]
    # Another answer is not what the model would have given.
    other = tf.where(batch["is_answer"] == 1, (batch["token_ids"] + 1) % 7, batch["token_ids"])
    outputs = kind.outputs(model, batch | {"token_ids": other})
    assert np.all(outputs["right"] < outputs["tokens"])


def test_long_conversations_are_cut_and_those_without_an_answer_do_not_count(
    tmp_path, tokenizer, caplog
):
    kind, examples = learned(tmp_path, 8, [*PAIRS, ("abcdefghijkl", "m")])
    rows = kind.rows(examples, tokenizer)
    assert rows.lengths.max() == 8
    assert rows.num_examples == 4
    found = [{"tokens": 2, "log_probability": -1.0, "right": 2}] * 3
    none = {"tokens": 0, "log_probability": 0.0, "right": 0}
    assert kind.scores(examples, [*found, none])["exact_match"] == 1.0
    kind, examples = learned(tmp_path, 8, [("abcdefghijkl", "m")])
    with pytest.raises(InputError, match="found no answer in .* that begins within 8 tokens"):
        kind.rows(examples, tokenizer)


def test_the_folder_is_one_of_a_causal_language_model(tmp_path, tokenizer, encoder):
    kind, _ = learned(tmp_path)
    model = kind.make_model(models.EncoderConfig(**vars(encoder) | {"causal": True}), seed=5)
    models.save(tmp_path / "model", model, **kind.description())
    described = models.describe(tmp_path / "model")
    assert described["kind"] == "causal_lm"
    assert described["encoder"] == encoder  # whose kind says that it is causal
    assert chat.of(described) == chat.PLAIN
    assert tasks.restore(described) == kind
    assert tasks.kind_of(described) is None
    assert chat.of({"kind": "causal_lm"}) is None


def test_an_output_embedding_of_its_own_is_started_from(tmp_path, encoder):
    own = dataclasses.replace(encoder, tied=False)
    pretrained = models.CausalLM(own, seed=1)
    models.save(tmp_path, pretrained)
    model = models.CausalLM(own, seed=2)
    models.load_encoder(tmp_path, model)
    for one, other in zip(pretrained.variables, model.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def test_kinds_and_stacks_go_together():
    for name, is_causal in (("completion", True), ("classification", True), ("tagging", False)):
        tasks.check_stack(tasks.KINDS[name], is_causal, "folder")
    with pytest.raises(InputError, match="found a model in folder whose tokens see later ones"):
        tasks.check_stack(tasks.KINDS["completion"], False, "folder")
    for name in ("tagging", "question_answering", "similarity"):
        with pytest.raises(InputError, match=f"found a causal model in folder.*--task={name}; wan"):
            tasks.check_stack(tasks.KINDS[name], True, "folder")
