"""Models that go to a hub and come from it by name, with their cards; presets from Kaggle."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import kagglesdk.kaggle_env
import pytest
from huggingface_hub import ModelCard

from pipelines import export, fill_mask, finetune
from roots_tf import hubs, models
from roots_tf.export import card_head
from roots_tf.storage import claims, files
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.tokenizer import wordpiece
from tests.export.conftest import VOCABULARY
from tests.hubs import kaggle
from tests.hubs.conftest import hub  # noqa: F401  (a fixture)
from tests.hubs.server import TOKEN, sha256

import_checkpoint = importlib.import_module("pipelines.import")
ROOT = Path(__file__).parents[2]


def take_in(name: str, output, **flags) -> dict:
    config = import_checkpoint.Config(from_=name, output=str(output), **flags)
    return import_checkpoint.main(config)


def weights_of(folder) -> dict[str, bytes]:
    return {n: v.numpy().tobytes() for n, v in models.named_weights(models.load(folder)).items()}


def test_a_model_goes_to_the_hub_and_comes_back(hub, classifier, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / "ships").mkdir()
    (tmp_path / "ships" / "model").symlink_to(classifier)
    flags = hubs.PushFlags(
        push_to="me/ships", license="apache-2.0", language=("en",), datasets=("me/texts",)
    )
    out = export.Config(
        model=str(tmp_path / "ships" / "model"),
        output=str(tmp_path / "hf"),
        format="huggingface",
        hub=flags,
    )
    export.main(out)
    repository = hub.repositories["me/ships"]
    commit = repository.refs["main"]
    assert capsys.readouterr().out.splitlines()[-1] == f"{hub.url}/me/ships/commit/{commit}"
    data = ModelCard(repository.head["README.md"].decode()).data
    assert (data.license, data.language, data.datasets) == ("apache-2.0", ["en"], ["me/texts"])
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    assert "--push_to=me/ships --license=apache-2.0" in repository.head["README.md"].decode()
    said = take_in("me/ships", tmp_path / "back", revision=commit)
    assert said["source"] == {
        "hub": "huggingface", "name": "me/ships", "revision": commit, "commit": commit,
        "sha256": {"model.safetensors": sha256(repository.head["model.safetensors"])},
    }  # fmt: skip
    assert weights_of(tmp_path / "back") == weights_of(classifier)
    again = export.Config(
        model=str(tmp_path / "back"), output=str(tmp_path / "again"), format="huggingface"
    )
    export.main(again)
    assert ModelCard.load(tmp_path / "again" / "README.md").data.base_model == "me/ships"
    with pytest.raises(InputError, match="found a model in me/ships"):
        export.main(out)


def test_nothing_is_written_where_the_push_cannot_go(hub, classifier, tmp_path):  # noqa: F811
    flags = hubs.PushFlags(push_to="me/ships")
    with pytest.raises(InputError, match="and no token"):
        export.main(export.Config(model=classifier, output=str(tmp_path / "out"), hub=flags))
    assert not (tmp_path / "out").exists()


def test_scores_of_a_run_stand_in_the_head():
    report = {"test_f1_macro": 0.75, "test_accuracy": 0.8, "dev_accuracy": 0.9, "seeds": []}
    scores = card_head.scores(report, ["dev_accuracy", "test_f1_macro", "test_accuracy"])
    about = card_head.About("transformers", "mit", ("en", "zh-Hant"), ())
    said = {"base": "a/b", "title": "船 🚢", "scores": scores, "data": "x/test.tsv"}
    head = "\n".join(
        card_head.lines(card_head.keys(about, "text-classification", ["bert"], **said))
    )
    data = ModelCard(head + "\n# 船\n").data
    assert data.to_dict()["model-index"] == [{
        "name": "船 🚢",
        "results": [{
            "task": {"type": "text-classification"},
            "dataset": {"name": "test.tsv", "type": "test.tsv"},
            "metrics": [
                {"type": "f1", "value": 0.75, "name": "test f1_macro"},
                {"type": "accuracy", "value": 0.8, "name": "test accuracy"},
            ],
        }],
    }]  # fmt: skip
    assert (data.base_model, data.metrics) == ("a/b", ["f1", "accuracy"])


def test_the_base_is_that_of_the_folder_that_training_began_with(tmp_path):
    files.write_json(tmp_path / "model.json", {"source": {"hub": "huggingface", "name": "a/b"}})
    began = {"init_from": str(tmp_path), "inputs": {"init_from": claims.content(str(tmp_path))}}
    assert card_head.base({}, began) == "a/b"
    files.write_json(tmp_path / "model.json", {"source": {"hub": "huggingface", "name": "c/d"}})
    assert card_head.base({}, began) == ""  # another model stands there now
    assert card_head.base({"source": {"hub": "kaggle", "name": "k/b"}}, {}) == ""
    assert card_head.base({}, {"init_from": str(tmp_path / "gone")}) == ""


def test_a_program_that_wants_a_folder_names_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "google-bert/bert-base-uncased"
    command = f"`roots import --from={name} --output=work/bert-base-uncased` makes a folder of it"
    with pytest.raises(InputError, match=command):
        fill_mask.main(fill_mask.Config(model=name, text="a [MASK]"))
    config = finetune.Config(output="out", train="x.tsv", dev="x.tsv")
    with pytest.raises(InputError, match=command):
        finetune.main(finetune.program.replace(config, init_from=name))
    with pytest.raises(InputError, match="found --revision and --from=folder/; wanted it with a"):
        take_in("folder/", "out", revision="main")
    Path("google-bert").mkdir()
    with pytest.raises(InputError, match="found no folder google-bert/bert-base-uncased; wanted"):
        take_in(name, "out")


def test_one_line_of_a_process_that_has_the_hub_in_its_environment(hub, tmp_path):  # noqa: F811
    hub.add("a/pickled", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    about = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.import", "--from=a/pickled", f"--output={tmp_path}/out"],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | about,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("I"))
    assert "found only pytorch_model.bin, a pickle, which can run code as it is read" in line
    assert line.endswith("[wrong-format]")
    assert TOKEN not in done.stdout + done.stderr
    assert (tmp_path / "home" / "hub" / "models--a--pickled").is_dir()
    assert not (tmp_path / "out").exists()


@pytest.fixture
def preset(tmp_path, monkeypatch):
    """Kaggle with a preset of keras-hub, and the model folder that it was made of."""
    ours = tmp_path / "ours"
    config = models.EncoderConfig(
        vocabulary_size=len(VOCABULARY), num_layers=1, num_heads=2, hidden_dim=8,
        intermediate_dim=12, max_sequence_length=20, activation="gelu_tanh",
    )  # fmt: skip
    models.save(ours, models.PooledEncoder(config, pooler=True))
    wordpiece(VOCABULARY, lowercase=True).save(ours)
    out = export.Config(model=str(ours), output=str(tmp_path / "preset"), format="keras_hub")
    folder = Path(export.main(out))
    assert ModelCard.load(folder / "README.md").data.library_name == "keras-hub"
    paths = [path for path in folder.rglob("*") if path.is_file()]
    with kaggle.running({str(p.relative_to(folder)): p.read_bytes() for p in paths}) as server:
        of_env = kagglesdk.kaggle_env
        monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
        monkeypatch.setitem(of_env._env_to_endpoint, of_env.KaggleEnv.LOCAL, server.url)
        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
        server.ours = ours
        yield server


def test_a_preset_of_keras_hub_by_name(preset, tmp_path):
    name = "keras_hub:bert_tiny_en_uncased"
    preset.status = 403
    with pytest.raises(
        InputError, match="found that Kaggle wants consent or a key for keras/bert/"
    ):
        take_in(name, tmp_path / "out")
    preset.status, preset.cut = 0, 1
    with pytest.raises(InputError, match="not whole in the cache .*, and Kaggle not to be reached"):
        take_in(name, tmp_path / "out")
    said = take_in(name, tmp_path / "out")
    assert weights_of(tmp_path / "out") == weights_of(preset.ours)
    assert said["source"] | {"sha256": {}} == {
        "hub": "kaggle", "name": "keras/bert/keras/bert_tiny_en_uncased", "revision": "3",
        "preset": "bert_tiny_en_uncased", "sha256": {},
    }  # fmt: skip
    assert said["source"]["sha256"] == {
        "model.weights.h5": sha256(preset.files["model.weights.h5"])
    }
    preset.asked.clear()
    take_in(name, tmp_path / "again")  # with the network, and it is not asked
    assert preset.asked == []
    preset.server.server_close()
    with pytest.raises(
        InputError, match="found no preset bert_tny_en_uncased of keras-hub.*did you"
    ):
        take_in("keras_hub:bert_tny_en_uncased", tmp_path / "other")
