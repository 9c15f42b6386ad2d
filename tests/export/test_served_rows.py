"""Files of rows are served with the requests and the answers of a SavedModel."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import export, serve
from roots_tf import models, tasks, tokenizers
from roots_tf.export import embedding
from roots_tf.serving.model import Model, ModelOfFunctions
from roots_tf.storage.files import InputError
from tests.export import row_models

pytest.importorskip("onnxruntime")

SENTENCES = [
    "the ship.",
    "",
    "a ship, and 漢字 in Málaga? " * 9,
    "\0 ½ ﬁ \ufffd [MASK] [SEP] the",
    "\u202e  \t\n",
    "the the the ship a b c",
]
# The others share their road with one of these.
SERVED = ("encoder", "windows", "regression", "tagging", "question_answering")
FURTHER = ("pairs", "multiple_choice", "similarity", "contrastive", "classification")


def exported(folder: Path, name: str, format_: str, parts: str = "bert") -> Path:
    """What export writes of a model."""
    source, output = folder / f"{name}_{parts}", folder / f"{name}_{parts}_{format_}"
    if not source.exists():
        row_models.save(source, name, parts)
    if not output.exists():
        export.main(export.Config(model=str(source), output=str(output), format=format_))
    return output


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("work")


def loaded(folder: Path, runtime: str | None = None) -> Model:
    config = serve.Config(model=str(folder), runtime=runtime)
    return serve.load(config, serve.runtime_of(config))


def in_python(folder: Path, name: str, parts: str = "bert") -> Model:
    """The signatures of a model whose graph calls no file."""
    exported(folder, name, "onnx", parts)
    source = folder / f"{name}_{parts}"
    model, kind = models.load(source), tasks.kind_of(models.describe(source))
    tokenizer = tokenizers.load(source)
    graph = kind.served(model, tokenizer) if kind else embedding.Embedding(model, tokenizer)
    return ModelOfFunctions(str(source), graph.signatures())


def columns(model: Model, sentences: list[str]) -> dict[str, np.ndarray]:
    """Inputs of a model: sentences, and in further columns others of them."""
    found = {}
    for place, (name, spec) in enumerate(model.signatures["serving_default"].inputs.items()):
        texts = [*sentences[place:], *sentences[:place]]
        if spec.shape.rank == 2:
            texts = [[text, "the", text[::-1]] for text in texts]
        encoded = np.array(texts, object)
        found[name] = np.vectorize(lambda text: text.encode(), otypes=[object])(encoded)
    return found


def assert_same(one: Model, other: Model, signature: str, inputs: dict) -> None:
    wanted, found = (model.compute(signature, inputs) for model in (one, other))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if value.dtype.kind == "f":
            largest = max(1.0, np.abs(value).max(initial=0))
            np.testing.assert_allclose(found[name], value, atol=1e-5 * largest)
        else:
            np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize(
    "name", [*SERVED, *(pytest.param(name, marks=pytest.mark.slow) for name in FURTHER)]
)
def test_onnx_answers_as_a_saved_model_does(work, name):
    whole, other = in_python(work, name), loaded(exported(work, name, "onnx"))
    assert other.signatures.keys() == whole.signatures.keys()
    for signature, wanted in whole.signatures.items():
        found = other.signatures[signature]
        assert found.by_rows == wanted.by_rows
        assert {n: (s.dtype, s.shape.rank) for n, s in found.inputs.items()} == {
            n: (s.dtype, s.shape.rank) for n, s in wanted.inputs.items()
        }
    assert_same(whole, other, "serving_default", columns(whole, SENTENCES))
    ids = {name: np.int32([[2, 34, 35, 3], [2, 7, 3, 99]]) for name in ("token_ids",)}
    ids["padding_mask"] = np.int32([[1, 1, 1, 1], [1, 1, 1, 0]])
    if "segment_ids" in whole.signatures["ids"].inputs:
        ids["segment_ids"] = np.int32([[0, 0, 1, 1], [0, 1, 1, 9]])
    if name == "multiple_choice":
        ids = {key: np.repeat(value[:, None], 3, 1) for key, value in ids.items()}
    assert_same(whole, other, "ids", ids)
    for signature in {"tokens", "embedding"} & whole.signatures.keys():
        texts = columns(whole, SENTENCES)["text"]
        assert_same(whole, other, signature, {"text": texts})


@pytest.mark.slow
def test_a_saved_model_in_a_fresh_process_gives_the_same(work):
    whole, other = (loaded(exported(work, "windows", f)) for f in ("saved_model", "onnx"))
    assert_same(whole, other, "serving_default", columns(whole, SENTENCES))


@pytest.mark.parametrize(("name", "parts"), [("tagging", "modern")])
def test_litert_answers_as_onnx_does(work, name, parts):
    one, other = (loaded(exported(work, name, f, parts)) for f in ("onnx", "litert"))
    inputs = columns(one, SENTENCES)
    wanted, found = (model.compute("serving_default", inputs) for model in (one, other))
    for key, value in wanted.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(found[key], value, atol=1e-4)
        else:
            np.testing.assert_array_equal(found[key], value)


def test_litert_of_one_length_answers_texts_one_by_one(work):
    source = row_models.save(work / "fixed", "tagging")
    output = work / "fixed_litert"
    export.main(
        export.Config(model=str(source), output=str(output), format="litert", max_seq_length=16)
    )
    short = ["the ship.", "", "a b c"]
    whole = loaded(exported(work, "tagging", "onnx"))
    wanted, found = (
        model.compute("serving_default", columns(whole, short)) for model in (whole, loaded(output))
    )
    assert found["tags"].tolist() == wanted["tags"].tolist()


def test_answers_to_whatever_is_written(work):
    whole, other = in_python(work, "windows"), loaded(exported(work, "windows", "onnx"))

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.one_of(st.text(), st.binary()), min_size=1, max_size=4))
    def run(sentences):
        texts = [text if isinstance(text, bytes) else text.encode() for text in sentences]
        assert_same(whole, other, "serving_default", {"text": np.array(texts, object)})

    run()


def test_rows_of_other_tokenizers_are_those_of_the_graph(work):
    """`tokenizer.json` beside the file gives the ids that the server's graph gives."""
    from tokenizers import Tokenizer

    folder = exported(work, "encoder", "onnx")
    fast = Tokenizer.from_file(str(folder / "tokenizer.json"))
    fast.enable_truncation(24)
    model = loaded(folder)

    @settings(max_examples=100, deadline=None)
    @given(st.text())
    def run(text):
        row = model.compute("tokens", {"text": np.array([text.encode()], object)})
        assert row["token_ids"][0].tolist() == fast.encode(text).ids

    run()


