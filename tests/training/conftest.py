"""A folder of small training slices."""

import csv

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

PATIENTS = (("train", "A"), ("train", "B"), ("val", "C"))


@pytest.fixture(scope="session")
def write_slices():
    """Writes smooth pairs of PNG slices, three of each of three patients, and their table."""

    def write(root, side=40, patients=PATIENTS):
        rng = np.random.default_rng(0)
        rows = [("dataset", "split", "file", "subject")]
        for index, (split, subject) in enumerate(patients):
            for number in range(3):
                name = f"{index}{number}.png"
                rows.append(("pet-mri", split, name, subject))
                for modality in ("mri", "pet"):
                    image = gaussian_filter(rng.random((side, side)), 2)
                    image = (image - image.min()) / np.ptp(image) * 255
                    folder = root / "pet-mri" / split / modality
                    folder.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image.astype(np.uint8)).save(folder / name)
        with (root / "slices.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)
        return root

    return write


@pytest.fixture(scope="session")
def slices(tmp_path_factory, write_slices):
    """Six pairs of two patients to train on, three of another to validate."""
    return write_slices(tmp_path_factory.mktemp("slices"))
