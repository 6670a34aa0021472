from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest

from fusionprep.image.denoising import FROM_NOISE, NO_NOISE, Noise, decide, denoise, estimate_noise
from fusionprep.image.masks import dice
from fusionprep.image.segmentation import segment_tissues

GM, WM, CSF = 440.0, 630.0, 170.0


@dataclass(frozen=True)
class Brain:
    """The simulated person's T1w without noise, brain mask and gray matter."""

    t1w: np.ndarray
    mask: np.ndarray
    gm: np.ndarray

    def noisy(self, sd: float, seed: int = 0) -> np.ndarray:
        """With Rician noise."""
        rng = np.random.default_rng(seed)
        real, imaginary = (rng.normal(0, sd, self.t1w.shape) for _ in range(2))
        return np.hypot(self.t1w + real, imaginary).astype(np.float32)


@pytest.fixture(scope="module")
def brain(person) -> Brain:
    paths = (person.truth.gm, person.truth.wm, person.truth.csf)
    gm, wm, csf = (nib.load(path).get_fdata(dtype=np.float32) for path in paths)
    mask = np.asarray(person.mask().dataobj) > 0
    return Brain(GM * gm + WM * wm + CSF * csf, mask, gm)


@pytest.mark.parametrize("sd", [9.0, 20.0, 35.0, 60.0])
def test_noise_is_measured_within_a_tenth(brain, sd):
    noise = estimate_noise(brain.noisy(sd), brain.mask)
    assert noise.sd == pytest.approx(sd, rel=0.1)
    assert noise.white == pytest.approx(WM, rel=0.03)
    # at 2 mm few voxels are gray matter alone
    assert noise.contrast == pytest.approx(WM - GM, rel=0.15)
    assert noise.of_contrast == noise.sd / noise.contrast


def test_what_the_image_measures_in_plays_no_role(brain):
    noisy = brain.noisy(20.0)
    noise, larger = (estimate_noise(factor * noisy, brain.mask) for factor in (1, 1000))
    assert larger.of_contrast == pytest.approx(noise.of_contrast, rel=1e-3)
    assert larger.of_white == pytest.approx(noise.of_white, rel=1e-3)


def test_an_image_without_noise_has_none(brain):
    assert estimate_noise(brain.t1w, brain.mask).of_contrast < 0.05
    for flat in (np.zeros_like(brain.t1w), np.ones_like(brain.t1w)):
        assert estimate_noise(flat, brain.mask) == NO_NOISE
    assert estimate_noise(brain.t1w, np.zeros_like(brain.mask)) == NO_NOISE
    assert set(NO_NOISE.as_fields().values()) == {None}


def test_one_bright_voxel_changes_nothing(brain):
    noisy = brain.noisy(20.0)
    noise = estimate_noise(noisy, brain.mask)
    noisy[tuple(np.argwhere(brain.mask)[1000])] = 1e6
    assert estimate_noise(noisy, brain.mask).sd == pytest.approx(noise.sd, rel=0.01)


def test_large_voxels_leave_too_little_white_matter_to_measure_noise(brain):
    """Anatomy would be taken for noise, and be taken out."""
    coarse = brain.t1w[::3, ::3, ::3]
    assert estimate_noise(coarse, brain.mask[::3, ::3, ::3]) == NO_NOISE


@pytest.mark.parametrize(("sd", "left"), [(20.0, 0.95), (60.0, 0.75)])
def test_the_denoised_image_is_nearer_to_the_truth(brain, sd, left):
    noisy = brain.noisy(sd)
    clean = denoise(noisy, brain.mask, sd)
    before, after = (
        np.sqrt(np.mean((image - brain.t1w)[brain.mask] ** 2)) for image in (noisy, clean)
    )
    assert after < left * before
    # what is averaged is alike: tissues keep their level
    for share in (brain.gm > 0.95, brain.gm < 0.05):
        inside = share & brain.mask
        assert clean[inside].mean() == pytest.approx(noisy[inside].mean(), rel=0.01)


def test_tissues_of_a_noisy_image_are_found_better_without_noise(brain):
    noisy, sizes = brain.noisy(60.0), (2.0, 2.0, 2.0)
    before, after = (
        dice(segment_tissues(image, brain.mask, sizes).fraction["GM"] > 0.5, brain.gm > 0.5)
        for image in (noisy, denoise(noisy, brain.mask, 60.0))
    )
    assert after > before + 0.02


def test_what_lies_outside_the_mask_stays_as_it_is_and_runs_agree(brain):
    noisy = brain.noisy(35.0)
    clean, again = (denoise(noisy, brain.mask, 35.0) for _ in range(2))
    np.testing.assert_array_equal(clean, again)
    np.testing.assert_array_equal(clean[~brain.mask], noisy[~brain.mask])
    assert clean.dtype == np.float32
    assert (clean[brain.mask] != noisy[brain.mask]).mean() > 0.9


def test_a_brain_that_fills_the_grid_is_denoised():
    rng = np.random.default_rng(0)
    noisy = rng.normal(100, 10, (7, 9, 8)).astype(np.float32)
    clean = denoise(noisy, np.ones(noisy.shape, bool), 10.0)
    assert clean.std() < 0.5 * noisy.std()


@pytest.mark.parametrize(("choice", "share", "wanted"), [
    ("auto", 0.99 * FROM_NOISE, False), ("auto", FROM_NOISE, True),
    ("on", 0.01, True), ("on", 0.0, False), ("off", 0.5, False),
])  # fmt: skip
def test_noise_is_taken_out_where_it_is_high_or_where_that_is_asked_for(choice, share, wanted):
    found, reason = decide(choice, Noise(sd=share, white=4.0, contrast=1.0))
    assert found is wanted
    assert reason
