"""`mine-negatives`: the nearest texts that are no positives, in a file that finetune reads."""

import dataclasses
import json

import pytest

import roots_tf as roots
from pipelines import mine_negatives
from roots_tf import models, program, tasks
from roots_tf.corpus import text_chunks
from roots_tf.storage.files import InputError
from tests.tasks.conftest import encoder, tokenizer  # noqa: F401  (fixtures)

ROWS = [
    {"text": "who was in the end", "positive": "the end"},
    {"text": "a film", "positive": "of films"},
    {"text": "WHO was in the end", "positive": "that was in the end"},
    {"text": "dull", "positive": "what was that"},
]
CORPUS = [
    *("The End", "of films", "who was in the end", "in the end", "a film of films", "films"),
    *("that was the end", "That was in the end", "dull and dull", "what", "what was", "in the end"),
]


@pytest.fixture(scope="module")
def model(tokenizer, encoder, tmp_path_factory) -> str:  # noqa: F811
    folder = tmp_path_factory.mktemp("model")
    kind = tasks.KINDS["contrastive"](max_seq_length=32, text_prompt="the ", positive_prompt="of ")
    wide = dataclasses.replace(encoder, initializer_range=0.5)  # so that texts differ
    models.save(folder, kind.make_model(wide, seed=1), **kind.description())
    tokenizer.save(folder)
    return str(folder)


@pytest.fixture
def run(model, tmp_path, monkeypatch):
    """Runs the program in a folder of the files; gives its report and the rows it wrote."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "corpus.txt").write_text("\ufeff" + "\n\n".join(CORPUS) + "\n", "utf-8")

    def call(**flags) -> tuple[dict, list[dict]]:
        usual = {"input": "pairs.jsonl", "corpus": ("corpus.txt",), "output": "out/hard.jsonl"}
        given = {"model": model, "num_negatives": 2} | usual | flags
        report = mine_negatives.main(program.make(mine_negatives.Config, **given))
        written = (tmp_path / given["output"]).read_text("utf-8").splitlines()
        return report, [json.loads(line) for line in written]

    return call


def slowly(model: str) -> list[list[str]]:
    """All texts that may be negatives of each row, the nearest first."""
    texts = [row["text"] for row in ROWS]
    queries = roots.embed(model, texts, prompt_name="query")
    table = roots.embed(model, CORPUS, prompt_name="document")
    found = []
    for row, query in zip(ROWS, queries, strict=True):
        same = [r for r in ROWS if r["text"].lower() == row["text"].lower()]
        seen, left = {t.lower() for r in same for t in (r["text"], r["positive"])}, []
        for place, text in enumerate(CORPUS):
            if text.lower() not in seen:
                seen.add(text.lower())
                left.append((-float(table[place] @ query), text))
        found.append([text for _, text in sorted(left)])
    return found


def test_the_nearest_that_are_no_positives_are_written(run, model, monkeypatch):
    report, rows = run()
    wanted = slowly(model)
    assert rows == [
        row | {"negative_0": near[0], "negative_1": near[1]}
        for row, near in zip(ROWS, wanted, strict=True)
    ]
    assert report == {"rows": 4, "negatives": 8, "texts": 12}
    monkeypatch.setattr(text_chunks, "TEXTS_AT_ONCE", 2)
    assert run() == (report, rows)
    _, rows = run(range_min=1, num_negatives=1)
    assert [row["negative_0"] for row in rows] == [near[1] for near in wanted]
    examples = tasks.KINDS["contrastive"]().read("out/hard.jsonl", {})
    assert list(examples.columns) == ["text", "positive", "negative_0"]


def test_margins_are_of_the_positive_of_each_row(run, model):
    texts = [[row[name] for row in ROWS] for name in ("text", "positive")]
    first = roots.embed(model, texts[0], prompt_name="query")
    limits = (first * roots.embed(model, texts[1], prompt_name="document")).sum(1) * 0.97
    cosines = roots.embed(model, CORPUS, prompt_name="document") @ first.T  # [texts, rows]
    report, rows = run(relative_margin=0.03, num_negatives=5)
    for at, (row, near) in enumerate(zip(rows, slowly(model), strict=True)):
        far = [text for text in near if cosines[CORPUS.index(text), at] <= limits[at]][:5]
        assert [row[f"negative_{i}"] for i in range(5) if f"negative_{i}" in row] == far
    assert report["negatives"] == sum(len(row) - 2 for row in rows) < 20


def test_without_a_corpus_the_positives_are_searched_and_draws_repeat(run):
    _, rows = run(corpus=(), num_negatives=3)
    everyone = {row["positive"] for row in ROWS}
    for row, own in zip(rows, (0, 1, 0, 3), strict=True):
        negatives = {value for name, value in row.items() if name.startswith("negative")}
        own = {ROWS[0]["positive"], ROWS[2]["positive"]} if own == 0 else {ROWS[own]["positive"]}
        assert negatives == everyone - own
    drawn = [run(sampling_strategy="random", seed=seed)[1] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_lines_end_as_windows_ends_them_and_rows_with_less_are_told_of(run, tmp_path, caplog):
    (tmp_path / "few.txt").write_bytes(b"the end\r\nwhat was\r\n")
    report, rows = run(corpus=("few.txt",))
    assert rows[0] == ROWS[0] | {"negative_0": "what was"}  # "the end" is its positive
    assert (report["negatives"], report["texts"]) == (6, 2)
    assert "2 of 4 rows have fewer than 2 negatives, 0 of them none" in caplog.text


def test_negatives_of_the_input_are_told_of_and_found_anew(run, tmp_path, caplog):
    wanted = run()
    rows = [row | {"negative": "a text"} for row in ROWS]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(input="old.jsonl") == wanted
    assert "negative is not taken over from old.jsonl" in caplog.text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"output": "hard.tsv"}, "found --output=hard.tsv; wanted a .jsonl"),
        ({"output": "pairs.jsonl"}, "found --output=pairs.jsonl, which is a file of --input"),
        ({"model": "."}, "found no model.json in"),
        ({"corpus": ("none.txt",)}, "found no file none.txt; wanted what --corpus is to read"),
        ({"corpus": ("corpus.tsv",)}, "found corpus.tsv as a corpus; wanted a text a line"),
        ({"corpus": ("empty.txt",)}, "found no text in empty.txt"),
        ({"corpus": ("corpus.txt", "broken.jsonl")}, "found records that have no vector"),
        ({"input": "corpus.txt"}, "corpus.txt"),
        ({"columns": ("positive=answer",)}, "found no column 'answer' in pairs.jsonl"),
        ({"range_max": 1}, "wanted range_max=2 at least"),
        ({"seed": 1}, "which draws nothing"),
        ({"pooling": "pooler"}, "found no trained pooler in"),
        ({"corpus_prompt_name": "passage"}, "found the prompt name 'passage'; wanted one of query"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(run, tmp_path, flags, message):
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text": 3}\n')
    (tmp_path / "corpus.tsv").write_text("id\ttext\n1\ta\n")
    before = sorted(tmp_path.iterdir())
    with pytest.raises((InputError, program.FlagError), match=message) as error:
        run(**flags)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before
