"""PET smoothed, to a resolution or by a kernel, and runs of one injection, through the App."""

import csv
import math
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.bids.radionuclides import HALF_LIVES
from fusionprep.demo.dataset import read_truth
from tests import validator
from tests.app.runs import Run, edit_sidecar, run_app, sidecar, sidecar_of

SPREAD, TARGET = "6", 9.0


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@pytest.fixture(scope="module")
def harmonised(phantom, finished, tmp_path_factory) -> Run:
    """Brought to a resolution and corrected, from the work directory of a run without either."""
    out = tmp_path_factory.mktemp("harmonised") / "out"
    options = ("--target-resolution", str(TARGET), "--psf", SPREAD, "--pvc", "mg")
    run = run_app(phantom, out, *options, work_dir=finished.work_dir)
    assert run.code == 0, run.stderr
    group = run_app(phantom, out, level="group")
    assert group.code == 0, group.stderr
    return run


@pytest.fixture(scope="module")
def gray(finished) -> np.ndarray:
    return voxels(finished.output_dir / "sub-01" / "anat" / "sub-01_label-GM_probseg.nii.gz")


def test_every_image_and_its_sidecar_is_of_the_smoothed_pet(harmonised, finished, gray):
    told = sidecar(harmonised.image("01", "preproc"))["Smoothing"]
    assert told["ResolutionFWHM"] == [TARGET] * 3
    assert told["PointSpreadFWHM"] == [6, 6, 6]
    assert all(5 < width < 7 for width in told["KernelFWHM"])
    inside = gray > 0.5
    before, after = (voxels(run.image("01", "preproc")) for run in (finished, harmonised))
    assert after[inside].mean() < 0.97 * before[inside].mean()
    assert after.sum() == pytest.approx(before.sum(), rel=0.01)
    for desc in ("suv", "suvr", "fusedAverage", "fusedAverageColor"):
        assert sidecar(harmonised.image("01", desc))["Smoothing"] == told
    suvr = sidecar(harmonised.image("01", "suvr"))["SUVR"]["Reference"]
    np.testing.assert_allclose(voxels(harmonised.image("01", "suvr")) * suvr, after, rtol=1e-4)


def test_partial_volume_is_corrected_in_the_pet_as_it_was(harmonised, phantom, gray):
    path = harmonised.image("01", "pvcMG")
    told = sidecar(path)
    assert "Smoothing" not in told
    assert told["PartialVolumeCorrection"]["PointSpreadFWHM"] == [6, 6, 6]
    image = voxels(path)
    truth = read_truth(phantom)["01"].activity["GM"]
    assert image[(gray > 0.5) & (image != 0)].mean() == pytest.approx(truth, rel=0.1)


def test_registration_is_the_same(harmonised, finished):
    name = "sub-01/pet/sub-01_trc-18FFDG_from-pet_to-T1w_mode-image_xfm.txt"
    one, other = ((run.output_dir / name).read_text() for run in (harmonised, finished))
    assert one == other


def test_report_methods_table_and_names(harmonised):
    assert "Resolution after smoothing" in (harmonised.output_dir / "sub-01.html").read_text()
    text = (harmonised.output_dir / "logs" / "CITATION.md").read_text("utf-8")
    assert "brought to a resolution of 9 mm" in " ".join(text.split())
    with (harmonised.output_dir / "group_fusion.tsv").open() as file:
        row = next(csv.DictReader(file, delimiter="\t"))
    assert row["resolution"] == "9x9x9"
    assert not validator.issues(harmonised.output_dir)


def test_a_target_sharper_than_the_pet_is_told(phantom, tmp_path):
    options = ("--target-resolution", "5", "--psf", "6", "--dry-run")
    run = run_app(phantom, tmp_path / "out", *options)
    (line,) = (line for line in run.stdout.splitlines() if "skipped" in line)
    assert "cannot be brought to --target-resolution 5" in line
    assert "blur is added, never taken away; give one of 6 mm or more" in line


def test_an_unknown_point_spread_is_an_error_that_says_how(phantom, tmp_path):
    run = run_app(phantom, tmp_path / "out", "--target-resolution", "8")
    assert run.code == 65
    (line,) = run.lines_about("01")
    assert "--psf FWHM in mm" in line
    assert line.endswith("or leave out --target-resolution")


