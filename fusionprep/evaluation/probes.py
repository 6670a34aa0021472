"""Fusions nobody wants, which show how a metric or a mean rank can be won."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SHARPENING = 1.0
"""How many times the detail finer than a Gaussian of one pixel is added to the sharpened probe."""

BACKGROUND = 32.0
"""Gray level of the lifted background that networks trained on crops leave."""


@dataclass(frozen=True)
class Probe:
    """A fusion that must not win.

    Attributes
    ----------
    fuse
        (anatomical, functional) to fused; (H, W) or (X, Y, Z), gray levels 0..255.
    """

    name: str
    title: str
    fuse: Callable[[np.ndarray, np.ndarray], np.ndarray]


def _sharpened_max(anatomical: np.ndarray, functional: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    brighter = np.maximum(anatomical, functional).astype(np.float64)
    smooth = gaussian_filter(brighter, sigma=1, axes=(0, 1))
    return np.clip(brighter + SHARPENING * (brighter - smooth), 0, 255)


def _average_on_gray(anatomical: np.ndarray, functional: np.ndarray) -> np.ndarray:
    average = (anatomical.astype(np.float64) + functional) / 2
    return np.where(average > 0, average, BACKGROUND)


PROBES = (
    Probe(
        "probe-copy-anatomical", "copy of the anatomical image", lambda anatomical, _: anatomical
    ),
    Probe(
        "probe-copy-functional", "copy of the functional image", lambda _, functional: functional
    ),
    Probe("probe-max", "brighter of the two images", np.maximum),
    Probe(
        "probe-sharpened-max",
        "brighter of the two images, sharpened by an unsharp mask (1 pixel, 100 %)",
        _sharpened_max,
    ),
    Probe(
        "probe-gray-background",
        f"mean of the two images, {BACKGROUND:g} gray levels where both are 0",
        _average_on_gray,
    ),
)
