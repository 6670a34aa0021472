"""Lesions planted in images, and the reader who looks for them.

A lesion is a Gaussian blob. The reader is a matched filter: a difference of Gaussians of the
lesion's size, against the clutter of the brain and the reader's own noise. Images are slices (H, W)
or volumes (X, Y, Z) in [0, 1]; sizes are Gaussian standard deviations in the unit of
``voxel_sizes``, pixels without them.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fusionprep.errors import DataError
from fusionprep.evaluation.regions import depth
from fusionprep.modalities import Modality

Source = Literal["anatomical", "functional"]

READER_NOISE = 0.015
"""The reader's own noise, as a share of the gray range. Without it a faint picture that was
high-passed would win: its clutter falls with its lesions."""

SURROUND = 2.5
"""Scale of a lesion's surroundings, in scales of the lesion."""

AMPLITUDE = 0.25
"""Of a lesion, as a share of the local mean."""

WINDOW_AMPLITUDE = 0.15
"""Of a lesion in an image of Hounsfield units, as a share of its window: a share of the local mean
would be no more than the noise, since brain is dark in the wide window."""

ANATOMICAL_SIZES = (2.0, 4.0, 7.0)
TRACER_SIZES = (4.0, 7.0)
WINDOW_SIZES = (2.0, 4.0)

MOST_LESIONS = {2: 10, 3: 40}
"""In one slice, and in one volume."""

APART = 6.0
"""Smallest distance of two lesions, in scales of the lesion, so that they do not meet."""

MARGIN = 5.0
"""Lesions are planted, and clutter is measured, this far inside the brain."""


class Reader:
    """Matched filters for lesions inside a brain.

    Parameters
    ----------
    brain
        Slice or volume, above 0 in the brain.
    voxel_sizes
        Along each axis; None counts in pixels.

    Raises
    ------
    DataError
        When the brain leaves no room for a lesion.
    """

    def __init__(self, brain: np.ndarray, voxel_sizes: Sequence[float] | None = None) -> None:
        self.brain = np.asarray(brain) > 0
        self.voxel_sizes = np.ones(self.brain.ndim) * (1.0 if voxel_sizes is None else voxel_sizes)
        self.inside = depth(self.brain, self.voxel_sizes) > MARGIN
        if not self.inside.any():
            raise DataError("the brain mask is too small for a lesion")
        self._box = _bounding_box(self.brain)
        self._weights: dict[float, np.ndarray] = {}

    def smooth(self, image: np.ndarray, size: float) -> np.ndarray:
        """Gaussian smoothing of what lies in the brain, normalised at its edge; 0 far from it."""
        if size not in self._weights:
            self._weights[size] = np.maximum(self._blur(self.brain, size), 1e-6)
        smoothed = np.zeros(self.brain.shape)
        smoothed[self._box] = self._blur(image, size) / self._weights[size]
        return smoothed

    def _blur(self, image: np.ndarray, size: float) -> np.ndarray:
        from scipy.ndimage import gaussian_filter

        # Outside the box the masked image is 0, so that nothing is lost by cropping to it.
        cropped = np.where(self.brain, image, 0)[self._box].astype(np.float64)
        return gaussian_filter(cropped, size / self.voxel_sizes, mode="constant")

    def response(self, image: np.ndarray, size: float) -> np.ndarray:
        """How much brighter each place is than its surroundings: T_s = G_s * I - G_2.5s * I."""
        return self.smooth(image, size) - self.smooth(image, SURROUND * size)

    def clutter(self, image: np.ndarray, size: float) -> float:
        """What a lesion has to stand out from: the deviation of T_s inside, and the noise."""
        deviation = self.response(image, size)[self.inside].std()
        return float(np.hypot(deviation, READER_NOISE))


def has_room(brain: np.ndarray, voxel_sizes: Sequence[float] | None = None) -> bool:
    """Whether a lesion can be planted in a brain; arguments as for :class:`Reader`."""
    return bool((depth(np.asarray(brain) > 0, voxel_sizes) > MARGIN).any())


