"""Where the intensities of an MRI begin, and their scale: both are arbitrary, but not to methods.

Bias correction takes logarithms, figures of quality take squares, and masks and segmentation take 0
for air. Images that were standardised, stored with an offset or combined (MP2RAGE) have air
elsewhere; without a shift their brain is cut off or comes out inverted.
"""

import numpy as np

from fusionprep.image.intensity import constant_background

NEGLIGIBLE = 0.02
"""Of the range of intensities: what resampling or noise leaves below the background."""

FEW = 0.005
"""Of all voxels: as many may lie below the background, since they only ring."""

SCALES = (1e-3, 1e8)
"""Of the brightest tissue; single precision holds the squares of what lies between."""

USUAL = 1000.0
"""Brightest tissue of an image that had to be scaled, to a power of ten."""

LOWEST, HIGHEST = 0.1, 99.9
SAMPLED = 2_000_000


def from_zero(data: np.ndarray) -> tuple[np.ndarray, str]:
    """An MRI whose air is at 0 and whose scale can be computed with.

    Parameters
    ----------
    data
        (X, Y, Z), finite.

    Returns
    -------
    data : numpy.ndarray
        float32; the very same where nothing had to be done.
    note : str
        What was done, a phrase for people; empty where nothing was.
    """
    sample = data.ravel()[:: max(1, data.size // SAMPLED)].astype(np.float64)
    zero, background = _zero(sample)
    moved = data if zero == 0 else np.clip(data - np.float32(zero), 0, None)
    if background is not None:
        moved = np.where(data == np.float32(background), np.float32(0), moved)
    factor = _factor(float(np.percentile(sample, HIGHEST)) - zero)
    if factor != 1:
        moved = moved.astype(np.float64) * factor
    said = [f"{zero:.4g} was subtracted from the intensities, so that air is 0"] * (zero != 0)
    said += [f"intensities were multiplied by {factor:g}"] * (factor != 1)
    return moved.astype(np.float32, copy=False), "; ".join(said)


def _zero(sample: np.ndarray) -> tuple[float, float | None]:
    """Level of air; and that of a background which has to become air though tissue is below it."""
    low, high = np.percentile(sample, (LOWEST, HIGHEST))
    margin = NEGLIGIBLE * (high - low)
    background = constant_background(sample)
    if background is not None and np.mean(sample < background - margin) < FEW:
        return (background, None) if abs(background) > margin else (0.0, None)
    if np.mean(sample < -margin) < FEW:
        return 0.0, None
    tissue = sample if background is None else sample[sample != background]
    return float(np.percentile(tissue, LOWEST)), background


def _factor(white: float) -> float:
    """A power of ten that brings the brightest tissue into the usual range; 1 inside it."""
    if white <= 0 or SCALES[0] <= white <= SCALES[1]:
        return 1.0
    return float(10.0 ** round(np.log10(USUAL / white)))
