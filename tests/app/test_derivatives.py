"""Runs that take over what earlier ones, and other software, made of the same images."""

import html
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.reading import read_table
from tests.app.runs import Run, run_app, sidecar
from tests.validator import issues

TEMPLATE = "MNI152NLin2009aSym"
SPACES = ("--output-spaces", "T1w", f"{TEMPLATE}:res-2")


@pytest.fixture(scope="module")
def first(phantom, finished, tmp_path_factory) -> Run:
    """A run with a template; the T1w's results are those of another."""
    folder = tmp_path_factory.mktemp("first")
    run = run_app(phantom, folder / "out", *SPACES, work_dir=finished.work_dir)
    assert run.code == 0, run.stderr
    return run


def voxels(image: Path) -> np.ndarray:
    return np.asarray(nib.load(image).dataobj)


def test_a_second_run_takes_over_all_of_the_first(phantom, first, tmp_path):
    run = run_app(phantom, tmp_path / "out", *SPACES, "--derivatives", f"first={first.output_dir}")
    assert run.code == 0, run.stderr
    assert "did not take over" not in run.stderr
    anat, pet = (Path("sub-01", name) for name in ("anat", "pet"))
    stem = "sub-01_trc-18FFDG_space"
    for path in (
        anat / "sub-01_desc-brain_mask.nii.gz",
        anat / "sub-01_dseg.nii.gz",
        anat / "sub-01_label-GM_probseg.nii.gz",
        anat / f"sub-01_space-{TEMPLATE}_res-2_desc-preproc_T1w.nii.gz",
        pet / f"{stem}-T1w_desc-fusedAverage_pet.nii.gz",
        pet / f"{stem}-{TEMPLATE}_res-2_desc-fusedAverage_pet.nii.gz",
    ):
        was, became = (
            voxels(out / path).astype(float) for out in (first.output_dir, run.output_dir)
        )
        np.testing.assert_allclose(became, was, atol=1e-5 * max(1.0, np.abs(was).max()))
    # where each came from
    mask = sidecar(run.output_dir / anat / "sub-01_desc-brain_mask.nii.gz")
    source = "bids:first:sub-01/anat/sub-01"
    assert f"{source}_desc-brain_mask.nii.gz" in mask["Sources"]
    assert mask["TakenOver"]["Software"].startswith("fusionprep ")
    assert mask["TakenOver"]["Dice"] > 0.95
    assert mask["TakenOver"]["Correlation"] > 0.95
    for name in ("dseg", "label-CSF_probseg"):
        tissue = sidecar(run.output_dir / anat / f"sub-01_{name}.nii.gz")
        assert f"{source}_label-CSF_probseg.nii.gz" in tissue["Sources"]
    for image in (
        anat / f"sub-01_space-{TEMPLATE}_res-2_desc-preproc_T1w.nii.gz",
        pet / f"{stem}-T1w_desc-preproc_pet.nii.gz",
    ):
        registration = sidecar(run.output_dir / image)["Registration"]
        assert registration["Method"] == "taken over"
        assert registration["TakenOver"]["Dataset"] == "first"
        assert registration["Verdict"] != "fail"
    described = json.loads((run.output_dir / "dataset_description.json").read_text())
    assert described["DatasetLinks"]["first"]
    assert described["SourceDatasets"][0]["Name"] == "first"
    assert not issues(run.output_dir)
    report = (run.output_dir / "sub-01.html").read_text()
    for said in ("Tissues from fusionprep", "Transform from fusionprep", "from fusionprep"):
        assert said in report
    methods = (run.output_dir / "logs" / "CITATION.md").read_text()
    assert "had made of the T1w took the place of the extraction" in " ".join(methods.split())
    assert run_app(run.output_dir, run.output_dir, level="group").code == 0
    rows = read_table(run.output_dir / "group_fusion.tsv")
    in_template = next(row for row in rows if row["space"].startswith(TEMPLATE))
    for column in ("mask_from", "tissues_from", "registration_from", "template_from"):
        assert in_template[column].startswith("fusionprep ")


