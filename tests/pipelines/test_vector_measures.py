"""`evaluate` of vectors: of any model that embeds, without training it."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.stats

import roots_tf as roots
from pipelines import evaluate
from roots_tf import models, program, tasks
from roots_tf.storage.files import InputError
from tests.tasks.conftest import encoder, tokenizer  # noqa: F401  (fixtures)

PAIRS = [
    {"text": "who was in the end", "text_pair": "who was in", "value": 5},
    {"text": "a film", "text_pair": "the film of films", "value": 4.5},
    {"text": "A Film", "text_pair": "what was that", "value": 0.5},
    {"text": "dull", "text_pair": "and of the in", "value": 0},
]


def lines(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run(model, path, **flags) -> dict:
    return evaluate.main(program.make(evaluate.Config, model=str(model), input=path, **flags))


@pytest.fixture(scope="module")
def plain(tokenizer, encoder, tmp_path_factory):  # noqa: F811
    """Folder of a pretrained encoder that says nothing of vectors."""
    folder = tmp_path_factory.mktemp("plain")
    wide = dataclasses.replace(encoder, initializer_range=0.5)  # so that texts differ
    models.save(folder, models.Pretrainer(wide, seed=1))
    tokenizer.save(folder)
    return folder


@pytest.mark.parametrize("pooling", [None, "cls"])
def test_cosines_go_with_values(plain, tmp_path, pooling, capsys):
    path, output = lines(tmp_path / "pairs.jsonl", PAIRS), tmp_path / "scores.json"
    found = run(plain, path, pooling=pooling, output=str(output))
    texts = [row[name] for name in ("text", "text_pair") for row in PAIRS]
    vectors = roots.embed(plain, texts, pooling=pooling, l2_normalize=True)
    first, second = np.split(vectors.astype(np.float64), 2)
    values, cosines = [row["value"] for row in PAIRS], (first * second).sum(1)
    assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(values, cosines)[0])
    assert found["pearson"] == pytest.approx(np.corrcoef(values, cosines)[0, 1], abs=1e-6)
    assert found["alignment"] == pytest.approx(np.mean(2 - 2 * cosines[:2]), abs=1e-5)
    # Rows 1 and 2 are one text to a tokenizer of small letters, which is not apart from itself.
    squares = ((first[:, None] - first) ** 2).sum(-1)
    means = [
        np.mean([np.exp(-2 * squares[i, j]) for j in range(4) if j != i and {i, j} != {1, 2}])
        for i in range(4)
    ]
    assert found["uniformity"] == pytest.approx(np.log(np.mean(means)), abs=1e-5)
    assert list(found)[0] == "pairs" and found["pooling"] == (pooling or "mean")
    assert json.loads(output.read_text()) == found
    assert f"spearman                 {found['spearman']:.4f}\n" in capsys.readouterr().out


def test_vectors_that_were_learned_are_measured_as_their_task_measures_them(
    tokenizer,  # noqa: F811
    encoder,  # noqa: F811
    tmp_path,
):
    kind = tasks.KINDS["contrastive"](max_seq_length=12, text_prompt="a ", positive_prompt="a ")
    models.save(tmp_path / "model", kind.make_model(encoder, seed=1), **kind.description())
    tokenizer.save(tmp_path / "model")
    path = lines(tmp_path / "pairs.jsonl", PAIRS)
    of_task, found = (run(tmp_path / "model", path, measure=m) for m in ("auto", "similarity"))
    assert {n: found[n] for n in of_task} == pytest.approx(of_task, abs=1e-6)
    assert {n: v for n, v in found.items() if n not in of_task} == {
        **{"pairs": 4, "pooling": "mean", "max_seq_length": 12, "prompt": "a "}
    }


def test_clusters_go_with_labels(plain, tmp_path):
    rows = [{"text": t, "label": n} for t, n in (("who", "x"), ("a film", "y"), ("the", "y")) * 4]
    found = run(plain, lines(tmp_path / "a.jsonl", rows[:2] * 4), measure="clustering")
    assert found == {"texts": 8, "labels": 2, "pooling": "mean", "max_seq_length": 128} | {
        **dict.fromkeys(("purity", "v_measure", "homogeneity", "completeness"), 1.0),
        "most_frequent_label": 0.5,
    }
    path = lines(tmp_path / "b.jsonl", rows)
    found = run(plain, path, measure="clustering", seed=3)
    assert found["most_frequent_label"] == pytest.approx(2 / 3)
    assert found == run(plain, path, measure="clustering", seed=3)
    assert 2 / 3 <= found["purity"] <= 1


def test_a_plain_encoder_searches(plain, tmp_path):
    corpus = [{"id": f"t{i}", "text": row["text"]} for i, row in enumerate(PAIRS)]
    queries = [{"text": row["text"].upper(), "relevant": [f"t{i}"]} for i, row in enumerate(PAIRS)]
    flags = {"corpus": lines(tmp_path / "corpus.jsonl", corpus)}
    found = run(plain, lines(tmp_path / "queries.jsonl", queries), **flags)
    assert (found["queries"], found["recall@1"], found["recall@10"]) == (4, 0.5, 1)  # a tie is lost
    assert found == run(plain, str(tmp_path / "queries.jsonl"), **flags, measure="retrieval")


def test_debug_keeps_each_label(plain, tmp_path):
    rows = [{"text": "the", "label": "many"}] * 300 + [{"text": "who", "label": "one"}]
    path = lines(tmp_path / "a.jsonl", rows)
    found = run(plain, path, measure="clustering", debug=True)
    assert (found["texts"], found["labels"], found["purity"]) == (256, 2, 1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"measure": "answers"}, "found a model of kind pretrainer, which was not fine-tuned"),
        ({"measure": "perplexity"}, "found a model of kind pretrainer in"),
        ({"measure": "clustering"}, "found no column 'label' in .*pairs.jsonl"),
        ({"measure": "retrieval"}, "found no --corpus; wanted one"),
        ({"window": 9}, "found --window and the measure similarity; wanted --window with --measure"
         "=perplexity alone"),
        ({"seed": 1}, "found --seed and the measure similarity"),
        ({"measure": "clustering", "corpus": "x"}, "found --corpus and the measure clustering"),
        ({"corpus": "x", "columns": ("text=a",)}, "found --columns and the measure retrieval"),
        ({"measure": "clustering", "input": "one.jsonl"}, "found the label 'x' alone in one.jsonl"),
        ({"input": "words.jsonl"}, "found 'many' as value in words.jsonl, line 1; wanted a finite"),
        ({"input": "none.jsonl"}, "found no file none.jsonl"),
        ({"input": "empty.tsv"}, "found no rows in empty.tsv"),
        ({"prompt_name": "query"}, "found the prompt name 'query'; wanted one of none"),
        ({"answers": "pairs.jsonl"}, "wanted --answers and no --model"),
    ],
)  # fmt: skip
def test_mistakes(plain, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "pairs.jsonl", PAIRS)
    lines(tmp_path / "one.jsonl", [{"text": "a", "label": "x"}])
    lines(tmp_path / "words.jsonl", [{"text": "a", "text_pair": "b", "value": "many"}])
    (tmp_path / "empty.tsv").write_text("text\ttext_pair\tvalue\n")
    (tmp_path / "x").touch()
    path = flags.pop("input", "pairs.jsonl")
    with pytest.raises(InputError, match=message) as error:
        run(plain, path, **flags, output="scores.json")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "scores.json").exists()
