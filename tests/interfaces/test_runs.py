"""Runs of a phantom that moved between them against the same phantom scanned once."""

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.bids.radionuclides import HALF_LIVES
from fusionprep.image.io import read_frames
from fusionprep.image.region_values import region_curves
from fusionprep.interfaces.runs import RUNS, CombineRuns

SHAPE, VOXEL, FWHM_MM = (52, 60, 50), 4.0, 7.0
AFFINE = nib.affines.from_matvec(np.diag([-VOXEL, VOXEL, VOXEL]), [104.0, -120.0, -100.0])
MOVE = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.06, -0.04, 0.08), [4.0, -3.0, 5.0])
"""Where the head of the first run is in the second."""

STARTS = (0.0, 600.0, 1200.0, 3000.0, 3600.0)
LENGTH = 600.0
RATE = math.log(2) / HALF_LIVES["C11"]
GRAY, WHITE = (1.0, 4.0, 4.5, 3.0, 2.6), (0.5, 1.2, 1.6, 2.0, 2.1)
"""Activity in each frame, corrected to the injection."""


def ellipsoid(points: np.ndarray, centre: tuple, radii: tuple) -> np.ndarray:
    return (((points - centre) / radii) ** 2).sum(axis=-1) < 1


def tissues(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gray and white matter of an odd head, at world coordinates of the first run."""
    brain = ellipsoid(points, (0, 0, 0), (66, 82, 60)) & ~ellipsoid(points, (30, 60, 40), [26] * 3)
    white = ellipsoid(points, (0, -4, 4), (48, 62, 42)) & ~ellipsoid(points, (20, 0, 0), (9, 30, 9))
    white &= ~ellipsoid(points, (-18, 30, -10), (12, 10, 16))
    return brain & ~white, brain & white


def seen(numbers: slice, affine: np.ndarray, shape: tuple, move: np.ndarray) -> np.ndarray:
    """Frames of the head at a pose, decay-corrected to injection."""
    grid = np.moveaxis(np.indices([2 * side for side in shape]), 0, -1) / 2 - 0.25
    points = nib.affines.apply_affine(np.linalg.inv(move) @ affine, grid)
    fine = []
    for part in tissues(points):
        blurred = ndimage.gaussian_filter(part.astype(np.float32), 2 * FWHM_MM / 2.355 / VOXEL)
        fine.append(blurred.reshape(*np.ravel([(side, 2) for side in shape])).mean((1, 3, 5)))
    gray, white = fine
    return np.stack(
        [g * gray + w * white for g, w in zip(GRAY[numbers], WHITE[numbers], strict=True)], -1
    )


@pytest.fixture(scope="module")
def once() -> np.ndarray:
    return seen(slice(None), AFFINE, SHAPE, np.eye(4))


def saved(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> str:
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), path)
    return str(path)


def combined(tmp_path: Path, late: np.ndarray, once: np.ndarray, affine: np.ndarray = AFFINE):
    """The first three frames as they are, the others as measured, without decay correction."""
    left = [math.exp(-RATE * s) * -math.expm1(-RATE * LENGTH) / (RATE * LENGTH) for s in STARTS[3:]]
    files = [
        saved(tmp_path / "one.nii", once[..., :3]),
        saved(tmp_path / "two.nii", late * np.array(left), affine),
    ]
    combine = CombineRuns(
        in_files=files,
        factors=[[1.0] * 3, [1 / share for share in left]],
        starts=[list(STARTS[:3]), list(STARTS[3:])],
        durations=[[LENGTH] * 3, [LENGTH] * 2],
        sources=["bids:raw:one", "bids:raw:two"],
    )
    done = combine.run(cwd=tmp_path).outputs
    return done.metadata[RUNS][1], nib.load(done.out_file)


def curves(image: nib.Nifti1Image) -> np.ndarray:
    points = nib.affines.apply_affine(AFFINE, np.moveaxis(np.indices(SHAPE), 0, -1))
    gray, white = tissues(points)
    labels = gray + 2 * ndimage.binary_erosion(white)
    _, frames = read_frames(image.get_filename())
    return region_curves(frames, np.eye(4), labels, [1, 2]).means


def test_runs_without_motion_are_the_scan_itself(tmp_path, once):
    told, series = combined(tmp_path, once[..., 3:], once)
    assert not told["Realigned"]
    assert series.shape == (*SHAPE, 5)
    np.testing.assert_allclose(series.affine, AFFINE)
    np.testing.assert_allclose(np.asarray(series.dataobj), once, rtol=1e-5, atol=1e-6)


def test_curves_are_those_of_one_scan_although_the_head_moved(tmp_path, once):
    moved = seen(slice(3, None), AFFINE, SHAPE, MOVE)
    told, series = combined(tmp_path, moved, once)
    assert told["Realigned"]
    pose = np.array(told["FirstFromRun"])
    corners = nib.affines.apply_affine(AFFINE, np.argwhere(np.ones((2, 2, 2))) * 25 + 12)
    missed = nib.affines.apply_affine(pose @ MOVE, corners) - corners
    assert np.linalg.norm(missed, axis=1).max() < 1.0
    one = nib.load(saved(tmp_path / "once.nii", once))
    np.testing.assert_allclose(curves(series), curves(one), rtol=0.015)
    # as they would be without alignment
    still = nib.load(saved(tmp_path / "still.nii", moved))
    assert np.abs(curves(still) / curves(one)[3:] - 1).max() > 0.03


def test_a_run_of_another_grid_is_brought_to_that_of_the_first(tmp_path, once):
    affine = AFFINE @ nib.affines.from_matvec(np.diag([0.75, 0.75, 1.25]), [3.0, -2.0, 1.0])
    shape = (66, 84, 40)
    grid = np.moveaxis(np.indices(shape), 0, -1)
    at = np.moveaxis(nib.affines.apply_affine(np.linalg.inv(AFFINE) @ affine, grid), -1, 0)
    late = np.stack([ndimage.map_coordinates(once[..., n], at, order=3) for n in (3, 4)], -1)
    told, series = combined(tmp_path, late, once, affine)
    assert series.shape == (*SHAPE, 5)
    assert told["MovedMillimetres"] < 1.0
    one = nib.load(saved(tmp_path / "once.nii", once))
    np.testing.assert_allclose(curves(series), curves(one), rtol=0.01)
