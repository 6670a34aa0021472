"""What a reader can still see in a fused image, measured with lesions planted in its sources.

A lesion is added to one source alone; what counts is how much of its visibility there is left in
the fused image. Metrics of similarity do not see this: the brighter of both images shows nothing of
an anatomical lesion under uptake and ranks high.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.errors import DataError
from fusionprep.evaluation.lesions import Condition, Reader, conditions, plant, plant_at
from fusionprep.evaluation.ranking import RESAMPLES, SEED, Estimate
from fusionprep.modalities import Modality

Fuse = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(anatomical, functional) to fused, all of one shape and in [0, 1]."""

FEWEST_DOMINATED = 2
"""Below this number of lesions in one image, a share of them says too little."""

EDGE_SCALES = (2.0, 4.0)
STRONGEST = 0.2
"""Share of the brain's gradients that count as its edges."""

EDGE_LOST = 0.35
"""An edge that keeps less than this of its gradient is cancelled."""

WHITE = 0.98
"""From this level on, a reader sees white."""


@dataclass(frozen=True)
class LesionScore:
    """Lesions of one kind in one image.

    Attributes
    ----------
    retention
        Visibility left in the fused image, as a share of that in the source; above 1 where the
        fused image has less clutter.
    dominated
        The same of the lesions where the other source is brighter; NaN where fewer than
        ``FEWEST_DOMINATED`` are.
    gain
        Change of the fused image per change of the source (regression through 0): it stays low
        where retention is bought with clutter that cancels.
    """

    condition: Condition
    retention: float
    dominated: float
    gain: float


@dataclass(frozen=True)
class Visibility:
    """What is visible in one fused slice or volume.

    Attributes
    ----------
    lesions
        One score for each source and size.
    opposite
        Visibility of lesions that are bright in one source and dark in the other, as a share of
        that in the source which shows them better.
    cancelled
        At each of ``EDGE_SCALES``, the share of edges lost: gradients of opposite sign cancel.
    white
        Share of the brain that is white.
    """

    lesions: tuple[LesionScore, ...]
    opposite: float
    cancelled: tuple[float, ...]
    white: float


@dataclass(frozen=True)
class VisibilitySummary:
    """What is visible over all images of a method, with 95 % intervals.

    Attributes
    ----------
    all, dominated, gain
        Means over the images, of the source and size that come off worst.
    opposite, white
        Means over the images.
    cancelled
        The same, at each of ``EDGE_SCALES``.
    images
        How many.
    """

    all: Estimate
    dominated: Estimate
    gain: Estimate
    opposite: Estimate
    cancelled: tuple[Estimate, ...]
    white: Estimate
    images: int


def visibility(
    fuse: Fuse,
    anatomical: np.ndarray,
    functional: np.ndarray,
    brain: np.ndarray,
    modality: Modality,
    *,
    rng: np.random.Generator,
    voxel_sizes: Sequence[float] | None = None,
) -> Visibility:
    """Plant lesions in both sources of a pair, fuse again, and measure what is left of them.

    Parameters
    ----------
    fuse
        The method. It is called once for the pair, and once for each source and size of lesion.
    anatomical, functional
        Slices (H, W) or volumes (X, Y, Z) in [0, 1].
    brain
        Same shape, above 0 in the brain.
    modality
        Of the functional image, which tells sizes and amplitudes.
    rng
        Draws the places.
    voxel_sizes
        Along each axis in mm, for lesions in mm; None counts in pixels.

    Raises
    ------
    DataError
        When the brain leaves no room for a lesion.
    """
    reader = Reader(brain, voxel_sizes)
    sources = np.asarray(anatomical), np.asarray(functional)
    fused = np.asarray(fuse(*sources))
    return Visibility(
        lesions=tuple(
            lesion_score(fuse, sources, fused, reader, condition, rng)
            for condition in conditions(modality)
        ),
        opposite=_opposite(fuse, sources, fused, reader, conditions(modality), rng),
        cancelled=tuple(
            cancelled_edges(sources, fused, reader.brain, size / reader.voxel_sizes)
            for size in EDGE_SCALES
        ),
        white=float(np.mean(fused[reader.brain] >= WHITE)),
    )


def lesion_score(
    fuse: Fuse,
    sources: tuple[np.ndarray, np.ndarray],
    fused: np.ndarray,
    reader: Reader,
    condition: Condition,
    rng: np.random.Generator,
) -> LesionScore:
    """Plant lesions of one kind in one source, fuse again, and measure what is left of them.

    Parameters
    ----------
    sources, fused
        (anatomical, functional), and what `fuse` makes of them, all in [0, 1].
    rng
        Draws the places.
    """
    planted = plant(sources[condition.index], reader, condition, rng)
    size = condition.size
    own, other = sources[condition.index], sources[1 - condition.index]
    pair = (planted.image, other) if condition.source == "anatomical" else (other, planted.image)
    in_fused = reader.response(fuse(*pair) - fused, size)[planted.at]
    in_source = reader.response(planted.image - own, size)[planted.at]
    # A lesion that turns up with the wrong sign misleads.
    seen = np.maximum(planted.signs * in_fused, 0) / reader.clutter(fused, size)
    shown = np.abs(in_source) / reader.clutter(own, size)
    dominated = (reader.smooth(other, size) > reader.smooth(own, size))[planted.at]
    enough = np.count_nonzero(dominated) >= FEWEST_DOMINATED
    return LesionScore(
        condition=condition,
        retention=_ratio(seen.sum(), shown.sum()),
        dominated=_ratio(seen[dominated].sum(), shown[dominated].sum()) if enough else math.nan,
        gain=_ratio(in_fused @ in_source, in_source @ in_source),
    )


