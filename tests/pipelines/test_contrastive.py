"""`finetune --task=contrastive` on real news: it learns, it repeats, and its vectors leave."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines import embed, evaluate, export, finetune, predict
from roots_tf import models, program, tasks
from roots_tf.storage.files import InputError
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.summaries import TIMED
from tests.answering import answers_of
from tests.processes import start
from tests.tasks.conftest import encoder, tokenizer  # noqa: F401  (fixtures)


@pytest.fixture(scope="module")
def news(topics, tokenizer, tmp_path_factory) -> Path:  # noqa: F811
    """Beginnings of stories with what follows, alone, and with other beginnings and values."""
    folder = tmp_path_factory.mktemp("news")
    tokenizer.save(folder / "tokenizer")
    lines = (topics / "train.jsonl").read_text("utf-8").splitlines()[:96]
    stories = [json.loads(line)["text"].replace("\n", " ") for line in lines]
    pairs = [{"text": story[:60], "positive": story[60:120]} for story in stories]
    valued = [
        {"text": story[:60], "text_pair": other[:60], "value": float(story == other)}
        for story, other in zip(stories, stories[:48] + stories[:48], strict=True)
    ]
    texts = "".join(story[:60] + "\n" for story in stories)
    files = {"pairs.jsonl": pairs, "valued.jsonl": valued, "texts.txt": texts}
    for name, rows in files.items():
        if name.endswith(".jsonl"):
            rows = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name).write_text(rows, "utf-8")
    return folder


def config(news, output, train="pairs.jsonl", dev="pairs.jsonl", **fields) -> finetune.Config:
    sizes = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    settings = {
        "task": "contrastive",
        "tokenizer": str(news / "tokenizer"),
        "output": str(output),
        **{"train": str(news / train), "dev": str(news / dev)},
        **{"max_seq_length": 24, "learning_rate": 1e-2, "seeds": 1, "precision": "float32"},
    }
    return program.make(finetune.Config, **settings | sizes | fields)


def test_pairs_are_found_and_vectors_leave_as_they_were_learned(news, tmp_path):
    flags = {"matryoshka_widths": ("4",), "text_prompt": "the ", "num_epochs": 12.0}
    report = finetune.main(config(news, tmp_path / "run", test=str(news / "valued.jsonl"), **flags))
    assert report["dev_baseline_accuracy"] == 1 / 96
    assert report["dev_accuracy"] > 0.05  # of letters that belong together
    assert {"test_spearman", "test_alignment", "test_uniformity"} <= report.keys()
    folder = tmp_path / "run" / "model"
    kind = tasks.restore(models.describe(folder))
    assert (kind.matryoshka_widths, kind.score, kind.text_prompt) == ((4,), "accuracy", "the ")
    scores = evaluate.main(
        evaluate.Config(
            model=str(folder),
            input=str(news / "pairs.jsonl"),
            output=str(tmp_path / "scores.json"),
        )
    )
    assert scores == pytest.approx({k: report[f"dev_{k}"] for k in scores}, abs=1e-6)
    rows = [json.loads(line) for line in (news / "valued.jsonl").read_text("utf-8").splitlines()]
    asked = {"model": str(folder), "input": str(news / "valued.jsonl")}
    answers = answers_of(predict.Config(**asked, output=str(tmp_path / "answers.jsonl")))
    for name, prompt in (("text", "query"), ("text_pair", "document")):
        texts = "".join(row[name] + "\n" for row in rows)
        (tmp_path / f"{name}.txt").write_text(texts, "utf-8")
        embed.main(
            program.make(
                embed.Config,
                model=str(folder),
                input=(str(tmp_path / f"{name}.txt"),),
                output=str(tmp_path / f"{name}.npy"),
                prompt_name=prompt,
            )
        )
    first, second = (np.load(tmp_path / f"{name}.npy") for name in ("text", "text_pair"))
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    cosines = [answer["cosine"] for answer in answers]
    np.testing.assert_allclose((first * second).sum(1), cosines, atol=1e-5)
    assert Path(
        export.main(export.Config(model=str(folder), output=str(tmp_path / "out")))
    ).exists()


def test_texts_are_searched_by_their_vectors(tokenizer, encoder, tmp_path):  # noqa: F811
    kind = tasks.KINDS["contrastive"](max_seq_length=64, text_prompt="the ")
    models.save(tmp_path / "model", kind.make_model(encoder, seed=1), **kind.description())
    tokenizer.save(tmp_path / "model")
    texts = ["who was in the end", "a film", "what was that"]
    corpus = [{"id": f"t{i}", "text": f"the {text}"} for i, text in enumerate(texts)]
    queries = [{"text": text, "relevant": [f"t{i}"]} for i, text in enumerate(texts)]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    flags = {"model": str(tmp_path / "model"), "input": str(tmp_path / "queries.jsonl")}
    corpus = str(tmp_path / "corpus.jsonl")
    found = evaluate.main(program.make(evaluate.Config, **flags, corpus=corpus))
    scores = ("recall@1", "recall@10", "recall@100", "mean_reciprocal_rank", "ndcg@10")
    how = {"pooling": "mean", "max_seq_length": 64, "prompt": "the "}
    assert found == {"queries": 3, "texts": 3} | dict.fromkeys(scores, 1.0) | how
    with pytest.raises(InputError, match="found --corpus and the measure answers; wanted --corpus"):
        evaluate.main(program.make(evaluate.Config, **flags, corpus=corpus, measure="answers"))


def same_bytes(one: Path, other: Path) -> None:
    for name in ("model/model.safetensors", "dev_predictions.jsonl", "seed_0/scores.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    rows = [
        [{n: v for n, v in row.items() if n not in TIMED} for row in read_metrics(run / "seed_0")]
        for run in (one, other)
    ]
    assert rows[0] == rows[1]
    held_out = [row for row in rows[0] if row["group"] == "held_out"]
    assert held_out and all({"uniformity", "alignment"} <= row.keys() for row in held_out)


def test_killed_it_ends_with_the_same_bytes(news, tmp_path):
    """Of texts alone, whose two views are drawn anew at each step, over micro-batches."""
    fields = {"train": "texts.txt", "dev": "valued.jsonl", "accumulate_steps": 2}
    fields |= {"num_epochs": 20.0, "checkpoint_every": 10, "log_every": 10, "evaluate_every": 30}
    whole = finetune.main(config(news, tmp_path / "whole", **fields))
    process = start(config(news, tmp_path / "killed", **fields))
    while not (tmp_path / "killed" / "seed_0" / "checkpoints" / "ckpt-20.index").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed" / "report.json").exists()
    assert finetune.main(config(news, tmp_path / "killed", **fields)) == whole
    same_bytes(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_replicas_train_as_micro_batches_do(news, tmp_path):
    fields = {"train": "texts.txt", "dev": "valued.jsonl", "num_epochs": 2.0}
    finetune.main(config(news, tmp_path / "micro", **fields, accumulate_steps=2))
    two = {"strategy": "mirrored", "num_devices": 2}
    finetune.main(config(news, tmp_path / "two", **fields, **two))
    micro, replicas = (models.load(tmp_path / name / "model") for name in ("micro", "two"))
    for a, b in zip(micro.variables, replicas.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-4, err_msg=a.path)


def test_a_mistake_does_not_claim_the_folder(news, tmp_path):
    (tmp_path / "one.jsonl").write_text('{"text": "a", "positive": "b"}\n')
    for fields, message in (
        ({"train": "texts.txt", "dropout": 0.0}, "found texts alone and a model without dropout"),
        ({"dev": "texts.txt"}, "found text alone in .*texts.txt"),
        ({"test": str(news / "texts.txt")}, "found text alone in .*texts.txt"),
        ({"train": "valued.jsonl"}, "found text_pair and value in .*valued.jsonl"),
        ({"batch_size": 1}, "found batches of one text"),
        ({"train": str(tmp_path / "one.jsonl")}, "found batches of one text"),
        ({"temperature": 0.0}, "found --temperature=0.0; wanted a number above 0"),
        ({"matryoshka_widths": ("16",)}, "found matryoshka_widths=16; wanted numbers below 16"),
        ({"strategy": "mirrored", "num_devices": 2, "jit_compile": "true"}, "XLA cannot gather"),
    ):
        with pytest.raises((InputError, program.FlagError), match=message) as raised:
            finetune.main(config(news, tmp_path / "run", **fields))
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "run").exists()
