"""Simulated acquisitions: MR, CT and PET images of a noise-free truth."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fusionprep.demo import phantom
from fusionprep.demo.subject import Grid, Subject, sample
from fusionprep.image.partial_volume.partition import FWHM_PER_SIGMA

FLUORINE_18_HALF_LIFE_S = 6586.2
# 4.5 mm of detector blur before the noise and a 4 mm filter after it make about 6 mm in all.
DETECTOR_FWHM_MM = 4.5
FILTER_FWHM_MM = 4.0
T1W_NOISE = 0.02
"""Standard deviation of the noise of either channel, relative to white matter."""

COUNTS_PER_UNIT_SECOND = 0.1
"""Counts that a voxel of 8 mm³ with unit activity gives in one second at injection."""


@dataclass(frozen=True)
class Frames:
    """Timing of a PET scan, seconds after injection."""

    starts: tuple[float, ...]
    durations: tuple[float, ...]


def scanner_grid(
    centre: np.ndarray, shape: tuple[int, ...], voxel_size: tuple[float, float, float]
) -> Grid:
    """Grid stored right to left, as most scanners' images are after conversion.

    Parameters
    ----------
    centre
        World coordinates of the middle of the field of view, mm.
    """
    affine = np.diag([-voxel_size[0], voxel_size[1], voxel_size[2], 1.0])
    affine[:3, 3] = np.asarray(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def brain_centre_in(t1w_from_moving: np.ndarray, subject: Subject) -> np.ndarray:
    """Middle of the brain's bounding box in the world of a displaced scan, rounded to 1 mm."""
    indices = [
        np.flatnonzero(subject.mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)
    ]
    middle = np.array([(index[0] + index[-1]) / 2 for index in indices])
    t1w_point = subject.grid.affine[:3, :3] @ middle + subject.grid.affine[:3, 3]
    return np.round((np.linalg.inv(t1w_from_moving) @ np.append(t1w_point, 1.0))[:3])


def acquire_mr(
    signal: np.ndarray,
    rng: np.random.Generator,
    *,
    noise: float = T1W_NOISE,
    bias: float = 0.12,
    scale: float = 700.0,
) -> np.ndarray:
    """Receive-field inhomogeneity, Rician noise and scanner units.

    Parameters
    ----------
    signal
        Noise-free signal, white matter near 1.
    noise
        Standard deviation of the noise of each channel, relative to ``signal``.
    bias
        Greatest absolute logarithm of the smooth multiplicative field.
    scale
        Stored units per signal.

    Returns
    -------
    int16 array of the same shape.
    """
    real, imaginary = (
        noise * rng.standard_normal(signal.shape, dtype=np.float32) for _ in range(2)
    )
    real += signal * np.exp(bias * _bias_shape(signal.shape, rng))
    return np.rint(scale * np.sqrt(real**2 + imaginary**2)).astype(np.int16)


def _bias_shape(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    coarse = tuple(16 for _ in shape)
    field = phantom.smooth_noise(coarse, 4.0, rng)
    field = (field - field.mean()) / np.max(np.abs(field - field.mean()))
    for axis, size in enumerate(shape):
        position = np.linspace(0, 15, size)
        weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(16))).astype(np.float32)
        field = np.moveaxis(np.tensordot(weights, field, axes=(1, axis)), 0, axis)
    return field


def acquire_ct(hounsfield: np.ndarray, rng: np.random.Generator, noise: float = 6.0) -> np.ndarray:
    """Add Gaussian noise of ``noise`` HU; int16, not below -1024."""
    noisy = hounsfield + noise * rng.standard_normal(hounsfield.shape, dtype=np.float32)
    return np.maximum(np.rint(noisy), -1024).astype(np.int16)


def blurred_activity(subject: Subject, fwhm_mm: float = DETECTOR_FWHM_MM) -> np.ndarray:
    """Activity blurred by the detector, on the subject's grid (float32)."""
    sigma = fwhm_mm / FWHM_PER_SIGMA / subject.grid.voxel_size
    return ndimage.gaussian_filter(subject.signals["pet"], sigma, truncate=3.0)


def uptake(frames: Frames) -> np.ndarray:
    """FDG uptake at each frame's middle, with a duration-weighted mean of one."""
    middle = np.array(frames.starts) + np.array(frames.durations) / 2
    curve = 1.0 - np.exp(-middle / 900.0)
    return curve / np.average(curve, weights=frames.durations)


def acquire_pet(
    activity: np.ndarray,
    voxel_size: np.ndarray,
    frames: Frames,
    rng: np.random.Generator,
    counts_per_unit_second: float = COUNTS_PER_UNIT_SECOND,
) -> np.ndarray:
    """Poisson noise and the reconstruction's filter.

    Parameters
    ----------
    activity
        Decay-corrected activity, arbitrary units, on the PET's grid.
    voxel_size
        mm along each axis.
    counts_per_unit_second
        Counts that a voxel of 8 mm³ with unit activity gives in one second at injection.

    Returns
    -------
    float32 (X, Y, Z, frames) in the units of ``activity``, corrected for decay to injection.
    """
    decay = np.exp(
        -np.log(2)
        * (np.array(frames.starts) + np.array(frames.durations) / 2)
        / FLUORINE_18_HALF_LIFE_S
    )
    sensitivity = counts_per_unit_second * float(np.prod(voxel_size)) / 8.0
    sigma = FILTER_FWHM_MM / FWHM_PER_SIGMA / np.asarray(voxel_size)
    images = []
    for level, duration, remaining in zip(uptake(frames), frames.durations, decay, strict=True):
        counts_per_activity = sensitivity * duration * remaining
        counts = rng.poisson(np.maximum(activity, 0.0) * (level * counts_per_activity))
        image = counts.astype(np.float32) / np.float32(counts_per_activity)
        images.append(ndimage.gaussian_filter(image, sigma, truncate=3.0))
    return np.stack(images, axis=-1)


def displaced(
    subject: Subject, modality: str, grid: Grid, t1w_from_moving: np.ndarray
) -> np.ndarray:
    """Noise-free image of a modality (MR or CT) on a displaced scanner's grid."""
    air = phantom.AIR.signal(modality)
    return sample(subject.signals[modality], subject.grid.affine, grid, t1w_from_moving, air)
