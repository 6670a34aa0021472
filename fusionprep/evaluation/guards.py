"""Guards: what a fused image must not do, whatever its metrics say."""

import numpy as np

from fusionprep.evaluation.gradients import sobel
from fusionprep.evaluation.regions import head_mask

BONE = 200
"""Gray level of a CT at or above which a pixel is bone."""


def guards(anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> dict[str, float]:
    """Figures that expose a fusion that drops a source, adds edges or lifts the background.

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), gray levels 0..255.

    Returns
    -------
    dict
        ``bA``, ``bB``: standardised weights of the least-squares regression of the fused image on
        anatomical and functional image inside the head, 0 for a constant image; both should be
        clearly above 0. ``pB``: gray levels of the fused per gray level of the functional image by
        the same regression; near 0 the uptake cannot be seen. ``added_edges``: squared excess of
        Sobel gradients over both sources', as a share of all squared gradients. ``background``:
        mean gray level where both sources are 0. ``bone``: mean level over mean functional level
        where the latter is at least 200, and ``bone_lost``: the share of those pixels with less
        than half of it; they only mean bone where the functional image is a CT. NaN where no pixel
        qualifies.
    """
    slope_a, slope_b, deviations = _regression(
        anatomical, functional, fused, head_mask(anatomical, functional)
    )
    per_fused = 1 / deviations[2] if deviations[2] > 0 else 0.0
    background = (anatomical == 0) & (functional == 0)
    bone = functional >= BONE
    return {
        "bA": slope_a * deviations[0] * per_fused,
        "bB": slope_b * deviations[1] * per_fused,
        "pB": slope_b,
        "added_edges": _added_edges(anatomical, functional, fused),
        "background": _mean(fused[background]),
        "bone": _mean(fused[bone]) / _mean(functional[bone]),
        "bone_lost": _mean(fused[bone] < 0.5 * functional[bone]),
    }


def _regression(
    anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray, head: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """Slopes of anatomical and functional image, and the deviations of all three, in the head."""
    if not head.any():
        return 0.0, 0.0, np.zeros(3)
    levels = np.stack([anatomical[head], functional[head], fused[head]])
    levels = levels - levels.mean(axis=1, keepdims=True)
    # Constant images get slope 0 from the least-norm solution.
    slopes = np.linalg.lstsq(levels[:2].T, levels[2], rcond=1e-9)[0]
    return float(slopes[0]), float(slopes[1]), levels.std(axis=1)


def _added_edges(anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> float:
    in_a, in_b, in_f = (np.hypot(*sobel(image)) for image in (anatomical, functional, fused))
    energy = float((in_f**2).sum())
    excess = np.maximum(in_f - np.maximum(in_a, in_b), 0)
    return float((excess**2).sum()) / energy if energy > 0 else 0.0


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
