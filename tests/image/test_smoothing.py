"""Smoothing of PET against what the Gaussians of points, edges and brains must be."""

import nibabel as nib
import numpy as np
import pytest
from scipy.special import erf

from fusionprep.errors import DataError
from fusionprep.image.partial_volume.partition import FWHM_PER_SIGMA
from fusionprep.image.resample import itk_from_ras, resample
from fusionprep.image.smoothing import (
    BrainOnGrid,
    Smoother,
    along_axes,
    kernel_to,
    resolution,
    smoothed,
)

TARGET = 8.0
TURN = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.2, -0.15, 0.3), [3.3, -2.1, 1.7])


def widths(image: np.ndarray, sizes: tuple[float, ...]) -> list[float]:
    """FWHM of what is left of a point along each axis, by its variance."""
    found = []
    for axis, size in enumerate(sizes):
        line = image.sum(axis=tuple({0, 1, 2} - {axis}), dtype=np.float64)
        at = np.arange(len(line)) * size
        mean = np.average(at, weights=line)
        found.append(FWHM_PER_SIGMA * np.sqrt(np.average((at - mean) ** 2, weights=line)))
    return found


def edge(distance: np.ndarray, fwhm: float) -> np.ndarray:
    """A half space seen with a point spread; `distance` in mm from its edge, positive inside."""
    return (1 + erf(distance * FWHM_PER_SIGMA / fwhm / np.sqrt(2))) / 2


def ball(shape: tuple[int, ...], affine: np.ndarray, fwhm: float, radius: float = 40) -> np.ndarray:
    """A ball around the origin of the world under a Gaussian."""
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    r, sigma = np.linalg.norm(points, axis=-1) + 1e-6, fwhm / FWHM_PER_SIGMA
    near, far = (radius - r) / sigma, (radius + r) / sigma
    bend = (np.exp(-(near**2) / 2) - np.exp(-(far**2) / 2)) * sigma / r / np.sqrt(2 * np.pi)
    return ((erf(near / np.sqrt(2)) + erf(far / np.sqrt(2))) / 2 - bend).astype(np.float32)


def grid(size: float, extent: float = 120.0) -> tuple[tuple[int, ...], np.ndarray]:
    count = round(extent / size)
    return (count,) * 3, nib.affines.from_matvec(size * np.eye(3), [-extent / 2 + size / 2] * 3)


@pytest.mark.parametrize("sizes", [(2.0, 2.0, 2.0), (4.0, 4.0, 4.0), (1.2, 1.2, 3.3)])
@pytest.mark.parametrize("fwhm", [1.5, 3.0, 7.0])
def test_a_point_becomes_as_wide_as_the_kernel_also_below_a_voxel(sizes, fwhm):
    point = np.zeros((25, 25, 25), np.float32)
    point[12, 12, 12] = 1
    image = smoothed(point, (fwhm, 1.3 * fwhm, 0), sizes)
    found = widths(image, sizes)
    assert found[:2] == pytest.approx([fwhm, 1.3 * fwhm], rel=0.002)
    assert found[2] == pytest.approx(0, abs=1e-6)
    assert image.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("voxel", [2.0, 3.0])
@pytest.mark.parametrize("spread", [(4.0, 4.0, 5.0), (6.0, 5.0, 6.8)])
def test_an_interpolated_edge_is_as_blurred_as_the_target_in_any_direction(voxel, spread):
    shape, affine = grid(voxel, 72.0)
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    kernel = kernel_to(TARGET, spread, (voxel,) * 3)
    assert resolution(spread, kernel, (voxel,) * 3) == pytest.approx([TARGET] * 3)
    target = nib.Nifti1Image(np.zeros((64, 64, 64), np.float32), grid(1.0, 64.0)[1])
    world = nib.affines.apply_affine(
        np.linalg.inv(TURN) @ target.affine, np.moveaxis(np.indices(target.shape), 0, -1)
    )
    inside = (np.abs(world) < 20).all(axis=-1)
    for axis in range(3):
        distances, seen = [], []
        # wherever the edge is between voxels: interpolation blurs most halfway
        for offset in voxel * np.arange(4) / 4:
            sharp = smoothed(edge(points[..., axis] - offset, spread[axis]), kernel, (voxel,) * 3)
            image = nib.Nifti1Image(sharp, affine)
            moved = np.asarray(resample(image, target, itk_from_ras(TURN)).dataobj)
            distances.append(world[inside][:, axis] - offset)
            seen.append(moved[inside])
        distance, values = np.concatenate(distances), np.concatenate(seen)
        # the width that fits best, to 2 %
        trial = TARGET * np.linspace(0.9, 1.1, 81)
        errors = [np.mean((values - edge(distance, width)) ** 2) for width in trial]
        assert trial[int(np.argmin(errors))] == pytest.approx(TARGET, rel=0.02)


