import nibabel as nib
import numpy as np
import pytest

from fusionprep.evaluation.registration import target_registration_error
from fusionprep.image.io import new_image
from fusionprep.image.prediction import BRAIN_CLASSES, Classes, align
from fusionprep.image.rigid import Brain, moved


def displaced(person, move) -> np.ndarray:
    """The true alignment of the PET after a move, in mm."""
    return moved(
        person.t1w_from("pet"), np.array(move, float), Brain.from_mask(person.mask()).centre
    )


def worst_error(person, found: np.ndarray) -> float:
    return target_registration_error(found, person.t1w_from("pet"), person.mask()).max()


def aligned(person, pet: nib.Nifti1Image, start: np.ndarray) -> tuple[np.ndarray, float]:
    return align(person.t1w(), person.mask(), pet, start, Brain.from_mask(person.mask()))


@pytest.mark.parametrize("size", [0.8, 1.0, 1.5, 3.0])
def test_classes_of_the_brain_are_where_the_brain_is_and_as_large(size):
    """Whatever the size of the voxels, and in whatever blocks they are averaged."""
    rng = np.random.default_rng(0)
    shape = np.round(np.array([90, 100, 80]) / size).astype(int)
    turned = nib.affines.from_matvec(np.diag([-size, size, size]), (40, -30, 10))
    position = nib.affines.apply_affine(turned, np.moveaxis(np.indices(shape), 0, -1))
    middle = nib.affines.apply_affine(turned, (shape - 1) / 2)
    brain = np.linalg.norm(position - middle, axis=-1) < 25
    t1w = new_image((brain * rng.uniform(0.5, 1, shape)).astype(np.float32), turned)
    classes = Classes.from_images(t1w, new_image(brain.astype(np.uint8), turned))
    share = classes.shares[-BRAIN_CLASSES:].sum(axis=0)
    volume = share.sum() * abs(np.linalg.det(classes.affine))
    assert volume == pytest.approx(brain.sum() * size**3, rel=0.02)
    voxels = np.moveaxis(np.indices(share.shape), 0, -1)
    places = nib.affines.apply_affine(classes.affine, voxels)
    centre = np.average(places.reshape(-1, 3), axis=0, weights=share.ravel())
    np.testing.assert_allclose(centre, position[brain].mean(axis=0), atol=0.02)
    assert classes.shares.min() >= 0
    assert classes.shares.sum(axis=0).max() <= 1 + 1e-5


@pytest.mark.parametrize("move", [(5, -4, 3, -4, 5, 3), (-3, 0, 6, 2, 0, -6), (0, 0, 0, 0, 0, 0)])
def test_error_is_far_below_a_voxel_wherever_it_starts(person, move):
    found, error = aligned(person, person.moving("pet"), displaced(person, move))
    assert worst_error(person, found) < 0.3
    assert 0 < error < 0.5


def test_activity_that_changes_across_the_brain_does_not_pull_it(person):
    pet = person.moving("pet")
    along = np.linspace(0.7, 1.3, pet.shape[1])[None, :, None]
    uneven = new_image((np.asarray(pet.dataobj) * along).astype(np.float32), pet.affine)
    found, _ = aligned(person, uneven, displaced(person, (2, 2, -2, 2, -2, 2)))
    assert worst_error(person, found) < 0.4


def test_units_of_either_image_do_not_matter(person):
    start = displaced(person, (2, 2, -2, 2, -2, 2))
    pet, t1w = person.moving("pet"), person.t1w()
    brain = Brain.from_mask(person.mask())
    scaled = [
        new_image(np.asarray(image.dataobj, np.float32) * factor, image.affine)
        for image, factor in ((t1w, 1e-3), (pet, 1e4))
    ]
    first, _ = align(t1w, person.mask(), pet, start, brain)
    second, _ = align(scaled[0], person.mask(), scaled[1], start, brain)
    assert brain.distance(first, second) < 0.01


def test_an_image_without_information_is_unsure(person):
    pet = person.moving("pet")
    noise = np.random.default_rng(0).random(pet.shape, dtype=np.float32)
    _, error = aligned(person, new_image(noise, pet.affine), person.t1w_from("pet"))
    assert error > 3


def test_nothing_near_the_brain_leaves_the_start(person):
    pet = person.moving("pet")
    apart = nib.affines.from_matvec(np.eye(3), (500, 0, 0))
    found, error = aligned(person, pet, apart)
    np.testing.assert_array_equal(found, apart)
    assert error is None


@pytest.mark.parametrize("seen", [True, False], ids=["PET goes on", "PET ends too"])
def test_a_t1w_that_ends_in_the_brain_does_not_pull_it(person, seen):
    """A slab as it is often taken: the crown and the lowest part of the brain are not in it."""
    t1w, mask, pet = person.t1w(), person.mask(), person.moving("pet")
    inside = np.flatnonzero(np.asarray(mask.dataobj).any(axis=(0, 1)))
    slab = slice(inside[0] + len(inside) // 8, inside[-1] - len(inside) // 8)
    t1w, mask = t1w.slicer[:, :, slab], mask.slicer[:, :, slab]
    if not seen:
        voxels = np.moveaxis(np.indices(pet.shape), 0, -1)
        t1w_from_pet = np.linalg.inv(t1w.affine) @ person.t1w_from("pet") @ pet.affine
        height = nib.affines.apply_affine(t1w_from_pet, voxels)[..., 2]
        ended = np.where((height >= 0) & (height <= t1w.shape[2] - 1), pet.get_fdata(), 0)
        pet = new_image(ended.astype(np.float32), pet.affine)
    start = displaced(person, (2, 2, -2, 2, -2, 2))
    found, _ = align(t1w, mask, pet, start, Brain.from_mask(mask))
    assert worst_error(person, found) < 0.4
