"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images that are not part of the repository; tests that need them skip without."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FUSIONPREP_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real images are not at {folder}; set FUSIONPREP_SHARED_DATA")
    return folder
