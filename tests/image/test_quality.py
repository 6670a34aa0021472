"""Image quality against closed forms and planted noise."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.image.quality import (
    air_deviation,
    ct_quality,
    pet_noise,
    pet_quality,
    t1w_quality,
    tissue_core,
)

GRAY, WHITE = 1, 2
FWHM_PER_SIGMA = 2.3548


def head(shape=(70, 80, 64)) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a ball of white in a shell of gray matter, and distance from its middle."""
    offsets = np.indices(shape) - (np.array(shape) - 1)[:, None, None, None] / 2
    radius = np.sqrt((offsets**2).sum(axis=0))
    return np.select([radius < 16, radius < 22], [WHITE, GRAY], 0).astype(np.uint8), radius


def scan(air: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """T1w with WM 700 ± 20, GM 500 ± 30 and air around the scalp, and its labels."""
    rng = np.random.default_rng(0)
    labels, radius = head()
    level = np.select([labels == WHITE, labels == GRAY, radius < 26], [700, 500, 300], 40)
    spread = np.select([labels == WHITE, labels == GRAY, radius < 26], [20, 30, 10], air)
    return (level + spread * rng.standard_normal(labels.shape)).astype(np.float32), labels


def test_contrast_noise_and_joint_variation_of_given_means_and_deviations():
    t1w, labels = scan(air=5.0)
    found = t1w_quality(t1w, t1w, labels, np.eye(4))
    assert found["CNR"] == pytest.approx(200 / np.sqrt(20**2 + 30**2 + 5**2), rel=0.02)
    assert found["CJV"] == pytest.approx((20 + 30) / 200, rel=0.03)
    assert found["SNRWM"] == pytest.approx(700 / 20, rel=0.02)


def test_noise_in_the_air_lowers_the_contrast_to_noise_and_nothing_else():
    quiet, loud = (t1w_quality(t, t, d, np.eye(4)) for t, d in (scan(5.0), scan(30.0)))
    assert loud["CNR"] == pytest.approx(200 / np.sqrt(20**2 + 30**2 + 30**2), rel=0.02)
    assert (loud["CJV"], loud["SNRWM"]) == (quiet["CJV"], quiet["SNRWM"])


def test_air_without_a_measurement_has_no_noise():
    t1w, labels = scan()
    assert air_deviation(t1w, np.eye(4)) == pytest.approx(5, rel=0.05)
    _, radius = head()
    stripped = np.where(radius < 26, t1w, 0)
    assert air_deviation(stripped, np.eye(4)) == 0
    assert t1w_quality(t1w, stripped, labels, np.eye(4))["CNR"] == pytest.approx(
        200 / np.sqrt(20**2 + 30**2), rel=0.02
    )
    assert air_deviation(np.zeros_like(t1w), np.eye(4)) == 0


def test_a_t1w_whose_tissues_cannot_be_told_apart():
    t1w, labels = scan()
    nothing = dict.fromkeys(("CNR", "CJV", "SNRWM"))
    assert t1w_quality(t1w, t1w, np.zeros_like(labels), np.eye(4)) == nothing
    same = t1w_quality(np.full_like(t1w, 3), t1w, labels, np.eye(4))
    assert (same["CNR"], same["CJV"], same["SNRWM"]) == (0, None, None)


def test_mean_uptake_leaves_out_the_border_between_tissues():
    labels, _ = head()
    pet = np.select([labels == GRAY, labels == WHITE], [9.0, 4.0], 1.0)
    border = ndimage.binary_dilation(labels == WHITE) & (labels == GRAY)
    pet[border] = 100
    expected = {"GMMean": 9.0, "WMMean": 4.0, "GMWMRatio": 2.25, "GMWMContrast": 5 / 13}
    assert pet_quality(pet, labels) == pytest.approx(expected, rel=1e-5)


def test_a_tissue_too_thin_to_be_eroded_is_kept_whole():
    thin = np.zeros((40, 40, 40), bool)
    thin[:, :, 20] = True
    np.testing.assert_array_equal(tissue_core(thin), thin)
    assert tissue_core(head()[0] == WHITE).sum() < (head()[0] == WHITE).sum()


def test_a_brain_that_was_scanned_in_part():
    labels, _ = head()
    pet = np.select([labels == GRAY, labels == WHITE], [9.0, 4.0], 1.0)
    cut = pet.copy()
    cut[:, :, 40:] = 0  # not scanned
    assert pet_quality(cut, labels)["GMWMRatio"] == 2.25
    cut[:, :, 20:] = 0
    nothing = dict.fromkeys(("GMMean", "WMMean", "GMWMRatio", "GMWMContrast"))
    assert pet_quality(cut, labels) == nothing
    half_as_negative = np.where(labels == WHITE, -1.0, pet)
    found = pet_quality(half_as_negative, labels)
    assert (found["WMMean"], found["GMWMRatio"], found["GMWMContrast"]) == (-1, None, None)


def noisy_pet(fwhm_mm: float, deviation: float = 0.12, voxel: float = 2.0):
    """PET with spill-over from gray matter, a slope and planted noise in a turned, shifted grid.

    Returns image, affine, labels, their affine and the transform to them.
    """
    labels, _ = head((140, 150, 130))
    offsets = np.indices(labels.shape) - (np.array(labels.shape) - 1)[:, None, None, None] / 2
    radius = np.sqrt((offsets**2).sum(axis=0))
    labels = np.select([radius < 42, radius < 54], [WHITE, GRAY], 0).astype(np.uint8)
    uptake = np.select([labels == GRAY, labels == WHITE], [2.5, 1.0], 0.1)
    uptake = ndimage.gaussian_filter(uptake, 6 / FWHM_PER_SIGMA) * (1 + offsets[0] / 200)
    angle = np.radians(20)
    t1w_from_pet = np.eye(4)
    t1w_from_pet[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    t1w_from_pet[:3, 3] = 12, -7, 5
    affine = np.diag([-voxel, voxel, voxel, 1.0])
    affine[:3, 3] = nib.affines.apply_affine(
        np.linalg.inv(t1w_from_pet), (np.array(labels.shape) - 1) / 2
    ) - affine[:3, :3] @ (35, 35, 35)
    to_voxel = t1w_from_pet @ affine
    image = ndimage.affine_transform(
        uptake, to_voxel[:3, :3], to_voxel[:3, 3], output_shape=(71, 71, 71), order=1
    )
    noise = np.random.default_rng(3).standard_normal(image.shape)
    if fwhm_mm:
        noise = ndimage.gaussian_filter(noise, fwhm_mm / FWHM_PER_SIGMA / voxel)
    image += deviation * noise / noise.std()
    return image, affine, labels, np.eye(4), t1w_from_pet


@pytest.mark.parametrize("fwhm_mm", [0.0, 3.0, 5.0])
@pytest.mark.parametrize("deviation", [0.05, 0.2])
def test_planted_noise_is_found_whatever_its_correlation(fwhm_mm, deviation):
    assert pet_noise(*noisy_pet(fwhm_mm, deviation)) == pytest.approx(deviation, rel=0.1)


def test_spill_over_and_slopes_are_no_noise():
    image, *geometry = noisy_pet(0.0, 1e-9)
    core = image[image > 0.5]
    assert core.std() / core.mean() > 0.1
    assert pet_noise(image, *geometry) < 0.01


def test_noise_needs_white_matter_in_the_field_of_view():
    image, *geometry = noisy_pet(3.0)
    cut = image.copy()
    cut[:, :, 20:] = 0
    assert pet_noise(cut, *geometry) is None
    assert pet_noise(-image, *geometry) is None
    away = geometry[3].copy()
    away[:3, 3] += 1000
    assert pet_noise(image, *geometry[:3], away) is None
    nowhere = np.zeros_like(geometry[1])
    assert pet_noise(image, geometry[0], nowhere, *geometry[2:]) is None


def test_ct_of_a_head():
    labels, radius = head()
    ct = np.select([labels > 0, radius < 26], [37.0, 900.0], -1000.0)
    affine = np.diag([1.0, 2.0, 1.0, 1.0])
    found = ct_quality(ct, labels > 0, affine)
    assert found["BrainMedianHU"] == 37
    shell = np.count_nonzero((radius >= 22) & (radius < 26))
    assert found["BoneVolumeMillilitres"] == pytest.approx(shell * 2 / 1000, rel=1e-5)
    ct[:, :, 20:] = -1000
    assert ct_quality(ct, labels > 0, affine)["BrainMedianHU"] is None
