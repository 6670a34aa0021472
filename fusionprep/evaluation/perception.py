"""Metrics that model human vision: VIF, Q_CV and Q_CB."""

import numpy as np

from fusionprep.evaluation.gradients import sobel
from fusionprep.evaluation.windows import gaussian_window, local_moments, smooth_valid, stretch

_VIF_NOISE = 2.0
_VIF_FLAT = 1e-10
_BLOCK = 16


def visual_information_fidelity(source: np.ndarray, fused: np.ndarray) -> float:
    """Pixel-domain visual information fidelity (VIF) of a fused image for one source.

    Sheikh and Bovik, IEEE Trans Image Process 2006;15(2):430-444, in the authors' multi-scale pixel
    form: Gaussian windows of 17, 9, 5 and 3 pixels (sigma a fifth of that), halved between scales
    after smoothing, noise variance 2.

    Parameters
    ----------
    source, fused
        (H, W), gray levels 0..255, at least 41 x 41.

    Returns
    -------
    float
        At least 0; 1 for equal images; above 1 where contrast was raised. 1 for a constant source.
    """
    kept = available = 0.0
    for scale in range(4):
        radius = 8 >> scale
        window = gaussian_window((2 * radius + 1) / 5, radius)
        if scale:
            source, fused = (smooth_valid(image, window)[::2, ::2] for image in (source, fused))
        moments = local_moments(source, fused, window)
        gain = np.maximum(moments.covariance, 0) / (moments.variance_a + _VIF_FLAT)
        gain[(moments.variance_a < _VIF_FLAT) | (moments.variance_b < _VIF_FLAT)] = 0
        distortion = np.maximum(moments.variance_b - gain * moments.covariance, _VIF_FLAT)
        kept += np.log1p(gain**2 * moments.variance_a / (distortion + _VIF_NOISE)).sum()
        available += np.log1p(moments.variance_a / _VIF_NOISE).sum()
    return float(kept / available) if available > 0 else 1.0


def chen_varshney(anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> float:
    """Perceived regional error Q_CV of Chen and Varshney, Inf Fusion 2007;8(2):193-207.

    Lower is better. Images stretched to 0..255; differences from each source filtered by the
    contrast sensitivity of Mannos and Sakrison (frequencies of N/8 cycles per image), squared and
    averaged in blocks of 16 x 16, weighted by the source's block sum of Sobel magnitude to the
    power 5.

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), any range.

    Returns
    -------
    float
        At least 0; 0 where all three are equal or no source has an edge.
    """
    fused = stretch(fused)
    frequency = _radial_frequency(fused.shape, 1 / 8)
    sensitivity = 2.6 * (0.0192 + 0.144 * frequency) * np.exp(-((0.144 * frequency) ** 1.1))
    error = weights = 0.0
    for source in (stretch(anatomical), stretch(functional)):
        saliency = _block_sums(np.hypot(*sobel(source)) ** 5)
        squared = _block_sums(_filter(source - fused, sensitivity) ** 2) / _BLOCK**2
        error += float((saliency * squared).sum())
        weights += float(saliency.sum())
    return error / weights if weights > 0 else 0.0


def chen_blum(anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> float:
    """Contrast preservation Q_CB of Chen and Blum, Image Vis Comput 2009;27(10):1421-1432.

    Images stretched to 0..255, filtered by a difference-of-Gaussians contrast sensitivity
    (frequencies of N/30 cycles per image); local contrast of Gaussians of sigma 2 and 4 (31 x 31,
    zero padding), masked with powers 3 and 2; ratio of the smaller to the larger contrast, weighted
    by the sources' squared contrast; mean over the image. The contrast is a ratio of smoothed
    images, so where these are 0 over large parts its third digit depends on rounding errors of the
    Fourier transform.

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), any range.

    Returns
    -------
    float
        In [0, 1]; 1 for three equal images, constant ones included.
    """
    contrast_a, contrast_b, contrast_f = (
        _masked_contrast(stretch(image)) for image in (anatomical, functional, fused)
    )
    saliency_a, saliency_b = contrast_a**2, contrast_b**2
    saliency = saliency_a + saliency_b
    weight = np.divide(saliency_a, saliency, out=np.full_like(saliency, 0.5), where=saliency > 0)
    quality = weight * _preserved(contrast_a, contrast_f)
    quality += (1 - weight) * _preserved(contrast_b, contrast_f)
    return float(quality.mean())


def _masked_contrast(image: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    frequency = _radial_frequency(image.shape, 1 / 30)
    sensitivity = np.exp(-((frequency / 15.3870) ** 2)) - 0.7622 * np.exp(
        -((frequency / 1.3456) ** 2)
    )
    filtered = _filter(image, sensitivity)
    offsets = np.arange(-15.0, 16.0)
    fine, coarse = filtered, filtered
    for axis in (0, 1):
        fine = ndimage.correlate1d(fine, _density(offsets, 2), axis=axis, mode="constant")
        coarse = ndimage.correlate1d(coarse, _density(offsets, 4), axis=axis, mode="constant")
    contrast = np.divide(fine, coarse, out=np.ones_like(fine), where=coarse != 0)
    contrast = np.abs(contrast - 1)
    return contrast**3 / (contrast**2 + 1e-4)


def _density(offsets: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-(offsets**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)


def _preserved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    large = np.maximum(a, b)
    return np.divide(np.minimum(a, b), large, out=np.ones_like(large), where=large > 0)


def _radial_frequency(shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Frequency of each coefficient of ``rfft2``: -1..1 times the side's length times `scale`."""
    height, width = shape
    down = 2 * np.fft.fftfreq(height) * height * scale
    across = 2 * np.fft.rfftfreq(width) * width * scale
    return np.hypot(down[:, None], across[None, :])


def _filter(image: np.ndarray, response: np.ndarray) -> np.ndarray:
    return np.fft.irfft2(np.fft.rfft2(image) * response, s=image.shape)


def _block_sums(image: np.ndarray) -> np.ndarray:
    """Sums of blocks of 16 x 16; the last ones are padded with 0."""
    padding = [(0, -side % _BLOCK) for side in image.shape]
    padded = np.pad(image, padding)
    height, width = (side // _BLOCK for side in padded.shape)
    return padded.reshape(height, _BLOCK, width, _BLOCK).sum(axis=(1, 3))
