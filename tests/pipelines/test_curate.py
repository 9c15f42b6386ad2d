"""`curate`: what is kept, what is dropped and why, what is refused."""

import gzip
import json
import os
import random
from pathlib import Path

import pyarrow.parquet
import pytest

from pipelines import curate
from pipelines.curate import Config
from roots_tf.corpus import deduplication, reading
from roots_tf.storage import files
from tests.pipelines.curated import CORPUS_RECIPE, counts, digest, report, rows, run, step

LETTER = """My dear Sir, I have the honour to inform you that the ship
arrived in port this morning with all on board in good
health, after a passage of one hundred and twelve days."""
NEWS = "Warnings about junk mail were given on Tuesday, by people who know it. " * 2 + "So it is."


def curate_(folder, *, workers=1, **flags):
    """Curates a folder `input` to a folder `output`, both in `folder`."""
    flags = {"input": (str(folder / "input"),), "output": str(folder / "output"), **flags}
    curate.main(Config(num_workers=workers, **flags))
    return Path(flags["output"])


@pytest.fixture
def folder(tmp_path):
    """A text with a duplicate and a scrap, and a news story as JSON, compressed."""
    (tmp_path / "input").mkdir()
    text = f"\ufeff{LETTER}\n\n{LETTER.upper()}\n\nToo short.\n".replace("\n", "\r\n")
    (tmp_path / "input" / "letters.txt").write_bytes(text.encode())
    record = json.dumps({"text": NEWS, "source": "BBC", "label": "tech"})
    (tmp_path / "input" / "news.jsonl.gz").write_bytes(gzip.compress(record.encode()))
    return tmp_path


def test_documents_and_report(folder, capsys):
    output = curate_(folder, num_shards=2)
    joined = LETTER.replace("\n", " ")
    expected = [
        {"id": deduplication.identifier(text), "text": text, "source": source}
        | {"language": "", "metadata": ""}
        for text, source in ((joined, "letters.txt"), (NEWS, "BBC"))
    ]
    assert sorted(rows(output), key=lambda row: row["text"]) == expected
    assert sorted(path.name for path in output.iterdir()) == [
        "config.json",
        "documents-00000-of-00002.parquet",
        "documents-00001-of-00002.parquet",
        "report.html",
        "report.json",
    ]
    found = report(output)
    assert (found["documents_in"], found["documents_out"]) == (4, 2)
    assert found["dropped"] == {
        "duplicate": {"documents": 1, "bytes": len(joined)},
        "too_short": {"documents": 1, "bytes": 10},
    }
    assert found["bytes_out"] == len(joined) + len(NEWS)
    too_short = {"reason": "too_short", "source": "letters.txt", "language": ""}
    assert step(output, "basic_quality")["samples"]["dropped"] == [
        too_short | {"text": "Too short.", "measured": {"characters": 10}}
    ]
    assert step(output, "basic_quality")["measures"]["characters"] == [
        {
            "languages": [""],
            "lowest": 100,
            "highest": None,
            "histogram": [[10, 1], [150, 1], [160, 2]],
        }
    ]
    assert found["languages"] == {"": {"documents": 2, "bytes": found["bytes_out"]}}
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[:2] == ["read", "4"]
    assert "  too_short                        -1      -0.0" in printed
    assert "<title>" in (output / "report.html").read_text("utf-8")
    schema = pyarrow.parquet.read_schema(output / "documents-00000-of-00002.parquet")
    assert schema.remove_metadata() == deduplication.SCHEMA


def test_the_output_can_be_curated_again(folder):
    output = curate_(folder)
    again = curate_(folder, input=(str(output),), output=str(folder / "again"))
    assert digest(again) == digest(output)
    assert report(again)["dropped"] == {}


