import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError, NoInputError, OutputError
from fusionprep.evaluation.registration import (
    read_itk_affine,
    target_registration_error,
    write_itk_affine,
)
from fusionprep.image.masks import dice

LPS = np.array([-1.0, -1.0, 1.0])


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


def test_dice():
    a = np.array([1, 1, 1, 0, 0, 0])
    b = np.array([0, 1, 1, 1, 1, 0])
    assert dice(a, b) == pytest.approx(2 * 2 / (3 + 4))
    assert dice(a, a) == 1.0
    assert dice(a, 1 - a) == 0.0
    assert dice(np.zeros(3), np.zeros(3)) == 1.0


def test_dice_refuses_to_broadcast():
    with pytest.raises(ValueError, match="shapes"):
        dice(np.ones((2, 1)), np.ones((2, 2)))


def test_translation_changes_sign_between_ras_and_lps(tmp_path):
    matrix = np.eye(4)
    matrix[:3, 3] = [1.5, -2.5, 3.5]
    write_itk_affine(tmp_path / "x.txt", matrix)
    text = (tmp_path / "x.txt").read_text()
    assert "Parameters: 1.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 1.0 -1.5 2.5 3.5\n" in text.replace(
        "-0.0", "0.0"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_written_matrix_is_read_back_exactly(tmp_path):
    matrix = np.eye(4)
    matrix[:3] = np.random.default_rng(1).normal(size=(3, 4))
    write_itk_affine(tmp_path / "x.txt", matrix)
    np.testing.assert_array_equal(read_itk_affine(tmp_path / "x.txt"), matrix)


@pytest.mark.parametrize("zyx", [False, True])
def test_euler_transform_written_by_itk(tmp_path, zyx):
    sitk = pytest.importorskip("SimpleITK")
    transform = sitk.Euler3DTransform((10.0, -20.0, 30.0), 0.1, -0.2, 0.3, (4.0, 5.0, -6.0))
    transform.SetComputeZYX(zyx)
    assert_agrees_with_itk(sitk, transform, tmp_path / "x.txt")


def test_affine_transform_with_a_centre_written_by_itk(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    transform = sitk.AffineTransform(3)
    transform.SetMatrix((1.1, 0.1, 0.0, -0.1, 0.9, 0.2, 0.05, 0.0, 1.0))
    transform.SetTranslation((1.0, 2.0, 3.0))
    transform.SetCenter((11.0, -7.0, 5.0))
    assert_agrees_with_itk(sitk, transform, tmp_path / "x.txt")


def assert_agrees_with_itk(sitk, transform, path):
    sitk.WriteTransform(transform, str(path))
    matrix = read_itk_affine(path)
    for point in np.random.default_rng(0).normal(scale=50, size=(5, 3)):
        expected = LPS * np.array(transform.TransformPoint(list(LPS * point)))
        np.testing.assert_allclose(nib.affines.apply_affine(matrix, point), expected, atol=1e-9)


def test_itk_reads_what_is_written(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    matrix = rotation_about_z(15)
    matrix[:3, 3] = [7, 8, 9]
    write_itk_affine(tmp_path / "x.txt", matrix)
    transform = sitk.ReadTransform(str(tmp_path / "x.txt"))
    point = np.array([10.0, 20.0, 30.0])
    moved = LPS * np.array(transform.TransformPoint(list(LPS * point)))
    np.testing.assert_allclose(moved, nib.affines.apply_affine(matrix, point))


HEADER = "#Insight Transform File V1.0\n"
VERSOR = "Transform: VersorRigid3DTransform_double_3_3\nParameters: 0 0 0 1 2 3\n"
AFFINE = "Transform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 0 0 0\n"
FIXED = "FixedParameters: 0 0 0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not an ITK text transform"),
        ("1 0 0 0\n", "not an ITK text transform"),
        (HEADER + AFFINE, "exactly one"),
        (HEADER + AFFINE + FIXED + AFFINE + FIXED, "exactly one"),
        (HEADER + VERSOR + FIXED, "VersorRigid3DTransform"),
        (HEADER + AFFINE.replace("1 0", "one 0") + FIXED, "could not convert"),
        (HEADER + AFFINE.replace(" 0 0 0\n", "\n") + FIXED, "9 parameters"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "x.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_itk_affine(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(NoInputError, match="not found"):
        read_itk_affine(tmp_path / "no.txt")


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*affine\.txt"):
        write_itk_affine(tmp_path / "file" / "affine.txt", np.eye(4))
