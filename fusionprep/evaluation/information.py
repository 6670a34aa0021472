"""Metrics of information: entropy, mutual information and feature mutual information."""

import numpy as np

from fusionprep.evaluation.windows import LEVELS, gray_levels, stretch

# Windows whose joint distributions are held in memory at once; more do not fit the cache.
_CHUNK = 4096


def entropy(fused: np.ndarray) -> float:
    """Shannon entropy of the gray levels (EN), in bits.

    Shannon, Bell Syst Tech J 1948;27:379-423; 256 bins, one per level.

    Parameters
    ----------
    fused
        (H, W), gray levels 0..255, rounded to whole levels here.

    Returns
    -------
    float
        In [0, 8]; 0 for a constant image.
    """
    counts = np.bincount(gray_levels(fused).ravel(), minlength=LEVELS)
    return _entropy(counts / counts.sum()) / np.log(2)


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information of two images by their 256 x 256 joint histogram, in nats.

    Qu, Zhang and Yan, Electron Lett 2002;38(7):313-315.

    Parameters
    ----------
    a, b
        (H, W), gray levels 0..255, rounded to whole levels here.

    Returns
    -------
    float
        At least 0; 0 when either image is constant.
    """
    joint, h_a, h_b = _joint_entropies(a, b)
    return max(0.0, h_a + h_b - joint)


def normalised_mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """2 I(A,B) / (H(A) + H(B)) of two images, each stretched to 0..255.

    One term of Q_MI (Hossny, Nahavandi and Creighton, Electron Lett 2008;44(18):1066-1067).

    Returns
    -------
    float
        In [0, 1]; 0 for two constant images.
    """
    joint, h_a, h_b = _joint_entropies(stretch(a), stretch(b))
    if h_a + h_b == 0:
        return 0.0
    return 2 * max(0.0, h_a + h_b - joint) / (h_a + h_b)


def feature_mutual_information(source: np.ndarray, fused: np.ndarray) -> float:
    """Mean normalised mutual information of 3 x 3 windows (FMI of raw pixels).

    Fast FMI (Haghighat and Razian, AICT 2014, p 1-3): the levels of a window, stretched to 0..1 and
    divided by their sum, are read as a distribution over the window's pixels in column order. The
    joint distribution of two windows is the mixture of the independent one and the Frechet bound
    (upper for positive, lower for negative correlation) that has the correlation of the two
    distributions (Nelsen, Commun Stat Simul Comput 1987;16(1):199-208). The value of a window
    is 2 I / (H + H); equal windows have 1.

    Parameters
    ----------
    source, fused
        (H, W), any range.

    Returns
    -------
    float
        Mean over all windows inside the image; 1 for equal images.
    """
    a, f = _windows(source), _windows(fused)
    different = np.flatnonzero((a != f).any(axis=1))
    total = float(len(a) - len(different))
    for start in range(0, len(different), _CHUNK):
        chunk = different[start : start + _CHUNK]
        total += _window_information(_distributions(a[chunk]), _distributions(f[chunk])).sum()
    return total / len(a)


def _entropy(probabilities: np.ndarray) -> float:
    positive = probabilities[probabilities > 0]
    # Adding 0 turns the -0.0 of a certain event into 0.0.
    return float(-(positive * np.log(positive)).sum()) + 0.0


def _joint_entropies(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    cells = gray_levels(a).ravel() * LEVELS + gray_levels(b).ravel()
    counts = np.bincount(cells, minlength=LEVELS**2).reshape(LEVELS, LEVELS)
    joint = counts / cells.size
    return _entropy(joint), _entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0))


def _windows(image: np.ndarray) -> np.ndarray:
    views = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    return views.transpose(0, 1, 3, 2).reshape(-1, 9)


def _distributions(windows: np.ndarray) -> np.ndarray:
    low, high = windows.min(axis=1, keepdims=True), windows.max(axis=1, keepdims=True)
    spread = high - low
    levels = np.where(spread > 0, (windows - low) / np.where(spread > 0, spread, 1), 1.0)
    return levels / levels.sum(axis=1, keepdims=True)


def _window_information(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """2 I(P,Q) / (H(P) + H(Q)) of distributions (n, 9)."""
    weight, bound = _frechet_mixture(p, q)
    joint = _cells(bound)
    joint *= weight
    joint += ((1 - weight) * q[:, :, None]) * p[:, None, :]
    marginals = _bits(p).sum(axis=1) + _bits(q).sum(axis=1)
    information = marginals - _bits(joint).sum(axis=(1, 2))
    return np.divide(2 * information, marginals, out=np.zeros(len(p)), where=marginals > 0)


def _frechet_mixture(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight (n, 1, 1) of the Frechet bound in the mixture, and the bound (n, 9, 9)."""
    cdf_p, cdf_q = p.cumsum(axis=1)[:, None, :], q.cumsum(axis=1)[:, :, None]
    correlation = _row_correlation(p, q)
    positive = (correlation >= 0)[:, None, None]
    bound = np.where(positive, np.minimum(cdf_q, cdf_p), np.maximum(cdf_q + cdf_p - 1, 0))
    covariance = (bound - cdf_q * cdf_p).sum(axis=(1, 2))
    deviations = _position_deviation(p) * _position_deviation(q)
    usable = (deviations > 0) & (covariance != 0)
    weight = np.divide(correlation * deviations, covariance, out=np.zeros(len(p)), where=usable)
    return weight[:, None, None], bound


def _cells(bound: np.ndarray) -> np.ndarray:
    """Probabilities (n, 9, 9) of a cumulative joint distribution."""
    joint = bound.copy()
    joint[:, 1:] -= bound[:, :-1]
    joint[:, :, 1:] -= joint[:, :, :-1].copy()
    return joint


def _row_correlation(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    p, q = p - p.mean(axis=1, keepdims=True), q - q.mean(axis=1, keepdims=True)
    scale = np.sqrt((p * p).sum(axis=1) * (q * q).sum(axis=1))
    return np.divide((p * q).sum(axis=1), scale, out=np.zeros(len(p)), where=scale > 1e-15)


def _position_deviation(p: np.ndarray) -> np.ndarray:
    positions = np.arange(1.0, p.shape[1] + 1)
    return np.sqrt(np.maximum(p @ positions**2 - (p @ positions) ** 2, 0))


def _bits(probabilities: np.ndarray) -> np.ndarray:
    """-p log2 |p|: the mixture's weight may pass 1, which leaves cells just below 0."""
    bits = np.abs(probabilities)
    bits[bits == 0] = 1
    np.log2(bits, out=bits)
    bits *= probabilities
    return np.negative(bits, out=bits)
