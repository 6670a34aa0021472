"""What a reader expects of every fusion, whatever it shows: checks that need no lesion.

A fusion should leave alone what only one source shows, should not depend on what is far away, and
should bear a functional image that is dimmer, noisier or slightly out of place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.errors import DataError
from fusionprep.evaluation.lesions import Reader, conditions
from fusionprep.evaluation.regions import head_mask
from fusionprep.evaluation.visibility import Fuse, lesion_score
from fusionprep.modalities import Modality

NEARLY_ALL = 99
"""Percentile of differences that counts as the largest; single pixels do not disturb a reader."""

SQUARE = 12
"""Side of the bright square, as a divisor of the image's smallest side."""

FAR = 32
"""Voxels beyond which a change counts as far away."""

DARK, SHOWN = 0.1, 0.3
"""A source is dark below the first level, and shows something above the second."""

CHECKED_SIZE = 4.0
"""Size of the lesions in degraded images; each modality has them."""

GRAY_LEVELS = 255


def _shifted(image: np.ndarray) -> np.ndarray:
    moved = np.zeros_like(image)
    moved[2:] = image[:-2]
    return moved


DEGRADED: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "unchanged": lambda image, _: image,
    "half as bright": lambda image, _: 0.5 * image,
    "a quarter as bright": lambda image, _: 0.25 * image,
    "gamma 0.7": lambda image, _: image**0.7,
    "gamma 1.4": lambda image, _: image**1.4,
    "noise": lambda image, rng: np.clip(image + rng.normal(0, 0.05, image.shape), 0, 1),
    "shifted by 2 voxels": lambda image, _: _shifted(image),
}
"""How the functional image in [0, 1] is made worse."""


@dataclass(frozen=True)
class ReaderChecks:
    """How one fusion of one pair behaves; differences in gray levels of 255.

    Attributes
    ----------
    identity
        |F(A, A) - A| and |F(B, B) - B|, the larger of both 99th percentiles in the head.
    anatomical_alone, functional_alone
        The same of |F(A, 0) - A| and of |F(0, B) - B|.
    outside
        Largest change inside the head when a white square is drawn outside it; NaN where the
        picture has no room.
    far
        Largest change further than ``FAR`` voxels from a white square inside the head.
    anatomical_kept, functional_kept
        Mean of the fused over mean of that source where it shows something and the other is dark.
        NaN where there is no such place.
    degraded
        How the functional image was made worse to the retention of anatomical and functional
        lesions.
    """

    identity: float
    anatomical_alone: float
    functional_alone: float
    outside: float
    far: float
    anatomical_kept: float
    functional_kept: float
    degraded: dict[str, tuple[float, float]]


def reader_checks(
    fuse: Fuse,
    anatomical: np.ndarray,
    functional: np.ndarray,
    brain: np.ndarray,
    modality: Modality,
    *,
    rng: np.random.Generator,
    voxel_sizes: Sequence[float] | None = None,
) -> ReaderChecks:
    """Check a fusion on a pair; it is called about thirty times.

    Parameters
    ----------
    fuse, anatomical, functional, brain, modality, rng, voxel_sizes
        As in :func:`fusionprep.evaluation.visibility.visibility`.

    Raises
    ------
    DataError
        When the brain leaves no room for a lesion.
    """
    sources = np.asarray(anatomical, np.float32), np.asarray(functional, np.float32)
    head = head_mask(*(GRAY_LEVELS * image for image in sources))
    return ReaderChecks(
        **quick_checks(fuse, sources),
        far=far_influence(fuse, sources, head),
        degraded=_degraded(fuse, sources, Reader(brain, voxel_sizes), modality, rng),
    )


