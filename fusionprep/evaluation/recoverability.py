"""Can each source still be read from the fused image? Metrics that a copy of one source cannot win.

The field's metrics are sums or means over both sources, so a copy of the richer one scores well.
These two ask for what each source was acquired for: the order of uptake (PET), the direction of
edges (MRI). Neither asks for gray levels, so a fusion is free to scale and to blend.
"""

import numpy as np

from fusionprep.evaluation.regions import head_mask, uptake_mask
from fusionprep.evaluation.statistics import correlation

PET_RESOLUTION = 6.0
"""FWHM, pixels: what clinical PET resolves, on slices of about 1 mm."""

_FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
_EDGE_SCALE = 1.0
_EDGE_SHARE = 0.25
_SMALLEST_EDGE = 2.0
_VISIBLE = 1.0
_DECIMALS = 6


def functional_recoverability(
    functional: np.ndarray, fused: np.ndarray, resolution: float = PET_RESOLUTION
) -> float:
    """Rank correlation of fused and functional image in the brain at PET resolution (PETrec).

    Both images are smoothed with a Gaussian, since finer detail cannot stem from the PET; the brain
    is where the smoothed functional image has at least 30 % of its maximum. Spearman's correlation
    (Am J Psychol 1904;15(1):72-101) asks whether more uptake is brighter, whatever the contrast.

    Parameters
    ----------
    functional, fused
        Same shape, gray levels 0..255.
    resolution
        FWHM of the Gaussian, pixels.

    Returns
    -------
    float
        In [-1, 1]; 1 for a copy of the functional image, 0 for a constant fused image. 1 for a
        constant functional image, of which nothing can be lost (as in VIF).
    """
    from scipy import ndimage, stats

    sigma = resolution / _FWHM_PER_SIGMA
    smoothed = ndimage.gaussian_filter(functional, sigma)
    brain = uptake_mask(smoothed)
    uptake = smoothed[brain]
    if functional.max() == functional.min():
        return 1.0
    seen = ndimage.gaussian_filter(fused, sigma)[brain]
    # Smoothing leaves rounding errors in flat regions, which ranks would magnify.
    ranks = [stats.rankdata(np.round(levels, _DECIMALS)) for levels in (uptake, seen)]
    return correlation(*ranks)


def anatomical_recoverability(
    anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray
) -> float:
    """Agreement of gradient orientation with the MRI where the MRI has edges (MRIrec).

    Mean of cos 2d, d the angle between the gradients (Gaussian derivatives, sigma 1 pixel) of MRI
    and fused image, so 0 is chance and inverted contrast counts as agreement. Edges are the quarter
    of the head with the strongest MRI gradients, at least 2 gray levels per pixel. An edge where
    the fused image changes by less than 1 gray level per pixel cannot be seen and counts as 0.

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), gray levels 0..255. The functional image only helps to find the head.

    Returns
    -------
    float
        In [-1, 1]; 1 for a copy of the MRI, 0 for a constant fused image. 1 for an MRI without
        edges, of which nothing can be lost.
    """
    gradient_a, gradient_f = _gradient(anatomical), _gradient(fused)
    strength_a, strength_f = np.hypot(*gradient_a), np.hypot(*gradient_f)
    head = head_mask(anatomical, functional)
    if not head.any():
        return 1.0
    threshold = max(_SMALLEST_EDGE, np.quantile(strength_a[head], 1 - _EDGE_SHARE))
    edges = head & (strength_a >= threshold)
    if not edges.any():
        return 1.0
    visible = edges & (strength_f >= _VISIBLE)
    cosine = sum(a[visible] * f[visible] for a, f in zip(gradient_a, gradient_f, strict=True))
    cosine = cosine / (strength_a[visible] * strength_f[visible])
    return float((2 * cosine**2 - 1).sum() / edges.sum())


def source_recoverability(
    anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray
) -> float:
    """The smaller of the two recoverabilities (MinSource), which no copy of one source raises.

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), gray levels 0..255.

    Returns
    -------
    float
        In [-1, 1].
    """
    return min(
        functional_recoverability(functional, fused),
        anatomical_recoverability(anatomical, functional, fused),
    )


def _gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy import ndimage

    down = ndimage.gaussian_filter(image, _EDGE_SCALE, order=(1, 0))
    across = ndimage.gaussian_filter(image, _EDGE_SCALE, order=(0, 1))
    return down, across
