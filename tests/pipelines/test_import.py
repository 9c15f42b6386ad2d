"""`import`: which folder is whose, the flag that is a keyword, and nothing half-written."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import roots_tf
from pipelines import export
from roots_tf import models, tasks
from roots_tf.storage.files import InputError

import_checkpoint = importlib.import_module("pipelines.import")
ROOT = Path(roots_tf.__file__).parents[1]


@pytest.fixture(scope="module")
def hugging_face(work, tmp_path_factory):
    """A Hugging Face folder of the pretrained model."""
    folder = str(tmp_path_factory.mktemp("hugging_face") / "bert")
    return export.main(export.Config(model=work.model, output=folder, format="huggingface"))


def test_the_program_takes_the_flag_from(work, hugging_face, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.import", f"--from={hugging_face}",
         f"--output={tmp_path}/model"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, other = (
        safetensors.numpy.load_file(Path(folder, "model.safetensors"))
        for folder in (work.model, tmp_path / "model")
    )
    assert set(one) == set(other)
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array, err_msg=name)
    described = models.describe(tmp_path / "model")
    assert described["encoder"] == models.describe(work.model)["encoder"]
    assert (tmp_path / "model" / "model.safetensors").stat().st_mode & 0o044 == 0o044


def test_an_imported_classifier_can_be_asked(work, tmp_path):
    config = models.describe(work.model)["encoder"]
    ours = tmp_path / "ours"
    models.save(ours, models.Classifier(config, 2, seed=1), labels=("no", "yes"))
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (ours / name).write_bytes(Path(work.model, name).read_bytes())
    bert = str(tmp_path / "bert")
    export.main(export.Config(model=str(ours), output=bert, format="huggingface"))
    back = tmp_path / "back"
    import_checkpoint.main(import_checkpoint.Config(from_=bert, output=str(back)))
    kind = tasks.restore(models.describe(back))
    assert (kind.name, kind.labels) == ("classification", ("no", "yes"))
    assert kind.max_seq_length == config.max_sequence_length


def test_what_is_no_checkpoint_is_named(work, tmp_path):
    empty, file = tmp_path / "empty", tmp_path / "file"
    empty.mkdir()
    file.write_text("{}")
    cases = [
        ("nowhere/", "found no folder nowhere/; wanted that of a checkpoint"),
        (empty, "found neither config.json nor bert_config.json"),
        (file, "found no folder"),
        (work.model, "found a model folder in .* already"),
    ]
    for folder, message in cases:
        with pytest.raises(InputError, match=message):
            import_checkpoint.main(
                import_checkpoint.Config(from_=str(folder), output=str(tmp_path / "out"))
            )
    for content, message in [
        ("[1]", "found a list in .*wanted a JSON object"),
        ("{", "found no JSON in"),
    ]:
        (empty / "config.json").write_text(content)
        with pytest.raises(InputError, match=message):
            import_checkpoint.main(
                import_checkpoint.Config(from_=str(empty), output=str(tmp_path / "out"))
            )
    assert not (tmp_path / "out").exists()


def test_debug_checks_and_writes_nothing(hugging_face, tmp_path):
    found = import_checkpoint.main(
        import_checkpoint.Config(from_=hugging_face, output=str(tmp_path / "out"), debug=True)
    )
    assert found["untrained"] == []
    config = Path(hugging_face, "config.json")
    (tmp_path / "config.json").write_text(
        json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 9})
    )
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).symlink_to(Path(hugging_face, name))
    with pytest.raises(InputError, match="found no weight encoder.layer"):
        import_checkpoint.main(
            import_checkpoint.Config(from_=str(tmp_path), output=str(tmp_path / "out"), debug=True)
        )
    assert not (tmp_path / "out").exists()
