"""Fusion metrics that a network can be trained on: differentiable forms of fusionprep.evaluation.

Images are float tensors (N, 1, H, W) in [0, 1]; a metric is one value for each image, (N,), and
means what the metric of the same name does, on gray levels 0 to 255.
"""

import math

import torch
from torch.nn import functional as nnf

from fusionprep.models.nets.base import support
from fusionprep.training.losses import SMALLEST_NORM, in_float32, sobel
from fusionprep.training.windows import gaussian_window, local_moments, smooth

LEVELS = 255
"""Range of the metrics' gray levels, on which some of their constants depend."""

SOBEL_SUM = 8
"""Sum of the absolute weights of the Sobel kernel in whole numbers."""

LEAST_GRADIENT = 1e-2
"""Keeps the square root of a gradient's squares differentiable where nothing changes."""

LEAST_VARIANCE = 1e-2
"""Smallest variance of windows, in squared gray levels: flatter ones are constant in 8-bit
images."""

VIF_NOISE = 2.0
"""Variance of the noise of vision."""

YANG_REDUNDANT = 0.75
"""SSIM of the sources at or above which Q_Y averages instead of choosing."""

CONTRAST_SIDE = 256
"""Side in pixels of the slices that crops are taken from, for Q_CB."""

LEAST_LEVEL = 0.05
"""Gray level below which a mean of Q_CB counts as this: the image is black there."""

LEAST_CONTRAST = 1e-4

WINDOW_SAMPLE = 2000
"""Windows of each image that feature mutual information is estimated from."""

FAINT = 4.0
"""Gray levels; windows that change by less do not guide the training."""


