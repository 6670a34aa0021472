import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.evaluation.registration import target_registration_error


def rotation_about_z(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def mask_image(affine: np.ndarray) -> nib.Nifti1Image:
    mask = np.zeros((5, 6, 7), np.uint8)
    mask[1:4, 2:5, 3:6] = 1
    return nib.Nifti1Image(mask, affine)


def test_error_of_the_truth_is_zero():
    truth = rotation_about_z(10)
    truth[:3, 3] = [3, -4, 12]
    errors = target_registration_error(truth, truth, mask_image(np.diag([2, 2, 2, 1])))
    assert errors.shape == (27,)
    np.testing.assert_allclose(errors, 0, atol=1e-12)


def test_shift_in_t1w_space_is_the_error_everywhere():
    truth = rotation_about_z(25)
    shift = np.eye(4)
    shift[:3, 3] = [3, 4, 0]
    errors = target_registration_error(shift @ truth, truth, mask_image(np.eye(4)))
    np.testing.assert_allclose(errors, 5.0)


def test_rotation_error_grows_with_the_distance_from_its_axis():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-4, -6, -8]
    image = mask_image(affine)
    errors = target_registration_error(rotation_about_z(8), np.eye(4), image)
    points = nib.affines.apply_affine(affine, np.argwhere(image.get_fdata() > 0))
    chord = 2 * np.hypot(points[:, 0], points[:, 1]) * np.sin(np.deg2rad(4))
    np.testing.assert_allclose(errors, chord, atol=1e-12)


def test_error_needs_a_mask_with_voxels():
    empty = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    with pytest.raises(DataError, match="no voxel"):
        target_registration_error(np.eye(4), np.eye(4), empty)