def quick_checks(fuse: Fuse, sources: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """The checks that need no lesion, seven fusions; names as in :class:`ReaderChecks`."""
    empty, fused = np.zeros_like(sources[0]), np.asarray(fuse(*sources))
    head = head_mask(*(GRAY_LEVELS * image for image in sources))
    return {
        "identity": max(_off(fuse(image, image), image, head) for image in sources),
        "anatomical_alone": _off(fuse(sources[0], empty), sources[0], head),
        "functional_alone": _off(fuse(empty, sources[1]), sources[1], head),
        "outside": outside_influence(fuse, sources, head),
        "anatomical_kept": kept_alone(fused, *sources),
        "functional_kept": kept_alone(fused, *sources[::-1]),
    }


def _off(fused: np.ndarray, expected: np.ndarray, head: np.ndarray) -> float:
    if not head.any():
        return math.nan
    return float(GRAY_LEVELS * np.percentile(np.abs(fused - expected)[head], NEARLY_ALL))


def kept_alone(fused: np.ndarray, source: np.ndarray, other: np.ndarray) -> float:
    """Mean of the fused over mean of a source where it is shown and the other is dark."""
    alone = (source >= SHOWN) & (other <= DARK)
    return float(fused[alone].mean() / source[alone].mean()) if alone.any() else math.nan


def outside_influence(
    fuse: Fuse, sources: tuple[np.ndarray, np.ndarray], head: np.ndarray
) -> float:
    """Largest change inside the head, in gray levels, from a square outside it in either source.

    Parameters
    ----------
    sources
        Both (H, W) or (X, Y, Z) in [0, 1].
    head
        bool, same shape.

    Returns
    -------
    float
        NaN where no corner of the picture has room for the square.
    """
    side = max(min(head.shape) // SQUARE, 1)
    corners = (slice(1, 1 + side), slice(-1 - side, -1))
    for corner in np.ndindex((2,) * head.ndim):
        square = tuple(corners[end] for end in corner)
        if not head[square].any():
            return _influence(fuse, sources, square, head)
    return math.nan


def far_influence(fuse: Fuse, sources: tuple[np.ndarray, np.ndarray], head: np.ndarray) -> float:
    """Largest change in the head, in gray levels, far from a square that is drawn inside it.

    The square lies where the head begins along the first axis. NaN where nothing is far enough.
    """
    first = np.argwhere(head)
    if not len(first):
        raise DataError("both images are black")
    side = max(min(head.shape) // SQUARE, 1)
    centre = first[first[:, 0] <= first[0, 0] + side].mean(axis=0).astype(int)
    square = tuple(slice(max(at - side // 2, 0), at - side // 2 + side) for at in centre)
    distances = np.sqrt(
        sum((grid - at) ** 2.0 for grid, at in zip(np.indices(head.shape), centre, strict=True))
    )
    far = head & (distances > FAR + side)
    return _influence(fuse, sources, square, far)


def _influence(
    fuse: Fuse,
    sources: tuple[np.ndarray, np.ndarray],
    square: tuple[slice, ...],
    where: np.ndarray,
) -> float:
    if not where.any():
        return math.nan
    before, largest = fuse(*sources), 0.0
    for index in range(2):
        changed = [image.copy() for image in sources]
        changed[index][square] = 1
        difference = np.abs(fuse(*changed) - before)[where]
        largest = max(largest, float(difference.max()))
    return GRAY_LEVELS * largest


def _degraded(
    fuse: Fuse,
    sources: tuple[np.ndarray, np.ndarray],
    reader: Reader,
    modality: Modality,
    rng: np.random.Generator,
) -> dict[str, tuple[float, float]]:
    """The same places in every degraded image, so that they can be compared."""
    seed = int(rng.integers(2**32))
    found = {}
    for name, worse in DEGRADED.items():
        pair = sources[0], worse(sources[1], np.random.default_rng(seed)).astype(np.float32)
        fused = np.asarray(fuse(*pair))
        anatomical, functional = (
            lesion_score(fuse, pair, fused, reader, each, np.random.default_rng(seed)).retention
            for each in conditions(modality)
            if each.size == CHECKED_SIZE
        )
        found[name] = (anatomical, functional)
    return found
