"""The nipoppy bundle fits the command, and what it tracks is what the command writes."""

import json
import re
import shutil
import subprocess

import pytest

from fusionprep import __version__
from tests.platforms.conftest import PLATFORMS

BUNDLE = PLATFORMS / "nipoppy"
CONFIG = json.loads((BUNDLE / "config.json").read_text("utf-8"))
INVOCATIONS = [step["INVOCATION_FILE"] for step in CONFIG["STEPS"]]
# As nipoppy fills them in for one participant and session.
IDS = {
    "[[NIPOPPY_BIDS_PARTICIPANT_ID]]": "sub-01",
    "[[NIPOPPY_BIDS_SESSION_ID]]": "ses-BL",
}
WRITTEN = [
    "sub-01.html",
    "sub-01/ses-BL/pet/sub-01_ses-BL_trc-18FFDG_space-T1w_desc-preproc_pet.nii.gz",
    "sub-01/ses-BL/pet/sub-01_ses-BL_trc-18FFDG_space-T1w_desc-fusedReadFuse_pet.nii.gz",
    "sub-01/ses-BL/pet/sub-01_ses-BL_trc-18FFDG_from-pet_to-T1w_mode-image_xfm.txt",
]


def test_descriptor_is_that_of_the_command():
    # a bundle holds all its files itself: no link would do
    told = "cp bids_app/platforms/boutiques.json bids_app/platforms/nipoppy/descriptor.json"
    descriptor = (BUNDLE / "descriptor.json").read_text("utf-8")
    assert descriptor == (PLATFORMS / "boutiques.json").read_text("utf-8"), told


def test_version_and_files():
    assert CONFIG["VERSION"] == __version__
    named = {
        value for step in CONFIG["STEPS"] for key, value in step.items() if key.endswith("_FILE")
    }
    assert {path.name for path in BUNDLE.iterdir()} == named | {"config.json"}


@pytest.mark.parametrize("name", INVOCATIONS)
def test_invocation_fits_the_descriptor(bosh, name):
    done = bosh("invocation", "-i", str(BUNDLE / name), str(BUNDLE / "descriptor.json"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_tracked_files_are_written():
    paths = json.loads((BUNDLE / "tracker.json").read_text("utf-8"))["PATHS"]
    assert len(paths) == len(WRITTEN)
    for path, written in zip(paths, WRITTEN, strict=True):
        for placeholder, label in IDS.items():
            path = path.replace(placeholder, label)
        assert re.fullmatch(re.escape(path).replace(r"\*", "[^/]*"), written), path


def test_nipoppy_accepts_the_bundle():
    if shutil.which("nipoppy") is None:
        pytest.skip("nipoppy is not installed: pipx install nipoppy")
    subprocess.run(["nipoppy", "pipeline", "validate", str(BUNDLE)], check=True)
