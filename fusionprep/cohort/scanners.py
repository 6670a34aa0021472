"""The scanners of a simulated cohort, and what they make of a head."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fusionprep.image.partial_volume.partition import FWHM_PER_SIGMA

T1W_UNITS = 700.0
"""Stored units of white matter."""

NOISE_BLUR_VOXELS = 0.5
"""Standard deviation of the reconstruction's filter, which makes the noise of PET smooth."""


@dataclass(frozen=True)
class Scanner:
    """An MRI and a PET scanner of one site.

    Attributes
    ----------
    name
        As tables have it.
    t1w_fwhm, pet_fwhm
        Resolution, mm.
    t1w_noise
        Standard deviation of the noise of either channel, relative to white matter.
    pet_noise
        Relative standard deviation of a voxel of mean uptake.
    """

    name: str
    t1w_fwhm: float
    t1w_noise: float
    pet_fwhm: float
    pet_noise: float

    @property
    def description(self) -> str:
        """In words."""
        return f"T1w of {self.t1w_fwhm:g} mm, PET of {self.pet_fwhm:g} mm (FWHM)"


SCANNERS = (
    Scanner("sharp", t1w_fwhm=1.0, t1w_noise=0.02, pet_fwhm=5.0, pet_noise=0.10),
    Scanner("smooth", t1w_fwhm=2.0, t1w_noise=0.03, pet_fwhm=8.0, pet_noise=0.06),
)


def acquire_t1w(
    signal: np.ndarray, scanner: Scanner, voxel_size: float, rng: np.random.Generator
) -> np.ndarray:
    """A T1w with blur and Rician noise; float32, in scanner units.

    Parameters
    ----------
    signal
        (X, Y, Z), white matter near 1.
    voxel_size
        mm.
    """
    blurred = _blurred(signal, scanner.t1w_fwhm / voxel_size)
    real, imaginary = (
        np.float32(scanner.t1w_noise) * rng.standard_normal(signal.shape, dtype=np.float32)
        for _ in range(2)
    )
    return np.float32(T1W_UNITS) * np.hypot(blurred + real, imaginary)


def acquire_pet(
    activity: np.ndarray, scanner: Scanner, voxel_size: float, rng: np.random.Generator
) -> np.ndarray:
    """A PET with blur and noise whose variance follows the activity; float32, in its units.

    Parameters
    ----------
    activity
        (X, Y, Z), not negative.
    voxel_size
        mm.
    """
    blurred = _blurred(activity, scanner.pet_fwhm / voxel_size)
    noise = rng.standard_normal(activity.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, NOISE_BLUR_VOXELS)
    noise *= np.float32(scanner.pet_noise) / noise.std()
    level = float(blurred[blurred > 0].mean()) if blurred.any() else 0.0
    return np.maximum(blurred + noise * np.sqrt(level * blurred), 0.0)


def _blurred(image: np.ndarray, fwhm_voxels: float) -> np.ndarray:
    return ndimage.gaussian_filter(np.asarray(image, np.float32), fwhm_voxels / FWHM_PER_SIGMA)
