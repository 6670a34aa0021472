"""Noise of a T1w: how much there is, and the image without it."""

from dataclasses import dataclass

import numpy as np

from fusionprep.choices import Denoising
from fusionprep.image.masks import tight_box

ENOUGH_BLOCKS = 300
"""Noise is not measured where the core of the white matter has fewer blocks of eight voxels: what
is left of anatomy in the finest differences would be taken for it."""

FROM_NOISE = 0.15
"""Noise from which ``auto`` takes it out, as a share of the contrast of gray and white matter. From
there on tissues gain 0.01 or more in Dice, below 0.1 nothing (``benchmarks/denoising.py``)."""

SEARCH = 2
"""Voxels up to this far along each axis are averaged: 5 x 5 x 5."""

PATCH = 5
"""Side of the patches that are compared, voxels; scikit-image makes 4 of 5."""

STRENGTH = 0.5
"""How far patches of high weight may differ beyond noise, in standard deviations of it."""

LEVELS = 256
"""Of intensity, by which tissues are told apart."""

_MAD_PER_SIGMA = 0.6745


@dataclass(frozen=True)
class Noise:
    """Noise of a T1w, and what there is to be seen in it.

    Attributes
    ----------
    sd
        Standard deviation of the noise, in the image's units.
    white
        Median of white matter, in the same units.
    contrast
        How much brighter white matter is than gray matter, medians of both.
    """

    sd: float
    white: float
    contrast: float

    @property
    def of_white(self) -> float:
        """Standard deviation as a share of white matter's signal, as BrainWeb gives noise."""
        return self.sd / self.white if self.white > 0 else 0.0

    @property
    def of_contrast(self) -> float:
        """Standard deviation as a share of the contrast."""
        return self.sd / self.contrast if self.contrast > 0 else 0.0

    def as_fields(self) -> dict[str, float | None]:
        """For a sidecar; None where there is none, or it could not be measured."""
        fields = {
            "StandardDeviation": float(f"{self.sd:.4g}"),
            "OfWhiteMatter": round(self.of_white, 4),
            "OfContrast": round(self.of_contrast, 4),
        }
        return {name: value if self.sd > 0 else None for name, value in fields.items()}


NO_NOISE = Noise(0.0, 0.0, 0.0)
"""Also stands for noise that could not be measured."""


def estimate_noise(data: np.ndarray, mask: np.ndarray) -> Noise:
    """Noise of a T1w, from the finest differences between voxels in the core of white matter.

    Blocks of 2 x 2 x 2 voxels give a mean, by which tissues are told apart (Otsu), and the finest
    coefficient of a Haar wavelet, in which smooth anatomy cancels in all three directions. Its
    median absolute deviation is that of the noise, if neighbours have noise of their own. Where an
    image was interpolated or filtered they have not, and the estimate is too low.

    Parameters
    ----------
    data
        (X, Y, Z) T1w, corrected for intensity non-uniformity.
    mask
        (X, Y, Z) brain mask.

    Returns
    -------
    Noise
        :data:`NO_NOISE` where white matter has too few voxels, as at 4 mm, or nothing varies.

    References
    ----------
    Donoho & Johnstone (1994), Biometrika 81(3):425-455.
    Coupé et al. (2010), Med Image Anal 14(4):483-493: the same for MRI.
    """
    from scipy import ndimage
    from skimage.filters import threshold_multiotsu

    mean, detail, inside = _blocks(data, mask > 0)
    if not inside.any():
        return NO_NOISE
    # one bright voxel must not bring all others into one bin
    values = np.clip(mean[inside], *np.percentile(mean[inside], [0.5, 99.5]))
    counts, _ = np.histogram(values, LEVELS)
    if np.count_nonzero(counts) < 3:
        return NO_NOISE
    low, high = threshold_multiotsu(values, classes=3, nbins=LEVELS)
    gray = inside & (mean > low) & (mean <= high)
    core = ndimage.binary_erosion(inside & (mean > high))
    if np.count_nonzero(core) < ENOUGH_BLOCKS:
        return NO_NOISE
    level = float(np.median(mean[core]))
    return Noise(
        sd=float(np.median(np.abs(detail[core]))) / _MAD_PER_SIGMA,
        white=level,
        contrast=level - float(np.median(mean[gray])),
    )


def _blocks(data: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and finest Haar coefficient of blocks of 2 x 2 x 2 voxels, and which lie inside."""
    box = tuple(
        slice(side.start, side.stop - (side.stop - side.start) % 2) for side in tight_box(mask)
    )
    shape = tuple((side.stop - side.start) // 2 for side in box)
    total, detail = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    inside = np.ones(shape, bool)
    for offset in np.ndindex(2, 2, 2):
        part = tuple(slice(first, None, 2) for first in offset)
        values = data[box][part]
        total += values
        detail += values if sum(offset) % 2 == 0 else -values
        inside &= mask[box][part]
    return total / 8, detail / np.float32(8**0.5), inside


def decide(choice: Denoising, noise: Noise) -> tuple[bool, str]:
    """Whether noise is to be taken out, and why.

    Examples
    --------
    >>> decide("auto", Noise(sd=4.0, white=100.0, contrast=25.0))
    (True, 'the noise is 0.16 of the contrast of gray and white matter, 0.15 or more')
    >>> decide("auto", Noise(sd=2.0, white=100.0, contrast=25.0))
    (False, 'the noise is 0.08 of the contrast of gray and white matter, less than 0.15')
    """
    if choice == "off":
        return False, f"asked for with --denoise-t1w {choice}"
    if noise.sd <= 0:
        return False, "no noise could be measured"
    if choice == "on":
        return True, f"asked for with --denoise-t1w {choice}"
    much = noise.of_contrast >= FROM_NOISE
    limit = f"{FROM_NOISE:g} or more" if much else f"less than {FROM_NOISE:g}"
    share = f"{noise.of_contrast:.2g} of the contrast of gray and white matter"
    return much, f"the noise is {share}, {limit}"


def denoise(data: np.ndarray, mask: np.ndarray, sd: float) -> np.ndarray:
    """Non-local means inside a mask: each voxel is the mean of those around it with like patches.

    Weights fall with the mean square difference of patches, less what noise makes of it, so that
    patches that differ by noise alone count in full.

    Parameters
    ----------
    data
        (X, Y, Z) T1w.
    mask
        (X, Y, Z); what lies outside stays as it is.
    sd
        Standard deviation of the noise, above 0, in the units of `data`.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) float32.

    References
    ----------
    Buades, Coll & Morel (2005), CVPR 2:60-65; (2011), IPOL 1:208-212 for the weights.
    Coupé et al. (2008), IEEE TMI 27(4):425-441: in 3-D, with small patches, for MRI.
    """
    from skimage.restoration import denoise_nl_means

    inside = mask > 0
    box = tight_box(inside, SEARCH + PATCH // 2)
    # in float64, as patches are summed by differences of running sums over all voxels
    averaged = denoise_nl_means(
        data[box].astype(np.float64) / sd,
        patch_size=PATCH,
        patch_distance=SEARCH,
        h=STRENGTH,
        sigma=1.0,
        preserve_range=True,
    )
    clean = data.astype(np.float32)
    clean[box] = np.where(inside[box], (averaged * sd).astype(np.float32), clean[box])
    return clean