def test_a_finished_run_does_nothing_and_another_config_is_refused(folder, capsys):
    output = curate_(folder)
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    curate_(folder, workers=2)
    assert {path: path.stat().st_mtime_ns for path in output.iterdir()} == before
    with pytest.raises(
        files.InputError, match="found keep_dropped=False; wanted keep_dropped=True"
    ):
        curate_(folder, keep_dropped=True)
    os.utime(folder / "input" / "letters.txt", (1, 1))
    (folder / "input").rename(folder / "moved")
    (folder / "output").rename(folder / "kept")
    moved = {"input": (f"{folder}/moved/",), "output": f"{folder}/kept/"}
    curate_(folder, **moved)
    letters = folder / "moved" / "letters.txt"
    letters.write_bytes(letters.read_bytes().replace(b"ship", b"SHIP"))
    with pytest.raises(files.InputError, match="found another content of --input than the run in"):
        curate_(folder, **moved)
    (folder / "other").mkdir()
    (folder / "other" / "thesis.txt").touch()
    with pytest.raises(files.InputError, match="found files in .*, but no config.json"):
        curate_(folder, **moved | {"output": str(folder / "other")})


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.txt", b"", "every file is empty"),
        ("blank.txt", b"\r\n \r\n", "every file is empty"),
        ("short.txt", b"Yes.\n\nNo.", "too_short 2; .*loosen the rule"),
        ("photo.jpg", b"\xff\xd8\xff\0" + bytes(range(256)) * 9, "binary file"),
        ("book.txt", "Ärger über Öl. ".encode("latin-1") * 90, "book.txt.*byte 0.*iconv"),
        ("a.jsonl", b'{"body": "x"}', "no JSON object with a string 'text'.*--text_field"),
        ("a.txt.gz", gzip.compress(random.Random(1).randbytes(9999))[:999], "a.txt"),
        ("a.parquet", b"PAR1 no", "could not read .*a.parquet"),
    ],
)
def test_input_that_cannot_be_used(tmp_path, name, data, message):
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / name).write_bytes(data)
    with pytest.raises(files.InputError, match=message):
        curate_(tmp_path)
    assert not (tmp_path / "output" / "report.json").exists()
    assert not list((tmp_path / "output").glob("*.parquet"))


def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\0" + bytes(range(256)) * 9)
    for flags in (
        ["--input=nowhere/*.txt", f"--output={tmp_path}/a"],
        [f"--input={tmp_path}/photo.jpg", f"--output={tmp_path}/b", "--num_workers=2"],
        [f"--input={tmp_path}/photo.jpg", f"--output={tmp_path}/photo.jpg"],
        [f"--input={tmp_path}/photo.jpg", f"--output={tmp_path}/c", "--num_shards=-1"],
        [f"--input={tmp_path}/photo.jpg", f"--output={tmp_path}/d", "--recipe=nothing"],
    ):
        done = run(*flags)
        assert done.returncode == 2
        assert done.stderr.startswith("curate.py: ")
        assert len(done.stderr.splitlines()) == 1


