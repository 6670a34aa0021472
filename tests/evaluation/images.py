"""Small images that tests of fusion metrics judge."""

import numpy as np
from scipy import ndimage


def sources(size: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A textured slice and a smooth one inside one disc, whole gray levels 0..255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    disc = np.hypot(y, x) < 0.42 * size
    fine = ndimage.gaussian_filter(rng.standard_normal((size, size)), 1.5)
    coarse = ndimage.gaussian_filter(rng.standard_normal((size, size)), 6)
    anatomical = np.where(disc, 120 + 60 * fine / fine.std(), 0)
    functional = np.where(disc, 130 + 45 * coarse / coarse.std(), 0)
    return tuple(np.rint(np.clip(image, 0, 255)) for image in (anatomical, functional))


def noise(size: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size)).astype(float)
