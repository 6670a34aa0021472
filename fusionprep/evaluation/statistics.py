"""Metrics from the statistics of gray levels and of their differences."""

import numpy as np


def standard_deviation(fused: np.ndarray) -> float:
    """Population standard deviation (SD), gray levels. `fused` is (H, W)."""
    return float(np.std(fused))


def spatial_frequency(fused: np.ndarray) -> float:
    """Root of the mean squared row and column differences (SF), gray levels.

    Eskicioglu and Fisher, IEEE Trans Commun 1995;43(12):2959-2965. `fused` is (H, W).
    """
    across, down = np.diff(fused, axis=1), np.diff(fused, axis=0)
    return float(np.sqrt(np.mean(across**2) + np.mean(down**2)))


def average_gradient(fused: np.ndarray) -> float:
    """Mean of sqrt((gx^2 + gy^2) / 2) with central differences (AG), gray levels per pixel.

    Cui et al., Opt Commun 2015;341:199-209. `fused` is (H, W).
    """
    down, across = np.gradient(fused)
    return float(np.mean(np.sqrt((across**2 + down**2) / 2)))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two images of one shape, in [-1, 1]; 0 when one is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt(np.vdot(a, a) * np.vdot(b, b))
    # The mean of equal levels may miss them by rounding.
    return float(np.vdot(a, b) / scale) if scale > 1e-9 * a.size else 0.0


def sum_of_correlations_of_differences(
    anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray
) -> float:
    """r(A, F - B) + r(B, F - A) (SCD), in [-2, 2].

    Aslantas and Bendes, AEU Int J Electron Commun 2015;69(12):1890-1896. A correlation with a
    constant difference counts as 0, so a copy of one source gets 0 from that term.
    """
    return correlation(anatomical, fused - functional) + correlation(functional, fused - anatomical)


def mean_squared_error(source: np.ndarray, fused: np.ndarray) -> float:
    """Mean squared difference (MSE), squared gray levels."""
    return float(np.mean((source - fused) ** 2))


def peak_signal_to_noise_ratio(
    anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray
) -> float:
    """10 log10(max(F)^2 / MSE) (PSNR), dB, with the mean MSE of both sources.

    The peak is the maximum of the fused image, as in the field's public evaluators, not 255.

    Returns
    -------
    float
        inf where the fused image equals both sources, -inf where it is black.
    """
    error = 0.5 * (mean_squared_error(anatomical, fused) + mean_squared_error(functional, fused))
    if error == 0:
        return float("inf")
    peak = float(fused.max())
    return float(10 * np.log10(peak**2 / error)) if peak > 0 else float("-inf")
