"""Vectors in parts: a process that is killed goes on, and nothing is computed twice."""

import json

import numpy as np
import pyarrow.parquet
import pytest

from roots_tf.inference import parts
from roots_tf.storage import claims
from roots_tf.storage.files import InputError

CHUNKS = [["a", "bb"], ["ccc", "dddd"], ["e"]]
WANTED = np.array([[1, 10], [2, 20], [3, 30], [4, 40], [1, 10]], np.float32)
FORMS = [parts.Npy(2, np.dtype("float32")), parts.Parquet(2, np.dtype("float32"))]


class Killed(BaseException):
    """What `kill -9` is to the code around: nothing catches it."""


def vectors_of(texts):
    return np.array([[len(text), 10 * len(text)] for text in texts], np.float32)


def claim(**values):
    return claims.Claim("embed", values, {}, dict.fromkeys(values, "decides"))


def read(path):
    if path.suffix == ".npy":
        return np.load(path)
    table = pyarrow.parquet.read_table(path)
    assert table["text"].to_pylist() == [text for chunk in CHUNKS for text in chunk]
    return np.array(table["embedding"].to_pylist(), np.float32)


@pytest.mark.parametrize("form", FORMS, ids=["npy", "parquet"])
@pytest.mark.parametrize("survived", [0, 1, 2, 3])
def test_killed_after_any_part_it_goes_on_behind_it(tmp_path, form, survived, monkeypatch):
    output, asked = tmp_path / f"v{form.suffix}", []

    def dies(texts):
        if len(asked) == survived:
            raise Killed
        asked.append(texts)
        return vectors_of(texts)

    def dies_joining(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(form, "join", dies_joining)
        parts.write(str(output), claim(width=2), form, iter(CHUNKS), dies)
    assert not output.exists()
    assert len(list((tmp_path / f"{output.name}.parts").glob("part-*"))) == survived
    again = []

    def notes(texts):
        again.append(texts)
        return vectors_of(texts)

    assert parts.write(str(output), claim(width=2), form, iter(CHUNKS), notes) == 5
    assert asked + again == CHUNKS
    np.testing.assert_array_equal(read(output), WANTED)
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_parts_of_another_command_are_neither_taken_nor_lost(tmp_path):
    output, form = tmp_path / "v.npy", FORMS[0]

    def dies_second(texts):
        if texts != CHUNKS[0]:
            raise Killed
        return -vectors_of(texts)

    with pytest.raises(Killed):
        parts.write(str(output), claim(width=3), form, iter(CHUNKS), dies_second)
    wanted = r"found width=3; wanted width=2.*; or remove .*v\.npy\.parts, the parts of that run"
    with pytest.raises(InputError, match=wanted):
        parts.write(str(output), claim(width=2), form, iter(CHUNKS), vectors_of)
    assert len(list(tmp_path.glob("v.npy.parts/part-*"))) == 1
    assert parts.write(str(output), claim(width=3), form, iter(CHUNKS), vectors_of) == 5


def test_what_is_of_others_stays(tmp_path):
    output, folder, form = tmp_path / "v.npy", tmp_path / "v.npy.parts", FORMS[0]
    folder.mkdir()
    (folder / "mine.txt").write_text("kept")
    parts.write(str(output), claim(width=2), form, iter(CHUNKS), vectors_of)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    saved = json.dumps({"roots_tf": "0.2.0", "program": "curate"})
    (folder / claims.NAME).write_text(saved)
    with pytest.raises(InputError, match="found what curate has written in"):
        parts.write(str(output), claim(width=2), form, iter(CHUNKS), vectors_of)
    assert (folder / claims.NAME).read_text() == saved


def test_a_mistake_in_the_input_leaves_no_parts_and_a_full_disk_does(tmp_path):
    output, form = tmp_path / "v.npy", FORMS[0]
    output.write_text("before")

    def chunks(id):
        yield CHUNKS[0]
        raise InputError(id, "found this; wanted that")

    for id, left in (("no-room", ["part-000000.npy"]), ("empty-text", [])):
        with pytest.raises(InputError, match="found this"):
            parts.write(str(output), claim(width=2), form, chunks(id), vectors_of)
        assert [path.name for path in tmp_path.glob("*.parts/part-*")] == left
    with pytest.raises(InputError, match="found no text"):
        parts.write(str(output), claim(width=2), form, iter([]), vectors_of)
    assert output.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["v.npy"]
