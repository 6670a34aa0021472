import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.errors import DataError
from fusionprep.evaluation.volumes import through_plane_inconsistency


@pytest.fixture(scope="module")
def volumes():
    rng = np.random.default_rng(0)
    anatomical = ndimage.gaussian_filter(rng.standard_normal((40, 36, 32)), 2)
    functional = ndimage.gaussian_filter(rng.standard_normal(anatomical.shape), 3)
    return [100 + 40 * image / image.std() for image in (anatomical, functional)]


def _jitter(volume, share, axis=2):
    shape = [1, 1, 1]
    shape[axis] = -1
    gain = 1 + share * np.random.default_rng(1).standard_normal(volume.shape[axis])
    return volume * gain.reshape(shape)


@pytest.mark.parametrize(
    "fuse",
    [
        lambda a, b: (a + b) / 2,
        lambda a, b: 0.2 * a + 0.9 * b + 5,
        np.maximum,
        np.minimum,
        lambda a, b: np.round((a + b) / 2),
    ],
)
def test_pixelwise_fusion_does_not_flicker(volumes, fuse):
    assert through_plane_inconsistency(fuse(*volumes), *volumes) < 0.05


@pytest.mark.parametrize("fuse", [lambda a, b: (a + b) / 2, np.maximum])
def test_linear_pixelwise_fusion_is_exactly_consistent(volumes, fuse):
    assert through_plane_inconsistency(fuse(*volumes), *volumes) == 0


@pytest.mark.parametrize(
    "fuse",
    [
        lambda a, b: np.maximum(0.9 * a, 1.25 * b),
        lambda a, b: (a**4 + b**4) ** 0.25,
        lambda a, b: np.maximum(a, 0.75 * b) + 0.2 * np.minimum(a, b),
    ],
)
def test_other_pixelwise_rules_do_not_flicker_on_real_volumes(shared_data, fuse):
    """The maximum of the sources as they are left .10, .04 and .08 unexplained."""
    folder = shared_data / "volumes"
    names = ("normal_T1w.nii.gz", "normal_trc-18FFDG_pet.nii.gz")
    images = [nib.load(folder / name).get_fdata(dtype=np.float32) for name in names]
    sources = [image / np.percentile(image[images[0] > 0], 99) for image in images]
    sources = [np.where(images[0] > 0, image.clip(0, 1), 0) for image in sources]
    assert through_plane_inconsistency(fuse(*sources), *sources, images[0] > 0) < 0.02


def test_flicker_grows_with_the_gain_jitter_of_slices(volumes):
    average = sum(volumes) / 2
    small, large = (
        through_plane_inconsistency(_jitter(average, share), *volumes) for share in (0.02, 0.06)
    )
    assert small > 0.2
    assert large == pytest.approx(3 * small, rel=0.1)


def test_only_jitter_along_the_slice_axis_counts(volumes):
    average = sum(volumes) / 2
    across = _jitter(average, 0.05, axis=0)
    assert through_plane_inconsistency(across, *volumes, axis=2) == 0
    assert through_plane_inconsistency(across, *volumes, axis=0) > 0.5


def test_isotropic_noise_is_no_flicker(volumes):
    noisy = sum(volumes) / 2 + 3 * np.random.default_rng(2).standard_normal(volumes[0].shape)
    assert through_plane_inconsistency(noisy, *volumes) < 0.25
    assert through_plane_inconsistency(_jitter(noisy, 0.05), *volumes) > 0.5


def test_a_volume_cut_out_by_its_mask(volumes):
    mask = np.zeros(volumes[0].shape, np.uint8)
    mask[5:30, 5:30, 5:28] = 1
    fused = mask * sum(volumes) / 2
    assert through_plane_inconsistency(fused, *volumes, mask) == 0
    assert through_plane_inconsistency(fused, *volumes) > 0


def test_sources_that_do_not_change_along_the_axis(volumes):
    flat = np.full((8, 8, 8), 100.0)
    assert through_plane_inconsistency(flat, flat, flat) == 0
    assert through_plane_inconsistency(_jitter(flat, 0.1), flat, flat) == np.inf


def test_volumes_that_cannot_be_compared(volumes):
    with pytest.raises(DataError, match="3-D volumes on one grid"):
        through_plane_inconsistency(volumes[0][1:], *volumes)
    with pytest.raises(DataError, match="no three neighbours along axis 0"):
        through_plane_inconsistency(volumes[0], *volumes, np.zeros(volumes[0].shape))