def _opposite(
    fuse: Fuse,
    sources: tuple[np.ndarray, np.ndarray],
    fused: np.ndarray,
    reader: Reader,
    planted_for: tuple[Condition, ...],
    rng: np.random.Generator,
) -> float:
    """Both sources get the functional one's smallest lesions, at the same places."""
    functional = next(each for each in planted_for if each.source == "functional")
    anatomical = Condition("anatomical", functional.size)
    first = plant(sources[0], reader, anatomical, rng)
    second = plant_at(sources[1], reader, functional, first.places, -first.signs)
    changes = (
        fuse(first.image, second.image) - fused,
        first.image - sources[0],
        second.image - sources[1],
    )
    in_fused, *shown = (
        np.abs(reader.response(change, functional.size)[first.at])
        / reader.clutter(image, functional.size)
        for change, image in zip(changes, (fused, *sources), strict=True)
    )
    return _ratio(in_fused.sum(), np.maximum(*shown).sum())


def cancelled_edges(
    sources: tuple[np.ndarray, np.ndarray],
    fused: np.ndarray,
    brain: np.ndarray,
    sigma: float | np.ndarray,
) -> float:
    """Share of the brain's edges that the fused image lost.

    Edges are the strongest ``STRONGEST`` of the larger of both sources' gradients; one is lost when
    the fused image has less than ``EDGE_LOST`` of it. 1 for a constant image.

    Parameters
    ----------
    sources, fused, brain
        Of one shape; `brain` bool.
    sigma
        Scale of the gradients, in voxels, one or one for each axis.
    """
    from scipy.ndimage import gaussian_gradient_magnitude

    first, second, kept = (
        gaussian_gradient_magnitude(np.asarray(image, np.float64), sigma)[brain]
        for image in (*sources, fused)
    )
    strength = np.maximum(first, second)
    edges = strength >= np.quantile(strength, 1 - STRONGEST)
    return float(np.mean(kept[edges] < EDGE_LOST * strength[edges]))


def combine(
    results: Iterable[Visibility], groups: Sequence[str] | None = None
) -> VisibilitySummary:
    """The mean over images of each source and size, and of these the worst.

    Parameters
    ----------
    groups
        Patient of each image: whole patients are drawn for the intervals, since images of one are
        not independent. None draws images, which says nothing about other patients.

    Raises
    ------
    DataError
        When there is no result.
    """
    results = tuple(results)
    if not results:
        raise DataError("there is no image whose lesions could be scored")
    drawn = _drawn(len(results), groups)

    def worst(values: Callable[[Visibility], Sequence[float]]) -> Estimate:
        return _worst(np.array([values(result) for result in results], float), drawn)

    return VisibilitySummary(
        all=worst(lambda result: [score.retention for score in result.lesions]),
        dominated=worst(lambda result: [score.dominated for score in result.lesions]),
        gain=worst(lambda result: [score.gain for score in result.lesions]),
        opposite=worst(lambda result: [result.opposite]),
        cancelled=tuple(
            worst(lambda result, scale=scale: [result.cancelled[scale]])  # type: ignore[misc]
            for scale in range(len(EDGE_SCALES))
        ),
        white=worst(lambda result: [result.white]),
        images=len(results),
    )


def _drawn(images: int, groups: Sequence[str] | None) -> np.ndarray:
    """(resamples, images): how often each image is drawn; no resample of one image or group."""
    _, member = np.unique(np.arange(images) if groups is None else groups, return_inverse=True)
    count = int(member.max()) + 1
    if count < 2:
        return np.empty((0, images))
    drawn = np.random.default_rng(SEED).integers(0, count, (RESAMPLES, count))
    return np.stack([np.bincount(row, minlength=count) for row in drawn])[:, member]


def _worst(values: np.ndarray, drawn: np.ndarray) -> Estimate:
    """The least of the columns' means over the rows (images), what is missing left out."""
    finite = np.isfinite(values)
    values, finite = values[:, finite.any(axis=0)], finite[:, finite.any(axis=0)]
    if not values.size:
        return Estimate(math.nan, math.nan, math.nan)
    weights = np.vstack([np.ones(len(values)), drawn])
    counts = weights @ finite
    means = np.full(counts.shape, np.nan)
    np.divide(weights @ np.where(finite, values, 0), counts, out=means, where=counts > 0)
    least = np.nanmin(means, axis=1)
    if len(least) < 2:
        return Estimate(float(least[0]), math.nan, math.nan)
    return Estimate(float(least[0]), *map(float, np.nanpercentile(least[1:], (2.5, 97.5))))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else math.nan
