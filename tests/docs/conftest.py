"""A folder in which the commands of the pages work, and its outputs."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.docs.scene import make_scene

COMMANDS = {
    "fusionapp": "-m tests.docs.quick",
    "fusionprep": "-c 'import sys; from fusionprep.cli import main; sys.exit(main())'",
}


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> Mapping[str, str]:
    """Variables under which a shell finds the commands of this checkout."""
    folder = tmp_path_factory.mktemp("bin")
    for name, start in COMMANDS.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {start} "$@"\n')
        script.chmod(0o755)
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def scene(tmp_path_factory) -> Path:
    """Everything but the outputs of the App; not to be changed."""
    root = tmp_path_factory.mktemp("scene")
    make_scene(root)
    return root


@pytest.fixture(scope="session")
def processed(scene, environment) -> Path:
    """The same with ``out`` and ``work`` of one run, to which the commands of pages may add."""
    command = "fusionapp bids out participant -w work --modalities pet ct flair"
    done = subprocess.run(
        ["bash", "-euc", f"{command} && fusionapp bids out group"],
        cwd=scene, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return scene
