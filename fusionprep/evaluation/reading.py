"""What a reader can see in the pairs of a benchmark: the measure for each, and pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.evaluation.lesions import Condition, Reader, Source, conditions, has_room, plant
from fusionprep.evaluation.pairs import GrayPair, to_gray_levels
from fusionprep.evaluation.ranking import Estimate
from fusionprep.evaluation.regions import brain_mask
from fusionprep.evaluation.visibility import (
    EDGE_SCALES,
    Fuse,
    Visibility,
    VisibilitySummary,
    visibility,
)
from fusionprep.modalities import Modality

SEED = 0
SHOWN_SIZE = 4.0
"""Lesions of this size are planted in the pictures."""

RING = 3.0
"""Radius of a mark round a lesion, in scales of the lesion."""

REACH = 1.5
"""Slices of a volume this near to a lesion's centre show it, in scales of the lesion: a third of
its height is left there."""

SEEN: dict[str, Callable[[VisibilitySummary], Estimate]] = {
    "all lesions": lambda seen: seen.all,
    "dominated": lambda seen: seen.dominated,
    "gain": lambda seen: seen.gain,
    "opposite": lambda seen: seen.opposite,
    "cancelled 2": lambda seen: seen.cancelled[0],
    "cancelled 4": lambda seen: seen.cancelled[1],
    "white": lambda seen: seen.white,
}
"""What is shown of a method; the numbers are ``EDGE_SCALES``."""


@dataclass(frozen=True)
class LesionPicture:
    """One pair with lesions in one source.

    Attributes
    ----------
    source
        The one with the lesions.
    images
        Anatomical and functional image, that with the lesions marked, then a fused image of each
        method (None where it could not fuse); (H, W) uint8.
    """

    source: Source
    images: tuple[np.ndarray | None, ...]


def read_by_reader(
    methods: Sequence[Fuse | None], pair: GrayPair, modality: Modality, number: int
) -> list[Visibility | None]:
    """What a reader can see of one pair in the fused image of each method.

    Parameters
    ----------
    methods
        None for those that cannot fuse again.
    number
        Of the pair: all methods get the same lesions, each pair others.

    Returns
    -------
    list
        None for those that cannot fuse again, and for all where the brain is too small.
    """
    brain = brain_of(pair, modality)
    if not has_room(brain, pair.sizes):
        return [None] * len(methods)
    return [
        None
        if fuse is None
        else visibility(
            fuse,
            *pair.unit_images(),
            brain,
            modality,
            rng=np.random.default_rng((SEED, number)),
            voxel_sizes=pair.sizes,
        )
        for fuse in methods
    ]


def figures(seen: Visibility) -> dict[str, float]:
    """All figures of one pair by name, e.g. ``dominated_anatomical_4``, for tables."""
    by_lesion = {
        f"{name}_{score.condition.source}_{score.condition.size:g}": value
        for score in seen.lesions
        for name, value in (
            ("retention", score.retention),
            ("dominated", score.dominated),
            ("gain", score.gain),
        )
    }
    cancelled = zip(EDGE_SCALES, seen.cancelled, strict=True)
    return {
        **by_lesion,
        "opposite": seen.opposite,
        **{f"cancelled_{scale:g}": share for scale, share in cancelled},
        "white": seen.white,
    }


def brain_of(pair: GrayPair, modality: Modality) -> np.ndarray:
    """The brain by the functional image, inside the pair's mask where it has one."""
    brain = brain_mask(pair.unit_images()[1], modality, voxel_sizes=pair.sizes)
    return brain if pair.mask is None else brain & pair.mask


def lesion_pictures(
    methods: Sequence[Fuse | None], pair: GrayPair, modality: Modality
) -> list[LesionPicture]:
    """A pair with lesions in one source, then in the other, fused by each method.

    Of a volume, the slice through the lesion nearest to its middle is shown. Empty where the brain
    is too small.
    """
    brain = brain_of(pair, modality)
    if not has_room(brain, pair.sizes):
        return []
    reader = Reader(brain, pair.sizes)
    return [
        _picture(methods, pair, reader, condition)
        for condition in conditions(modality)
        if condition.size == SHOWN_SIZE
    ]


def _picture(
    methods: Sequence[Fuse | None], pair: GrayPair, reader: Reader, condition: Condition
) -> LesionPicture:
    images = list(pair.unit_images())
    planted = plant(images[condition.index], reader, condition, np.random.default_rng(SEED))
    images[condition.index] = planted.image
    fused = [None if fuse is None else fuse(*images) for fuse in methods]
    marked = list(images)
    marked[condition.index] = _marked(planted.image, planted.places, reader, condition)
    third = planted.places[:, 2:].ravel()
    middle = third[np.abs(third - planted.image.shape[-1] / 2).argmin()] if len(third) else None
    shown = (
        None if image is None else _slice(to_gray_levels(255 * image), middle)
        for image in (*marked, *fused)
    )
    return LesionPicture(condition.source, tuple(shown))


def _slice(image: np.ndarray, index: int | None) -> np.ndarray:
    """The image itself, or a slice of a volume with the front of the head at the top."""
    return image if index is None else np.rot90(image[:, :, index])


def _marked(
    image: np.ndarray, places: np.ndarray, reader: Reader, condition: Condition
) -> np.ndarray:
    """White rings round the lesions, one pixel wide, in the plane of the first two axes."""
    marked, sizes = image.copy(), reader.voxel_sizes
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    for place in places:
        radius = np.hypot((rows - place[0]) * sizes[0], (columns - place[1]) * sizes[1])
        ring = np.abs(radius - RING * condition.size) < 0.7 * sizes[:2].max()
        # A volume has a third coordinate; slices near the lesion's centre show it too.
        around = [
            slice(max(round(at - reach), 0), round(at + reach) + 1)
            for at, reach in zip(place[2:], REACH * condition.size / sizes[2:], strict=True)
        ]
        marked[(ring, *around)] = 1
    return marked