def test_smoothing_loses_nothing_at_the_edge_of_the_brain(phantom, finished, tmp_path):
    run = run_app(phantom, tmp_path / "out", "--smooth", "8", work_dir=finished.work_dir)
    assert run.code == 0, run.stderr
    told = sidecar(run.image("01", "preproc"))["Smoothing"]
    assert told["KernelFWHM"] == [8, 8, 8]
    assert "ResolutionFWHM" not in told
    mask = voxels(run.output_dir / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz") > 0
    before, after = (voxels(r.image("01", "preproc"))[mask].mean() for r in (finished, run))
    assert after == pytest.approx(before, rel=0.02)
    assert not validator.issues(run.output_dir)


RATE = math.log(2) / HALF_LIVES["F18"]
CURVE = {0.0: 0.4, 1200.0: 0.9, 3000.0: 1.0, 3600.0: 1.1}
SHIFT = np.array([5.0, -4.0, 6.0])


@pytest.fixture(scope="module")
def two_runs(phantom, tmp_path_factory) -> Path:
    """FDG from 0 to 30 and from 50 to 70 min, of which the second is of a head that moved."""
    folder = tmp_path_factory.mktemp("runs") / "bids"
    shutil.copytree(phantom, folder)
    (old,) = (folder / "sub-01" / "pet").glob("*_pet.nii.gz")
    like = nib.load(old)
    static = like.get_fdata(dtype=np.float32)
    for run, starts, lengths in (
        ("1", (0.0, 1200.0), (1200.0, 600.0)),
        ("2", (3000.0, 3600.0), (600.0, 600.0)),
    ):
        path = old.with_name(f"sub-01_trc-18FFDG_run-{run}_pet.nii.gz")
        affine, frames = like.affine.copy(), [static * CURVE[start] for start in starts]
        shutil.copyfile(sidecar_of(old), sidecar_of(path))
        if run == "2":
            affine[:3, 3] += SHIFT
            left = [
                math.exp(-RATE * s) * -math.expm1(-RATE * d) / (RATE * d)
                for s, d in zip(starts, lengths, strict=True)
            ]
            frames = [frame * share for frame, share in zip(frames, left, strict=True)]
        nib.save(nib.Nifti1Image(np.stack(frames, -1), affine), path)
        edit_sidecar(
            path,
            TimeZero="10:00:00",
            ScanStart=starts[0],
            FrameTimesStart=list(starts),
            FrameDuration=list(lengths),
            ImageDecayCorrected=run == "1",
            DecayCorrectionFactor=None,
        )
    old.unlink()
    sidecar_of(old).unlink()
    return folder


def test_two_runs_are_one_scan_without_run_in_its_names(two_runs, finished, tmp_path):
    out = tmp_path / "out"
    run = run_app(two_runs, out, "--combine-runs", "--frames", "50-70")
    assert run.code == 0, run.stderr
    assert not list(out.glob("sub-01/pet/*run-*"))
    told = sidecar(run.image("01", "preproc"))
    assert [Path(uri).name for uri in told["Sources"]] == [
        f"sub-01_trc-18FFDG_run-{number}_pet.nii.gz" for number in "12"
    ]
    first, second = told["CombinedRuns"]
    # seconds after the injection, whatever each file counts from
    assert first["FrameTimesStart"] == [0, 1200]
    assert second["FrameTimesStart"] == [3000, 3600]
    assert second["Realigned"]
    np.testing.assert_allclose(np.array(second["FirstFromRun"])[:3, 3], -SHIFT, atol=1.0)
    assert told["FrameSelection"]["Frames"] == [3, 4]
    # the frames of the second run, decay-corrected, at the place of the first
    static = voxels(finished.image("01", "preproc"))
    mask = voxels(out / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz") > 0
    assert voxels(run.image("01", "preproc"))[mask].mean() == pytest.approx(
        1.05 * static[mask].mean(), rel=0.02
    )
    assert not validator.issues(out)
    page = (out / "sub-01.html").read_text("utf-8")
    assert re.search(r"0 to 30 min; 50 to 70 min \(head moved by \d+\.\d mm at most, brought", page)
    text = (out / "logs" / "CITATION.md").read_text("utf-8")
    assert "2 runs of one injection were combined" in " ".join(text.split())


def test_runs_that_overlap_are_told_in_one_line_and_stay_two_images(two_runs, tmp_path):
    folder = tmp_path / "bids"
    shutil.copytree(two_runs, folder)
    (second,) = folder.glob("sub-01/pet/*run-2_pet.nii.gz")
    edit_sidecar(second, ScanStart=1500.0, FrameTimesStart=[1500.0, 2100.0])
    run = run_app(folder, tmp_path / "out", "--combine-runs", "--dry-run")
    assert "2 images of 1 of 1 subject to process" in run.stdout
    (line,) = (line for line in run.stdout.splitlines() if "not combined" in line)
    assert "run-2_pet.nii.gz is not combined with other runs: it was measured 25 to 45 min" in line
    assert line.endswith("run-1_pet.nii.gz 0 to 30 min: they overlap")


def test_a_dry_run_tells_what_is_combined(two_runs, tmp_path):
    run = run_app(two_runs, tmp_path / "out", "--combine-runs", "--dry-run")
    assert "1 image of 1 of 1 subject to process" in run.stdout
    assert "run-2_pet.nii.gz (50 to 70 min)" in run.stdout
