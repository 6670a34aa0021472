"""Metrics of gradients carried into the fused image: Q^AB/F and N^AB/F."""

from collections.abc import Sequence

import numpy as np


def gradient_preservation(
    anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray
) -> float:
    """Edge preservation Q^AB/F of Xydeas and Petrovic, Electron Lett 2000;36(4):308-309.

    Strength sigmoid 0.9994, -15, 0.5; orientation sigmoid 0.9879, -22, 0.8; pixels weighted by the
    source's gradient magnitude (L = 1). Angles that differ by nearly pi count as opposed, as in the
    paper.

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), gray levels 0..255.

    Returns
    -------
    float
        In [0, 1); 0.975 where the fused image equals both sources, 0 where neither has a gradient.
        A gray image has a gradient at its border, from the padding.
    """
    magnitude_f, angle_f = _gradient(fused)
    preserved = total = 0.0
    for magnitude, angle in (_gradient(anatomical), _gradient(functional)):
        strength = _sigmoid(_ratio(magnitude, magnitude_f), 0.9994, 15, 0.5)
        orientation = _sigmoid(1 - np.abs(angle - angle_f) / (np.pi / 2), 0.9879, 22, 0.8)
        preserved += float((strength * orientation * magnitude).sum())
        total += float(magnitude.sum())
    return preserved / total if total > 0 else 0.0


def fusion_artefacts(anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> float:
    """Added gradients N^AB/F as modified by Kumar, Signal Image Video Process 2013;7:1125-1143.

    The share of edge information lost where the fused gradient exceeds both sources'. Sigmoids
    0.9999, -19, 0.5 and 0.9995, -22, 0.5; weights are the source's gradient magnitude to the power
    1.5 where it is at least 2, else 0.001.

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), gray levels 0..255.

    Returns
    -------
    float
        In [0, 1); 0 when no gradient of the fused image exceeds both sources'.
    """
    sources = _gradient(anatomical), _gradient(functional)
    magnitude_f, angle_f = _gradient(fused)
    added = (magnitude_f > sources[0][0]) & (magnitude_f > sources[1][0])
    lost = total = 0.0
    for magnitude, angle in sources:
        alignment = np.abs(np.abs(angle - angle_f) - np.pi / 2) / (np.pi / 2)
        strength = _sigmoid(_ratio(magnitude, magnitude_f), 0.9999, 19, 0.5)
        kept = np.sqrt(strength * _sigmoid(alignment, 0.9995, 22, 0.5))
        weight = np.where(magnitude >= 2, magnitude**1.5, 0.001)
        lost += float(((1 - kept) * weight)[added].sum())
        total += float(weight.sum())
    return lost / total


def sobel(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sobel derivatives down and across an image (H, W), with zero padding."""
    return derivatives(image, [1.0, 2.0, 1.0])


def derivatives(image: np.ndarray, smoothing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Differences over two pixels down and across an image (H, W), smoothed along the other axis.

    Parameters
    ----------
    smoothing
        Three weights: 1, 2, 1 of Sobel or 1, 1, 1 of Prewitt. Zero padding.
    """
    from scipy import ndimage

    down, across = (
        ndimage.correlate1d(
            ndimage.correlate1d(image, [-1.0, 0.0, 1.0], axis=axis, mode="constant"),
            smoothing,
            axis=1 - axis,
            mode="constant",
        )
        for axis in (0, 1)
    )
    return down, across


def _gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitude, and angle in (-pi/2, pi/2] with y up; pi/2 where nothing changes across."""
    down, across = sobel(image)
    slope = np.divide(-down, across, out=np.full_like(down, np.inf), where=across != 0)
    return np.hypot(down, across), np.arctan(slope)


def _sigmoid(x: np.ndarray, top: float, steepness: float, middle: float) -> np.ndarray:
    return top / (1 + np.exp(-steepness * (x - middle)))


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Smaller over larger, 0 where either is 0."""
    large = np.maximum(a, b)
    return np.divide(np.minimum(a, b), large, out=np.zeros_like(large), where=large > 0)
