"""Texts made of texts: the loss by hand, what training alone does, answers, and where it starts."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import generation, models, tasks
from roots_tf.models.config import DecoderConfig
from roots_tf.storage.files import InputError
from roots_tf.tasks import start
from roots_tf.tasks.target_flags import TargetFlags

PAIRS = [("what was", "the end"), ("who", "in"), ("of the", "the of in and")]
SEED = tf.constant([3, 4])


def learned(folder, pairs=PAIRS, **flags):
    path = folder / "pairs.jsonl"
    rows = [{"source": source, "target": target} for source, target in pairs]
    path.write_text("\n".join(map(json.dumps, rows)))
    kind = tasks.KINDS["sequence_to_sequence"](max_seq_length=64)
    kind = kind.with_targets(TargetFlags(max_target_length=32, **flags))
    examples = kind.read(path, {})
    return kind.learn(examples), examples


def a_batch(kind, examples, tokenizer):
    rows = kind.rows(examples, tokenizer)
    return rows, kind.batcher(rows, tokenizer.pad_id)(tf.range(len(rows)))


def test_the_loss_is_that_of_a_loop_over_the_targets(tmp_path, tokenizer, encoder):
    kind, examples = learned(tmp_path)
    decoder = DecoderConfig.like(encoder, output_bias=True)
    model = kind.make_model(encoder, seed=5, decoder=decoder)
    model.bias.bias.assign(np.linspace(-1, 1, encoder.vocabulary_size))
    nats = count = right = 0
    for source, target in PAIRS:
        ids = [tokenizer.cls_id, *tokenizer.encode([source])[0], tokenizer.sep_id]
        token_ids = tf.constant([ids])
        decoded = model.conditioned(
            {"token_ids": token_ids, "segment_ids": 0 * token_ids, "padding_mask": token_ids >= 0}
        )
        so_far = [tokenizer.cls_id]
        for token in [*tokenizer.encode([target])[0], tokenizer.sep_id]:
            rows = {
                "token_ids": tf.constant([so_far]),
                "padding_mask": tf.ones([1, len(so_far)]) > 0,
            }
            states, _ = decoded.step(rows, rows, decoded.caches(len(so_far)))
            chances = tf.nn.log_softmax(decoded.logits(states[:, -1]))[0].numpy()
            nats, count = nats - chances[token], count + 1
            right += chances.argmax() == token
            so_far.append(int(token))
    rows, batch = a_batch(kind, examples, tokenizer)
    loss, weight = kind.sums(model, batch)["target_loss"]
    assert (float(loss), float(weight)) == (pytest.approx(nats, rel=1e-4), count)
    outputs = kind.outputs(model, batch)
    assert float(tf.reduce_sum(outputs["log_probability"])) == pytest.approx(-nats, rel=1e-4)
    assert int(tf.reduce_sum(outputs["right"])) == right
    scores, texts = dataclasses.replace(kind, generate_samples=0).judged(
        tasks.Predictor(kind, model), examples, rows, 2, tokenizer.pad_id
    )
    assert scores == {
        "target_loss": pytest.approx(nats / count, rel=1e-4), "target_accuracy": right / count,
    }  # fmt: skip
    assert texts == {} and kind.rank(scores) == -scores["target_loss"]
    some = dataclasses.replace(kind, generate_samples=2).on_the_way
    written, texts = some.judged(tasks.Predictor(some, model), examples, rows, 2, tokenizer.pad_id)
    assert {name: written[name] for name in scores} == pytest.approx(scores)
    assert some.rank(written) == written["bleu"] and texts.keys() == {"answers/0", "answers/1"}
    assert texts["answers/0"].startswith('"what was"\n\nright: "the end"\n\nanswer: "')


def test_smoothing_and_r_drop_are_of_training(tmp_path, tokenizer, encoder):
    plain, examples = learned(tmp_path)
    rows, batch = a_batch(plain, examples, tokenizer)
    still = dataclasses.replace(encoder, dropout=0.0)
    model = plain.make_model(still, seed=5)

    def loss(model, seed=SEED, **flags):
        return float(dataclasses.replace(plain, **flags).sums(model, batch, seed)["target_loss"][0])

    assert loss(model, label_smoothing=0.2, seed=None) == loss(model, seed=None) == loss(model)
    chances = tf.nn.log_softmax(model.logits(model(batch)))
    spread = -tf.reduce_sum(tf.reduce_mean(chances, -1) * batch["target_weights"])
    smoothed = 0.8 * loss(model) + 0.2 * float(spread)
    assert loss(model, label_smoothing=0.2) == pytest.approx(smoothed, rel=1e-5)
    # Without dropout both passes agree.
    assert loss(model, label_smoothing=0.2, r_drop=5.0) == pytest.approx(smoothed, rel=1e-5)
    model = plain.make_model(dataclasses.replace(encoder, dropout=0.5, initializer_range=0.2), 5)
    one, two, four = (loss(model, r_drop=weight) for weight in (1e-6, 2.0, 4.0))
    assert four - two == pytest.approx(two - one, rel=1e-3) and two > one
    assert loss(model, r_drop=2.0, seed=None) == loss(model, seed=None)


def test_answers_and_what_the_folder_says(tmp_path, tokenizer, encoder):
    kind, examples = learned(tmp_path, num_beams=3, length_penalty=0.5, label_smoothing=0.1)
    settings = generation.Settings(
        decoding="beam", num_beams=3, length_penalty=0.5, max_new_tokens=32
    )
    assert kind.settings == settings
    decoder = DecoderConfig.like(encoder, start_ids=(tokenizer.sep_id, 40), source_begins=False)
    kind = kind.of_model({"encoder": encoder, "decoder": decoder})
    model = kind.make_model(encoder, seed=5, decoder=decoder)
    models.save(tmp_path / "model", model, **kind.description())
    described = models.describe(tmp_path / "model")
    assert described["task"].keys() == {
        "name", "max_seq_length", "stride", "max_target_length", "metric_language", "settings",
    }  # fmt: skip
    restored = tasks.restore(described)
    assert restored == dataclasses.replace(kind, label_smoothing=0.0, most_rows=1 << 12)
    assert tasks.kind_of(described) == restored
    few = restored.with_settings(generation.Settings(decoding="greedy", max_new_tokens=3))
    blank = few.unlabelled({"source": ["what was", " ", "who"]})
    answers = tasks.answer(few, model, tokenizer, blank, batch_size=2)
    assert [row["source"] for row in answers] == ["what was", " ", "who"]
    assert answers[1] == {"source": " ", "target": "", "score": 0.0}
    with pytest.raises(InputError, match="found an encoder-decoder in .*; wanted an encoder"):
        tasks.refuse_causal(str(tmp_path / "model"))


def test_right_answers_have_the_best_scores(tmp_path):
    kind, examples = learned(tmp_path, [("a b c d e", "e d c b a"), ("f g", "g f")])
    golds = [{"target": gold} for gold in kind.golds(examples)]
    assert kind.scores(examples, golds)["bleu"] == pytest.approx(100)
    scores = kind.baseline(examples, examples)
    assert scores.keys() == kind.scores(examples, golds).keys()
    assert scores["exact_match"] == 1.0  # of the most similar source, which is the same one here
    with pytest.raises(InputError, match="found stride=5 for sequence_to_sequence; wanted 0"):
        dataclasses.replace(kind, stride=5).learn(examples)
    with pytest.raises(InputError, match="found flags of targets with --task=tagging"):
        tasks.KINDS["tagging"]().with_targets(TargetFlags())
    with pytest.raises(InputError, match="found --r_drop=1.0 with --task=tagging"):
        tasks.KINDS["tagging"]().with_targets(TargetFlags(r_drop=1.0))


def test_two_passes_of_a_model_without_dropout_are_refused(encoder):
    kind = tasks.KINDS["sequence_to_sequence"](r_drop=2.0)
    still = dataclasses.replace(encoder, dropout=0.0)
    joined = {"encoder": still, "decoder": DecoderConfig.like(still, attention_dropout=0.1)}
    assert kind.of_model(joined).r_drop == 2.0
    with pytest.raises(InputError, match="found --r_drop=2.0 and a model without dropout"):
        kind.of_model(joined | {"decoder": DecoderConfig.like(still)})


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tokenizer, encoder):
    """Folders of an encoder and of a causal language model."""
    root = tmp_path_factory.mktemp("folders")
    parts = {"num_segments": 0, "embedding_norm": False, "tied": False, "num_layers": 2}
    causal = models.CausalLM(dataclasses.replace(encoder, **parts), seed=8)
    for name, model in (("encoder", models.Pretrainer(encoder, seed=7)), ("gpt", causal)):
        models.save(root / name, model)
        tokenizer.save(root / name)
    return root


def started(**flags):
    flags = start.ModelFlags(**flags)
    kind = tasks.KINDS["sequence_to_sequence"]
    found = start.start_of(flags, kind, 64)
    model = found.make_model(kind().of_model(found.described), seed=1)
    start.load(flags, found, model)
    return found, models.named_weights(model)


def test_both_halves_start_from_folders(folders):
    both = {"init_from": str(folders / "encoder"), "init_decoder": str(folders / "gpt")}
    found, weights = started(**both)
    assert found.decoder.num_layers == 2 and not found.decoder.shares_tokens
    stored = {
        name: models.named_weights(models.load(folders / name)) for name in ("encoder", "gpt")
    }
    for name, weight in weights.items():
        if "cross_attention" in name:
            assert name not in stored["gpt"]
            continue
        theirs = stored["encoder" if name.startswith("encoder/") else "gpt"]
        same = theirs[name.replace("decoder/", "encoder/", 1)]
        np.testing.assert_array_equal(weight.numpy(), same.numpy(), err_msg=name)


def test_a_decoder_starts_from_the_encoder(folders):
    found, weights = started(init_from=str(folders / "encoder"), decoder_layers=1, dropout=0.3)
    assert found.decoder.shares_tokens and found.encoder.dropout == found.decoder.dropout == 0.3
    stored = models.named_weights(models.load(folders / "encoder"))
    names = [name for name in weights if "cross_attention" not in name]
    assert "decoder/embeddings/position" in names and "decoder/embeddings/token" not in names
    for name in names:
        theirs = stored[name.replace("decoder/", "encoder/", 1)]
        np.testing.assert_array_equal(weights[name].numpy(), theirs.numpy(), err_msg=name)
    _, random = started(init_from=str(folders / "encoder"), random_init=True)
    name = "decoder/layer_0/expand/kernel"
    assert (random[name].numpy() != weights[name].numpy()).any()


def test_an_encoder_decoder_goes_on(folders, tmp_path, tokenizer):
    found, weights = started(tokenizer=str(folders / "gpt"), **SIZES, decoder_layers=2)
    assert found.encoder.positions == "learned" and found.decoder.num_layers == 2
    assert found.encoder.initializer_range == pytest.approx(0.02 * 48**0.5)  # 768 / 16
    model = found.make_model(tasks.KINDS["sequence_to_sequence"](), seed=9)
    models.save(tmp_path, model)
    tokenizer.save(tmp_path)
    _, again = started(init_from=str(tmp_path))
    for name, weight in models.named_weights(model).items():
        np.testing.assert_array_equal(again[name].numpy(), weight.numpy())


@pytest.mark.parametrize(("given", "rate"), [({}, 0.0), ({"attention_dropout": 0.2}, 0.2)])
def test_attention_of_the_published_transformer_drops_nothing_unasked(folders, given, rate):
    flags = {"tokenizer": str(folders / "gpt"), "preset": "transformer", "dropout": 0.3}
    found, _ = started(**flags, **SIZES, **given)
    assert (found.encoder.dropout, found.decoder.dropout) == (0.3, 0.3)
    assert (found.encoder.attention_rate, found.decoder.attention_rate) == (rate, rate)


SIZES = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 24}
WRONG = {
    "found no --init_from; wanted a model folder to start from, or --tokenizer": {},
    "found --init_from and --num_layers; wanted --init_from without": {
        "init_from": "encoder", "num_layers": 2,
    },
    "found --size=custom without --num_layers": {"tokenizer": "gpt"},
    "found --init_decoder and no --init_from": {"init_decoder": "gpt", "tokenizer": "gpt"} | SIZES,
    "found a model of kind pretrainer in .*; wanted a causal_lm for --init_decoder": {
        "init_from": "encoder", "init_decoder": "encoder",
    },
    "found different tokenizers in .*encoder and .*other; wanted one": {
        "init_from": "encoder", "init_decoder": "other",
    },
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_what_nothing_can_start_from(message, folders, tmp_path):
    from tests.labelled.test_pair_rows import TOKENIZER

    if not (folders / "other").exists():
        models.save(folders / "other", models.load(folders / "gpt"))
        TOKENIZER.save(folders / "other")
    flags = {
        name: value if isinstance(value, int) else str(folders / value)
        for name, value in WRONG[message].items()
    }
    with pytest.raises(InputError, match=message):
        started(**flags)
