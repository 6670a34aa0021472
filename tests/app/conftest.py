"""A cheap raw dataset and what the app makes of it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusionprep.demo.dataset import write_demo_dataset
from tests.app.runs import Run, run_app


@pytest.fixture(scope="session")
def phantom(tmp_path_factory) -> Path:
    """One subject with a static PET at 3 mm; not to be changed."""
    folder = tmp_path_factory.mktemp("phantom") / "bids"
    write_demo_dataset(folder, voxel_size=3.0, subjects=("01",))
    return folder


@pytest.fixture(scope="session")
def finished(phantom, tmp_path_factory) -> Run:
    """A run on the phantom; later runs take its results from the work directory."""
    run = run_app(phantom, tmp_path_factory.mktemp("finished") / "out", "--resource-monitor")
    assert run.code == 0, run.stderr
    return run


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A mounted file system of 3 MB, see :func:`tests.app.runs.resize`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"file systems cannot be mounted here: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
