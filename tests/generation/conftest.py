"""One tiny model for the tests of this room."""

import pytest

from tests.generation import tiny


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Folder of a causal model with byte-level BPE."""
    return tiny.write(tmp_path_factory.mktemp("tiny") / "model")
