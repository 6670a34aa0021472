"""The app on real images with known displacement; slow, and only where they are at hand."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.evaluation.registration import target_registration_error
from fusionprep.image.resample import ras_from_itk, read_transforms
from tests.validator import issues

pytestmark = pytest.mark.slow

# Mean and largest error (mm) over the brain. The population averages of cermep sub-0002 are
# blurred, and the truth about them is no sharper than a millimetre or two.
LIMITS = {
    "cermep": {
        "sub-0001_pet": (1.0, 2.0),
        "sub-0002_pet": (3.0, np.inf),
        "sub-0002_ct": (3.0, np.inf),
        "sub-0002_FLAIR": (3.0, np.inf),
    },
    "oasis3": {"sub-OAS30001_ses-d0423_pet": (1.0, 2.0)},
    "adni": {"sub-ADNI027S0074_pet": (1.0, 2.0)},
}


def find_transform(out: Path, subject: str, suffix: str) -> Path:
    (path,) = (out / subject).rglob(f"*_from-{suffix}_to-T1w_mode-image_xfm.txt")
    return path


@pytest.mark.parametrize("dataset", LIMITS)
def test_registration_and_validity(shared_data, dataset, tmp_path):
    truth = json.loads((shared_data / "bids" / "truth.json").read_text())[dataset]
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "bids_app.run", shared_data / "bids" / dataset, out, "participant",
        "-w", tmp_path / "work", "--modalities", "pet", "ct", "flair",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for name, (mean, largest) in LIMITS[dataset].items():
        subject, suffix = name.split("_")[0], name.rsplit("_", 1)[1]
        estimate = ras_from_itk(read_transforms([find_transform(out, subject, suffix)]))
        (mask,) = (
            path for path in (out / subject).rglob("*desc-brain_mask.nii.gz")
            if "space-" not in path.name
        )  # fmt: skip
        error = target_registration_error(estimate, np.array(truth[name]), nib.load(mask))
        assert error.mean() < mean, name
        assert error.max() < largest, name
    assert issues(out) == []


def test_oasis_pet_is_paired_with_the_nearest_session(shared_data, tmp_path):
    command = [
        sys.executable, "-m", "bids_app.run", shared_data / "bids" / "oasis3", tmp_path / "out",
        "participant", "--dry-run",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "with sub-OAS30001/ses-d0129/anat/" in run.stdout
    assert "294" in run.stdout
    assert "with sub-OAS30001/ses-d3132" not in run.stdout
