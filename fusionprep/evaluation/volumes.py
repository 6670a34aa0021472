"""Consistency of fused volumes from slice to slice."""

import numpy as np

from fusionprep.errors import DataError

MAXIMA = (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0)
"""Multiples of the functional image whose maximum with the anatomical one may be the rule."""


def through_plane_inconsistency(
    fused: np.ndarray,
    anatomical: np.ndarray,
    functional: np.ndarray,
    mask: np.ndarray | None = None,
    axis: int = 2,
) -> float:
    """Flicker of a volume fused slice by slice; 0 for pixelwise fusion such as average or maximum.

    Second differences along each axis are regressed on those of both sources and of maxima of the
    one and multiples of the other, which explain any weighted mean, maximum and minimum, and other
    pixelwise rules closely; the coefficients are fitted within the slices. What is left within the
    slices is noise and local processing. Flicker is what is left along the slice axis beyond that,
    where the larger of two expectations is granted: the same residual energy as within the slices
    (noise), or the same share of the explained energy (processing that follows the anatomy). Its
    root, over the root of the energy explained along the slice axis, is returned: 1 means that
    slices jump as much by flicker as by anatomy.

    Parameters
    ----------
    fused, anatomical, functional
        (X, Y, Z) on one grid, the sources in any one scale.
    mask
        (X, Y, Z), above 0 where to look; give the brain mask of a volume that is 0 outside it.
        Differences that reach beyond it are left out. None takes every voxel.
    axis
        The slice axis.

    Returns
    -------
    float
        At least 0; inf where the sources do not change along the slice axis but the fused image
        does.

    Raises
    ------
    DataError
        When the shapes differ or are not 3-D, or when on some axis no three neighbours lie inside
        the mask.
    """
    volumes = [np.asarray(image, np.float64) for image in (anatomical, functional, fused)]
    inside = np.ones(volumes[0].shape, bool) if mask is None else np.asarray(mask) > 0
    shapes = {image.shape for image in (*volumes, inside)}
    if len(shapes) > 1 or inside.ndim != 3:
        raise DataError(f"volumes of shapes {sorted(shapes)}; give 3-D volumes on one grid")
    fused = volumes.pop()
    maxima = [np.maximum(volumes[0], scale * volumes[1]) for scale in MAXIMA]
    volumes += [*maxima, fused]
    # Means of the products of the predictors' and, last, the fused image's second differences.
    moments = [_difference_moments(volumes, inside, along) for along in range(3)]
    across = moments.pop(axis)
    within = 0.5 * (moments[0] + moments[1])
    slopes = np.linalg.lstsq(within[:-1, :-1], within[:-1, -1], rcond=1e-10)[0]
    residual = np.append(-slopes, 1.0)
    left_across, left_within = (float(residual @ m @ residual) for m in (across, within))
    explained, explained_within = (float(slopes @ m[:-1, :-1] @ slopes) for m in (across, within))
    granted = max(1.0, explained / explained_within) if explained_within > 0 else 1.0
    # Rounding of the quadratic forms; below it a residual is none.
    excess = left_across - granted * max(left_within, 0.0)
    if excess <= 1e-12 * across[-1, -1]:
        return 0.0
    return float(np.sqrt(excess / explained)) if explained > 0 else float("inf")


def _difference_moments(volumes: list[np.ndarray], inside: np.ndarray, axis: int) -> np.ndarray:
    mask = np.moveaxis(inside, axis, 0)
    usable = mask[:-2] & mask[1:-1] & mask[2:]
    if not usable.any():
        raise DataError(f"no three neighbours along axis {axis} lie inside the mask")
    moved = (np.moveaxis(volume, axis, 0) for volume in volumes)
    differences = np.stack([v[2:][usable] - 2 * v[1:-1][usable] + v[:-2][usable] for v in moved])
    return differences @ differences.T / differences.shape[1]
