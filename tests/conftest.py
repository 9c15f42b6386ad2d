"""Where the tests find real text: `ROOTS_DATA`, or `shared/data` beside the clone."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the real text; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ROOTS_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real text at {folder}; set ROOTS_DATA")
    return folder
