"""Losses of image fusion networks, each one small function.

Images are float tensors (N, 1, H, W) in [0, 1]; a loss is the mean over images and pixels, a scalar
whose best value is 0 unless stated otherwise.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.training.windows import gaussian_window, local_moments

SMALLEST_NORM = 1e-8
"""Added under square roots and to divisors, whose derivatives are infinite at 0."""

SWINFUSION_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"intensity": 20.0, "gradient": 20.0, "ssim": 10.0}
)
"""The paper's weights of the terms of :func:`swinfusion`."""


def l1(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference."""
    return nnf.l1_loss(output, target)


def l2(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared difference."""
    return nnf.mse_loss(output, target)


def intensity_max(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """Mean absolute difference from the brighter of the two sources.

    Ma J et al. SwinFusion. IEEE/CAA Journal of Automatica Sinica 9(7):1200-1217, 2022, eq. 18.
    """
    return nnf.l1_loss(fused, torch.maximum(anatomical, functional))


def gradient_max(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """Mean absolute difference of the gradient magnitude from the larger of the sources'.

    SwinFusion (see :func:`intensity_max`), eq. 17, which adds the absolute Sobel derivatives.
    """
    strongest = torch.maximum(_edge_strength(anatomical), _edge_strength(functional))
    return nnf.l1_loss(_edge_strength(fused), strongest)


def edge(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the Sobel derivatives along rows and columns."""
    return nnf.l1_loss(sobel(output), sobel(target))


def in_float32(function: Callable) -> Callable:
    """Keep a function of tensors out of mixed precision: differences of squares need the digits."""

    @functools.wraps(function)
    def wrapped(*images: torch.Tensor, **options: Any) -> Any:
        with torch.autocast(images[0].device.type, enabled=False):
            return function(*(image.float() for image in images), **options)

    return wrapped


@in_float32
def sobel(image: torch.Tensor, border: str = "replicate") -> torch.Tensor:
    """Derivatives (N, 2, H, W) along columns and rows per pixel.

    ``border`` is a mode of :func:`torch.nn.functional.pad`; ``constant`` sees black outside.
    """
    smoothing, slope = image.new_tensor([1, 2, 1]) / 4, image.new_tensor([-1, 0, 1]) / 2
    kernels = torch.stack([torch.outer(smoothing, slope), torch.outer(slope, smoothing)])[:, None]
    return nnf.conv2d(nnf.pad(image, (1, 1, 1, 1), mode=border), kernels)


def _edge_strength(image: torch.Tensor) -> torch.Tensor:
    return sobel(image).abs().sum(dim=1, keepdim=True)


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
    return _ssim_map(first, second)[0].mean(dim=(-2, -1))


@in_float32
def _ssim_map(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """SSIM and the local variances of both images, each (N, H - 10, W - 10)."""
    stabiliser = 0.01**2
    (mean1, mean2), structure, variances = _structure_map(first, second)
    luminance = (2 * mean1 * mean2 + stabiliser) / (mean1**2 + mean2**2 + stabiliser)
    return luminance * structure, *variances


@in_float32
def _structure_map(
    first: torch.Tensor, second: torch.Tensor
) -> tuple[tuple[torch.Tensor, ...], torch.Tensor, tuple[torch.Tensor, ...]]:
    """Local means, the product of contrast and structure in SSIM, and local variances."""
    stabiliser = 0.03**2
    images = torch.cat([first, second], dim=1)
    means, variances, covariance = local_moments(images, gaussian_window(1.5, 5, images), [(0, 1)])
    variance1, variance2 = variances.unbind(dim=1)
    structure = 2 * covariance[:, 0] + stabiliser
    structure = structure / (variance1 + variance2 + stabiliser)
    return means.unbind(dim=1), structure, (variance1, variance2)


def ssim_local(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """1 - SSIM with both sources, each pixel's shares given by the sources' local variances.

    Piella G, Heijmans H. A new quality metric for image fusion. ICIP 2003, eq. 5, with SSIM in
    place of the universal quality index.
    """
    similarity1, variance1, _ = _ssim_map(anatomical, fused)
    similarity2, variance2, _ = _ssim_map(functional, fused)
    variance1, variance2 = variance1.clamp_min(0), variance2.clamp_min(0)
    share = (variance1 + SMALLEST_NORM) / (variance1 + variance2 + 2 * SMALLEST_NORM)
    return 1 - torch.lerp(similarity2, similarity1, share).mean()


def swinfusion(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The terms of SwinFusion's loss (see :func:`intensity_max`), with :func:`ssim_local`.

    To be weighted by :data:`SWINFUSION_WEIGHTS`.
    """
    return {
        "intensity": intensity_max(fused, anatomical, functional),
        "gradient": gradient_max(fused, anatomical, functional),
        "ssim": ssim_local(fused, anatomical, functional),
    }


def structure_max(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """1 - the structural part of SSIM with the source of the larger local variance at each pixel.

    DM-FNet (He et al. 2025), as in its authors' program: contrast and structure without luminance.
    """
    _, structure1, (variance1, _) = _structure_map(anatomical, fused)
    _, structure2, (variance2, _) = _structure_map(functional, fused)
    return 1 - torch.where(variance1 >= variance2, structure1, structure2).mean()


def scd(fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
    """2 minus the sum of the correlations of differences, between 0 and 4.

    Aslantas V, Bendes E. A new image quality metric for image fusion: the sum of the correlations
    of differences. AEU 69(12):1890-1896, 2015, eq. 1-2.
    """
    agreement = correlation(fused - functional, anatomical)
    return 2 - (agreement + correlation(fused - anatomical, functional)).mean()


def correlation(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Pearson correlation over the pixels of each image pair, (N,); 0 where one is constant."""
    first, second = (
        (image - image.mean(dim=(-2, -1), keepdim=True)).flatten(1) for image in (first, second)
    )
    norm = (first.square().sum(dim=1) * second.square().sum(dim=1) + SMALLEST_NORM).sqrt()
    return (first * second).sum(dim=1) / norm


def information_weights(
    anatomical: Sequence[torch.Tensor], functional: Sequence[torch.Tensor]
) -> torch.Tensor:
    """How much of each source is worth keeping: softmax of the mean squared Laplacian of features.

    U2Fusion (Xu et al. 2022), eqs. 1-2. The paper divides by a constant chosen by hand for each
    task before the softmax; here it is the mean of the two measures, so that the features' scale
    has no influence.

    Parameters
    ----------
    anatomical, functional
        Features of each source at several depths or scales, each (N, C, H, W).

    Returns
    -------
    torch.Tensor
        (N, 2), positive, each row with sum 1.
    """
    measures = torch.stack([_information(anatomical), _information(functional)], dim=1)
    scale = measures.mean(dim=1, keepdim=True) + SMALLEST_NORM
    return torch.softmax(measures / scale, dim=1)


def _information(features: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([_squared_laplacian(maps) for maps in features]).mean(dim=0)


@in_float32
def _squared_laplacian(maps: torch.Tensor) -> torch.Tensor:
    kernel = maps.new_full((1, 1, 3, 3), 1 / 8)
    kernel[..., 1, 1] = -1
    channels = maps.shape[1]
    laplacian = nnf.conv2d(maps, kernel.expand(channels, 1, 3, 3), padding=1, groups=channels)
    return laplacian.square().mean(dim=(1, 2, 3))


def information_weighted(
    distance_anatomical: torch.Tensor, distance_functional: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Mean of distances (N,) of the fused image from each source, by weights (N, 2)."""
    return (weights * torch.stack([distance_anatomical, distance_functional], dim=1)).sum(1).mean()


def perceptual(output: torch.Tensor, target: torch.Tensor, features: nn.Module) -> torch.Tensor:
    """Mean squared difference of features, mean over their depths.

    Johnson J, Alahi A, Fei-Fei L. Perceptual Losses for Real-Time Style Transfer and
    Super-Resolution. ECCV 2016, eq. 2.
    """
    pairs = zip(features(output), features(target), strict=True)
    return torch.stack([nnf.mse_loss(*pair) for pair in pairs]).mean()