def test_the_folder_decides_and_the_flag_above_it(work, tmp_path):
    folder = exported(work, "encoder", "onnx")
    assert serve.runtime_of(serve.Config(model=str(folder))) == "onnx"
    shutil.copytree(folder, tmp_path / "both")
    (tmp_path / "both" / "model.tflite").write_bytes(b"x")
    assert serve.runtime_of(serve.Config(model=str(tmp_path / "both"))) == "onnx"
    both = serve.Config(model=str(tmp_path / "both"), runtime="litert")
    assert serve.runtime_of(both) == "litert"
    with pytest.raises(InputError, match="found no model.tflite in .*--format=litert wrote"):
        serve.runtime_of(serve.Config(model=str(folder), runtime="litert"))
    with pytest.raises(InputError, match="found no version of a model"):
        loaded(folder, "tensorflow")


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json"])
def test_a_damaged_file_is_named(work, tmp_path, file):
    folder = tmp_path / "damaged"
    shutil.copytree(exported(work, "encoder", "onnx"), folder)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=f"found another {file} in .*damaged") as error:
        loaded(folder)
    assert "\n" not in str(error.value)
    (folder / file).unlink()
    with pytest.raises(InputError, match="found no|" + file):
        loaded(folder)


@pytest.mark.parametrize("file", ["model.onnx", "model.tflite"])
@pytest.mark.parametrize("kept", [0, 40, 1000])
def test_a_file_that_nothing_vouches_for_is_refused_if_damaged(work, tmp_path, file, kept):
    format_ = "onnx" if file == "model.onnx" else "litert"
    folder = tmp_path / "damaged"
    shutil.copytree(exported(work, "regression", format_), folder)
    path = folder / f"{format_}.json"
    described = json.loads(path.read_text("utf-8"))
    del described["sha256"][file]
    path.write_text(json.dumps(described))
    (folder / file).write_bytes((folder / file).read_bytes()[:kept])
    with pytest.raises(InputError, match="could not load .*export the model") as error:
        loaded(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": 3}, "model"),
        ({"output": None}, "output"),
        ({"sha256": {"../onnx.json": "0"}}, "found '../onnx.json'.*names of files beside it"),
        ({"max_seq_length": 1}, "max_seq_length"),
        ({"output": "logits"}, "found output='logits'.*wanted 'embedding'"),
    ],
)
def test_a_description_that_is_none_is_named(work, tmp_path, change, message):
    folder = tmp_path / "wrong"
    shutil.copytree(exported(work, "encoder", "onnx"), folder)
    path = folder / "onnx.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change))
    with pytest.raises(InputError, match=message):
        loaded(folder)


def test_the_vocabulary_of_another_model_is_named(work, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(exported(work, "encoder", "onnx"), folder)
    path = folder / "onnx.json"
    described = json.loads(path.read_text("utf-8"))
    described["model"]["encoder"]["vocabulary_size"] = 9
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match="found 37 tokens in .*the tokenizer is of another model"):
        loaded(folder)


def test_a_file_of_another_program_is_named(work, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    shutil.copy(exported(work, "encoder", "onnx") / "model.onnx", folder)
    with pytest.raises(InputError, match="onnx.json") as error:
        loaded(folder)
    assert "\n" not in str(error.value)


def test_a_folder_of_an_older_version_is_named(work, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(exported(work, "regression", "litert"), folder)
    (folder / "litert.json").write_text('{"quantize": "none", "length": 0, "output": "value"}')
    with pytest.raises(InputError, match="which an older version wrote.*export the model again"):
        loaded(folder)
