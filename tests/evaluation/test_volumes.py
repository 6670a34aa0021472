import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.errors import DataError
from fusionprep.evaluation.metrics import RANKED, fusion_metrics
from fusionprep.evaluation.volumes import (
    SIDECAR_METRICS,
    SIDECAR_SLICES,
    content_slices,
    through_plane_inconsistency,
    volume_metrics,
)


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


def _fused_pair() -> tuple[list[np.ndarray], np.ndarray]:
    """Sources and average of a textured ball in [0, 1], and the ball."""
    rng = np.random.default_rng(5)
    shape = (80, 90, 60)
    offsets = np.indices(shape) - (np.array(shape) - 1)[:, None, None, None] / 2
    ball = np.sqrt((offsets**2).sum(axis=0)) < 28
    sources = [
        np.clip(0.5 + 0.25 * image / image.std(), 0, 1)
        for image in (
            ndimage.gaussian_filter(rng.standard_normal(shape), sigma) for sigma in (1.5, 4)
        )
    ]
    return [*sources, sum(sources) / 2], ball


def test_metrics_of_a_volume_are_means_over_its_slices():
    images, ball = _fused_pair()
    found = volume_metrics(*images, ball)
    chosen = content_slices(ball, SIDECAR_SLICES)
    assert (found["Planes"], found["Slices"]) == ("axial", len(chosen)) == ("axial", 8)
    # 28 voxels of ball and 8 of margin around its middle, which lies between two voxels.
    box = np.s_[40 - 36 : 40 + 36, 45 - 36 : 45 + 36]
    each = [
        fusion_metrics(*(np.rint(255 * image * ball)[*box, z] for image in images), SIDECAR_METRICS)
        for z in chosen
    ]
    for name in SIDECAR_METRICS:
        assert found[name] == pytest.approx(np.mean([scores[name] for scores in each]), rel=1e-5)
    assert set(RANKED) < set(SIDECAR_METRICS)
    assert list(found)[2:] == list(SIDECAR_METRICS)


def test_neither_field_of_view_nor_slice_axis_changes_the_metrics():
    images, ball = _fused_pair()
    names = ("VIF", "Qabf", "SSIM255", "EN", "SD", "Nabf")
    expected = volume_metrics(*images, ball, names=names)
    wide = [np.pad(image, 40, constant_values=0.5) for image in images]
    assert volume_metrics(*wide, np.pad(ball, 40), names=names) == expected
    low, high = 11, 69
    tight = [image[low:high, 16:74] for image in (*images, ball)]
    assert volume_metrics(*tight, names=names) == expected
    turned = [np.moveaxis(image, 2, 0) for image in (*images, ball)]
    assert volume_metrics(*turned, axis=0, names=names) == expected


def test_what_lies_outside_the_mask_does_not_count():
    images, ball = _fused_pair()
    painted = [np.where(ball, image, 1 - image) for image in images]
    names = ("VIF", "EN")
    found, expected = (volume_metrics(*each, ball, names=names) for each in (painted, images))
    assert found == expected


def test_a_volume_smaller_than_the_metrics_need_is_filled_up_with_black():
    rng = np.random.default_rng(0)
    images = [rng.random((20, 22, 18)) for _ in range(3)]
    found = volume_metrics(*images, np.ones((20, 22, 18), bool), names=("EN", "VIF"))
    # Of 48 x 48 pixels 20 x 22 are noise and the others one level.
    share = 20 * 22 / 48**2
    assert found["EN"] < -share * np.log2(share / 256) - (1 - share) * np.log2(1 - share)
    assert found["EN"] > 0.9 * (-share * np.log2(share / 256))
    assert found["VIF"] >= 0


def test_slices_are_those_of_the_brain_in_a_mask_of_the_head():
    images, ball = _fused_pair()
    brain = ball.copy()
    brain[:, :, :40] = False
    fused = images[2].copy()
    fused[:, :, :40] = 0
    spoilt = [*images[:2], fused]
    names = ("SD",)
    assert volume_metrics(*spoilt, ball, brain=brain, names=names) == volume_metrics(
        *images, ball, brain=brain, names=names
    )
    assert volume_metrics(*spoilt, ball, names=names) != volume_metrics(*images, ball, names=names)


def test_metrics_without_anything_to_judge():
    images, ball = _fused_pair()
    with pytest.raises(DataError, match="mask that holds a voxel"):
        volume_metrics(*images, np.zeros_like(ball))
    flat = volume_metrics(*[np.zeros_like(images[0])] * 3, ball, names=("CC", "SD"))
    assert flat["SD"] == 0
    assert flat["CC"] is None or np.isfinite(flat["CC"])
