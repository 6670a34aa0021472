"""Fusion metrics that a network can be trained on: differentiable forms of fusionprep.evaluation.

Images are float tensors (N, 1, H, W) in [0, 1]; a metric is one value for each image, (N,), and
means what the metric of the same name does, on gray levels 0 to 255.
"""

import math

import torch

from fusionprep.models.base import support
from fusionprep.training.losses import SMALLEST_NORM, in_float32, sobel
from fusionprep.training.windows import gaussian_window, local_moments, smooth

LEVELS = 255
"""Gray levels of the metrics, some of whose constants depend on them."""

SOBEL_SUM = 8
"""Sum of the absolute weights of the Sobel kernel in whole numbers."""

LEAST_GRADIENT = 1e-2
"""Keeps the square root of a gradient's squares differentiable where nothing changes."""

LEAST_VARIANCE = 1e-2
"""Of windows, in squared gray levels: flatter ones, in 8-bit images, are constant."""

VIF_NOISE = 2.0
"""Variance of the noise of vision."""

YANG_REDUNDANT = 0.75
"""SSIM of the sources from which on Q_Y averages instead of choosing."""


@in_float32
def gradient_preservation(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """Q^AB/F of Xydeas and Petrovic.

    See :func:`fusionprep.evaluation.gradients.gradient_preservation`.
    """
    magnitude_f, angle_f = _gradient(fused)
    preserved = total = 0.0
    for magnitude, angle in (_gradient(anatomical), _gradient(functional)):
        strength = torch.minimum(magnitude, magnitude_f) / torch.maximum(magnitude, magnitude_f)
        kept = _sigmoid(strength, 0.9994, 15, 0.5)
        alignment = 1 - (angle - angle_f).abs() / (math.pi / 2)
        kept = kept * _sigmoid(alignment, 0.9879, 22, 0.8)
        preserved = preserved + (kept * magnitude).sum(dim=(1, 2, 3))
        total = total + magnitude.sum(dim=(1, 2, 3))
    return preserved / total


@in_float32
def added_gradients(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """Gradients beyond those of both sources, as a share of the larger of theirs; 0 at best.

    Not N^AB/F itself, which has steps, but what drives it.
    """
    strongest = torch.maximum(_gradient(anatomical)[0], _gradient(functional)[0])
    added = (_gradient(fused)[0] - strongest).clamp_min(0)
    return added.sum(dim=(1, 2, 3)) / strongest.sum(dim=(1, 2, 3))


def _gradient(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sobel magnitude with zero padding in gray levels, and angle from -pi/2 to pi/2."""
    # The metrics do not divide by the sum of the kernel's weights.
    derivatives = SOBEL_SUM * sobel(LEVELS * image, border="constant")
    across, down = derivatives.split(1, dim=1)
    magnitude = (across.square() + down.square() + LEAST_GRADIENT**2).sqrt()
    upwards = torch.where(across < 0, down, -down)
    return magnitude, torch.atan2(upwards, across.abs() + LEAST_GRADIENT)


def _sigmoid(x: torch.Tensor, top: float, steepness: float, middle: float) -> torch.Tensor:
    return top * torch.sigmoid(steepness * (x - middle))


@in_float32
def visual_information_fidelity(source: torch.Tensor, fused: torch.Tensor) -> torch.Tensor:
    """VIF (:func:`fusionprep.evaluation.perception.visual_information_fidelity`).

    Images below 41 x 41 pixels, such as small crops, get the scales that fit.
    """
    images = LEVELS * torch.cat([source, fused], dim=1)
    kept = available = images.new_zeros(len(images))
    for scale in range(4):
        radius = 8 >> scale
        # The window smooths before the image is halved, and must then fit once more.
        if min(images.shape[-2:]) < (6 if scale else 2) * radius + 1:
            break
        window = gaussian_window((2 * radius + 1) / 5, radius, images)
        if scale:
            images = smooth(images, window)[..., ::2, ::2]
        _, variance, covariance = local_moments(images, window, [(0, 1)])
        variance_s, variance_f = variance.clamp_min(0).unbind(dim=1)
        covariance = covariance[:, 0]
        gain = covariance.clamp_min(0) / (variance_s + LEAST_VARIANCE)
        gain = gain * (variance_s > LEAST_VARIANCE)
        distortion = (variance_f - gain * covariance).clamp_min(0)
        told = torch.log1p(gain**2 * variance_s / (distortion + VIF_NOISE))
        kept = kept + told.sum(dim=(1, 2))
        available = available + torch.log1p(variance_s / VIF_NOISE).sum(dim=(1, 2))
    return kept / (available + SMALLEST_NORM)


@in_float32
def yang(fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
    """Q_Y of Yang et al. (:func:`fusionprep.evaluation.structure.yang`)."""
    images = LEVELS * torch.cat([anatomical, functional, fused], dim=1)
    means, variances, covariances = local_moments(
        images, gaussian_window(1.5, 3, images), [(0, 1), (0, 2), (1, 2)]
    )
    variances = variances.clamp_min(0)
    agreement, kept_a, kept_b = (
        _similarity(means[:, [i, j]], variances[:, [i, j]], covariances[:, pair])
        for pair, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)])
    )
    share = (variances[:, 0] + SMALLEST_NORM) / (variances[:, :2].sum(dim=1) + 2 * SMALLEST_NORM)
    shared = torch.lerp(kept_b, kept_a, share)
    redundant = agreement >= YANG_REDUNDANT
    return torch.where(redundant, shared, torch.maximum(kept_a, kept_b)).mean(dim=(1, 2))


def _similarity(
    means: torch.Tensor, variances: torch.Tensor, covariance: torch.Tensor
) -> torch.Tensor:
    """SSIM of images (N, 2, H, W) with a constant that only rounding errors are small against."""
    luminance = (2 * means.prod(dim=1) + LEAST_VARIANCE) / (
        means.square().sum(dim=1) + LEAST_VARIANCE
    )
    return luminance * (2 * covariance + LEAST_VARIANCE) / (variances.sum(dim=1) + LEAST_VARIANCE)


@in_float32
def mutual_information(source: torch.Tensor, fused: torch.Tensor, bins: int = 32) -> torch.Tensor:
    """Mutual information in nats, of histograms with triangular bins.

    Differentiable as proposed for registration by Thevenaz and Unser, IEEE Trans Image Process
    2000;9(12):2083-2099, with splines of first order.
    """
    members_s, members_f = (_membership(image, bins) for image in (source, fused))
    joint = torch.einsum("npi,npj->nij", members_s, members_f) / members_s.shape[1]
    product = joint.sum(dim=2, keepdim=True) * joint.sum(dim=1, keepdim=True)
    ratio = (joint + SMALLEST_NORM) / (product + SMALLEST_NORM)
    return (joint * ratio.log()).sum(dim=(1, 2))


def _membership(image: torch.Tensor, bins: int) -> torch.Tensor:
    centres = torch.arange(bins, dtype=image.dtype, device=image.device)
    distance = (image.flatten(1)[..., None] * (bins - 1) - centres).abs()
    return (1 - distance).clamp_min(0)


@in_float32
def regression_weights(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised weights of the fused image's regression on anatomical and functional image.

    The guards bA and bB (:func:`fusionprep.evaluation.guards.guards`), where either source is above
    0 instead of inside the head.
    """
    inside = support(anatomical, functional).to(fused.dtype)
    a, b, f = (_standardised(image, inside) for image in (anatomical, functional, fused))
    ab, af, bf = ((x * y).sum(dim=(1, 2, 3)) for x, y in ((a, b), (a, f), (b, f)))
    # Sources that are nearly the same image have no weights of their own.
    unexplained = (1 - ab.square()).clamp_min(0.05)
    return (af - ab * bf) / unexplained, (bf - ab * af) / unexplained


def _standardised(image: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    count = inside.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1)
    centred = (image - (image * inside).sum(dim=(1, 2, 3), keepdim=True) / count) * inside
    return centred / (centred.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-3).sqrt()