@pytest.mark.slow
def test_what_is_of_another_head_is_made_again(phantom, finished, tmp_path):
    """Each thing is wrong in its own way; the run says so and gives what it gave without them."""
    lab = tmp_path / "lab" / "sub-01"
    (lab / "anat").mkdir(parents=True)
    (lab / "pet").mkdir()
    anat = finished.output_dir / "sub-01" / "anat"
    mask = nib.load(anat / "sub-01_desc-brain_mask.nii.gz")
    shifted = mask.affine.copy()
    shifted[1, 3] += 25
    nib.save(nib.Nifti1Image(voxels(anat / "sub-01_desc-brain_mask.nii.gz"), shifted),
             lab / "anat" / "sub-01_desc-brain_mask.nii.gz")  # fmt: skip
    for here, there in (("GM", "WM"), ("WM", "GM"), ("CSF", "CSF")):
        shutil.copy(anat / f"sub-01_label-{here}_probseg.nii.gz",
                    lab / "anat" / f"sub-01_label-{there}_probseg.nii.gz")  # fmt: skip
    (lab / "pet" / "sub-01_trc-18FFDG_from-pet_to-T1w_mode-image_xfm.txt").write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 1 0 0 0 1 0 0 0 1 40 0 0\nFixedParameters: 0 0 0\n"
    )
    run = run_app(phantom, tmp_path / "out", "--derivatives", f"lab={lab.parent}")
    assert run.code == 0, run.stderr
    for said in (
        "did not take over the brain mask of lab: its overlap with a rough mask of our own is",
        "did not take over the tissues of lab: the T1w's mean intensities do not rise",
        "did not take over the transform to the T1w of lab: the images fit better",
    ):
        assert said in run.stderr
        report = html.unescape((run.output_dir / "sub-01.html").read_text())
        assert said in report.replace("Did not", "did not")
    for name in ("anat/sub-01_dseg", "pet/sub-01_trc-18FFDG_space-T1w_desc-fusedAverage_pet"):
        was, became = (
            out / "sub-01" / f"{name}.nii.gz" for out in (finished.output_dir, run.output_dir)
        )
        np.testing.assert_array_equal(voxels(became), voxels(was))
        assert "TakenOver" not in sidecar(became)


@pytest.mark.slow
def test_freesurfer_gives_brain_and_tissues(phantom, finished, tmp_path):
    mri = tmp_path / "fs" / "sub-01" / "mri"
    mri.mkdir(parents=True)
    anat = finished.output_dir / "sub-01" / "anat"
    t1w = nib.load(anat / "sub-01_desc-preproc_T1w.nii.gz")
    mask, dseg = (voxels(anat / f"sub-01_{n}.nii.gz") for n in ("desc-brain_mask", "dseg"))
    head = np.asarray(t1w.dataobj)
    scaled = head / head.max() * 255
    for name, data in (
        ("orig.mgz", scaled.astype(np.uint8)),
        ("brainmask.mgz", (np.maximum(scaled, 5) * mask).astype(np.uint8)),
        ("aseg.mgz", np.array([0, 3, 2, 0])[dseg].astype(np.int32)),
    ):
        turned = nib.Nifti1Image(data, t1w.affine).as_reoriented([[0, -1], [2, 1], [1, -1]])
        nib.save(nib.MGHImage(np.asarray(turned.dataobj), turned.affine), mri / name)
    run = run_app(phantom, tmp_path / "out", "--derivatives", f"freesurfer={tmp_path / 'fs'}")
    assert run.code == 0, run.stderr
    assert "did not take over" not in run.stderr
    found = run.output_dir / "sub-01" / "anat"
    np.testing.assert_array_equal(voxels(found / "sub-01_desc-brain_mask.nii.gz"), mask)
    np.testing.assert_array_equal(voxels(found / "sub-01_dseg.nii.gz"), dseg)
    told = sidecar(found / "sub-01_dseg.nii.gz")
    assert told["TakenOver"]["Software"] == "FreeSurfer"
    assert "bids:freesurfer:sub-01/mri/aseg.mgz" in told["Sources"]
    assert not issues(run.output_dir)
