"""JSON files of other packages, with wrong values at every place: as for our own files."""

import importlib
import json
import shutil

import pytest

from roots_tf.export import hugging_face
from roots_tf.storage import files
from tests.pipelines.test_json_files import WRONG, changed, outcome, places, read_tokenizer

import_checkpoint = importlib.import_module("pipelines.import")


@pytest.fixture(scope="module")
def folder(work, tmp_path_factory):
    """A folder as transformers saves it, and what stands in older ones."""
    root = tmp_path_factory.mktemp("others")
    hugging_face.write(root / "transformers", work.model)
    for name in ("vocabulary", "google"):
        (root / name).mkdir()
        for file in ("vocab.txt", "tokenizer_config.json"):
            shutil.copy(root / "transformers" / file, root / name)
    config = files.read_json(root / "transformers" / "config.json")
    for key in ("architectures", "model_type", "dtype", "tie_word_embeddings"):
        del config[key]
    files.write_json(root / "google" / "bert_config.json", config)
    return root


def take_in(folder):
    import_checkpoint.main(
        import_checkpoint.Config(from_=str(folder), output=str(folder / "out"), debug=True)
    )


# The file, what reads it, and whether it is read without a word as it was written.
FILES = {
    "vocabulary/tokenizer_config.json": (lambda root: read_tokenizer(root / "vocabulary"), True),
    "transformers/tokenizer_config.json": (lambda root: take_in(root / "transformers"), True),
    "transformers/config.json": (lambda root: take_in(root / "transformers"), True),
    "google/bert_config.json": (lambda root: take_in(root / "google"), False),  # no checkpoint
}


@pytest.mark.parametrize("name", FILES)
def test_wrong_values_at_every_place(name, folder):
    read, whole = FILES[name]
    path = folder / name
    before = path.read_text()
    value = json.loads(before)
    try:
        assert (outcome(folder, path, before, read) == "") == whole
        for number, place in enumerate(places(value)):
            for new in WRONG[number % 3 :: 3] if place else WRONG:
                outcome(folder, path, json.dumps(changed(value, place, new)), read)
        for wrong in ("", before[:-3], "[" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000):
            assert outcome(folder, path, wrong, read) != ""
    finally:
        path.write_text(before)
