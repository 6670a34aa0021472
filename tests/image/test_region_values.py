"""Uptake of regions, against values worked out by hand and against resampling."""

import nibabel as nib
import numpy as np
import pytest

from fusionprep.image.io import new_image
from fusionprep.image.region_values import region_curves, region_values
from fusionprep.image.resample import itk_from_ras, resample


@pytest.fixture
def labels() -> np.ndarray:
    """Regions 3 (200 voxels), 7 (200), 9 (5) and 40 (95)."""
    grid = np.zeros((10, 10, 10), np.int32)
    grid[:2], grid[2:4] = 3, 7
    grid[5, 0, :5] = 9
    grid[6, :, :].flat[:95] = 40
    return grid


def test_mean_and_spread_of_each_region(labels):
    rng = np.random.default_rng(0)
    # a large offset, as in Bq/mL, must not cost the spread its digits
    image = (1e6 + rng.normal(0, 1, labels.shape)).astype(np.float64)
    values = {value.index: value for value in region_values(image, labels)}
    assert list(values) == [3, 7, 9, 40]
    for index in (3, 7, 40):
        inside = image[labels == index]
        assert values[index].mean == pytest.approx(inside.mean(), abs=1e-6)
        assert values[index].sd == pytest.approx(inside.std(), rel=1e-6)
        assert (values[index].voxels, values[index].coverage) == (inside.size, 1.0)
        assert not values[index].absent
    assert values[9].mean is None
    assert values[9].absent == "number of its voxels: 5, fewer than 10"


def test_a_region_partly_out_of_view_has_no_value(labels):
    image = np.ones(labels.shape)
    image[:, :4] = 0
    image[2, 5, 5] = np.nan
    found = {value.index: value for value in region_values(image, labels, indices=[7, 3, 99])}
    assert list(found) == [7, 3, 99]
    assert found[3].mean is None
    assert found[3].sd is None
    assert found[3].absent == "60 % of it in the field of view"
    assert found[7].coverage == pytest.approx(119 / 200)
    assert found[99].absent == "it has no voxels here"
    # exact zeros count where the caller knows the field of view
    inside = np.ones(labels.shape, bool)
    assert region_values(image, labels, indices=[3], inside=inside)[0].mean == pytest.approx(0.6)
    # 4 % missing is a mean of the region still
    image[:] = 2.0
    image.reshape(-1)[np.flatnonzero(labels == 3)[:8]] = 0
    assert region_values(image, labels, indices=[3])[0].mean == 2.0


def test_images_of_another_grid_are_refused(labels):
    with pytest.raises(ValueError, match="labels of"):
        region_values(np.ones((3, 3, 3)), labels)


@pytest.fixture
def dynamic():
    """A PET of three frames, displaced, on a grid of its own; its labels; the transform."""
    rng = np.random.default_rng(1)
    pet_affine = np.diag([-3.0, 3.0, 3.0, 1.0])
    pet_affine[:3, 3] = (30, -28, -31)
    angle = np.deg2rad(7)
    t1w_from_pet = np.eye(4)
    t1w_from_pet[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    t1w_from_pet[:3, 3] = (2.0, -1.5, 0.7)
    frames = [100 * rng.random((20, 21, 22)).astype(np.float32) for _ in range(3)]
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -20
    labels = rng.integers(0, 4, (20, 20, 20)).astype(np.int32) * 11
    return frames, pet_affine, t1w_from_pet, labels, affine


def test_curves_are_what_resampling_each_frame_gives(dynamic):
    frames, pet_affine, t1w_from_pet, labels, affine = dynamic
    reference = np.zeros(labels.shape, np.uint8)
    reference[5:9, 5:9, 5:9] = 1
    factors = [1.0, 2.0, 0.5]
    curves = region_curves(
        iter(frames),
        np.linalg.inv(t1w_from_pet @ pet_affine) @ affine,
        labels,
        [22, 11, 33],
        reference=reference,
        factors=factors,
    )
    assert curves.indices == (22, 11, 33)
    grid = new_image(labels, affine)
    for number, (frame, factor) in enumerate(zip(frames, factors, strict=True)):
        moved = resample(new_image(frame, pet_affine), grid, itk_from_ras(t1w_from_pet))
        there = factor * np.asarray(moved.dataobj, np.float64)
        for place, index in enumerate(curves.indices):
            inside = there[labels == index]
            assert curves.means[number, place] == pytest.approx(inside.mean(), rel=1e-4)
            assert curves.sds[number, place] == pytest.approx(inside.std(), rel=1e-3)
        assert curves.reference[number] == pytest.approx(there[reference > 0].mean(), rel=1e-4)


def test_frames_that_moved_have_transforms_of_their_own(dynamic):
    frames, pet_affine, t1w_from_pet, labels, affine = dynamic
    still = np.linalg.inv(t1w_from_pet @ pet_affine) @ affine
    shifted = np.eye(4)
    shifted[0, 3] = 2.0
    moved = [frames[0], np.roll(frames[0], 2, axis=0)]
    inside = np.zeros(labels.shape, bool)
    inside[6:14, 6:14, 6:14] = True
    curves = region_curves(moved, [still, shifted @ still], labels, [11, 22], inside=inside)
    np.testing.assert_allclose(curves.means[1], curves.means[0], rtol=1e-6)


def test_a_frame_without_signal_and_voxels_out_of_view_have_no_value(dynamic):
    frames, pet_affine, _, labels, _ = dynamic
    frames[1][:] = 0
    frames[2][:3] = np.nan
    away = np.eye(4)
    away[0, 3] = -9.0
    curves = region_curves(frames, away, labels, [11, 22, 33])
    assert np.isnan(curves.means[1]).all()
    assert np.isfinite(curves.means[[0, 2]]).all()
    seen = labels[9:] == 11
    assert curves.means[0, 0] == pytest.approx(frames[0][:11, :20, :20][seen].mean(), rel=1e-5)
    beyond = np.eye(4)
    beyond[0, 3] = 100.0
    assert np.isnan(region_curves(frames[:1], beyond, labels, [11]).means).all()
    assert nib.affines.voxel_sizes(pet_affine).tolist() == [3, 3, 3]
