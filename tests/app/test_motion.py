"""A head that moves between frames and one that does not, through the whole App."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.demo import dynamic, scanner
from fusionprep.demo.dataset import BECQUEREL_PER_UNIT, YOUNG, SubjectTruth, write_demo_dataset
from fusionprep.demo.sidecars import pet as pet_sidecar
from fusionprep.demo.subject import Subject, load_template, make_subject
from tests.app.runs import Run, run_app, sidecar_of
from tests.validator import issues

T1W_MM, PET_MM = 3.0, 4.0
LENGTHS = (10.0, 60.0, 120.0, *(300.0,) * 7)
FRAMES = scanner.Frames(tuple(float(s) for s in np.cumsum(LENGTHS) - LENGTHS), LENGTHS)
MOVING, STILL = "01", "02"
PLACES = (np.zeros(6), np.array([3.0, -2, 4, 2, -3, 3]), np.array([-4.0, 2, -2, -4, 4, -2]))
"""Degrees and mm from the first place, and which of them each frame is in."""
IN_PLACE = (0, 0, 0, 0, 0, 1, 1, 1, 2, 2)
STEM = "sub-01_trc-18FFDG_run-"


def acquire(bids_dir: Path, subject: Subject, truth: SubjectTruth) -> None:
    """Replace the PET of ``sub-01`` by two dynamic runs."""
    (old,) = (bids_dir / "sub-01" / "pet").glob("*_pet.nii.gz")
    centre = scanner.brain_centre_in(truth.t1w_from_pet, subject)
    grid = scanner.scanner_grid(centre, (60, 64, 50), (PET_MM,) * 3)
    for run in (MOVING, STILL):
        moves = [dynamic.placed_head(PLACES[place] * (run == MOVING), centre) for place in IN_PLACE]
        poses = [[truth.t1w_from_pet @ np.linalg.inv(move)] for move in moves]
        rng = np.random.default_rng(7)
        frames = dynamic.acquire_dynamic(subject, grid, FRAMES, dynamic.TURNING, poses, rng)
        image = nib.Nifti1Image(np.stack(list(frames), -1) * BECQUEREL_PER_UNIT, grid.affine)
        image.header.set_xyzt_units("mm", "sec")
        path = old.with_name(f"{STEM}{run}_pet.nii.gz")
        nib.save(image, path)
        sidecar_of(path).write_text(json.dumps(pet_sidecar(FRAMES, YOUNG.weight_kg)), "utf-8")
    old.unlink()
    sidecar_of(old).unlink()


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("motion") / "bids"
    truth = write_demo_dataset(folder, voxel_size=T1W_MM, subjects=("01",))["01"]
    shape_rng = np.random.default_rng([0, 0]).spawn(1)[0]
    acquire(folder, make_subject(load_template(), YOUNG.traits, T1W_MM, shape_rng), truth)
    return folder


@pytest.fixture(scope="module")
def finished(raw, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("aligned") / "out"
    spaces = ("--output-spaces", "T1w", "MNI152NLin2009aSym:res-2")
    run = run_app(raw, out, *spaces, "--modalities", "pet", "--keep-frames")
    assert run.code == 0, run.stderr
    group = run_app(raw, out, level="group")
    assert group.code == 0, group.stderr
    return run


@pytest.fixture(scope="module")
def without(raw, finished) -> Run:
    """The same without correction, on the same T1w."""
    options = ("--modalities", "pet", "--keep-frames", "--hmc", "off")
    out = finished.output_dir.with_name("off")
    run = run_app(raw, out, *options, work_dir=finished.work_dir)
    assert run.code == 0, run.stderr
    return run


def derivative(finished: Run, run: str, rest: str) -> Path:
    return finished.output_dir / "sub-01" / "pet" / f"{STEM}{run}_{rest}"


def voxels(finished: Run, run: str, desc: str) -> np.ndarray:
    path = derivative(finished, run, f"space-T1w_desc-{desc}_pet.nii.gz")
    return np.asarray(nib.load(path).dataobj, np.float64)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def differences(finished: Run, desc: str = "preproc") -> np.ndarray:
    """Of the run that moves from the one at rest, in the brain, as shares of the mean."""
    mask = nib.load(finished.output_dir / "sub-01/anat/sub-01_desc-brain_mask.nii.gz")
    inside = np.asarray(mask.dataobj) > 0
    moving, still = (voxels(finished, run, desc)[inside] for run in (MOVING, STILL))
    return np.abs(moving - still) / still.mean()


@pytest.mark.slow
def test_a_head_that_moves_looks_like_one_at_rest(finished, without):
    assert differences(finished).mean() < 0.5 * differences(without).mean()
    for desc in ("preproc", "suvr"):
        assert differences(finished, desc).mean() < 0.06
    native = json.loads(sidecar_of(derivative(
        finished, MOVING, "space-T1w_desc-preproc_pet.nii.gz"
    )).read_text("utf-8"))  # fmt: skip
    said = native["MotionCorrection"]
    assert (said["Mode"], said["Applied"], said["CarriedFrames"]) == ("auto", True, [1, 2])
    assert 6 < said["LargestMovementMillimetres"] < 20
    assert any("too few counts for a place of their own: 1, 2 of 10" in n for n in native["Notes"])


@pytest.mark.slow
def test_a_head_at_rest_is_left_as_it_is_bit_for_bit(finished, without):
    kept = sorted(
        path
        for path in (finished.output_dir / "sub-01" / "pet").glob(f"{STEM}{STILL}_space-T1w*.gz")
    )
    assert len(kept) >= 5
    for path in kept:
        other = without.output_dir / path.relative_to(finished.output_dir)
        assert path.read_bytes() == other.read_bytes(), path.name
    path = derivative(finished, STILL, "space-T1w_desc-preproc_pet.json")
    said = json.loads(path.read_text("utf-8"))["MotionCorrection"]
    assert said["Applied"] is False
    assert not list((without.output_dir / "sub-01" / "pet").glob("*confounds*"))


@pytest.mark.slow
def test_the_table_of_motion_tells_when_the_head_moved(finished):
    rows = table(derivative(finished, MOVING, "desc-confounds_timeseries.tsv"))
    moved = [row["framewise_displacement"] for row in rows]
    assert moved[0] == "n/a"
    assert {index for index, value in enumerate(moved[1:], 1) if float(value) > 3} == {5, 8}
    assert rows[0]["standard_error"] == "n/a"
    sidecar = derivative(finished, MOVING, "desc-confounds_timeseries.json")
    described = json.loads(sidecar.read_text("utf-8"))
    assert described["trans_x"]["Units"] == "mm"
    assert set(rows[0]) < set(described)


@pytest.mark.slow
def test_curves_and_frames_follow_the_head(finished, without):
    def curves(run: Run, scan: str) -> np.ndarray:
        rows = table(derivative(run, scan, "seg-DK_tacs.tsv"))
        return np.array(
            [[float(v.replace("n/a", "nan")) for v in list(row.values())[2:]] for row in rows]
        )

    moving, still = (curves(finished, scan)[5:] for scan in (MOVING, STILL))
    known = np.isfinite(still).all(axis=0)
    assert known.sum() > 80
    error = np.abs(moving - still)[:, known].mean(axis=1) / still[:, known].mean(axis=1)
    assert (error < 0.03).all()
    kept = [voxels(finished, run, "frames") for run in (MOVING, STILL)]
    loose = voxels(without, MOVING, "frames")
    for frame in (5, 8):
        bright = kept[1][..., frame] > kept[1][..., frame].max() / 4
        error, before = (
            np.abs(image[..., frame] - kept[1][..., frame])[bright].mean()
            for image in (kept[0], loose)
        )
        assert error < 0.5 * before


@pytest.mark.slow
def test_frames_are_kept_with_their_times(finished, without):
    for run in (finished, without):
        path = derivative(run, MOVING, "space-T1w_desc-frames_pet.nii.gz")
        image = nib.load(path)
        assert image.shape[3] == len(LENGTHS)
        np.testing.assert_allclose(image.header.get_zooms()[:3], PET_MM)
        sidecar = json.loads(sidecar_of(path).read_text("utf-8"))
        assert sidecar["FrameTimesStart"] == list(FRAMES.starts)
        assert sidecar["FrameDuration"] == list(LENGTHS)
        assert sidecar["ImageDecayCorrected"] is True
        assert sidecar["Units"] == "Bq/mL"
        assert "FrameAveraging" not in sidecar
        assert "FrameSelection" not in sidecar


@pytest.mark.slow
def test_what_is_written_is_valid_and_told(finished):
    assert issues(finished.output_dir) == []
    page = (finished.output_dir / "sub-01.html").read_text("utf-8")
    assert "Motion between frames of the dynamic PET" in page
    assert "attenuation map" in page
    for run in (MOVING, STILL):
        figures = finished.output_dir / "sub-01" / "figures"
        assert (figures / f"{STEM}{run}_desc-motion_pet.svg").exists()
    rows = table(finished.output_dir / "group_fusion.tsv")
    said = {(row["run"], row["motion_corrected"]) for row in rows}
    assert said == {(MOVING, "true"), (STILL, "false")}
