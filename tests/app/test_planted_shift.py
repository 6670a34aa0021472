"""A bad registration among many good ones, through both levels of the app."""

import csv
import re

import nibabel as nib
import numpy as np
import pytest

from fusionprep.demo.dataset import write_demo_dataset
from tests.app.runs import run_app

BAD = "07"


@pytest.fixture
def cohort(tmp_path):
    """Twenty persons whose headers are right, but for one whose PET is 30 mm off."""
    folder = tmp_path / "bids"
    labels = tuple(f"{number:02}" for number in range(1, 21))
    for label, truth in write_demo_dataset(folder, voxel_size=3.0, subjects=labels).items():
        path = next((folder / f"sub-{label}" / "pet").glob("*_pet.nii.gz"))
        image = nib.load(path)
        move = nib.affines.from_matvec(np.eye(3), (20, 20, 10) if label == BAD else (0, 0, 0))
        affine = move @ truth.t1w_from_pet @ image.affine
        data = np.asarray(image.dataobj)
        nib.Nifti1Image(data, affine).to_filename(path)
    return folder


@pytest.mark.slow
def test_the_shifted_pet_fails_and_comes_first(cohort, tmp_path):
    out = tmp_path / "out"
    run = run_app(cohort, out, "--pet2anat-method", "identity")
    assert run.code == 0, run.stderr
    assert run_app(cohort, out, level="group").code == 0
    with (out / "group_fusion.tsv").open(encoding="utf-8") as stream:
        rows = {row["participant_id"]: row for row in csv.DictReader(stream, delimiter="\t")}
    verdicts = {label: row["verdict"] for label, row in rows.items()}
    assert verdicts == {f"sub-{n:02}": "pass" for n in range(1, 21)} | {f"sub-{BAD}": "fail"}
    assert float(rows[f"sub-{BAD}"]["off_optimum"]) == pytest.approx(30, abs=2)
    assert "off_optimum" in rows[f"sub-{BAD}"]["outlier"]
    page = (out / "group_fusion.html").read_text(encoding="utf-8")
    first = page[page.index('id="first"') : page.index('id="scans"')]
    assert re.search(r"sub-\d\d", first)[0] == f"sub-{BAD}"
