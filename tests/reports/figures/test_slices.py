"""Planes and sampling: sides, square pixels and grids."""

import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.reports.figures.slices import (
    Volume,
    brain_planes,
    outlines,
    simplified,
    spans_of,
    to_gray,
    window,
)


def _ball(zooms: tuple[float, float, float], orientation: str = "RAS") -> nib.Nifti1Image:
    """A ball of 30 mm radius around the world's origin, stored in an orientation."""
    shape = tuple(int(90 / zoom) for zoom in zooms)
    affine = np.diag([*zooms, 1.0])
    affine[:3, 3] = [-zoom * (size - 1) / 2 for zoom, size in zip(zooms, shape, strict=True)]
    grid = np.meshgrid(*[np.arange(size) for size in shape], indexing="ij")
    world = [affine[axis, axis] * grid[axis] + affine[axis, 3] for axis in range(3)]
    inside = sum(coordinate**2 for coordinate in world) < 30**2
    image = nib.Nifti1Image(inside.astype(np.uint8), affine)
    wanted = nib.orientations.axcodes2ornt(orientation)
    return image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), wanted))


def _on_the_right(mask: nib.Nifti1Image) -> nib.Nifti1Image:
    """1 where the world's x is above 10 mm, on the mask's grid."""
    indices = np.indices(mask.shape).reshape(3, -1)
    world = mask.affine[:3, :3] @ indices + mask.affine[:3, 3:]
    return nib.Nifti1Image((world[0] > 10).reshape(mask.shape).astype(np.float32), mask.affine)


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "LPI", "PIR", "ASL"])
def test_right_of_the_subject_is_right_for_any_orientation(orientation):
    mask = _ball((2, 2, 2), orientation)
    marker = Volume.from_image(_on_the_right(mask))
    for axis in (1, 2):
        for plane in brain_planes(mask, axis, 3):
            picture = marker.sample(plane)
            middle = plane.shape[1] // 2
            assert picture[:, :middle].sum() == 0
            assert picture[:, middle:].sum() > 0


def test_superior_and_anterior_are_up():
    mask = _ball((2, 2, 2), "PIR")
    indices = np.indices(mask.shape).reshape(3, -1)
    world = (mask.affine[:3, :3] @ indices + mask.affine[:3, 3:]).reshape(3, *mask.shape)
    for axis, up in ((2, 1), (1, 2), (0, 2)):
        height = Volume(world[up], mask.affine)
        picture = height.sample(brain_planes(mask, axis, 1, span=(0.5, 0.5))[0])
        assert picture[5].mean() > picture[-6].mean() + 30


def test_a_ball_in_anisotropic_voxels_is_drawn_round():
    mask = _ball((1, 1, 4))
    plane = brain_planes(mask, 1, 1, span=(0.5, 0.5), pixel_mm=1.0)[0]
    inside = Volume.from_image(mask).sample(plane) > 0.5
    height, width = inside.any(axis=1).sum(), inside.any(axis=0).sum()
    assert abs(int(height) - int(width)) <= 4


def test_sampling_is_exact_for_a_ramp_on_another_grid():
    mask = _ball((2, 2, 2))
    affine = np.array([[0, 3.0, 0, -60], [-2.5, 0, 0, 70], [0, 0, 2.0, -50], [0, 0, 0, 1]])
    indices = np.indices((60, 50, 55)).reshape(3, -1)
    world = affine[:3, :3] @ indices + affine[:3, 3:]
    ramp = (world[0] + 2 * world[1] - world[2]).reshape(60, 50, 55)
    plane = brain_planes(mask, 2, 1)[0]
    sampled = Volume(ramp, affine).sample(plane)
    rows, columns = np.indices(plane.shape)
    points = (
        plane.origin[:, None, None]
        + plane.down[:, None, None] * rows
        + plane.right[:, None, None] * columns
    )
    np.testing.assert_allclose(sampled, points[0] + 2 * points[1] - points[2], atol=1e-3)


def test_outside_and_not_finite_is_zero():
    mask = _ball((2, 2, 2))
    far = mask.affine.copy()
    far[:3, 3] += 500
    plane = brain_planes(mask, 2, 1)[0]
    assert not Volume(np.ones(mask.shape), far).sample(plane).any()
    assert not Volume(np.full(mask.shape, np.nan), mask.affine).sample(plane).any()


def test_an_empty_mask_and_a_series_are_refused():
    empty = nib.Nifti1Image(np.zeros((5, 5, 5), np.uint8), np.eye(4))
    with pytest.raises(DataError, match="empty"):
        brain_planes(empty, 2, 3)
    with pytest.raises(DataError, match="3 dimensions"):
        Volume.from_image(nib.Nifti1Image(np.zeros((5, 5, 5, 2), np.float32), np.eye(4)))


def test_window_ignores_what_is_outside_the_mask():
    image = np.full((50, 50), 1000.0)
    image[10:40, 10:40] = np.linspace(1, 2, 900).reshape(30, 30)
    mask = np.zeros((50, 50))
    mask[10:40, 10:40] = 1
    low, high = window([image], [mask])
    assert 1.0 <= low < 1.05
    assert 1.95 < high <= 2.0
    assert window([np.zeros((4, 4))]) == (0.0, 1.0)
    constant_low, constant_high = window([np.full((4, 4), 7.0)])
    assert constant_high > constant_low
    np.testing.assert_array_equal(to_gray(np.array([-1.0, 0.5, 9.0]), 0, 1), [0, 128, 255])


def test_outline_of_a_disc_lies_on_its_edge():
    rows, columns = np.indices((80, 80)) - 40
    distance = np.hypot(rows, columns)
    contours = outlines(np.clip(20.5 - distance, 0, 1))
    assert len(contours) == 1
    radius = np.hypot(*(contours[0] - 40).T)
    assert np.abs(radius - 20).max() < 0.6
    assert len(contours[0]) < 60


def test_simplified_lines_are_those_of_scikit_image():
    from skimage.measure import approximate_polygon

    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(length, 2)).cumsum(axis=0) for length in (2, 3, 40, 300)]
    angle = np.linspace(0, 2 * np.pi, 200)
    # of points equally far from a chord, either may be chosen
    closed = 20 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(size=(200, 2))
    closed[-1] = closed[0]
    lines = [*walks, closed, np.zeros((8, 2))]
    for tolerance in (0.1, 1.5):
        found = simplified(lines, tolerance)
        for line, fewer in zip(lines, found, strict=True):
            np.testing.assert_array_equal(fewer, approximate_polygon(line, tolerance))
    assert simplified([], 0.35) == []


@pytest.mark.parametrize("orientation", ["RAS", "PIR"])
def test_planes_through_a_region_are_in_it(orientation):
    mask = _ball((2, 2, 2), orientation)
    spans = spans_of(_on_the_right(mask), mask)
    planes = brain_planes(mask, 0, 5, span=spans[0])
    # the marker is from 10 to 45 mm
    assert [round(plane.origin[0]) for plane in planes] == pytest.approx(
        [14, 21, 28, 34, 41], abs=1
    )
    marker = Volume.from_image(_on_the_right(mask))
    assert all(marker.sample(plane).any() for plane in planes)


def test_an_empty_region_cannot_be_drawn():
    mask = _ball((2, 2, 2))
    empty = nib.Nifti1Image(np.zeros(mask.shape, np.uint8), mask.affine)
    with pytest.raises(DataError, match="the region is empty"):
        spans_of(empty, mask)
