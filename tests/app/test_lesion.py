"""A lesion through the App: planted in the demo's head, its mask beside the T1w."""

import csv
import shutil

import nibabel as nib
import numpy as np
import pytest

from fusionprep.demo.dataset import read_truth, write_demo_dataset
from tests.app.runs import Run, run_app, sidecar
from tests.validator import issues

SPACES = ("--output-spaces", "T1w", "MNI152NLin2009aSym:res-2")


def voxels(path) -> np.ndarray:
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """One subject with a lesion at 3 mm."""
    folder = tmp_path_factory.mktemp("patient") / "bids"
    write_demo_dataset(folder, voxel_size=3.0, subjects=("01",), lesion=True)
    return folder


@pytest.fixture(scope="module")
def processed(patient, tmp_path_factory) -> Run:
    run = run_app(patient, tmp_path_factory.mktemp("lesion") / "out", *SPACES)
    assert run.code == 0, run.stderr
    return run


@pytest.fixture(scope="module")
def anat(processed):
    return processed.output_dir / "sub-01" / "anat"


def test_the_mask_is_written_on_the_t1w_grid_and_in_the_template(patient, anat):
    written = anat / "sub-01_label-lesion_mask.nii.gz"
    truth = voxels(read_truth(patient)["01"].lesion)
    np.testing.assert_array_equal(voxels(written), truth)
    told = sidecar(written)
    assert told["Type"] == "Lesion"
    assert told["Sources"] == ["bids:raw:sub-01/anat/sub-01_label-lesion_roi.nii.gz"]
    assert told["LesionVolumeMillilitres"] == pytest.approx(truth.sum() * 0.027, abs=0.01)
    moved = nib.load(anat / "sub-01_space-MNI152NLin2009aSym_res-2_label-lesion_mask.nii.gz")
    centre = nib.affines.apply_affine(
        moved.affine, np.argwhere(np.asarray(moved.dataobj)).mean(axis=0)
    )
    # the demo's lesion is a ball around this point of the template
    np.testing.assert_allclose(centre, (-36, -12, 24), atol=3)


def test_the_lesion_is_brain_and_no_tissue(patient, anat):
    lesion = voxels(read_truth(patient)["01"].lesion) > 0
    assert voxels(anat / "sub-01_desc-brain_mask.nii.gz")[lesion].all()
    labels = voxels(anat / "sub-01_dseg.nii.gz")
    assert (labels[lesion] == 7).all()
    assert set(np.unique(labels[~lesion])) == {0, 1, 2, 3}
    for tissue in ("GM", "WM", "CSF"):
        fraction = anat / f"sub-01_label-{tissue}_probseg.nii.gz"
        assert not voxels(fraction)[lesion].any()
        assert "bids::sub-01/anat/sub-01_label-lesion_mask.nii.gz" in sidecar(fraction)["Sources"]


def test_the_fused_image_shows_the_lesion(patient, processed):
    lesion = voxels(read_truth(patient)["01"].lesion) > 0
    brain = voxels(processed.output_dir / "sub-01" / "anat" / "sub-01_dseg.nii.gz") == 2
    fused = voxels(processed.image("01", "fusedAverage"))
    assert 0 < fused[lesion].mean() < 0.6 * fused[brain].mean()


def test_report_methods_and_log_tell_of_it(processed):
    report = (processed.output_dir / "sub-01.html").read_text("utf-8")
    assert "Lesion, left out of models" in report
    figures = processed.output_dir / "sub-01" / "figures"
    for name in ("sub-01_desc-tissue_T1w.svg", "sub-01_space-MNI152NLin2009aSym_desc-norm_T1w.svg"):
        assert ">lesion<" in (figures / name).read_text("utf-8")
    text = (processed.output_dir / "logs" / "CITATION.md").read_text("utf-8")
    assert "A lesion, given as a mask, was left out" in " ".join(text.split())
    assert "Nachev et al., 2008" in text
    assert "sub-01_label-lesion_roi.nii.gz marks is a lesion" in processed.stderr


def test_the_group_table_has_its_volume(processed):
    run = run_app(processed.output_dir, processed.output_dir, level="group")
    assert run.code == 0, run.stderr
    with (processed.output_dir / "group_fusion.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {round(float(row["lesion_volume"]), 1) for row in rows} == {
        round(
            sidecar(processed.output_dir / "sub-01" / "anat" / "sub-01_label-lesion_mask.nii.gz")[
                "LesionVolumeMillilitres"
            ],
            1,
        )
    }


def test_the_validator_accepts_the_names(processed):
    assert not issues(processed.output_dir)


def test_a_mask_that_cannot_be_is_one_line(patient, tmp_path):
    bids = tmp_path / "bids"
    shutil.copytree(patient, bids)
    path = bids / "sub-01" / "anat" / "sub-01_label-lesion_roi.nii.gz"
    image = nib.load(path)
    shifted = image.affine.copy()
    shifted[2, 3] -= 90
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), shifted), path)
    run = run_app(bids, tmp_path / "out")
    assert run.code == 65
    (line,) = [line for line in run.lines_about("01") if "lesion mask" in line]
    assert "sub-01_label-lesion_roi.nii.gz lies outside of the brain (0% of it inside)" in line
    assert "--ignore lesions" in line
