"""What several fusion metrics share: Gaussian windows, local moments and gray levels."""

from dataclasses import dataclass

import numpy as np

LEVELS = 256


@dataclass(frozen=True)
class LocalMoments:
    """Means, variances and covariance of two images in windows around each pixel, all (h, w)."""

    mean_a: np.ndarray
    mean_b: np.ndarray
    variance_a: np.ndarray
    variance_b: np.ndarray
    covariance: np.ndarray


def gaussian_window(sigma: float, radius: int) -> np.ndarray:
    """Gaussian weights (2 radius + 1,) of sum 1; their outer product is the 2-D window."""
    weights = np.exp(-(np.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def smooth_valid(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Smooth along both axes; keep the pixels whose whole window lies inside the image.

    Parameters
    ----------
    image
        (H, W), at least as large as the window.
    window
        Weights (n,), symmetric, n odd.

    Returns
    -------
    numpy.ndarray
        (H - n + 1, W - n + 1).
    """
    from scipy import ndimage

    radius = len(window) // 2
    rows = ndimage.correlate1d(image, window, axis=0, mode="constant")
    rows = rows[radius : image.shape[0] - radius]
    smoothed = ndimage.correlate1d(rows, window, axis=1, mode="constant")
    return smoothed[:, radius : image.shape[1] - radius]


def local_moments(a: np.ndarray, b: np.ndarray, window: np.ndarray) -> LocalMoments:
    """Weighted moments of two images (H, W) in each window that fits into them.

    Variances are of the population and not below 0.
    """
    mean_a, mean_b = smooth_valid(a, window), smooth_valid(b, window)
    return LocalMoments(
        mean_a=mean_a,
        mean_b=mean_b,
        variance_a=np.maximum(smooth_valid(a * a, window) - mean_a**2, 0),
        variance_b=np.maximum(smooth_valid(b * b, window) - mean_b**2, 0),
        covariance=smooth_valid(a * b, window) - mean_a * mean_b,
    )


def gray_levels(image: np.ndarray) -> np.ndarray:
    """Round to whole gray levels, intp in 0..255."""
    return np.clip(np.rint(image), 0, LEVELS - 1).astype(np.intp)


def stretch(image: np.ndarray) -> np.ndarray:
    """Stretch linearly so that the levels run from 0 to 255, rounded.

    The metrics of Liu et al. (IEEE TPAMI 2012;34(1):94-109) do so in their authors' toolbox. A
    constant image becomes 0.
    """
    low, high = image.min(), image.max()
    if high == low:
        return np.zeros_like(image)
    return np.rint((image - low) / (high - low) * (LEVELS - 1))
