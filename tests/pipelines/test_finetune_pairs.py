"""`finetune` learns to write texts from random weights: letters, said backwards."""

import json
import random

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines import evaluate, finetune
from roots_tf import models, program
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.tokenizer import wordpiece

LETTERS = "abcdefgh"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of a tokenizer of letters, and of pairs of which the target is the source reversed."""
    root = tmp_path_factory.mktemp("pairs")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    wordpiece(tokens, lowercase=True).save(root / "tokenizer")
    draw = random.Random(0)
    texts = {" ".join(draw.choices(LETTERS, k=draw.choice((4, 5)))) for _ in range(1700)}
    texts = sorted(texts, key=lambda _: draw.random())
    for name, part in (("dev", texts[:40]), ("train", texts[40:])):
        (root / f"{name}.source").write_text("".join(f"{text}\n" for text in part))
        (root / f"{name}.target").write_text("".join(f"{text[::-1]}\n" for text in part))
    return root


def config(folder, output, **fields):
    files = {name: f"{folder}/{name}.source,{folder}/{name}.target" for name in ("train", "dev")}
    sizes = {"num_layers": 1, "hidden_dim": 32, "num_heads": 2, "intermediate_dim": 64}
    settings = {
        **{"task": "sequence_to_sequence", "tokenizer": str(folder / "tokenizer")},
        **{"max_seq_length": 8, "max_target_length": 8, "output": str(output), "num_beams": 1},
        **{"learning_rate": 1e-2, "batch_size": 64, "num_epochs": 14.0, "seeds": 1},
        **{"dropout": 0.0, "precision": "float32", "evaluate_every": 200, "generate_samples": 8},
    }
    return program.make(finetune.Config, **files | sizes | settings | fields)


def test_letters_are_learned_backwards(folder, tmp_path):
    report = finetune.main(config(folder, tmp_path / "run"))
    assert report["dev_exact_match"] > 0.9
    assert report["dev_bleu"] > 90 > report["dev_baseline_bleu"]
    lines = (tmp_path / "run" / "dev_predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    right = sum(row["target"] == row["gold"] for row in rows)
    assert right / len(rows) == report["dev_exact_match"]
    assert all(row["gold"] == row["source"][::-1] for row in rows)
    rows = (tmp_path / "run" / "seed_0" / "metrics.jsonl").read_text().splitlines()
    held_out = [row for row in map(json.loads, rows) if row["group"] == "held_out"]
    assert held_out[0]["target_loss"] > held_out[-1]["target_loss"]
    assert held_out[-1]["target_accuracy"] > 0.9 and "bleu" in held_out[-1]
    events = EventAccumulator(str(tmp_path / "run/seed_0/logs/held_out"), {"tensors": 0}).Reload()
    [*_, last] = events.Tensors("answers/0")
    assert b"\n\nright: " in last.tensor_proto.string_val[0]
    model = str(tmp_path / "run" / "model")
    assert models.describe(model)["decoder"].positions == "learned"
    dev = f"{folder}/dev.source,{folder}/dev.target"
    scores = evaluate.main(evaluate.Config(model=model, input=dev))
    assert scores["bleu"] == pytest.approx(report["dev_bleu"])


def test_mistakes_are_named(folder, tmp_path):
    for fields, message in (
        ({"stride": 4}, "found stride=4 for sequence_to_sequence; wanted 0"),
        ({"tokens_per_batch": 9}, "found --tokens_per_batch=9; wanted 1[0-9] at least"),
        ({"train": f"{folder}/train.source,{folder}/dev.target"}, "wanted as many: line by line"),
        ({"r_drop": 1.0}, "found --r_drop=1.0 and a model without dropout"),
        ({"task": "tagging", "r_drop": 1.0}, "found .*--r_drop=1.0.* with --task=tagging"),
    ):
        with pytest.raises(InputError, match=message):
            finetune.main(config(folder, tmp_path / "no", **fields))
        assert not (tmp_path / "no" / "config.json").exists()