def test_scanners_of_4_and_6_mm_agree_at_8_mm_also_at_the_edge():
    mm = {4.0: 2.0, 6.0: 3.0}
    target = nib.Nifti1Image(np.zeros((96, 96, 96), np.float32), grid(1.0, 96.0)[1])
    apart, together = [], []
    for spread, voxel in mm.items():
        shape, affine = grid(voxel)
        seen = ball(shape, affine, spread)
        kernel = kernel_to(TARGET, (spread,) * 3, (voxel,) * 3)
        for image, found in ((seen, apart), (smoothed(seen, kernel, (voxel,) * 3), together)):
            found.append(np.asarray(resample(nib.Nifti1Image(image, affine), target).dataobj))
    brain = ball(target.shape, target.affine, 0.01) > 0.5
    shell = brain & (ball(target.shape, target.affine, 0.01, radius=36) < 0.5)
    for region in (brain, shell):
        one, other = (image[region].mean() for image in together)
        assert one == pytest.approx(other, rel=0.01)
    # Linear interpolation of voxels of 3 mm is sharper at their centres and softer halfway than the
    # mean that kernels account for, which makes up to 2 % at an edge: with 2 mm there is hardly any
    exact = ball(target.shape, target.affine, TARGET)
    assert np.abs(together[0] - exact).max() < 0.003
    assert np.abs(together[1] - exact).max() < 0.025
    assert np.sqrt(np.mean((together[0] - together[1]) ** 2)) < 0.005
    assert abs(apart[0] - apart[1])[shell].mean() > 0.04


@pytest.mark.parametrize(("voxel", "fwhm"), [(2.0, 6.0), (3.0, 8.0), (4.0, 6.0)])
def test_the_rim_of_an_even_brain_stays_even(voxel, fwhm):
    shape, affine = grid(voxel)
    mask_image = nib.Nifti1Image(np.zeros((96, 96, 96), np.uint8), grid(1.0, 96.0)[1])
    points = nib.affines.apply_affine(TURN, nib.affines.apply_affine(
        affine, np.moveaxis(np.indices(shape), 0, -1)))  # fmt: skip
    brain = (ball(mask_image.shape, mask_image.affine, 0.01) > 0.5).astype(np.uint8)
    mask = nib.Nifti1Image(brain, mask_image.affine)
    pet = (np.linalg.norm(points, axis=-1) <= 41.0).astype(np.float32)
    on_grid = BrainOnGrid.from_mask(mask, affine, shape, TURN)
    smooth = Smoother((fwhm,) * 3, (voxel,) * 3, on_grid)
    result, plain = smooth(pet), smoothed(pet, (fwhm,) * 3, (voxel,) * 3)
    moved = resample(nib.Nifti1Image(result, affine), mask, itk_from_ras(TURN))
    values = np.asarray(moved.dataobj)[brain > 0]
    assert np.abs(values - 1).max() < 0.01
    lost = resample(nib.Nifti1Image(plain, affine), mask, itk_from_ras(TURN))
    assert np.asarray(lost.dataobj)[brain > 0].min() < 0.7
    # it goes over to the plain one without a step, within the width of the kernel
    away = np.linalg.norm(points, axis=-1) - 40
    far = away > 2 * voxel + fwhm
    np.testing.assert_array_equal(result[far], plain[far])
    line = [shape[0] // 2, shape[1] // 2]
    steps = [np.abs(np.diff(image[*line])).max() for image in (result, plain)]
    assert steps[0] < 1.2 * steps[1]


def test_what_shines_beside_the_brain_does_not_reach_into_it():
    shape, affine = grid(3.0)
    brain = ball(shape, affine, 0.01) > 0.5
    mask = nib.Nifti1Image(brain.astype(np.uint8), affine)
    smooth = Smoother((8,) * 3, (3,) * 3, BrainOnGrid.from_mask(mask, affine, shape, np.eye(4)))
    np.testing.assert_allclose(smooth(np.where(brain, 1.0, 9.0))[brain], 1, atol=1e-4)


def test_values_that_are_none_do_not_spread():
    image = np.ones((9, 9, 9), np.float32)
    image[0, 0, 0] = np.nan
    assert np.isfinite(Smoother((4, 4, 4), (2, 2, 2))(image)).all()


def test_no_image_is_made_sharper():
    with pytest.raises(DataError, match=r"point spread is 6 x 6 x 7 mm: blur is added, never"):
        kernel_to(6.5, (6, 6, 7), (2, 2, 2))
    # no sharper than interpolation leaves it
    assert kernel_to(7.0, (7, 5, 5), (2, 2, 2))[0] == 0


def test_widths_follow_the_axes_of_a_sagittal_image():
    affine = np.array([[0, 0, -2, 0], [3, 0, 0, 0], [0, 4, 0, 0], [0, 0, 0, 1.0]])
    assert along_axes((1, 2, 3), affine) == [2, 3, 1]
