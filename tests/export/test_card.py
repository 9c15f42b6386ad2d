"""The model card: what the folders say of a model stands in it, and what they do not is asked."""

import shutil
from pathlib import Path

import pytest

from roots_tf import models, tokenizers
from roots_tf.export import card
from roots_tf.storage import files
from roots_tf.storage.files import InputError

COMMAND = "roots export --model=runs/ships/model --output=served"
SCORES = {
    "task": "classification",
    "seeds": [{"seed": 0}, {"seed": 1}, {"seed": 2}],
    "dev_accuracy": 0.91, "dev_accuracy_range": [0.9, 0.925], "dev_baseline_accuracy": 0.5,
    "test_f1_macro": 0.875, "test_f1_macro_range": [0.87, 0.88], "test_baseline_f1_macro": 0.25,
}  # fmt: skip


@pytest.fixture
def write_card(classifier, exported, tmp_path):
    """Writes the card of the classifier from a run of a config and a report; gives its text."""

    def write(config: dict | None = None, report: dict | None = None) -> str:
        model, folder = tmp_path / "ships" / "model", tmp_path / "served"
        shutil.copytree(classifier, model, dirs_exist_ok=True)
        shutil.copytree(exported, folder, dirs_exist_ok=True)
        if config is not None:
            files.write_json(model.with_name("config.json"), config)
            files.write_json(model.with_name("report.json"), report)
        path = card.write(folder, model, COMMAND)
        assert path == folder / "README.md"
        return path.read_text("utf-8")

    return write


def row(text: str, start: str) -> list[str]:
    """Cells of the one row of a table whose first cell is `start`."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_data_and_scores_of_fine_tuning(write_card):
    config = {"train": "/home/me/train.tsv", "dev": "dev.tsv", "test": "", "num_epochs": 3.0}
    text = write_card(config, SCORES)
    assert row(text, "train") == ["`train.tsv`"]
    assert row(text, "num epochs") == ["3.0"]
    assert "/home/me" not in text
    assert "Median of 3 runs" in text
    assert row(text, "dev accuracy") == ["0.9100", "0.9000", "0.9250", "0.5000"]
    assert row(text, "test f1 macro") == ["0.8750", "0.8700", "0.8800", "0.2500"]
    assert "no report of a run" not in text


def test_scores_that_are_no_numbers(write_card):
    """What answers without a model score, where there are none: null in the file."""
    text = write_card({}, SCORES | {"dev_baseline_accuracy": None})
    assert row(text, "dev accuracy") == ["0.9100", "0.9000", "0.9250", "-"]


def test_scores_of_pretraining(write_card):
    report = {"group": "held_out", "step": 2000, "masked_lm_loss": 2.7182818}
    text = write_card({"examples": "work/examples", "duration": "2000 steps"}, report)
    assert row(text, "examples") == ["`examples`"]
    assert row(text, "step") == ["2000"]
    assert row(text, "masked lm loss") == ["2.71828"]


def test_what_the_model_is_and_takes(write_card):
    text = write_card()
    assert text.splitlines()[0] == "---"
    assert "# ships\n\nThis model gives a text, or a pair of texts, one of 3 labels." in text
    assert "of up to 24 tokens; what is longer is cut off." in text
    assert "Labels: `no`, `perhaps`, `yes`." in text
    assert row(text, "layers") == ["2"]
    assert row(text, "vocabulary") == ["37"]
    assert f"```\n{COMMAND}\n```" in text
    assert "`serving_default`\n\n| | name | type | shape |\n| --- | --- | --- | --- |\n" in text
    assert "| input | `text` | string | any |\n| output | `label` | string | any |\n" in text
    assert "| output | `probabilities` | float32 | any, 3 |\n" in text
    assert "| input | `padding_mask` | int32 | any, any |\n" in text
    assert "for the ops `FastWordpieceTokenizeWithOffsets`." in text
    assert "TensorFlow Serving has them from release 2.10.0 on." in text


def test_how_vectors_are_made(classifier, tmp_path):
    config, settings = models.describe(classifier)["encoder"], {"pooling": "cls"}
    settings |= {"max_seq_length": 9, "prompts": {"query": "q: "}, "default_prompt_name": "query"}
    models.save(tmp_path, models.PooledEncoder(config), embedding=settings)
    text = card.write(tmp_path / "out", tmp_path, COMMAND).read_text("utf-8")
    assert "of up to 9 tokens; what is longer" in text
    assert "a vector: pooling=cls, l2_normalize=false, max_seq_length=9, prompt 'q: '." in text


def test_what_only_a_person_knows_is_asked(write_card):
    asked = [line for line in write_card().splitlines() if line.startswith(card._TO_FILL)]
    assert [line.removeprefix(card._TO_FILL).split()[0].strip(",") for line in asked] == [
        *("language", "where", "no", "the")
    ]


def test_hugging_face_reads_the_head(write_card, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    write_card()
    data = hub.ModelCard.load(tmp_path / "served" / "README.md").data
    assert data.pipeline_tag == "text-classification"
    assert data.library_name == "tensorflow"
    assert data.tags == ["bert", "tensorflow", "classification"]
    assert data.license is None


def test_files_beside_a_folder_of_another_name_are_not_the_runs(classifier, tmp_path):
    shutil.copytree(classifier, tmp_path / "imported")
    files.write_json(tmp_path / "config.json", {"train": "other.tsv"})
    files.write_json(tmp_path / "report.json", SCORES)
    text = card.write(tmp_path, tmp_path / "imported", COMMAND).read_text("utf-8")
    assert "other.tsv" not in text
    assert "no report of a run stands beside the model" in text
    assert "## Inputs and outputs" not in text  # there is no SavedModel


@pytest.mark.parametrize(
    ("kind", "task", "tag"),
    [
        ("pretrainer", None, "fill-mask"),
        ("encoder", None, "feature-extraction"),
        ("encoder", "similarity", "sentence-similarity"),
        ("classifier", "regression", "text-classification"),
        ("classifier", "multiple_choice", "multiple-choice"),
        ("token_classifier", "tagging", "token-classification"),
        ("token_classifier", "question_answering", "question-answering"),
    ],
)
def test_each_kind_of_model_has_a_card(classifier, tmp_path, kind, task, tag):
    config = models.describe(classifier)["encoder"]
    model = {
        "pretrainer": models.Pretrainer,
        "encoder": models.PooledEncoder,
        "classifier": lambda config: models.Classifier(config, 1),
        "token_classifier": lambda config: models.TokenClassifier(config, 2),
    }[kind](config)
    described = {"task": {"name": task, "max_seq_length": 16, "stride": 0}} if task else {}
    if task == "tagging":
        described["task"]["labels"] = ["O", "B"]
    models.save(tmp_path, model, **described)
    tokenizers.load(classifier).save(tmp_path)
    text = card.write(tmp_path / "out", tmp_path, COMMAND).read_text("utf-8")
    assert f'pipeline_tag: "{tag}"\n' in text
    in_parts = task in ("tagging", "question_answering")
    assert ("longer texts are read in parts" in text) == in_parts


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(InputError, match=r"found no model\.json"):
        card.write(tmp_path, tmp_path, COMMAND)
    assert not Path(tmp_path, "README.md").exists()


def test_of_a_mixture_each_folder_is_named_with_its_source(write_card):
    text = write_card({"examples": "zh=a/chinese,en=b/english"}, {"step": 5})
    assert "`en=english`, `zh=chinese`" in text
