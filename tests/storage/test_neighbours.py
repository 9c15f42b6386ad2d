"""What may have been meant by a name that is not there, and by a folder of another kind."""

import pytest

from roots_tf import models, tokenizers
from roots_tf.examples import manifest
from roots_tf.storage import files, neighbours
from roots_tf.storage.files import InputError

FILES = (
    *("novels/Emma.txt", "novels/Persuasion.txt", "data/train.tsv", "data/dev.tsv"),
    *("shards/examples-00001-of-00002.tfrecord", "work/run/model/model.json"),
    *("work/run/checkpoints/ckpt-9.index", "work/run/metrics.jsonl", "work/seeds/seed-0/x"),
    *("work/seeds/seed-0/model/model.json", "work/seeds/seed-1/model/model.json"),
    *("work/examples/manifest.json", "work/examples/tokenizer/tokenizer.json"),
    *("work/documents/documents-00000-of-00001.parquet", "work/served/1/saved_model.pb"),
    *("work/bert/model.safetensors", "work/bert/tokenizer.json", "work/other/notes.md"),
)


@pytest.fixture
def at(tmp_path, monkeypatch):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("novel/*.txt", "; did you mean novels/*.txt?"),
        ("novels/*.text", "; did you mean novels/*.txt?"),
        ("novel", "; did you mean novels?"),
        ("nvels/emma.txt", "; did you mean novels/Emma.txt?"),
        ("data/train.tvs", "; did you mean data/train.tsv?"),
        ("./data/Dev.tsv", "; did you mean ./data/dev.tsv?"),
        ("wrok/run/modle", "; did you mean work/run/model?"),
        ("shards/examples-00000-of-00002.tfrecord", ""),  # another shard is no suggestion
        ("novels/Ulysses.txt", ""),
        ("work/bert/model", ""),  # no misspelling of model.safetensors
        ("poems/*.txt", ""),
        ("novels/*", ""),  # it is there
        ("novels/[", ""),
        ("", ""),
    ],
)
def test_a_name_that_is_not_there(at, name, message):
    assert neighbours.suggestion(name) == message


def test_an_absolute_name(at):
    assert neighbours.suggestion(at / "novles") == f"; did you mean {at}/novels?"


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("work/run", "; did you mean work/run/model?"),
        ("work/run/", "; did you mean work/run/model?"),
        ("work/run/checkpoints", "; did you mean work/run/model?"),
        ("work/run/model/model.json", "; did you mean work/run/model?"),
        ("work/seeds", "; did you mean work/seeds/seed-0/model or work/seeds/seed-1/model?"),
        ("work/rum/model", "; did you mean work/run/model?"),
        ("work/examples", "; work/examples holds examples, for pretrain --examples"),
        ("work/documents", "; work/documents holds documents, for build-examples --input"),
        ("work/served", "; work/served holds an exported model, for serve"),
        ("work/bert", "; work/bert holds a checkpoint of another library, for import"),
        ("work/other", ""),
        ("nothing", ""),
    ],
)
def test_a_folder_that_holds_no_model(at, folder, message):
    assert neighbours.instead(folder, "model.json") == message


def test_messages_that_suggest(at):
    with pytest.raises(InputError) as error:
        files.expand("novel/*.txt")
    assert str(error.value) == (
        "found no file that matches 'novel/*.txt'; wanted at least one input; did you mean "
        "novels/*.txt?"
    )
    with pytest.raises(InputError) as error:
        models.describe("work/run")
    assert str(error.value) == (
        "found no model.json in work/run; wanted a model folder, such as the `model` folder that "
        "pretrain or finetune writes when it ends; did you mean work/run/model?"
    )
    with pytest.raises(InputError) as error:
        manifest.load("work/run/model")
    assert str(error.value) == (
        "found no work/run/model/manifest.json; wanted a folder that build-examples has finished: "
        "run it (again); work/run/model holds a model, for fill-mask, predict, generate, "
        "embed and export"
    )
    with pytest.raises(InputError, match=r"one; did you mean work/examples/tokenizer\?$"):
        tokenizers.load("work/examples")


def test_folders_that_may_not_be_looked_at_are_passed_over():
    # Below the root stand such as /proc/1/cwd, of another's program.
    assert isinstance(neighbours.instead("/", "no-such-file.json"), str)
