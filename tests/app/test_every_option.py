"""Every option of PET and T1w at once, on a dynamic PET in two runs of a head with a lesion."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.demo.dataset import write_demo_dataset
from fusionprep.reading import read_table
from tests.app.runs import Run, edit_sidecar, run_app, sidecar, sidecar_of
from tests.validator import issues

SUBJECT = "02"
OPTIONS = (
    "--participant-label", SUBJECT, "--modalities", "pet", "ct", "flair",
    "--output-spaces", "T1w", "MNI152NLin2009aSym:res-2", "--denoise-t1w", "on",
    "--hmc", "on", "--keep-frames", "--frames", "20-60", "--suvr-region", "auto",
    "--pvc", "mg", "gtm", "rbv", "iy", "--psf", "6", "--atlas", "dk", "--target-resolution", "8",
    "--combine-runs",
)  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def patients(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("patients") / "bids"
    write_demo_dataset(folder, voxel_size=3.0, subjects=("01", SUBJECT), lesion=True)
    (pet,) = folder.glob(f"sub-{SUBJECT}/pet/*_pet.nii.gz")
    cut_in_two(pet)
    return folder


def cut_in_two(pet: Path) -> None:
    """Put a series of frames, with its sidecar, into two runs."""
    series, told = nib.load(pet), sidecar(pet)
    voxels = np.asarray(series.dataobj)
    half = voxels.shape[-1] // 2
    for run, part in (("1", slice(None, half)), ("2", slice(half, None))):
        path = pet.with_name(pet.name.replace("_pet", f"_run-{run}_pet"))
        nib.save(nib.Nifti1Image(voxels[..., part], series.affine), path)
        sidecar_of(path).write_bytes(sidecar_of(pet).read_bytes())
        per_frame = {
            key: value[part]
            for key, value in told.items()
            if isinstance(value, list) and len(value) == voxels.shape[-1]
        }
        edit_sidecar(path, **per_frame)
    pet.unlink()
    sidecar_of(pet).unlink()


@pytest.fixture(scope="module")
def finished(patients, tmp_path_factory) -> Run:
    """All of it, then again on what the first run made, then the group level."""
    first = run_app(patients, tmp_path_factory.mktemp("first") / "out", *OPTIONS)
    assert first.code == 0, first.stderr
    earlier = ("--derivatives", f"before={first.output_dir}")
    run = run_app(patients, tmp_path_factory.mktemp("again") / "out", *OPTIONS, *earlier)
    assert run.code == 0, run.stderr
    group = run_app(patients, run.output_dir, level="group")
    assert group.code == 0, group.stderr
    return run


def test_names_and_sidecars_are_those_of_bids(finished):
    assert not issues(finished.output_dir)


def test_the_report_shows_a_figure_of_each(finished):
    report = (finished.output_dir / f"sub-{SUBJECT}.html").read_text("utf-8")
    for label in ("tissue", "denoised", "motion", "frames", "suvr", "pvcMG", "atlas", "regions"):
        assert f"desc-{label}" in report, label


def test_the_group_table_tells_what_was_done(finished):
    rows = [
        row
        for row in read_table(finished.output_dir / "group_fusion.tsv")
        if row["modality"] == "PET"
    ]
    assert len(rows) == 2
    for row in rows:
        assert row["mask_from"].startswith("fusionprep")
        assert row["run"] == "n/a"
        assert row["t1w_denoised"] == "true"
        assert float(row["lesion_volume"]) > 1
