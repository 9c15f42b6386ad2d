"""A hub that runs, and this process set to ask it, with a cache of its own."""

import pytest
from huggingface_hub import _tree_cache, constants
from huggingface_hub.utils import close_session

from roots_tf.hubs import refusals
from tests.hubs import server


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The library reads its environment as it is imported, so what it made of that is set."""
    with server.running() as hub:
        cache = tmp_path / "cache"
        for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
            "HF_TOKEN_PATH": str(tmp_path / "token"),
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr(_tree_cache, "_IN_MEMORY_TREE_CACHE", {})
        monkeypatch.setattr(refusals, "WAITS", (0.01, 0.01))
        yield hub
    close_session()
    assert hub.leaked == []
