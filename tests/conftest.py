"""Where the tests find real text, and the devices they train on."""

import gc
import os
from pathlib import Path

import hypothesis
import pytest

from roots_tf import notices
from roots_tf.storage import urls
from tests import installed_text, stores

GROWTH = 100 << 20  # bytes that a module of tests takes before its garbage is collected
# `XLA_FLAGS= make test` runs with kernels as fast as those of users.
XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def pytest_configure(config):
    """Makes four logical CPU devices, before TensorFlow starts; takes the clock off hypothesis."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # XLA compiles hundreds of small kernels here: less effort for each takes a fifth off the whole.
    os.environ.setdefault("XLA_FLAGS", XLA_FLAGS)
    # A busy machine is no mistake of an example.
    hypothesis.settings.register_profile("any machine", deadline=None)
    hypothesis.settings.load_profile("any machine")
    if config.getoption("dist", "no") != "no":  # its workers run the tests
        return
    gc.disable()  # to the end of the imports, which leave hundreds of thousands of objects
    notices.hide()
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)


def pytest_collection_finish():
    """Has the collector of garbage pass over what was imported, for good."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _garbage():
    """Collects garbage behind a module of tests that took much memory.

    Models and their graphs hold each other in circles. The more objects a process has, the more
    seldom Python looks for such circles by itself: workers grew to 11 GB.
    """
    before = _resident()
    yield
    if _resident() > before + GROWTH:
        gc.collect()


def _resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def real_text() -> Path:
    """Folder of real text, `ROOTS_DATA` or `shared/data` beside the clone, if there is one."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("ROOTS_DATA", beside))


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real text; skips without it."""
    if not real_text().is_dir():
        pytest.skip(f"no real text at {real_text()}; set ROOTS_DATA")
    return real_text()


@pytest.fixture(scope="session")
def novels(tmp_path_factory) -> Path:
    """Folder of books, a text file each: English novels, or else docstrings in their form."""
    if real_text().is_dir():
        return real_text() / "novels_en"
    folder = tmp_path_factory.mktemp("novels")
    installed_text.write_books(folder)
    return folder


@pytest.fixture(scope="session")
def topics(tmp_path_factory) -> Path:
    """Folder of `train.jsonl`, `dev.jsonl`, `test.jsonl` with five labels: news, or docstrings."""
    if real_text().is_dir():
        return real_text() / "bbc_news"
    folder = tmp_path_factory.mktemp("topics")
    installed_text.write_topics(folder)
    return folder


@pytest.fixture(scope="session")
def questions(tmp_path_factory) -> Path:
    """File of questions in SQuAD's format: those of XQuAD, or drawn ones about docstrings."""
    if real_text().is_dir():
        return real_text() / "xquad" / "xquad.en.json"
    path = tmp_path_factory.mktemp("questions") / "questions.json"
    installed_text.write_questions(path)
    return path


@pytest.fixture(scope="session")
def tagged(tmp_path_factory) -> Path:
    """File of sentences with tags in CoNLL's format: WikiANN, or drawn tags on docstrings."""
    if real_text().is_dir():
        return real_text() / "wikiann_en" / "dev.conll"
    path = tmp_path_factory.mktemp("tagged") / "tagged.conll"
    installed_text.write_tagged(path)
    return path


@pytest.fixture(scope="session")
def _store():
    """One server for all tests; it takes a second to start."""
    started = stores.Store()
    yield started
    started.close()


@pytest.fixture
def store(_store, monkeypatch) -> stores.Store:
    """An S3 server that fails as it is told to; `s3://` URLs mean it, and waits are short."""
    for name, value in (stores.ENVIRONMENT | {"AWS_ENDPOINT_URL": _store.endpoint}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(urls, "FIRST_WAIT", 0.01)
    _store.reset()
    return _store
