"""Whether what a PET shows can be, on phantoms whose answer is known."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.image.io import read_image
from fusionprep.image.pet_checks import check_noise, check_slices, slice_jump

SHAPE = (48, 56, 40)


@pytest.fixture(scope="module")
def head():
    """An ellipsoid with a darker core, at the resolution of a scanner (5 mm in voxels of 2.5)."""
    centre = (np.array(SHAPE) - 1)[:, None, None, None] / 2
    radii = np.array([18, 22, 16])[:, None, None, None]
    distance = np.sqrt((((np.indices(SHAPE) - centre) / radii) ** 2).sum(axis=0))
    activity = np.select([distance < 0.6, distance < 1], [1.0, 4.0], 0.0)
    return ndimage.gaussian_filter(activity, 5 / 2.5 / 2.3548).astype(np.float32)


def scaled(image, axis, factors):
    shape = [1, 1, 1]
    shape[axis] = -1
    return image * np.reshape(factors, shape)


def test_an_exact_jump():
    """Slices of 1, 1, 4, 1, 1: the third is 4 times the geometric mean of its neighbours."""
    image = scaled(np.ones((5, 4, 6), np.float32), 0, [1, 1, 4, 1, 1])
    assert slice_jump(image) == pytest.approx(4)
    rising = scaled(np.ones((5, 4, 6), np.float32), 0, [1, 2, 4, 8, 16])
    assert slice_jump(rising) == pytest.approx(1)
    assert slice_jump(np.zeros((5, 4, 6), np.float32)) == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_that_lost_their_scale_are_told(head, axis):
    n_slices = SHAPE[axis]
    ones = np.ones(n_slices)
    middle = n_slices // 2
    assert check_slices(head) == ""
    for factor in (2.0, 0.5, 10.0, 0.0):
        one = ones.copy()
        one[middle] = factor
        assert "may have lost their scale" in check_slices(scaled(head, axis, one))
    above = np.where(np.arange(n_slices) > middle, 2.0, 1.0)
    assert slice_jump(scaled(head, axis, above)) == pytest.approx(np.sqrt(2), rel=0.05)
    assert check_slices(scaled(head, axis, above))
    random = np.exp(np.random.default_rng(0).uniform(-0.5, 0.5, n_slices))
    assert check_slices(scaled(head, axis, random))


def test_what_every_pet_has_is_not_told(head):
    rng = np.random.default_rng(0)
    noisy = head + rng.standard_normal(SHAPE).astype(np.float32)
    assert check_slices(noisy) == ""
    cut = head.copy()
    cut[:, :, :12] = 0
    assert check_slices(cut) == ""
    cut[:, :, :12] = np.nan
    assert check_slices(cut) == ""
    assert check_slices(-head) == ""
    assert check_slices(scaled(head, 2, np.linspace(1, 2, SHAPE[2]))) == ""


def test_real_pet_is_not_told(shared_data):
    files = [*shared_data.glob("bids/**/*_pet.nii.gz"), *shared_data.glob("volumes/*_pet.nii.gz")]
    assert len(files) >= 5
    for path in files:
        image = read_image(path)
        data = np.nan_to_num(np.asarray(image.dataobj))
        static = data.mean(axis=3) if data.ndim > 3 else data
        assert check_slices(static) == "", path
        assert slice_jump(static) < 1.2
        # slices of at least 6 mm hold what is measured of any scanner
        thick = max(1, round(6 / float(nib.affines.voxel_sizes(image.affine)[2])))
        kept = static[:, :, : static.shape[2] // thick * thick]
        kept = kept.reshape(*static.shape[:2], -1, thick).mean(axis=3)
        assert check_slices(kept) == "", path


@pytest.mark.parametrize(
    ("noise", "told"), [(0.02, False), (0.159, False), (0.5, False), (0.51, True), (3.0, True)]
)
def test_noise_far_out_is_told(noise, told):
    assert bool(check_noise({"Noise": noise})) == told
    assert not check_noise({"Noise": None})
