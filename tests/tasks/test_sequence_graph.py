"""The served graph of an encoder-decoder: the strings that Python writes, whatever is sent."""

import re
import sys

import pytest
import tensorflow as tf

from roots_tf import models, tasks, tokenizers
from roots_tf.export import answering, saved_model
from roots_tf.generation import Settings
from roots_tf.generation.sources import Sources, ids_of
from roots_tf.tasks.sequence_graph import BLANK
from roots_tf.tasks.served_graph import concrete
from tests.tasks import translators

TEXTS = [
    "A man in a blue shirt.",
    "",
    "A man [MASK] in [SEP][SEP] </s><s> <pad>, \0 and \ufffd",
    "Ünïcödé — “quotes”, ﬁ ligature, ½, 漢字, emoji 👩‍👧.",
    "\u3000\u2028 ",
    "word " * 60,
]


@pytest.fixture(scope="module", params=["wordpiece", "unigram"])
def parts(request, tmp_path_factory):
    """A kind, its model and its tokenizer, and answers of the graph by signature."""
    folder = tmp_path_factory.mktemp("translator")
    start = {"start_ids": (0,), "source_begins": False} if request.param == "unigram" else {}
    start["forces_end"] = request.param == "unigram"
    translators.write(folder, request.param, **start)
    kind = tasks.restore(models.describe(folder))
    model, tokenizer = models.load(folder), tokenizers.load(folder)
    served = kind.served(model, tokenizer)
    return kind, model, tokenizer, served, served.signatures()


def ask(parts, texts):
    *_, signatures = parts
    found = signatures["serving_default"](text=tf.constant(texts, tf.string))
    return {name: value.numpy() for name, value in found.items()}


def test_targets_are_those_of_predict(parts):
    kind, model, tokenizer, served, _ = parts
    outputs = ask(parts, TEXTS)
    assert outputs["targets"].shape == outputs["scores"].shape == (len(TEXTS), 3)
    found = served.predictions(outputs, {"text": TEXTS})
    wanted = answering.predictions(kind, model, tokenizer, {"text": TEXTS})
    assert not saved_model.difference(found, wanted, 2e-5, precise=True)
    assert len({row["target"] for row in wanted}) > 3
    assert [wanted[i]["target"] for i in (1, 4)] == ["", ""]
    assert (outputs["targets"][:, 0] == outputs["target"]).all()
    assert (outputs["scores"][:, 0] >= outputs["scores"][:, 1]).all()
    assert not outputs["scores"][[1, 4]].any() and not outputs["targets"][1].any()


def test_real_sentences_get_the_strings_of_predict(parts, data):
    kind, model, tokenizer, served, _ = parts
    texts = (data / "multi30k_en_de" / "test_2016_flickr.en").read_text("utf-8").splitlines()[:30]
    texts += (data / "multi30k_en_de" / "test_2016_flickr.de").read_text("utf-8").splitlines()[:10]
    found = served.predictions(ask(parts, texts), {"text": texts})
    wanted = answering.predictions(kind, model, tokenizer, {"text": texts})
    assert not saved_model.difference(found, wanted, 2e-5, precise=True)


def test_ids_are_answered_with_ids(parts):
    kind, model, tokenizer, served, signatures = parts
    rows = kind.rows(kind.unlabelled({"source": TEXTS[:3]}), tokenizer, labelled=False)
    rows = [rows.sources.row(i) for i in range(3)]
    features = served.features({"text": tf.constant(TEXTS[:3])})
    ids = {name: tf.cast(feature, tf.int32) for name, feature in features.items()}
    sent = tf.RaggedTensor.from_tensor(
        ids["token_ids"], lengths=tf.reduce_sum(ids["padding_mask"], 1)
    )
    assert sent.to_list() == [row.tolist() for row in rows]
    found = signatures["ids"](**ids)
    wanted = Sources(model, kind.settings, **ids_of(tokenizer, model.decoder_config))
    for place, targets in enumerate(wanted.targets(rows, 3)):
        for beam, target in enumerate(targets):
            written = found["target_ids"][place, beam].numpy()
            assert tuple(i for i in written.tolist() if i != -1) == target.ids
            assert float(found["scores"][place, beam]) == pytest.approx(target.score, abs=2e-5)


def test_greedy_decoding_is_that_of_python(tmp_path):
    folder = translators.write(tmp_path)
    kind = tasks.restore(models.describe(folder))
    kind = kind.with_settings(Settings("greedy", max_new_tokens=10))
    model, tokenizer = models.load(folder), tokenizers.load(folder)
    served = kind.served(model, tokenizer)
    given = {"text": tf.constant(TEXTS)}
    answers = concrete(served.answers, {"text": tf.TensorSpec([None], tf.string)})
    outputs = {name: value.numpy() for name, value in answers(**given).items()}
    assert outputs["targets"].shape == (len(TEXTS), 1)
    wanted = answering.predictions(kind, model, tokenizer, {"text": TEXTS})
    found = served.predictions(outputs, {"text": TEXTS})
    assert not saved_model.difference(found, wanted, 2e-5, precise=True)


def test_blank_is_what_python_strips():
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    found = tf.strings.regex_full_match(tf.constant(characters), BLANK).numpy()
    blank = [character for character, is_blank in zip(characters, found, strict=True) if is_blank]
    assert blank == [character for character in characters if character.isspace()]
    assert re.fullmatch(r"\s*", "".join(blank))
