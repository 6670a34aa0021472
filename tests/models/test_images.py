"""``fuse`` of nibabel images and paths: image in, image out."""

import nibabel as nib
import numpy as np
import pytest

from fusionprep import fuse
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.image.colour import load_colour


@pytest.fixture
def images():
    """A ball of MRI, 2 mm voxels in LPI order, and a smooth PET, 3 mm, bright on the right."""

    def at(shape, affine):
        world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
        return world, np.linalg.norm(world, axis=-1)

    fine = nib.affines.from_matvec(np.diag([2.0] * 3), [-30.0] * 3)
    coarse = nib.affines.from_matvec(np.diag([3.0] * 3), [-36.0] * 3)
    world, distance = at((31, 30, 29), fine)
    mri = nib.Nifti1Image(np.where(distance < 22, 500 + 50 * np.cos(world[..., 1]), 0), fine)
    world, distance = at((25, 25, 25), coarse)
    pet = 5000 * np.exp(-((distance / 18) ** 4)) * (1 + world[..., 0] / 60)
    turn = nib.orientations.ornt_transform(*map(nib.orientations.axcodes2ornt, ("RAS", "LPI")))
    return mri.as_reoriented(turn), nib.Nifti1Image(pet, coarse)


def test_the_second_is_resampled_to_the_first_and_that_is_said(images):
    mri, pet = images
    with pytest.warns(UserWarning, match="resampled to the grid of the first") as said:
        fused = fuse(mri, pet, model="average")
    assert said[0].filename == __file__
    assert fused.shape == mri.shape
    np.testing.assert_allclose(fused.affine, mri.affine)
    ras = nib.as_closest_canonical(fused)
    world = nib.affines.apply_affine(ras.affine, np.moveaxis(np.indices(ras.shape), 0, -1))
    inside = np.linalg.norm(world, axis=-1) < 14
    data = ras.get_fdata()
    assert data[inside & (world[..., 0] > 5)].mean() > data[inside & (world[..., 0] < -5)].mean()
    assert not data[np.linalg.norm(world, axis=-1) > 28].any()


def test_images_paths_and_arrays_give_the_same(images, tmp_path, recwarn):
    mri, _ = images
    pet = nib.Nifti1Image(mri.get_fdata()[::-1].copy() * 3, mri.affine)
    mri.to_filename(tmp_path / "mri.nii.gz")
    pet.to_filename(tmp_path / "pet.nii.gz")
    mask = (mri.get_fdata() > 0).astype(np.uint8)
    of_images = fuse(mri, pet, mask, model="laplacian")
    of_paths = fuse(str(tmp_path / "mri.nii.gz"), tmp_path / "pet.nii.gz", mask, model="laplacian")
    np.testing.assert_allclose(of_images.get_fdata(), of_paths.get_fdata(), atol=1e-6)
    arrays = [nib.as_closest_canonical(image).get_fdata() for image in (mri, pet)]
    inside = nib.as_closest_canonical(nib.Nifti1Image(mask, mri.affine)).get_fdata()
    expected = fuse(*arrays, inside, model="laplacian", voxel_sizes=(2, 2, 2))
    found = nib.as_closest_canonical(of_images).get_fdata()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not recwarn.list


def test_in_colour_it_is_rgb24(images, tmp_path):
    mri, _ = images
    colour = fuse(mri, mri, colour=True)
    colour.to_filename(tmp_path / "colour.nii.gz")
    assert load_colour(tmp_path / "colour.nii.gz").shape == (*mri.shape, 3)
    np.testing.assert_allclose(colour.affine, mri.affine)


def test_what_cannot_be_fused_is_refused(images, tmp_path):
    mri, pet = images
    with pytest.raises(UsageError, match="not one of each"):
        fuse(mri, pet.get_fdata())
    with pytest.raises(UsageError, match="do not say where they lie"):
        fuse(mri.get_fdata(), mri.get_fdata(), register=True)
    with pytest.raises(NoInputError, match="there is no file"):
        fuse(tmp_path / "none.nii.gz", pet)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match="pictures as arrays"):
        fuse(tmp_path / "a.png", pet)
    far = nib.Nifti1Image(pet.get_fdata(), nib.affines.from_matvec(np.eye(3), [900, 0, 0]))
    with pytest.raises(DataError, match="do not overlap"):
        fuse(mri, far)
    with pytest.raises(DataError, match="mask is not on the grid"):
        fuse(mri, mri, pet)
    with pytest.raises(DataError, match="4 dimensions"):
        fuse(mri, nib.Nifti1Image(np.ones((3, 3, 3, 2)), np.eye(4)))
