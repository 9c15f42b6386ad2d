"""Damaged scores of a seed: the seed is trained again, to the same bytes."""

import json
import shutil
import string

import pytest

from pipelines import finetune
from roots_tf import models, program
from roots_tf.metrics import over_seeds
from roots_tf.storage import checked_json
from roots_tf.tokenizers.tokenizer import wordpiece
from roots_tf.training.summaries import TIMED
from tests.training.test_summaries import shown

SCORES = {"seed": 0, "degenerate": False, "dev": {"accuracy": 0.5, "by_class": {"a": {"f1": 0.25}}}}
BASELINES = {"dev": {"accuracy": 0.5, "by_class": {}}}


@pytest.fixture(scope="module")
def flags(tmp_path_factory) -> dict:
    """Flags of 3 steps of a tiny model, in rows of 2, on texts of single letters."""
    folder = tmp_path_factory.mktemp("inputs")
    letters = string.ascii_lowercase
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = wordpiece([*special, *letters, *(f"##{x}" for x in letters)], lowercase=True)
    sizes = {"num_layers": 1, "hidden_dim": 8, "num_heads": 1, "intermediate_dim": 8}
    encoder = models.EncoderConfig(vocabulary_size=tokenizer.size, **sizes, max_sequence_length=16)
    models.save(folder / "model", models.Pretrainer(encoder))
    tokenizer.save(folder / "model")
    for name in ("train", "dev"):
        rows = [f"{letters[i : i + 3]}\t{'ab'[i % 2]}" for i in range(12)]
        (folder / f"{name}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    return {
        "init_from": str(folder / "model"),
        **{name: str(folder / f"{name}.tsv") for name in ("train", "dev")},
        **{"batch_size": 4, "num_epochs": 1.0, "seeds": 2, "log_every": 2, "max_seq_length": 8},
        **{"precision": "float32", "learning_rate": 1e-2, "steps_per_call": 3},
    }


@pytest.fixture(scope="module")
def whole(flags, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    finetune.main(program.make(finetune.Config, output=str(output), **flags))
    return output


def test_seeds_with_damaged_scores_are_trained_again(flags, whole, tmp_path, caplog):
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    (output / "report.json").unlink()
    (output / "seed_0" / "scores.json").write_text("{}")
    (output / "seed_1" / "checkpoints").mkdir()  # of a kill while it was removed
    config = json.loads((whole / "config.json").read_text())
    (output / "config.json").write_text(json.dumps(config | {"output": str(output)}))
    finetune.main(program.make(finetune.Config, output=str(output), **flags))
    assert f"found no seed in {output}/seed_0/scores.json" in caplog.text
    names = ["model/model.safetensors", "dev_predictions.jsonl", "report.json"]
    for name in (*names, "seed_0/scores.json", "seed_1/scores.json"):
        assert (output / name).read_bytes() == (whole / name).read_bytes(), name
    assert not list(output.rglob("checkpoints"))


def test_the_last_row_of_an_interval_that_is_not_full_holds_what_the_others_do(whole):
    rows = [json.loads(line) for line in (whole / "seed_0" / "metrics.jsonl").open()]
    assert [row["step"] for row in rows] == [2, 3]
    assert {"parameter_norm", "update_norm"} <= rows[0].keys() - TIMED == rows[1].keys() - TIMED
    assert rows[1]["update_norm"] > 0


def test_pictures_stand_at_the_last_step(whole):
    dev = shown(whole / "seed_1", "dev")
    assert [event.step for event in dev.Images("confusion")] == [3]
    tags = dev.Tags()["tensors"]
    assert {"confusion", "precision_recall/a", "precision_recall/b"} <= set(tags)
    assert {event.step for tag in tags for event in dev.Tensors(tag)} == {3}


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda text: text.replace("0.25", "0.75"), "changed since it was written"),
        (lambda text: "{}", "found no seed in"),
        (lambda text: "[]", "found a list in"),
        (lambda text: text[: len(text) // 2], "found no JSON in"),
        (lambda text: '{"seed": "0", "degenerate": false, "dev": {}}', "found seed='0' in"),
        (lambda text: '{"seed": 0, "degenerate": false, "dev": {}}', "found no dev.accuracy in"),
        (lambda text: json.dumps(SCORES | {"dev": {"accuracy": "x"}}), "found no dev.accuracy"),
        (lambda text: json.dumps(SCORES | {"dev": {"accuracy": 1}}), "found no dev.by_class in"),
    ],
)
def test_what_is_wrong_with_scores_is_named(tmp_path, caplog, damage, found):
    assert over_seeds.read(tmp_path, 0, BASELINES) is None
    assert not caplog.messages
    path = tmp_path / "seed_0" / "scores.json"
    checked_json.write_checked(path, SCORES)
    assert over_seeds.read(tmp_path, 0, BASELINES) == SCORES
    of_version_0_2 = SCORES | {"dev": SCORES["dev"] | {"accuracy": float("nan")}}
    text = path.read_text()
    path.write_text(json.dumps(of_version_0_2))
    assert str(over_seeds.read(tmp_path, 0, BASELINES)) == str(of_version_0_2)
    path.write_text(damage(text))
    assert over_seeds.read(tmp_path, 0, BASELINES) is None
    [line] = caplog.messages
    assert found in line
    assert str(path) in line
    assert line.endswith("seed 0 is trained again")
