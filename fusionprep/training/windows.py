"""Local moments of images in windows, for losses."""

import torch
from torch.nn import functional as nnf


def gaussian_window(sigma: float, radius: int, like: torch.Tensor) -> torch.Tensor:
    """Weights (2 radius + 1,) with sum 1, of the type and on the device of ``like``."""
    offsets = torch.arange(-radius, radius + 1, dtype=like.dtype, device=like.device)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    return window / window.sum()


def smooth(images: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """Weighted means over the square windows that lie wholly inside images (N, C, H, W)."""
    channels = images.shape[1]
    kernel = window.expand(channels, 1, 1, -1)
    rows = nnf.conv2d(images, kernel, groups=channels)
    return nnf.conv2d(rows, kernel.transpose(-1, -2), groups=channels)


def local_moments(
    images: torch.Tensor, window: torch.Tensor, pairs: list[tuple[int, int]]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means and variances of images (N, C, H, W) in windows, and covariances of pairs of channels.

    Rounding can leave a variance a little below 0.
    """
    channels = images.shape[1]
    first, second = (list(indices) for indices in zip(*pairs, strict=True))
    products = images[:, first] * images[:, second]
    smoothed = smooth(torch.cat([images, images.square(), products], dim=1), window)
    means, squares, products = smoothed.split([channels, channels, len(pairs)], dim=1)
    return means, squares - means.square(), products - means[:, first] * means[:, second]
