"""Functional images simulated from real MRI: one person's PET is too little to learn from.

The MRI's tissues take up a tracer in a random ratio, regions and lesions more or less of it than
their surroundings; a scanner blurs what they emit and adds noise. The recipe draws wider than any
tracer: a network must not learn that gray matter is bright.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

GRAY_TO_WHITE = (0.5, 6.0)
"""Uptake of gray over that of white matter: amyloid tracers are below 1, FDG is near 4."""

CSF_SHARE = (0.0, 0.3)
"""Uptake of cerebrospinal fluid as a share of the largest of the tissues'."""

REGIONS, REGION_MM, REGION_FACTOR = 4, (10.0, 30.0), (0.4, 1.5)
"""Regions of lower or higher metabolism at most, their radius, and by how much they differ."""

LESIONS, LESION_MM, LESION_FACTOR = 4, (3.0, 8.0), (0.3, 2.0)

DRIFT_MM, DRIFT = 25.0, 0.15
"""Scale and standard deviation of the smooth variation of uptake that every brain has."""

RESOLUTION_MM = (3.0, 8.0)
"""FWHM of the scanner's point spread."""

NOISE_MM, NOISE = 4.0, (0.0, 0.06)
"""FWHM of the noise's grain, and its standard deviation as a share of the brightest uptake."""

SURROUNDINGS = (0.0, 0.15)
"""Uptake of the head around the brain, as a share of the largest of the tissues'."""

WHITE_PERCENTILES = (98.0, 99.9)

_FWHM_PER_SIGMA = np.sqrt(8 * np.log(2))


def simulate_uptake(
    anatomical: np.ndarray,
    brain: np.ndarray,
    rng: np.random.Generator,
    *,
    voxel_sizes: Sequence[float] = (1.0, 1.0),
    bright_csf: bool = False,
    gray_to_white: tuple[float, float] = GRAY_TO_WHITE,
) -> np.ndarray:
    """A functional image as it could belong to an MRI.

    Parameters
    ----------
    anatomical
        Slice (H, W) or volume (X, Y, Z) in [0, 1].
    brain
        Same shape, True in the brain.
    rng
        Draws everything.
    voxel_sizes
        Along the axes, in mm.
    bright_csf
        Whether cerebrospinal fluid is the brightest tissue (T2w) or the darkest.
    gray_to_white
        Limits of the ratio of uptake in gray to that in white matter.

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1], same shape, scaled like a PET, black without uptake.
    """
    sizes = np.asarray(voxel_sizes, float)
    ratio = np.exp(rng.uniform(*np.log(gray_to_white)))
    activity = _tissue_uptake(anatomical, brain, ratio, rng.uniform(*CSF_SHARE), bright_csf)
    activity *= np.clip(1 + DRIFT * _smooth_noise(brain.shape, DRIFT_MM / sizes, rng), 0.3, None)
    for most, radii, factors in (
        (REGIONS, REGION_MM, REGION_FACTOR),
        (LESIONS, LESION_MM, LESION_FACTOR),
    ):
        for _ in range(rng.integers(most + 1)):
            activity *= _blob(brain, rng.uniform(*radii) / sizes, rng.uniform(*factors), rng)
    head = ndimage.binary_fill_holes(anatomical > 0.1)
    activity = np.where(brain, activity, head * rng.uniform(*SURROUNDINGS) * activity.max())
    seen = ndimage.gaussian_filter(activity, rng.uniform(*RESOLUTION_MM) / _FWHM_PER_SIGMA / sizes)
    white = np.percentile(seen[brain], rng.uniform(*WHITE_PERCENTILES))
    grain = _smooth_noise(brain.shape, NOISE_MM / _FWHM_PER_SIGMA / sizes, rng)
    # Counts: the noise grows with the root of the uptake.
    seen += rng.uniform(*NOISE) * grain * np.sqrt(np.clip(seen, 0, None) * white)
    return np.clip(seen / white, 0, 1).astype(np.float32)


def _tissue_uptake(
    anatomical: np.ndarray, brain: np.ndarray, ratio: float, fluid: float, bright_csf: bool
) -> np.ndarray:
    """Uptake by tissue: ``ratio`` is that of gray to white matter, ``fluid`` that of CSF."""
    from skimage.filters import threshold_multiotsu

    smooth = ndimage.gaussian_filter(anatomical, 0.6)
    low, high = threshold_multiotsu(smooth[brain], classes=3)
    white, gray = min(1.0, 1 / ratio), min(1.0, ratio)
    darkest, brightest = (white, fluid) if bright_csf else (fluid, white)
    return np.select([smooth > high, smooth > low], [brightest, gray], default=darkest)


def _smooth_noise(
    shape: tuple[int, ...], sigma: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Noise of standard deviation 1 with Gaussian correlation; ``sigma`` in pixels."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return noise / noise.std()


def _blob(
    brain: np.ndarray, radius: np.ndarray, factor: float, rng: np.random.Generator
) -> np.ndarray:
    """What multiplies the activity: ``factor`` inside a soft ellipsoid in the brain, 1 outside."""
    places = np.argwhere(brain)
    centre = places[rng.integers(len(places))]
    axes = radius * rng.uniform(0.6, 1.4, brain.ndim)
    grids = np.ogrid[tuple(slice(side) for side in brain.shape)]
    distance = sum(
        ((grid - place) / axis) ** 2 for grid, place, axis in zip(grids, centre, axes, strict=True)
    )
    return 1 + (factor - 1) * np.exp(-(distance**2))
