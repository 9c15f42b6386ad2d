"""Checksums in `model.json`: what somebody or something has changed is named."""

import json

import pytest

from roots_tf import tokenizers
from roots_tf.storage import checksums, files
from roots_tf.tokenizers import vocabulary
from roots_tf.tokenizers.tokenizer import wordpiece

TOKENS = [*vocabulary.SPECIAL_TOKENS, "a", "b", "c"]


@pytest.fixture
def folder(tmp_path):
    """A model folder, but for the weights, with the tokenizer written last, as `finetune` does."""
    described = {"kind": "encoder", "encoder": {"vocabulary_size": len(TOKENS)}, "labels": ["é"]}
    described = checksums.with_checksums(tmp_path, described)
    assert list(described[checksums.KEY]) == ["model.json"]
    files.write_json(tmp_path / "model.json", described)
    wordpiece(TOKENS, lowercase=True).save(tmp_path)
    return tmp_path


def test_a_folder_as_it_was_written_is_read(folder):
    sums = files.read_json(folder / "model.json")[checksums.KEY]
    names = [name for name in checksums.TOKENIZER if name != "target_tokenizer.json"]
    assert list(sums) == ["model.json", *names]
    assert sums["vocab.txt"] == files.sha256(folder / "vocab.txt")
    checksums.check(folder, ("model.json", *checksums.TOKENIZER))
    assert tokenizers.load(folder).size == 8
    # Other spaces, and another order of the keys, say the same.
    value = files.read_json(folder / "model.json")
    (folder / "model.json").write_text(json.dumps(dict(reversed(value.items()))))
    checksums.check(folder, ("model.json",))
    wordpiece([*TOKENS[:5], "x", "y"], lowercase=False).save(folder)  # another one, on purpose
    assert tokenizers.load(folder).size == 7


def swap_two_ids(content: str) -> str:
    return content.replace('"a": 5', '"a": 6').replace('"b": 6', '"b": 5')


CHANGES = {
    "two swapped ids": ("tokenizer.json", swap_two_ids),
    "a shorter vocabulary": ("vocab.txt", lambda content: content[:-2]),
    "another rule": ("tokenizer_config.json", lambda content: content.replace("{", '{"x": 1,', 1)),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_tokenizer_is_named_with_what_to_do(folder, case):
    name, change = CHANGES[case]
    before = (folder / name).read_text()
    assert change(before) != before
    (folder / name).write_text(change(before))
    for path in (folder, folder / "tokenizer.json"):
        with pytest.raises(files.InputError) as caught:
            tokenizers.load(path)
        message = str(caught.value)
        assert message.startswith(f"found another {name} in {folder} than was written there (sha")
        assert message.endswith(f'take {name} out of "sha256" in its model.json')
    value = files.read_json(folder / "model.json")
    del value["sha256"][name]
    files.write_json(folder / "model.json", value)
    assert tokenizers.load(folder).size == 8


def test_a_missing_file_and_sums_that_are_none_are_named(folder):
    (folder / "vocab.txt").unlink()
    with pytest.raises(files.InputError, match="found no file .*vocab.txt, which model.json"):
        tokenizers.load(folder)
    for sums, message in (({"vocab.txt": 1}, "found sha256.vocab.txt=1"), ([], "found sha256=a")):
        files.write_json(folder / "model.json", {"sha256": sums})
        with pytest.raises(files.InputError, match=message):
            tokenizers.load(folder)


def test_folders_without_checksums_are_read_as_before(folder):
    value = files.read_json(folder / "model.json")
    del value["sha256"]
    files.write_json(folder / "model.json", value)
    (folder / "vocab.txt").write_text("nothing")
    assert tokenizers.load(folder).size == 8
    wordpiece(TOKENS, lowercase=True).save(folder)
    assert files.read_json(folder / "model.json") == value  # of an older version it stays


def test_more_tokens_than_the_model_has_rows_are_refused(folder):
    files.write_json(folder / "model.json", {"encoder": {"vocabulary_size": 7}})
    with pytest.raises(files.InputError, match="found 8 tokens beside .*with vocabulary_size=7; w"):
        tokenizers.load(folder)
