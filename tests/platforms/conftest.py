"""What the platforms are given and how their tools are called."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fusionprep.demo.dataset import write_demo_dataset

PLATFORMS = Path(__file__).parents[2] / "bids_app" / "platforms"


@pytest.fixture(scope="session")
def phantom(tmp_path_factory) -> Path:
    """One subject with PET, CT and FLAIR at 2 mm; not to be changed."""
    folder = tmp_path_factory.mktemp("phantom") / "bids"
    write_demo_dataset(folder, voxel_size=2.0, subjects=("01",))
    return folder


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of a user who has activated the virtual environment."""
    scripts = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([scripts, os.environ["PATH"]])}


@pytest.fixture
def bosh(tmp_path, environment) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Boutiques' command in an empty folder, with what ``run.environment`` holds."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bosh", *arguments],
            cwd=tmp_path,
            env=run.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    run.environment = {**environment, "HOME": str(tmp_path)}
    return run