def write_records(folder, documents, names):
    """Divides documents over JSON lines files, plain or compressed."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        mine = documents[number :: len(names)]
        lines = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in mine)
        data = lines.encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


@pytest.fixture(scope="module")
def records(topics):
    """Texts, each a document of paragraphs; some are altered copies, some have boilerplate."""
    chance = random.Random(1)
    documents = []
    for path in sorted(topics.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines()[:150]:
            text = json.loads(line)["text"].replace(". ", ".\n")
            if chance.random() < 0.5:
                text += "\nRead more about this story on our other pages today."
            documents.append({"text": text, "source": f"story {len(documents)}"})
            if chance.random() < 0.1:
                copy = text.replace(" the ", " our ", 1)
                documents.append({"text": copy, "source": f"copy {len(documents)}"})
    return documents


def test_the_output_follows_from_the_set_of_documents(records, tmp_path):
    """Workers, files, their names and the order of the documents change no byte."""
    pytest.importorskip("rensa")
    recipe = tmp_path / "all.toml"
    recipe.write_text(CORPUS_RECIPE)
    flags = {"recipe": str(recipe), "keep_dropped": True}
    write_records(tmp_path / "a", records, ["all.jsonl"])
    curate_(tmp_path, input=(str(tmp_path / "a"),), **flags)
    other_order = random.Random(2).sample(records, len(records))
    write_records(tmp_path / "b", other_order, [f"{i}.jsonl{'.gz' * (i % 2)}" for i in range(10)])
    other = str(tmp_path / "other")
    curate_(tmp_path, input=(str(tmp_path / "b"),), output=other, workers=2, **flags)
    assert digest(tmp_path / "output") == digest(other)
    first, second = (counts(report(output)) for output in (tmp_path / "output", other))
    assert first == second
    dropped = first["dropped"]
    assert set(dropped) >= {"near_duplicate", "not_sampled"}
    assert dropped["near_duplicate"]["documents"] >= 30
    assert not any("Read more about this" in row["text"] for row in rows(other))
    # What was dropped is beside the output, and no part of it.
    tables = [pyarrow.parquet.read_table(path) for path in Path(other, "_dropped").iterdir()]
    kept_dropped = [row for table in tables for row in table.to_pylist()]
    reasons = [row["reason"] for row in kept_dropped]
    assert {reason: reasons.count(reason) for reason in set(reasons)} == {
        reason: counted["documents"] for reason, counted in dropped.items()
    }
    assert {row["source"] for row in kept_dropped}.isdisjoint(row["source"] for row in rows(other))
    assert len([*reading.read_documents(files.expand([other]))]) == first["documents_out"]
    # Each step is given what the one before left.
    steps = first["steps"]
    for before, after in zip(steps, steps[1:], strict=False):
        assert before["documents_out"] == after["documents_in"]
        assert before["bytes_out"] == after["bytes_in"]
    assert steps[-1]["documents_out"] == first["documents_out"] == len(rows(other))


def test_a_recipe_that_changed_is_refused(folder):
    path = folder / "mine.toml"
    path.write_text('[[steps]]\nname = "basic_quality"\nmin_chars = 5\n')
    output = curate_(folder, recipe=str(path))
    assert report(output)["documents_out"] == 4
    path.write_text('[[steps]]\nname = "basic_quality"\nmin_chars = 6\n')
    with pytest.raises(
        files.InputError, match=r"found recipe\[0\].parameters.min_chars=5; wanted .*min_chars=6"
    ):
        curate_(folder, recipe=str(path))


def test_an_evaluation_file_that_changed_is_refused(folder):
    path = folder / "mine.toml"
    questions = folder / "questions.txt"
    questions.write_text(" ".join(LETTER.split()[:8]))
    path.write_text(f'[[steps]]\nname = "decontaminate"\nevaluation_files = ["{questions}"]\n')
    output = curate_(folder, recipe=str(path))
    assert list(report(output)["dropped"]) == ["contaminated"]
    curate_(folder, recipe=str(path))
    questions.write_text("other")
    with pytest.raises(
        files.InputError, match="found another content of --recipe.*evaluation_files"
    ):
        curate_(folder, recipe=str(path))


def test_steps_for_some_languages(folder):
    """A document without a language is not one in English."""
    path = folder / "mine.toml"
    path.write_text('[[steps]]\nname = "basic_quality"\nlanguages = ["en"]\n')
    output = curate_(folder, recipe=str(path))
    assert report(output)["documents_out"] == 4
    assert step(output, "basic_quality")["measures"] == {}


def test_a_sample_is_spread_over_the_input(data, tmp_path):
    flags = {"input": (str(data / "novels_en"),), "sample": 200}
    output = curate_(tmp_path, **flags)
    found = report(output)
    assert found["sample"] == 200
    assert 180 <= found["documents_in"] <= 200
    assert len({row["source"] for row in rows(output)}) > 40
    # Not the title pages only.
    assert 0.2 < found["dropped"]["too_short"]["documents"] / found["documents_in"] < 0.6
    again = curate_(tmp_path, output=str(tmp_path / "again"), workers=2, **flags)
    assert digest(again) == digest(output)


def test_a_sample_takes_from_one_file_what_another_lacks(tmp_path):
    (tmp_path / "input").mkdir()
    for number, documents in enumerate((1, 1, 500, 1)):
        texts = [f"{NEWS} {number} {document}" for document in range(documents)]
        (tmp_path / "input" / f"{number}.txt").write_text("\n\n".join(texts))
    output = curate_(tmp_path, sample=100)
    assert report(output)["documents_in"] == 100
    everything = curate_(tmp_path, sample=1000, output=str(tmp_path / "all"))
    assert report(everything)["documents_in"] == 503


def test_novels_by_file(data, tmp_path):
    flags = {"input": (str(data / "novels_en" / "[A-D]*.txt"),), "documents": "file"}
    curate_(tmp_path, workers=1, **flags)
    books = {row["source"]: row["text"] for row in rows(tmp_path / "output")}
    assert len(books) == 30
    nostromo = books["Conrad_Nostromo_1904.txt"].split("\n")
    assert nostromo[:3] == ["NOSTROMO", "A TALE OF THE SEABOARD", "By Joseph Conrad"]
    assert 1500 < len(nostromo) < 2500  # of 14,817 wrapped lines without a blank one between
    assert not any("\r" in book or "\ufeff" in book or "\n\n" in book for book in books.values())
    found = report(tmp_path / "output")
    assert found["bytes_out"] > 0.99 * found["bytes_in"]


def test_news_with_its_duplicates(data, tmp_path):
    output = curate_(tmp_path, input=(str(data / "bbc_news"),))
    found = report(output)
    assert found["documents_in"] == 2225
    assert list(found["dropped"]) == ["duplicate"]
    assert found["dropped"]["duplicate"]["documents"] == 101
    ids = [row["id"] for row in rows(output)]
    assert len(set(ids)) == len(ids) == 2124


def test_debug_reads_the_beginning(novels, tmp_path):
    output = curate_(tmp_path, input=(str(novels),), documents="file", debug=True)
    assert 3 <= report(output)["documents_out"] <= 20


def test_pages_by_the_recipe_for_the_web(data, tmp_path):
    for library in ("pycld2", "resiliparse", "rensa", "ftfy"):
        pytest.importorskip(library)
    folder = tmp_path / "input"
    folder.mkdir()
    chance = random.Random(1)
    lines = next((data / "bbc_news").glob("*.jsonl")).read_text("utf-8").splitlines()
    stories = [json.loads(line)["text"] for line in lines[:40]]
    menu = "<nav><ul>" + "<li><a href='/x'>Sport</a></li>" * 9 + "</ul></nav>"
    for number, story in enumerate(stories):
        body = "".join(f"<p>{part}.</p>" for part in story.rstrip(".").split(". "))
        page = f"<html><head><title>Story {number}</title></head><body>{menu}<main>{body}</main>"
        (folder / f"{number}.html").write_text(page)
    mash = ["".join(chance.choices("asdfjkl;", k=7)) for _ in range(300)]
    (folder / "mash.txt").write_text(" ".join(mash))
    (folder / "table.txt").write_text("12.5 | 88 | 99.1 | total\n" * 50)
    output = curate_(tmp_path, recipe="web", documents="file", num_shards=2)
    kept = rows(output)
    assert {row["source"] for row in kept} <= {f"{number}.html" for number in range(40)}
    assert len(kept) >= 36
    assert {row["language"] for row in kept} == {"en"}
    assert json.loads(kept[0]["metadata"])["title"].startswith("Story ")
    assert not any("<p>" in row["text"] or "Sport\n" in row["text"] for row in kept)
    assert sum(counted["documents"] for counted in report(output)["dropped"].values()) >= 2


def test_markup_that_no_step_takes_out_is_refused(folder):
    (folder / "input" / "page.html").write_text(f"<p>{NEWS}</p>")
    path = folder / "mine.toml"
    path.write_text('[[steps]]\nname = "basic_quality"\n')
    with pytest.raises(files.InputError, match="in html .page.html.; .*extract into the recipe"):
        curate_(folder, recipe=str(path))
