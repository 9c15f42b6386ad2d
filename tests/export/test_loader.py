"""An export by roads other than Python's: the C++ loader of TensorFlow Serving, and its server.

`tensorflow_model_server` reads a SavedModel with `tensorflow::LoadSavedModel` and answers through
`Session::Run`. `loader.cc` does the same with the library that comes with TensorFlow's wheel, and
with those ops of tensorflow-text that an export needs.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text

from roots_tf.export import operations, requests

# Library of tensorflow-text that holds an op, in its folder `python/ops`.
LIBRARIES = {
    "FastWordpieceTokenizeWithOffsets": "_fast_wordpiece_tokenizer.so",
    "FastBertNormalize": "_fast_bert_normalizer.so",
}
TEXTS = ["the ships", "", "a ship. the ship", "x" * 300, "Ünïcödé ½ 漢字 👩‍👧", "[MASK] the"]


@pytest.fixture(scope="session")
def loader(tmp_path_factory) -> Path:
    """`loader.cc`, compiled against the headers and libraries of TensorFlow's wheel."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ to compile loader.cc with")
    program = tmp_path_factory.mktemp("loader") / "loader"
    folder = tf.sysconfig.get_lib()
    command = ["g++", "-O1", "-w", *tf.sysconfig.get_compile_flags(), "-o", str(program)]
    command += [str(Path(__file__).with_name("loader.cc")), f"-L{folder}", f"-Wl,-rpath,{folder}"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    subprocess.run(command, check=True)
    return program


def libraries(saved_model) -> list[str]:
    """Libraries that hold the ops of a SavedModel that are not TensorFlow's own."""
    folder = Path(tensorflow_text.__file__).parent / "python" / "ops"
    return [str(folder / LIBRARIES[name]) for name in operations.custom(saved_model)]


def answers(saved_model, texts: list[str]) -> dict[str, np.ndarray]:
    """Outputs of `serving_default` in Python."""
    signature = tf.saved_model.load(saved_model).signatures["serving_default"]
    return {name: value.numpy() for name, value in signature(text=tf.constant(texts)).items()}


def read(printed: str) -> dict[str, np.ndarray]:
    """Outputs as `loader.cc` prints them."""
    lines, found = iter(printed.splitlines()), {}
    for line in lines:
        name, dtype, *shape = line.split(" ")
        shape = [int(size) for size in shape]
        values = [next(lines) for _ in range(int(np.prod(shape)))]
        values = [value.encode() if dtype == "string" else float(value) for value in values]
        found[name] = np.array(values, object if dtype == "string" else np.float32).reshape(shape)
    return found


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if value.dtype == object:
            assert found[name].tolist() == value.tolist()
        else:
            np.testing.assert_allclose(found[name], value, atol=1e-6)


@pytest.mark.slow
def test_the_loader_of_tensorflow_serving_answers_as_python_does(loader, exported):
    run = subprocess.run(
        [loader, exported, *libraries(exported)],
        input="".join(f"{text}\n" for text in TEXTS).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    wanted = answers(exported, TEXTS)
    assert len({tuple(row) for row in wanted["probabilities"].round(3)}) > 3
    assert_same(read(run.stdout.decode()), wanted)


@pytest.mark.slow
def test_without_the_ops_of_tensorflow_text_it_names_the_one_that_it_lacks(loader, exported):
    run = subprocess.run([loader, exported], input=b"the ship\n", capture_output=True)
    assert run.returncode == 1
    assert b"FastWordpieceTokenizeWithOffsets" in run.stderr


def test_saved_model_cli_runs_it(exported, tmp_path):
    """The tool that comes with TensorFlow, once tensorflow-text is imported."""
    code = (
        "import sys, tensorflow_text\n"
        "from tensorflow.python.tools import saved_model_cli\n"
        "sys.exit(saved_model_cli.main())"
    )
    flags = ["--dir", exported, "--tag_set", "serve", "--signature_def", "serving_default"]
    subprocess.run(
        [sys.executable, "-c", code, "run", *flags, "--input_exprs", f"text={TEXTS!r}"]
        + ["--outdir", str(tmp_path)],
        check=True,
        capture_output=True,
    )
    found = {path.stem: np.load(path, allow_pickle=True) for path in tmp_path.glob("*.npy")}
    assert_same(found, answers(exported, TEXTS))


def test_a_model_server_warms_up_and_answers(exported, tmp_path):
    """The true server, where there is one."""
    if (server := shutil.which("tensorflow_model_server")) is None:
        pytest.skip("no tensorflow_model_server on the PATH")
    folder = tmp_path / "ships" / "1"
    shutil.copytree(exported, folder)
    requests.write(folder, "ships", {"serving_default": {"text": TEXTS}})
    with socket.create_server(("localhost", 0)) as listener:
        port = listener.getsockname()[1]
    flags = [f"--rest_api_port={port}", "--model_name=ships", f"--model_base_path={folder.parent}"]
    with subprocess.Popen([server, "--port=0", *flags]) as process:
        try:
            found = _ask(f"http://localhost:{port}/v1/models/ships:predict", folder, process)
        finally:
            process.terminate()
    wanted = answers(exported, TEXTS)
    assert found["label"] == [label.decode() for label in wanted["label"]]
    np.testing.assert_allclose(found["probabilities"], wanted["probabilities"], atol=1e-5)


def _ask(url: str, folder: Path, process: subprocess.Popen) -> dict:
    """The server's answer to the request beside a SavedModel, once it has loaded that."""
    body = (folder / "requests" / "serving_default.json").read_bytes()
    for _ in range(120):
        assert process.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(url, body, timeout=60) as response:
                return json.load(response)["outputs"]
        except OSError as error:
            last = error
            time.sleep(0.5)
    raise last
