"""The simulated person whose anatomy and head positions are known."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.demo.dataset import SubjectTruth, write_demo_dataset
from fusionprep.image.io import read_volume

AIR_HU = -1000.0


@dataclass(frozen=True)
class Person:
    """One subject of the demo dataset at 2 mm, and what was simulated."""

    folder: Path
    truth: SubjectTruth

    def t1w(self) -> nib.Nifti1Image:
        return read_volume(self.folder / "anat" / "sub-01_T1w.nii.gz", "T1w")

    def moving(self, modality: str) -> nib.Nifti1Image:
        names = {
            "pet": "pet/sub-01_trc-18FFDG_pet",
            "ct": "ct/sub-01_ct",
            "flair": "anat/sub-01_FLAIR",
        }
        missing = AIR_HU if modality == "ct" else 0.0
        return read_volume(self.folder / f"{names[modality]}.nii.gz", modality, missing=missing)

    def t1w_from(self, modality: str) -> np.ndarray:
        return getattr(self.truth, f"t1w_from_{modality}")

    def mask(self) -> nib.Nifti1Image:
        return nib.load(self.truth.brain_mask)

    def tissues(self) -> np.ndarray:
        """Labels 1 (GM), 2 (WM), 3 (CSF) in the brain mask, 0 outside."""
        paths = (self.truth.gm, self.truth.wm, self.truth.csf)
        fractions = np.stack([nib.load(path).get_fdata(dtype=np.float32) for path in paths])
        inside = np.asarray(self.mask().dataobj) > 0
        return np.where(inside, fractions.argmax(axis=0) + 1, 0)


@pytest.fixture(scope="session")
def person(tmp_path_factory) -> Person:
    out = tmp_path_factory.mktemp("demo") / "raw"
    truth = write_demo_dataset(out, voxel_size=2.0, subjects=("01",))
    return Person(out / "sub-01", truth["01"])
