"""The highest version is loaded; what it takes and gives is as the file says."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.serving.model import Model, highest_version
from roots_tf.serving.rest import ApiError
from roots_tf.storage.files import InputError
from tests.serving import tiny


def texts(*values: bytes) -> np.ndarray:
    return np.array(values, dtype=object)


def test_signatures_are_told_from_the_file(model):
    assert model.version == 1 and model.name == "tiny"
    ids = model.signatures["ids"]
    assert {name: spec.dtype for name, spec in ids.inputs.items()} == {
        "token_ids": tf.int32,
        "padding_mask": tf.int32,
    }
    assert [spec.shape.as_list() for spec in ids.inputs.values()] == [[None, None]] * 2
    assert not model.signatures["total"].by_rows
    assert all(model.signatures[name].by_rows for name in ("serving_default", "ids", "pieces"))


def test_it_computes_what_the_module_does(model):
    inputs = texts(b"a", "ü".encode(), b"\xff")
    outputs = model.compute("serving_default", {"text": inputs})
    module = tiny.Tiny()
    expected = module.describe(tf.constant(inputs, tf.string))
    assert list(outputs) == ["length", "upper", "v"]
    np.testing.assert_allclose(outputs["v"], expected["v"], atol=1e-6)
    assert outputs["length"].tolist() == [1, 2, 1]
    assert outputs["upper"].tolist()[0] == b"A"


def test_what_tensorflow_refuses_is_the_clients_mistake(model):
    with pytest.raises(ApiError, match="99") as caught:
        model.compute("ids", {"token_ids": np.int32([[99]]), "padding_mask": np.int32([[1]])})
    assert caught.value.status == 400
    assert caught.value.message == "indices[0,0] = 99 is not in [0, 10) [wrong-request]"


def warmed_up(model, batch_size: int, monkeypatch) -> list:
    """Names and inputs of what is computed to warm a model up."""
    called, compute = [], model.compute
    monkeypatch.setattr(model, "compute", lambda *call: called.append(call) or compute(*call))
    model.warm_up(batch_size)
    return called


def test_every_signature_is_warmed_up(model, monkeypatch):
    called = warmed_up(model, 5, monkeypatch)
    sizes = [(name, len(next(iter(inputs.values())))) for name, inputs in called]
    assert sizes == [
        (name, rows)
        for name, signature in model.signatures.items()
        for rows in ((1, 5) if signature.by_rows else (1,))
    ]
    [_, pair] = [inputs["pair"] for name, inputs in called if name == "pair"]
    assert pair.shape == (5, 2)


def test_it_is_warmed_up_with_the_requests_beside_the_graph(tmp_path, monkeypatch):
    tiny.save(tmp_path / "1")
    (tmp_path / "1" / "requests").mkdir()
    inputs = {"token_ids": [[1, 2], [3, 4]], "padding_mask": [[1, 1], [1, 0]]}
    request = {"signature_name": "ids", "inputs": inputs}
    (tmp_path / "1" / "requests" / "ids.json").write_text(json.dumps(request))
    called = warmed_up(Model(str(tmp_path)), 3, monkeypatch)
    found = [inputs["token_ids"].tolist() for name, inputs in called if name == "ids"]
    assert found == [[[1, 2]], [[1, 2], [3, 4], [1, 2]]]


@pytest.mark.parametrize("found", ["[]", "{", "[" * 100_000, '{"instances": [1]}', None, "FIFO"])
def test_a_request_beside_the_graph_that_is_none_does_not_stop_it(found, tmp_path, monkeypatch):
    version, requests = tmp_path / "1", tmp_path / "1" / "requests"
    monkeypatch.setattr(Model, "compute", lambda *args: {})
    module = tf.Module()
    module.half = tf.function(lambda x: {"y": x / 2}, input_signature=[tiny.NUMBERS])
    tf.saved_model.save(module, str(version), signatures=module.half)
    requests.mkdir()
    path = requests / "serving_default.json"
    if found is None:
        path.mkdir()
    elif found == "FIFO":
        os.mkfifo(path)
    else:
        path.write_text(found)
    Model(str(tmp_path)).warm_up(2)


def test_a_graph_that_is_no_file_is_named(tmp_path):
    (tmp_path / "1").mkdir()
    os.mkfifo(tmp_path / "1" / "saved_model.pb")
    with pytest.raises(InputError, match="saved_model.pb is no regular file"):
        Model(str(tmp_path))


def test_the_highest_version_is_the_largest_number(tmp_path):
    for name in ("1", "9", "10", ".11.tmp", "x12", "13x"):
        (tmp_path / name).mkdir()
    assert highest_version(str(tmp_path)) == (10, tmp_path / "10")


@pytest.fixture
def damaged(model, tmp_path, request):
    """The model's folder, with what stands in one of its files damaged."""
    tiny.save(tmp_path / "1")
    path = tmp_path / "1" / request.param
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return tmp_path


@pytest.mark.parametrize("damaged", ["saved_model.pb", "variables/variables.index"], indirect=True)
def test_a_damaged_model_is_named(damaged):
    with pytest.raises(InputError, match=f"could not load {damaged / '1'}: .*export again") as e:
        Model(str(damaged))
    assert "\n" not in str(e.value)


def test_a_folder_that_is_no_model_is_named(model, tmp_path):
    with pytest.raises(InputError, match="found no version of a model in .*nowhere"):
        Model(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="found no version of a model in "):
        Model(str(tmp_path))
    (tmp_path / "1").mkdir()
    with pytest.raises(InputError, match="could not load .*1: .*saved_model.pb"):
        Model(str(tmp_path))
    tiny.save(tmp_path / "1")
    with pytest.raises(InputError, match=f"found a SavedModel itself in .*wanted .* {tmp_path}$"):
        Model(str(tmp_path / "1"))
    with pytest.raises(InputError, match="found the name 'a/b'"):
        Model(str(tmp_path), "a/b")
    shutil.rmtree(tmp_path / "1")
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"))
    with pytest.raises(InputError, match="found no signature in "):
        Model(str(tmp_path))