@in_float32
def gradient_preservation(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """Q^AB/F of Xydeas and Petrovic.

    See :func:`fusionprep.evaluation.gradients.gradient_preservation`.
    """
    magnitude_f, angle_f = _gradient(fused)
    preserved = total = fused.new_zeros(())
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
    """Gradients beyond those of both sources, as a share of the larger of theirs; best is 0.

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
    """SSIM of images (N, 2, H, W) with a constant that exceeds nothing but rounding errors."""
    luminance = (2 * means.prod(dim=1) + LEAST_VARIANCE) / (
        means.square().sum(dim=1) + LEAST_VARIANCE
    )
    return luminance * (2 * covariance + LEAST_VARIANCE) / (variances.sum(dim=1) + LEAST_VARIANCE)


@in_float32
def mutual_information(
    source: torch.Tensor, fused: torch.Tensor, bins: int = LEVELS + 1
) -> torch.Tensor:
    """Mutual information in nats, of histograms with triangular bins.

    Differentiable as proposed for registration by Thevenaz and Unser, IEEE Trans Image Process
    2000;9(12):2083-2099, with splines of first order.
    """
    joint = source.new_zeros(len(source), bins**2)
    shares_s, shares_f = (_bin_shares(image, bins) for image in (source, fused))
    for bin_s, share_s in shares_s:
        for bin_f, share_f in shares_f:
            joint = joint.scatter_add(1, bin_s * bins + bin_f, share_s * share_f)
    joint = joint.unflatten(1, (bins, bins)) / source[0].numel()
    product = joint.sum(dim=2, keepdim=True) * joint.sum(dim=1, keepdim=True)
    ratio = (joint + SMALLEST_NORM) / (product + SMALLEST_NORM)
    return (joint * ratio.log()).sum(dim=(1, 2))


def _bin_shares(image: torch.Tensor, bins: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The two bins (N, pixels) between whose centres a pixel lies, and its share in each."""
    position = image.flatten(1).clamp(0, 1) * (bins - 1)
    lower = position.detach().floor().clamp_max(bins - 2)
    share = position - lower
    lower = lower.long()
    return [(lower, 1 - share), (lower + 1, share)]


@in_float32
def contrast_preservation(
    fused: torch.Tensor,
    anatomical: torch.Tensor,
    functional: torch.Tensor,
    side: int = CONTRAST_SIDE,
) -> torch.Tensor:
    """Q_CB of Chen and Blum (:func:`fusionprep.evaluation.perception.chen_blum`).

    In black surroundings, where the metric divides rounding errors, nothing is lost here. ``side``
    is that of the whole image in pixels, on which the metric's frequencies depend.
    """
    of_a, of_b, of_f = (_masked_contrast(image, side) for image in (anatomical, functional, fused))
    squares = of_a.square() + SMALLEST_NORM, of_b.square() + SMALLEST_NORM
    kept_a, kept_b = (
        (torch.minimum(contrast, of_f) + LEAST_CONTRAST)
        / (torch.maximum(contrast, of_f) + LEAST_CONTRAST)
        for contrast in (of_a, of_b)
    )
    share = squares[0] / (squares[0] + squares[1])
    return torch.lerp(kept_b, kept_a, share).mean(dim=(1, 2, 3))


def _masked_contrast(image: torch.Tensor, side: int) -> torch.Tensor:
    low, high = image.amin(dim=(2, 3), keepdim=True), image.amax(dim=(2, 3), keepdim=True)
    stretched = LEVELS * (image - low) / (high - low + SMALLEST_NORM)
    filtered = torch.fft.irfft2(
        torch.fft.rfft2(stretched) * _contrast_sensitivity(stretched, side), s=image.shape[-2:]
    )
    padded = nnf.pad(filtered, (15, 15, 15, 15))
    fine, coarse = (smooth(padded, gaussian_window(sigma, 15, image)) for sigma in (2.0, 4.0))
    away = torch.where(coarse < 0, -LEAST_LEVEL, LEAST_LEVEL)
    coarse = torch.where(coarse.abs() < LEAST_LEVEL, away, coarse)
    contrast = (fine / coarse - 1).abs()
    return contrast**3 / (contrast.square() + 1e-4)


def _contrast_sensitivity(image: torch.Tensor, side: int) -> torch.Tensor:
    """Contrast sensitivity at each coefficient of ``rfft2``."""
    height, width = image.shape[-2:]
    down = torch.fft.fftfreq(height, device=image.device).unsqueeze(1)
    across = torch.fft.rfftfreq(width, device=image.device)
    frequency = 2 * side / 30 * (down.square() + across.square()).sqrt()
    wide, narrow = (torch.exp(-((frequency / scale) ** 2)) for scale in (15.3870, 1.3456))
    return wide - 0.7622 * narrow


@in_float32
def feature_mutual_information(source: torch.Tensor, fused: torch.Tensor) -> torch.Tensor:
    """FMI_p, estimated from windows spread evenly where either image is above 0.

    See :func:`fusionprep.evaluation.information.feature_mutual_information`.
    """
    return torch.stack([_feature_information(*pair) for pair in zip(source, fused, strict=True)])


def _feature_information(source: torch.Tensor, fused: torch.Tensor) -> torch.Tensor:
    windows = [_windows(LEVELS * image) for image in (source, fused)]
    filled = ((windows[0].amax(dim=1) > 0) | (windows[1].amax(dim=1) > 0)).nonzero().flatten()
    if not len(filled):
        return fused.sum() * 0 + 1
    places = torch.linspace(0, len(filled) - 1, WINDOW_SAMPLE, device=filled.device)
    first, second = (window[filled[places.long()]] for window in windows)
    information = _window_information(_distribution(first), _distribution(second))
    # Equal windows say everything about each other, flat ones too.
    equal = (first - second).abs().amax(dim=1) < 0.5
    information = torch.where(equal, 1, information)
    # Stretched to 0..1, small differences have enormous gradients, but are lost to rounding.
    faint = second.amax(dim=1) - second.amin(dim=1) < FAINT
    information = torch.where(faint, information.detach(), information)
    share = len(filled) / len(windows[0])
    return 1 - share * (1 - information.mean())


def _windows(image: torch.Tensor) -> torch.Tensor:
    """The 3 x 3 windows of an image (1, H, W) in column order, (n, 9)."""
    return image[0].unfold(0, 3, 1).unfold(1, 3, 1).transpose(-1, -2).reshape(-1, 9)


def _distribution(windows: torch.Tensor) -> torch.Tensor:
    low, high = windows.amin(dim=1, keepdim=True), windows.amax(dim=1, keepdim=True)
    spread = high - low
    flat = spread < LEAST_GRADIENT
    levels = torch.where(flat, 1, (windows - low) / torch.where(flat, 1, spread))
    return levels / levels.sum(dim=1, keepdim=True)


def _window_information(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """2 I(P,Q) / (H(P) + H(Q)) of distributions (n, 9)."""
    cdf_p, cdf_q = p.cumsum(dim=1).unsqueeze(1), q.cumsum(dim=1).unsqueeze(2)
    centred_p, centred_q = (x - x.mean(dim=1, keepdim=True) for x in (p, q))
    norms = centred_p.square().sum(dim=1) * centred_q.square().sum(dim=1)
    correlation = (centred_p * centred_q).sum(dim=1) / norms.clamp_min(SMALLEST_NORM**1.5).sqrt()
    positive = (correlation >= 0)[:, None, None]
    bound = torch.where(positive, torch.minimum(cdf_q, cdf_p), (cdf_q + cdf_p - 1).clamp_min(0))
    covariance = (bound - cdf_q * cdf_p).sum(dim=(1, 2))
    usable = covariance.abs() > 1e-6
    deviations = _position_deviation(p) * _position_deviation(q)
    mixed = correlation * deviations / torch.where(usable, covariance, 1)
    weight = torch.where(usable, mixed, 0)[:, None, None]
    bound = nnf.pad(bound, (1, 0, 1, 0)).diff(dim=1).diff(dim=2)
    joint = weight * bound + (1 - weight) * q.unsqueeze(2) * p.unsqueeze(1)
    marginals = _bits(p).sum(dim=1) + _bits(q).sum(dim=1)
    information = marginals - _bits(joint).sum(dim=(1, 2))
    return 2 * information / marginals.clamp_min(LEAST_CONTRAST)


def _position_deviation(p: torch.Tensor) -> torch.Tensor:
    positions = torch.arange(1, p.shape[1] + 1, dtype=p.dtype, device=p.device)
    variance = p @ positions.square() - (p @ positions).square()
    return variance.clamp_min(SMALLEST_NORM).sqrt()


def _bits(probabilities: torch.Tensor) -> torch.Tensor:
    """-p log2 |p|: the mixture's weight may pass 1, which leaves cells just below 0."""
    return -probabilities * probabilities.abs().clamp_min(SMALLEST_NORM**1.5).log2()


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
