"""Uptake in the regions of an atlas: of one image, and of the frames of a dynamic PET."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_VOXELS = 10
"""Of a region that has a value: the mean of fewer says little about more than noise and edges."""

SMALLEST_COVERAGE = 0.95
"""Share of a region that must lie in the field of view for its mean to be that of the region."""


@dataclass(frozen=True)
class RegionValue:
    """Uptake of one region.

    Attributes
    ----------
    index
        Its label.
    voxels
        How many it has.
    coverage
        Share of them that have a value, 0 to 1.
    mean, sd
        Of their values, the population's standard deviation; None where `absent` says why.
    absent
        Why there is no value; empty otherwise.
    """

    index: int
    voxels: int
    coverage: float
    mean: float | None
    sd: float | None
    absent: str = ""


def region_values(
    image: np.ndarray,
    labels: np.ndarray,
    *,
    indices: Sequence[int] | None = None,
    inside: np.ndarray | None = None,
    fewest_voxels: int = FEWEST_VOXELS,
    smallest_coverage: float = SMALLEST_COVERAGE,
) -> list[RegionValue]:
    """Mean and standard deviation of an image in each region.

    A region that hardly has any voxels, or of which a part is out of view, has no value, and the
    reason is told: the mean of what is left would pass for that of the whole.

    Parameters
    ----------
    image
        (X, Y, Z), in any unit.
    labels
        Same shape, whole numbers; 0 is outside.
    indices
        Labels to report, in this order; None takes those that `labels` has, by number.
    inside
        Same shape, bool: where the image has values. None takes where it is finite and not 0,
        which is what resampling leaves outside a field of view.
    fewest_voxels, smallest_coverage
        Below which a region has no value.

    Examples
    --------
    >>> image = np.repeat([[[1.0], [3.0], [0.0]]], 20, axis=2)
    >>> labels = np.broadcast_to(np.array([[[1], [2], [2]]]), image.shape)
    >>> for value in region_values(image, labels):
    ...     print(value.index, value.mean, value.absent or "whole")
    1 1.0 whole
    2 None 50 % of it in the field of view
    """
    if image.shape != labels.shape:
        raise ValueError(f"an image of {image.shape} and labels of {labels.shape}")
    where = np.flatnonzero(labels)
    found, numbers = labels.ravel()[where], image.ravel()[where]
    if inside is None:
        known = np.isfinite(numbers) & (numbers != 0)
    else:
        known = inside.ravel()[where] & np.isfinite(numbers)
    sizes = np.bincount(found)
    present = np.flatnonzero(sizes)
    voxels, region = sizes[present], _places(present)[found]
    counted, means, sds = _moments(numbers, region, known, len(present))
    place = {int(label): rank for rank, label in enumerate(present)}
    values = []
    for index in place if indices is None else indices:
        rank = place.get(index)
        if rank is None:
            values.append(RegionValue(index, 0, 0.0, None, None, "it has no voxels here"))
            continue
        coverage = float(counted[rank] / voxels[rank])
        absent = _absent(int(voxels[rank]), coverage, fewest_voxels, smallest_coverage)
        mean, sd = (None, None) if absent else (float(means[rank]), float(sds[rank]))
        values.append(RegionValue(index, int(voxels[rank]), coverage, mean, sd, absent))
    return values


def _absent(voxels: int, coverage: float, fewest: int, smallest: float) -> str:
    if voxels < fewest:
        return f"number of its voxels: {voxels}, fewer than {fewest}"
    if coverage < smallest:
        return f"{100 * coverage:.0f} % of it in the field of view"
    return ""


def _places(labels: np.ndarray) -> np.ndarray:
    """A table of the place of each label among `labels`: sorting all voxels would take longer."""
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    table[labels] = np.arange(len(labels))
    return table


def _moments(
    numbers: np.ndarray, region: np.ndarray, known: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many values each region has, their mean and standard deviation; NaN where none."""
    values, region = numbers[known].astype(np.float64), region[known]
    counted = np.bincount(region, minlength=count)
    with np.errstate(invalid="ignore"):
        means = np.bincount(region, values, count) / counted
        # about the mean, since the difference of large squares would lose the digits
        squares = np.bincount(region, (values - means[region]) ** 2, count)
        return counted, means, np.sqrt(squares / counted)


@dataclass(frozen=True)
class RegionCurves:
    """Uptake of regions over the frames of a dynamic PET.

    Attributes
    ----------
    indices
        Labels of the R regions.
    means, sds
        (T, R) in the units of the frames; NaN where a region or a frame has no value.
    reference
        (T,) mean of the reference region; None where none was given, NaN without value.
    """

    indices: tuple[int, ...]
    means: np.ndarray
    sds: np.ndarray
    reference: np.ndarray | None


def region_curves(
    frames: Iterable[np.ndarray],
    frame_from_labels: np.ndarray | Sequence[np.ndarray],
    labels: np.ndarray,
    indices: Sequence[int],
    *,
    inside: np.ndarray | None = None,
    reference: np.ndarray | None = None,
    factors: Sequence[float] | None = None,
) -> RegionCurves:
    """Mean and standard deviation in each region of each frame.

    Frames stay on their own grid and are interpolated linearly where there is a label: that is what
    resampling each of them to the grid of the labels gives, at a fraction of its time and memory.

    Parameters
    ----------
    frames
        T times (X, Y, Z); one is in memory at a time. A frame without any signal has no values.
    frame_from_labels
        (4, 4), voxels of the labels to voxels of the frames; or one for each frame, where the head
        moved.
    labels
        Whole numbers on the grid of a T1w; 0 is outside.
    indices
        Labels to report, R of them, in this order.
    inside
        On the same grid, bool: where all frames are in view, as the mean over them tells; None
        takes everywhere.
    reference
        On the same grid, above 0.5 in the region that a SUVR refers to.
    factors
        What each frame is multiplied by.
    """
    usable = np.ones(labels.shape, bool) if inside is None else inside
    chosen = np.isin(labels, indices) & usable
    points = [np.argwhere(chosen).T]
    if reference is not None:
        points.append(np.argwhere((reference > 0.5) & usable).T)
    at = np.concatenate(points, axis=1)
    first = points[0].shape[1]
    region = _places(np.asarray(indices, int))[labels[chosen]]
    matrices = np.asarray(frame_from_labels, float)
    places = _carried(matrices, at) if matrices.ndim == 2 else None
    means, sds, references = [], [], []
    for number, frame in enumerate(frames):
        where = _carried(matrices[number], at) if places is None else places
        scale = 1.0 if factors is None else float(factors[number])
        values = _interpolated(frame, where) * scale
        known = np.isfinite(values) & bool(np.any(frame))
        _, mean, sd = _moments(values[:first], region, known[:first], len(indices))
        means.append(mean)
        sds.append(sd)
        rest = values[first:][known[first:]]
        references.append(float(rest.mean()) if rest.size else np.nan)
    return RegionCurves(
        tuple(indices),
        np.array(means).reshape(-1, len(indices)),
        np.array(sds).reshape(-1, len(indices)),
        None if reference is None else np.array(references),
    )


def _carried(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (3, N) through a matrix (4, 4)."""
    return matrix[:3, :3] @ points + matrix[:3, 3:]


def _interpolated(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Linear interpolation at points (3, N) in voxels; beyond half a voxel of the edge, NaN."""
    from scipy.ndimage import map_coordinates

    values = map_coordinates(np.asarray(frame, np.float32), points, order=1, mode="nearest")
    for axis, length in enumerate(frame.shape):
        values[(points[axis] < -0.5) | (points[axis] > length - 0.5)] = np.nan
    return values
