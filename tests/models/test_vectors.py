"""What a model folder says of its vectors: read, checked, and overridden out loud."""

import dataclasses
import logging

import pytest

from roots_tf import models
from roots_tf.models import EmbeddingSettings
from roots_tf.storage.files import InputError

SAID = EmbeddingSettings("cls", True, 16, {"query": "query: ", "passage": ""}, "query")


def test_settings_come_back_from_the_description_of_a_folder():
    assert models.embedding_settings({"embedding": dataclasses.asdict(SAID)}, "m") == SAID
    assert models.embedding_settings({"kind": "encoder"}, "m") == EmbeddingSettings()
    assert (SAID.prompt, SAID.length(64), SAID.length(8)) == ("query: ", 16, 8)
    assert (EmbeddingSettings().prompt, EmbeddingSettings().length(64)) == ("", 64)
    assert str(SAID) == "pooling=cls, l2_normalize=true, max_seq_length=16, prompt 'query: '"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"pooling": "max"}, "found pooling='max' in embedding of model.json in m; wanted one of"),
        ({"max_seq_length": 2}, "found max_seq_length=2 .*; wanted a number from 3"),
        ({"l2_normalize": 1}, "found l2_normalize=1 .*; wanted true or false"),
        ({"default_prompt_name": "query"}, "found the prompt name 'query'; wanted .*no prompts"),
        ({"dense": 3}, "found 'dense' in embedding of .*; wanted no keys but pooling"),
        (["mean"], "wanted a JSON object"),
    ],
)
def test_what_is_no_setting_is_named(found, message):
    with pytest.raises(InputError, match=message):
        models.embedding_settings({"embedding": found}, "m")


def test_flags_override_and_it_is_told(caplog):
    with caplog.at_level(logging.WARNING):
        assert SAID.with_flags() == SAID
        assert EmbeddingSettings().with_flags("cls", True) == EmbeddingSettings("cls", True)
    assert caplog.text == ""  # nobody has said otherwise
    with caplog.at_level(logging.WARNING):
        EmbeddingSettings(l2_normalize=True).with_flags("cls")
    assert "the model folder says pooling=mean; flags say cls" in caplog.text
    with caplog.at_level(logging.WARNING):
        found = SAID.with_flags("mean", False, 32, "")
    assert found == EmbeddingSettings("mean", False, 32, SAID.prompts)
    for line in (
        "the model folder says pooling=cls; flags say mean",
        "the model folder says l2_normalize=True; flags say False",
        "the model folder says max_seq_length=16; flags say 32",
        "the model folder says default_prompt_name=query; flags say None",
    ):
        assert line in caplog.text
    assert SAID.with_flags(prompt_name="passage").prompt == ""
    with pytest.raises(InputError, match="prompt name 'document'; wanted one of query, passage"):
        SAID.with_flags(prompt_name="document")