@dataclass(frozen=True)
class Condition:
    """A kind of lesion.

    Attributes
    ----------
    source
        The image it is planted in.
    size
        Standard deviation.
    amplitude
        In levels of [0, 1]; None is a share of the local mean.
    share
        Of the local mean, where there is no amplitude.
    """

    source: Source
    size: float
    amplitude: float | None = None
    share: float = AMPLITUDE

    @property
    def index(self) -> int:
        """Of the source among (anatomical, functional)."""
        return 0 if self.source == "anatomical" else 1


@dataclass(frozen=True)
class Planted:
    """A source with lesions.

    Attributes
    ----------
    image
        Clipped to [0, 1].
    places
        (n, dimensions), indices of the voxels at the lesions' centres.
    signs
        (n,), 1 for brighter, -1 for darker.
    """

    image: np.ndarray
    places: np.ndarray
    signs: np.ndarray

    @property
    def at(self) -> tuple[np.ndarray, ...]:
        """The places as an index of an image."""
        return tuple(self.places.T)


def conditions(modality: Modality) -> tuple[Condition, ...]:
    """The lesions that are planted when `modality` is fused."""
    window = modality.hounsfield
    return (
        *(Condition("anatomical", size) for size in ANATOMICAL_SIZES),
        *(
            Condition("functional", size, WINDOW_AMPLITUDE if window else None)
            for size in (WINDOW_SIZES if window else TRACER_SIZES)
        ),
    )


def plant(
    image: np.ndarray, reader: Reader, condition: Condition, rng: np.random.Generator
) -> Planted:
    """Add lesions of alternating sign to an image.

    Parameters
    ----------
    image
        Slice or volume in [0, 1], of the shape of the reader's brain.
    rng
        Draws the places: anywhere inside, at least ``APART`` sizes from each other.
    """
    places = places_apart(reader, APART * condition.size, rng)
    signs = np.where(np.arange(len(places)) % 2, 1.0, -1.0)
    return plant_at(image, reader, condition, places, signs)


def plant_at(
    image: np.ndarray, reader: Reader, condition: Condition, places: np.ndarray, signs: np.ndarray
) -> Planted:
    """Add lesions to an image at given places (n, dimensions), of given signs (n,)."""
    if condition.amplitude is None:
        local_mean = reader.smooth(image, 2 * condition.size)
        amplitudes = condition.share * local_mean[tuple(places.T)]
    else:
        amplitudes = np.full(len(places), condition.amplitude)
    added = blobs(image.shape, places, signs * amplitudes, condition.size, reader.voxel_sizes)
    return Planted(np.clip(image + added, 0, 1).astype(np.float32), places, signs)


def blobs(
    shape: tuple[int, ...],
    places: np.ndarray,
    heights: np.ndarray,
    size: float,
    voxel_sizes: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """What lesions add to an image: Gaussians of given heights (n,) at places (n, dimensions).

    Parameters
    ----------
    size
        Standard deviation, in the unit of `voxel_sizes`.
    """
    added = np.zeros(shape)
    for place, height in zip(places, heights, strict=True):
        # A Gaussian is the product of one along each axis.
        factors = [
            np.exp(-0.5 * ((np.arange(side) - centre) * step / size) ** 2)
            for side, centre, step in zip(shape, place, voxel_sizes, strict=True)
        ]
        added += height * functools.reduce(np.multiply, np.ix_(*factors))
    return added


def places_apart(reader: Reader, apart: float, rng: np.random.Generator) -> np.ndarray:
    """Places (n, dimensions) inside a brain, drawn at random, at least `apart` from each other."""
    candidates = rng.permutation(np.argwhere(reader.inside))
    chosen: list[np.ndarray] = []
    while len(candidates) and len(chosen) < MOST_LESIONS[reader.brain.ndim]:
        chosen.append(candidates[0])
        distances = np.linalg.norm((candidates - chosen[-1]) * reader.voxel_sizes, axis=1)
        candidates = candidates[distances >= apart]
    return np.array(chosen)


def _bounding_box(inside: np.ndarray) -> tuple[slice, ...]:
    hits = np.argwhere(inside)
    ends = zip(hits.min(axis=0), hits.max(axis=0) + 1, strict=True)
    return tuple(slice(int(low), int(high)) for low, high in ends)
