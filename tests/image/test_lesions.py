"""Masks of lesions: their grid, what cannot be, and the brain mask that keeps them."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.errors import DataError
from fusionprep.image.lesions import lesion_on_grid, place_lesion

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
AFFINE[:3, 3] = (-90, -90, -60)
SHAPE = (60, 60, 48)


def ball(centre, radius: float, affine=AFFINE, shape=SHAPE) -> np.ndarray:
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return np.linalg.norm(points - np.array(centre), axis=-1) < radius


@pytest.fixture
def brain() -> np.ndarray:
    return ball((0, 0, 10), 65)


def test_a_mask_on_the_grid_is_taken_as_it_is():
    lesion = ball((-30, 0, 20), 15)
    image = nib.Nifti1Image(lesion.astype(np.uint8) * 3, AFFINE)
    np.testing.assert_array_equal(lesion_on_grid([image], image), lesion)


def test_other_grids_are_met_by_world_coordinates():
    """A mask of finer voxels with its axes turned round, and a probability map with NaN."""
    fine = np.diag([-1.5, 2.0, 1.0, 1.0])
    fine[:3, 3] = (80, -80, -50)
    drawn = ball((-30, 0, 20), 15, fine, (110, 80, 140))
    chances = np.where(drawn, 0.8, 0.3).astype(np.float32)
    chances[0, 0, 0] = np.nan
    reference = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE)
    truth = ball((-30, 0, 20), 15)
    for array in (drawn.astype(np.uint8), chances):
        image = nib.as_closest_canonical(nib.Nifti1Image(array, fine))
        found = lesion_on_grid([image], reference)
        assert np.count_nonzero(found ^ truth) < 0.1 * np.count_nonzero(truth)
        centre = nib.affines.apply_affine(AFFINE, np.argwhere(found).mean(axis=0))
        np.testing.assert_allclose(centre, (-30, 0, 20), atol=1)


def test_two_masks_are_one_lesion():
    left, right = (ball((x, 0, 20), 12) for x in (-30, 30))
    images = [nib.Nifti1Image(mask.astype(np.uint8), AFFINE) for mask in (left, right)]
    np.testing.assert_array_equal(lesion_on_grid(images, images[0]), left | right)


def test_a_series_is_no_mask():
    image = nib.Nifti1Image(np.zeros((*SHAPE, 2), np.uint8), AFFINE)
    with pytest.raises(DataError, match="has 4 dimensions, not 3"):
        lesion_on_grid([image], nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE))


def test_a_mask_that_lies_beside_the_image_is_no_empty_one():
    drawn = nib.Nifti1Image(ball((-30, 0, 20), 15).astype(np.uint8), AFFINE)
    beside = AFFINE.copy()
    beside[:3, 3] += 1000
    with pytest.raises(DataError, match="marks no voxel of the T1w"):
        lesion_on_grid([drawn], nib.Nifti1Image(np.zeros(SHAPE, np.uint8), beside))
    empty = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE)
    assert not lesion_on_grid([empty], drawn).any()


def test_a_lesion_that_was_cut_out_of_the_brain_mask_is_put_back(brain):
    lesion = ball((-52, 0, 10), 15) & brain
    placed = place_lesion(lesion, brain & ~lesion, AFFINE)
    # a corner of the outline may be cut
    assert np.count_nonzero(placed.brain ^ brain) < 0.03 * np.count_nonzero(lesion)
    assert placed.volume_ml == pytest.approx(np.count_nonzero(lesion) * 0.027)


def test_what_a_mask_holds_of_skull_stays_out_of_the_brain(brain):
    around = ndimage.binary_dilation(brain, iterations=4) & ~brain
    drawn = ball((-60, 0, 10), 15)
    placed = place_lesion(drawn, brain, AFFINE)
    assert np.count_nonzero(drawn & around) > 100
    assert np.count_nonzero(placed.brain & around) < 0.2 * np.count_nonzero(drawn & around)
    np.testing.assert_array_equal(placed.mask, drawn)


def test_an_empty_mask_is_no_lesion(brain):
    placed = place_lesion(np.zeros(SHAPE, bool), brain, AFFINE)
    assert placed.volume_ml == 0
    np.testing.assert_array_equal(placed.brain, brain)


def test_a_mask_beside_the_brain_is_refused(brain):
    with pytest.raises(DataError, match=r"lies outside of the brain \(0% of it inside\)"):
        place_lesion(ball((80, 80, -50), 12), brain, AFFINE)


def test_a_mask_of_the_brain_is_no_lesion(brain):
    with pytest.raises(DataError, match="covers 100% of the brain"):
        place_lesion(brain, brain, AFFINE)
