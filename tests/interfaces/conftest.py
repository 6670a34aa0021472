"""A simulated person at 4 mm, for what interfaces add to the functions they call."""

from pathlib import Path

import pytest

from fusionprep.demo.dataset import SubjectTruth, write_demo_dataset


@pytest.fixture(scope="session")
def small_person(tmp_path_factory) -> tuple[Path, SubjectTruth]:
    out = tmp_path_factory.mktemp("small") / "raw"
    truth = write_demo_dataset(out, voxel_size=4.0, subjects=("01",))
    return out / "sub-01", truth["01"]
