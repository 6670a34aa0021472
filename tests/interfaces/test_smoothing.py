"""Smoothing of frames of a head that moved, and of those that are kept."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from fusionprep.image.smoothing import kernel_to
from fusionprep.interfaces.motion import KeepFrames, ResampleStatic
from tests.image.test_smoothing import TARGET, ball, grid

SPREAD, VOXEL = 5.0, 2.0
MOVE = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.1, -0.15, 0.05), [5.0, -4.0, 3.0])
"""Where the head of the second frame lies in the first."""


@pytest.fixture
def moved(tmp_path) -> dict[str, object]:
    """A ball that is in another place in the second frame, and a T1w of 1 mm with its mask."""
    shape, affine = grid(VOXEL)
    frames = [ball(shape, move @ affine, SPREAD) for move in (np.eye(4), MOVE)]
    nib.save(nib.Nifti1Image(np.stack(frames, -1), affine), tmp_path / "pet.nii")
    nib.save(nib.Nifti1Image(np.mean(frames, axis=0), affine), tmp_path / "static.nii")
    t1w_shape, t1w_affine = grid(1.0, 96.0)
    brain = ball(t1w_shape, t1w_affine, 0.01) > 0.5
    nib.save(nib.Nifti1Image(brain.astype(np.uint8), t1w_affine), tmp_path / "mask.nii")
    np.save(tmp_path / "moves.npy", np.stack([np.eye(4), MOVE]))
    sitk.WriteTransform(sitk.AffineTransform(3), str(tmp_path / "to_t1w.txt"))
    return {
        "moves": str(tmp_path / "moves.npy"),
        "transforms": [str(tmp_path / "to_t1w.txt")],
    }


def of_target() -> list[float]:
    return list(kernel_to(TARGET, (SPREAD,) * 3, (VOXEL,) * 3))


def resampled(folder: Path, inputs: dict[str, object], **smoothing: object) -> np.ndarray:
    interface = ResampleStatic(
        in_file=str(folder / "static.nii"),
        dynamic=str(folder / "pet.nii"),
        reference=str(folder / "mask.nii"),
        **inputs,
        **smoothing,
    )
    return np.asarray(nib.load(interface.run(cwd=folder).outputs.out_file).dataobj)


def test_frames_that_are_aligned_come_to_the_resolution_in_one_interpolation(moved, tmp_path):
    image = resampled(tmp_path, moved, kernel=of_target())
    exact = ball(*grid(1.0, 96.0), TARGET)
    assert np.abs(image - exact).max() < 0.015
    assert np.abs(resampled(tmp_path, moved) - exact).max() > 0.1


def test_the_brain_is_where_it_is_in_each_frame(moved, tmp_path):
    shape, affine = grid(VOXEL)
    even = [ball(shape, move @ affine, 0.01, radius=42) > 0.5 for move in (np.eye(4), MOVE)]
    series = np.stack(even, -1).astype(np.float32)
    nib.save(nib.Nifti1Image(series, affine), tmp_path / "pet.nii")
    within = {"mask": str(tmp_path / "mask.nii"), "to_t1w": str(tmp_path / "to_t1w.txt")}
    inside = np.asarray(nib.load(tmp_path / "mask.nii").dataobj) > 0
    kept = resampled(tmp_path, moved, kernel=[8.0] * 3, **within)[inside]
    lost = resampled(tmp_path, moved, kernel=[8.0] * 3)[inside]
    assert np.abs(kept - 1).max() < 0.01
    assert lost.min() < 0.8


def test_frames_that_are_kept_are_smoothed(moved, tmp_path):
    keep = KeepFrames(
        in_file=str(tmp_path / "pet.nii"),
        t1w=str(tmp_path / "mask.nii"),
        count=2,
        kernel=of_target(),
        **moved,
    )
    series = nib.load(keep.run(cwd=tmp_path).outputs.out_file)
    exact = ball(series.shape[:3], series.affine, TARGET)
    for number in range(2):
        assert np.abs(np.asarray(series.dataobj)[..., number] - exact).max() < 0.02
