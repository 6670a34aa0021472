"""Frames brought to one grid by known transforms."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.image.aligned_frames import (
    average_aligned,
    frames_grid,
    resample_frames,
    write_frames,
)
from fusionprep.image.io import new_image
from fusionprep.image.resample import itk_from_ras

AFFINE = np.array([[-2.0, 0, 0, 20], [0, 2, 0, -24], [0, 0, 3, -15], [0, 0, 0, 1]])
SHAPE = (20, 24, 10)


def blob(rng: np.random.Generator, sigma: float = 2.0) -> np.ndarray:
    return ndimage.gaussian_filter(rng.random(SHAPE), sigma).astype(np.float32)


def shifted(millimetres: tuple[float, float, float]) -> np.ndarray:
    """`reference_from_frame` of a head that went that far in the frame."""
    return nib.affines.from_matvec(np.eye(3), -np.array(millimetres))


def rolled(image: np.ndarray, voxels: tuple[int, int, int]) -> np.ndarray:
    """The image of a head that went by whole voxels."""
    return np.roll(image, voxels, (0, 1, 2))


def test_frames_come_back_to_where_the_head_was():
    image = blob(np.random.default_rng(0))
    # one voxel along the first axis, which runs from right to left, is 2 mm to the left
    frames = [image, rolled(image, (1, 0, 0)), rolled(image, (0, -2, 1))]
    moves = [np.eye(4), shifted((-2, 0, 0)), shifted((0, -4, 3))]
    moved = list(resample_frames(frames, AFFINE, moves, new_image(image, AFFINE)))
    inner = (slice(3, -3),) * 3
    for frame in moved:
        np.testing.assert_allclose(frame[inner], image[inner], atol=1e-6)
    assert np.isfinite(moved[0]).all()
    # what comes from beyond the field of view is not known
    assert np.isnan(moved[1][-1]).all()
    assert np.isfinite(moved[1][:-1]).all()


def test_transforms_are_put_together_in_one_interpolation():
    rng = np.random.default_rng(1)
    image = blob(rng)
    grid = new_image(np.zeros((18, 18, 18), np.float32), np.diag([1.5, 1.5, 1.5, 1]))
    grid.affine[:3, 3] = -12
    t1w_from_reference = shifted((1.0, -2.0, 3.0))
    move = shifted((0.7, 0.4, -1.1))
    (moved,) = resample_frames([image], AFFINE, [move], grid, itk_from_ras(t1w_from_reference))
    voxels = np.linalg.inv(t1w_from_reference @ move @ AFFINE) @ grid.affine
    places = np.moveaxis(nib.affines.apply_affine(voxels, np.argwhere(np.ones(grid.shape))), -1, 0)
    # beyond the middle of the outermost voxels, but in them
    expected = ndimage.map_coordinates(image, places, order=1, mode="nearest").reshape(grid.shape)
    seen = np.isfinite(moved)
    assert seen.mean() > 0.6
    np.testing.assert_allclose(moved[seen], expected[seen], atol=1e-5)


def test_the_mean_is_over_the_frames_that_have_a_value():
    frames = [np.full(SHAPE, value, np.float32) for value in (1, 2, 6, 100)]
    moves = [np.eye(4), np.eye(4), shifted((0, 0, -9)), np.eye(4)]
    given = {"durations": [10, 20, 30, 5], "factors": [1, 1, 0.5, 1], "chosen": [0, 1, 2]}
    mean = average_aligned(frames, AFFINE, moves, new_image(frames[0], AFFINE), **given)
    np.testing.assert_allclose(mean[..., 3:], (10 * 1 + 20 * 2 + 30 * 3) / 60, rtol=1e-6)
    np.testing.assert_allclose(mean[..., :3], (10 * 1 + 20 * 2) / 30, rtol=1e-6)


def test_a_head_at_rest_has_the_mean_over_its_frames():
    rng = np.random.default_rng(2)
    frames = [blob(rng) for _ in range(3)]
    grid = new_image(frames[0], AFFINE)
    mean = average_aligned(frames, AFFINE, [np.eye(4)] * 3, grid, durations=[1, 2, 3])
    np.testing.assert_allclose(mean, (frames[0] + 2 * frames[1] + 3 * frames[2]) / 6, rtol=1e-5)


def test_frames_are_kept_at_the_voxel_size_of_the_pet_along_the_axes_of_the_t1w():
    t1w = np.array([[0, 0, 1.0, -90], [1, 0, 0, -80], [0, 1, 0, -70], [0, 0, 0, 1]])
    grid = frames_grid(new_image(np.zeros((161, 140, 180), np.float32), t1w), AFFINE)
    # from back to front, feet to head, left to right
    np.testing.assert_allclose(nib.affines.voxel_sizes(grid.affine), [2, 3, 2])
    assert grid.shape == (81, 47, 90)
    cosines = grid.affine[:3, :3] / nib.affines.voxel_sizes(grid.affine)
    np.testing.assert_allclose(cosines, t1w[:3, :3])
    middle = nib.affines.apply_affine(grid.affine, (np.array(grid.shape) - 1) / 2)
    np.testing.assert_allclose(middle, t1w[:3, :3] @ [80, 69.5, 89.5] + t1w[:3, 3])


def test_a_grid_as_fine_as_the_t1w_is_its_own():
    t1w = new_image(np.zeros((10, 11, 12), np.float32), np.diag([0.9, 0.9, 1.2, 1]))
    grid = frames_grid(t1w, np.diag([0.9, 0.9, 1.2, 1]))
    assert grid.shape == t1w.shape
    np.testing.assert_allclose(grid.affine, t1w.affine, atol=1e-6)


def test_frames_are_written_one_after_the_other(tmp_path):
    rng = np.random.default_rng(3)
    frames = [blob(rng) for _ in range(3)]
    frames[1][0, 0, 0] = np.nan
    path = tmp_path / "frames.nii.gz"
    grid = new_image(frames[0], AFFINE)
    write_frames(iter(frames), 3, grid, path)
    image = nib.load(path)
    assert image.shape == (*SHAPE, 3)
    assert image.get_data_dtype() == np.float32
    assert image.header["sform_code"] == image.header["qform_code"] == 2
    np.testing.assert_allclose(image.affine, AFFINE)
    np.testing.assert_array_equal(image.dataobj, np.nan_to_num(np.stack(frames, -1)))
    once = path.read_bytes()
    write_frames(iter(frames), 3, grid, path)
    assert path.read_bytes() == once


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_frames_is_refused(tmp_path, count):
    frames = [np.zeros(SHAPE, np.float32)] * 2
    with pytest.raises(ValueError, match="2 frames where"):
        write_frames(frames, count, new_image(frames[0], AFFINE), tmp_path / "frames.nii.gz")
