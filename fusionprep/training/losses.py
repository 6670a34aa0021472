"""Losses of image fusion networks, each one small function of tensors (N, 1, H, W) in [0, 1]."""

import torch
from torch.nn import functional


def pixel_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error in 8-bit gray levels squared.

    The published weights between pixel and SSIM losses assume gray levels 0 to 255.
    """
    return functional.mse_loss(output, target) * 255**2


def ssim(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Structural similarity of each image pair, mean over pixels.

    Wang Z et al. Image quality assessment: from error visibility to structural similarity. IEEE
    Transactions on Image Processing 13(4):600-612, 2004. Gaussian window of 11x11 pixels with
    sigma 1.5, K1 = 0.01, K2 = 0.03, dynamic range 1, borders without a full window left out.

    Returns
    -------
    torch.Tensor
        (N,), at most 1.
    """
    stabiliser_mean, stabiliser_variance = 0.01**2, 0.03**2
    products = torch.cat([first, second, first**2, second**2, first * second], dim=1)
    mean1, mean2, square1, square2, product = _gaussian_window(products).unbind(dim=1)
    variances = square1 - mean1**2 + square2 - mean2**2
    covariance = product - mean1 * mean2
    luminance = (2 * mean1 * mean2 + stabiliser_mean) / (mean1**2 + mean2**2 + stabiliser_mean)
    structure = (2 * covariance + stabiliser_variance) / (variances + stabiliser_variance)
    return (luminance * structure).mean(dim=(-2, -1))


def _gaussian_window(images: torch.Tensor) -> torch.Tensor:
    channels = images.shape[1]
    offsets = torch.arange(-5, 6, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * 1.5**2))
    kernel = (kernel / kernel.sum()).expand(channels, 1, 1, 11)
    rows = functional.conv2d(images, kernel, groups=channels)
    return functional.conv2d(rows, kernel.transpose(-1, -2), groups=channels)


def reconstruction_loss(
    output: torch.Tensor, target: torch.Tensor, *, ssim_weight: float
) -> torch.Tensor:
    """Pixel loss plus ``ssim_weight`` (1 - SSIM): DenseFuse, eq. 1 (lambda there is 100)."""
    return pixel_loss(output, target) + ssim_weight * (1 - ssim(output, target).mean())
