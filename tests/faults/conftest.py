"""A dataset for each attack."""

import pytest

from tests.bids.skeleton import PET_SIDECAR, pet, t1w, write_dataset
from tests.faults.attacks import Scene


@pytest.fixture
def scene(tmp_path) -> Scene:
    """Two subjects of names and sidecars, whose images hold zeros."""
    bids = tmp_path / "bids"
    images = [image(subject=label) for label in ("01", "02") for image in (t1w, pet)]
    write_dataset(bids, *images, sidecar=PET_SIDECAR)
    return Scene(bids, tmp_path / "out", tmp_path / "work")
