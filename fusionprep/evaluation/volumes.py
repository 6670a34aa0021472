"""Judging fused volumes: metrics of their slices, and consistency from slice to slice."""

import numpy as np

from fusionprep.errors import DataError
from fusionprep.evaluation.metrics import RANKED, SMALLEST_SIDE, fusion_metrics

VOLUME_SLICES = 24
"""At most this many axial slices of a volume are scored, evenly spaced among those with enough
content."""

ENOUGH_CONTENT = 0.25
"""A slice counts when the mask covers this share of what it covers in the fullest slice."""

SIDECAR_METRICS = (*RANKED, "Nabf", "CC", "EN", "SD", "SF")
"""The metrics in the sidecar of every fused image."""

SIDECAR_SLICES = 8
MARGIN = 8
"""Pixels of background around the brain, so that its edge counts as in an uncropped slice."""

MAXIMA = (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0)
"""Multiples of the functional image whose maximum with the anatomical one may be the fusion
rule."""


def content_slices(mask: np.ndarray, count: int = VOLUME_SLICES, axis: int = 2) -> np.ndarray:
    """Indices of the axial slices of a volume that are scored.

    Up to `count`, evenly spaced among the slices in which the mask (X, Y, Z) covers at least
    ``ENOUGH_CONTENT`` of what it covers in the fullest one: the vertex and the neck hold little to
    fuse.
    """
    area = np.moveaxis(mask, axis, 0).sum(axis=(1, 2))
    full = np.flatnonzero(area >= max(ENOUGH_CONTENT * area.max(), 1))
    chosen = np.linspace(0, len(full) - 1, min(count, len(full)))
    return full[np.rint(chosen).astype(int)]


def volume_metrics(
    anatomical: np.ndarray,
    functional: np.ndarray,
    fused: np.ndarray,
    mask: np.ndarray,
    *,
    brain: np.ndarray | None = None,
    axis: int = 2,
    names: tuple[str, ...] = SIDECAR_METRICS,
    slices: int = SIDECAR_SLICES,
) -> dict[str, float | int | str | None]:
    """Fusion metrics of a volume: means over axial slices of the brain.

    Slices are rounded to gray levels 0..255, black outside the mask, and cropped to it with a
    margin; where the volume ends sooner, or the mask is smaller than the metrics need, black is
    added as if the field of view were larger.

    Parameters
    ----------
    anatomical, functional, fused
        (X, Y, Z) in [0, 1].
    mask
        (X, Y, Z), above 0 where the images were fused.
    brain
        (X, Y, Z), above 0 in the brain, through which the slices are laid; None takes the mask.
    axis
        The axis across axial slices.
    names
        Metrics of :mod:`fusionprep.evaluation.metrics`.
    slices
        How many slices at most.

    Returns
    -------
    dict
        ``Planes`` (axial), ``Slices`` (how many) and each metric's mean over the slices in which it
        is defined, six digits; None where it is in none.

    Raises
    ------
    DataError
        When the mask is empty.
    """
    inside = np.moveaxis(np.asarray(mask) > 0, axis, 0)
    if not inside.any():
        raise DataError("fusion metrics need a mask that holds a voxel")
    chosen = content_slices(mask > 0 if brain is None else brain > 0, slices, axis)
    sides = [_side(np.asarray(inside.any(axis=other))) for other in ((0, 2), (0, 1))]
    volumes = [np.moveaxis(image, axis, 0) for image in (anatomical, functional, fused)]
    scores = []
    for index in chosen.tolist():
        levels = [_levels(volume[index], inside[index], sides) for volume in volumes]
        scores.append(fusion_metrics(levels[0], levels[1], levels[2], names))
    means = {name: _mean_of_finite([each[name] for each in scores]) for name in names}
    return {"Planes": "axial", "Slices": len(chosen), **means}


def _side(covered: np.ndarray) -> tuple[int, int]:
    """First pixel and end (exclusive) of what is scored along one side; may lie outside it."""
    hits = np.flatnonzero(covered)
    low, high = int(hits[0]) - MARGIN, int(hits[-1]) + 1 + MARGIN
    missing = max(0, SMALLEST_SIDE - (high - low))
    return low - missing // 2, high + missing - missing // 2


def _levels(image: np.ndarray, inside: np.ndarray, sides: list[tuple[int, int]]) -> np.ndarray:
    """Gray levels of a slice inside its mask, cropped and filled up with black."""
    levels = np.rint(255 * np.clip(np.where(inside, image, 0), 0, 1)).astype(np.float64)
    within = tuple(
        slice(max(low, 0), min(high, size))
        for (low, high), size in zip(sides, levels.shape, strict=True)
    )
    room = [
        (max(-low, 0), max(high - size, 0))
        for (low, high), size in zip(sides, levels.shape, strict=True)
    ]
    return np.pad(levels[within], room)


def _mean_of_finite(values: list[float]) -> float | None:
    finite = [value for value in values if np.isfinite(value)]
    return float(f"{np.mean(finite):.6g}") if finite else None


def through_plane_inconsistency(
    fused: np.ndarray,
    anatomical: np.ndarray,
    functional: np.ndarray,
    mask: np.ndarray | None = None,
    axis: int = 2,
) -> float:
    """Flicker of a volume fused slice by slice; 0 for pixelwise fusion such as average or maximum.

    Second differences along each axis are regressed on those of both sources and of the maxima of
    one source and multiples of the other. These explain any weighted mean, maximum and minimum, and
    other pixelwise rules closely; the coefficients are fitted within the slices. What remains
    within the slices is noise and local processing. Flicker is what remains along the slice axis
    beyond the larger of two expectations: the same residual energy as within the slices (noise), or
    the same share of the explained energy (processing that follows the anatomy). Its root, over the
    root of the energy explained along the slice axis, is returned: 1 means that slices jump as much
    from flicker as from anatomy.

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
    # Rounding of the quadratic forms; a smaller residual counts as zero.
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
