"""Runs repeat exactly, also after a kill."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fusionprep.demo.dataset import write_demo_dataset
from fusionprep.workflows.base import WORKFLOW_NAME


@pytest.fixture(scope="module")
def bids(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("coarse") / "bids"
    write_demo_dataset(folder, voxel_size=3.0, subjects=("02",))
    return folder


def command(bids: Path, folder: Path, *more: str) -> list[str]:
    options = [
        str(bids), str(folder / "out"), "participant", "-w", str(folder / "work"),
        "--nprocs", "1", "--omp-nthreads", "1", "--random-seed", "7", "--skip-bids-validation",
        "--output-spaces", "T1w", "MNI152NLin2009aSym:res-2", *more,
    ]  # fmt: skip
    return [sys.executable, "-m", "bids_app.run", *options]


def outputs(folder: Path) -> dict[str, bytes]:
    """Images, transforms, figures and sidecars; the time a fusion took is not to be the same."""
    out = folder / "out"
    return {
        str(path.relative_to(out)): re.sub(rb'"RunTimeSeconds": [0-9.]+', b"", path.read_bytes())
        for path in sorted(out.rglob("sub-*/*/*"))
        if path.name.endswith((".nii.gz", "xfm.txt", ".h5", ".png", ".jpg", ".svg", ".json"))
    }


@pytest.fixture(scope="module")
def reference(bids, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("reference")
    subprocess.run(command(bids, folder), check=True, capture_output=True)
    return outputs(folder)


@pytest.mark.slow
def test_two_runs_from_scratch_are_identical(bids, reference, tmp_path):
    subprocess.run(command(bids, tmp_path), check=True, capture_output=True)
    assert outputs(tmp_path) == reference


@pytest.mark.slow
def test_two_sloppy_runs_are_identical(bids, tmp_path):
    for name in ("first", "second"):
        words = command(bids, tmp_path / name, "--sloppy")
        subprocess.run(words, check=True, capture_output=True)
    assert outputs(tmp_path / "first") == outputs(tmp_path / "second")


def test_a_killed_run_resumes_to_the_same_outputs(bids, reference, tmp_path):
    """Each step runs once here and once in the reference: this also says that it repeats."""
    finished = tmp_path / "work" / WORKFLOW_NAME / "sub_02_wf/pet_trc_18FFDG_wf/coregistration_wf"
    run = subprocess.Popen(
        command(bids, tmp_path),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not list(finished.glob("register/result_*.pklz")):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert len(outputs(tmp_path)) < len(reference)
    unfinished = tmp_path / "out" / "sub-02" / "anat" / ".writing-killed.nii.gz"
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_bytes(b"half")
    os.utime(unfinished, (0, 0))
    resumed = subprocess.run(command(bids, tmp_path), check=True, capture_output=True, text=True)
    assert " 0 were taken from the work directory" not in resumed.stderr
    assert outputs(tmp_path) == reference
    assert not list((tmp_path / "out").rglob(".writing-*"))
