"""Raw text is cut as the training file was, and tags come back to the user's own characters."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import tasks, words
from roots_tf.storage.files import InputError
from roots_tf.tasks.tagging import Tagging

SENTENCE = "国家主席江泽民今天在北京会见了克林顿。"
ENTITIES = {
    "江泽民": "PER",
    "北京": "LOC",
    "克林顿": "PER",
    "ไทย": "LOC",
    "東京": "LOC",
    "BBC": "ORG",
}


def tags_of(tokens: list[str]) -> list[str]:
    """IOB2 tags of the words of a sentence that hold no other text."""
    text, tags, begin = "".join(tokens), [], 0
    for token in tokens:
        tag = "O"
        for name, kind in ENTITIES.items():
            at = text.find(name)
            if at <= begin < at + len(name) and at >= 0:
                tag = f"{'B' if begin == at else 'I'}-{kind}"
        tags.append(tag)
        begin += len(token)
    return tags


def write(path, *sentences):
    path.write_text(
        "\n".join(
            "".join(f"{word}\t{tag}\n" for word, tag in zip(s, tags_of([*s]), strict=True))
            for s in sentences
        ),
        "utf-8",
    )
    return path


def learned(path, **settings) -> Tagging:
    kind = Tagging(**settings)
    return kind.learn(kind.read(path, {}))


def entities_of(kind, tokenizer, text: str) -> list[tuple]:
    """Entities that a model finds in a raw text that is right about every word of `ENTITIES`."""
    examples = kind.unlabelled({"text": [text]})
    tokens = [text[a:b] for a, b in zip(examples.starts[0], examples.ends[0], strict=True)]
    right = [kind.labels.index(tag) for tag in tags_of(tokens)]
    rows = kind.rows(examples, tokenizer, labelled=False)
    found = np.array([right[word] if word >= 0 else 0 for word in rows.of_tokens["words"]])
    outputs = np.split(np.eye(len(kind.labels))[found], rows.row_splits[1:-1])
    (answer,) = kind.predictions(examples, rows, {"probabilities": outputs})
    assert answer["text"] == text
    for entity in answer["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
    return [(entity["text"], entity["type"]) for entity in answer["entities"]]


def test_words_of_a_segmented_file_are_parted_for_a_tagger_of_characters(tmp_path, tokenizer):
    path = write(tmp_path / "a.conll", ["江泽民", "会见", "BBC", "了", "。"])
    kind = Tagging().with_characters()
    examples = kind.read(path, {})
    kind = kind.learn(examples)
    assert kind.word_unit == "characters_and_words"
    assert examples.texts == ["江泽民会见BBC了。"]
    assert examples.tags == [("B-PER", "I-PER", "I-PER", "O", "O", "B-ORG", "O", "O")]
    assert kind.read(path, {}, labelled=False).tags == [()]
    path.write_text("江泽民\tB-PER\n会见\tB-X\n")
    with pytest.raises(InputError, match=r"found tag 'B-X' in .*a.conll, line 2; wanted one of"):
        kind.rows(kind.read(path, {}), tokenizer)


@pytest.mark.parametrize("length", [8, 128])
def test_a_tagger_of_characters_answers_in_places_of_raw_text(tmp_path, tokenizer, length):
    kind = learned(write(tmp_path / "a.txt", SENTENCE, "1998年BBC"), max_seq_length=length)
    assert (kind.word_unit, kind.language) == ("characters", "")
    assert entities_of(kind, tokenizer, SENTENCE) == [
        *[("江泽民", "PER"), ("北京", "LOC"), ("克林顿", "PER")]
    ]
    odd = " 国家　主席😀江 泽\n民，２０在BBC的e\u0301北京 "
    assert entities_of(kind, tokenizer, odd) == [
        *[("江 泽\n民", "PER"), ("BBC", "ORG"), ("北京", "LOC")]
    ]
    assert entities_of(kind, tokenizer, "很" * 300 + SENTENCE)[1] == ("北京", "LOC")
    assert entities_of(kind, tokenizer, " \n") == []


@pytest.mark.parametrize(
    ("sentence", "raw"),
    [
        ([*SENTENCE, *"BBC1998"], SENTENCE + "BBC1998"),
        ([*SENTENCE, "BBC", "1998", "年"], SENTENCE + "BBC 1998年"),
        (["ผม", "รัก", "เธอ"], "ผมรักเธอ"),
        (["江泽民", "会见", "了", "克林顿"], "江泽民会见了克林顿"),
    ],
)
def test_raw_text_is_to_the_model_what_the_file_was(tmp_path, tokenizer, sentence, raw):
    if words.segmenter(words.language_of(raw)).startswith("grapheme"):
        pytest.skip("the segmenter is an extra that is not installed")
    path = write(tmp_path / "a.conll", sentence)
    kind = learned(path)
    trained = kind.rows(kind.read(path, {}), tokenizer)
    asked = kind.rows(kind.unlabelled({"text": [raw]}), tokenizer, labelled=False)
    np.testing.assert_array_equal(asked.token_ids, trained.token_ids)
    np.testing.assert_array_equal(asked.of_tokens["words"], trained.of_tokens["words"])
    assert kind.conditions(kind.read(path, {})) == {
        "word_unit": kind.word_unit,
        "words_as_in_raw_text": 1.0,
    }


def test_words_that_raw_text_does_not_give_are_told(tmp_path, caplog):
    path = write(tmp_path / "a.conll", ["U.N.", "official", "said"])
    kind = learned(path)
    assert kind.conditions(kind.read(path, {}))["words_as_in_raw_text"] == pytest.approx(2 / 3)
    assert "by the unit spaces, which gives 66.7 % of the file's own words" in caplog.text
    kind.unlabelled({"text": ["Anna", SENTENCE]})
    assert "1 of 2 texts are of scripts without spaces, and this tagger learned" in caplog.text


def test_segmented_words_have_no_graph_and_name_another_segmenter(tmp_path, caplog):
    kind = learned(write(tmp_path / "a.conll", ["江泽民", "会见", "了", "克林顿", "。"]))
    assert (kind.word_unit, kind.language) == ("segmented", "zh")
    assert kind.segmenter == words.segmenter("zh")
    assert tasks.restore(kind.description()) == kind
    with pytest.raises(
        InputError,
        match=r"found a tagger of segmented words \(rjieba.*no graph.*--word_unit=characters",
    ):
        kind.served(None, None)
    kind.unlabelled({"text": [SENTENCE]})
    assert "are cut here by" not in caplog.text
    described = kind.description()
    described["task"]["segmenter"] = "rjieba 0.0.1"
    tasks.restore(described).unlabelled({"text": [SENTENCE]})
    assert f"are cut here by {kind.segmenter}, and those of training by rjieba 0.0.1" in caplog.text


def test_the_served_graph_cuts_as_python_does(tokenizer, encoder):
    texts = [SENTENCE, "who 国　was\n👩\u200d👧 BBC１９９８", "", "the of 国家" * 40]
    kind = Tagging(max_seq_length=24, labels=("O", "B-LOC", "I-LOC"), word_unit="characters")
    model = kind.make_model(encoder, seed=3)
    for variable in model.trainable_variables:
        variable.assign(10 * variable)  # so that answers differ
    wanted = tasks.answer(kind, model, tokenizer, kind.unlabelled({"text": texts}), batch_size=4)
    served = kind.served(model, tokenizer)
    outputs = served.answers({"text": tf.constant(texts)})
    found = served.predictions({k: v.numpy() for k, v in outputs.items()}, {"text": texts})
    assert len({*sum((row["tags"] for row in found), [])}) > 1
    for row, same in zip(found, wanted, strict=True):
        assert row["tags"] == same["tags"]
        for entity, other in zip(row["entities"], same["entities"], strict=True):
            assert entity == other | {"score": pytest.approx(other["score"], abs=1e-4)}
