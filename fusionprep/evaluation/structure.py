"""Metrics of structural similarity: SSIM, MS-SSIM, Piella's and Yang's."""

import numpy as np

from fusionprep.evaluation.gradients import derivatives
from fusionprep.evaluation.windows import (
    LocalMoments,
    gaussian_window,
    local_moments,
)

_MS_SSIM_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Yang's constants only keep windows of equal levels from 0/0.
_YANG_CONSTANT = 2e-16
_YANG_REDUNDANT = 0.75

_PREWITT = (1.0, 1.0, 1.0)


def ssim_field(source: np.ndarray, fused: np.ndarray) -> float:
    """SSIM as many fusion papers compute it: data range 2 for images of 0..255.

    scikit-image before 0.16 took the range of floating point images to be -1..1; evaluators of the
    field kept that. Its constants are so small that noise counts as structure: report it beside
    others' figures, never rank by it. Uniform 7 x 7 window, sample covariance.

    Parameters
    ----------
    source, fused
        (H, W), gray levels 0..255.

    Returns
    -------
    float
        In [-1, 1].
    """
    from skimage.metrics import structural_similarity

    return float(structural_similarity(source, fused, data_range=2))


def ssim(source: np.ndarray, fused: np.ndarray) -> float:
    """SSIM of Wang et al., IEEE Trans Image Process 2004;13(4):600-612, eq 13.

    Data range 255, Gaussian window of sigma 1.5 (11 x 11), population covariance.

    Parameters
    ----------
    source, fused
        (H, W), gray levels 0..255.

    Returns
    -------
    float
        In [-1, 1].
    """
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            source,
            fused,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def ms_ssim(source: np.ndarray, fused: np.ndarray) -> float:
    """Multi-scale SSIM of Wang, Simoncelli and Bovik, Asilomar 2003, eq 7.

    Contrast-structure terms of up to five scales, halved by 2 x 2 means, and luminance at the
    coarsest, to the powers of the paper. An image too small for five scales gets those that fit an
    11 x 11 window, with their powers scaled to sum 1. Negative terms count as 0.

    Parameters
    ----------
    source, fused
        (H, W), gray levels 0..255, at least 11 x 11.

    Returns
    -------
    float
        In [0, 1].
    """
    fitting = int(np.log2(min(source.shape) / 11)) + 1
    weights = _MS_SSIM_WEIGHTS[:fitting] / _MS_SSIM_WEIGHTS[:fitting].sum()
    window = gaussian_window(1.5, 5)
    result = 1.0
    for scale, weight in enumerate(weights):
        if scale:
            source, fused = _halve(source), _halve(fused)
        moments = local_moments(source, fused, window)
        similarity = _contrast_structure(moments, _C2)
        if scale == len(weights) - 1:
            similarity = similarity * _luminance(moments, _C1)
        result *= max(0.0, float(similarity.mean())) ** weight
    return result


def piella(anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> float:
    """Fusion quality index Q_S of Piella and Heijmans, ICIP 2003;3:173-176.

    Each window's SSIM with the two sources, weighted by the sources' local variances (saliency).
    Local SSIM is Wang's (data range 255, Gaussian 11 x 11), as in the toolbox of Liu et al. (IEEE
    TPAMI 2012;34(1):94-109).

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), gray levels 0..255.

    Returns
    -------
    float
        In [-1, 1]; 1 for three equal images.
    """
    quality, _ = _piella_map(anatomical, functional, fused)
    return float(quality.mean())


def piella_weighted(anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> float:
    """Weighted index Q_W of Piella and Heijmans: windows of high saliency count more.

    Parameters and range as :func:`piella`.
    """
    quality, saliency = _piella_map(anatomical, functional, fused)
    return float((quality * saliency).sum() / saliency.sum())


def piella_edge(anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> float:
    """Edge-dependent index Q_E of Piella and Heijmans with alpha 1.

    Q_W of the images times Q_W of their edge images (Prewitt magnitude, zero padding).
    """
    edges = [np.hypot(*derivatives(image, _PREWITT)) for image in (anatomical, functional, fused)]
    return piella_weighted(anatomical, functional, fused) * piella_weighted(*edges)


def yang(anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> float:
    """Similarity Q_Y of Yang et al., Inf Fusion 2008;9(2):156-160.

    Where the sources agree (SSIM at least 0.75) the two similarities weighted by variance,
    elsewhere the larger one. Gaussian 7 x 7 window of sigma 1.5; the constants of SSIM are 2e-16,
    so a window in which two images are both black counts as similar.

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), gray levels 0..255.

    Returns
    -------
    float
        In [-1, 1]; 1 for three equal images.
    """
    window = gaussian_window(1.5, 3)
    sources = local_moments(anatomical, functional, window)
    with_a, with_b = (
        _ssim_map(local_moments(source, fused, window), _YANG_CONSTANT, _YANG_CONSTANT)
        for source in (anatomical, functional)
    )
    variance = sources.variance_a + sources.variance_b
    weight = np.full_like(variance, 0.5)
    np.divide(sources.variance_a, variance, out=weight, where=variance > 0)
    redundant = _ssim_map(sources, _YANG_CONSTANT, _YANG_CONSTANT) >= _YANG_REDUNDANT
    weighted = weight * with_a + (1 - weight) * with_b
    return float(np.where(redundant, weighted, np.maximum(with_a, with_b)).mean())


def _piella_map(
    anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    window = gaussian_window(1.5, 5)
    with_a, with_b = (local_moments(source, fused, window) for source in (anatomical, functional))
    # Windows that are flat in both sources share their weight equally.
    flat = (with_a.variance_a + with_b.variance_a == 0) * 0.5
    variance_a, variance_b = with_a.variance_a + flat, with_b.variance_a + flat
    weight = variance_a / (variance_a + variance_b)
    quality = weight * _ssim_map(with_a, _C1, _C2) + (1 - weight) * _ssim_map(with_b, _C1, _C2)
    return quality, np.maximum(variance_a, variance_b)


def _ssim_map(moments: LocalMoments, c1: float, c2: float) -> np.ndarray:
    return _luminance(moments, c1) * _contrast_structure(moments, c2)


def _luminance(moments: LocalMoments, c1: float) -> np.ndarray:
    a, b = moments.mean_a, moments.mean_b
    return (2 * a * b + c1) / (a**2 + b**2 + c1)


def _contrast_structure(moments: LocalMoments, c2: float) -> np.ndarray:
    return (2 * moments.covariance + c2) / (moments.variance_a + moments.variance_b + c2)


def _halve(image: np.ndarray) -> np.ndarray:
    height, width = (side // 2 * 2 for side in image.shape)
    return image[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
