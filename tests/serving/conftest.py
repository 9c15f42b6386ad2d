"""One saved model for the tests of this room."""

import pytest

from roots_tf.serving.model import Model
from tests.serving import tiny


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Model:
    folder = tmp_path_factory.mktemp("tiny")
    tiny.save(folder / "1")
    return Model(str(folder), "tiny")
