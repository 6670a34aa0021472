import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from fusionprep.image.io import new_image
from fusionprep.image.resample import (
    compose,
    downsample,
    from_sitk,
    has_shear,
    itk_from_ras,
    ras_from_itk,
    read_transforms,
    remove_shear,
    resample,
    to_sitk,
)

LPS = np.array([-1.0, -1.0, 1.0])


def rigid(angles=(0.0, 0.0, 0.0), shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    return nib.affines.from_matvec(nib.eulerangles.euler2mat(*angles), shift)


OBLIQUE = rigid((0.2, -0.3, 0.1), (10, -20, 30)) @ np.diag([1.5, 2.0, 2.5, 1.0])
MOTION = rigid((0.3, -0.1, 0.2), (7.0, -5.0, 11.0))


def blob(affine: np.ndarray, centre, shape=(40, 42, 44), width=6.0) -> nib.Nifti1Image:
    """A Gaussian at a place in the world (mm)."""
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    squared = ((points - np.asarray(centre)) ** 2).sum(axis=-1)
    return new_image(np.exp(-squared / (2 * width**2)).astype(np.float32), affine)


def centre_of(image: nib.Nifti1Image) -> np.ndarray:
    """World coordinates of the centre of mass."""
    return nib.affines.apply_affine(
        image.affine, ndimage.center_of_mass(np.asarray(image.dataobj, dtype=float))
    )


def middle(affine: np.ndarray, shape=(40, 42, 44)) -> np.ndarray:
    return nib.affines.apply_affine(affine, (np.array(shape) - 1) / 2)


def test_to_sitk_keeps_every_voxel_in_its_place():
    image = blob(OBLIQUE, (20, 10, 60))
    itk = to_sitk(image)
    for voxel in ([0, 0, 0], [3, 5, 7], [39, 41, 43]):
        lps = np.array(itk.TransformIndexToPhysicalPoint(voxel))
        np.testing.assert_allclose(lps * LPS, nib.affines.apply_affine(OBLIQUE, voxel), atol=1e-4)
        assert itk[voxel] == pytest.approx(float(np.asarray(image.dataobj)[tuple(voxel)]))


def test_from_sitk_undoes_to_sitk():
    image = blob(OBLIQUE, (20, 10, 60))
    back = from_sitk(to_sitk(image))
    np.testing.assert_allclose(back.affine, OBLIQUE, atol=1e-5)
    np.testing.assert_array_equal(back.dataobj, image.dataobj)


def test_simpleitk_reads_the_same_from_the_file(tmp_path):
    image = blob(OBLIQUE, (20, 10, 60))
    nib.save(image, tmp_path / "a.nii.gz")
    ours, theirs = to_sitk(image), sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(ours.GetOrigin(), theirs.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(ours.GetDirection(), theirs.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(ours.GetSpacing(), theirs.GetSpacing(), atol=1e-5)


def test_itk_transform_takes_output_points_to_input_points():
    transform = itk_from_ras(MOTION)
    for point in ([0, 0, 0], [10, -20, 30], [-55, 4, 81]):
        moved = np.array(transform.TransformPoint((np.array(point) * LPS).tolist())) * LPS
        expected = nib.affines.apply_affine(np.linalg.inv(MOTION), point)
        np.testing.assert_allclose(moved, expected, atol=1e-9)


def test_ras_from_itk_undoes_itk_from_ras():
    affine = MOTION @ np.diag([1.1, 0.9, 1.05, 1.0])
    np.testing.assert_allclose(ras_from_itk(itk_from_ras(affine)), affine, atol=1e-9)


def test_ras_from_itk_takes_a_centre_of_rotation_into_account():
    euler = sitk.Euler3DTransform((10.0, -30.0, 50.0), 0.1, 0.2, -0.3, (4.0, 5.0, 6.0))
    inverse = np.linalg.inv(ras_from_itk(euler))
    point = np.array([12.0, 34.0, -56.0])
    expected = np.array(euler.TransformPoint((point * LPS).tolist())) * LPS
    np.testing.assert_allclose(nib.affines.apply_affine(inverse, point), expected, atol=1e-9)


@pytest.mark.parametrize("matrix", [rigid(shift=(8, -6, 4)), MOTION], ids=["shift", "rotation"])
def test_a_blob_goes_where_the_transform_takes_its_centre(matrix):
    start = middle(OBLIQUE) + np.array([3, -4, 5])
    image = blob(OBLIQUE, start)
    goal = nib.affines.apply_affine(matrix, start)
    # a grid of another orientation and voxel size, around the goal
    axes = np.array([[-2.0, 0, 0], [0, 0, 2.0], [0, 2.0, 0]])
    affine = nib.affines.from_matvec(axes, goal - axes @ np.array([22.0, 24.0, 26.0]))
    reference = new_image(np.zeros((48, 50, 52), np.float32), affine)
    for interpolation in ("linear", "cubic"):
        moved = resample(image, reference, itk_from_ras(matrix), interpolation=interpolation)
        np.testing.assert_allclose(moved.affine, affine, atol=1e-5)
        np.testing.assert_allclose(centre_of(moved), goal, atol=0.15)
        assert np.asarray(moved.dataobj).max() == pytest.approx(1, abs=0.06)


def test_linear_interpolation_is_that_of_scipy():
    image = blob(OBLIQUE, middle(OBLIQUE) + np.array([6, 2, -9]))
    reference = new_image(np.zeros((30, 31, 32), np.float32), rigid(shift=middle(OBLIQUE) - 15))
    moved = np.asarray(resample(image, reference, itk_from_ras(MOTION)).dataobj)
    matrix = np.linalg.inv(image.affine) @ np.linalg.inv(MOTION) @ reference.affine
    expected = ndimage.affine_transform(
        np.asarray(image.dataobj, dtype=float), matrix, output_shape=reference.shape, order=1
    )
    assert expected.max() > 0.5
    # away from the border of the field of view, where conventions differ by half a voxel
    far = ndimage.binary_erosion(expected > 0, iterations=2)
    np.testing.assert_allclose(moved[far], expected[far], atol=1e-4)


def test_compose_applies_the_first_of_the_list_first():
    first, second = rigid((0.4, 0, 0), (10, 0, 0)), rigid((0, 0, 0.7), (0, 20, 0))
    chain = compose([itk_from_ras(first), itk_from_ras(second)])
    point = np.array([3.0, 5.0, 7.0])
    through = nib.affines.apply_affine(
        np.linalg.inv(second), nib.affines.apply_affine(np.linalg.inv(first), point)
    )
    found = np.array(chain.TransformPoint((point * LPS).tolist())) * LPS
    np.testing.assert_allclose(found, through, atol=1e-9)
    np.testing.assert_allclose(ras_from_itk(chain), first @ second, atol=1e-9)


def test_read_transforms_chains_files_in_the_same_order(tmp_path):
    matrices = [MOTION, rigid((0, 0.5, 0), (1, 2, 3))]
    paths = [tmp_path / f"{index}.txt" for index in range(2)]
    for path, matrix in zip(paths, matrices, strict=True):
        sitk.WriteTransform(itk_from_ras(matrix), str(path))
    np.testing.assert_allclose(
        ras_from_itk(read_transforms(paths)), matrices[0] @ matrices[1], atol=1e-6
    )


def test_no_transforms_is_the_identity():
    point = (1.0, 2.0, 3.0)
    assert read_transforms([]).TransformPoint(point) == point
    assert compose([]).TransformPoint(point) == point


def test_one_resampling_through_a_chain_is_exact_where_two_blur():
    image = blob(OBLIQUE, middle(OBLIQUE), width=3.0)
    there, back = itk_from_ras(MOTION), itk_from_ras(np.linalg.inv(MOTION))
    once = resample(image, image, compose([back, there]))
    np.testing.assert_allclose(once.dataobj, image.dataobj, atol=1e-4)


def test_outside_the_field_of_view():
    image = new_image(np.full((5, 5, 5), 3.0, np.float32), np.eye(4))
    reference = new_image(np.zeros((9, 5, 5), np.float32), np.eye(4))
    moved = np.asarray(resample(image, reference, outside=-1000).dataobj)
    np.testing.assert_array_equal(moved[:5], 3)
    np.testing.assert_array_equal(moved[6:], -1000)


def test_nearest_makes_no_new_labels():
    labels = np.random.default_rng(0).choice([0, 1, 2, 7], (12, 12, 12)).astype(np.float32)
    image = new_image(labels, np.eye(4))
    moved = np.asarray(
        resample(image, image, itk_from_ras(MOTION), interpolation="nearest").dataobj
    )
    assert set(np.unique(moved)) <= {0, 1, 2, 7}


def test_cubic_does_not_undershoot():
    step = np.zeros((20, 20, 20), np.float32)
    step[10:] = 1000
    image = new_image(step, np.eye(4))
    half = itk_from_ras(rigid(shift=(0.5, 0, 0)))
    assert np.asarray(resample(image, image, half, interpolation="cubic").dataobj).min() == 0


SHEAR = np.array([[2.0, 0, 0.0, -40], [0, 2, 0.6, -50], [0, 0, 2, -40], [0, 0, 0, 1]])


def test_shear_is_seen_and_refused():
    assert has_shear(SHEAR)
    assert not has_shear(OBLIQUE)
    with pytest.raises(ValueError, match="shears"):
        to_sitk(blob(SHEAR, middle(SHEAR)))


def test_remove_shear_keeps_positions_and_voxel_size():
    centre = middle(SHEAR) + np.array([4, 6, -8])
    upright = remove_shear(blob(SHEAR, centre))
    assert not has_shear(upright.affine)
    np.testing.assert_allclose(
        nib.affines.voxel_sizes(upright.affine), nib.affines.voxel_sizes(SHEAR), rtol=1e-6
    )
    np.testing.assert_allclose(centre_of(upright), centre, atol=0.05)


def test_remove_shear_fills_the_corners_of_a_tilted_ct_with_air():
    tilted = new_image(np.full((20, 20, 20), 30.0, np.float32), SHEAR)
    upright = np.asarray(remove_shear(tilted, outside=-1000.0).dataobj)
    assert upright.max() == pytest.approx(30)
    assert upright[0, 0, -1] == pytest.approx(-1000)
    assert (upright < -900).mean() > 0.05


def test_an_upright_image_is_left_as_it_is():
    image = blob(OBLIQUE, middle(OBLIQUE))
    assert remove_shear(image) is image


@pytest.mark.parametrize("spacing", [1.0, 3.0, 5.0])
def test_downsample_keeps_the_place_of_a_blob(spacing):
    centre = middle(OBLIQUE) + np.array([2, -3, 4])
    small = downsample(blob(OBLIQUE, centre, width=8.0), spacing)
    sizes = nib.affines.voxel_sizes(small.affine)
    np.testing.assert_allclose(sizes, np.maximum([1.5, 2.0, 2.5], spacing), rtol=1e-5)
    np.testing.assert_allclose(centre_of(small), centre, atol=0.1)


def test_downsample_covers_the_same_extent():
    """The outer faces of the first voxels coincide."""
    image = new_image(np.ones((30, 30, 30), np.float32), OBLIQUE)
    small = downsample(image, 4.0)
    first_face = nib.affines.apply_affine(small.affine, [-0.5] * 3)
    np.testing.assert_allclose(first_face, nib.affines.apply_affine(OBLIQUE, [-0.5] * 3), atol=1e-4)
    assert np.asarray(small.dataobj)[1:-2, 1:-2, 1:-2].min() == pytest.approx(1, abs=1e-4)


def test_downsample_takes_linear_samples_of_the_smoothed_image():
    image = new_image(np.random.default_rng(5).random((31, 24, 17), np.float32), OBLIQUE)
    small = downsample(image, 3.0)
    old, new = nib.affines.voxel_sizes(image.affine), nib.affines.voxel_sizes(small.affine)
    sigmas = 0.35 * np.sqrt(new**2 - old**2) / old
    smooth = ndimage.gaussian_filter(image.get_fdata(), sigmas, mode="nearest")
    places = np.indices(small.shape).reshape(3, -1).T
    voxels = nib.affines.apply_affine(np.linalg.inv(image.affine) @ small.affine, places)
    expected = ndimage.map_coordinates(smooth, voxels.T, order=1, mode="nearest")
    np.testing.assert_allclose(small.get_fdata().ravel(), expected, atol=1e-5)
